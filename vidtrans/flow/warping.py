"""Sample a picture along a flow, and test how reliable a flow is. ``W(x, f)`` samples x at p + f(p)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np

BORDER = cv2.BORDER_REPLICATE
# Of the curvature between two pixels that bilinear sampling leaves out, by its second differences. One half is what
# cubic convolution (Keys 1981) with a = −½ puts back; three quarters are what OpenCV's does in the middle (a = −¾),
# and keep the energy of structure as fine as a pixel within a tenth.
CURVATURE = 0.75
GRID_SHORT_SIDE = 270  # the filters' grid is at least twice as coarse as the picture, and no finer than this
_STEPS = 32767.0  # of 16 bits from 0 to 1
PICTURE, CHANGE = -0.5, -1.0  # where the values of a picture begin, with what sampling overshoots, and of a difference
STRIP = 32768  # pixels that are worked on at a time: what is made of them on the way stays in the processor's cache
# A quarter of the sum of those along both axes, which is of the size of the picture's own values.
_SECOND_DIFFERENCES = np.array([[0, 0.25, 0], [0.25, -1, 0.25], [0, 0.25, 0]], np.float32)

Moved = tuple[np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray]  # a picture, the flow there, a weight


@lru_cache(maxsize=8)
def grid(height: int, width: int) -> np.ndarray:
    """Return the place (x, y) of each pixel, (H, W, 2) float32, read-only."""
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    places = np.dstack([xs, ys])
    places.setflags(write=False)
    return places


@lru_cache(maxsize=8)
def grid_axes(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of each pixel, (H, W) float32 each, read-only."""
    axes = cv2.split(grid(height, width))
    for axis in axes:
        axis.setflags(write=False)
    return axes[0], axes[1]


def warp(picture: np.ndarray, flow: np.ndarray, *, bicubic: bool = False) -> np.ndarray:
    """Sample ``picture`` (H, W[, C]; uint8, uint16 or float32) at p + flow(p); the border is repeated.

    ``flow`` is (H, W, 2) float32 in pixels. Bicubic keeps detail that repeated bilinear sampling blurs;
    sample once, along a composed flow.
    """
    height, width = flow.shape[:2]
    places = grid(height, width) + flow
    method = cv2.INTER_CUBIC if bicubic else cv2.INTER_LINEAR
    if picture.shape[2:] == (2,):  # a flow: for two channels, and no other number, OpenCV 5 rounds to 1/32 pixel
        return cv2.merge([cv2.remap(p, places, None, method, borderMode=BORDER) for p in cv2.split(picture)])
    return cv2.remap(picture, places, None, method, borderMode=BORDER)


