"""Open untrusted media files, choose the video stream and the tracks that belong to it, and describe them.

Sound and subtitles belong to the video stream unless they are of another programme, or more than an hour away.
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
from vidtrans.core.registry import missing_file_remedy
from vidtrans.video.colour.tags import UNSPECIFIED, range_name, space_name, transfer_name
from vidtrans.video.frame_format import MAX_PIXELS
from vidtrans.video.side_data import Crop, read_track_side_data

# FFmpeg's demuxers of single files. Playlists (hls, dash, concat …) are absent: they open other files or the network.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h263,h264,hevc,av1,obu,ivf,ogg,flv,gif,nut,"
    "mxf,asf,dv,rm,wav,mp3,flac,aac,png_pipe,jpeg_pipe,webp_pipe,tiff_pipe,bmp_pipe,apng,yuv4mpegpipe"
)
# No other protocol, no format that refers to other files, no QuickTime track in another file (FFmpeg's default).
# FFmpeg's options, by name, that keep it from opening any file but the given one.
SINGLE_FILE_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": FORMATS, "enable_drefs": "0"}
QUICKTIME = "mov,mp4,m4a,3gp,3g2,mj2"  # FFmpeg's name of the demuxer of QuickTime and MP4
# FFmpeg's names of formats with times of a clock, which start anywhere and may wrap around.
CLOCK_FORMATS = ("mpegts", "mpeg")
RAW_FORMATS = (
    "h264",
    "hevc",
    "mpegvideo",
    "m4v",
    "h263",
    "obu",
    "av1",
)  # FFmpeg's names of raw streams, which have no container and no times
MAX_RATE = 1000  # Highest frame rate of a raw stream, in Hz; a higher one in its header is a rate of ticks
SAFE_OPTIONS = {**SINGLE_FILE_OPTIONS, "max_pixels": str(MAX_PIXELS)}  # FFmpeg's options for untrusted files
# Bytes at the start of a transport stream that are searched for programme tables, which repeat often.
TABLE_SEARCH_BYTES = 4 << 20
TS_PACKET_BYTES, TS_SYNC_BYTE = 188, 0x47  # Length of a transport stream packet in bytes, and its first byte
# Bytes from one packet's start to the next one's: without additions, with a timestamp (m2ts), with error correction.
TS_SPACINGS = (TS_PACKET_BYTES, 192, 204)
NUM_SYNC_PACKETS = 8  # Number of packets whose first bytes identify the distance of packets
MAX_TRACK_DISTANCE_S = 3600  # Seconds; a track further away from the pictures has another clock


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

    ``average_rate``: None without one, as in some raw streams. ``width`` × ``height``: the stored size, before
    rotation. ``crop``: pixels that players remove at the left, top, right and bottom. ``dolby_vision``: its profile
    ("5", "8.4"), or ''. ``offset_s``: the start of the pictures minus that of the earliest sound; None without sound.
    ``timecode``: of the first frame, or ''. ``chapters``: their number. ``subtitles``: their codecs. ``not_used``:
    sound and subtitles that do not belong to the pictures, with the reason.
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

    PyAV raises IndexError after the last packet if a track first appeared in mid-stream; the error is ignored.
    """
    with suppress(IndexError):
        for packet in container.demux(streams):
            if packet.size:
                yield packet


@contextmanager
def open_media(path: Path, hwaccel: HWAccel | None = None) -> Iterator[InputContainer]:
    """Open a local media file for reading, and close it afterwards. Raises MediaError.

    With ``hwaccel``, streams are decoded on a device if PyAV can; PyAV's own errors are then not converted.
    """
    path = Path(path)
    try:
        str(path).encode()
    except UnicodeEncodeError:  # FFmpeg's file names are UTF-8
        name = str(path).encode(errors="backslashreplace").decode()
        raise MediaError(name, "its name is not UTF-8", "rename it") from None
    if not path.exists():
        raise MediaError(str(path), "no such file", missing_file_remedy(path))
    if path.is_dir():
        raise MediaError(str(path), "it is a folder, not a video", "give a video file")
    check_regular_file(path)
    try:
        container = av.open(f"file:{path}", options=dict(SAFE_OPTIONS), metadata_errors="replace", hwaccel=hwaccel)
    except PermissionError:
        raise MediaError(str(path), "permission denied", "make the file readable") from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        why = "the file is empty" if path.stat().st_size == 0 else f"not a video that can be read ({reason})"
        raise MediaError(str(path), why, "give a video file, or convert it first") from None
    with closing(container):
        yield container


