"""Join encoded segments with the source's sound, subtitles and tags into one file, without encoding again."""

from __future__ import annotations

import heapq
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from errno import EINVAL
from fractions import Fraction
from itertools import islice
from math import lcm
from operator import itemgetter
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Discard, Disposition, Stream
from av.video.stream import VideoStream

from vidtrans.core.errors import DISK, MediaError
from vidtrans.core.events import NEVER, Note, Report, Stop, silent
from vidtrans.video.io.codecs import CONTAINERS
from vidtrans.video.io.container import open_generated, open_media, packets_of, picture_stream
from vidtrans.video.io.copied_track import add_video_track
from vidtrans.video.io.stream_copy import (
    QUICKTIME_KINDS,
    StreamCopy,
    add_tracks,
    copied_packets,
    has_named_tags,
    write_tags,
)
from vidtrans.video.io.track_header import HEADER_BYTES, read_track_side_data, set_pixel_aspect
from vidtrans.video.side_data import STEREO_WORDS, holds_projection, holds_stereo

# Cover art by its codec: the ending of its name, and the type that Matroska asks for.
COVERS = {"mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png")}
IN_MATROSKA = ("attachment", "cover art", "second titles")
FIRST = float("-inf")  # cover art comes before everything else


def add_other_tracks(
    out: OutputContainer, source: InputContainer, path: Path, report: Report, left_out: Sequence[str] = ()
) -> Iterator[tuple[float, Packet[Any]]]:
    """Add attachments and cover art to ``out``, and report what is left out; return (time in s, packet) of covers.

    ``left_out``: properties of the pictures that ``out`` has no room for.
    """
    kind = out.format.name
    left = Counter(left_out)
    pictures = picture_stream(source, path)
    packets = []
    covers = _covers(source, path)
    for stream in source.streams:
        cover = covers.get(stream.index)
        codec = stream.codec_context.name if stream.codec_context else ""
        if isinstance(stream, AttachmentStream) and kind == "matroska":
            out.add_attachment(stream.name or "attachment", stream.mimetype or "application/octet-stream", stream.data)
        elif cover is not None and codec in COVERS and kind == "matroska":
            ending, mimetype = COVERS[codec]
            out.add_attachment(stream.metadata.get("filename", f"cover.{ending}"), mimetype, bytes(cover))
        elif cover is not None and codec in COVERS and kind == "mp4":
            packets.append((FIRST, cover))
            cover.stream = out.add_stream_from_template(stream, opaque=True)
            cover.stream.disposition = Disposition.attached_pic
        elif what := _left_out(stream, pictures, is_cover=stream.index in covers):
            left[what] += 1
    titles = [[key for key in chapter["metadata"] if "title" in key.lower()] for chapter in source.chapters()]
    if kind != "matroska" and any(len(keys) > 1 for keys in titles):
        left["second titles of chapters"] = 1
    if left:
        parts = ", ".join(what if count == 1 else f"{count} × {what}" for what, count in left.items())
        others = any(what.startswith(IN_MATROSKA) for what in left) and kind != "matroska"
        report(Note(f"{path.name}: left out of {kind}: {parts}{' (.mkv has room)' if others else ''}", "warning"))
    return iter(packets)


def _left_out(stream: Stream, pictures: Stream, *, is_cover: bool) -> str:
    """Return the name of a track that the result lacks; '' for one that is copied, or whose content is written."""
    if is_cover:
        return "cover art"
    if isinstance(stream, AttachmentStream):
        return f"attachment ({stream.name})"
    if stream.type == "video":
        return f"video track {stream.index}" if stream.index != pictures.index else ""
    is_written = stream.discard == Discard.all or "timecode" in stream.metadata  # chapters and timecode
    if stream.type in ("audio", "subtitle") or is_written:
        return ""
    name = stream.metadata.get("handler_name") or getattr(stream, "name", None) or "unknown"
    return f"data track ({name.strip()})"


