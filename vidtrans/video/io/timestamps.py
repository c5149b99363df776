"""Repair the timestamps of a video, find its frame rate and missing frames, and compute with timecodes.

Where a file consists of joined recordings, each of which starts its clock again, all its tracks are moved to one clock.

Timecode is that of SMPTE ST 12-1: HH:MM:SS:FF, and HH:MM:SS;FF for drop-frame. At 30000/1001 frames per second a count
of 30 falls behind the clock by 3.6 s an hour. Drop-frame corrects that: the numbers 00 and 01 (at 60000/1001: 00 to 03)
are left out at the start of every minute except each tenth. No picture is dropped, only a number. Timecode starts again
from 0 after 24 hours; some programs write 24:00:00:00 and more instead.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import pairwise
from math import ceil, floor
from os import SEEK_CUR
from pathlib import Path
from statistics import median_low
from struct import unpack
from typing import Any

import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from vidtrans.video.io.container import (
    CLOCK_FORMATS,
    QUICKTIME,
    MediaInfo,
    find_picture_stream,
    open_media,
    open_unedited,
    packets_of,
    side_tracks,
    sound_starts_s,
    starts_s,
)

MAX_REORDER = 16  # Largest distance in frames between decoding and presentation order (H.264 and HEVC)
# Usual frame rates in frames per second: whole numbers, and NTSC rates such as 30000/1001.
USUAL_RATES = (
    *(Fraction(rate) for rate in (12, 15, 24, 25, 30, 48, 50, 60, 90, 120, 240)),
    *(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120, 240)),
)
FORMATS_WITH_DTS = (
    *CLOCK_FORMATS,
    "flv",
)  # FFmpeg's names of formats that store decoding times, which always increase
# Longest gap in all tracks of a transport or program stream, in seconds; a longer one is a new clock (as in FFmpeg).
CLOCK_JUMP_S = 10
# Largest excess of a sound packet's time over the next packet's, in s; a larger one means that the time is wrong.
OUTLIER_S = 1
MAX_DEMUX_ERRORS = 64  # Number of errors in a file after which reading ends
REORDER_EDIT_S = 1  # Seconds; an edit list that only compensates the reordering of frames moves the start by less
NUM_JOIN_PACKETS = 16  # Number of packets before and after a join that determine where the recordings end and start
NO_PTS = -(2**63)  # FFmpeg's value of a missing timestamp (AV_NOPTS_VALUE)
# Matches a timecode: 01:02:03:04, or 01:02:03;04 with drop-frame.
_TIMECODE = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})([:;])([0-9]{2,3})")
MAX_MOVIE_HEADER_BYTES = 1 << 27  # Bytes of a QuickTime header that are searched
# Timecode numbers that drop-frame leaves out per minute, by the frames counted per second.
_DROPPED_PER_MINUTE = {30: 2, 60: 4}


def repair_timestamps(stamps: Sequence[int | None], nominal: int) -> tuple[tuple[int, ...], int]:
    """Return strictly increasing timestamps for frames in display order, and the number of changed ones.

    Increasing timestamps do not change. Timestamps in the wrong order (some containers number packets, and decoders
    return frames in another order) are sorted. Missing ones, repeated ones, and single ones that are much too late are
    replaced by times between their neighbours, ``nominal`` ticks apart where there is room. After a jump back they
    continue at the ``nominal`` rate.
    """
    nominal = max(1, nominal)
    present = [s for s in stamps if s is not None]
    if len(present) == len(stamps) and all(a < b for a, b in pairwise(present)):
        return tuple(present), 0
    ordered = _sort_if_near(stamps, present) or _remove_outliers(stamps, MAX_REORDER * nominal)
    return _make_increasing(ordered, stamps, nominal)


def repair_packet_times(stamps: Sequence[int | None], nominal: int, max_ahead: int) -> tuple[tuple[int, ...], int]:
    """Return strictly increasing timestamps for sound packets in order, and the number of changed ones.

    As ``repair_timestamps``, but nothing is sorted. Replaced times are ``nominal`` ticks apart where there is room, and
    single times more than ``max_ahead`` ticks too late are replaced.
    """
    return _make_increasing(_remove_outliers(stamps, max_ahead), stamps, max(1, nominal))


def _make_increasing(
    ordered: Sequence[int | None], stamps: Sequence[int | None], nominal: int
) -> tuple[tuple[int, ...], int]:
    """Make the times ``ordered`` strictly increasing; also return how many differ from the original ``stamps``.

    ``nominal``: the usual step, in ticks, of times that are replaced.
    """
    next_present = _next_present(ordered)
    result: list[int] = []
    for i, stamp in enumerate(ordered):
        if not result:
            result.append(stamp if stamp is not None else _extrapolated_start(ordered, nominal))
        elif stamp is not None and stamp > result[-1]:
            result.append(stamp)
        else:
            result.append(result[-1] + _step(result[-1], i, ordered, next_present, nominal))
    return tuple(result), sum(a != b for a, b in zip(result, stamps, strict=True))


def drop_uneven_timestamps(stamps: Sequence[int | None]) -> list[int | None]:
    """Return a raw stream's timestamps, all None if they are uneven: FFmpeg then miscounted the frames."""
    present = [s for s in stamps if s is not None]
    is_even = len(present) == len(stamps) and len({b - a for a, b in pairwise(present)}) <= 1
    return list(stamps) if is_even else [None] * len(stamps)


