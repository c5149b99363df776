"""Open untrusted media files, choose the video stream and what belongs to it, and describe them.

Sound and subtitles belong to the pictures unless they are of another programme, or hours away from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import av.error
from av.audio.stream import AudioStream
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream
from av.subtitles.stream import SubtitleStream
from av.video.stream import VideoStream

from vidtrans.core.errors import MediaError
from vidtrans.core.files import check_regular_file
from vidtrans.core.registry import name_check
from vidtrans.video.colour.tags import UNSPECIFIED, range_name, space_name, transfer_name
from vidtrans.video.frame_format import MAX_PIXELS
from vidtrans.video.side_data import Crop, read_track_side_data

TABLES_IN = 4 << 20  # bytes from the start of a transport stream, in which its tables are repeated many times
PACKET, SYNC = 188, 0x47
SPACINGS = (PACKET, 192, 204)  # bytes from packet to packet: plain, with a time stamp (m2ts), with a check sum
CHECKED = 8  # packets by which a spacing is recognised
FAR_S = 3600  # a track further from the pictures than this has another clock
# Demuxers of single files. Playlists (hls, dash, concat …) open other files or the network and are left out.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h263,h264,hevc,av1,obu,ivf,ogg,flv,gif,nut,"
    "mxf,asf,dv,rm,wav,mp3,flac,aac,png_pipe,jpeg_pipe,webp_pipe,tiff_pipe,bmp_pipe,apng,yuv4mpegpipe"
)
# Nothing but the named file is opened: no other protocol, no format that refers to other files, and no track of a
# QuickTime movie that lies in another file (FFmpeg's default, made explicit).
SINGLE_FILE = {"protocol_whitelist": "file", "format_whitelist": FORMATS, "enable_drefs": "0"}
QUICKTIME = "mov,mp4,m4a,3gp,3g2,mj2"
CLOCKED = ("mpegts", "mpeg")  # formats in which times are a clock's, which may also have passed its end
RAW = ("h264", "hevc", "mpegvideo", "m4v", "h263", "obu", "av1")  # streams without a container, and so without times
MAX_RATE = 1000  # codecs count in ticks where the rate varies
SAFE = {**SINGLE_FILE, "max_pixels": str(MAX_PIXELS)}


def side_tracks(container: InputContainer, pictures: VideoStream | None) -> list[AudioStream | SubtitleStream]:
    """Return the sound and subtitle tracks that belong to the pictures, sound first."""
    others = tracks_of_others(container, pictures)
    streams: list[AudioStream | SubtitleStream] = [*container.streams.audio]
    streams += [s for s in container.streams.subtitles if s.discard != Discard.all]
    return [stream for stream in streams if stream.index not in others]


def tracks_not_used(container: InputContainer, pictures: VideoStream | None) -> list[str]:
    """Return a text for each sound and subtitle track that does not belong to the pictures."""
    others = tracks_of_others(container, pictures)
    streams = (*container.streams.audio, *container.streams.subtitles)
    return [f"{_name_track(stream)} {others[stream.index]}" for stream in streams if stream.index in others]


def sound_starts_s(container: InputContainer, pictures: VideoStream | None) -> list[Fraction]:
    """Return when the sound tracks that belong to the pictures begin, in s."""
    return starts_s(s for s in side_tracks(container, pictures) if s.type == "audio")


def starts_s(streams: Iterable[Stream]) -> list[Fraction]:
    """Return when these tracks begin, in s, by the headers; those without a time are left out."""
    return [s.start_time * s.time_base for s in streams if s.start_time is not None and s.time_base]


def tracks_of_others(container: InputContainer, pictures: Stream | None) -> dict[int, str]:
    """Return where the tracks are that do not belong to the ``pictures``, as a text by track number.

    Without pictures, the first sound track decides. Attached files and covers have no times and always belong.
    """
    lead = pictures or next(iter(container.streams.audio), None)
    if lead is None:
        return {}
    own: set[int] = set()
    foreign: set[int] = set()
    if container.format.name == "mpegts":
        path = Path(container.name.removeprefix("file:"))
        status = path.stat()
        for pids in _programmes(path, status.st_size, status.st_mtime_ns):
            (own if lead.id in pids else foreign).update(pids)
    others = {s.index: "of another programme" for s in container.streams if own and s.id in foreign - own}
    for stream in container.streams:
        if stream.index not in others and (distance_s := _distance_s(container, stream, lead)) > FAR_S:
            others[stream.index] = f"{distance_s / 3600:.1f} h away from the pictures"
    return others


def _name_track(stream: Stream) -> str:
    """Return a track's name for a message: its kind, number, codec and language."""
    kind = "sound" if stream.type == "audio" else stream.type
    language = stream.metadata.get("language", "und")
    codec = stream.codec_context.name if stream.codec_context else "unknown codec"
    return f"{kind} track {stream.index} ({codec}{'' if language == 'und' else f', {language}'})"


