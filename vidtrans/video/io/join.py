"""Join encoded segments with the source's sound, subtitles, chapters, timecode and tags, without encoding again."""

from __future__ import annotations

import heapq
import struct
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from errno import EINVAL
from fractions import Fraction
from io import BytesIO
from itertools import islice
from math import lcm
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Discard, Disposition, Stream
from av.video.stream import VideoStream

from vidtrans.core.costs import count
from vidtrans.core.errors import DISK_REMEDIES, MediaError, UsageError
from vidtrans.core.events import NEVER_STOP, Note, Report, Stop, ignore_event
from vidtrans.video.io.container import (
    QUICKTIME,
    describe_unused_tracks,
    find_picture_stream,
    open_generated,
    open_media,
    packets_of,
    picture_stream,
    side_tracks,
    timecode_of,
)
from vidtrans.video.io.encoding import CONTAINERS
from vidtrans.video.io.timestamps import ClockFilter, advance_timecode, convert_timecode, counted_rate, readable_packets
from vidtrans.video.side_data import (
    CODEC_DELAY,
    HEADER_BYTES,
    PROJECTION,
    STEREO_TEXTS,
    can_hold_projection,
    can_hold_stereo,
    read_track_side_data,
    replace_elements,
    set_pixel_aspect,
    video_header,
    write_header,
)

if TYPE_CHECKING:
    from av.container.core import Chapter

QUICKTIME_CONTAINERS = ("mp4", "mov")  # FFmpeg's names of the QuickTime containers, which have edit lists
# Tags that describe the source file and not its content, so they are not copied.
FILE_TAGS = {"timecode", "encoder", "major_brand", "minor_version", "compatible_brands", "duration"}
TRACK_TAGS = ("language", "title", "handler_name")  # Names of the tags of a track that are copied
VENDOR_TAG_PREFIX = "com."  # Prefix of the tags of cameras and editing programs, as in com.apple.quicktime.model
# The usual tags of QuickTime files and MP4, by FFmpeg's names.
QUICKTIME_TAGS = ("title", "artist", "album", "comment", "description", "copyright", "keywords", "genre")
# Errors that PyAV raises if a container cannot hold a track or a packet.
MUXING_ERRORS = (av.error.FFmpegError, ValueError)
# Seconds of sound that a decoder needs before the first audible sample, by codec; other lossy codecs need one packet.
WARM_UP_S = {"opus": Fraction(80, 1000), "mp3": Fraction(120, 1000)}
LOSSLESS = ("pcm", "flac", "alac", "wavpack", "tta")  # Prefixes of the names of lossless sound codecs
# File ending and MIME type of cover art by codec; Matroska requires the MIME type.
COVER_TYPES = {"mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png")}
# Prefixes of texts that name content which only Matroska can hold.
MATROSKA_ONLY = ("attachment", "cover art", "second titles")
COVER_TIME_S = float("-inf")  # Decoding time of cover art in seconds: before all other packets
MATROSKA_CONTAINERS = ("matroska", "webm")  # FFmpeg's names of the Matroska containers
SQUARE_PIXELS = Fraction(1)  # Pixel aspect (width over height) of square pixels
MIN_TIMESCALE, MAX_TIMESCALE = 90_000, 2**31 - 1  # Limits of a QuickTime movie's timescale, in ticks per second


@dataclass(frozen=True)
class StreamCopy:
    """The tracks to copy from the file ``source``: packets in [``start_s``, ``end_s``), shifted by ``shift_s`` seconds.

    ``before_s``: seconds of source pictures before the first one that is used, by which the timecode is advanced.
    ``rate``: the average frame rate of the source; ``new_rate``: that of the result, if different. ``stereo`` and
    ``projection``: of its pictures, as in ``Findings``. ``only_sound``: copy nothing but sound. ``may_omit``: the
    command has the setting ``encoding.sound``, which leaves the sound out.
    """

    source: Path
    start_s: Fraction | None = None
    end_s: Fraction | None = None
    shift_s: Fraction = Fraction(0)
    before_s: Fraction = Fraction(0)
    rate: Fraction = Fraction(25)
    new_rate: Fraction | None = None
    stereo: str = ""
    projection: str = ""
    sound: bool = True
    only_sound: bool = False
    may_omit: bool = True


