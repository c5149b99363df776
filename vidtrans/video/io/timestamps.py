"""Repair the timestamps of a video, find its frame rate and gaps, and count in timecode.

Where recordings were joined, each of which starts its clock again, all tracks of a file are put on one clock.

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
    CLOCKED,
    QUICKTIME,
    MediaInfo,
    open_media,
    open_unedited,
    packets_of,
    pictures_of,
    side_tracks,
    sound_starts_s,
    starts_s,
)

# A frame is never shown further from its place in the file than a decoder may reorder (H.264 and HEVC: 16).
MAX_REORDER = 16
USUAL_RATES = (
    *(Fraction(rate) for rate in (12, 15, 24, 25, 30, 48, 50, 60, 90, 120, 240)),
    *(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120, 240)),
)
STORES_DTS = (*CLOCKED, "flv")  # decoding times never go back in these, whatever the order of presentation
JUMP_S = 10  # a longer hole in all tracks of a transport or program stream is another clock (FFmpeg's limit, too)
OUTLIER_S = 1  # a sound packet further ahead than this, with an earlier one behind it, has a wrong time
MAX_DEMUX_ERRORS = 64  # reading ends after more errors in a file
UNEDITED_S = 1  # an edit list that takes back the reordering of frames moves the start by less
EDGE = 16  # packets on either side of a join, whose times say where the parts end and begin
NONE = -(2**63)  # FFmpeg's "no time"
_FORM = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})([:;])([0-9]{2,3})")
MAX_MOVIE = 1 << 27  # bytes of a QuickTime header
_DROPPED = {30: 2, 60: 4}  # numbers left out per minute


def repair_timestamps(stamps: Sequence[int | None], nominal: int) -> tuple[tuple[int, ...], int]:
    """Return strictly increasing timestamps for frames in order of presentation, and the number of changed ones.

    Increasing timestamps do not change. Stamps in the wrong order (some containers number packets, and decoders
    return frames in another order) are sorted. Missing, repeated and single far too late stamps are put between their
    neighbours, ``nominal`` ticks apart where there is room; after a jump back they continue at the ``nominal`` rate.
    """
    nominal = max(1, nominal)
    known = [s for s in stamps if s is not None]
    if len(known) == len(stamps) and all(a < b for a, b in pairwise(known)):
        return tuple(known), 0
    return _increasing(_sorted(stamps, known) or _without_outliers(stamps, MAX_REORDER * nominal), stamps, nominal)


def continue_timestamps(stamps: Sequence[int | None], nominal: int, far: int) -> tuple[tuple[int, ...], int]:
    """Return strictly increasing timestamps for packets in order, such as sound's, and the number of changed ones.

    As ``repair_timestamps``, but nothing is sorted, and single stamps more than ``far`` ticks too late are replaced.
    """
    return _increasing(_without_outliers(stamps, far), stamps, max(1, nominal))


def _increasing(
    wanted: Sequence[int | None], stamps: Sequence[int | None], nominal: int
) -> tuple[tuple[int, ...], int]:
    """Return ``wanted`` made strictly increasing, and the number of times that differ from ``stamps``."""
    later = _next_known(wanted)
    result: list[int] = []
    for i, stamp in enumerate(wanted):
        if not result:
            result.append(stamp if stamp is not None else _before(wanted, nominal))
        elif stamp is not None and stamp > result[-1]:
            result.append(stamp)
        else:
            result.append(result[-1] + _step(result[-1], i, wanted, later, nominal))
    return tuple(result), sum(a != b for a, b in zip(result, stamps, strict=True))


def without_uneven(stamps: Sequence[int | None]) -> list[int | None]:
    """Return the timestamps of a raw stream; all None if uneven, as FFmpeg's count of its frames is then wrong."""
    known = [s for s in stamps if s is not None]
    even = len(known) == len(stamps) and len({b - a for a, b in pairwise(known)}) <= 1
    return list(stamps) if even else [None] * len(stamps)


def _without_outliers(stamps: Sequence[int | None], far: int) -> list[int | None]:
    """Replace single times more than ``far`` ticks later than their neighbours by None: they would delay the rest."""
    result = list(stamps)
    for i in range(1, len(stamps) - 1):
        before, stamp, after = result[i - 1], stamps[i], stamps[i + 1]
        if before is None or stamp is None or after is None:
            continue
        if before < after < stamp and stamp - after > far:
            result[i] = None
    return result