def open_generated(path: Path | BytesIO, format_name: str | None = None) -> InputContainer:
    """Open a file, or bytes, written by vidtrans or the user's ffmpeg; ``format_name``: its format, if known.

    As in ``open_media``, no other file is opened through it, because a cache folder may come from a stranger. Raises
    av.error.FFmpegError, OSError.
    """
    if isinstance(path, BytesIO):
        return av.open(path, "r", format_name, dict(SINGLE_FILE_OPTIONS))
    return av.open(f"file:{path}", "r", format_name, dict(SINGLE_FILE_OPTIONS))


def read_first_packet(path: Path) -> bytes:
    """Return the video codec's extradata, followed by the first packet unless it is damaged. Raises MediaError."""
    with open_media(path) as container:
        stream, packet = picture_stream(container, path), b""
        with suppress(av.error.FFmpegError, StopIteration):
            packet = bytes(next(packets_of(container, [stream])))
        return (stream.codec_context.extradata or b"") + packet


def picture_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the default video stream, else the largest; cover art is not one. Raises MediaError without one."""
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
    best = max(streams, key=_stream_rank)
    if best.width * best.height > MAX_PIXELS:
        why = f"its pictures are too large ({best.width}x{best.height})"
        raise MediaError(str(path), why, "make it smaller")
    # The container's limit does not apply to the decoder: a small file can still state a huge picture.
    best.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return best


def find_picture_stream(container: InputContainer, path: Path) -> VideoStream | None:
    """Return the video stream as ``picture_stream`` does; None where there is none that can be read."""
    try:
        return picture_stream(container, path)
    except MediaError:
        return None


def _stream_rank(stream: VideoStream) -> tuple[bool, int, bool, int]:
    """Return a sort key, highest for the default stream, else the largest; AVIF's sequence is above its still."""
    is_default = bool(stream.disposition & Disposition.default)
    return is_default, stream.width * stream.height, stream.frames != 1, -stream.index


def _video_streams(container: InputContainer) -> list[VideoStream]:
    """Return the video streams of a file, without cover art."""
    return [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]


def colour_tags(stream: VideoStream) -> dict[str, int]:
    """Return the container's colour tags, for frames without their own: ProRes frames often have none."""
    tags = {name: int(getattr(stream.codec_context, name)) for name in ("color_primaries", "color_trc", "colorspace")}
    return {name: value for name, value in tags.items() if value != UNSPECIFIED}


def read_media_info(container: InputContainer, stream: VideoStream, path: Path) -> MediaInfo:
    """Return the properties of an open file, from its headers."""
    context, side_data = stream.codec_context, read_track_side_data(stream)
    tracks = side_tracks(container, stream)
    file_duration_s = container.duration / av.time_base if container.duration else None
    return MediaInfo(
        path=str(path),
        format=container.format.name,
        codec=context.name,
        width=context.width,
        height=context.height,
        pix_fmt=context.pix_fmt or "unknown",
        average_rate=_rate_from_header(container, stream),
        time_base=stream.time_base or Fraction(1, 1000),
        duration_s=file_duration_s if (duration_s := _duration_in_header_s(stream)) is None else duration_s,
        num_frames_from_header=stream.frames,
        sample_aspect_ratio=Fraction(stream.sample_aspect_ratio or 1) or Fraction(1),
        colour_space=space_name(int(context.colorspace)),
        colour_range=range_name(int(context.color_range)),
        colour_transfer=transfer_name(int(context.color_trc)),
        is_rgb=context.format is not None and context.format.is_rgb,
        num_video_streams=len(_video_streams(container)),
        stream_index=stream.index,
        crop=side_data.crop,
        dolby_vision=side_data.dolby_vision,
        offset_s=_sound_offset_s(container, stream),
        timecode=timecode_of(container),
        chapters=len(container.chapters()),
        subtitles=tuple(_codec_name(s) for s in tracks if s.type == "subtitle"),
        audio=tuple(
            AudioTrack(
                codec=_codec_name(a),
                sample_rate_hz=a.sample_rate if a.codec_context else 0,
                channels=a.channels if a.codec_context else 0,
                language=a.language,
                duration_s=_duration_in_header_s(a),
            )
            for a in tracks
            if isinstance(a, AudioStream)
        ),
        not_used=tuple(describe_unused_tracks(container, stream)),
    )