def _covers(source: InputContainer, path: Path) -> dict[int, Packet[Any]]:
    """Return the packet of each cover picture, by the number of its track."""
    wanted = [s.index for s in source.streams.video if s.disposition & Disposition.attached_pic]
    if not wanted:
        return {}
    with open_media(path) as container:  # reading it here would take packets from those who read ``source``
        first = islice(packets_of(container, [container.streams[index] for index in wanted]), len(wanted))
        return {packet.stream_index: packet for packet in first}


MATROSKA = ("matroska", "webm")
SQUARE = Fraction(1)
LEAST_SCALE, MAX_SCALE = 90_000, 2**31 - 1


@dataclass(frozen=True)
class Timing:
    """The timestamps of the joined video: one PTS and one duration per frame, in ``time_base`` units.

    ``nominal``: the constant rate that the times are rounded from; None where they are not rounded, or the rate varies.
    """

    pts: Sequence[int]
    durations: Sequence[int]
    time_base: Fraction
    nominal: Fraction | None = None

    @property
    def is_constant(self) -> bool:
        """Whether all frames are shown equally long."""
        return len(set(self.durations)) == 1

    @property
    def rate(self) -> Fraction:
        """The frames per second: the constant rate, or the average."""
        return self.nominal or (len(self.durations) / (sum(self.durations) * self.time_base)).limit_denominator(1001)


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
    aspect: Fraction = SQUARE,
) -> int:
    """Write ``output`` from encoded ``segments`` and return the number of copied sound packets.

    Packets are copied, never encoded again. The packets of a segment get the clip's timestamps in order of
    presentation. ``carried``: the source and the part of its sound and other tracks to copy. The container is chosen by
    ``output``'s suffix, unless ``kind`` (FFmpeg's name) is given. ``tag``: the codec's name in QuickTime containers, if
    not FFmpeg's default. ``aspect``: the width of a pixel over its height, which few codecs store. Raises MediaError,
    and Interrupted when a stop is requested.
    """
    kind = kind or CONTAINERS[output.suffix.lower().lstrip(".")]
    orders = _presentation_orders(segments, timing)
    num_sound = 0
    with ExitStack() as stack:
        source = stack.enter_context(open_media(carried.source)) if carried else None
        options = _muxing_options(kind, timing.time_base, source)
        if kind == "mp4" and carried and (carried.stereo or carried.projection):
            options["strict"] = "unofficial"  # else FFmpeg does not write them into MP4
        out = stack.enter_context(closing(av.open(f"file:{output}", "w", format=kind, options=options)))
        first = stack.enter_context(closing(open_generated(segments[0])))
        video, left_out = _add_video(out, first, timing, tag, carried, source)
        if aspect != SQUARE:
            video.codec_context.sample_aspect_ratio = aspect
        packets = [_video_packets(segments, orders, timing, video)]
        if carried and source:
            write_tags(out, video, source, carried, report)
            packets.append(copied_packets(source, add_tracks(out, source, carried, report), carried, report))
            if not carried.only_sound:
                packets.append(add_other_tracks(out, source, carried.source, report, left_out))
        what, now_s = "pictures", 0.0
        try:
            for at_s, packet in heapq.merge(*packets, key=itemgetter(0)):  # of equal times the pictures come first
                now_s, what = at_s, {"audio": "sound", "subtitle": "subtitles"}.get(packet.stream.type, "pictures")
                num_sound += what == "sound"
                out.mux(packet)
                stop.check()
            what = "tracks"
            out.close()  # some muxers fail at the end only
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in DISK:
                raise OSError(error.errno, error.strerror, error.filename or str(output)) from None
            why = f"its {what} cannot be written as {kind} from {now_s:.3f} s on"
            if isinstance(error, OSError) and error.errno != EINVAL:  # which only says that something is wrong
                why += f" ({error.strerror})"
            may_omit = what == "sound" and carried is not None and carried.may_omit
            other = "use another --codec" if kind == "matroska" else "use -o with .mkv"
            remedy = "leave it out with --set encoding.sound=none" if may_omit else other
            raise MediaError(str(carried.source if carried else output), why, remedy) from None
    _correct_header(output, kind, carried, aspect)
    return num_sound