def _remove_outliers(stamps: Sequence[int | None], max_ahead: int) -> list[int | None]:
    """Replace single times by None if they are more than ``max_ahead`` ticks after both neighbours.

    They would delay all later frames.
    """
    result = list(stamps)
    for i in range(1, len(stamps) - 1):
        before, stamp, after = result[i - 1], stamps[i], stamps[i + 1]
        if before is None or stamp is None or after is None:
            continue
        if before < after < stamp and stamp - after > max_ahead:
            result[i] = None
    return result


def _sort_if_near(stamps: Sequence[int | None], present: list[int]) -> list[int | None] | None:
    """Sort the timestamps; None if one would move further than decoders reorder, or if many are equal.

    ``present``: the timestamps without None. Many equal times mean that the clock started again.
    """
    order = sorted(range(len(present)), key=lambda i: (present[i], i))
    is_near = all(abs(place - i) <= MAX_REORDER for place, i in enumerate(order))
    if not is_near or 10 * len(set(present)) < 9 * len(present):
        return None
    ascending = iter(present[i] for i in order)
    return [None if s is None else next(ascending) for s in stamps]


def _extrapolated_start(stamps: Sequence[int | None], nominal: int) -> int:
    """Return the time of the first frame, extrapolated in steps of ``nominal`` from the first frame that has a time."""
    first = next((i for i, s in enumerate(stamps) if s is not None), None)
    return 0 if first is None else (stamps[first] or 0) - first * nominal


def _next_present(stamps: Sequence[int | None]) -> list[int]:
    """Return for each position the next position that has a time, or the number of positions."""
    positions, following = [len(stamps)] * len(stamps), len(stamps)
    for i in reversed(range(len(stamps))):
        positions[i] = following
        following = i if stamps[i] is not None else following
    return positions


