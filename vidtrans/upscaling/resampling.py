"""Resampling of float pictures: sizes, back-projection, and what a smaller picture cannot show.

Pictures are (H, W, C) or (H, W) float32; a size is (width, height).
"""

from __future__ import annotations

import cv2
import numpy as np

Size = tuple[int, int]
BACK_PROJECTIONS = 3  # of the output; a fourth changes a picture by less than a level


def size_of(picture: np.ndarray) -> Size:
    """Return the (width, height) of a picture."""
    return picture.shape[1], picture.shape[0]


def shrink(picture: np.ndarray, size: Size) -> np.ndarray:
    """Shrink by area averaging."""
    return _with_channels(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), picture)


def enlarge(picture: np.ndarray, size: Size) -> np.ndarray:
    """Enlarge by bicubic interpolation."""
    return _with_channels(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), picture)


def spread(picture: np.ndarray, size: Size) -> np.ndarray:
    """Enlarge by bilinear interpolation, which never overshoots: for maps and limits."""
    return _with_channels(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), picture)


def back_project(picture: np.ndarray, size: Size, times: int) -> np.ndarray:
    """Return a picture of the same size which, enlarged to ``size`` and shrunk again, is nearly ``picture``."""
    corrected = picture
    for _ in range(times):
        corrected = cv2.add(corrected, cv2.subtract(picture, shrink(enlarge(corrected, size), size_of(picture))))
    return corrected


def unseen(picture: np.ndarray, size: Size) -> np.ndarray:
    """Return what of a picture its shrunk version of ``size`` does not show: a difference around 0."""
    whole = size_of(picture)
    return cv2.subtract(picture, enlarge(back_project(shrink(picture, size), whole, 1), whole))


def extremes(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and the largest value around each pixel, within one pixel."""
    around = np.ones((3, 3), np.uint8)
    return _with_channels(cv2.erode(picture, around), picture), _with_channels(cv2.dilate(picture, around), picture)


def _with_channels(made: np.ndarray, given: np.ndarray) -> np.ndarray:
    return made if made.ndim == given.ndim else made[..., None]  # OpenCV drops a single channel