def _correct_header(output: Path, kind: str, carried: StreamCopy | None, aspect: Fraction) -> None:
    """Change what FFmpeg's muxers write otherwise: the layout of stereo in MP4, the shape of pixels in Matroska."""
    if kind == "mp4" and carried and carried.stereo:
        _hide_apples_stereo(output)
    if kind in MATROSKA and aspect != SQUARE and not _has_aspect(output, aspect):
        set_pixel_aspect(output, aspect)


def _add_video(
    out: OutputContainer,
    first: InputContainer,
    timing: Timing,
    tag: str,
    carried: StreamCopy | None,
    source: InputContainer | None,
) -> tuple[VideoStream, list[str]]:
    """Add a video track like the first segment's, with the source's stereo layout and projection.

    Packets are copied to it, so it needs no encoder or decoder. Returns the track and names what it cannot hold.
    """
    encoded, kind, left_out = first.streams.video[0], out.format.name, []
    stereo, projection, track = "", b"", None
    if carried and source and not carried.only_sound:
        if carried.stereo and holds_stereo(kind, carried.stereo):
            stereo = carried.stereo
        if carried.projection and holds_projection(kind, carried.projection):
            projection = read_track_side_data(picture_stream(source, carried.source)).projection
        if stereo or projection:
            track = add_video_track(out, encoded, stereo, projection)
        if carried.stereo and not (track and stereo):
            left_out.append(f"stereo 3D (views {STEREO_WORDS[carried.stereo]})")
        if carried.projection and not (track and projection):
            left_out.append(f"spherical projection ({carried.projection})")
    video = track or out.add_stream_from_template(encoded, opaque=True)
    if tag and kind in QUICKTIME_KINDS:
        video.codec_context.codec_tag = tag
    video.time_base = timing.time_base
    if timing.is_constant or kind in MATROSKA:  # without it Matroska's readers take the codec's own ticks for frames
        video.codec_context.framerate = timing.rate
    return video, left_out


def _hide_apples_stereo(path: Path) -> None:
    """Rename the box "vexu" of an MP4 to "free": FFmpeg writes it without a layout, and readers believe it first."""
    with path.open("r+b") as file:
        header = file.read(HEADER_BYTES)
        if (at := header.find(b"vexu", header.find(b"stsd"))) > 0:
            file.seek(at)
            file.write(b"free")