def _distance_s(container: InputContainer, stream: Stream, lead: Stream) -> float:
    """Return the seconds between the spans of two tracks; 0 where they overlap, or one has no times."""
    spans = []
    for one in (stream, lead):
        if one.start_time is None or not one.time_base:
            return 0.0
        start_s = float(one.start_time * one.time_base)
        spans.append((start_s, start_s + _duration_s(container, one)))
    (first, first_end), (second, second_end) = spans
    return max(first - second_end, second - first_end, 0.0)


def _duration_s(container: InputContainer, stream: Stream) -> float:
    """Return the seconds that a track lasts: its own, as a tag in Matroska, or else the file's; 0 if unknown."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    with suppress(ValueError):
        hours, minutes, seconds = stream.metadata.get("DURATION", "").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return (container.duration or 0) / av.time_base


@lru_cache(maxsize=16)
def _programmes(path: Path, size: int, modified_ns: int) -> tuple[frozenset[int], ...]:
    """Return the packet identifiers (PIDs) of each programme of a transport stream, from its tables.

    The tables are the association and map tables of ISO/IEC 13818-1, 2.4.4; () where there is one programme at most.
    Arguments beside ``path`` tell versions of the file others.
    """
    with path.open("rb") as file:
        head = file.read(TABLES_IN)
    maps: set[int] = set()  # PIDs of map tables
    for section in _sections(head, {0}):
        if section[0] == 0:
            entries = (section[at : at + 4] for at in range(8, len(section) - 7, 4))
            maps |= {_pid(entry, 2) for entry in entries if entry[:2] != b"\0\0"}  # 0: the network's own table
    programmes: dict[int, set[int]] = {}
    for section in _sections(head, maps):
        if section[0] != 2:
            continue
        pids = programmes.setdefault(section[3] << 8 | section[4], set())
        at = 12 + _length(section, 10)
        while at + 5 <= len(section) - 4:
            pids.add(_pid(section, at + 1))
            at += 5 + _length(section, at + 3)
    return tuple(map(frozenset, programmes.values())) if len(programmes) > 1 else ()


def _sections(head: bytes, wanted: set[int]) -> Iterator[bytes]:
    """Yield the complete sections of tables in the packets with ``wanted`` identifiers."""
    layouts = ((n, s) for n in SPACINGS for s in range(n) if set(head[s : s + n * CHECKED : n]) == {SYNC})
    spacing, start = next(layouts, (PACKET, 0))
    parts: dict[int, bytes] = {}
    for at in range(start, len(head) - PACKET + 1, spacing):
        packet = head[at : at + PACKET]
        pid, has_payload, has_field = _pid(packet, 1), packet[3] & 0x10, packet[3] & 0x20
        if packet[0] != SYNC or pid not in wanted or not has_payload:
            continue
        payload = packet[5 + packet[4] :] if has_field else packet[4:]
        if packet[1] & 0x40 and payload:  # a section begins in it, after the rest of the one before
            rest, payload = payload[1 : 1 + payload[0]], payload[1 + payload[0] :]
            yield from _complete(parts.get(pid, b"") + rest)
            parts[pid] = b""
        elif pid not in parts:
            continue
        parts[pid] += payload
    for part in parts.values():
        yield from _complete(part)


def _complete(data: bytes) -> Iterator[bytes]:
    """Yield the sections that lie one behind the other in ``data``, as far as they are complete."""
    while len(data) >= 12 and data[0] != 0xFF and len(data) >= (size := 3 + _length(data, 1)) >= 12:
        yield data[:size]
        data = data[size:]


def _pid(data: bytes, at: int) -> int:
    return (data[at] & 0x1F) << 8 | data[at + 1]


def _length(data: bytes, at: int) -> int:
    return (data[at] & 0x0F) << 8 | data[at + 1]


@dataclass(frozen=True)
class AudioTrack:
    """The properties of a sound track, from the headers."""

    codec: str
    sample_rate_hz: int
    channels: int
    language: str | None
    duration_s: float | None


@dataclass(frozen=True)
class MediaInfo:
    """The properties of a video, from its headers.

    ``average_rate``: None where there is none, as in some raw streams. ``width`` × ``height``: the stored size, before
    rotation. ``crop``: pixels that players cut off at its left, top, right and bottom. ``dolby_vision``: its profile
    ("5", "8.4"), or ''. ``offset_s``: the start of the pictures minus that of the earliest sound; None without sound.
    ``timecode``: of the first frame, or ''. ``subtitles``: their codecs. ``not_used``: sound and subtitles that do not
    belong to the pictures, with the reason.
    """

    path: str
    format: str
    codec: str
    width: int
    height: int
    pix_fmt: str
    average_rate: Fraction | None
    time_base: Fraction
    duration_s: float | None
    num_frames_from_header: int
    sample_aspect_ratio: Fraction
    colour_space: str
    colour_range: str
    colour_transfer: str
    is_rgb: bool
    num_video_streams: int
    stream_index: int
    crop: Crop
    dolby_vision: str
    offset_s: float | None
    timecode: str
    chapters: int
    subtitles: tuple[str, ...]
    audio: tuple[AudioTrack, ...]
    not_used: tuple[str, ...]

    @property
    def rate(self) -> Fraction:
        """The nominal frame rate; 25 where the container gives none."""
        return self.average_rate or Fraction(25)


def packets_of(container: InputContainer, streams: Sequence[Stream] = ()) -> Iterator[Packet[Any]]:
    """Yield the packets of these streams (of all streams if empty), without the empty packets at the end.

    PyAV raises IndexError after the last packet if a track appeared in mid-stream; it is ignored.
    """
    with suppress(IndexError):
        for packet in container.demux(streams):
            if packet.size:
                yield packet


@contextmanager
def open_media(path: Path, hwaccel: HWAccel | None = None) -> Iterator[InputContainer]:
    """Open a local media file for reading, and close it afterwards. Raises MediaError.

    With ``hwaccel``, streams are decoded on a device if PyAV finds that possible; PyAV's own errors are not converted.
    """
    path = Path(path)
    try:
        str(path).encode()
    except UnicodeEncodeError:  # FFmpeg's names are UTF-8
        name = str(path).encode(errors="backslashreplace").decode()
        raise MediaError(name, "its name is not UTF-8", "rename it") from None
    if not path.exists():
        raise MediaError(str(path), "no such file", name_check(path))
    if path.is_dir():
        raise MediaError(str(path), "it is a folder, not a video", "give a video file")
    check_regular_file(path)
    try:
        container = av.open(f"file:{path}", options=dict(SAFE), metadata_errors="replace", hwaccel=hwaccel)
    except PermissionError:
        raise MediaError(str(path), "permission denied", "make the file readable") from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        why = "the file is empty" if path.stat().st_size == 0 else f"not a video that can be read ({reason})"
        raise MediaError(str(path), why, "give a video file, or convert it first") from None
    with closing(container):
        yield container


def open_generated(path: Path | BytesIO, kind: str | None = None) -> InputContainer:
    """Open a file, or bytes, written by vidtrans or the user's ffmpeg; ``kind``: its format, if known.

    As in ``open_media``, no other file is opened through it: a cache folder may come from a stranger. Raises
    av.error.FFmpegError, OSError.
    """
    if isinstance(path, BytesIO):
        return av.open(path, "r", kind, dict(SINGLE_FILE))
    return av.open(f"file:{path}", "r", kind, dict(SINGLE_FILE))


def first_bytes(path: Path) -> bytes:
    """Return the codec's extradata and, unless damaged, the first packet of a video, joined. Raises MediaError."""
    with open_media(path) as container:
        stream, packet = picture_stream(container, path), b""
        with suppress(av.error.FFmpegError, StopIteration):
            packet = bytes(next(packets_of(container, [stream])))
        return (stream.codec_context.extradata or b"") + packet