class SharpPicture:
    """A picture (H, W, 4) float32 that is sampled about as sharply as bicubic does, in half the time.

    Bilinear sampling, quick for four channels, of the picture and of its second differences, which say what lacks
    between pixels. Those of both axes are weighed alike, so that structure across a motion by half a pixel is raised
    by up to a third: well for an average of a few, not for a filter that goes on and on from its own result.
    ``compact``: keep it, of values from −1 to 1, in 16 bits.
    """

    def __init__(self, picture: np.ndarray, *, compact: bool = False) -> None:
        self.picture = picture
        self._differences = cv2.filter2D(picture, -1, _SECOND_DIFFERENCES, borderType=BORDER)
        if compact:
            self.picture, self._differences = (to_16bit(p, CHANGE) for p in (picture, self._differences))

    def sample(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the picture at places ``x``, ``y``, (h, w) float32 each: (h, w, 4) float32."""
        both = self.picture, self._differences
        found, curved = (from_16bit(cv2.remap(p, x, y, cv2.INTER_LINEAR, borderMode=BORDER), CHANGE) for p in both)
        # The second differences weigh t(1 − t)/2 along each axis, t from the pixel before: ((t − ½)² − ¼)/2, negative.
        lacking = _squared_distance(x)
        lacking += _squared_distance(y)
        lacking -= 0.5
        lacking *= CURVATURE * 2
        return cv2.accumulateProduct(curved, cv2.merge([lacking] * 4), found)


def _squared_distance(places: np.ndarray) -> np.ndarray:
    """Return (t − ½)² of places along one axis that are t, 0 to 1, behind a pixel."""
    between = np.floor(places)
    np.subtract(places, between, out=between)
    between -= 0.5
    between *= between
    return between


def to_16bit(picture: np.ndarray, lowest: float) -> np.ndarray:
    """Return a picture of float32, from ``lowest`` to 2 more, as uint16: half the memory, and as good as exact."""
    return cv2.addWeighted(picture, _STEPS, picture, 0, -lowest * _STEPS, dtype=cv2.CV_16U)


def from_16bit(picture: np.ndarray, lowest: float) -> np.ndarray:
    """Return what ``to_16bit`` was given; float32 is returned as it is."""
    if picture.dtype == np.float32:
        return picture
    exact = picture.astype(np.float32)
    exact *= np.float32(1 / _STEPS)
    exact += np.float32(lowest)
    return exact


def average_along(here: np.ndarray, others: Sequence[Moved]) -> np.ndarray:
    """Return the mean of a picture, with weight 2, and of others sampled along flows: (H, W, 4).

    ``here`` is float32, or uint16 of ``to_16bit``; so is the result. ``others``: each a picture of the same kind, the
    flow there, (H, W) float32 for each axis, and the weight, 0 to 1, (H, W) or of the picture's grid.
    """
    height, width = here.shape[:2]
    moved = [
        (picture, flow, trust if trust.shape == (height, width) else grow(trust, (width, height)))
        for picture, flow, trust in others
    ]
    total = np.empty_like(here)
    for rows in _strips(height, width):
        _average_rows(here[rows], moved, rows, total[rows])
    return total


def _strips(height: int, width: int) -> Iterator[slice]:
    number = max(1, round(height * width / STRIP))
    edges = [height * at // number for at in range(number + 1)]
    return (slice(top, bottom) for top, bottom in pairwise(edges) if top < bottom)


def _average_rows(here: np.ndarray, moved: Sequence[Moved], rows: slice, mean: np.ndarray) -> None:
    """Write the mean in some rows, which are ``here``; flows and weights are of the picture's size."""
    total, weight = here * np.float32(2), np.full(here.shape[:2], 2, np.float32)
    for picture, flow, trust in moved:
        height, width = picture.shape[:2]
        x, y = (of_pixel[rows] + by[rows] for of_pixel, by in zip(grid_axes(height, width), flow, strict=True))
        first = min(max(int(y.min()) - 2, 0), height - 1)
        last = max(min(int(y.max()) + 3, height), first + 1)
        y -= first
        there = SharpPicture(picture[first:last].astype(np.float32, copy=False)).sample(x, y)
        weight += trust[rows]
        cv2.accumulateProduct(cv2.merge([trust[rows]] * 4), there, total)
    depth = cv2.CV_32F if mean.dtype == np.float32 else cv2.CV_16U
    cv2.divide(total, cv2.merge([weight] * 4), dst=mean, dtype=depth)


def compose(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the flow A→C from A→B and B→C: f(p) + g(p + f(p)). (H, W, 2) float32 pixels each."""
    return first + warp(second, first)


def resize_flow(flow: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return a flow (H, W, 2) float32 on another grid, in the new grid's pixels: (height, width, 2).

    Pixels are squares, so their centres lie at halves and the corners of both grids coincide. Shrunk, each vector is
    the mean over its pixel's area; enlarged, vectors are interpolated.
    """
    if (height, width) == flow.shape[:2]:
        return flow
    scale = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    # INTER_AREA does not interpolate when it enlarges: it repeats.
    method = cv2.INTER_AREA if scale.max() <= 1 else cv2.INTER_LINEAR
    return cv2.resize(flow, (width, height), interpolation=method) * scale


def squared_length(vectors: np.ndarray) -> np.ndarray:
    """Return the sum of squares over channels, (H, W). By planes: numpy's own sum takes 4 times longer."""
    planes = cv2.split(vectors)
    total = cv2.multiply(planes[0], planes[0])
    for plane in planes[1:]:
        cv2.accumulateSquare(plane, total)
    return total


def forward_backward(flow: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Return where a flow is reliable, (H, W) bool, by the consistency test of Sundaram et al. (ECCV 2010).

    Unreliable where |f + f̂|² ≥ 0.01 (|f|² + |f̂|²) + 0.5, with f̂ the backward flow sampled at p + f(p), and
    where p + f(p) leaves the picture. Flows are (H, W, 2) float32, in pixels of the full-size picture.
    """
    gap, lengths = _gap(flow, back)
    return (gap < 0.01 * lengths + 0.5) & inside(flow, 0.0)


def agreement(flow: np.ndarray, back: np.ndarray, slack: float = 8.0) -> np.ndarray:
    """Return how far a flow and the one back agree: (H, W) float32 in [0, 1], s / (s + |f + f̂|²), 0 outside.

    The forward–backward test with a soft edge: s = 0.01 (|f|² + |f̂|²) + ``slack`` (pixels²) is where it is ½. For
    weights that are not alone in deciding: a hard test of 0.5 pixels² throws away much that fits well. The picture
    ends half a pixel beyond the centres of its outer pixels. Flows as in ``forward_backward``.
    """
    gap, lengths = _gap(flow, back)
    scale = 0.01 * lengths + slack
    return np.where(inside(flow, 0.5), scale / (scale + gap), np.float32(0))


def _gap(flow: np.ndarray, back: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return |f + f̂|², and |f|² + |f̂|²."""
    returned = warp(back, flow)
    return squared_length(flow + returned), squared_length(flow) + squared_length(returned)


def inside(flow: np.ndarray, margin: float) -> np.ndarray:
    """Return where p + f(p) is within the picture, or at most ``margin`` pixels outside: (H, W) bool."""
    height, width = flow.shape[:2]
    low, high = (-margin, -margin), (width - 1 + margin, height - 1 + margin)
    return cv2.inRange(grid(height, width) + flow, low, high) > 0


def photometric(first: np.ndarray, second_warped: np.ndarray, sigma: float = 0.1) -> np.ndarray:
    """Return how far two pictures agree, exp(−‖A − W(B, f)‖² / (2σ²)): (H, W) float32 in [0, 1].

    ``first`` and ``second_warped``, the second sampled along the flow, are (H, W, 3) RGB, float32 in [0, 1], or uint8
    or uint16 over their full range. ``sigma`` is a length in RGB of [0, 1]; vid2vid (Wang et al., 2018) has instead the
    hard test ‖·‖² < 0.02.
    """
    difference = cv2.subtract(first, second_warped, dtype=cv2.CV_32F)
    full = np.iinfo(first.dtype).max if first.dtype.kind == "u" else 1.0
    return np.exp(squared_length(difference) * np.float32(-0.5 / (sigma * full) ** 2))


# A grid coarser than the picture, on which flow is kept: its values lie at the first pixel of each cell


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
