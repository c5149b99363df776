"""Enlarge the pictures of a stream: colours by interpolation, and the luma with the detail of the source's luma.

The guided filter of ``guidance`` with one channel, whose detail has a gain that is measured one scale down. It takes a
small part of the time of ``enlarging``, and knows neither the output's own edges nor a network's faults. ``ops`` is
``array_pictures`` or ``tensor_pictures``; pictures and maps are theirs, float32 from 0 to 1.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from vidtrans.upscaling import array_pictures
from vidtrans.upscaling.detail import Ops, Picture, half_of, unseen
from vidtrans.upscaling.guidance import EPSILON, RADIUS

RIDGE = 3e-5  # of the least squares of the gain
WINDOW = 5  # pixels of the small picture, around each pixel, in which the gain is measured
# One back-projection sharpens about as much as this blur's difference, which takes a fraction of its time: a standard
# deviation in pixels, of pictures that become at least twice as large.
CRISP, LEAST_CRISP = 0.45, 0.1
Map = Any  # an array or a tensor of one channel


def upscale_stream(output: np.ndarray, source: np.ndarray, mode: str) -> np.ndarray:
    """Return a network's output at its source's size, (H, W, 3) uint8.

    Args:
        output: (h, w, 3) uint8, smaller than the source.
        source: the frame that it was painted from, (H, W, 3) uint8.
        mode: "luma": with the detail of the source's luma where both agree; or "bicubic".
    """
    colours = array_pictures.enlarge(output, array_pictures.size_of(source))
    if mode == "bicubic":
        return colours
    level = np.float32(1 / 255)
    change = luma_change(array_pictures, array_pictures.luma(output * level), array_pictures.luma(source) * level)
    return cv2.add(colours, array_pictures.merge([change * np.float32(255)] * 3), dtype=cv2.CV_8U)


def enlarged_by_luma(ops: Ops, x: Picture, guide: Map) -> Picture:
    """Return a picture ``x`` at the size of ``guide``, the luma of its source."""
    change = luma_change(ops, ops.luma(x), guide)
    colours = ops.clip(ops.enlarge(x, ops.size_of(guide)), 0, 1)
    return ops.clip(ops.plus(colours, ops.merge([change] * 3)), 0, 1)


def luma_change(ops: Ops, luma: Map, guide: Map) -> Map:
    """Return what to add to each colour of a picture that was enlarged to the size of ``guide``, and clipped.

    ``luma``: the small picture's. ``guide``: the luma of its source.
    """
    size, small = ops.size_of(guide), ops.size_of(luma)
    small_guide = ops.shrink(guide, small)
    factor = slope(ops, small_guide, luma) * gain(ops, luma, small_guide)
    deviation = max(LEAST_CRISP, CRISP * min(1, size[0] / small[0] - 1))
    detail = guide - ops.enlarge(_crisp(ops, small_guide, deviation), size)
    made = ops.enlarge(_crisp(ops, luma, deviation), size) + ops.spread(factor, size) * detail
    low, high = ops.extremes(luma)
    span = high - low
    made = ops.between(made, ops.spread(low - span, size), ops.spread(high + span, size))
    return made - ops.clip(ops.enlarge(luma, size), 0, 1)


def slope(ops: Ops, guide: Map, luma: Map) -> Map:
    """Return the factor of the local linear map from the guide's luma to a picture's, averaged; all of one size."""
    own, its = ops.mean_around(luma, RADIUS), ops.mean_around(guide, RADIUS)
    shared = ops.mean_around(guide * luma, RADIUS) - own * its
    return ops.mean_around(shared / (ops.mean_around(guide * guide, RADIUS) - its * its + EPSILON), RADIUS)


def gain(ops: Ops, luma: Map, guide: Map) -> Map:
    """Return how far the guide's detail is right, from 0 to 1, by the finest detail that ``luma`` itself shows."""
    half, half_guide = half_of(ops, luma), half_of(ops, guide)
    fewer = ops.size_of(half)
    found = ops.spread(slope(ops, half_guide, half), ops.size_of(luma)) * unseen(ops, guide, fewer)
    truth = unseen(ops, luma, fewer)
    power = ops.mean_around(found * found, WINDOW)
    return ops.clip(ops.mean_around(found * truth, WINDOW) / (power + RIDGE), 0, 1)


def _crisp(ops: Ops, luma: Map, deviation: float) -> Map:
    return 2 * luma - ops.blur(luma, deviation)