def picture_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the video stream, never cover art: the default stream, else the largest. Raises MediaError."""
    streams = _video_streams(container)
    if not streams:
        cover, sound = bool(container.streams.video), bool(container.streams.audio)
        why = "no video stream" + (" (only cover art)" if cover else " (only sound)" if sound else "")
        raise MediaError(str(path), why, "give a file with pictures in it")
    streams = [s for s in streams if s.codec_context is not None]
    if not streams:
        raise MediaError(str(path), "the video's codec is not known here", "convert it first, for example to H.264")
    if any(s.disposition & Disposition.dependent for s in streams):
        why = "its picture is stored in tiles, which are not put together here"
        raise MediaError(str(path), why, "convert it to PNG or JPEG first")
    best = max(streams, key=_rank)
    if best.width * best.height > MAX_PIXELS:
        why = f"its pictures are too large ({best.width}x{best.height})"
        raise MediaError(str(path), why, "make it smaller")
    # The limit on the container does not reach the decoder: a small file can still claim a huge picture.
    best.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return best


def pictures_of(container: InputContainer, path: Path) -> VideoStream | None:
    """Return the video stream as ``picture_stream`` does; None where there is none to read."""
    try:
        return picture_stream(container, path)
    except MediaError:
        return None


def _rank(stream: VideoStream) -> tuple[bool, int, bool, int]:
    """Return a key that is greatest for the default stream, then the largest, then AVIF's sequence, not its still."""
    is_default = bool(stream.disposition & Disposition.default)
    return is_default, stream.width * stream.height, stream.frames != 1, -stream.index