def _muxing_options(kind: str, time_base: Fraction, source: InputContainer | None) -> dict[str, str]:
    """Return muxer options that leave all timestamps unchanged, and let all of the source's tags be written."""
    options = {"fflags": "+bitexact"}
    if kind not in QUICKTIME_KINDS:
        # Sound often begins below zero (the encoder's priming); everything would be moved to make up for it.
        return options | {"avoid_negative_ts": "disabled"}
    # The movie's own scale is what start offsets are stored in, by default to the millisecond: one that holds the
    # pictures' times and the sound's.
    scale = time_base.denominator
    fine = lcm(scale, *(a.time_base.denominator for a in source.streams.audio if a.time_base) if source else ())
    fine = fine if fine <= MAX_SCALE else scale
    movie = fine * max(1, LEAST_SCALE // fine)
    flags = "+faststart+use_metadata_tags" if source and has_named_tags(source) else "+faststart"
    scales = {"video_track_timescale": str(scale), "movie_timescale": str(movie)}
    return options | scales | {"movflags": flags}


@dataclass(frozen=True)
class EncodedVideo:
    """The ascending presentation times, in ``time_base`` units, and the size and pixel aspect of an encoded video."""

    pts: Sequence[int]
    time_base: Fraction
    size: tuple[int, int]
    sample_aspect_ratio: Fraction


def read_encoded_video(path: Path) -> EncodedVideo:
    """Read the times, size and pixel aspect of a file with one video stream."""
    with closing(open_generated(path)) as container:
        stream = container.streams.video[0]
        stamps = sorted(p.pts for p in container.demux(stream) if p.pts is not None)
        context = stream.codec_context
        base = stream.time_base or Fraction(1, 1000)
        return EncodedVideo(stamps, base, (context.width, context.height), _aspect_of(stream))


def _aspect_of(stream: VideoStream) -> Fraction:
    """Return the width of a pixel over its height; 1 without one."""
    return Fraction(stream.sample_aspect_ratio or 1) or SQUARE


def _has_aspect(path: Path, aspect: Fraction) -> bool:
    """Return whether a video's header, or its codec's, states this pixel aspect."""
    with closing(open_generated(path)) as container:
        return _aspect_of(container.streams.video[0]) == aspect


def _presentation_orders(segments: Sequence[Path], timing: Timing) -> list[array[int]]:
    """Return for each segment the frame numbers of its packets, in decoding order. Raises MediaError.

    All segments must have the same header, as the result has one; another driver of a GPU may write another header.
    """
    orders = []
    headers = set()
    for segment in segments:
        with closing(open_generated(segment)) as container:
            context = container.streams.video[0].codec_context
            headers.add(context.extradata if context else None)
            stamps = [p.pts for p in container.demux(video=0) if p.pts is not None]
        rank = {pts: i for i, pts in enumerate(sorted(stamps))}
        orders.append(array("l", (rank[pts] for pts in stamps)))
    if len(headers) > 1:
        raise MediaError("joining", "the chunks come from different encoders", "run 'vidtrans cache clean'")
    count = sum(map(len, orders))
    if count != len(timing.pts):
        raise MediaError(
            "joining", f"{count} encoded frames for {len(timing.pts)} timestamps", "run 'vidtrans cache clean'"
        )
    return orders


def _video_packets(
    segments: Sequence[Path], orders: Sequence[array[int]], timing: Timing, stream: VideoStream
) -> Iterator[tuple[float, Packet[Any]]]:
    """Yield (decoding time in s, packet) with the clip's times.

    Encoders guess DTS at a segment's start, and the guesses of two segments can collide where frame durations
    vary. They are therefore replaced: packets are decoded at the presentation times in order, moved back by the
    largest reordering of any packet, in frames. Each segment starts with this delay again, in the shortest frame step:
    with a long frame's duration, the next keyframe would get that duration, and players would drop frames. In QuickTime
    containers the last packet's duration makes the decoding times span the clip, as readers take their span for the
    track's length, and divide by it for the rate; the last packet decoded may not be the last frame presented.
    """
    pts, base = timing.pts, timing.time_base
    spans = stream.container.format.name in QUICKTIME_KINDS
    delay = max((i - rank for order in orders for i, rank in enumerate(order)), default=0)
    step = 1 / (timing.nominal * base) if timing.nominal else min(timing.durations, default=1) or 1
    first = 0
    for segment, order in zip(segments, orders, strict=True):
        with closing(open_generated(segment)) as container:
            packets = (p for p in container.demux(video=0) if p.pts is not None)
            for i, (packet, rank) in enumerate(zip(packets, order, strict=True)):
                packet.time_base = base
                packet.pts = pts[first + rank]
                packet.dts = pts[first + i - delay] if i >= delay else pts[first] + round((i - delay) * step)
                packet.duration = timing.durations[first + rank]
                if spans and first + i == len(pts) - 1:
                    packet.duration = max(1, pts[-1] + timing.durations[-1] - round(delay * step) - packet.dts)
                packet.stream = stream
                yield float(packet.dts * base), packet
        first += len(order)
