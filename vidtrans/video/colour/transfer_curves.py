"""Transfer characteristics of ISO/IEC 23091-2 (ITU-T H.273): their names, and the light that their codes stand for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

LINEAR, SRGB, PQ, HLG = 8, 13, 16, 18
NAMES = {
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


# From codes to display light, both 0 … 1, for curves other than that of common video; PQ and HLG are in ``hdr``, sRGB
# in ``srgb``. The rest are cameras' curves, which the same displays show.
CURVES: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    4: lambda code: code**2.2,
    5: lambda code: code**2.8,
    LINEAR: lambda code: code,
    9: lambda code: np.where(code > 0, 10 ** (2 * (code - 1)), 0),
    10: lambda code: np.where(code > 0, 10 ** (2.5 * (code - 1)), 0),
    17: lambda code: code**2.6 * (52.37 / 48),  # white of 48 cd/m² has the code 0.967
}