def _video_streams(container: InputContainer) -> list[VideoStream]:
    return [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]


def colour_tags(stream: VideoStream) -> dict[str, int]:
    """Return the colour tags of the container, for frames without their own: ProRes often has none in its frames."""
    tags = {name: int(getattr(stream.codec_context, name)) for name in ("color_primaries", "color_trc", "colorspace")}
    return {name: value for name, value in tags.items() if value != UNSPECIFIED}


def describe(container: InputContainer, stream: VideoStream, path: Path) -> MediaInfo:
    """Return the properties of an open file, from its headers."""
    context, attached = stream.codec_context, read_track_side_data(stream)
    side = side_tracks(container, stream)
    whole_s = container.duration / av.time_base if container.duration else None
    return MediaInfo(
        path=str(path),
        format=container.format.name,
        codec=context.name,
        width=context.width,
        height=context.height,
        pix_fmt=context.pix_fmt or "unknown",
        average_rate=_rate_of(container, stream),
        time_base=stream.time_base or Fraction(1, 1000),
        duration_s=whole_s if (duration_s := _duration_in_header_s(stream)) is None else duration_s,
        num_frames_from_header=stream.frames,
        sample_aspect_ratio=Fraction(stream.sample_aspect_ratio or 1) or Fraction(1),
        colour_space=space_name(int(context.colorspace)),
        colour_range=range_name(int(context.color_range)),
        colour_transfer=transfer_name(int(context.color_trc)),
        is_rgb=context.format is not None and context.format.is_rgb,
        num_video_streams=len(_video_streams(container)),
        stream_index=stream.index,
        crop=attached.crop,
        dolby_vision=attached.dolby_vision,
        offset_s=_offset(container, stream),
        timecode=timecode_of(container),
        chapters=len(container.chapters()),
        subtitles=tuple(_codec_name(s) for s in side if s.type == "subtitle"),
        audio=tuple(
            AudioTrack(
                codec=_codec_name(a),
                sample_rate_hz=a.sample_rate if a.codec_context else 0,
                channels=a.channels if a.codec_context else 0,
                language=a.language,
                duration_s=_duration_in_header_s(a),
            )
            for a in side
            if isinstance(a, AudioStream)
        ),
        not_used=tuple(tracks_not_used(container, stream)),
    )


def _rate_of(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Return the frame rate in the headers; for raw streams only the codec's own, as FFmpeg assumes 25 for all."""
    if container.format.name not in RAW:
        return stream.average_rate or stream.guessed_rate
    rate = stream.codec_context.framerate
    return rate if rate and rate <= MAX_RATE else None


def _codec_name(stream: AudioStream | SubtitleStream) -> str:
    return stream.codec_context.name if stream.codec_context else "unknown"


def _duration_in_header_s(stream: Stream) -> float | None:
    return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None


def _offset(container: InputContainer, stream: VideoStream) -> float | None:
    starts = sound_starts_s(container, stream)
    if not starts or stream.start_time is None or not stream.time_base:
        return None
    return float(stream.start_time * stream.time_base - min(starts))


def open_unedited(container: InputContainer) -> InputContainer:
    """Open a QuickTime file a second time, ignoring its edit lists. Raises av.error.FFmpegError."""
    return av.open(container.name, options={**SAFE, "ignore_editlist": "1"}, metadata_errors="replace")


def timecode_of(container: InputContainer) -> str:
    """Return the SMPTE timecode of the first frame; '' without one."""
    tables = [container.metadata, *(s.metadata for s in (*container.streams.video, *container.streams.data))]
    return next((tags[key] for tags in tables for key in ("timecode", "TIMECODE") if tags.get(key)), "")


def probe(path: Path) -> MediaInfo:
    """Return the properties of a video from its headers. Raises MediaError where it is unreadable or has no video."""
    with open_media(path) as container:
        return describe(container, picture_stream(container, path), path)
