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
from vidtrans.core.errors import DISK, MediaError, UsageError
from vidtrans.core.events import NEVER, Note, Report, Stop, silent
from vidtrans.video.io.container import (
    QUICKTIME,
    find_picture_stream,
    open_generated,
    open_media,
    packets_of,
    picture_stream,
    side_tracks,
    timecode_of,
    tracks_not_used,
)
from vidtrans.video.io.encoding import CONTAINERS
from vidtrans.video.io.timestamps import OneClock, advance_timecode, convert_timecode, counted_rate, readable_packets
from vidtrans.video.side_data import (
    CODEC_DELAY,
    HEADER_BYTES,
    PROJECTION,
    STEREO_WORDS,
    changed_header,
    holds_projection,
    holds_stereo,
    read_track_side_data,
    set_pixel_aspect,
    video_header,
    write_header,
)

if TYPE_CHECKING:
    from av.container.core import Chapter

QUICKTIME_KINDS = ("mp4", "mov")  # FFmpeg's names of the containers that have edit lists
# Tags about how the source file itself was written.
FILE_TAGS = {"timecode", "encoder", "major_brand", "minor_version", "compatible_brands", "duration"}
TRACK_TAGS = ("language", "title", "handler_name")
# Cameras' and editors' own tags, which QuickTime files hold beside, or instead of, FFmpeg's.
NAMED_TAGS = "com."
QUICKTIME_TAGS = ("title", "artist", "album", "comment", "description", "copyright", "keywords", "genre")
NOT_HELD = (av.error.FFmpegError, ValueError)
# Decoders need sound before the first sample that is heard: these so much (in s), other lossy ones a packet.
WARM_UP_S = {"opus": Fraction(80, 1000), "mp3": Fraction(120, 1000)}
LOSSLESS = ("pcm", "flac", "alac", "wavpack", "tta")
# Cover art by its codec: the ending of its name, and the type that Matroska asks for.
COVERS = {"mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png")}
IN_MATROSKA = ("attachment", "cover art", "second titles")
FIRST = float("-inf")  # cover art comes before everything else
MATROSKA = ("matroska", "webm")
SQUARE = Fraction(1)
LEAST_SCALE, MAX_SCALE = 90_000, 2**31 - 1


