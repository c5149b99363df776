"""Classify and access the side data of tracks and frames: FFmpeg's whole list, with a decision on each kind.

``FRAME_KINDS`` and ``TRACK_KINDS`` have one entry for each kind, in the order of FFmpeg's numbers and under its names;
a contract test compares them with FFmpeg's own lists.

FFmpeg's demuxers attach cropping, Dolby Vision, stereo layout and projection to a track as side data, which PyAV hides.
FFmpeg's Matroska muxer writes them as elements, whatever the container was. The only access to them is therefore a
Matroska header in memory: its elements are read, or replaced before the header is opened again.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import av.error
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.stream import VideoStream

# (Matroska's name, text for messages) of stereo 3D layouts by (FFmpeg's number, whether the views are swapped).
STEREO = {
    (1, False): ("left_right", "side by side"),
    (1, True): ("right_left", "side by side, right eye first"),
    (2, False): ("top_bottom", "one above the other"),
    (2, True): ("bottom_top", "one above the other, right eye first"),
    (3, False): ("block_lr", "in turn"),
    (3, True): ("block_rl", "in turn, right eye first"),
    (4, False): ("checkerboard_lr", "in a checkerboard"),
    (4, True): ("checkerboard_rl", "in a checkerboard, right eye first"),
    (6, False): ("row_interleaved_lr", "in rows"),
    (6, True): ("row_interleaved_rl", "in rows, right eye first"),
    (7, False): ("col_interleaved_lr", "in columns"),
    (7, True): ("col_interleaved_rl", "in columns, right eye first"),
}
_UNKNOWN_STEREO = ("other", "in a layout without a name")  # (Name, text for messages) of all other stereo layouts
STEREO_TEXTS = dict([*STEREO.values(), _UNKNOWN_STEREO])  # Texts for messages on stereo layouts, by Matroska's name
# Names of the projections of spherical video, by FFmpeg's number.
PROJECTIONS = ("equirectangular", "cube map", "part of an equirectangular", "half equirectangular", "flat", "fisheye")
# Identifiers of Matroska elements (RFC 9559): the whole content, the list of tracks, a track, a group of packets.
_SEGMENT, _TRACKS, _ENTRY, _CLUSTER = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae", b"\x1f\x43\xb6\x75"
TRACK = (_SEGMENT, _TRACKS, _ENTRY)  # Path to a track, as identifiers of nested elements
VIDEO = (*TRACK, b"\xe0")  # Path to a track's video properties
CODEC_DELAY = (*TRACK, b"\x56\xaa")  # Path to the duration, in ns, at a track's start that players skip
# Identifiers of the crops at the left, top, right and bottom.
_CROPS = (b"\x54\xcc", b"\x54\xbb", b"\x54\xdd", b"\x54\xaa")
# Identifiers of display and stored width, display and stored height.
_SIZES = ((b"\x54\xb0", b"\xb0"), (b"\x54\xba", b"\xba"))
# Identifiers of the display size's unit, a track's UID, padding and a checksum.
_DISPLAY_UNIT, _NUMBER, _VOID, _CHECKSUM = b"\x54\xb2", b"\x73\xc5", b"\xec", b"\xbf"
HEADER_BYTES = 1 << 24  # Bytes at the start of a file that are searched for the description of the video track
PROJECTION = (*VIDEO, b"\x76\x70")  # Path to the projection of spherical video
_PROJECTION_KIND = b"\x76\x71"  # Identifier of the projection's type
# Identifiers of a track's additional data, their type and their content.
_ADDITION, _ADDITION_KIND, _ADDITION_DATA = b"\x41\xe4", b"\x41\xe7", b"\x41\xed"
_DOLBY_ELEMENTS = (b"dvcC", b"dvvC", b"dvwC")  # Types of additional data that configure Dolby Vision
# Dolby Vision profiles whose base layer depends on the number after the point, as in 8.1.
_DOLBY_PROFILES_WITH_COMPATIBILITY = (8, 10, 20)
# Dolby Vision profiles without a base layer for other decoders: the colours are IPT-PQ.
DOLBY_VISION_ONLY = ("5", "10.0", "20.0")
Crop = tuple[int, int, int, int]  # Pixels to remove at the left, top, right and bottom
NO_CROP: Crop = (0, 0, 0, 0)  # No pixels are removed


class Decision(Enum):
    """The handling of a kind of side data; the value describes it."""

    APPLIED = "the pictures are read as players show them"
    CARRIED = "written to results whose container has room for it, else reported as left out"
    LOST = "reported whenever the clip is used: a viewer would miss it"
    NAMED = "reported by probe: a result has no use for it"
    IRRELEVANT = "nothing: it describes how pictures are coded, or is no property of a video"


@dataclass(frozen=True)
class SideDataKind:
    """A kind of side data: the decision on its handling, and its name for messages, or the reason for the decision."""

    decision: Decision
    text: str = ""


# Kinds of side data without a text, by decision.
_APPLIED, _CARRIED, _IRRELEVANT = (SideDataKind(d) for d in (Decision.APPLIED, Decision.CARRIED, Decision.IRRELEVANT))
_OF_SOUND = SideDataKind(Decision.IRRELEVANT, "of sound, whose packets are copied")  # For all side data of sound
# For all side data of subtitles.
_OF_SUBTITLES = SideDataKind(Decision.IRRELEVANT, "of subtitles, whose packets are copied")
# Kinds that both frames and tracks have, from here to ``_EXIF``.
_CAPTIONS = SideDataKind(
    Decision.LOST, "closed captions within the pictures: not kept (ccextractor makes a subtitle file)"
)
_ASPECT = SideDataKind(Decision.NAMED, "active format description")  # The area with content
_MASTERING = SideDataKind(Decision.NAMED, "HDR mastering display")  # The display of the colourist
_LIGHT = SideDataKind(Decision.NAMED, "HDR light levels")  # Brightest pixel and brightest frame
_HDR_PLUS = SideDataKind(Decision.NAMED, "HDR10+")  # Tone curves of scenes
_AMBIENT = SideDataKind(Decision.NAMED, "ambient viewing environment")  # Light around the viewer
_TIMECODE = SideDataKind(Decision.NAMED, "timecodes of frames")  # SMPTE ST 12-1
_DOLBY = SideDataKind(Decision.NAMED, "Dolby Vision")  # Tone curves of scenes
# Enhancement of resolution.
_LAYER = SideDataKind(Decision.LOST, "a second, finer layer (LCEVC): only the base picture is read")
# The view of the second eye.
_VIEW = SideDataKind(
    Decision.LOST, "a second view (spatial video, MV-HEVC): only the first is read, so results are flat"
)
_EXIF = SideDataKind(Decision.NAMED, "EXIF")  # Data of the camera
# Kinds of side data of frames by FFmpeg's names, in the order of its numbers.
FRAME_KINDS = {
    "AVPanScan": SideDataKind(Decision.IRRELEVANT, "players show the whole picture"),
    "ATSC A53 Part 4 Closed Captions": _CAPTIONS,
    "Stereo 3D": _CARRIED,
    "AVMatrixEncoding": _OF_SOUND,
    "Metadata relevant to a downmix procedure": _OF_SOUND,
    "AVReplayGain": _OF_SOUND,
    "3x3 displaymatrix": _APPLIED,
    "Active format description": _ASPECT,
    "Motion vectors": _IRRELEVANT,
    "Skip samples": _OF_SOUND,
    "Audio service type": _OF_SOUND,
    "Mastering display metadata": _MASTERING,
    "GOP timecode": SideDataKind(Decision.IRRELEVANT, "counts from 0 in most files"),
    "Spherical Mapping": _CARRIED,
    "Content light level metadata": _LIGHT,
    "ICC profile": _APPLIED,
    "SMPTE 12-1 timecode": _TIMECODE,
    "HDR Dynamic Metadata SMPTE2094-40 (HDR10+)": _HDR_PLUS,
    "Regions Of Interest": _IRRELEVANT,
    "Video encoding parameters": _IRRELEVANT,
    "H.26[45] User Data Unregistered SEI message": SideDataKind(Decision.IRRELEVANT, "notes of encoders"),
    "Film grain parameters": SideDataKind(Decision.APPLIED, "by the decoders"),
    "Bounding boxes for object detection and classification": _IRRELEVANT,
    "Dolby Vision RPU Data": _DOLBY,
    "Dolby Vision Metadata": _DOLBY,
    "HDR Dynamic Metadata CUVA 005.1 2021 (Vivid)": SideDataKind(Decision.NAMED, "HDR Vivid"),
    "Ambient viewing environment": _AMBIENT,
    "Encoding video hint": _IRRELEVANT,
    "LCEVC NAL data": _LAYER,
    "View ID": _VIEW,
    "3D Reference Displays Information": SideDataKind(Decision.IRRELEVANT, "comes with a second view"),
    "EXIF metadata": _EXIF,
}
# Decoders pass most of them on to frames. The others are read by ``read_track_side_data`` or used by decoders.
# Kinds of side data of tracks by FFmpeg's names, in the order of its numbers.
TRACK_KINDS = {
    "Palette": _APPLIED,
    "New Extradata": _APPLIED,
    "Param Change": _APPLIED,
    "H263 MB Info": _IRRELEVANT,
    "Replay Gain": _OF_SOUND,
    "Display Matrix": _APPLIED,
    "Stereo 3D": _CARRIED,
    "Audio Service Type": _OF_SOUND,
    "Quality stats": _IRRELEVANT,
    "Fallback track": _IRRELEVANT,
    "CPB properties": _IRRELEVANT,
    "Skip Samples": _OF_SOUND,
    "JP Dual Mono": _OF_SOUND,
    "Strings Metadata": _IRRELEVANT,
    "Subtitle Position": _OF_SUBTITLES,
    "Matroska BlockAdditional": SideDataKind(Decision.APPLIED, "alpha of VP8 and VP9"),
    "WebVTT ID": _OF_SUBTITLES,
    "WebVTT Settings": _OF_SUBTITLES,
    "Metadata Update": _IRRELEVANT,
    "MPEGTS Stream ID": _IRRELEVANT,
    "Mastering display metadata": _MASTERING,
    "Spherical Mapping": _CARRIED,
    "Content light level metadata": _LIGHT,
    "A53 Closed Captions": _CAPTIONS,
    "Encryption initialization data": SideDataKind(Decision.IRRELEVANT, "encrypted pictures cannot be decoded"),
    "Encryption info": SideDataKind(Decision.IRRELEVANT, "encrypted pictures cannot be decoded"),
    "Active Format Description data": _ASPECT,
    "Producer Reference Time": _IRRELEVANT,
    "ICC Profile": _APPLIED,
    "DOVI configuration record": SideDataKind(
        Decision.NAMED, "Dolby Vision; without a compatible base layer it is refused"
    ),
    "SMPTE ST 12-1:2014 timecode": _TIMECODE,
    "HDR10+ Dynamic Metadata (SMPTE 2094-40)": _HDR_PLUS,
    "IAMF Mix Gain Parameter Data": _OF_SOUND,
    "IAMF Demixing Info Parameter Data": _OF_SOUND,
    "IAMF Recon Gain Info Parameter Data": _OF_SOUND,
    "Ambient viewing environment": _AMBIENT,
    "Frame Cropping": _APPLIED,
    "LCEVC NAL data": _LAYER,
    "3D Reference Displays Info": _IRRELEVANT,
    "RTCP Sender Report": _IRRELEVANT,
    "EXIF metadata": _EXIF,
}
_FRAME_NAMES = tuple(FRAME_KINDS)  # FFmpeg's names of the kinds of side data of frames, by number


_side_data_container: Any = SideDataContainer  # PyAV's class, untyped, because its stubs lack the argument


def side_data(frame: av.VideoFrame, kind: Type) -> bytes:
    """Return a frame's side data of a kind; b'' without any.

    Raises ValueError if the frame has a kind that PyAV has no name for, which hides all the others.

    ``frame.side_data`` would return the same, but PyAV keeps that object in the frame, and it refers to the frame: only
    the garbage collector frees such a cycle, and until then dozens to hundreds of decoded pictures stay in memory.
    """
    container = _side_data_container(frame)
    data = container.get(kind.name) if len(container) else None
    return b"" if data is None else bytes(data)


def has_side_data(frame: av.VideoFrame) -> bool:
    """Return whether a frame has side data, including kinds that PyAV has no name for."""
    try:
        return len(_side_data_container(frame)) > 0
    except ValueError:
        return True


def kinds_of(frame: av.VideoFrame) -> set[str]:
    """Return FFmpeg's names of the kinds of side data of a frame.

    A kind without a name in PyAV hides the others: then only that kind is returned.
    """
    try:
        numbers = [data.type.value for data in _side_data_container(frame)]
    except ValueError as error:  # "29 is not a valid Type"
        numbers = [int(number) for number in re.findall(r"^\d+", str(error))]
    return {_FRAME_NAMES[number] for number in numbers if number < len(_FRAME_NAMES)}


def stereo_of(frame: av.VideoFrame) -> str:
    """Return Matroska's name for the layout of the two views in a frame, or "other"; '' for one view."""
    data = side_data(frame, Type.STEREO3D)
    kind, flags = struct.unpack_from("<ii", data) if len(data) >= 8 else (0, 0)
    return STEREO.get((kind, bool(flags & 1)), _UNKNOWN_STEREO)[0] if kind else ""


