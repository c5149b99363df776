"""Style codes without torch: the value range of a code, and the constant input planes with which generators get it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Largest magnitude of a code's values; a standard normal distribution exceeds it once in 16,000 draws.
CODE_RANGE = 4.0
MAX_CODE_SIZE = 64  # Largest number of values in a code.


def plane_values(code: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the 8-bit plane values (size,) uint8 for a style code (size,) in [−4, 4]."""
    shares = (np.clip(np.asarray(code, np.float64) / CODE_RANGE, -1, 1) + 1) / 2
    return np.rint(255 * shares).astype(np.uint8)


def append_planes(picture: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return ``picture`` (H, W, C), uint8 or uint16, with a constant plane per value (P,) uint8: (H, W, C + P)."""
    planes = np.empty((*picture.shape[:2], len(values)), picture.dtype)
    planes[...] = values if picture.dtype == np.uint8 else values.astype(np.uint16) * 257
    return np.dstack([picture, planes])