@dataclass(frozen=True)
class CopiedTrack:
    """A ``track`` of the result for copied packets. Source packets before ``first_pts`` are left out; None: none is."""

    track: Any
    first_pts: int | None = None


def add_tracks(
    out: OutputContainer, source: InputContainer, stream_copy: StreamCopy, report: Report
) -> dict[int, CopiedTrack]:
    """Add a track to ``out`` for each source track that it can hold; return the tracks by number in the source.

    Other tracks are reported as left out. Sound that belongs to the pictures is never left out: raises UsageError where
    ``out`` cannot hold it.
    """
    tracks: dict[int, CopiedTrack] = {}
    name = stream_copy.source.name
    needs_starts = stream_copy.sound and out.format.name not in QUICKTIME_CONTAINERS
    starts = hidden_starts(stream_copy.source) if needs_starts else {}
    pictures = find_picture_stream(source, stream_copy.source)
    if stream_copy.sound and (unused := describe_unused_tracks(source, pictures)):
        report(Note(f"{name}: left out: {', '.join(unused)}", "warning"))
    for stream in side_tracks(source, pictures):
        if not (stream_copy.sound if stream.type == "audio" else not stream_copy.only_sound):
            continue
        kind = "sound track" if stream.type == "audio" else "subtitle track"
        if stream.codec_context is None:
            report(Note(f"{name}: a {kind} of unknown codec is left out", "warning"))
            continue
        codec = stream.codec_context.name
        container = out.format.name
        if not can_hold(container, stream):
            if isinstance(stream, AudioStream):
                why = f"its sound ({codec}) cannot be kept in {container}"
                raise UsageError(str(stream_copy.source), why, _remedy(stream, stream_copy.may_omit))
            report(Note(f"{name}: a {kind} ({codec}) is left out, {container} cannot hold it", "warning"))
            continue
        start = starts.get(stream.index)
        if start is None or not start.delay_s or stream_copy.start_s is not None or not isinstance(stream, AudioStream):
            track = add_track(out, stream)
        else:
            track = add_delayed_track(out, stream, start.delay_s)
        track.metadata.update(track_tags(stream))
        with suppress(AttributeError, ValueError):
            track.disposition = stream.disposition
        tracks[stream.index] = CopiedTrack(track, start.first_pts if start else None)
    return tracks


def _remedy(stream: AudioStream, may_omit: bool) -> str:
    """Return the remedies, as text for a message, if a container cannot hold the sound of ``stream``.

    ``may_omit``: the command has the setting ``encoding.sound``, which leaves the sound out.
    """
    others = [f".{ending}" for ending, container in CONTAINERS.items() if can_hold(container, stream)]
    remedy = f"use -o with {' or '.join(others)}" if others else "convert its sound first, for example to FLAC"
    return f"{remedy}, or --set encoding.sound=none" if may_omit else remedy


def check_sound(source: Path, container: str, *, may_omit: bool = True) -> None:
    """Raise UsageError if a container, by FFmpeg's name, cannot hold the source's sound. Nothing is written.

    ``may_omit``: as in ``StreamCopy``.
    """
    with open_media(source) as media, closing(av.open(BytesIO(), "w", format=container)) as out:
        add_tracks(out, media, StreamCopy(source, may_omit=may_omit), ignore_event)


def copied_packets(
    source: InputContainer, tracks: dict[int, CopiedTrack], stream_copy: StreamCopy, report: Report
) -> Iterator[tuple[float, Packet[Any]]]:
    """Yield (decoding time in s, packet) for the source packets in the copied range, with the times of the result.

    Their times are on the clock of the frames (``ClockFilter``). Packets before the first audible one, which the
    source's edit list hides, are copied: the result's edit list hides them too. Raises MediaError for unreadable ones.
    """
    audible: set[int] = set()
    for packet in _read_packets(source, tracks, stream_copy, report):
        if packet.dts is None or packet.pts is None:
            continue
        base = packet.time_base
        copied = tracks[packet.stream_index]
        if _is_hidden(packet, copied, audible):
            continue
        begins, ends = packet.pts * base, (packet.pts + (packet.duration or 0)) * base
        if stream_copy.start_s is not None and ends <= stream_copy.start_s:
            continue
        if stream_copy.end_s is not None and begins >= stream_copy.end_s:
            continue
        shift = round(stream_copy.shift_s / base)
        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
        if packet.stream.type != "audio":
            if stream_copy.end_s is not None and ends > stream_copy.end_s:
                packet.duration = max(1, int((stream_copy.end_s - begins) / base))  # Subtitles end with the pictures
            if packet.pts < 0:  # A subtitle that starts before the first picture is shown from 0 s
                packet.duration = max(1, (packet.duration or 0) + packet.pts)
                packet.pts = packet.dts = 0
        at_s = float(packet.dts * base)
        if packet.has_sidedata("new_extradata"):  # Joined recordings repeat it, and FFmpeg would write a second header
            packet = _without_side_data(packet)
        packet.stream = copied.track
        yield at_s, packet


