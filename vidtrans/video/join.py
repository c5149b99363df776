"""Encoded segments and the source's sound, packet for packet, into one file."""

from __future__ import annotations

import errno
import heapq
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer, OutputContainer

from vidtrans.errors import MediaError
from vidtrans.events import Note, Report, silent
from vidtrans.video.container import open_media
from vidtrans.video.encoder import CONTAINERS

# These are no fault of the container, and go up as they are.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True)
class Timing:
    """Timestamps of the joined video: one PTS and one duration a frame, in ``time_base`` units."""

    pts: Sequence[int]
    durations: Sequence[int]
    time_base: Fraction


@dataclass(frozen=True)
class Sound:
    """Which sound to copy: packets of ``source`` that overlap [``start_s``, ``end_s``), moved by ``shift_s``."""

    source: Path
    start_s: Fraction | None = None
    end_s: Fraction | None = None
    shift_s: Fraction = Fraction(0)


def join(
    segments: Sequence[Path],
    timing: Timing,
    output: Path,
    sound: Sound | None = None,
    report: Report = silent,
) -> int:
    """Write ``output`` from encoded ``segments`` and return the number of sound packets copied.

    The packets are copied, never encoded again. A segment's packets get the clip's timestamps by their order
    of presentation. The container is chosen by ``output``'s suffix. Raises MediaError.
    """
    decode_times = _decode_times(segments, timing)
    options = {"fflags": "+bitexact"}
    kind = CONTAINERS[output.suffix.lower().lstrip(".")]
    if kind in ("mp4", "mov"):
        scale = str(timing.time_base.denominator)
        # The movie's own scale too: a start offset is stored in it, by default to the millisecond.
        options |= {"movflags": "+faststart", "video_track_timescale": scale, "movie_timescale": scale}
    else:
        # Sound often begins below zero (the encoder's priming); everything would be moved to make up for it.
        options |= {"avoid_negative_ts": "disabled"}
    with ExitStack() as stack:
        out = stack.enter_context(closing(av.open(f"file:{output}", "w", format=kind, options=options)))
        first = stack.enter_context(closing(av.open(f"file:{segments[0]}", format="nut")))
        video: Any = out.add_stream_from_template(first.streams.video[0])
        video.time_base = timing.time_base
        streams: list[Iterable[tuple[float, int, av.Packet]]] = [_video_packets(segments, timing, decode_times, video)]
        source = stack.enter_context(open_media(sound.source)) if sound else None
        copied = [0]
        if sound and source and source.streams.audio:
            tracks = _audio_tracks(out, source, sound, report)
            if tracks:
                streams.append(_sound_packets(source, tracks, sound, copied))
        try:
            for _, _, packet in heapq.merge(*streams, key=lambda item: item[:2]):
                out.mux(packet)
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in DISK_ERRORS:
                raise
            raise MediaError(
                str(output),
                f"cannot be written as {kind} ({error})",
                "try -o with .mkv, it holds every kind of sound",
            ) from None
    return copied[0]


def _presentation_order(segment: Path) -> list[int]:
    """For each packet in decoding order, the number of its frame within the segment."""
    with closing(av.open(f"file:{segment}", format="nut")) as container:
        stamps = [p.pts for p in container.demux(video=0) if p.pts is not None]
    rank = {pts: i for i, pts in enumerate(sorted(stamps))}
    return [rank[pts] for pts in stamps]


def _decode_times(segments: Sequence[Path], timing: Timing) -> list[list[tuple[int, int]]]:
    """(frame number, DTS) for each packet of each segment.

    Encoders guess DTS at a segment's start, and the guesses of two segments can collide where frame times
    vary. So they are set anew: packets are decoded at the presentation times in order, moved back by as many
    frames as any packet is reordered by. That lag begins again in each segment, in the shortest step there is:
    carried over a long hold, it would give the next keyframe the hold's length, and players lose frames.
    """
    order: list[list[int]] = []
    base = 0
    for segment in segments:
        ranks = _presentation_order(segment)
        order.append([base + r for r in ranks])
        base += len(ranks)
    if base != len(timing.pts):
        raise MediaError(
            "joining",
            f"{base} encoded frames for {len(timing.pts)} timestamps",
            "run again with a clean cache",
        )
    flat = [n for part in order for n in part]
    delay = max((i - n for i, n in enumerate(flat)), default=0)
    step = min(timing.durations, default=1) or 1
    result, position = [], 0
    for part in order:
        rows = []
        first = position
        for number in part:
            at = position - delay
            dts = timing.pts[at] if at >= first else timing.pts[first] + (at - first) * step
            rows.append((number, dts))
            position += 1
        result.append(rows)
    return result


def _video_packets(
    segments: Sequence[Path], timing: Timing, decode_times: list[list[tuple[int, int]]], stream: Any
) -> Iterator[tuple[float, int, av.Packet]]:
    for segment, rows in zip(segments, decode_times, strict=True):
        with closing(av.open(f"file:{segment}", format="nut")) as container:
            packets = (p for p in container.demux(video=0) if p.pts is not None)
            for packet, (number, dts) in zip(packets, rows, strict=True):
                packet.time_base = timing.time_base
                packet.pts, packet.dts = timing.pts[number], dts
                packet.duration = timing.durations[number]
                packet.stream = stream
                yield float(dts * timing.time_base), 0, packet


def _audio_tracks(out: OutputContainer, source: InputContainer, sound: Sound, report: Report) -> dict[int, Any]:
    tracks = {}
    for audio in source.streams.audio:
        if audio.codec_context is None:
            report(Note(f"{sound.source.name}: a sound track of unknown codec is left out", "warning"))
            continue
        try:
            track = out.add_stream_from_template(audio)
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaError(
                str(sound.source),
                f"its sound cannot be copied ({error})",
                "convert the sound first, to AAC say",
            ) from None
        if audio.language:
            track.metadata["language"] = audio.language
        tracks[audio.index] = track
    return tracks


def _sound_packets(
    source: InputContainer, tracks: dict[int, Any], sound: Sound, copied: list[int]
) -> Iterator[tuple[float, int, av.Packet]]:
    for packet in source.demux([source.streams[i] for i in tracks]):
        if packet.dts is None or packet.pts is None:
            continue
        base = packet.time_base
        begins, ends = packet.pts * base, (packet.pts + (packet.duration or 0)) * base
        if sound.start_s is not None and ends <= sound.start_s:
            continue
        if sound.end_s is not None and begins >= sound.end_s:
            continue
        shift = round(sound.shift_s / base)
        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
        packet.stream = tracks[packet.stream_index]
        copied[0] += 1
        yield float(packet.dts * base), 1, packet