def _rate_from_header(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Return the frame rate in the headers; for raw streams the codec's own, as FFmpeg assumes 25 for all."""
    if container.format.name not in RAW_FORMATS:
        return stream.average_rate or stream.guessed_rate
    rate = stream.codec_context.framerate
    return rate if rate and rate <= MAX_RATE else None


def _codec_name(stream: AudioStream | SubtitleStream) -> str:
    """Return FFmpeg's name of a track's codec, or 'unknown'."""
    return stream.codec_context.name if stream.codec_context else "unknown"


def _duration_in_header_s(stream: Stream) -> float | None:
    """Return a track's duration in seconds from its header; None if the header states none."""
    return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None


def _sound_offset_s(container: InputContainer, stream: VideoStream) -> float | None:
    """Return the start of the pictures minus that of the earliest sound, in seconds; None without sound or times."""
    starts = sound_starts_s(container, stream)
    if not starts or stream.start_time is None or not stream.time_base:
        return None
    return float(stream.start_time * stream.time_base - min(starts))


def open_unedited(container: InputContainer) -> InputContainer:
    """Open a QuickTime file a second time, ignoring its edit lists. Raises av.error.FFmpegError."""
    return av.open(container.name, options={**SAFE_OPTIONS, "ignore_editlist": "1"}, metadata_errors="replace")


def timecode_of(container: InputContainer) -> str:
    """Return the SMPTE timecode of the first frame; '' without one."""
    tables = [container.metadata, *(s.metadata for s in (*container.streams.video, *container.streams.data))]
    return next((tags[key] for tags in tables for key in ("timecode", "TIMECODE") if tags.get(key)), "")


def probe(path: Path) -> MediaInfo:
    """Return the properties of a video from its headers. Raises MediaError if it cannot be read or has no video."""
    with open_media(path) as container:
        return read_media_info(container, picture_stream(container, path), path)


def side_tracks(container: InputContainer, pictures: VideoStream | None) -> list[AudioStream | SubtitleStream]:
    """Return the sound and subtitle tracks that belong to the pictures, sound first."""
    foreign = _foreign_tracks(container, pictures)
    streams: list[AudioStream | SubtitleStream] = [*container.streams.audio]
    streams += [s for s in container.streams.subtitles if s.discard != Discard.all]
    return [stream for stream in streams if stream.index not in foreign]


def describe_unused_tracks(container: InputContainer, pictures: VideoStream | None) -> list[str]:
    """Return a text on each sound and subtitle track that does not belong to the pictures."""
    foreign = _foreign_tracks(container, pictures)
    streams = (*container.streams.audio, *container.streams.subtitles)
    return [f"{_name_track(stream)} {foreign[stream.index]}" for stream in streams if stream.index in foreign]


def sound_starts_s(container: InputContainer, pictures: VideoStream | None) -> list[Fraction]:
    """Return the start times, in s, of the sound tracks that belong to the pictures."""
    return starts_s(s for s in side_tracks(container, pictures) if s.type == "audio")


def starts_s(streams: Iterable[Stream]) -> list[Fraction]:
    """Return the start times of these tracks, in s, from the headers; tracks without one are left out."""
    return [s.start_time * s.time_base for s in streams if s.start_time is not None and s.time_base]


def _foreign_tracks(container: InputContainer, pictures: Stream | None) -> dict[int, str]:
    """Return the reason, as text, for each track that does not belong to ``pictures``, by track number.

    Without pictures, the first sound track is the reference. Attached files and covers have no times and always belong.
    """
    lead = pictures or next(iter(container.streams.audio), None)
    if lead is None:
        return {}
    own_pids: set[int] = set()
    other_pids: set[int] = set()
    if container.format.name == "mpegts":
        path = Path(container.name.removeprefix("file:"))
        status = path.stat()
        for pids in _programmes(path, status.st_size, status.st_mtime_ns):
            (own_pids if lead.id in pids else other_pids).update(pids)
    foreign_pids = other_pids - own_pids if own_pids else set()
    foreign = {s.index: "of another programme" for s in container.streams if s.id in foreign_pids}
    for stream in container.streams:
        if stream.index not in foreign and (distance_s := _distance_s(container, stream, lead)) > MAX_TRACK_DISTANCE_S:
            foreign[stream.index] = f"{distance_s / 3600:.1f} h away from the pictures"
    return foreign


def _name_track(stream: Stream) -> str:
    """Return a track's name for a message: its kind, number, codec and language."""
    kind = "sound" if stream.type == "audio" else stream.type
    language = stream.metadata.get("language", "und")
    codec = stream.codec_context.name if stream.codec_context else "unknown codec"
    return f"{kind} track {stream.index} ({codec}{'' if language == 'und' else f', {language}'})"


def _distance_s(container: InputContainer, stream: Stream, lead: Stream) -> float:
    """Return the seconds between the end of one track and the start of the other; 0 if they overlap.

    It is also 0 if one of the tracks has no times. ``lead``: the track of the pictures, or the first sound track.
    """
    spans = []
    for one in (stream, lead):
        if one.start_time is None or not one.time_base:
            return 0.0
        start_s = float(one.start_time * one.time_base)
        spans.append((start_s, start_s + _duration_s(container, one)))
    (first, first_end), (second, second_end) = spans
    return max(first - second_end, second - first_end, 0.0)


def _duration_s(container: InputContainer, stream: Stream) -> float:
    """Return a track's duration in s: from its header, a Matroska tag, or else the file's; 0 if unknown."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    with suppress(ValueError):
        hours, minutes, seconds = stream.metadata.get("DURATION", "").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return (container.duration or 0) / av.time_base


@lru_cache(maxsize=16)
def _programmes(path: Path, size: int, modified_ns: int) -> tuple[frozenset[int], ...]:
    """Return the packet identifiers (PIDs) of each programme of a transport stream; () for at most one programme.

    They are read from the association and map tables of ISO/IEC 13818-1, 2.4.4. Size and modification time identify the
    file's version.
    """
    with path.open("rb") as file:
        head = file.read(TABLE_SEARCH_BYTES)
    map_pids: set[int] = set()
    for section in _sections(head, {0}):
        if section[0] == 0:
            entries = (section[at : at + 4] for at in range(8, len(section) - 7, 4))
            map_pids |= {_pid(entry, 2) for entry in entries if entry[:2] != b"\0\0"}  # 0 is the network's own table
    programmes: dict[int, set[int]] = {}
    for section in _sections(head, map_pids):
        if section[0] != 2:
            continue
        pids = programmes.setdefault(section[3] << 8 | section[4], set())
        at = 12 + _length(section, 10)
        while at + 5 <= len(section) - 4:
            pids.add(_pid(section, at + 1))
            at += 5 + _length(section, at + 3)
    return tuple(map(frozenset, programmes.values())) if len(programmes) > 1 else ()


def _sections(head: bytes, pids: set[int]) -> Iterator[bytes]:
    """Yield the complete table sections in the packets with these PIDs; ``head``: the start of a transport stream."""
    candidates = ((spacing, start) for spacing in TS_SPACINGS for start in range(spacing))
    layouts = ((n, s) for n, s in candidates if set(head[s : s + n * NUM_SYNC_PACKETS : n]) == {TS_SYNC_BYTE})
    spacing, start = next(layouts, (TS_PACKET_BYTES, 0))
    buffers: dict[int, bytes] = {}
    for at in range(start, len(head) - TS_PACKET_BYTES + 1, spacing):
        packet = head[at : at + TS_PACKET_BYTES]
        pid, has_payload, has_field = _pid(packet, 1), packet[3] & 0x10, packet[3] & 0x20
        if packet[0] != TS_SYNC_BYTE or pid not in pids or not has_payload:
            continue
        payload = packet[5 + packet[4] :] if has_field else packet[4:]
        if packet[1] & 0x40 and payload:  # A section begins in this packet, after the end of the previous one
            rest, payload = payload[1 : 1 + payload[0]], payload[1 + payload[0] :]
            yield from _complete_sections(buffers.get(pid, b"") + rest)
            buffers[pid] = b""
        elif pid not in buffers:
            continue
        buffers[pid] += payload
    for data in buffers.values():
        yield from _complete_sections(data)


def _complete_sections(data: bytes) -> Iterator[bytes]:
    """Yield the complete sections among the consecutive sections in ``data``."""
    while len(data) >= 12 and data[0] != 0xFF and len(data) >= (size := 3 + _length(data, 1)) >= 12:
        yield data[:size]
        data = data[size:]


def _pid(data: bytes, at: int) -> int:
    """Return the packet identifier (PID, 13 bits) at byte ``at`` of a packet or table."""
    return (data[at] & 0x1F) << 8 | data[at + 1]


def _length(data: bytes, at: int) -> int:
    """Return the length field (12 bits) at byte ``at`` of a table, in bytes."""
    return (data[at] & 0x0F) << 8 | data[at + 1]
