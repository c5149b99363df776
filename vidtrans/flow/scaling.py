"""The grid of the temporal filters: its size, and functions that scale and blur pictures."""

from __future__ import annotations

from math import gcd

import cv2
import numpy as np

GRID_SHORT_SIDE = 270  # the filters' grid is at least twice as coarse as the picture, and no finer than this
MOST_ROWS = 32  # a part of this height at most is enlarged alone


def grid_factor(height: int, width: int) -> int:
    """Return the side in pixels of a square grid cell for pictures of this size."""
    return max(2, -(-min(height, width) // GRID_SHORT_SIDE))


def grid_size(height: int, width: int) -> tuple[int, int]:
    """Return the (width, height), in cells, of the grid for pictures of this size."""
    factor = grid_factor(height, width)
    return -(-width // factor), -(-height // factor)


def write_grid_samples(band: np.ndarray, rows: slice, on_grid: np.ndarray, factor: int) -> None:
    """Sample ``rows`` of a picture, of which ``band`` has only these, at the first pixel of each cell of its grid.

    Writes the samples to ``on_grid``, which is of the whole grid; ``factor`` is that of ``grid_factor``.
    """
    first = -(-rows.start // factor)
    found = band[first * factor - rows.start :: factor, ::factor]
    on_grid[first : first + len(found)] = found


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


class Enlarged:
    """A picture of a coarse grid at a full size, as by ``grow``, whose rows are computed when they are read."""

    def __init__(self, picture: np.ndarray, height: int, width: int) -> None:
        """A picture that has the full size already is used as it is."""
        self._picture, self._width = picture, width
        # Parts begin at a pixel and at a cell, so that each can be enlarged alone, with its neighbours.
        self._parts = gcd(height, len(picture))
        self._tall, self._small = height // self._parts, len(picture) // self._parts
        self._whole: np.ndarray | None = None
        if picture.shape[:2] == (height, width):
            self._whole = picture
        elif self._tall > MOST_ROWS:
            self._whole = grow(picture, (width, height))

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return the rows from ``rows.start`` to ``rows.stop``."""
        if self._whole is not None:
            return self._whole[rows]
        first, last = max(0, rows.start // self._tall - 1), min(self._parts, -(-rows.stop // self._tall) + 1)
        part = grow(self._picture[first * self._small : last * self._small], (self._width, (last - first) * self._tall))
        return part[rows.start - first * self._tall : rows.stop - first * self._tall]


def blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Return a picture convolved with a Gaussian of σ pixels; the border is mirrored."""
    return cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
