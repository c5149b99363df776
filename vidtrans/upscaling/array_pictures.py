"""Upscaling's operations on arrays, by OpenCV: pictures (H, W, 3) float32, maps (H, W), sizes (width, height).

Large pictures are processed strip by strip: a strip fits in the processor's cache, which halves the time, and few
pictures of the result's size are in memory as a whole. ``tensor_pictures`` has the same operations for tensors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import cv2
import numpy as np

from vidtrans.flow.warping import grow, shrink

Size = tuple[int, int]  # (width, height) in pixels
STRIP_PIXELS = 2**15  # Approximate number of pixels in a strip of rows
# Limit of the multiplications in one matrix product: BLAS divides larger ones among threads, which wait for each other
MAX_PRODUCT = 2**18
enlarge_linear = grow  # Bilinear interpolation, which never overshoots; ``shrink`` is an operation, too
KERNEL_ROW_PX, MAX_FACTOR = 64, 32  # Length of the row in which the kernel is measured; largest scale factor


def strips(size: Size) -> list[slice]:
    """Return the ranges of rows (strips) in which a picture is processed."""
    width, height = size
    rows = max(1, STRIP_PIXELS // width)
    return [slice(first, min(first + rows, height)) for first in range(0, height, rows)]


def strip_of(picture: np.ndarray, rows: slice) -> np.ndarray:
    """Return rows of a picture of any dtype as float32 in [0, 1]."""
    return unit(picture[rows])


def join_strips(parts: Iterable[np.ndarray]) -> np.ndarray:
    """Join consecutive strips to a picture."""
    return np.concatenate(list(parts))


def unit(picture: np.ndarray) -> np.ndarray:
    """Convert a picture of any dtype to float32 in [0, 1]."""
    if picture.dtype == np.float32:
        return picture
    return picture * np.float32(1 / np.iinfo(picture.dtype).max)


class EnlargedArray:
    """A picture or a map at a larger size, computed by strips on demand.

    ``is_limited``: by bilinear interpolation, which never overshoots; otherwise bicubic.
    """

    def __init__(self, picture: np.ndarray, size: Size, *, is_limited: bool = False) -> None:
        height, method = len(picture), cv2.INTER_LINEAR if is_limited else cv2.INTER_CUBIC
        wide = cv2.resize(picture, (size[0], height), interpolation=method)
        self._rows, self._shape = wide.reshape(height, -1), wide.shape[1:]
        self._weights = _row_weights(height, size[1], method)

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return rows of the enlarged picture."""
        weights, used = self._weights.of(rows)
        return _product(weights, self._rows[used]).reshape(-1, *self._shape)


class ShrunkArray:
    """Accumulates the strips of a large picture into a smaller picture by area averaging."""

    def __init__(self, large: Size, small: Size) -> None:
        self._small, self._width = small, large[0]
        self._weights = _area_shares(large[1], small[1])
        self._rows = np.zeros((small[1], 3 * large[0]), np.float32)

    def add(self, rows: slice, strip: np.ndarray) -> None:
        """Add the strip with these ``rows`` of the large picture."""
        weights, used = self._weights.of(rows)
        self._rows[used] += _product(weights.T, strip.reshape(len(strip), -1))

    def picture(self) -> np.ndarray:
        """Return the small picture, after all strips have been added."""
        return shrink(self._rows.reshape(self._small[1], self._width, 3), self._small)


class _BandedWeights:
    """A banded weight matrix (N, M): each row has few adjacent non-zero weights, which move right with the rows."""

    def __init__(self, weights: np.ndarray) -> None:
        self.all, is_used = weights, weights != 0
        first, stop = is_used.argmax(axis=1), weights.shape[1] - is_used[:, ::-1].argmax(axis=1)
        # Make the limits monotonic: a row that coincides with an old row has only one weight.
        self._first, self._stop = np.minimum.accumulate(first[::-1])[::-1], np.maximum.accumulate(stop)

    def of(self, rows: slice) -> tuple[np.ndarray, slice]:
        """Return the weights of some rows at the columns where they are not zero, and the slice of these columns."""
        columns = slice(int(self._first[rows.start]), int(self._stop[rows.stop - 1]))
        return self.all[rows, columns], columns


@lru_cache(maxsize=32)
def _row_weights(old: int, new: int, method: int) -> _BandedWeights:
    """Return the weights, (new, old), by which OpenCV's ``method`` resizes a column of ``old`` to ``new`` pixels."""
    return _BandedWeights(cv2.resize(np.eye(old, dtype=np.float32), (old, new), interpolation=method))


@lru_cache(maxsize=32)
def _area_shares(large: int, small: int) -> _BandedWeights:
    """Return the share, (large, small), of each row of a large picture in each row of a small one."""
    return _BandedWeights(np.ascontiguousarray(_row_weights(large, small, cv2.INTER_AREA).all.T))