def projection_of(frame: av.VideoFrame) -> str:
    """Return the name of a spherical frame's projection; '' for a flat frame."""
    data = side_data(frame, Type.SPHERICAL)
    kind = struct.unpack_from("<i", data)[0] if len(data) >= 4 else -1
    return PROJECTIONS[kind] if 0 <= kind < len(PROJECTIONS) else "unknown" if data else ""


def has_dolby_vision_only(frame: av.VideoFrame) -> bool:
    """Return whether a frame's Dolby Vision metadata are of profile 5, which other decoders show in wrong colours.

    The test is FFmpeg's own for files without a Dolby Vision header. The metadata begin with the offset of their
    header; its fifth byte is 0 and its eleventh is not.
    """
    data = side_data(frame, Type.DOVI_METADATA)
    at = struct.unpack_from("<Q", data)[0] if len(data) >= 8 else 0
    return 0 < at <= len(data) - 11 and data[at + 4] == 0 and data[at + 10] > 0


def can_hold_stereo(container: str, layout: str) -> bool:
    """Return whether FFmpeg can write a stereo layout (Matroska's name) into a container (FFmpeg's name)."""
    if container == "mov":  # FFmpeg writes Apple's box without the layout
        return False
    return layout in ("left_right", "top_bottom") or (container != "mp4" and layout != _UNKNOWN_STEREO[0])


