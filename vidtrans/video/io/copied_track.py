"""Tracks of a container for packets copied from a source, also those that PyAV has no way to describe."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import av.error
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from vidtrans.video.io.container import QUICKTIME, open_generated, open_media, packets_of
from vidtrans.video.io.track_header import CODEC_DELAY, PROJECTION, changed_header, video_header, write_header

NOT_HELD = (av.error.FFmpegError, ValueError)
# Decoders need sound before the first sample that is heard: these so much (in s), other lossy ones a packet.
WARM_UP_S = {"opus": Fraction(80, 1000), "mp3": Fraction(120, 1000)}
LOSSLESS = ("pcm", "flac", "alac", "wavpack", "tta")


def add_track(out: OutputContainer, stream: Stream) -> Stream:
    """Add a track for the packets of ``stream``. Raises av.error.FFmpegError or ValueError if ``out`` cannot hold it.

    PyAV refuses for Matroska what FFmpeg writes in Microsoft's wrapping: WMA, ADPCM, µ-law and others.
    """
    try:
        return out.add_stream_from_template(stream, opaque=True)
    except NOT_HELD:
        if out.format.name != "matroska" or not isinstance(stream, AudioStream):
            raise
    track = out.add_mux_stream("pcm_s16le", rate=stream.sample_rate, time_base=stream.time_base)
    bare = av.open(BytesIO(), "w", format="null")  # takes every codec, and drops the tag of the source's container
    BitStreamFilterContext("null", bare.add_stream_from_template(stream, opaque=True), track)
    return track


def is_held(stream: Stream, kind: str) -> bool:
    """Return whether a container (FFmpeg's name for it) can hold the packets of ``stream``, by a trial header."""
    out = av.open(BytesIO(), "w", format=kind)
    try:
        add_track(out, stream)
        out.start_encoding()
        return True
    except NOT_HELD:
        return False
    finally:
        with suppress(*NOT_HELD):  # a file without packets
            out.close()


@dataclass(frozen=True)
class HiddenHead:
    """Sound hidden by an edit list: packets before ``first_pts`` are not needed, the next ``delay_s`` is not heard."""

    first_pts: int
    delay_s: Fraction


def hidden_heads(path: Path) -> Mapping[int, HiddenHead]:
    """Return the hidden start of QuickTime sound tracks, by track number, for containers without edit lists."""
    heads: dict[int, HiddenHead] = {}
    with open_media(path) as container:
        if container.format.name != QUICKTIME:
            return {}
        waiting = {s.index: s for s in container.streams.audio if s.codec_context is not None}
        begins: dict[int, Fraction] = {}
        hidden: dict[int, list[int]] = {index: [] for index in waiting}
        for packet in packets_of(container, list(waiting.values())) if waiting else ():
            index = packet.stream_index
            if index not in waiting or packet.pts is None:
                continue
            base = packet.time_base
            if index not in begins:
                begins[index] = packet.pts + _num_skipped(packet) / (waiting[index].sample_rate * base)
            hidden[index].append(packet.pts)
            if packet.is_discard:
                continue
            begin = begins[index]
            first = _first_needed(waiting.pop(index).codec_context.name, hidden[index], begin, base)
            if packet.pts < begin or len(hidden[index]) > 1:
                heads[index] = HiddenHead(first, max(Fraction(0), (begin - first) * base))
            if not waiting:
                break
    return heads


def _first_needed(codec: str, stamps: Sequence[int], begin: Fraction, base: Fraction) -> int:
    """Return the timestamp of the first packet to copy, early enough for the decoder to warm up before ``begin``.

    ``stamps``: of the packets up to the first audible one. ``begin``: when sound is first heard. Unit: ``base`` s.
    """
    if warm_up_s := next((seconds for name, seconds in WARM_UP_S.items() if name in codec), None):
        return max((pts for pts in stamps if pts <= begin - warm_up_s / base), default=stamps[0])
    return stamps[-1] if codec.startswith(LOSSLESS) else stamps[max(0, len(stamps) - 2)]


def _num_skipped(packet: Packet[Any]) -> Fraction:
    """Return the number of samples that a decoder drops from the start of a packet on."""
    data = bytes(packet.get_sidedata("skip_samples")) if packet.has_sidedata("skip_samples") else bytes(10)
    return Fraction(struct.unpack_from("<I", data)[0])


def add_delayed_track(out: OutputContainer, stream: AudioStream, delay_s: Fraction) -> Stream:
    """Add to a Matroska file a track like ``stream`` whose first ``delay_s`` seconds players skip.

    FFmpeg writes such a delay only where the source's header has it, and PyAV cannot set it: the track is made like
    one of a header in memory.
    """
    header = write_header(lambda container: add_track(container, stream))
    delayed = changed_header(header, {CODEC_DELAY: round(delay_s * 10**9).to_bytes(8)})
    with closing(open_generated(delayed, "matroska")) as template:
        track = add_track(out, template.streams.audio[0])
        track.time_base = stream.time_base
        return track


def add_video_track(out: OutputContainer, stream: VideoStream, stereo: str, projection: bytes) -> VideoStream | None:
    """Add a track for the packets of ``stream`` with a layout of stereo 3D, a projection, or both.

    ``stereo``: Matroska's name for the layout; ``projection``: the content of its element. PyAV cannot set them: the
    track is made like one of a header in memory. None where that does not hold the codec, or, for QuickTime, the depth
    of 32 bits of pictures with alpha.
    """
    own, is_matroska = stream.codec_context, out.format.name in ("matroska", "webm")
    header = video_header(stream, {"stereo_mode": stereo or "mono"})
    if not header or (own.bits_per_coded_sample > 24 and not is_matroska):
        return None
    projected = changed_header(header, {PROJECTION: projection} if projection else {})
    with closing(open_generated(projected, "matroska")) as container:
        track = out.add_stream_from_template(container.streams.video[0], opaque=True)
    # The form of the packets, and the variant of DNxHR.
    track.codec_context.extradata, track.codec_context.profile = own.extradata, own.profile
    return track
