"""The mean of pictures along the motion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import cv2
import numpy as np

from vidtrans.flow.warping import SharpPicture, grid_axes, grow
from vidtrans.temporal.tracking import FlowPath

_STEPS = 21845.0  # of 16 bits from 0 to 1
STRIP = 32768  # pixels that are worked on at a time: what is made of them on the way stays in the processor's cache
Moved = tuple[np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray]  # a picture, the flow there, a weight


def to_16_bits(picture: np.ndarray) -> np.ndarray:
    """Return a picture of float32 in [−1, 2] as int16, which takes half the memory and is as good as exact."""
    return cv2.addWeighted(picture, _STEPS, picture, 0, -_STEPS / 2, dtype=cv2.CV_16S)


def from_16_bits(picture: np.ndarray) -> np.ndarray:
    """Return what ``to_16_bits`` was given; float32 is returned as it is."""
    if picture.dtype == np.float32:
        return picture
    exact = picture.astype(np.float32)
    exact *= np.float32(1 / _STEPS)
    exact += np.float32(0.5)
    return exact


def average_along(here: np.ndarray, others: Sequence[tuple[np.ndarray, FlowPath, np.ndarray]]) -> np.ndarray:
    """Return the mean of a picture, with weight 2, and of others sampled along paths: (H, W, 4).

    ``here`` is float32, or int16 of ``to_16_bits``; so is the result. ``others``: each a picture of the same kind, the
    path there, and the weight (h, w), 0 to 1. Paths and weights are of the picture's size or of its grid.
    """
    height, width = here.shape[:2]
    moved: list[Moved] = []
    for picture, path, trust in others:
        on_grid = trust.shape == (height, width)
        flow = (path.u, path.v) if on_grid else path.full_size(width, height)
        moved.append((picture, flow, trust if on_grid else grow(trust, (width, height))))
    total = np.empty_like(here)
    for rows in _strips(height, width):
        mean = _average_rows(from_16_bits(here[rows]), moved, rows)
        total[rows] = mean if here.dtype == np.float32 else to_16_bits(mean)
    return total


def _strips(height: int, width: int) -> Iterator[slice]:
    number = max(1, round(height * width / STRIP))
    edges = [height * at // number for at in range(number + 1)]
    return (slice(top, bottom) for top, bottom in pairwise(edges) if top < bottom)


def _average_rows(here: np.ndarray, moved: Sequence[Moved], rows: slice) -> np.ndarray:
    """Return the mean in some rows, which are ``here``; flows and weights are of the picture's size."""
    total, weight = here * 2, np.full(here.shape[:2], 2, np.float32)
    for picture, flow, trust in moved:
        height, width = picture.shape[:2]
        x, y = (of_pixel[rows] + by[rows] for of_pixel, by in zip(grid_axes(height, width), flow, strict=True))
        first = min(max(int(y.min()) - 2, 0), height - 1)
        last = max(min(int(y.max()) + 3, height), first + 1)
        y -= first
        there = SharpPicture(from_16_bits(picture[first:last])).sample(x, y)
        weight += trust[rows]
        cv2.accumulateProduct(cv2.merge([trust[rows]] * 4), there, total)
    return cv2.divide(total, cv2.merge([weight] * 4), dst=total)