def _read_packets(
    source: InputContainer, tracks: dict[int, CopiedTrack], stream_copy: StreamCopy, report: Report
) -> Iterator[Packet[Any]]:
    """Yield the packets of the copied tracks, with restarted clocks repaired. Raises MediaError.

    The picture track is read too, because it also determines the clock.
    """
    pictures, at_s = find_picture_stream(source, stream_copy.source) if tracks else None, 0.0
    clock = ClockFilter(stream_copy.source)
    streams = [source.streams[index] for index in tracks] + ([pictures] if pictures else [])
    try:
        for packet in readable_packets(source, streams) if tracks else ():
            if clock(packet).stream_index in tracks:
                at_s = at_s if packet.pts is None else float(packet.pts * packet.time_base)
                yield packet
    except (av.error.FFmpegError, OSError) as error:
        why = f"its sound cannot be read beyond {at_s:.3f} s ({getattr(error, 'strerror', None) or error})"
        remedy = "leave it out with --set encoding.sound=none" if stream_copy.may_omit else "convert it first"
        raise MediaError(str(stream_copy.source), why, remedy) from None
    if clock.repair.num_rebuilt:
        packets = count(clock.repair.num_rebuilt, "sound packet")
        report(Note(f"{stream_copy.source.name}: {packets} had no time, or a wrong one: continued from the others"))


def _without_side_data(packet: Packet[Any]) -> Packet[Any]:
    """Return a copy of a packet without its side data, which PyAV cannot remove."""
    bare: Packet[Any] = Packet(bytes(packet))
    bare.pts, bare.dts, bare.duration = packet.pts, packet.dts, packet.duration
    bare.time_base, bare.is_keyframe = packet.time_base, packet.is_keyframe
    return bare


def _is_hidden(packet: Packet[Any], copied: CopiedTrack, audible: set[int]) -> bool:
    """Return whether a packet is left out, because an edit list hides it and no decoder needs it.

    ``audible``: the numbers of the tracks that have had an audible packet; the track of an audible ``packet`` is added.
    """
    if not packet.is_discard:
        audible.add(packet.stream_index)
    before = copied.first_pts is not None and packet.pts is not None and packet.pts < copied.first_pts
    return before or (packet.is_discard and (packet.stream_index in audible or packet.stream.type != "audio"))


def write_tags(
    out: OutputContainer, video: VideoStream, source: InputContainer, stream_copy: StreamCopy, report: Report
) -> None:
    """Write the source's tags, chapters and timecode to ``out``; call it before the first packet is written."""
    if stream_copy.only_sound:
        return
    tags = {key: value for key, value in source.metadata.items() if key.lower() not in FILE_TAGS}
    if out.format.name in QUICKTIME_CONTAINERS and has_vendor_tags(source):
        tags = quicktime_tags(tags)
    out.metadata.update(tags)
    if (pictures := find_picture_stream(source, stream_copy.source)) is not None:
        video.metadata.update(track_tags(pictures))
    video.disposition = Disposition.default  # Even if it was not the source's default track
    if timecode := timecode_of(source):
        try:
            rate = counted_rate(timecode, stream_copy.source, stream_copy.rate)
            timecode = advance_timecode(timecode, round(stream_copy.before_s * rate), rate)
            if stream_copy.new_rate:
                timecode = convert_timecode(timecode, rate, stream_copy.new_rate)
            video.metadata["timecode"] = timecode
            if out.format.name in QUICKTIME_CONTAINERS:  # The timecode track needs the rate at which it counts
                video.codec_context.framerate = stream_copy.new_rate or rate
        except ValueError as error:
            report(Note(f"{stream_copy.source.name}: its timecode is left out ({error})", "warning"))
    chapters = (_chapter_in_result(chapter, stream_copy) for chapter in source.chapters())
    out.set_chapters([chapter for chapter in chapters if chapter])