def _product(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the matrix product of weights (M, K) and rows (K, N), computed in one thread."""
    made = np.empty((len(weights), rows.shape[1]), np.float32)
    step = max(1, MAX_PRODUCT // weights.size)
    for first in range(0, rows.shape[1], step):
        np.matmul(weights, rows[:, first : first + step], out=made[:, first : first + step])
    return made


@lru_cache(maxsize=64)
def round_trip_kernel(small: int, large: int) -> np.ndarray:
    """Return the mean kernel, five weights, of enlarging a row from ``small`` to ``large`` pixels and shrinking it."""
    # A short row of the same ratio of sizes gives the same kernel: most of its pixels are far from its ends.
    small, large = KERNEL_ROW_PX, round(KERNEL_ROW_PX * min(large / small, MAX_FACTOR))
    there, back = _row_weights(small, large, cv2.INTER_CUBIC), _row_weights(large, small, cv2.INTER_AREA)
    mixed = back.all @ there.all
    weights = np.array([mixed.diagonal(away)[4:-4].mean() for away in range(-2, 3)])
    return (weights / weights.sum()).astype(np.float32)


def size_of(picture: np.ndarray) -> Size:
    """Return the (width, height) of a picture."""
    return picture.shape[1], picture.shape[0]


def enlarge(picture: np.ndarray, size: Size) -> np.ndarray:
    """Enlarge a picture to a size by bicubic interpolation."""
    return cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)


def extremes(picture: np.ndarray, reach: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and the largest value around each pixel, within ``reach`` pixels."""
    around = np.ones((2 * reach + 1,) * 2, np.uint8)
    return cv2.erode(picture, around), cv2.dilate(picture, around)


def clamp(picture: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Clamp each value to the range from ``low`` to ``high`` at its pixel."""
    return cv2.max(cv2.min(picture, high), low)


def sample_shifted(picture: np.ndarray, right: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Warp a picture: sample it ``right`` and ``down`` pixels away from each pixel, by bilinear interpolation."""
    x, y = _pixel_coordinates(size_of(picture))
    right, down = (x + right).astype(np.float32), (y + down).astype(np.float32)
    return cv2.remap(picture, right, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@lru_cache(maxsize=2)
def _pixel_coordinates(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixel coordinates of a picture, as a row of x and a column of y."""
    width, height = size
    return np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]


def convolve(picture: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Apply a separable filter with an odd number of weights: ``across`` along rows, then ``down`` along columns."""
    return cv2.sepFilter2D(picture, -1, across, down, borderType=cv2.BORDER_REPLICATE)


def extend_range(low: np.ndarray, high: np.ndarray, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the range from ``low`` to ``high`` extended to contain a picture, at each pixel."""
    return cv2.min(low, picture), cv2.max(high, picture)


def blur(picture: np.ndarray, deviation: float) -> np.ndarray:
    """Blur a picture by a Gaussian with this standard deviation in pixels."""
    return cv2.GaussianBlur(picture, (0, 0), deviation, borderType=cv2.BORDER_REPLICATE)


def mean_around(channel: np.ndarray, reach: int) -> np.ndarray:
    """Return the mean of a map over the square within ``reach`` pixels of each pixel."""
    return cv2.blur(channel, (2 * reach + 1,) * 2, borderType=cv2.BORDER_REPLICATE)


def plus(one: np.ndarray, other: np.ndarray, factor: float = 1) -> np.ndarray:
    """Return ``one + factor * other`` of two pictures or two maps."""
    return cv2.add(one, other) if factor == 1 else cv2.addWeighted(one, 1, other, factor, 0)


def plus_product(total: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return ``total + one * other`` of three maps; ``total`` and ``one`` are overwritten."""
    return cv2.add(total, cv2.multiply(one, other, one), total)


def minus(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return ``one - other`` of two pictures or two maps."""
    return cv2.subtract(one, other)


def times(picture: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Multiply each channel of a picture by a map."""
    return cv2.multiply(picture, cv2.merge([weights] * picture.shape[2]))


def product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the product of two pictures, summed over the channels, as a map."""
    return cv2.transform(cv2.multiply(one, other), np.ones((1, one.shape[2]), np.float32))


def clip(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Clip all values to the range from ``low`` to ``high``."""
    return np.clip(values, low, high)


def luma(picture: np.ndarray) -> np.ndarray:
    """Return the luma of a picture, with the weights of BT.601, as a map."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def channels(picture: np.ndarray) -> Sequence[np.ndarray]:
    """Return the channels of a picture as maps."""
    return cv2.split(picture)


def merge(maps: Sequence[np.ndarray]) -> np.ndarray:
    """Return the picture with these maps as channels."""
    return cv2.merge(list(maps))


class ArrayColourMap:
    """A colour map by lattice nodes, (n, n, n, 3) in the order blue, green, red, with trilinear interpolation."""

    def __init__(self, nodes: np.ndarray) -> None:
        self._side = len(nodes)
        self._planes = nodes.reshape(-1, self._side, 3)  # Planes of equal blue, stacked

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Map the colours of a picture."""
        red, green, blue = channels(np.clip(picture, 0, 1) * np.float32(self._side - 1))
        plane = np.minimum(np.floor(blue), self._side - 2)
        row = plane * self._side + green
        low, high = (cv2.remap(self._planes, red, row + below, cv2.INTER_LINEAR) for below in (0, self._side))
        return plus(low, times(minus(high, low), blue - plane))


def on_host(picture: np.ndarray) -> np.ndarray:
    """Return a picture as an array, which it already is."""
    return picture


EnlargedStrips, ShrinkSum, colour_map = EnlargedArray, ShrunkArray, ArrayColourMap  # Names that both modules have
