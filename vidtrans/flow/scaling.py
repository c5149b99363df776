"""Sizes of the filters' grid, and pictures scaled to it and back."""

from __future__ import annotations

import cv2
import numpy as np

GRID_SHORT_SIDE = 270  # the filters' grid is at least twice as coarse as the picture, and no finer than this


def grid_factor(height: int, width: int) -> int:
    """Return how many pixels of a picture are one of its grid."""
    return max(2, -(-min(height, width) // GRID_SHORT_SIDE))


def grid_size(height: int, width: int) -> tuple[int, int]:
    """Return (width, height) of a picture's grid."""
    factor = grid_factor(height, width)
    return -(-width // factor), -(-height // factor)


def sample_grid(picture: np.ndarray) -> np.ndarray:
    """Return a picture's values at the first pixel of each cell of its grid."""
    factor = grid_factor(*picture.shape[:2])
    return np.ascontiguousarray(picture[::factor, ::factor])


def shrink(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture's mean in each cell of a coarser grid of (width, height) ``size``."""
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def halve(picture: np.ndarray) -> np.ndarray:
    """Return a picture's mean in each square of two pixels."""
    height, width = picture.shape[:2]
    return shrink(picture, (-(-width // 2), -(-height // 2)))


def grow(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture of a coarse grid at a larger (width, height) ``size``, interpolated linearly."""
    return cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)


def blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Return a picture convolved with a Gaussian of σ pixels; the border is mirrored."""
    return cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
