"""Colour primaries: those of ISO/IEC 23091-2 (ITU-T H.273) by number, and the matrices from them to BT.709."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

D65, C, DCI, EQUAL, D60 = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351), (1 / 3, 1 / 3), (0.32168, 0.33767)
# Chromatic adaptation by Bradford's cone responses, as in ICC profiles.
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@dataclass(frozen=True)
class Primaries:
    """The chromaticities x, y (CIE 1931) of red, green, blue and white. Raises ValueError where they span no colours.

    ``name``: of the standard, or a description.
    """

    name: str
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]
    white: tuple[float, float] = D65

    def __post_init__(self) -> None:
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
        if self.white != BT709.white:
            scale = (_BRADFORD @ _xyz(BT709.white)) / (_BRADFORD @ _xyz(self.white))
            adapted = np.linalg.inv(_BRADFORD) @ (scale[:, None] * (_BRADFORD @ adapted))
        return np.linalg.inv(BT709.to_xyz()) @ adapted

    def is_like(self, other: Primaries, tolerance: float = 5e-4) -> bool:
        """Return whether all chromaticities are equal up to rounding."""
        pairs = zip(self.chromaticities(), other.chromaticities(), strict=True)
        return all(abs(a - b) <= tolerance for a, b in pairs)

    def chromaticities(self) -> tuple[float, ...]:
        """Return x and y of red, green, blue and white, as eight numbers: the order of OpenEXR."""
        return (*self.red, *self.green, *self.blue, *self.white)

    def _columns(self) -> np.ndarray:
        # Not divided by y, which is 0 for the primaries X and Z; solving for white scales the columns anyway.
        return np.array([[x, y, 1 - x - y] for x, y in (self.red, self.green, self.blue)]).T


def _xyz(white: tuple[float, float]) -> np.ndarray:
    x, y = white
    return np.array([x / y, 1, (1 - x - y) / y])


BT709 = Primaries("BT.709", (0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
ADOBE_RGB = Primaries("Adobe RGB", (0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
ACES_AP1 = Primaries("ACEScg (AP1)", (0.713, 0.293), (0.165, 0.830), (0.128, 0.044), D60)
ACES_AP0 = Primaries("ACES (AP0)", (0.7347, 0.2653), (0.0, 1.0), (0.0001, -0.077), D60)
_SMPTE_C = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))
_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
# By the number of a tag; 2 is unspecified, 0 and 3 are reserved.
TAGGED = {
    1: BT709,
    4: Primaries("BT.470 M", (0.67, 0.33), (0.21, 0.71), (0.14, 0.08), C),
    5: Primaries("BT.470 BG", (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: Primaries("SMPTE 170M", *_SMPTE_C),
    7: Primaries("SMPTE 240M", *_SMPTE_C),
    8: Primaries("film", (0.681, 0.319), (0.243, 0.692), (0.145, 0.049), C),
    9: Primaries("BT.2020", (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    10: Primaries("CIE XYZ (SMPTE 428)", (1.0, 0.0), (0.0, 1.0), (0.0, 0.0), EQUAL),
    11: Primaries("P3 DCI (SMPTE 431)", *_P3, DCI),
    12: Primaries("P3 D65 (SMPTE 432)", *_P3),
    22: Primaries("EBU 3213", (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