def can_hold_projection(container: str, projection: str) -> bool:
    """Return whether FFmpeg can write a projection into a container, by FFmpeg's name."""
    return projection in PROJECTIONS[: 1 if container == "mov" else 3]


def texts_by_decision(kinds: Iterable[str], decision: Decision) -> list[str]:
    """Return the texts for messages on the ``kinds`` of frame side data whose handling is ``decision``."""
    return sorted({FRAME_KINDS[name].text for name in kinds if FRAME_KINDS[name].decision is decision})


@dataclass(frozen=True)
class TrackSideData:
    """The side data of a video track.

    ``crop``: pixels that players remove at the left, top, right and bottom of the stored picture. ``dolby_vision``: the
    profile, with its compatibility number where that matters ("8.4"); '' without. ``projection``: the content of
    Matroska's element for spherical video; b'' without.
    """

    crop: Crop = NO_CROP
    dolby_vision: str = ""
    projection: bytes = b""


def read_track_side_data(stream: VideoStream) -> TrackSideData:
    """Return the side data of a video track, from the Matroska header that FFmpeg writes for such a track.

    Return the defaults where Matroska cannot hold the track's codec.
    """
    if not (header := video_header(stream)):
        return TrackSideData()
    video = dict(_elements(_find(header, VIDEO)))
    left, top, right, bottom = (int.from_bytes(video.get(name, b"")) for name in _CROPS)
    inside = left + right < stream.width and top + bottom < stream.height
    projection = video.get(PROJECTION[-1], b"")
    is_spherical = int.from_bytes(_find(projection, (_PROJECTION_KIND,))) > 0  # 0 means that it is only a rotation
    return TrackSideData(
        (left, top, right, bottom) if inside else NO_CROP,
        _dolby_vision(_find(header, TRACK)),
        projection if is_spherical else b"",
    )


