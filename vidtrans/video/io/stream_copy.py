"""Copy the source's sound, subtitles, chapters, timecode and tags to the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from vidtrans.core.costs import count
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.events import Note, Report, silent
from vidtrans.video.io import timecode
from vidtrans.video.io.codecs import CONTAINERS
from vidtrans.video.io.container import open_media, pictures_of, timecode_of
from vidtrans.video.io.copied_track import add_delayed_track, add_track, hidden_heads, is_held
from vidtrans.video.io.one_clock import OneClock, readable_packets
from vidtrans.video.io.side_tracks import side_tracks, tracks_not_used

if TYPE_CHECKING:
    from av.container.core import Chapter

QUICKTIME_KINDS = ("mp4", "mov")  # FFmpeg's names of the containers that have edit lists
# Tags about how the source file itself was written.
FILE_TAGS = {"timecode", "encoder", "major_brand", "minor_version", "compatible_brands", "duration"}
TRACK_TAGS = ("language", "title", "handler_name")
# Cameras' and editors' own tags, which QuickTime files hold beside, or instead of, FFmpeg's.
NAMED_TAGS = "com."
QUICKTIME_TAGS = ("title", "artist", "album", "comment", "description", "copyright", "keywords", "genre")


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
    pictures = pictures_of(source, carried.source)
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
    pictures, at_s = pictures_of(source, carried.source) if tracks else None, 0.0
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
    if num := clock.repair.rebuilt:
        packets = count(num, "sound packet")
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
    if (pictures := pictures_of(source, carried.source)) is not None:
        video.metadata.update(track_tags(pictures))
    video.disposition = Disposition.default  # whichever of the source's tracks it was
    if first := timecode_of(source):
        try:
            rate = timecode.counted_rate(first, carried.source, carried.rate)
            first = timecode.advance(first, round(carried.before_s * rate), rate)
            if carried.new_rate:
                first = timecode.convert_rate(first, rate, carried.new_rate)
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
