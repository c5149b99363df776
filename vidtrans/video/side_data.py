"""The side data of tracks and frames: FFmpeg's whole list with a decision on each kind, and access to a frame's.

``FRAME_KINDS`` and ``TRACK_KINDS`` have one entry for each kind, in the order of FFmpeg's numbers and under its names;
a contract test compares them with FFmpeg's own lists.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import av
from av.sidedata.sidedata import SideDataContainer, Type


class Decision(Enum):
    """What is done about a kind of side data."""

    APPLIED = "the pictures are read as players show them"
    CARRIED = "written to results whose container has room for it, else reported as left out"
    LOST = "reported whenever the clip is used: a viewer would miss it"
    NAMED = "reported by probe: a result has no use for it"
    MOOT = "nothing: it describes how pictures are coded, or is no property of a video"


@dataclass(frozen=True)
class Kind:
    """A kind of side data: the decision on it, and its name in messages, or the reason."""

    decision: Decision
    text: str = ""


_APPLIED, _CARRIED, _MOOT = (Kind(d) for d in (Decision.APPLIED, Decision.CARRIED, Decision.MOOT))
_OF_SOUND = Kind(Decision.MOOT, "of sound, whose packets are copied")
_OF_SUBTITLES = Kind(Decision.MOOT, "of subtitles, whose packets are copied")
_CAPTIONS = Kind(Decision.LOST, "closed captions within the pictures: not kept (ccextractor makes a subtitle file)")
_ASPECT = Kind(Decision.NAMED, "active format description")
_MASTERING = Kind(Decision.NAMED, "HDR mastering display")
_LIGHT = Kind(Decision.NAMED, "HDR light levels")
_HDR_PLUS = Kind(Decision.NAMED, "HDR10+")
_AMBIENT = Kind(Decision.NAMED, "ambient viewing environment")
_TIMECODE = Kind(Decision.NAMED, "timecodes of frames")
_DOLBY = Kind(Decision.NAMED, "Dolby Vision")
_LAYER = Kind(Decision.LOST, "a second, finer layer (LCEVC): only the base picture is read")
_VIEW = Kind(Decision.LOST, "a second view (spatial video, MV-HEVC): only the first is read, so results are flat")
_EXIF = Kind(Decision.NAMED, "EXIF")

FRAME_KINDS = {
    "AVPanScan": Kind(Decision.MOOT, "players show the whole picture"),
    "ATSC A53 Part 4 Closed Captions": _CAPTIONS,
    "Stereo 3D": _CARRIED,
    "AVMatrixEncoding": _OF_SOUND,
    "Metadata relevant to a downmix procedure": _OF_SOUND,
    "AVReplayGain": _OF_SOUND,
    "3x3 displaymatrix": _APPLIED,
    "Active format description": _ASPECT,
    "Motion vectors": _MOOT,
    "Skip samples": _OF_SOUND,
    "Audio service type": _OF_SOUND,
    "Mastering display metadata": _MASTERING,
    "GOP timecode": Kind(Decision.MOOT, "counts from 0 in most files"),
    "Spherical Mapping": _CARRIED,
    "Content light level metadata": _LIGHT,
    "ICC profile": _APPLIED,
    "SMPTE 12-1 timecode": _TIMECODE,
    "HDR Dynamic Metadata SMPTE2094-40 (HDR10+)": _HDR_PLUS,
    "Regions Of Interest": _MOOT,
    "Video encoding parameters": _MOOT,
    "H.26[45] User Data Unregistered SEI message": Kind(Decision.MOOT, "notes of encoders"),
    "Film grain parameters": Kind(Decision.APPLIED, "by the decoders"),
    "Bounding boxes for object detection and classification": _MOOT,
    "Dolby Vision RPU Data": _DOLBY,
    "Dolby Vision Metadata": _DOLBY,
    "HDR Dynamic Metadata CUVA 005.1 2021 (Vivid)": Kind(Decision.NAMED, "HDR Vivid"),
    "Ambient viewing environment": _AMBIENT,
    "Encoding video hint": _MOOT,
    "LCEVC NAL data": _LAYER,
    "View ID": _VIEW,
    "3D Reference Displays Information": Kind(Decision.MOOT, "comes with a second view"),
    "EXIF metadata": _EXIF,
}

# Decoders pass most of these on to frames. The others are read by ``track_header`` or used by decoders.
TRACK_KINDS = {
    "Palette": _APPLIED,
    "New Extradata": _APPLIED,
    "Param Change": _APPLIED,
    "H263 MB Info": _MOOT,
    "Replay Gain": _OF_SOUND,
    "Display Matrix": _APPLIED,
    "Stereo 3D": _CARRIED,
    "Audio Service Type": _OF_SOUND,
    "Quality stats": _MOOT,
    "Fallback track": _MOOT,
    "CPB properties": _MOOT,
    "Skip Samples": _OF_SOUND,
    "JP Dual Mono": _OF_SOUND,
    "Strings Metadata": _MOOT,
    "Subtitle Position": _OF_SUBTITLES,
    "Matroska BlockAdditional": Kind(Decision.APPLIED, "alpha of VP8 and VP9"),
    "WebVTT ID": _OF_SUBTITLES,
    "WebVTT Settings": _OF_SUBTITLES,
    "Metadata Update": _MOOT,
    "MPEGTS Stream ID": _MOOT,
    "Mastering display metadata": _MASTERING,
    "Spherical Mapping": _CARRIED,
    "Content light level metadata": _LIGHT,
    "A53 Closed Captions": _CAPTIONS,
    "Encryption initialization data": Kind(Decision.MOOT, "encrypted pictures cannot be decoded"),
    "Encryption info": Kind(Decision.MOOT, "encrypted pictures cannot be decoded"),
    "Active Format Description data": _ASPECT,
    "Producer Reference Time": _MOOT,
    "ICC Profile": _APPLIED,
    "DOVI configuration record": Kind(Decision.NAMED, "Dolby Vision; without a compatible base layer it is refused"),
    "SMPTE ST 12-1:2014 timecode": _TIMECODE,
    "HDR10+ Dynamic Metadata (SMPTE 2094-40)": _HDR_PLUS,
    "IAMF Mix Gain Parameter Data": _OF_SOUND,
    "IAMF Demixing Info Parameter Data": _OF_SOUND,
    "IAMF Recon Gain Info Parameter Data": _OF_SOUND,
    "Ambient viewing environment": _AMBIENT,
    "Frame Cropping": _APPLIED,
    "LCEVC NAL data": _LAYER,
    "3D Reference Displays Info": _MOOT,
    "RTCP Sender Report": _MOOT,
    "EXIF metadata": _EXIF,
}

_FRAME_NAMES = tuple(FRAME_KINDS)
# Layouts of stereo 3D, by FFmpeg's number and whether the views are exchanged: Matroska's name and a plain one.
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
_OTHER_STEREO = ("other", "in a layout without a name")
STEREO_WORDS = dict([*STEREO.values(), _OTHER_STEREO])
# Projections of spherical video, by FFmpeg's number.
PROJECTIONS = ("equirectangular", "cube map", "part of an equirectangular", "half equirectangular", "flat", "fisheye")


def side_data(frame: av.VideoFrame, kind: Type) -> bytes:
    """Return a frame's side data of a kind, b'' without any.

    Raises ValueError if the frame has a kind that PyAV has no name for, which hides all the others.

    ``frame.side_data`` would do the same, but PyAV keeps it in the frame, and it refers to the frame: only the garbage
    collector frees such a circle, and until it runs, dozens to hundreds of decoded pictures stay in memory.
    """
    make: Any = SideDataContainer  # whose stubs have no arguments
    container = make(frame)
    found = container.get(kind.name) if len(container) else None
    return b"" if found is None else bytes(found)


def kinds_of(frame: av.VideoFrame) -> set[str]:
    """Return FFmpeg's names of the kinds of side data of a frame; where PyAV does not know one, that kind only."""
    make: Any = SideDataContainer
    try:
        numbers = [data.type.value for data in make(frame)]
    except ValueError as error:  # "29 is not a valid Type"
        numbers = [int(number) for number in re.findall(r"^\d+", str(error))]
    return {_FRAME_NAMES[number] for number in numbers if number < len(_FRAME_NAMES)}