def _dolby_vision(entry: bytes) -> str:
    """Return the Dolby Vision profile in a track's elements, such as '8.1'; '' without one.

    The profile has 7 bits, after two version bytes.
    """
    for name, value in _elements(entry):
        addition = dict(_elements(value)) if name == _ADDITION else {}
        data = addition.get(_ADDITION_DATA, b"")
        if addition.get(_ADDITION_KIND) in _DOLBY_ELEMENTS and len(data) >= 5:
            profile = data[2] >> 1
            return f"{profile}.{data[4] >> 4}" if profile in _DOLBY_PROFILES_WITH_COMPATIBILITY else str(profile)
    return ""


def video_header(stream: VideoStream, tags: Mapping[str, str] | None = None) -> bytes:
    """Return a Matroska header with a video track like ``stream``; b'' where Matroska cannot hold its codec.

    ``tags``: of the track, by name. PyAV refuses codecs that Matroska has no name for, though FFmpeg writes them in
    QuickTime's or Microsoft's wrapping.
    """

    def add(out: OutputContainer) -> None:
        """Add a track like ``stream``, with the tags, to a container."""
        out.add_stream_from_template(stream, opaque=True).metadata.update(tags or {})

    def add_wrapped(out: OutputContainer) -> None:
        """Add the same track through FFmpeg's null filter, for codecs that PyAV refuses."""
        track = out.add_mux_stream("ffv1", width=stream.width, height=stream.height, time_base=stream.time_base)
        BitStreamFilterContext("null", stream, track)
        track.metadata.update(tags or {})

    for add_track in (add, add_wrapped):
        with suppress(av.error.FFmpegError, ValueError):
            return write_header(add_track)
    return b""