def track_tags(stream: Stream) -> dict[str, str]:
    """Return the tags of a track that are copied, without control characters of QuickTime's Pascal strings."""
    tags = {key.lower(): "".join(filter(str.isprintable, value)) for key, value in stream.metadata.items()}
    tags.setdefault("title", tags.get("name", ""))  # FFmpeg's name for it in QuickTime files
    return {key: tags[key] for key in TRACK_TAGS if tags.get(key)}


def has_vendor_tags(source: InputContainer) -> bool:
    """Return whether a file has tags like com.apple.quicktime.model, which are not among MP4's usual tags."""
    return any(key.lower().startswith(VENDOR_TAG_PREFIX) for key in source.metadata)


def quicktime_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags under the names that they have in a QuickTime file with tags of cameras or editing programs.

    Matroska writes them in capitals. Players read Apple's names of the common tags, FFmpeg reads its own.
    """
    lower = {(k.lower().replace("iso6709", "ISO6709") if k.isupper() else k): value for k, value in tags.items()}
    common = {f"com.apple.quicktime.{key}": lower[key] for key in QUICKTIME_TAGS if key in lower}
    return {**common, **lower}


def _chapter_in_result(chapter: Chapter, stream_copy: StreamCopy) -> Chapter | None:
    """Return a chapter at its time in the result; None if it lies outside the copied range."""
    base = Fraction(chapter["time_base"] or 1)
    begins, ends = chapter["start"] * base, chapter["end"] * base
    first = begins if stream_copy.start_s is None else max(begins, stream_copy.start_s)
    last = ends if stream_copy.end_s is None else min(ends, stream_copy.end_s)
    if first >= last:
        return None
    start, end = (max(0, round((t + stream_copy.shift_s) / base)) for t in (first, last))
    return {**chapter, "start": start, "end": max(end, start + 1)}


def add_track(out: OutputContainer, stream: Stream) -> Stream:
    """Add a track for the packets of ``stream``. Raises av.error.FFmpegError or ValueError if ``out`` cannot hold it.

    PyAV refuses for Matroska what FFmpeg writes in Microsoft's wrapping: WMA, ADPCM, µ-law and others.
    """
    try:
        return out.add_stream_from_template(stream, opaque=True)
    except MUXING_ERRORS:
        if out.format.name != "matroska" or not isinstance(stream, AudioStream):
            raise
    track = out.add_mux_stream("pcm_s16le", rate=stream.sample_rate, time_base=stream.time_base)
    null = av.open(BytesIO(), "w", format="null")  # Accepts every codec, and drops its tag
    BitStreamFilterContext("null", null.add_stream_from_template(stream, opaque=True), track)
    return track


def can_hold(container: str, stream: Stream) -> bool:
    """Return whether a container, by FFmpeg's name, can hold the packets of ``stream``: write a header to test it."""
    out = av.open(BytesIO(), "w", format=container)
    try:
        add_track(out, stream)
        out.start_encoding()
        return True
    except MUXING_ERRORS:
        return False
    finally:
        with suppress(*MUXING_ERRORS):  # Closing fails, because the file has no packets
            out.close()


@dataclass(frozen=True)
class HiddenStart:
    """The beginning of a sound track that players skip, because an edit list hides it.

    Packets before ``first_pts`` are not needed; after it, players skip ``delay_s`` seconds.
    """

    first_pts: int
    delay_s: Fraction


