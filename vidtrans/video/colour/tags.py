"""The colour tags of ISO/IEC 23091-2: their numbers and names, the tags of frames, and defaults for untagged ones.

Pixels are converted elsewhere: by ``conversion``, and by ``hdr`` for high dynamic range and wide gamut.
"""

from __future__ import annotations

import av
from av.codec.context import CodecContext
from av.video.reformatter import ColorRange, Colorspace

PQ, HLG = 16, 18  # transfer characteristics
BT709, UNSPECIFIED, BT2020, P3_D65 = 1, 2, 9, 12  # colour primaries
HD_LINES = 720  # from which on an untagged video is BT.709

_HDR_TRANSFERS = {PQ: "PQ", HLG: "HLG"}
_SPACES = {0: "RGB", 1: "BT.709", 2: "untagged", 5: "BT.601", 6: "BT.601", 9: "BT.2020", 10: "BT.2020"}
_RANGES = {0: "untagged", 1: "limited", 2: "full"}
_TRANSFERS = {1: "BT.709", 2: "untagged", 6: "BT.601", 13: "sRGB", 16: "PQ (HDR)", 18: "HLG (HDR)"}
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}


def space_name(space: int) -> str:
    """Return the name of a colour space, or "untagged"."""
    return _SPACES.get(space, f"other ({space})")


def range_name(colour_range: int) -> str:
    """Return the name of a range of code values, or "untagged"."""
    return _RANGES.get(colour_range, "untagged")


def transfer_name(transfer: int) -> str:
    """Return the name of a transfer characteristic, or "untagged"."""
    return _TRANSFERS.get(transfer, f"other ({transfer})")


def colour_of(frame: av.VideoFrame) -> str:
    """Return the kind of non-BT.709 colours of a frame: "PQ", "HLG" or "wide"; '' where no mapping is needed."""
    wide = "wide" if int(frame.color_primaries) == BT2020 else ""
    return _HDR_TRANSFERS.get(int(frame.color_trc), wide)


def matrix_of(frame: av.VideoFrame) -> Colorspace:
    """Return the YUV matrix of a frame; an untagged one is guessed from its number of lines."""
    return _MATRICES.get(int(frame.colorspace), Colorspace.ITU709 if frame.height >= HD_LINES else Colorspace.ITU601)


def range_of(frame: av.VideoFrame) -> ColorRange:
    """Return the code range of a frame: limited unless its tag or its pixel format is full range."""
    full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    return ColorRange.JPEG if full else ColorRange.MPEG


def depth_of(frame: av.VideoFrame) -> int:
    """Return the bits per channel of a decoded frame."""
    return max((c.bits for c in frame.format.components), default=8)


def has_alpha(frame: av.VideoFrame) -> bool:
    """Return whether the pixel format of a frame has alpha, even if all pixels are opaque."""
    return any(c.is_alpha for c in frame.format.components)


def is_yuv(pix_fmt: str) -> bool:
    """Return whether an output pixel format is YUV; the others are RGB."""
    return pix_fmt.startswith(("yuv", "p010"))


def tag_bt709(context: CodecContext) -> None:
    """Tag an encoder's stream as BT.709, limited range."""
    context.colorspace = 1  # type: ignore[attr-defined]
    context.color_primaries = 1  # type: ignore[attr-defined]
    context.color_trc = 1  # type: ignore[attr-defined]
    context.color_range = 1  # type: ignore[attr-defined]