def write_header(add: Callable[[OutputContainer], object]) -> bytes:
    """Return a Matroska header with the tracks that ``add`` adds. Raises av.error.FFmpegError, ValueError."""
    header = BytesIO()
    out = av.open(header, "w", format="matroska", options={"fflags": "+bitexact"})
    try:
        add(out)
        out.start_encoding()
        return header.getvalue()
    finally:
        with suppress(av.error.FFmpegError, ValueError):  # Closing fails, because the file has no packets
            out.close()


def replace_elements(header: bytes, elements: Mapping[Sequence[bytes], bytes]) -> BytesIO:
    """Return a Matroska file without packets from a header, with new content of the elements at these paths."""
    for path, content in {**elements, (_SEGMENT, _CLUSTER): b"\xe7\x81\x00"}.items():  # A cluster ends the header
        header = _replace_element(header, path, content)
    return BytesIO(header)


def _replace_element(data: bytes, path: Sequence[bytes], content: bytes) -> bytes:
    """Return Matroska elements with new content of the first element at ``path``, which is added if missing."""
    first, rest = path[0], path[1:]
    result, is_replaced = b"", False
    for name, value in _elements(data):
        if name == first and not is_replaced:
            value, is_replaced = _replace_element(value, rest, content) if rest else content, True
        result += _element(name, value)
    if is_replaced:
        return result
    return result + _element(first, _replace_element(b"", rest, content) if rest else content)