def stereo_of(frame: av.VideoFrame) -> str:
    """Return Matroska's name for the layout of the two views in a frame, or "other"; '' for one view."""
    data = side_data(frame, Type.STEREO3D)
    kind, flags = struct.unpack_from("<ii", data) if len(data) >= 8 else (0, 0)
    return STEREO.get((kind, bool(flags & 1)), _OTHER_STEREO)[0] if kind else ""


def projection_of(frame: av.VideoFrame) -> str:
    """Return the projection of a spherical frame; '' for a flat one."""
    data = side_data(frame, Type.SPHERICAL)
    kind = struct.unpack_from("<i", data)[0] if len(data) >= 4 else -1
    return PROJECTIONS[kind] if 0 <= kind < len(PROJECTIONS) else "unknown" if data else ""


def has_dolby_vision_only(frame: av.VideoFrame) -> bool:
    """Return whether a frame's Dolby Vision metadata are those of profile 5, as FFmpeg guesses it without a header.

    The metadata begin with the offset of their header; its fifth byte is 0 and its eleventh is not.
    """
    data = side_data(frame, Type.DOVI_METADATA)
    at = struct.unpack_from("<Q", data)[0] if len(data) >= 8 else 0
    return 0 < at <= len(data) - 11 and data[at + 4] == 0 and data[at + 10] > 0


def holds_stereo(kind: str, layout: str) -> bool:
    """Return whether FFmpeg writes a layout of stereo 3D, by Matroska's name, into a container, by FFmpeg's name."""
    if kind == "mov":  # there FFmpeg writes Apple's box without the layout
        return False
    return layout in ("left_right", "top_bottom") or (kind != "mp4" and layout != _OTHER_STEREO[0])


def holds_projection(kind: str, projection: str) -> bool:
    """Return whether FFmpeg writes a projection into a container, by FFmpeg's name."""
    return projection in PROJECTIONS[: 1 if kind == "mov" else 3]


def texts_of(kinds: Iterable[str], decision: Decision) -> list[str]:
    """Return the texts of those kinds of a frame's side data on which this is the decision."""
    return sorted({FRAME_KINDS[name].text for name in kinds if FRAME_KINDS[name].decision is decision})
