"""A guided filter from colours to colours: its coefficients are found at a small size, and applied at the large one.

``ops`` is ``array_pictures`` or ``tensor_pictures``, whose pictures and maps the functions take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

RADIUS = 2  # pixels of the small picture, of the windows in which a colour is a linear map of the guide's
EPSILON = 1e-3  # variance, of colours from 0 to 1, below which a window counts as flat


def guided(ops: Any, small_guide: Any, small: Any, guide: Any) -> Any:  # noqa: ANN401  (arrays, or tensors)
    """Return the picture ``small`` at the guide's size, as a local linear map of the guide's colours.

    ``small_guide``: the guide at the size of ``small``.
    """
    size, planes = ops.size_of(guide), ops.channels(guide)
    made = []
    for *factors, shift in _local_maps(ops, ops.channels(small_guide), ops.channels(small)):
        channel = ops.spread(shift, size)
        for factor, plane in zip(factors, planes, strict=True):
            channel = ops.plus_product(channel, ops.spread(factor, size), plane)
        made.append(channel)
    return ops.merge(made)


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
