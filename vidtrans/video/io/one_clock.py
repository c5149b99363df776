"""Put all tracks of a file on one clock where recordings were joined, each of which starts its clock again."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import pairwise
from math import ceil
from pathlib import Path
from statistics import median_low
from typing import Any

import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from vidtrans.video.io.container import CLOCKED, QUICKTIME, open_media, open_unedited, packets_of, pictures_of
from vidtrans.video.io.side_tracks import side_tracks, sound_starts_s, starts_s
from vidtrans.video.io.timestamps import continue_timestamps

STORES_DTS = (*CLOCKED, "flv")  # decoding times never go back in these, whatever the order of presentation
JUMP_S = 10  # a longer hole in all tracks of a transport or program stream is another clock (FFmpeg's limit, too)
OUTLIER_S = 1  # a sound packet further ahead than this, with an earlier one behind it, has a wrong time
MAX_DEMUX_ERRORS = 64  # reading ends after more errors in a file
UNEDITED_S = 1  # an edit list that takes back the reordering of frames moves the start by less
EDGE = 16  # packets on either side of a join, whose times say where the parts end and begin


NONE = -(2**63)  # FFmpeg's "no time"


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
