"""Define the colour tags of ISO/IEC 23091-2 (ITU-T H.273): numbers, names, and the conversions that they stand for.

These are primaries with the matrices from them to BT.709, transfer curves with the light of their codes, and matrices
from YUV to RGB, some of which swscale lacks. ``conversion`` converts frames by these tags. The curve of common pictures
is that of sRGB (IEC 61966-2-1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

import cv2
import numpy as np
from av.codec.context import CodecContext
from av.video.reformatter import Colorspace

# White points, as chromaticities x, y.
D65, C, DCI, EQUAL_ENERGY, D60 = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351), (1 / 3, 1 / 3), (0.32168, 0.33767)
# Matrix from XYZ to Bradford's cone responses, for chromatic adaptation as in ICC profiles.
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_SMPTE_C = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))  # SMPTE C: chromaticities x, y of red, green, blue
_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))  # P3: chromaticities x, y of red, green, blue
LINEAR, SRGB, PQ, HLG = 8, 13, 16, 18  # Numbers of transfer characteristics
# Names of the transfer characteristics, by the number of their tag.
TRANSFERS = {
    1: "BT.709",
    2: "untagged",
    4: "gamma 2.2 (BT.470 M)",
    5: "gamma 2.8 (BT.470 BG)",
    6: "BT.601",
    7: "SMPTE 240M",
    LINEAR: "linear",
    9: "logarithmic (100:1)",
    10: "logarithmic (316:1)",
    11: "xvYCC (IEC 61966-2-4)",
    12: "BT.1361",
    SRGB: "sRGB",
    14: "BT.2020",
    15: "BT.2020",
    PQ: "PQ (HDR)",
    17: "gamma 2.6 (SMPTE 428)",
    HLG: "HLG (HDR)",
}
# ``conversion`` has PQ and HLG, ``light_of_codes`` is sRGB; the rest are cameras' curves, displayed like common video.
# Functions from codes to display light, both 0 … 1, by the number of the transfer's tag.
CURVES: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    4: lambda code: code**2.2,
    5: lambda code: code**2.8,
    LINEAR: lambda code: code,
    9: lambda code: np.where(code > 0, 10 ** (2 * (code - 1)), 0),
    10: lambda code: np.where(code > 0, 10 ** (2.5 * (code - 1)), 0),
    17: lambda code: code**2.6 * (52.37 / 48),  # White of 48 cd/m² has the code 0.967
}
BT709, UNSPECIFIED, BT2020, P3_D65 = 1, 2, 9, 12  # Numbers of colour primaries
SD_PRIMARIES = (5, 6, 7, 22)  # Numbers of the primaries of standard definition
HD_LINES = 720  # Height in lines from which an untagged YUV video counts as BT.709, not BT.601
HDR_TRANSFERS = {PQ: "PQ", HLG: "HLG"}  # Names of HDR transfers by number
# Names of YUV matrices by the number of their tag.
_MATRIX_NAMES = {
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
_RANGE_NAMES = {0: "untagged", 1: "limited", 2: "full"}  # Names of code ranges by FFmpeg's number
# swscale's YUV matrices by the number of their tag.
MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,  # An approximation
}
# Numbers of YUV matrices that swscale lacks.
GBR, YCGCO, BT2020_CONSTANT, CHROMATICITY_DERIVED = 0, 8, 10, 12
OWN_MATRICES = (GBR, YCGCO, CHROMATICITY_DERIVED)  # Numbers of the matrices that ``rgb_of_yuv`` applies


@dataclass(frozen=True)
class Primaries:
    """The chromaticities x, y (CIE 1931) of red, green, blue and white. Raises ValueError if they span no gamut.

    ``name``: of the standard, or a description.
    """

    name: str
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]
    white: tuple[float, float] = D65

    def __post_init__(self) -> None:
        """Raise ValueError if the primaries span no gamut."""
        values = self.chromaticities()
        if not (np.isfinite(values).all() and self.white[1] > 0 and abs(np.linalg.det(self._columns())) > 1e-3):
            raise ValueError(f"no primaries: {self.red}, {self.green}, {self.blue}, white {self.white}")

    def to_xyz(self) -> np.ndarray:
        """Return the matrix from linear RGB to CIE XYZ (SMPTE RP 177), (3, 3) float64; row [1] is the luminance."""
        columns = self._columns()
        return columns * np.linalg.solve(columns, _xyz(self.white))

    def to_bt709(self) -> np.ndarray:
        """Return the matrix from linear RGB to linear RGB of BT.709, (3, 3) float64; white becomes white (Bradford)."""
        adapted = self.to_xyz()
        if self.white != BT709_PRIMARIES.white:
            scale = (_BRADFORD @ _xyz(BT709_PRIMARIES.white)) / (_BRADFORD @ _xyz(self.white))
            adapted = np.linalg.inv(_BRADFORD) @ (scale[:, None] * (_BRADFORD @ adapted))
        return np.linalg.inv(BT709_PRIMARIES.to_xyz()) @ adapted

    def is_like(self, other: Primaries, tolerance: float = 5e-4) -> bool:
        """Return whether all chromaticities equal those of ``other``, up to rounding."""
        pairs = zip(self.chromaticities(), other.chromaticities(), strict=True)
        return all(abs(a - b) <= tolerance for a, b in pairs)

    def chromaticities(self) -> tuple[float, ...]:
        """Return x and y of red, green, blue and white, as eight numbers, in OpenEXR's order."""
        return (*self.red, *self.green, *self.blue, *self.white)

    def _columns(self) -> np.ndarray:
        """Return X, Y, Z of red, green and blue in the columns of a matrix, (3, 3), each up to a factor."""
        # The columns are not divided by y, which is 0 for the primaries X and Z; ``to_xyz`` scales them to white.
        return np.array([[x, y, 1 - x - y] for x, y in (self.red, self.green, self.blue)]).T


