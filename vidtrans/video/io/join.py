"""Encoded segments and what goes along from the source, packet for packet, into one file."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer

from vidtrans.errors import DISK, MediaError
from vidtrans.events import NEVER, Report, Stop, silent
from vidtrans.video.io.codecs import CONTAINERS
from vidtrans.video.io.container import open_generated, open_media
from vidtrans.video.io.stream_copy import StreamCopy, add_tracks, copied_packets, write_tags

LEAST_SCALE, MAX_SCALE = 90_000, 2**31 - 1


@dataclass(frozen=True)
class Timing:
    """Timestamps of the joined video: one PTS and one duration a frame, in ``time_base`` units."""

    pts: Sequence[int]
    durations: Sequence[int]
    time_base: Fraction


def join(
    segments: Sequence[Path],
    timing: Timing,
    output: Path,
    carried: StreamCopy | None = None,
    report: Report = silent,
    stop: Stop = NEVER,
    *,
    tag: str = "",
    kind: str = "",
) -> int:
    """Write ``output`` from encoded ``segments`` and return the number of sound packets copied.

    The packets are copied, never encoded again. A segment's packets get the clip's timestamps by their order
    of presentation. The container is chosen by ``output``'s suffix, unless ``kind`` says otherwise. ``tag``: how
    QuickTime's containers name the codec, where not by FFmpeg's choice. Raises MediaError, and Interrupted when asked
    to stop.
    """
    kind = kind or CONTAINERS[output.suffix.lower().lstrip(".")]
    decode_times = _DecodeTimes(segments, timing)
    with ExitStack() as stack:
        source = stack.enter_context(open_media(carried.source)) if carried else None
        options = _muxing(kind, timing.time_base, source)
        out = stack.enter_context(closing(av.open(f"file:{output}", "w", format=kind, options=options)))
        first = stack.enter_context(closing(open_generated(segments[0])))
        # Opaque: copied, whatever encoder or decoder there is for it.
        video: Any = out.add_stream_from_template(first.streams.video[0], opaque=True)
        if tag and kind in ("mp4", "mov"):
            video.codec_context.codec_tag = tag
        video.time_base = timing.time_base
        if len(set(timing.durations)) == 1:  # else Matroska's readers take the codec's own ticks for frames
            video.codec_context.framerate = 1 / (timing.durations[0] * timing.time_base)
        streams: list[Iterable[tuple[float, int, av.Packet[Any]]]] = [
            _video_packets(segments, timing, decode_times, video)
        ]
        copied = [0]
        if carried and source:
            write_tags(out, video, source, carried, report)
            tracks = add_tracks(out, source, carried, report)
            if tracks:
                streams.append(copied_packets(source, tracks, carried, copied))
        try:
            for _, _, packet in heapq.merge(*streams, key=lambda item: item[:2]):
                out.mux(packet)
                stop.check()
            out.close()  # some muxers find out at the end only
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in DISK:
                # No fault of the container.
                raise OSError(error.errno, error.strerror, error.filename or str(output)) from None
            raise MediaError(
                str(output), f"cannot be written as {kind} ({error})", "try -o with .mkv, it holds every kind of sound"
            ) from None
    return copied[0]


def _muxing(kind: str, time_base: Fraction, source: InputContainer | None) -> dict[str, str]:
    """Options with which every time is kept as it is."""
    options = {"fflags": "+bitexact"}
    if kind not in ("mp4", "mov"):
        # Sound often begins below zero (the encoder's priming); everything would be moved to make up for it.
        return options | {"avoid_negative_ts": "disabled"}
    # The movie's own scale is what start offsets are stored in, by default to the millisecond: one that holds the
    # pictures' times and the sound's.
    scale = time_base.denominator
    fine = lcm(scale, *(a.time_base.denominator for a in source.streams.audio if a.time_base) if source else ())
    fine = fine if fine <= MAX_SCALE else scale
    movie = fine * max(1, LEAST_SCALE // fine)
    return options | {"movflags": "+faststart", "video_track_timescale": str(scale), "movie_timescale": str(movie)}


@dataclass(frozen=True)
class EncodedVideo:
    """What a file of a user's program holds: times of presentation, ascending, in ``time_base``; size; pixel aspect."""

    pts: Sequence[int]
    time_base: Fraction
    size: tuple[int, int]
    sample_aspect_ratio: Fraction


def read_encoded_video(path: Path) -> EncodedVideo:
    """What is in a file with one video."""
    with closing(open_generated(path)) as container:
        stream = container.streams.video[0]
        stamps = sorted(p.pts for p in container.demux(stream) if p.pts is not None)
        context = stream.codec_context
        aspect = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
        return EncodedVideo(stamps, stream.time_base or Fraction(1, 1000), (context.width, context.height), aspect)


def _presentation_order(segment: Path) -> array[int]:
    """For each packet in decoding order, the number of its frame within the segment."""
    with closing(open_generated(segment)) as container:
        stamps = [p.pts for p in container.demux(video=0) if p.pts is not None]
    rank = {pts: i for i, pts in enumerate(sorted(stamps))}
    return array("l", (rank[pts] for pts in stamps))


class _DecodeTimes:
    """(frame number, DTS) for each packet of each segment.

    Encoders guess DTS at a segment's start, and the guesses of two segments can collide where frame times
    vary. So they are set anew: packets are decoded at the presentation times in order, moved back by as many
    frames as any packet is reordered by. That lag begins again in each segment, in the shortest step there is:
    carried over a long hold, it would give the next keyframe the hold's length, and players lose frames.
    """

    def __init__(self, segments: Sequence[Path], timing: Timing) -> None:
        self._orders = [_presentation_order(segment) for segment in segments]
        count = sum(map(len, self._orders))
        if count != len(timing.pts):
            raise MediaError(
                "joining", f"{count} encoded frames for {len(timing.pts)} timestamps", "run again with a clean cache"
            )
        self._timing = timing
        self._delay = max((i - rank for order in self._orders for i, rank in enumerate(order)), default=0)
        self._step = min(timing.durations, default=1) or 1

    def __iter__(self) -> Iterator[Iterator[tuple[int, int]]]:
        """Of one segment after another, the rows of its packets."""
        first = 0
        for order in self._orders:
            yield self._rows(order, first)
            first += len(order)

    def _rows(self, order: array[int], first: int) -> Iterator[tuple[int, int]]:
        pts = self._timing.pts
        for i, rank in enumerate(order):
            at = first + i - self._delay
            yield first + rank, pts[at] if at >= first else pts[first] + (at - first) * self._step


def _video_packets(
    segments: Sequence[Path], timing: Timing, decode_times: _DecodeTimes, stream: Any
) -> Iterator[tuple[float, int, av.Packet[Any]]]:
    for segment, rows in zip(segments, decode_times, strict=True):
        with closing(open_generated(segment)) as container:
            copied_packets = (p for p in container.demux(video=0) if p.pts is not None)
            for packet, (number, dts) in zip(copied_packets, rows, strict=True):
                packet.time_base = timing.time_base
                packet.pts, packet.dts = timing.pts[number], dts
                packet.duration = timing.durations[number]
                packet.stream = stream
                yield float(dts * timing.time_base), 0, packet
