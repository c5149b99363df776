"""The grid of the temporal filters: its size, and functions that scale and blur pictures."""

from __future__ import annotations

import cv2
import numpy as np

GRID_SHORT_SIDE = 270  # the filters' grid is at least twice as coarse as the picture, and no finer than this


def grid_factor(height: int, width: int) -> int:
    """Return the side in pixels of a square grid cell for pictures of this size."""
    return max(2, -(-min(height, width) // GRID_SHORT_SIDE))


def grid_size(height: int, width: int) -> tuple[int, int]:
    """Return the (width, height), in cells, of the grid for pictures of this size."""
    factor = grid_factor(height, width)
    return -(-width // factor), -(-height // factor)


def sample_grid(picture: np.ndarray) -> np.ndarray:
    """Sample a picture at the first pixel of each cell of its grid."""
    factor = grid_factor(*picture.shape[:2])
    return np.ascontiguousarray(picture[::factor, ::factor])


def shrink(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture's mean in each cell of a coarser grid of (width, height) ``size``."""
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def halve(picture: np.ndarray) -> np.ndarray:
    """Return a picture's mean in each 2 × 2 square, at half the size rounded up."""
    height, width = picture.shape[:2]
    return shrink(picture, (-(-width // 2), -(-height // 2)))


def grow(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarge a picture of a coarse grid to (width, height) ``size`` with linear interpolation."""
    return cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)


def blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Return a picture convolved with a Gaussian of σ pixels; the border is mirrored."""
    return cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
