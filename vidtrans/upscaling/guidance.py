"""Pictures at the size of a guide: by a guided filter from colours to colours, or by one map of colours for all pixels.

``ops`` is ``array_pictures`` or ``tensor_pictures``, whose pictures and maps the functions take.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from vidtrans.grading.lattice import interpolation, node_colours
from vidtrans.upscaling.array_pictures import Size

RADIUS = 2  # pixels of the small picture, of the windows in which a colour is a linear map of the guide's
EPSILON = 2e-4  # variance, of colours from 0 to 1, below which a window counts as flat
# A map of colours: nodes a side, the most pixels that it is fitted to, the weight with which a node without pixels
# stays on the linear map of colours, and rounds of the fit.
NODES, FITTED, PRIOR, ROUNDS = 17, 10_000, 0.05, 6


Strips = Callable[[slice], Any]  # the rows of a picture


class GuideMap(Protocol):
    """A map from a guide's colours to a picture's."""

    def __call__(self, guide: Any) -> Strips:  # noqa: ANN401  (an array, or a tensor)
        """Return the strips of the picture at the size of a guide, of any type."""

    def averaged(self, guide: Any, small_guide: Any) -> Any:  # noqa: ANN401
        """Return the picture at the size of a guide after area averaging to that of the small guide."""


class LocallyLinear:
    """A linear map of colours around each pixel, from ``guide`` to ``picture``, both small and of one size."""

    def __init__(self, ops: Any, guide: Any, picture: Any) -> None:  # noqa: ANN401
        self._ops, self._maps = ops, _local_maps(ops, ops.channels(guide), ops.channels(picture))

    def __call__(self, guide: Any) -> Strips:  # noqa: ANN401
        """Return the strips of the picture: see ``GuideMap``."""
        ops, size = self._ops, self._ops.size_of(guide)
        maps = [[ops.in_strips(each, size, is_limited=True) for each in maps_of] for maps_of in self._maps]

        def strip(rows: slice) -> Any:  # noqa: ANN401
            planes, made = ops.channels(ops.strip_of(guide, rows)), []
            for *factors, shift in maps:
                channel = shift[rows]
                for factor, plane in zip(factors, planes, strict=True):
                    channel = ops.plus_product(channel, factor[rows], plane)
                made.append(channel)
            return ops.merge(made)

        return strip

    def averaged(self, guide: Any, small_guide: Any) -> Any:  # noqa: ANN401
        """Return the averaged picture: the average of what is mapped linearly is the map of the average."""
        planes, made = self._ops.channels(small_guide), []
        for *factors, shift in self._maps:
            made.append(sum((factor * plane for factor, plane in zip(factors, planes, strict=True)), start=shift))
        return self._ops.merge(made)


class Mapped:
    """One map of colours for all pixels, by the nodes of a lattice."""

    def __init__(self, ops: Any, nodes: np.ndarray) -> None:  # noqa: ANN401
        self._ops, self._map = ops, ops.colour_map(nodes)

    def __call__(self, guide: Any) -> Strips:  # noqa: ANN401
        """Return the strips of the picture: see ``GuideMap``."""
        return lambda rows: self._map(self._ops.strip_of(guide, rows))

    def averaged(self, guide: Any, small_guide: Any) -> Any:  # noqa: ANN401
        """Return the averaged picture; of colours that were averaged before over less than the half of its pixels."""
        ops, small = self._ops, self._ops.size_of(small_guide)
        enough = twice(small, ops.size_of(guide))
        return ops.shrink(self._map(shrunk(ops, guide, enough)), small)


def twice(small: Size, large: Size) -> Size:
    """Return twice a size, or a larger one if that is smaller."""
    return min(2 * small[0], large[0]), min(2 * small[1], large[1])


def shrunk(ops: Any, picture: Any, size: Size) -> Any:  # noqa: ANN401
    """Return a picture of any type at a smaller size, in float32."""
    made = ops.sum_of_strips(ops.size_of(picture), size)
    for rows in ops.strips(ops.size_of(picture)):
        made.add(rows, ops.strip_of(picture, rows))
    return made.picture()


def guide_from(ops: Any, guide: Any, picture: Any, colour_map: np.ndarray | None) -> GuideMap:  # noqa: ANN401
    """Return the map from a small guide's colours to a picture's, by the nodes of a map for all pixels, if given."""
    return LocallyLinear(ops, guide, picture) if colour_map is None else Mapped(ops, colour_map)


def fit_colour_map(guide: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Return the nodes, (n, n, n, 3) float32, of the map from a guide's colours to a picture's of the same size."""
    step = max(1, int(np.sqrt(guide.size / 3 / FITTED)))
    given, wanted = (each[::step, ::step].reshape(-1, 3).astype(np.float64) for each in (guide, picture))
    linear = np.linalg.lstsq(np.c_[given, np.ones(len(given))], wanted, rcond=None)[0]
    nodes = node_colours(NODES).reshape(-1, 3) @ linear[:3] + linear[3]
    weights = interpolation(given, NODES)
    each = (np.asarray(weights.sum(axis=0)).ravel() + PRIOR)[:, None]
    for _ in range(ROUNDS):
        nodes += weights.T @ (wanted - weights @ nodes) / each
    return nodes.reshape(NODES, NODES, NODES, 3).astype(np.float32)


def _local_maps(ops: Any, guide: Sequence[Any], picture: Sequence[Any]) -> list[list[Any]]:  # noqa: ANN401
    """Return for each channel of a picture the factors of the guide's three channels and the shift, averaged."""

    def mean(channel: Any) -> Any:  # noqa: ANN401
        return ops.mean_around(channel, RADIUS)

    means = [mean(channel) for channel in guide]
    a, b, c, d, e, f = (
        mean(guide[i] * guide[j]) - means[i] * means[j] for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    )
    a, d, f = a + EPSILON, d + EPSILON, f + EPSILON
    # The inverse of a symmetric 3x3 matrix is its adjugate over its determinant.
    inverse = [[d * f - e * e, c * e - b * f, b * e - c * d], [], []]
    inverse[1] = [inverse[0][1], a * f - c * c, b * c - a * e]
    inverse[2] = [inverse[0][2], inverse[1][2], a * d - b * b]
    scale = 1 / (a * inverse[0][0] + b * inverse[0][1] + c * inverse[0][2])
    found = []
    for channel in picture:
        own = mean(channel)
        shared = [mean(other * channel) - its * own for other, its in zip(guide, means, strict=True)]
        factors = [sum(x * y for x, y in zip(row, shared, strict=True)) * scale for row in inverse]
        shift = own - sum(factor * its for factor, its in zip(factors, means, strict=True))
        found.append([mean(each) for each in (*factors, shift)])
    return found
