"""The colour tags of ISO/IEC 23091-2: their numbers and names, and defaults for untagged videos.

Frames are read by them in ``conversion``, and in ``hdr`` for high dynamic range and wide gamut.
"""

from __future__ import annotations

from av.codec.context import CodecContext
from av.video.reformatter import Colorspace

PQ, HLG = 16, 18  # transfer characteristics
BT709, UNSPECIFIED, BT2020, P3_D65 = 1, 2, 9, 12  # colour primaries
HD_LINES = 720  # from which on an untagged video is BT.709

HDR_TRANSFERS = {PQ: "PQ", HLG: "HLG"}
_SPACES = {0: "RGB", 1: "BT.709", 2: "untagged", 5: "BT.601", 6: "BT.601", 9: "BT.2020", 10: "BT.2020"}
_RANGES = {0: "untagged", 1: "limited", 2: "full"}
_TRANSFERS = {1: "BT.709", 2: "untagged", 6: "BT.601", 13: "sRGB", 16: "PQ (HDR)", 18: "HLG (HDR)"}
MATRICES = {
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


def tag_bt709(context: CodecContext) -> None:
    """Tag an encoder's stream as BT.709, limited range."""
    context.colorspace = 1  # type: ignore[attr-defined]
    context.color_primaries = 1  # type: ignore[attr-defined]
    context.color_trc = 1  # type: ignore[attr-defined]
    context.color_range = 1  # type: ignore[attr-defined]
