"""Sample a picture along a flow, and measure the reliability of a flow. ``W(x, f)`` samples x at p + f(p).

Flow is stored on a coarser grid than the picture; this module also scales and blurs pictures on that grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from itertools import pairwise
from math import gcd

import cv2
import numpy as np

GRID_SHORT_SIDE = 270  # Largest short side, in cells, of the temporal filters' grid; at most half the picture's
MAX_PART_ROWS = 32  # Largest number of rows in the parts of a picture that are enlarged separately
BORDER = cv2.BORDER_REPLICATE  # OpenCV's border mode in all warps: edge pixels are repeated
INVERSION_STEPS = 4  # Fixed-point steps of a flow's inversion; fewer leave up to 2 % more flicker in fast motion
# Bilinear sampling omits the curvature between two pixels; sharpening restores it from second differences.
# Cubic convolution (Keys 1981) restores one half of it with a = −½; OpenCV's (a = −¾) restores three quarters midway.
# Three quarters preserve the energy of structure as fine as a pixel to a tenth.
CURVATURE = 0.75  # Share of the curvature between two pixels that sharpening restores
# Value ranges of 16-bit storage for pictures (with the overshoot of sampling), frequency bands, and differences
PICTURE, BAND, CHANGE = (-0.5, 1.5), (-1.0, 1.0), (-2.0, 2.0)
STRIP_PIXELS = 131072  # Pixels per strip of rows: smaller strips need more calls, larger ones exceed the CPU cache
_UNIT = 1024.0  # Scale of weights for OpenCV's blendLinear, which adds 1e-5 to their sum
# Kernel that subtracts CURVATURE / 4 times the second differences along both axes from a picture
_SHARPEN = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], np.float32) * np.float32(CURVATURE / 4)
_SHARPEN[1, 1] += 1

Range = tuple[float, float]  # (lowest, highest) value that 16-bit storage represents
# (picture in 16 bits of ``PICTURE`` or 8 bits, flow (x, y) to it in pixels, weight 0 to 1).
# Flow and weight may be on the coarse grid.
FlowSample = tuple[np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray]


@lru_cache(maxsize=16)
def grid_factor(height: int, width: int) -> int:
    """Return the side of a square grid cell for pictures of this size, in pixels."""
    return max(2, -(-min(height, width) // GRID_SHORT_SIDE))


@lru_cache(maxsize=16)
def grid_size(height: int, width: int) -> tuple[int, int]:
    """Return the (width, height), in cells, of the grid for pictures of this size."""
    factor = grid_factor(height, width)
    return -(-width // factor), -(-height // factor)


def write_grid_samples(band: np.ndarray, rows: slice, on_grid: np.ndarray, factor: int) -> None:
    """Write the first pixel of each grid cell in a ``band``, the ``rows`` of a picture, to ``on_grid``.

    ``band`` has only these rows; ``on_grid`` is the whole grid; ``factor`` is that of ``grid_factor``.
    """
    first = -(-rows.start // factor)
    found = band[first * factor - rows.start :: factor, ::factor]
    on_grid[first : first + len(found)] = found


def shrink(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the mean of a picture in each cell of a coarser grid of (width, height) ``size``."""
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def halve(picture: np.ndarray) -> np.ndarray:
    """Return the mean of a picture in each 2 × 2 square, at half the size rounded up."""
    height, width = picture.shape[:2]
    return cv2.resize(picture, (-(-width // 2), -(-height // 2)), interpolation=cv2.INTER_AREA)


def grow(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarge a picture of a coarse grid to (width, height) ``size`` with linear interpolation."""
    return cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)


class _LazyRows:
    """A coarse-grid picture, enlarged as by ``grow``, whose rows are computed only when they are read."""

    def __init__(self, picture: np.ndarray, height: int, width: int) -> None:
        self._picture, self._width = picture, width
        # Parts begin at both a pixel and a cell boundary, so that enlarging one needs only two neighbouring cells.
        self._parts = gcd(height, len(picture))
        self.tall, self._small = height // self._parts, len(picture) // self._parts

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return rows of the enlarged picture."""
        first, last = max(0, rows.start // self.tall - 1), min(self._parts, -(-rows.stop // self.tall) + 1)
        part = grow(self._picture[first * self._small : last * self._small], (self._width, (last - first) * self.tall))
        return part[rows.start - first * self.tall : rows.stop - first * self.tall]


Enlarged = np.ndarray | _LazyRows  # An enlarged picture, whole or computed by rows


def enlarged(picture: np.ndarray, height: int, width: int) -> Enlarged:
    """Enlarge a coarse-grid picture to full size as by ``grow``; a large one becomes a view that computes its rows.

    A picture of full size is returned unchanged. A view is not possible for sizes without common divisors of their
    rows.
    """
    if picture.shape[:2] == (height, width):
        return picture
    if len(strips(height, width)) > 1 and (rows := _LazyRows(picture, height, width)).tall <= MAX_PART_ROWS:
        return rows
    return grow(picture, (width, height))


def blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Return a picture convolved with a Gaussian of σ pixels; the border is mirrored."""
    return cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)


@lru_cache(maxsize=8)
def grid(height: int, width: int) -> np.ndarray:
    """Return the coordinates (x, y) of each pixel, (H, W, 2) float32, read-only."""
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    places = np.dstack([xs, ys])
    places.setflags(write=False)
    return places


@lru_cache(maxsize=8)
def grid_axes(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the coordinates x and y of each pixel, (H, W) float32 each: read-only views of a row and of a column."""
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    return np.broadcast_to(x, (height, width)), np.broadcast_to(y, (height, width))


def warp(picture: np.ndarray, flow: np.ndarray, *, bicubic: bool = False, lanczos: bool = False) -> np.ndarray:
    """Sample ``picture`` (H, W[, C]; uint8, uint16 or float32) at p + flow(p), with replicated borders.

    ``flow`` is (H, W, 2) float32 in pixels. Bicubic keeps detail that repeated bilinear sampling blurs, ``lanczos``
    (over eight pixels) more of it; sample once, along a composed flow.
    """
    height, width = flow.shape[:2]
    places = grid(height, width) + flow
    method = cv2.INTER_LANCZOS4 if lanczos else cv2.INTER_CUBIC if bicubic else cv2.INTER_LINEAR
    if picture.shape[2:] == (2,):  # A flow, warped by planes: OpenCV 5 rounds to 1/32 pixel for two channels
        return cv2.merge([cv2.remap(p, places, None, method, borderMode=BORDER) for p in cv2.split(picture)])
    return cv2.remap(picture, places, None, method, borderMode=BORDER)


def sample_sharp(picture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sample a picture (H, W, 4) at ``x``, ``y``, (h, w) float32 each, with sharpening: (h, w, 4) float32.

    About as sharp as bicubic sampling, in half the time: the mean, weighted by ``plain_share``, of bilinear samples of
    the picture and of a sharpened one, which is exact midway between four pixels. The loss of bilinear sampling is
    compensated equally along both axes, so that a motion of half a pixel along one axis amplifies structure along the
    other by up to a third. That is fine for an average of a few pictures, but not for a recursive filter.
    """
    height, width = picture.shape[:2]
    across, down = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)  # No sharpening beyond the border
    at = partial(cv2.remap, picture, interpolation=cv2.INTER_LINEAR, borderMode=BORDER)
    plain = at(map1=across, map2=down)
    around = cv2.add(at(map1=across - 1, map2=down), at(map1=across + 1, map2=down), dtype=cv2.CV_32F)
    for step in (-1, 1):
        cv2.accumulate(at(map1=across, map2=down + step), around)
    sharpened = cv2.addWeighted(plain, 1 + CURVATURE, around, -CURVATURE / 4, 0, dtype=cv2.CV_32F)
    share = plain_share(x, y)
    share *= _UNIT
    return cv2.blendLinear(plain.astype(np.float32, copy=False), sharpened, share, np.float32(_UNIT) - share)


def plain_share(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the weight, 0 to 1, of the unsharpened picture in ``sample_sharp`` at each position.

    At t from the pixel before, second differences have the weight t(1 − t)/2 along each axis: ¼ − (t − ½)², halved.
    """
    squares = []
    for places in (x, y):
        between = np.floor(places)
        np.subtract(places, between, out=between)
        between -= 0.5
        between *= between
        squares.append(between)
    share, of_rows = squares
    share += of_rows
    share *= 2
    return share


def to_16bit(picture: np.ndarray, value_range: Range) -> np.ndarray:
    """Store a float32 picture as uint16 levels of ``value_range``, with almost no loss; values outside saturate.

    A uint8 or uint16 picture is interpreted as 0 to 1.
    """
    return _to_levels(picture, value_range, cv2.CV_16U)


def _to_levels(picture: np.ndarray, value_range: Range, depth: int) -> np.ndarray:
    """Convert a picture to levels of 16 bits, which represent ``value_range``, in OpenCV's type ``depth``."""
    low, high = value_range
    steps = 65535 / (high - low)
    full = np.iinfo(picture.dtype).max if picture.dtype.kind == "u" else 1
    return cv2.addWeighted(picture, steps / full, picture, 0, -low * steps, dtype=depth)


def from_16bit(picture: np.ndarray, value_range: Range) -> np.ndarray:
    """Return the float32 picture stored by ``to_16bit``."""
    return from_levels(picture.astype(np.float32), value_range)


def from_levels(levels: np.ndarray, value_range: Range) -> np.ndarray:
    """Convert float32 levels of 16 bits, such as interpolated ones, to values in ``value_range``, in place."""
    low, high = value_range
    levels *= np.float32((high - low) / 65535)
    levels += np.float32(low)
    return levels


def levels_of(picture: np.ndarray) -> np.ndarray:
    """Return a picture, uint8 or stored in the range ``PICTURE``, as float32 levels from 0 to 65535 of that range."""
    return _to_levels(picture, PICTURE, cv2.CV_32F) if picture.dtype == np.uint8 else picture.astype(np.float32)


def mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return the weighted mean of two 16-bit pictures (H, W, 4); ``share`` is the second picture's weight, 0 to 1."""
    part = share * np.float32(_UNIT)
    mixed = cv2.blendLinear(levels_of(first), levels_of(second), np.float32(_UNIT) - part, part)
    return cv2.addWeighted(mixed, 1, mixed, 0, 0, dtype=cv2.CV_16U)


class Average:
    """The weighted mean of a picture, with weight 2, and of other pictures that are sampled along flows.

    It is (H, W, 4) uint16 in the range ``PICTURE``, and computed by rows on demand.

    If it ``is_sharp``, it is about as sharp as a mean of bicubic samples: bilinear samples are sharpened after
    sampling, with the weight 1 − ``plain_share``. That takes half the sampling of ``sample_sharp``, with the same
    result where the motion is uniform.
    """

    def __init__(self, here: np.ndarray, others: Sequence[FlowSample], *, is_sharp: bool) -> None:
        """``here``: (H, W, 4) in 16 bits of the range ``PICTURE``, or in 8 bits; ``others``: see ``FlowSample``."""
        self._here, self._is_sharp = here, is_sharp
        self.shape = height, width = here.shape[:2]
        self._others = [
            (picture, enlarged(u, height, width), enlarged(v, height, width), enlarged(trust * _UNIT, height, width))
            for picture, (u, v), trust in others
        ]

    def whole(self) -> np.ndarray:
        """Return the whole mean picture, (H, W, 4) uint16."""
        total = np.empty((*self.shape, 4), np.uint16)
        for rows in strips(*self.shape):
            total[rows] = self[rows]
        return total

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return rows of the mean picture."""
        height, width = self.shape
        total = levels_of(self._here[rows])
        total_weight = np.full(total.shape[:2], 2 * _UNIT, np.float32)
        wide, inner = widened(rows, 1, height)
        columns, lines = grid_axes(height, width)
        for picture, u, v, weights in self._others:
            x, y = columns[wide] + u[wide], lines[wide] + v[wide]
            first = min(max(int(y.min()) - 1, 0), height - 1)
            last = max(min(int(y.max()) + 3, height), first + 1)
            source = levels_of(picture[first:last])
            plain = cv2.remap(source, x, y - np.float32(first), cv2.INTER_LINEAR, borderMode=BORDER)
            parts = [(plain[inner], weights[rows])]
            if self._is_sharp:
                share = plain_share(x[inner], y[inner]) * weights[rows]
                sharp = cv2.filter2D(plain, -1, _SHARPEN, borderType=BORDER)[inner]
                parts = [(plain[inner], share), (sharp, weights[rows] - share)]
            for part, weight in parts:
                cv2.blendLinear(total, part, total_weight, weight, dst=total)
                total_weight += weight
        return cv2.addWeighted(total, 1, total, 0, 0, dtype=cv2.CV_16U)


def widened(rows: slice, margin: int, height: int) -> tuple[slice, slice]:
    """Return ``rows`` extended by ``margin`` on both sides, and the position of the original rows in the extended rows.

    The result lies within a picture of this ``height``.
    """
    wide = slice(max(0, rows.start - margin), min(height, rows.stop + margin))
    return wide, slice(rows.start - wide.start, rows.stop - wide.start)


@lru_cache(maxsize=16)
def strips(height: int, width: int) -> tuple[slice, ...]:
    """Return slices of a picture's rows, each of about ``STRIP_PIXELS`` pixels."""
    number = max(1, round(height * width / STRIP_PIXELS))
    edges = [height * at // number for at in range(number + 1)]
    return tuple(slice(top, bottom) for top, bottom in pairwise(edges) if top < bottom)


def invert(flow: np.ndarray) -> np.ndarray:
    """Return the inverse of a flow on the same grid, (H, W, 2) float32 pixels, with replicated borders.

    A flow b from B to A has the inverse f(q) = −b(q + f(q)), computed by fixed-point iteration (Chen et al., "A simple
    fixed-point approach to invert a deformation field", Medical Physics 2008). It does not converge where content is
    occluded in one of the frames, so that f and b disagree there.
    """
    x, y = grid_axes(*flow.shape[:2])
    u, v = cv2.split(flow)
    packed = cv2.merge([u, v, u, v])  # Four channels, because OpenCV 5 rounds to 1/32 pixel for two
    for _ in range(INVERSION_STEPS):
        found = cv2.remap(packed, x - u, y - v, cv2.INTER_LINEAR, borderMode=BORDER)
        u, v = cv2.extractChannel(found, 0), cv2.extractChannel(found, 1)
    return -cv2.merge([u, v])


def resize_flow(flow: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize a flow (H, W, 2) float32 to (height, width, 2), with displacements in pixels of the new size.

    Pixels are squares: their centres are at halves, and the corners of both grids coincide. When shrinking, each vector
    is the mean over its pixel's area; when enlarging, vectors are interpolated.
    """
    if (height, width) == flow.shape[:2]:
        return flow
    scale = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    # Interpolate linearly to enlarge, because INTER_AREA would repeat values.
    method = cv2.INTER_AREA if scale.max() <= 1 else cv2.INTER_LINEAR
    return cv2.resize(flow, (width, height), interpolation=method) * scale


def squared_length(vectors: np.ndarray) -> np.ndarray:
    """Return the squared length of each of the vectors (H, W, C): (H, W).

    The squares are added by planes, because NumPy's sum takes 4 times longer.
    """
    planes = cv2.split(vectors)
    total = cv2.multiply(planes[0], planes[0])
    for plane in planes[1:]:
        cv2.accumulateSquare(plane, total)
    return total


def forward_backward(flow: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Return a mask of reliable flow, (H, W) bool, by the consistency test of Sundaram et al. (ECCV 2010).

    Unreliable where |f + f̂|² ≥ 0.01 (|f|² + |f̂|²) + 0.5, with f̂ the backward flow sampled at p + f(p), and
    where p + f(p) leaves the picture. Flows are (H, W, 2) float32, in pixels of the full-size picture.
    """
    gap, lengths = _forward_backward_error(flow, back)
    return (gap < 0.01 * lengths + 0.5) & inside(flow, 0.0)


def flow_consistency(flow: np.ndarray, back: np.ndarray, slack: float = 8.0, margin: float = 0.5) -> np.ndarray:
    """Return the consistency of a flow and its backward flow, (H, W): from 1, equal, to 0, also outside the picture.

    It is s / (s + |f + f̂|²), so ½ if |f + f̂|² is s = 0.01 (|f|² + |f̂|²) + ``slack``, in pixels². This soft
    forward–backward test is a weight to be combined with others, because a hard test of 0.5 pixels² would discard many
    good matches. The picture ends half a pixel, the ``margin``, beyond the centres of its outer pixels. Flows as in
    ``forward_backward``.
    """
    gap, lengths = _forward_backward_error(flow, back)
    scale = 0.01 * lengths + slack
    return np.where(inside(flow, margin), scale / (scale + gap), np.float32(0))


def _forward_backward_error(flow: np.ndarray, back: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return |f + f̂|² and |f|² + |f̂|², (H, W) each, with f̂ = ``back`` sampled at p + f(p)."""
    returned = warp(back, flow)
    return squared_length(flow + returned), squared_length(flow) + squared_length(returned)


def inside(flow: np.ndarray, margin: float) -> np.ndarray:
    """Return a mask, (H, W) bool, where p + f(p) lies in the picture or at most ``margin`` pixels outside."""
    height, width = flow.shape[:2]
    low, high = (-margin, -margin), (width - 1 + margin, height - 1 + margin)
    return cv2.inRange(grid(height, width) + flow, low, high) > 0


def photometric(first: np.ndarray, second_warped: np.ndarray, sigma: float = 0.1) -> np.ndarray:
    """Return the colour similarity of two pictures, exp(−‖A − W(B, f)‖² / (2σ²)): (H, W) float32 in [0, 1].

    ``first`` and ``second_warped``, the second sampled along the flow, are (H, W, 3) RGB, float32 in [0, 1], or uint8
    or uint16 over their full range. ``sigma`` is a length in RGB of [0, 1]; vid2vid (Wang et al., 2018) uses
    the hard test ‖·‖² < 0.02 instead.
    """
    difference = cv2.subtract(first, second_warped, dtype=cv2.CV_32F)
    full = np.iinfo(first.dtype).max if first.dtype.kind == "u" else 1.0
    return np.exp(squared_length(difference) * np.float32(-0.5 / (sigma * full) ** 2))
