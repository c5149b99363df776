"""The colour tags of ISO/IEC 23091-2: their numbers and names, and defaults for untagged videos.

``conversion`` converts frames by these tags, ``hdr`` those of high dynamic range and wide gamut.
"""

from __future__ import annotations

from functools import cache

from av.codec.context import CodecContext
from av.video.reformatter import Colorspace

from vidtrans.video.colour.primaries import TAGGED
from vidtrans.video.colour.transfer_curves import CURVES, HLG, PQ, SRGB
from vidtrans.video.colour.transfer_curves import NAMES as TRANSFERS

BT709, UNSPECIFIED, BT2020, P3_D65 = 1, 2, 9, 12  # colour primaries
SD_PRIMARIES = (5, 6, 7, 22)
HD_LINES = 720  # from which on an untagged video is BT.709

HDR_TRANSFERS = {PQ: "PQ", HLG: "HLG"}
_SPACES = {
    0: "RGB",
    1: "BT.709",
    2: "untagged",
    4: "FCC",
    5: "BT.601",
    6: "BT.601",
    7: "SMPTE 240M",
    8: "YCgCo",
    9: "BT.2020",
    10: "BT.2020 constant luminance",
    11: "SMPTE 2085",
    12: "chromaticity-derived",
    13: "chromaticity-derived constant luminance",
    14: "ICtCp",
    15: "IPT-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
_RANGES = {0: "untagged", 1: "limited", 2: "full"}
MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,  # an approximation
}
# Matrices that swscale does not have; ``matrices`` has them.
GBR, YCGCO, BT2020_CONSTANT, DERIVED = 0, 8, 10, 12


def space_name(space: int) -> str:
    """Return the name of a YUV matrix by its number: "untagged" for 2, "other (N)" if unknown."""
    return _SPACES.get(space, f"other ({space})")


def range_name(colour_range: int) -> str:
    """Return the name of a range of code values by FFmpeg's number, or "untagged"."""
    return _RANGES.get(colour_range, "untagged")


def transfer_name(transfer: int) -> str:
    """Return the name of a transfer characteristic by its number: "untagged" for 2, "other (N)" if unknown."""
    return TRANSFERS.get(transfer, f"other ({transfer})")


def primaries_name(primaries: int) -> str:
    """Return the name of colour primaries by their number: "untagged" for 2, "other (N)" if unknown."""
    if primaries in TAGGED:
        return TAGGED[primaries].name
    return "untagged" if primaries == UNSPECIFIED else f"other ({primaries})"


@cache
def mapped_colours(primaries: int, transfer: int) -> str:
    """Return the kind of colours that are mapped to BT.709: "PQ", "HLG", "wide" or a description; '' for none."""
    if transfer in HDR_TRANSFERS:
        return HDR_TRANSFERS[transfer]
    if primaries == BT2020 and transfer not in (SRGB, *CURVES):
        return "wide"
    parts = [f"{TAGGED[primaries].name} primaries"] if primaries in TAGGED and primaries != BT709 else []
    if transfer in CURVES:
        parts.append(f"{transfer_name(transfer)} transfer")
    return ", ".join(parts)


@cache
def unread_tags(primaries: int, transfer: int, matrix: int) -> str:
    """Return the tags that are not acted upon, as "primaries 19, matrix ICtCp"; '' where there are none.

    ``matrix``: the number of the YUV matrix; UNSPECIFIED if swscale does not convert the samples by it.
    """
    parts = [] if primaries in TAGGED or primaries == UNSPECIFIED else [f"primaries {primaries}"]
    parts += [] if transfer in TRANSFERS else [f"transfer {transfer}"]
    if matrix not in (UNSPECIFIED, *MATRICES) or matrix == BT2020_CONSTANT:
        parts.append(f"matrix {_SPACES.get(matrix, matrix)}")
    return ", ".join(parts)


def tag_bt709(context: CodecContext) -> None:
    """Tag an encoder's stream as BT.709, limited range."""
    context.colorspace = 1  # type: ignore[attr-defined]
    context.color_primaries = 1  # type: ignore[attr-defined]
    context.color_trc = 1  # type: ignore[attr-defined]
    context.color_range = 1  # type: ignore[attr-defined]
