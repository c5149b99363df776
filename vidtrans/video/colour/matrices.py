"""Matrices from YUV to RGB that swscale does not have: those of ITU-T H.273, by number."""

from __future__ import annotations

import cv2
import numpy as np

from vidtrans.video.colour.primaries import BT709, TAGGED
from vidtrans.video.colour.tags import DERIVED, GBR, YCGCO

OWN = (GBR, YCGCO, DERIVED)


def rgb_of_yuv(yuv: np.ndarray, matrix: int, primaries: int, white: int, *, full: bool) -> np.ndarray:
    """Return (H, W, 3) uint16 non-linear RGB, full range, of (H, W, 3) uint16 YUV.

    ``matrix``: one of OWN. ``primaries``: their number, from which the matrix DERIVED follows. ``white``: the code of
    the highest sample; samples of fewer bits fill the upper ones. ``full``: full range, not limited.
    """
    offset, luma, chroma = (0, white, white) if full else (16 << 8, 219 << 8, 224 << 8)
    scales, offsets = np.array([luma, chroma, chroma]), np.array([offset, 1 << 15, 1 << 15])
    if matrix == GBR:  # G, B and R lie where Y, U and V do
        scales, offsets = np.full(3, luma), np.full(3, offset)
    rows = _matrix(matrix, primaries) * (65535 / scales)
    affine = np.column_stack([rows, -rows @ offsets]).astype(np.float32)
    return np.rint(np.clip(cv2.transform(yuv.astype(np.float32), affine), 0, 65535)).astype(np.uint16)


def _matrix(matrix: int, primaries: int) -> np.ndarray:
    """Return the matrix from Y (0 … 1), U and V (−½ … ½) to RGB (0 … 1)."""
    if matrix == GBR:
        return np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    if matrix == YCGCO:
        return np.array([[1.0, -1, 1], [1, 1, 0], [1, -1, -1]])
    red, green, blue = TAGGED.get(primaries, BT709).to_xyz()[1]
    to_red, to_blue = 2 * (1 - red), 2 * (1 - blue)
    return np.array([[1, 0, to_red], [1, -to_blue * blue / green, -to_red * red / green], [1, to_blue, 0]])