@dataclass(frozen=True)
class StreamCopy:
    """The part of ``source`` to copy: packets that overlap [``start_s``, ``end_s``), shifted by ``shift_s``.

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
    """A track of the result. ``first_pts``: packets of the source before this time are not copied; None: no limit."""

    track: Any
    first_pts: int | None = None


def add_tracks(
    out: OutputContainer, source: InputContainer, carried: StreamCopy, report: Report
) -> dict[int, CopiedTrack]:
    """Add a track to ``out`` for each source track that it can hold; return the tracks by number in the source.

    Other tracks are reported, but sound that belongs to the pictures is never left out: raises UsageError where ``out``
    cannot hold it.
    """
    tracks: dict[int, CopiedTrack] = {}
    name = carried.source.name
    heads = {} if out.format.name in QUICKTIME_KINDS or not carried.sound else hidden_heads(carried.source)
    pictures = find_picture_stream(source, carried.source)
    if carried.sound and (apart := tracks_not_used(source, pictures)):
        report(Note(f"{name}: left out: {', '.join(apart)}", "warning"))
    for stream in side_tracks(source, pictures):
        if not (carried.sound if stream.type == "audio" else not carried.only_sound):
            continue
        kind = "sound track" if stream.type == "audio" else "subtitle track"
        if stream.codec_context is None:
            report(Note(f"{name}: a {kind} of unknown codec is left out", "warning"))
            continue
        codec = stream.codec_context.name
        where = out.format.name
        if not is_held(stream, where):
            if isinstance(stream, AudioStream):
                why = f"its sound ({codec}) cannot be kept in {where}"
                raise UsageError(str(carried.source), why, _remedy(stream, carried.may_omit))
            report(Note(f"{name}: a {kind} ({codec}) is left out, {where} cannot hold it", "warning"))
            continue
        head = heads.get(stream.index)
        if head is None or not head.delay_s or carried.start_s is not None or not isinstance(stream, AudioStream):
            track = add_track(out, stream)
        else:
            track = add_delayed_track(out, stream, head.delay_s)
        track.metadata.update(track_tags(stream))
        with suppress(AttributeError, ValueError):
            track.disposition = stream.disposition
        tracks[stream.index] = CopiedTrack(track, head.first_pts if head else None)
    return tracks


def _remedy(stream: AudioStream, may_omit: bool) -> str:
    """Return the remedy, for a message, where a container cannot hold the sound."""
    others = [f".{ending}" for ending, kind in CONTAINERS.items() if is_held(stream, kind)]
    remedy = f"use -o with {' or '.join(others)}" if others else "convert its sound first, for example to FLAC"
    return f"{remedy}, or --set encoding.sound=none" if may_omit else remedy


def check_sound(source: Path, kind: str, *, may_omit: bool = True) -> None:
    """Raise UsageError where a container (FFmpeg's name for it) cannot hold the source's sound. Nothing is written."""
    with open_media(source) as container, closing(av.open(BytesIO(), "w", format=kind)) as out:
        add_tracks(out, container, StreamCopy(source, may_omit=may_omit), silent)


def copied_packets(
    source: InputContainer, tracks: dict[int, CopiedTrack], carried: StreamCopy, report: Report
) -> Iterator[tuple[float, Packet[Any]]]:
    """Yield (decoding time in s, packet) for the packets of these tracks within the copied part, shifted.

    Their times are on the clock of the frames (``OneClock``). Raises MediaError where they cannot be read.

    Packets before the first audible one, which the source's edit list hides, are copied: the result's will hide them.
    """
    audible: set[int] = set()
    for packet in _read(source, tracks, carried, report):
        if packet.dts is None or packet.pts is None:
            continue
        base = packet.time_base
        copied = tracks[packet.stream_index]
        if _is_hidden(packet, copied, audible):
            continue
        begins, ends = packet.pts * base, (packet.pts + (packet.duration or 0)) * base
        if carried.start_s is not None and ends <= carried.start_s:
            continue
        if carried.end_s is not None and begins >= carried.end_s:
            continue
        shift = round(carried.shift_s / base)
        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
        if packet.stream.type != "audio":
            if carried.end_s is not None and ends > carried.end_s:
                packet.duration = max(1, int((carried.end_s - begins) / base))  # text ends with the pictures
            if packet.pts < 0:  # text from before the first picture is there from the start
                packet.duration = max(1, (packet.duration or 0) + packet.pts)
                packet.pts = packet.dts = 0
        at_s = float(packet.dts * base)
        if packet.has_sidedata("new_extradata"):  # joined recordings repeat it, and FFmpeg would write a second header
            packet = _without_side_data(packet)
        packet.stream = copied.track
        yield at_s, packet


def _read(
    source: InputContainer, tracks: dict[int, CopiedTrack], carried: StreamCopy, report: Report
) -> Iterator[Packet[Any]]:
    """Yield the packets of the copied tracks on one clock, which the pictures decide, too. Raises MediaError."""
    pictures, at_s = find_picture_stream(source, carried.source) if tracks else None, 0.0
    clock = OneClock(carried.source)
    streams = [source.streams[index] for index in tracks] + ([pictures] if pictures else [])
    try:
        for packet in readable_packets(source, streams) if tracks else ():
            if clock(packet).stream_index in tracks:
                at_s = at_s if packet.pts is None else float(packet.pts * packet.time_base)
                yield packet
    except (av.error.FFmpegError, OSError) as error:
        why = f"its sound cannot be read beyond {at_s:.3f} s ({getattr(error, 'strerror', None) or error})"
        remedy = "leave it out with --set encoding.sound=none" if carried.may_omit else "convert it first"
        raise MediaError(str(carried.source), why, remedy) from None
    if clock.repair.num_rebuilt:
        packets = count(clock.repair.num_rebuilt, "sound packet")
        report(Note(f"{carried.source.name}: {packets} had no time, or a wrong one: continued from the others"))


def _without_side_data(packet: Packet[Any]) -> Packet[Any]:
    """Return a copy of a packet without its side data, which PyAV cannot remove."""
    bare: Packet[Any] = Packet(bytes(packet))
    bare.pts, bare.dts, bare.duration = packet.pts, packet.dts, packet.duration
    bare.time_base, bare.is_keyframe = packet.time_base, packet.is_keyframe
    return bare


def _is_hidden(packet: Packet[Any], copied: CopiedTrack, audible: set[int]) -> bool:
    """Return whether a packet is left out because the source's edit list hides it and the result does not need it.

    ``audible``: the numbers of the tracks with an audible packet so far; that of an audible ``packet`` is added.
    """
    if not packet.is_discard:
        audible.add(packet.stream_index)
    before = copied.first_pts is not None and packet.pts is not None and packet.pts < copied.first_pts
    return before or (packet.is_discard and (packet.stream_index in audible or packet.stream.type != "audio"))


def write_tags(
    out: OutputContainer, video: VideoStream, source: InputContainer, carried: StreamCopy, report: Report
) -> None:
    """Write the source's tags, chapters and timecode; must be called before the first packet."""
    if carried.only_sound:
        return
    tags = {key: value for key, value in source.metadata.items() if key.lower() not in FILE_TAGS}
    if out.format.name in QUICKTIME_KINDS and has_named_tags(source):
        tags = quicktime_tags(tags)
    out.metadata.update(tags)
    if (pictures := find_picture_stream(source, carried.source)) is not None:
        video.metadata.update(track_tags(pictures))
    video.disposition = Disposition.default  # whichever of the source's tracks it was
    if first := timecode_of(source):
        try:
            rate = counted_rate(first, carried.source, carried.rate)
            first = advance_timecode(first, round(carried.before_s * rate), rate)
            if carried.new_rate:
                first = convert_timecode(first, rate, carried.new_rate)
            video.metadata["timecode"] = first
            if out.format.name in QUICKTIME_KINDS:  # its timecode track has to know how it counts
                video.codec_context.framerate = carried.new_rate or rate
        except ValueError as error:
            report(Note(f"{carried.source.name}: its timecode is left out ({error})", "warning"))
    out.set_chapters([moved for chapter in source.chapters() if (moved := _moved(chapter, carried))])


def track_tags(stream: Stream) -> dict[str, str]:
    """Return the tags of a track that are copied, without the control characters of QuickTime's counted strings."""
    tags = {key.lower(): "".join(filter(str.isprintable, value)) for key, value in stream.metadata.items()}
    tags.setdefault("title", tags.get("name", ""))  # as FFmpeg names it in QuickTime files
    return {key: tags[key] for key in TRACK_TAGS if tags.get(key)}


def has_named_tags(source: InputContainer) -> bool:
    """Return whether a file has tags under names like com.apple.quicktime.model, which MP4's usual tags lack."""
    return any(key.lower().startswith(NAMED_TAGS) for key in source.metadata)


def quicktime_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags as they are named in a QuickTime file whose tags have names.

    Matroska has them in capitals. Players look for Apple's names of the common ones, FFmpeg for its own.
    """
    lower = {(k.lower().replace("iso6709", "ISO6709") if k.isupper() else k): value for k, value in tags.items()}
    common = {f"com.apple.quicktime.{key}": lower[key] for key in QUICKTIME_TAGS if key in lower}
    return {**common, **lower}


def _moved(chapter: Chapter, carried: StreamCopy) -> Chapter | None:
    """Return a chapter at its time in the result; None if it lies outside."""
    base = Fraction(chapter["time_base"] or 1)
    begins, ends = chapter["start"] * base, chapter["end"] * base
    first = begins if carried.start_s is None else max(begins, carried.start_s)
    last = ends if carried.end_s is None else min(ends, carried.end_s)
    if first >= last:
        return None
    start, end = (max(0, round((t + carried.shift_s) / base)) for t in (first, last))
    return {**chapter, "start": start, "end": max(end, start + 1)}


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
