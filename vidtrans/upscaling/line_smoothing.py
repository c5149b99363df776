"""Smooth a picture along its lines and edges, which takes away the steps and beads that its pixels make of them.

Kyprianidis and Kang, "Image and Video Abstraction by Coherence-Enhancing Filtering", Computer Graphics Forum 2011: a
line integral along the direction of the smoothed structure tensor. ``ops`` is ``array_pictures`` or
``tensor_pictures``; pictures are theirs, float32 from 0 to 1.
"""

from __future__ import annotations

from math import exp
from typing import Any

import numpy as np

REACH, SPREAD = 3, 1.6  # pixels along a line, each way, and the weights' standard deviation
NOISE, AROUND = 0.8, 1.5  # pixels: deviations of the blurs before and after the derivatives
SLOPE = np.array([-0.5, 0, 0.5], np.float32)
BESIDE = np.array([3, 10, 3], np.float32) / 16  # Scharr's
FLAT = 1e-5  # gradients, squared, below which there is no line


def smoothed_along_lines(ops: Any, picture: Any) -> Any:  # noqa: ANN401  (arrays, or tensors)
    """Return a picture that is averaged along its lines; where it has none it stays as it is."""
    right, down = _directions(ops, ops.luma(picture))
    total, weights = picture, 1.0
    for distance in range(1, REACH + 1):
        weight = exp(-((distance / SPREAD) ** 2) / 2)
        for step in (-distance, distance):
            total = ops.plus(total, ops.moved(picture, step * right, step * down), weight)
        weights += 2 * weight
    return total * (1 / weights)


def _directions(ops: Any, luma: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Return two maps, how far right and down a pixel along the line leads: 1 together, less where there is no line."""
    smooth = ops.blur(luma, NOISE)
    across, along = ops.filtered(smooth, SLOPE, BESIDE), ops.filtered(smooth, BESIDE, SLOPE)
    xx, xy, yy = (ops.blur(product, AROUND) for product in (across * across, across * along, along * along))
    gap = ((xx - yy) ** 2 + 4 * xy * xy) ** 0.5
    cosine = (xx - yy) / (gap + FLAT**2)  # of twice the angle of the gradient, to which a line is perpendicular
    line = gap / (xx + yy + FLAT)
    sign = ops.clip((xy + 1e-12) * 1e30, -1, 1)
    return -sign * line * ops.clip((1 - cosine) / 2, 0, 1) ** 0.5, line * ops.clip((1 + cosine) / 2, 0, 1) ** 0.5