def _step(last: int, frame: int, stamps: Sequence[int | None], next_present: Sequence[int], nominal: int) -> int:
    """Return the ticks from the previous frame, at ``last``, to a frame that gets a new time.

    The step is ``nominal``, or shorter if the next frame with a higher time leaves less room. ``frame``: the frame's
    position in ``stamps``. ``next_present``: see ``_next_present``.
    """
    later = next_present[frame]
    while later < len(stamps) and (stamps[later] or 0) <= last and later - frame < MAX_REORDER:
        later = next_present[later]
    room = (stamps[later] or 0) - last if later < len(stamps) else 0
    return nominal if room <= 0 else max(1, min(nominal, room // (later - frame + 1)))


def nominal_step(stamps: Sequence[int | None], info: MediaInfo) -> int:
    """Return the step between frames, in ticks: from the headers if the times agree, else the median step."""
    step_from_header = 1 / (info.rate * info.time_base)
    present = [s for s in stamps if s is not None]
    gaps = sorted(b - a for a, b in pairwise(present) if b > a)
    median = gaps[len(gaps) // 2] if gaps else step_from_header
    return max(1, round(step_from_header if median / 2 < step_from_header < median * 2 else median))


def num_dropped_frames(pts: Sequence[int]) -> int:
    """Return the number of frames missing in a clip of constant rate; 0 where the rate varies."""
    gaps = [b - a for a, b in pairwise(pts)]
    median = sorted(gaps)[len(gaps) // 2] if gaps else 0
    num_regular = sum(abs(gap - median) <= 1 + median // 50 for gap in gaps)
    is_constant = median > 0 and num_regular >= 0.95 * len(gaps)
    return sum(round(gap / median) - 1 for gap in gaps if gap > median) if is_constant else 0


def rounded_rate(pts: Sequence[int], time_base: Fraction, nominal: Fraction) -> Fraction | None:
    """Return the constant rate whose times, rounded to ms or ``time_base``, are ``pts``; None if the rate varies.

    ``pts``: of all frames, and of the end. ``nominal`` is tried before the usual rates, or after them if it is an
    average. Matroska, FLV and ASF round to milliseconds, and copies of their times in a finer time base remain rounded.
    """
    nearest = sorted(USUAL_RATES, key=lambda rate: abs(rate - nominal))[:3]
    millisecond = Fraction(1, 1000) / time_base
    is_rounded = millisecond > 1 and all(abs(p - round(p / millisecond) * millisecond) <= 1 for p in pts[:-1])
    tolerance = 1 + ceil(millisecond) if is_rounded or millisecond == 1 else 1
    for rate in (nominal, *nearest) if nominal.denominator in (1, 1001) else (*nearest, nominal):
        step = 1 / (rate * time_base)
        if step > 2 * tolerance and all(abs(stamp - pts[0] - i * step) <= tolerance for i, stamp in enumerate(pts)):
            return rate
    return None


def average_rate(pts: Sequence[int], info: MediaInfo) -> Fraction:
    """Return the frame rate from the headers, or that of the timestamps if it differs by a factor of 2 or more."""
    if len(pts) < 2:
        return info.rate
    average = 1 / (Fraction(pts[-1] - pts[0], len(pts) - 1) * info.time_base)
    return info.rate if average / 2 < info.rate < average * 2 else average.limit_denominator(1001)


@dataclass(frozen=True)
class ClockRepair:
    """The corrections of the packet times of a file.

    Attributes:
        ticks: Ticks to add to the times of each packet, by track and packet number. Correct tracks are left out.
        num_restarts: How often the clock starts again.
        num_rebuilt: Sound packets with missing, repeated or wrong times, apart from those of a restarted clock.
    """

    ticks: Mapping[int, Sequence[int]]
    num_restarts: int = 0
    num_rebuilt: int = 0


class ClockFilter:
    """A filter that moves the packets of one file to one clock. Packets must come from the file's start, in order.

    If the times of a packet go back or jump ahead, the whole file is read, without decoding, to compute the ``repair``.
    ``num_shifted``: the number of packets shifted so far.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._detectors: dict[int, _JumpDetector] = {}
        self._numbers: Counter[int] = Counter()
        self._has_repair = False
        self.repair, self.num_shifted = ClockRepair({}), 0

    def __call__(self, packet: Packet[Any]) -> Packet[Any]:
        """Move the times of a packet to the common clock, in place, and return the packet."""
        track = packet.stream_index
        number = self._numbers[track]
        self._numbers[track] += packet.size > 0
        if not packet.size or not (self._has_repair or self._needs_repair(packet)):
            return packet
        ticks = self.repair.ticks.get(track, ())
        if number < len(ticks) and ticks[number]:
            packet.pts = None if packet.pts is None else packet.pts + ticks[number]
            packet.dts = None if packet.dts is None else packet.dts + ticks[number]
            self.num_shifted += 1
        return packet

    def _needs_repair(self, packet: Packet[Any]) -> bool:
        """Return whether the times need a repair; compute it if this packet's time goes back or jumps ahead."""
        track = packet.stream_index
        if track not in self._detectors:
            self._detectors[track] = _JumpDetector(packet.stream)
        if self._detectors[track].is_jump(packet):
            status = self._path.stat()
            self.repair, self._has_repair = _compute_repair(self._path, status.st_size, status.st_mtime_ns), True
        return self._has_repair


class _JumpDetector:
    """A detector of jumps in the packet times of one track, including jumps that are no restart of the clock."""

    def __init__(self, stream: Stream) -> None:
        self._type, self._by_dts = stream.type, stream.container.format.name in FORMATS_WITH_DTS
        self._highest: int | None = None

    def is_jump(self, packet: Packet[Any]) -> bool:
        """Return whether a packet's time goes back, or jumps ahead of all earlier packets of the track."""
        stamp = packet.dts if self._by_dts else packet.pts
        if stamp is None or self._type not in ("audio", "video"):
            return False
        highest = stamp - 1 if self._highest is None else self._highest
        self._highest = max(highest, stamp)
        if self._type == "audio":
            return stamp <= highest or (stamp - highest) * packet.time_base > OUTLIER_S
        goes_back = stamp < highest and (self._by_dts or packet.is_keyframe)
        return goes_back or (stamp - highest) * packet.time_base > CLOCK_JUMP_S


class TrackTimes:
    """The times of all packets of a track, in ticks of ``time_base``, with their byte positions in the file."""

    def __init__(self, stream: Stream, format_name: str) -> None:
        self.index, self.time_base, self.type = stream.index, stream.time_base or Fraction(1, 1000), stream.type
        self._by_dts, self._may_jump = format_name in FORMATS_WITH_DTS, format_name in CLOCK_FORMATS
        self.pts, self._dts, self._durations, self.positions = array("q"), array("q"), array("q"), array("q")
        self._is_key = bytearray()

    def add(self, packet: Packet[Any]) -> None:
        """Record the times, the file position and the keyframe flag of the track's next packet."""
        self.pts.append(NO_PTS if packet.pts is None else packet.pts)
        self._dts.append(NO_PTS if packet.dts is None else packet.dts)
        self._durations.append(packet.duration or 0)
        self.positions.append(packet.pos if packet.pos is not None else self.positions[-1] if self.positions else 0)
        self._is_key.append(packet.is_keyframe)

    @property
    def is_dense(self) -> bool:
        """Whether the track has packets throughout the clip, unlike subtitles."""
        return self.type in ("audio", "video")

    @cached_property
    def step(self) -> int:
        """The median duration of a packet, in ticks."""
        steps = [d for d in self._durations if d > 0]
        steps = steps or [b - a for a, b in pairwise(self.pts) if b > a > NO_PTS]
        return median_low(steps) if steps else max(1, round(Fraction(1, 25) / self.time_base))

    @cached_property
    def clock_starts(self) -> list[int]:
        """The numbers of the packets at which the clock starts again; single wrong times are not counted.

        Without stored decoding times, only a keyframe can be one, since all earlier pictures are presented before it.
        """
        stamps = self._dts if self._by_dts else self.pts
        numbers = [number for number, stamp in enumerate(stamps) if stamp != NO_PTS]
        starts: list[int] = []
        highest = stamps[numbers[0]] if numbers else 0
        for number, next_number in pairwise(numbers[1:]):
            stamp, next_stamp = stamps[number], stamps[next_number]
            goes_back = stamp < highest and (self._by_dts or self.type == "audio" or self._is_key[number])
            jumps_ahead = self._may_jump and (stamp - highest) * self.time_base > CLOCK_JUMP_S
            if not goes_back and not jumps_ahead:
                highest = max(highest, stamp)
            elif abs(next_stamp - stamp) < abs(next_stamp - highest):
                starts.append(number)
                highest = stamp
        return starts

    def is_continuous(self, number: int) -> bool:
        """Return whether a packet follows the previous one without a gap or an overlap."""
        if not 0 < number < len(self.pts) or NO_PTS in self.pts[number - 1 : number + 1]:
            return False
        gap = self.pts[number] - self.pts[number - 1] - (self._durations[number - 1] or self.step)
        return abs(gap) * self.time_base <= max(2 * self.step * self.time_base, Fraction(1, 10))

    def span(self, first: int, stop: int) -> tuple[Fraction, Fraction] | None:
        """Return start and end, in s, of the packets [first, stop), ignoring single wrong times; None if empty."""
        stamps = [stamp for stamp in self.pts[first:stop] if stamp != NO_PTS]
        if not stamps:
            return None
        start = min(self._near_median(stamps[:NUM_JOIN_PACKETS]))
        end = max(self._near_median(stamps[-NUM_JOIN_PACKETS:])) + self.step
        return start * self.time_base, end * self.time_base

    def _near_median(self, stamps: Sequence[int]) -> list[int]:
        """Return the timestamps that are at most ``CLOCK_JUMP_S`` seconds from their median."""
        median = median_low(stamps)
        return [stamp for stamp in stamps if abs(stamp - median) * self.time_base <= CLOCK_JUMP_S]


@lru_cache(maxsize=8)
def _compute_repair(path: Path, size: int, modified_ns: int) -> ClockRepair:
    """Read all packets of a file and return the repair of their times; size and modification time identify the file."""
    with open_media(path) as container:
        pictures = find_picture_stream(container, path)
        lead = pictures or next(iter(container.streams.audio), None)
        lead_index = lead.index if lead else -1  # Streams must not be used after their container is closed
        streams: list[Stream] = [*side_tracks(container, pictures), *([pictures] if pictures else [])]
        tracks = {stream.index: TrackTimes(stream, container.format.name) for stream in streams}
        with suppress(av.error.FFmpegError, OSError):  # Later packets cannot be copied either
            for packet in readable_packets(container, streams):
                if packet.stream_index in tracks:
                    tracks[packet.stream_index].add(packet)
    return compute_track_repair([t for t in tracks.values() if t.pts], lead_index)


def compute_track_repair(tracks: Sequence[TrackTimes], lead_index: int) -> ClockRepair:
    """Return the repair of the packet times of tracks.

    ``lead_index``: the number of the track whose times show where the clock restarts; −1: none.
    """
    lead = next((track for track in tracks if track.index == lead_index), None)
    joins = _joins(lead, [track for track in tracks if track is not lead]) if lead else []
    bounds = {t.index: [0, *(join[t.index] for join in joins), len(t.pts)] for t in tracks}
    offsets = _offsets(lead, tracks, bounds) if lead else [Fraction(0)]
    ticks: dict[int, Sequence[int]] = {}
    num_rebuilt = 0
    for track in tracks:
        shifts = array("q")
        for (first, stop), offset in zip(pairwise(bounds[track.index]), offsets, strict=True):
            shifts.extend([round(offset / track.time_base)] * (stop - first))
        if track.type == "audio":
            stamps = [None if p == NO_PTS else p + shift for p, shift in zip(track.pts, shifts, strict=True)]
            repaired, num_changed = repair_packet_times(stamps, track.step, round(OUTLIER_S / track.time_base))
            num_rebuilt += num_changed
            shifts = array("q", (0 if p == NO_PTS else r - p for p, r in zip(track.pts, repaired, strict=True)))
        if any(shifts):
            ticks[track.index] = shifts
    return ClockRepair(ticks, len(joins), num_rebuilt)


def _joins(lead: TrackTimes, others: Sequence[TrackTimes]) -> list[dict[int, int]]:
    """Return, for each restart of the clock, the number of the first packet after it in each track, by track number.

    ``lead``: the track whose times show the restarts.

    A track's own restarts are matched by their order if it has as many as the lead, else by their position in the file:
    the join lies between the last packet with the old clock and the first with the new one. If the lead's times go back
    while sound continues without a gap, the times are wrong, but the clock is the same.
    """
    joins: list[dict[int, int]] = []
    for order, first in enumerate(lead.clock_starts):
        numbers = {lead.index: first}
        position, previous_position = lead.positions[first], lead.positions[first - 1]
        for track in others:
            starts = track.clock_starts if track.is_dense else []
            if len(starts) == len(lead.clock_starts):
                numbers[track.index] = starts[order]
                continue
            near = [n for n in starts if track.positions[n - 1] < position and previous_position < track.positions[n]]
            number = near[0] if near else bisect_left(track.positions, position)
            if not near and track.is_dense and track.is_continuous(number):
                break
            numbers[track.index] = max(number, joins[-1][track.index] if joins else 0)
        else:
            joins.append(numbers)
    return joins


def _offsets(lead: TrackTimes, tracks: Sequence[TrackTimes], bounds: Mapping[int, Sequence[int]]) -> list[Fraction]:
    """Return the seconds to add to the times of each recording in a joined file, so that it follows the previous one.

    ``bounds``: the numbers of each track's packets at which recordings begin and end, by track number. The offset of a
    recording is the same for all tracks. Pictures keep their rate across a join if the sound overlaps by less than a
    packet. If it overlaps by more, the last picture is repeated for a whole number of frames, so that no sound is lost.
    """
    dense = [track for track in tracks if track.is_dense]
    ends: dict[int, Fraction] = {}
    offsets: list[Fraction] = []
    for recording in range(len(bounds[lead.index]) - 1):
        spans = {t.index: span for t in dense if (span := t.span(*bounds[t.index][recording : recording + 2]))}
        needed = {index: ends[index] - start for index, (start, _) in spans.items() if index in ends}
        offset = needed.get(lead.index, max(needed.values(), default=offsets[-1] if offsets else Fraction(0)))
        frame_s = lead.step * lead.time_base
        for track in dense:
            overlap_s = needed.get(track.index, offset) - offset
            if overlap_s >= track.step * track.time_base * 3 / 4:
                offset += ceil(overlap_s / frame_s) * frame_s
        offsets.append(offset)
        ends |= {index: max(ends.get(index, end + offset), end + offset) for index, (_, end) in spans.items()}
    return offsets


def zero_s(container: InputContainer, pictures: VideoStream | None = None, first_s: Fraction = Fraction(0)) -> Fraction:
    """Return the time in the file, in s, that players show as 0; ``first_s``: the time of the first decoded picture.

    The clock of a transport or program stream, a recording or a fragment begins at any time: its earliest track is at
    0. QuickTime's edit lists state when a track begins, so its times are not shifted. Pictures are never before 0, as
    containers would cut them off. Sound may be before 0, by the encoder's priming, except where the format has no
    priming.
    """
    starts_anywhere = container.format.name in CLOCK_FORMATS
    starts = sound_starts_s(container, pictures)
    if pictures is not None:  # Leading pictures that cannot be decoded count, unless the clock starts anywhere
        starts += [first_s, *(() if starts_anywhere else starts_s([pictures]))]
    earliest = min(starts, default=Fraction(0))
    if container.format.name == QUICKTIME and earliest > 0:
        with closing(open_unedited(container)) as unedited:
            unedited_start = min(starts_s(unedited.streams), default=Fraction(0))
        starts_anywhere = earliest > REORDER_EDIT_S and unedited_start > earliest - REORDER_EDIT_S
        return earliest if starts_anywhere else Fraction(0)
    return earliest if starts_anywhere or earliest > 0 else min(Fraction(0), first_s)


def readable_packets(container: InputContainer, streams: Sequence[Stream]) -> Iterator[Packet[Any]]:
    """Yield the packets of these streams, and continue after damage.

    Raises av.error.FFmpegError and OSError after ``MAX_DEMUX_ERRORS`` errors.
    """
    for num_retries_left in reversed(range(MAX_DEMUX_ERRORS)):
        try:
            yield from packets_of(container, streams)
            return
        except (av.error.FFmpegError, OSError):
            if not num_retries_left:
                raise


def advance_timecode(timecode: str, frames: int, rate: Fraction) -> str:
    """Return the timecode ``frames`` later (negative: earlier); after 24 hours it starts again from 0.

    ``rate``: frames per second; timecode counts at the nearest whole number (30 for 30000/1001). Raises ValueError
    where ``timecode`` is invalid, has a number that does not exist at this rate, or is drop-frame at a rate other than
    29.97 or 59.94.
    """
    _, _, _, _, base, dropped = _parse_timecode(timecode, rate)
    return _format_timecode(frame_count_of(timecode, rate) + frames, base, dropped)


def frame_count_of(timecode: str, rate: Fraction) -> int:
    """Return the number of frames from 00:00:00:00 to a timecode. Raises ValueError as ``advance_timecode`` does."""
    hours, minutes, seconds, frame, base, dropped = _parse_timecode(timecode, rate)
    minute = 60 * hours + minutes
    return (60 * minute + seconds) * base + frame - dropped * (minute - minute // 10)


def frames_in_day(timecode: str, rate: Fraction) -> int:
    """Return the number of frames in 24 hours of timecode. Raises ValueError as ``advance_timecode`` does."""
    _, _, _, _, base, dropped = _parse_timecode(timecode, rate)
    return 144 * _frames_in_ten_minutes(base, dropped)


def counted_rate(timecode: str, path: Path, average: Fraction) -> Fraction:
    """Return the frames per second that a file's timecode counts, which may differ from the ``average`` rate.

    A QuickTime timecode track states it. In other files it is the usual rate nearest to the average (for a drop-frame
    timecode, of the rates that have drop-frame), or the average itself if that rate is more than 10 % away.
    """
    if (rate := _timecode_track_rate(path)) is not None:
        return rate
    usual = [rate for rate in USUAL_RATES if ";" not in timecode or _dropped_per_minute(rate)]
    nearest = min(usual, key=lambda rate: abs(rate - average))
    return nearest if abs(nearest - average) < average / 10 else average


def _timecode_track_rate(path: Path) -> Fraction | None:
    """Return the rate of a QuickTime file's timecode track, from its sample description; None without it."""
    with path.open("rb") as file:
        header = file.read(8)
        while len(header) == 8 and header[4:] != b"moov":
            size = int.from_bytes(header[:4], "big")
            size = int.from_bytes(file.read(8), "big") - 8 if size == 1 else size
            if size < 8 or not header[4:].isalnum():
                return None
            file.seek(size - 8, SEEK_CUR)
            header = file.read(8)
        movie = file.read(min(int.from_bytes(header[:4], "big"), MAX_MOVIE_HEADER_BYTES)) if len(header) == 8 else b""
    at = -1
    while (at := movie.find(b"tmcd", at + 1)) >= 0:
        fields = movie[at + 16 : at + 29]  # After the name and 12 bytes: reserved, data reference, reserved
        if len(fields) < 13 or any(movie[at + 4 : at + 10]):
            continue
        _flags, scale, duration, count = unpack(">IIIB", fields)
        # 'tmcd' also names references, handlers and media headers, whose numbers are not a rate.
        if scale and duration and 0 < count == floor(Fraction(scale, duration) + Fraction(1, 2)):
            return Fraction(scale, duration)
    return None


def convert_timecode(timecode: str, rate: Fraction, new_rate: Fraction) -> str:
    """Return the timecode of the same time of day at another frame rate.

    Drop-frame is kept where the new rate has it. Raises ValueError as ``advance_timecode`` does.
    """
    hours, minutes, seconds, frame, base, dropped = _parse_timecode(timecode, rate)
    new_base = _frames_per_second(new_rate)
    left_out = _dropped_per_minute(new_rate) if dropped else 0
    frame = frame * new_base // base
    if left_out and minutes % 10 and seconds == 0:
        frame = max(frame, left_out)
    return f"{hours:02}:{minutes:02}:{seconds:02}{';' if left_out else ':'}{frame:02}"


def _parse_timecode(timecode: str, rate: Fraction) -> tuple[int, int, int, int, int, int]:
    """Return hours below 24, minutes, seconds, frame, frames counted per second, numbers dropped per minute."""
    match = _TIMECODE.fullmatch(timecode)
    if match is None:
        raise ValueError(f"{timecode!r} is not a timecode: write HH:MM:SS:FF, or HH:MM:SS;FF with drop-frame")
    base = _frames_per_second(rate)
    dropped = _dropped_per_minute(rate) if match[4] == ";" else 0
    if match[4] == ";" and not dropped:
        raise ValueError(f"{timecode!r} is drop-frame, which {rate} frames a second do not have")
    hours, minutes, seconds, frame = (int(match[i]) for i in (1, 2, 3, 5))
    is_dropped = dropped and minutes % 10 and seconds == 0 and frame < dropped
    if minutes > 59 or seconds > 59 or frame >= base or is_dropped:
        raise ValueError(f"there is no timecode {timecode!r} at {rate} frames a second")
    return hours % 24, minutes, seconds, frame, base, dropped


def _frames_per_second(rate: Fraction) -> int:
    """Return the frames per second that timecode counts at a rate: 30 for 30000/1001. Raises ValueError below 1."""
    base = floor(rate + Fraction(1, 2))
    if base < 1:
        raise ValueError(f"timecode needs a frame rate, not {rate}")
    return base


def _dropped_per_minute(rate: Fraction) -> int:
    """Return how many timecode numbers drop-frame leaves out per minute at this rate; 0 without drop-frame."""
    base = _frames_per_second(rate)
    # Containers round rates: 2997/100 means 30000/1001.
    is_ntsc = abs(rate - base * Fraction(1000, 1001)) <= Fraction(1, 100)
    return _DROPPED_PER_MINUTE.get(base, 0) if is_ntsc else 0


def _frames_in_ten_minutes(base: int, dropped: int) -> int:
    """Return the frames in ten minutes of timecode; ``base``: counted per second, ``dropped``: left out per minute."""
    return 600 * base - 9 * dropped


def _format_timecode(count: int, base: int, dropped: int) -> str:
    """Return a number of frames from 00:00:00:00 as timecode.

    ``base``: the frames counted per second. ``dropped``: the timecode numbers that are left out per minute.
    """
    minute, ten_minutes = 60 * base - dropped, _frames_in_ten_minutes(base, dropped)
    tens, rest = divmod(count % (144 * ten_minutes), ten_minutes)
    # The first of ten minutes has all its numbers; each of the other nine leaves out its first numbers.
    number = tens * 600 * base + rest + dropped * max(0, (rest - dropped) // minute)
    seconds, frame = divmod(number, base)
    minutes, second = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}{';' if dropped else ':'}{frame:02}"