def hidden_starts(path: Path) -> Mapping[int, HiddenStart]:
    """Return the hidden starts of QuickTime sound tracks, by track number, for containers without edit lists."""
    starts: dict[int, HiddenStart] = {}
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
                begins[index] = packet.pts + _num_skipped_samples(packet) / (waiting[index].sample_rate * base)
            hidden[index].append(packet.pts)
            if packet.is_discard:
                continue
            begin = begins[index]
            first = _first_needed_pts(waiting.pop(index).codec_context.name, hidden[index], begin, base)
            if packet.pts < begin or len(hidden[index]) > 1:
                starts[index] = HiddenStart(first, max(Fraction(0), (begin - first) * base))
            if not waiting:
                break
    return starts


def _first_needed_pts(codec: str, stamps: Sequence[int], begin: Fraction, base: Fraction) -> int:
    """Return the pts of the first packet to copy, early enough for the decoder to warm up before ``begin``.

    ``stamps``: pts of the packets up to the first audible one. ``begin``: the time from which the sound is audible. All
    times are in units of ``base`` seconds.
    """
    if warm_up_s := next((seconds for name, seconds in WARM_UP_S.items() if name in codec), None):
        return max((pts for pts in stamps if pts <= begin - warm_up_s / base), default=stamps[0])
    return stamps[-1] if codec.startswith(LOSSLESS) else stamps[max(0, len(stamps) - 2)]


def _num_skipped_samples(packet: Packet[Any]) -> Fraction:
    """Return the number of samples that a decoder drops at the start of a packet."""
    data = bytes(packet.get_sidedata("skip_samples")) if packet.has_sidedata("skip_samples") else bytes(10)
    return Fraction(struct.unpack_from("<I", data)[0])


def add_delayed_track(out: OutputContainer, stream: AudioStream, delay_s: Fraction) -> Stream:
    """Add a track like ``stream`` to a Matroska file; players skip its first ``delay_s`` seconds.

    FFmpeg writes such a delay only if the source's header has it, and PyAV cannot set it: the track is therefore a copy
    of one in a Matroska header in memory.
    """
    header = write_header(lambda container: add_track(container, stream))
    with_delay = replace_elements(header, {CODEC_DELAY: round(delay_s * 10**9).to_bytes(8)})
    with closing(open_generated(with_delay, "matroska")) as template:
        track = add_track(out, template.streams.audio[0])
        track.time_base = stream.time_base
        return track


def add_video_track(out: OutputContainer, stream: VideoStream, stereo: str, projection: bytes) -> VideoStream | None:
    """Add a track for the packets of ``stream`` with a stereo 3D layout, a projection, or both.

    ``stereo``: Matroska's name for the layout; ``projection``: the content of its element. PyAV cannot set them: the
    track is therefore a copy of one in a Matroska header in memory. None where Matroska cannot hold the codec, or, for
    QuickTime, where pictures with alpha have 32 bits.
    """
    codec, is_matroska = stream.codec_context, out.format.name in MATROSKA_CONTAINERS
    header = video_header(stream, {"stereo_mode": stereo or "mono"})
    if not header or (codec.bits_per_coded_sample > 24 and not is_matroska):
        return None
    with_projection = replace_elements(header, {PROJECTION: projection} if projection else {})
    with closing(open_generated(with_projection, "matroska")) as template:
        track = out.add_stream_from_template(template.streams.video[0], opaque=True)
    # A Matroska header lacks the form of the packets (extradata) and the variant of DNxHR (profile).
    track.codec_context.extradata, track.codec_context.profile = codec.extradata, codec.profile
    return track