def _xyz(white: tuple[float, float]) -> np.ndarray:
    """Return X, Y, Z of a white point x, y, with the luminance Y = 1."""
    x, y = white
    return np.array([x / y, 1, (1 - x - y) / y])


BT709_PRIMARIES = Primaries("BT.709", (0.640, 0.330), (0.300, 0.600), (0.150, 0.060))  # HDTV and sRGB
ADOBE_RGB = Primaries("Adobe RGB", (0.640, 0.330), (0.210, 0.710), (0.150, 0.060))  # Of cameras and photographs
ACES_AP1 = Primaries("ACEScg (AP1)", (0.713, 0.293), (0.165, 0.830), (0.128, 0.044), D60)  # Working space of renderers
ACES_AP0 = Primaries("ACES (AP0)", (0.7347, 0.2653), (0.0, 1.0), (0.0001, -0.077), D60)  # ACES exchange files
# Primaries by the number of their tag; 2 is unspecified, 0 and 3 are reserved.
PRIMARIES = {
    1: BT709_PRIMARIES,
    4: Primaries("BT.470 M", (0.67, 0.33), (0.21, 0.71), (0.14, 0.08), C),
    5: Primaries("BT.470 BG", (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: Primaries("SMPTE 170M", *_SMPTE_C),
    7: Primaries("SMPTE 240M", *_SMPTE_C),
    8: Primaries("film", (0.681, 0.319), (0.243, 0.692), (0.145, 0.049), C),
    9: Primaries("BT.2020", (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    10: Primaries("CIE XYZ (SMPTE 428)", (1.0, 0.0), (0.0, 1.0), (0.0, 0.0), EQUAL_ENERGY),
    11: Primaries("P3 DCI (SMPTE 431)", *_P3, DCI),
    12: Primaries("P3 D65 (SMPTE 432)", *_P3),
    22: Primaries("EBU 3213", (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}


@lru_cache(maxsize=2)
def light_of_codes(dtype: str) -> np.ndarray:
    """Return the linear light, float32, of each sRGB code of the dtype ("uint8", "uint16")."""
    code = np.linspace(0, 1, np.iinfo(dtype).max + 1)
    light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


def code_of_light(light: np.ndarray) -> np.ndarray:
    """Return the sRGB codes of linear light, both float32 in [0, 1]."""
    bright = cv2.pow(np.maximum(light, np.float32(0.0031308)), 1 / 2.4) * np.float32(1.055) - np.float32(0.055)
    return np.where(light <= 0.0031308, light * np.float32(12.92), bright)


def space_name(space: int) -> str:
    """Return the name of a YUV matrix by its number: "untagged" for 2, "other (N)" if unknown."""
    return _MATRIX_NAMES.get(space, f"other ({space})")


def range_name(colour_range: int) -> str:
    """Return the name of a range of code values by FFmpeg's number, or "untagged"."""
    return _RANGE_NAMES.get(colour_range, "untagged")


def transfer_name(transfer: int) -> str:
    """Return the name of a transfer characteristic by its number: "untagged" for 2, "other (N)" if unknown."""
    return TRANSFERS.get(transfer, f"other ({transfer})")


def primaries_name(primaries: int) -> str:
    """Return the name of colour primaries by their number: "untagged" for 2, "other (N)" if unknown."""
    if primaries in PRIMARIES:
        return PRIMARIES[primaries].name
    return "untagged" if primaries == UNSPECIFIED else f"other ({primaries})"


@cache
def mapped_colours(primaries: int, transfer: int) -> str:
    """Return the kind of colours that must be mapped to BT.709: "PQ", "HLG", "wide" (BT.2020) or a description.

    Return '' if no mapping is needed. Arguments: the numbers of the tags.
    """
    if transfer in HDR_TRANSFERS:
        return HDR_TRANSFERS[transfer]
    if primaries == BT2020 and transfer not in (SRGB, *CURVES):
        return "wide"
    parts = [f"{PRIMARIES[primaries].name} primaries"] if primaries in PRIMARIES and primaries != BT709 else []
    if transfer in CURVES:
        parts.append(f"{transfer_name(transfer)} transfer")
    return ", ".join(parts)


@cache
def unread_tags(primaries: int, transfer: int, matrix: int) -> str:
    """Return a text on unsupported tags, as "primaries 19, matrix ICtCp"; '' without any.

    ``matrix``: the number of the YUV matrix; UNSPECIFIED if swscale does not convert the samples by it.
    """
    parts = [] if primaries in PRIMARIES or primaries == UNSPECIFIED else [f"primaries {primaries}"]
    parts += [] if transfer in TRANSFERS else [f"transfer {transfer}"]
    if matrix not in (UNSPECIFIED, *MATRICES) or matrix == BT2020_CONSTANT:
        parts.append(f"matrix {_MATRIX_NAMES.get(matrix, matrix)}")
    return ", ".join(parts)


def tag_bt709(context: CodecContext) -> None:
    """Tag an encoder's stream as BT.709, limited range."""
    context.colorspace = 1  # type: ignore[attr-defined]
    context.color_primaries = 1  # type: ignore[attr-defined]
    context.color_trc = 1  # type: ignore[attr-defined]
    context.color_range = 1  # type: ignore[attr-defined]


def rgb_of_yuv(yuv: np.ndarray, matrix: int, primaries: int, white: int, *, full: bool) -> np.ndarray:
    """Convert (H, W, 3) uint16 YUV to non-linear RGB, full range, (H, W, 3) uint16.

    ``matrix``: one of OWN_MATRICES. ``primaries``: their number, which determines the matrix CHROMATICITY_DERIVED.
    ``white``: the code of the highest sample; samples of fewer bits fill the upper bits. ``full``: full range, not
    limited.
    """
    offset, luma, chroma = (0, white, white) if full else (16 << 8, 219 << 8, 224 << 8)
    scales, offsets = np.array([luma, chroma, chroma]), np.array([offset, 1 << 15, 1 << 15])
    if matrix == GBR:  # The planes Y, U and V hold G, B and R
        scales, offsets = np.full(3, luma), np.full(3, offset)
    rows = _rgb_matrix(matrix, primaries) * (65535 / scales)
    affine = np.column_stack([rows, -rows @ offsets]).astype(np.float32)
    return np.rint(np.clip(cv2.transform(yuv.astype(np.float32), affine), 0, 65535)).astype(np.uint16)


def _rgb_matrix(matrix: int, primaries: int) -> np.ndarray:
    """Return the matrix from Y (0 … 1), U and V (−½ … ½) to RGB (0 … 1), by the tag numbers of matrix and primaries."""
    if matrix == GBR:
        return np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    if matrix == YCGCO:
        return np.array([[1.0, -1, 1], [1, 1, 0], [1, -1, -1]])
    red, green, blue = PRIMARIES.get(primaries, BT709_PRIMARIES).to_xyz()[1]
    to_red, to_blue = 2 * (1 - red), 2 * (1 - blue)
    return np.array([[1, 0, to_red], [1, -to_blue * blue / green, -to_red * red / green], [1, to_blue, 0]])