def set_pixel_aspect(path: Path, aspect: Fraction) -> None:
    """Write the pixel aspect (width over height) into a Matroska file as its display size, because PyAV cannot.

    The space comes from shorter numbers, a checksum and reserved space. If there is not enough, nothing is written.
    """
    with path.open("r+b") as file:
        data = file.read(HEADER_BYTES)
        begin, end = _content_span(data, TRACK[:-1])
        tracks = b""
        for name, content in _elements(data[begin:end]):
            if name == _ENTRY and (video := dict(_elements(_find(content, VIDEO[-1:])))):
                width, height = (int.from_bytes(video.get(display, video[stored])) for display, stored in _SIZES)
                for (display, _), value in zip(_SIZES, (max(1, round(width * aspect)), height), strict=True):
                    video[display] = value.to_bytes((value.bit_length() + 7) // 8)
                video.pop(_DISPLAY_UNIT, None)  # The default unit is pixels
                entry = [(key, value.lstrip(b"\0") if key == _NUMBER else value) for key, value in _elements(content)]
                content = b"".join(_element(*item) for item in entry if item[0] != _VOID)
                content = _replace_element(content, VIDEO[-1:], b"".join(map(_element, video, video.values())))
            if name not in (_CHECKSUM, _VOID):
                tracks += _element(name, content)
        spare = end - begin - len(tracks)
        if spare == 0 or spare >= 2:
            num_size = 8 if spare >= 9 else 1
            filler = (1 << 7 * num_size | max(0, spare - 1 - num_size)).to_bytes(num_size)
            file.seek(begin)
            file.write((tracks + _VOID + filler).ljust(end - begin, b"\0")[: end - begin])


def _element(name: bytes, content: bytes) -> bytes:
    """Return a Matroska element, with its size in as few bytes as possible; all ones would mean an unknown size."""
    num_size = next(n for n in range(1, 9) if len(content) < (1 << 7 * n) - 1)
    return name + (1 << 7 * num_size | len(content)).to_bytes(num_size) + content


def _find(data: bytes, path: Sequence[bytes]) -> bytes:
    """Return the content of the first Matroska element at ``path``; b'' without one."""
    begin, end = _content_span(data, path)
    return data[begin:end]


def _content_span(data: bytes, path: Sequence[bytes]) -> tuple[int, int]:
    """Return begin and end of the content of the first Matroska element at ``path``; (0, 0) without one."""
    begin, end = 0, len(data)
    for name in path:
        inside = ((first, last) for other, first, last in _element_spans(data, begin, end) if other == name)
        begin, end = next(inside, (0, 0))
    return begin, end


def _elements(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (identifier, content) of consecutive Matroska elements that FFmpeg wrote."""
    return ((name, data[begin:end]) for name, begin, end in _element_spans(data, 0, len(data)))


def _element_spans(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (identifier, begin, end of the content) of Matroska elements; one of unknown size ends with ``data``."""
    while at < end:
        num_name = 9 - data[at].bit_length()
        name, at = data[at : at + num_name], at + num_name
        num_size = 9 - data[at].bit_length()
        unknown = (1 << 7 * num_size) - 1
        size, at = int.from_bytes(data[at : at + num_size]) & unknown, at + num_size
        last = end if size == unknown else min(end, at + size)
        yield name, at, last
        at = last