def add_other_tracks(
    out: OutputContainer, source: InputContainer, path: Path, report: Report, lost_properties: Sequence[str] = ()
) -> Iterator[tuple[float, Packet[Any]]]:
    """Add the source's attachments and cover art to ``out``, and report other content as left out.

    Return (decoding time in s, packet) for each cover picture. ``path``: of the source. ``lost_properties``: texts on
    properties of the pictures that ``out`` cannot hold.
    """
    container = out.format.name
    left_out = Counter(lost_properties)
    pictures = picture_stream(source, path)
    packets = []
    covers = _cover_packets(source, path)
    for stream in source.streams:
        cover = covers.get(stream.index)
        codec = stream.codec_context.name if stream.codec_context else ""
        if isinstance(stream, AttachmentStream) and container == "matroska":
            out.add_attachment(stream.name or "attachment", stream.mimetype or "application/octet-stream", stream.data)
        elif cover is not None and codec in COVER_TYPES and container == "matroska":
            ending, mimetype = COVER_TYPES[codec]
            out.add_attachment(stream.metadata.get("filename", f"cover.{ending}"), mimetype, bytes(cover))
        elif cover is not None and codec in COVER_TYPES and container == "mp4":
            packets.append((COVER_TIME_S, cover))
            cover.stream = out.add_stream_from_template(stream, opaque=True)
            cover.stream.disposition = Disposition.attached_pic
        elif text := _uncopied_content(stream, pictures, is_cover=stream.index in covers):
            left_out[text] += 1
    titles = [[key for key in chapter["metadata"] if "title" in key.lower()] for chapter in source.chapters()]
    if container != "matroska" and any(len(keys) > 1 for keys in titles):
        left_out["second titles of chapters"] = 1
    if left_out:
        items = ", ".join(text if count == 1 else f"{count} × {text}" for text, count in left_out.items())
        hint = any(text.startswith(MATROSKA_ONLY) for text in left_out) and container != "matroska"
        report(Note(f"{path.name}: left out of {container}: {items}{' (.mkv has room)' if hint else ''}", "warning"))
    return iter(packets)


def _uncopied_content(stream: Stream, pictures: Stream, *, is_cover: bool) -> str:
    """Return the name, for a message, of a source track that is not copied; '' if the result has its content.

    ``pictures``: the source's picture track. ``is_cover``: the track is cover art.
    """
    if is_cover:
        return "cover art"
    if isinstance(stream, AttachmentStream):
        return f"attachment ({stream.name})"
    if stream.type == "video":
        return f"video track {stream.index}" if stream.index != pictures.index else ""
    is_written_otherwise = stream.discard == Discard.all or "timecode" in stream.metadata  # Chapters or timecode
    if stream.type in ("audio", "subtitle") or is_written_otherwise:
        return ""
    name = stream.metadata.get("handler_name") or getattr(stream, "name", None) or "unknown"
    return f"data track ({name.strip()})"


def _cover_packets(source: InputContainer, path: Path) -> dict[int, Packet[Any]]:
    """Return the packet of each cover picture, by track number."""
    indices = [s.index for s in source.streams.video if s.disposition & Disposition.attached_pic]
    if not indices:
        return {}
    with open_media(path) as container:  # Reading ``source`` itself would take packets from its other readers
        covers = islice(packets_of(container, [container.streams[index] for index in indices]), len(indices))
        return {packet.stream_index: packet for packet in covers}


@dataclass(frozen=True)
class Timing:
    """The timestamps of the joined video: one PTS and one duration per frame, in ``time_base`` units.

    ``nominal``: the constant frame rate from which the times were rounded; None if they are exact, or the rate varies.
    """

    pts: Sequence[int]
    durations: Sequence[int]
    time_base: Fraction
    nominal: Fraction | None = None

    @property
    def is_constant(self) -> bool:
        """Whether all frames have the same duration."""
        return len(set(self.durations)) == 1

    @property
    def rate(self) -> Fraction:
        """The frames per second: the constant rate, or the average."""
        return self.nominal or (len(self.durations) / (sum(self.durations) * self.time_base)).limit_denominator(1001)