def _sorted(stamps: Sequence[int | None], known: list[int]) -> list[int | None] | None:
    """Sort the stamps; None if one would move further than decoders reorder, or many repeat (the clock restarted)."""
    order = sorted(range(len(known)), key=lambda i: (known[i], i))
    near = all(abs(place - i) <= MAX_REORDER for place, i in enumerate(order))
    if not near or 10 * len(set(known)) < 9 * len(known):
        return None
    following = iter(known[i] for i in order)
    return [None if s is None else next(following) for s in stamps]


def _before(stamps: Sequence[int | None], nominal: int) -> int:
    """Return the time of the first frame, counted back from the first known time."""
    first = next((i for i, s in enumerate(stamps) if s is not None), None)
    return 0 if first is None else (stamps[first] or 0) - first * nominal


def _next_known(stamps: Sequence[int | None]) -> list[int]:
    """Return for each position the next position with a known time, or the length."""
    later, found = [len(stamps)] * len(stamps), len(stamps)
    for i in reversed(range(len(stamps))):
        later[i] = found
        found = i if stamps[i] is not None else found
    return later


def _step(last: int, at: int, stamps: Sequence[int | None], later: Sequence[int], nominal: int) -> int:
    """Return the ticks from ``last`` to frame ``at``: ``nominal``, or fewer to fit in before the next higher stamp."""
    place = later[at]
    while place < len(stamps) and (stamps[place] or 0) <= last and place - at < MAX_REORDER:
        place = later[place]
    room = (stamps[place] or 0) - last if place < len(stamps) else 0
    return nominal if room <= 0 else max(1, min(nominal, room // (place - at + 1)))


def nominal_step(stamps: Sequence[int | None], info: MediaInfo) -> int:
    """Return the step between frames, in ticks of the time base: the headers' if the times agree, else measured."""
    claimed = 1 / (info.rate * info.time_base)
    known = [s for s in stamps if s is not None]
    gaps = sorted(b - a for a, b in pairwise(known) if b > a)
    usual = gaps[len(gaps) // 2] if gaps else claimed
    return max(1, round(claimed if usual / 2 < claimed < usual * 2 else usual))


def num_holes(pts: Sequence[int]) -> int:
    """Return the number of frames missing between frames of a constant rate; 0 where the rate varies."""
    gaps = [b - a for a, b in pairwise(pts)]
    usual = sorted(gaps)[len(gaps) // 2] if gaps else 0
    constant = sum(abs(gap - usual) <= 1 + usual // 50 for gap in gaps)
    return sum(round(gap / usual) - 1 for gap in gaps if gap > usual) if usual and constant >= 0.95 * len(gaps) else 0


def rounded_rate(pts: Sequence[int], time_base: Fraction, nominal: Fraction) -> Fraction | None:
    """Return the constant rate whose times, rounded to ms or ``time_base``, are ``pts``; None if the rate varies.

    ``pts``: of all frames and of the end. ``nominal`` is tried before the usual rates, or, if it is an average, after
    them. Matroska, FLV and ASF round to milliseconds, and copies of their times in a finer time base remain rounded.
    """
    usual = sorted(USUAL_RATES, key=lambda rate: abs(rate - nominal))[:3]
    millisecond = Fraction(1, 1000) / time_base
    whole = millisecond > 1 and all(abs(p - round(p / millisecond) * millisecond) <= 1 for p in pts[:-1])
    slack = 1 + ceil(millisecond) if whole or millisecond == 1 else 1
    for rate in (nominal, *usual) if nominal.denominator in (1, 1001) else (*usual, nominal):
        step = 1 / (rate * time_base)
        if step > 2 * slack and all(abs(stamp - pts[0] - i * step) <= slack for i, stamp in enumerate(pts)):
            return rate
    return None


def average_rate(pts: Sequence[int], info: MediaInfo) -> Fraction:
    """Return the frame rate from the headers, or the measured one where they differ by a factor of 2 or more."""
    if len(pts) < 2:
        return info.rate
    average = 1 / (Fraction(pts[-1] - pts[0], len(pts) - 1) * info.time_base)
    return info.rate if average / 2 < info.rate < average * 2 else average.limit_denominator(1001)


@dataclass(frozen=True)
class Repair:
    """The repair of a file's times.

    Attributes:
        ticks: To add to the times of each packet, by track and number in the track. Tracks that need none are left out.
        restarts: How often the clock starts again.
        rebuilt: Sound packets with missing, repeated or wrong times, beside those of a clock that starts again.
    """

    ticks: Mapping[int, Sequence[int]]
    restarts: int = 0
    rebuilt: int = 0


class OneClock:
    """Puts the packets of one file on one clock. They must come from the file's start, in the file's order.

    The file is read through, without decoding, only if the times of a packet go back or jump ahead.
    Attributes: ``repair``, and the number of packets ``num_shifted`` so far.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._watches: dict[int, _Watch] = {}
        self._numbers: Counter[int] = Counter()
        self._is_read = False
        self.repair, self.num_shifted = Repair({}), 0

    def __call__(self, packet: Packet[Any]) -> Packet[Any]:
        """Return the packet, with its times repaired."""
        track = packet.stream_index
        number = self._numbers[track]
        self._numbers[track] += packet.size > 0
        if not packet.size or not (self._is_read or self._watch(packet)):
            return packet
        ticks = self.repair.ticks.get(track, ())
        if number < len(ticks) and ticks[number]:
            packet.pts = None if packet.pts is None else packet.pts + ticks[number]
            packet.dts = None if packet.dts is None else packet.dts + ticks[number]
            self.num_shifted += 1
        return packet

    def _watch(self, packet: Packet[Any]) -> bool:
        """Read the repair if the packet's time goes back or jumps ahead; return whether it was read."""
        track = packet.stream_index
        if track not in self._watches:
            self._watches[track] = _Watch(packet.stream)
        if self._watches[track].is_odd(packet):
            status = self._path.stat()
            self.repair, self._is_read = _read_repair(self._path, status.st_size, status.st_mtime_ns), True
        return self._is_read


class _Watch:
    """Watches the times of one track. It may find more than ``TrackTimes.starts``, and never less."""

    def __init__(self, stream: Stream) -> None:
        self._kind, self._by_dts = stream.type, stream.container.format.name in STORES_DTS
        self._top: int | None = None

    def is_odd(self, packet: Packet[Any]) -> bool:
        stamp = packet.dts if self._by_dts else packet.pts
        if stamp is None or self._kind not in ("audio", "video"):
            return False
        top = stamp - 1 if self._top is None else self._top
        self._top = max(top, stamp)
        if self._kind == "audio":
            return stamp <= top or (stamp - top) * packet.time_base > OUTLIER_S
        is_back = stamp < top and (self._by_dts or packet.is_keyframe)
        return is_back or (stamp - top) * packet.time_base > JUMP_S


class TrackTimes:
    """The times of all packets of a track, in ticks of ``base``, with their places in the file."""

    def __init__(self, stream: Stream, kind: str) -> None:
        self.index, self.base, self.type = stream.index, stream.time_base or Fraction(1, 1000), stream.type
        self._by_dts, self._may_jump = kind in STORES_DTS, kind in CLOCKED
        self.pts, self._dts, self._durations, self.places = array("q"), array("q"), array("q"), array("q")
        self._keys = bytearray()

    def add(self, packet: Packet[Any]) -> None:
        """Add the next packet of the track."""
        self.pts.append(NONE if packet.pts is None else packet.pts)
        self._dts.append(NONE if packet.dts is None else packet.dts)
        self._durations.append(packet.duration or 0)
        self.places.append(packet.pos if packet.pos is not None else self.places[-1] if self.places else 0)
        self._keys.append(packet.is_keyframe)

    @property
    def is_dense(self) -> bool:
        """Whether the track has packets all the time."""
        return self.type in ("audio", "video")

    @cached_property
    def step(self) -> int:
        """The usual duration of a packet."""
        known = [d for d in self._durations if d > 0]
        known = known or [b - a for a, b in pairwise(self.pts) if b > a > NONE]
        return median_low(known) if known else max(1, round(Fraction(1, 25) / self.base))

    @cached_property
    def starts(self) -> list[int]:
        """The numbers of the packets at which the clock starts again. A single wrong time is no start.

        Where decoding times are not stored, only a keyframe can be one: all pictures before it are shown before it.
        """
        stamps = self._dts if self._by_dts else self.pts
        known = [number for number, stamp in enumerate(stamps) if stamp != NONE]
        found: list[int] = []
        top = stamps[known[0]] if known else 0
        for number, following in pairwise(known[1:]):
            stamp, after = stamps[number], stamps[following]
            is_back = stamp < top and (self._by_dts or self.type == "audio" or self._keys[number])
            is_ahead = self._may_jump and (stamp - top) * self.base > JUMP_S
            if not is_back and not is_ahead:
                top = max(top, stamp)
            elif abs(after - stamp) < abs(after - top):
                found.append(number)
                top = stamp
        return found

    def is_continuous(self, number: int) -> bool:
        """Return whether a packet follows the one before it without a gap or an overlap."""
        if not 0 < number < len(self.pts) or NONE in self.pts[number - 1 : number + 1]:
            return False
        gap = self.pts[number] - self.pts[number - 1] - (self._durations[number - 1] or self.step)
        return abs(gap) * self.base <= max(2 * self.step * self.base, Fraction(1, 10))

    def span(self, first: int, stop: int) -> tuple[Fraction, Fraction] | None:
        """Return the begin and end, in s, of the packets [first, stop), ignoring single wrong times; None if empty."""
        known = [stamp for stamp in self.pts[first:stop] if stamp != NONE]
        if not known:
            return None
        begin, end = min(self._alike(known[:EDGE])), max(self._alike(known[-EDGE:])) + self.step
        return begin * self.base, end * self.base

    def _alike(self, stamps: Sequence[int]) -> list[int]:
        middle = median_low(stamps)
        return [stamp for stamp in stamps if abs(stamp - middle) * self.base <= JUMP_S]


@lru_cache(maxsize=8)
def _read_repair(path: Path, size: int, modified_ns: int) -> Repair:
    """Read all packets of a file and return the repair. Arguments beside ``path`` tell versions of the file apart."""
    with open_media(path) as container:
        pictures = pictures_of(container, path)
        lead = pictures or next(iter(container.streams.audio), None)
        lead_index = lead.index if lead else -1  # streams must not be used after their container is closed
        wanted: list[Stream] = [*side_tracks(container, pictures), *([pictures] if pictures else [])]
        tracks = {stream.index: TrackTimes(stream, container.format.name) for stream in wanted}
        with suppress(av.error.FFmpegError, OSError):  # what lies beyond cannot be copied either
            for packet in readable_packets(container, wanted):
                if packet.stream_index in tracks:
                    tracks[packet.stream_index].add(packet)
    return repair_tracks([t for t in tracks.values() if t.pts], lead_index)


def repair_tracks(tracks: Sequence[TrackTimes], lead_index: int) -> Repair:
    """Return the repair of tracks; the one with number ``lead_index`` says where the clock starts again."""
    lead = next((track for track in tracks if track.index == lead_index), None)
    joins = _joins(lead, [track for track in tracks if track is not lead]) if lead else []
    bounds = {t.index: [0, *(join[t.index] for join in joins), len(t.pts)] for t in tracks}
    offsets = _offsets(lead, tracks, bounds) if lead else [Fraction(0)]
    ticks: dict[int, Sequence[int]] = {}
    num_rebuilt = 0
    for track in tracks:
        shifts = array("q")
        for (first, stop), offset in zip(pairwise(bounds[track.index]), offsets, strict=True):
            shifts.extend([round(offset / track.base)] * (stop - first))
        if track.type == "audio":
            stamps = [None if p == NONE else p + shift for p, shift in zip(track.pts, shifts, strict=True)]
            repaired, num = continue_timestamps(stamps, track.step, round(OUTLIER_S / track.base))
            num_rebuilt += num
            shifts = array("q", (0 if p == NONE else r - p for p, r in zip(track.pts, repaired, strict=True)))
        if any(shifts):
            ticks[track.index] = shifts
    return Repair(ticks, len(joins), num_rebuilt)


def _joins(lead: TrackTimes, others: Sequence[TrackTimes]) -> list[dict[int, int]]:
    """Return for each start of the clock the first packet of each track, by track number.

    A track's own starts are matched by their number, or else by their place in the file: the join lies between the
    last packet with the old clock and the first with the new one. A lead that goes back while sound goes on without
    a gap has wrong times, but no other clock.
    """
    joins: list[dict[int, int]] = []
    for order, first in enumerate(lead.starts):
        numbers = {lead.index: first}
        place, place_before = lead.places[first], lead.places[first - 1]
        for track in others:
            starts = track.starts if track.is_dense else []
            if len(starts) == len(lead.starts):
                numbers[track.index] = starts[order]
                continue
            near = [n for n in starts if track.places[n - 1] < place and place_before < track.places[n]]
            number = near[0] if near else bisect_left(track.places, place)
            if not near and track.is_dense and track.is_continuous(number):
                break
            numbers[track.index] = max(number, joins[-1][track.index] if joins else 0)
        else:
            joins.append(numbers)
    return joins


def _offsets(lead: TrackTimes, tracks: Sequence[TrackTimes], bounds: Mapping[int, Sequence[int]]) -> list[Fraction]:
    """Return the seconds to add to the times of each part, the same for all tracks, so that it follows the part before.

    Pictures keep their rate across a join if the sound overlaps by less than a packet. If it overlaps by more, the last
    picture is held for a whole number of frames, so that no sound is lost.
    """
    dense = [track for track in tracks if track.is_dense]
    ends: dict[int, Fraction] = {}
    offsets: list[Fraction] = []
    for part in range(len(bounds[lead.index]) - 1):
        spans = {t.index: span for t in dense if (span := t.span(*bounds[t.index][part : part + 2]))}
        needed = {index: ends[index] - begin for index, (begin, _) in spans.items() if index in ends}
        offset = needed.get(lead.index, max(needed.values(), default=offsets[-1] if offsets else Fraction(0)))
        frame_s = lead.step * lead.base
        for track in dense:
            late = needed.get(track.index, offset) - offset
            if late >= track.step * track.base * 3 / 4:
                offset += ceil(late / frame_s) * frame_s
        offsets.append(offset)
        ends |= {index: max(ends.get(index, end + offset), end + offset) for index, (_, end) in spans.items()}
    return offsets


def zero_s(container: InputContainer, pictures: VideoStream | None = None, first_s: Fraction = Fraction(0)) -> Fraction:
    """Return the time in the file, in s, that is 0 for a viewer; ``first_s``: the time of the first decoded picture.

    The clock of a transport or program stream, a recording or a fragment begins anywhere: its earliest track is at 0.
    QuickTime's edit lists state when a track begins, so its times are not shifted. Pictures are never before 0, as
    containers would cut them off; sound may be, by the encoder's priming, except where the format has no priming.
    """
    is_clock = container.format.name in CLOCKED
    starts = sound_starts_s(container, pictures)
    if pictures is not None:  # those before the first one that can be decoded count, if the file begins with them
        starts += [first_s, *(() if is_clock else starts_s([pictures]))]
    earliest = min(starts, default=Fraction(0))
    if container.format.name == QUICKTIME and earliest > 0:
        with closing(open_unedited(container)) as unedited:
            begin = min(starts_s(unedited.streams), default=Fraction(0))
        is_clock = earliest > UNEDITED_S and begin > earliest - UNEDITED_S
        return earliest if is_clock else Fraction(0)
    return earliest if is_clock or earliest > 0 else min(Fraction(0), first_s)


def readable_packets(container: InputContainer, streams: Sequence[Stream]) -> Iterator[Packet[Any]]:
    """Yield the packets of these streams, and read on after damage. Raises av.error.FFmpegError and OSError."""
    for left in reversed(range(MAX_DEMUX_ERRORS)):
        try:
            yield from packets_of(container, streams)
            return
        except (av.error.FFmpegError, OSError):
            if not left:
                raise


def advance_timecode(timecode: str, frames: int, rate: Fraction) -> str:
    """Return the timecode ``frames`` later (negative: earlier); after 24 hours it starts again from 0.

    ``rate``: frames per second, counted to the nearest whole number (30 for 30000/1001). Raises ValueError where
    ``timecode`` is not valid, has a number that does not exist at this rate, or is drop-frame at a rate other than
    29.97 or 59.94.
    """
    _, _, _, _, base, dropped = _parsed(timecode, rate)
    return _written(count_of(timecode, rate) + frames, base, dropped)


def count_of(timecode: str, rate: Fraction) -> int:
    """Return the number of frames from the last 00:00:00:00 to a timecode. ValueError as in ``advance_timecode``."""
    hours, minutes, seconds, frame, base, dropped = _parsed(timecode, rate)
    minute = 60 * hours + minutes
    return (60 * minute + seconds) * base + frame - dropped * (minute - minute // 10)


def frames_in_day(timecode: str, rate: Fraction) -> int:
    """Return the number of frames in 24 hours, in the kind of a timecode. ValueError as in ``advance_timecode``."""
    _, _, _, _, base, dropped = _parsed(timecode, rate)
    return 144 * _ten_minutes(base, dropped)


def counted_rate(timecode: str, path: Path, average: Fraction) -> Fraction:
    """Return the frames per second that a file's timecode counts, which need not be the ``average`` of its pictures.

    A QuickTime timecode track states it. In other files it is the usual rate nearest to the average (for a drop-frame
    timecode, of the rates that have drop-frame), or the average itself if that rate is more than 10 % away.
    """
    if (rate := _track_rate(path)) is not None:
        return rate
    usual = [rate for rate in USUAL_RATES if ";" not in timecode or _dropped(rate)]
    nearest = min(usual, key=lambda rate: abs(rate - average))
    return nearest if abs(nearest - average) < average / 10 else average


def _track_rate(path: Path) -> Fraction | None:
    """Return the rate of a QuickTime file's timecode track: its sample description has scale, duration, frames."""
    with path.open("rb") as file:
        header = file.read(8)
        while len(header) == 8 and header[4:] != b"moov":
            size = int.from_bytes(header[:4], "big")
            size = int.from_bytes(file.read(8), "big") - 8 if size == 1 else size
            if size < 8 or not header[4:].isalnum():
                return None
            file.seek(size - 8, SEEK_CUR)
            header = file.read(8)
        movie = file.read(min(int.from_bytes(header[:4], "big"), MAX_MOVIE)) if len(header) == 8 else b""
    at = -1
    while (at := movie.find(b"tmcd", at + 1)) >= 0:
        fields = movie[at + 16 : at + 29]  # behind it: reserved, reference, reserved
        if len(fields) < 13 or any(movie[at + 4 : at + 10]):
            continue
        _flags, scale, duration, count = unpack(">IIIB", fields)
        # 'tmcd' also names references, handlers and headers of media, whose numbers are no rate.
        if scale and duration and 0 < count == floor(Fraction(scale, duration) + Fraction(1, 2)):
            return Fraction(scale, duration)
    return None


def convert_timecode(timecode: str, rate: Fraction, new_rate: Fraction) -> str:
    """Return the timecode of the same moment at another frame rate.

    Drop-frame is kept where the new rate has it. Raises ValueError as ``advance_timecode`` does.
    """
    hours, minutes, seconds, frame, base, dropped = _parsed(timecode, rate)
    new_base = _base(new_rate)
    left_out = _dropped(new_rate) if dropped else 0
    frame = frame * new_base // base
    if left_out and minutes % 10 and seconds == 0:
        frame = max(frame, left_out)
    return f"{hours:02}:{minutes:02}:{seconds:02}{_mark(left_out)}{frame:02}"


def _parsed(timecode: str, rate: Fraction) -> tuple[int, int, int, int, int, int]:
    """Return hours below 24, minutes, seconds, frame, the frames counted a second, and the numbers dropped a minute."""
    match = _FORM.fullmatch(timecode)
    if match is None:
        raise ValueError(f"{timecode!r} is not a timecode: write HH:MM:SS:FF, or HH:MM:SS;FF with drop-frame")
    base = _base(rate)
    dropped = _dropped(rate) if match[4] == ";" else 0
    if match[4] == ";" and not dropped:
        raise ValueError(f"{timecode!r} is drop-frame, which {rate} frames a second do not have")
    hours, minutes, seconds, frame = (int(match[i]) for i in (1, 2, 3, 5))
    lacking = dropped and minutes % 10 and seconds == 0 and frame < dropped
    if minutes > 59 or seconds > 59 or frame >= base or lacking:
        raise ValueError(f"there is no timecode {timecode!r} at {rate} frames a second")
    return hours % 24, minutes, seconds, frame, base, dropped


def _base(rate: Fraction) -> int:
    base = floor(rate + Fraction(1, 2))
    if base < 1:
        raise ValueError(f"timecode needs a frame rate, not {rate}")
    return base


def _dropped(rate: Fraction) -> int:
    """Return how many numbers are dropped per minute at this rate; 0 where there is no drop-frame."""
    base = _base(rate)
    # Containers round rates: 2997/100 means 30000/1001.
    is_ntsc = abs(rate - base * Fraction(1000, 1001)) <= Fraction(1, 100)
    return _DROPPED.get(base, 0) if is_ntsc else 0


def _ten_minutes(base: int, dropped: int) -> int:
    return 600 * base - 9 * dropped


def _mark(dropped: int) -> str:
    return ";" if dropped else ":"


def _written(count: int, base: int, dropped: int) -> str:
    a_minute, ten_minutes = 60 * base - dropped, _ten_minutes(base, dropped)
    tens, rest = divmod(count % (144 * ten_minutes), ten_minutes)
    # The first of ten minutes has all its numbers; each that follows begins with those left out.
    number = tens * 600 * base + rest + dropped * max(0, (rest - dropped) // a_minute)
    seconds, frame = divmod(number, base)
    minutes, second = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}{_mark(dropped)}{frame:02}"