def join(
    segments: Sequence[Path],
    timing: Timing,
    output: Path,
    stream_copy: StreamCopy | None = None,
    report: Report = ignore_event,
    stop: Stop = NEVER_STOP,
    *,
    tag: str = "",
    kind: str = "",
    aspect: Fraction = SQUARE_PIXELS,
) -> int:
    """Write ``output`` from encoded ``segments`` and return the number of copied sound packets.

    Packets are copied, never encoded again. The packets of a segment get the clip's timestamps in display order.
    ``stream_copy``: the source, and the range of its sound and other tracks to copy. The container is chosen by
    ``output``'s suffix, unless ``kind`` (FFmpeg's name) is given. ``tag``: the codec's tag in QuickTime containers, if
    not FFmpeg's default. ``aspect``: the pixel width over its height, which few codecs store. Raises MediaError, and
    Interrupted when a stop is requested.
    """
    kind = kind or CONTAINERS[output.suffix.lower().lstrip(".")]
    orders = _presentation_orders(segments, timing)
    num_sound = 0
    with ExitStack() as stack:
        source = stack.enter_context(open_media(stream_copy.source)) if stream_copy else None
        options = _muxing_options(kind, timing.time_base, source)
        if kind == "mp4" and stream_copy and (stream_copy.stereo or stream_copy.projection):
            options["strict"] = "unofficial"  # Required by FFmpeg to write them into MP4
        out = stack.enter_context(closing(av.open(f"file:{output}", "w", format=kind, options=options)))
        first = stack.enter_context(closing(open_generated(segments[0])))
        video, lost_properties = _add_video(out, first, timing, tag, stream_copy, source)
        if aspect != SQUARE_PIXELS:
            video.codec_context.sample_aspect_ratio = aspect
        packets = [_video_packets(segments, orders, timing, video)]
        if stream_copy and source:
            write_tags(out, video, source, stream_copy, report)
            packets.append(copied_packets(source, add_tracks(out, source, stream_copy, report), stream_copy, report))
            if not stream_copy.only_sound:
                packets.append(add_other_tracks(out, source, stream_copy.source, report, lost_properties))
        what, now_s = "pictures", 0.0
        try:
            for at_s, packet in heapq.merge(*packets, key=itemgetter(0)):  # At equal times, pictures come first
                now_s, what = at_s, {"audio": "sound", "subtitle": "subtitles"}.get(packet.stream.type, "pictures")
                num_sound += what == "sound"
                out.mux(packet)
                stop.check()
            what = "tracks"
            out.close()  # Some muxers fail only here
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in DISK_REMEDIES:
                raise OSError(error.errno, error.strerror, error.filename or str(output)) from None
            why = f"its {what} cannot be written as {kind} from {now_s:.3f} s on"
            if isinstance(error, OSError) and error.errno != EINVAL:  # EINVAL tells the user nothing
                why += f" ({error.strerror})"
            may_omit = what == "sound" and stream_copy is not None and stream_copy.may_omit
            other = "use another --codec" if kind == "matroska" else "use -o with .mkv"
            remedy = "leave it out with --set encoding.sound=none" if may_omit else other
            raise MediaError(str(stream_copy.source if stream_copy else output), why, remedy) from None
    _fix_header(output, kind, stream_copy, aspect)
    return num_sound


def _fix_header(output: Path, kind: str, stream_copy: StreamCopy | None, aspect: Fraction) -> None:
    """Correct what FFmpeg's muxers write wrongly in a file: the stereo layout in MP4, the pixel aspect in Matroska.

    ``kind``: FFmpeg's name of the container. ``aspect``: the pixel width over its height.
    """
    if kind == "mp4" and stream_copy and stream_copy.stereo:
        _hide_apple_stereo(output)
    if kind in MATROSKA_CONTAINERS and aspect != SQUARE_PIXELS:
        with closing(open_generated(output)) as container:
            is_stated = _aspect_of(container.streams.video[0]) == aspect
        if not is_stated:
            set_pixel_aspect(output, aspect)


def _add_video(
    out: OutputContainer,
    first: InputContainer,
    timing: Timing,
    tag: str,
    stream_copy: StreamCopy | None,
    source: InputContainer | None,
) -> tuple[VideoStream, list[str]]:
    """Add a video track like that of the first segment, with the source's stereo layout and projection.

    Packets are copied to it, so it needs no encoder or decoder. ``tag``: as in ``join``. Return the track, and texts on
    properties that the container cannot hold.
    """
    encoded, container, lost_properties = first.streams.video[0], out.format.name, []
    stereo, projection, track = "", b"", None
    if stream_copy and source and not stream_copy.only_sound:
        if stream_copy.stereo and can_hold_stereo(container, stream_copy.stereo):
            stereo = stream_copy.stereo
        if stream_copy.projection and can_hold_projection(container, stream_copy.projection):
            projection = read_track_side_data(picture_stream(source, stream_copy.source)).projection
        if stereo or projection:
            track = add_video_track(out, encoded, stereo, projection)
        if stream_copy.stereo and not (track and stereo):
            lost_properties.append(f"stereo 3D (views {STEREO_TEXTS[stream_copy.stereo]})")
        if stream_copy.projection and not (track and projection):
            lost_properties.append(f"spherical projection ({stream_copy.projection})")
    video = track or out.add_stream_from_template(encoded, opaque=True)
    if tag and container in QUICKTIME_CONTAINERS:
        video.codec_context.codec_tag = tag
    video.time_base = timing.time_base
    # Without a rate, readers of Matroska would count the codec's ticks as frames.
    if timing.is_constant or container in MATROSKA_CONTAINERS:
        video.codec_context.framerate = timing.rate
    return video, lost_properties


def _hide_apple_stereo(path: Path) -> None:
    """Rename the box "vexu" of an MP4 (Apple's stereo 3D) to "free": it lacks the layout, but readers prefer it."""
    with path.open("r+b") as file:
        header = file.read(HEADER_BYTES)
        if (at := header.find(b"vexu", header.find(b"stsd"))) > 0:
            file.seek(at)
            file.write(b"free")


def _muxing_options(kind: str, time_base: Fraction, source: InputContainer | None) -> dict[str, str]:
    """Return muxer options that keep all timestamps, in units of ``time_base`` s, and write all of the source's tags.

    ``kind``: FFmpeg's name of the container.
    """
    options = {"fflags": "+bitexact"}
    if kind not in QUICKTIME_CONTAINERS:
        # Sound often begins before 0 (encoder priming); FFmpeg would shift all tracks to compensate.
        return options | {"avoid_negative_ts": "disabled"}
    # Start offsets are stored in the movie's timescale, by default milliseconds; use one that is exact for all tracks.
    scale = time_base.denominator
    common = lcm(scale, *(a.time_base.denominator for a in source.streams.audio if a.time_base) if source else ())
    common = common if common <= MAX_TIMESCALE else scale
    movie_scale = common * max(1, MIN_TIMESCALE // common)
    flags = "+faststart+use_metadata_tags" if source and has_vendor_tags(source) else "+faststart"
    scales = {"video_track_timescale": str(scale), "movie_timescale": str(movie_scale)}
    return options | scales | {"movflags": flags}


@dataclass(frozen=True)
class EncodedVideo:
    """The ascending pts, in ``time_base`` units, the size (width, height) and the pixel aspect of a video."""

    pts: Sequence[int]
    time_base: Fraction
    size: tuple[int, int]
    sample_aspect_ratio: Fraction


def read_encoded_video(path: Path) -> EncodedVideo:
    """Return the timestamps, the size and the pixel aspect of a video file that vidtrans encoded."""
    with closing(open_generated(path)) as container:
        stream = container.streams.video[0]
        stamps = sorted(p.pts for p in container.demux(stream) if p.pts is not None)
        context = stream.codec_context
        base = stream.time_base or Fraction(1, 1000)
        return EncodedVideo(stamps, base, (context.width, context.height), _aspect_of(stream))


def _aspect_of(stream: VideoStream) -> Fraction:
    """Return the pixel aspect, width over height; 1 if it is not stated."""
    return Fraction(stream.sample_aspect_ratio or 1) or SQUARE_PIXELS


def _presentation_orders(segments: Sequence[Path], timing: Timing) -> list[array[int]]:
    """Return for each segment the frame numbers of its packets, in decoding order. Raises MediaError.

    All segments must have the same codec header, as the result has only one. Another GPU driver may write another
    header.
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
    """Yield (decoding time in s, packet) for the packets of all segments, with the clip's timestamps.

    Encoders guess DTS at a segment's start, and the guesses of two segments can collide where frame durations vary.
    They are therefore replaced: the decoding times are the presentation times in order, moved back by the largest
    reordering of any packet, in frames. Each segment starts with this delay again, in units of the shortest frame step:
    with a long frame's duration, the next keyframe would get that duration, and players would drop frames. In QuickTime
    containers the last packet's duration makes the decoding times span the clip, because readers take that span for the
    track's length and compute the rate from it. The last packet decoded need not be the last frame presented.
    """
    pts, base = timing.pts, timing.time_base
    is_quicktime = stream.container.format.name in QUICKTIME_CONTAINERS
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
                if is_quicktime and first + i == len(pts) - 1:
                    packet.duration = max(1, pts[-1] + timing.durations[-1] - round(delay * step) - packet.dts)
                packet.stream = stream
                yield float(packet.dts * base), packet
        first += len(order)
