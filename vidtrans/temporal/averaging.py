"""The mean of pictures along the motion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from vidtrans.flow.warping import SharpPicture, enlarge_flow, grid, grow

STRIP = 65536  # pixels that are worked on at a time: what is made of them on the way stays in the processor's cache


def average_along(here: np.ndarray, others: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the mean of a picture, with weight 2, and of others sampled along flows: (H, W, 4) float32.

    ``others``: each a picture of the same shape, the flow there (h, w, 2), of the picture's size or of its grid, and
    the weight (h, w), 0 to 1.
    """
    height, width = here.shape[:2]
    moved = []
    for picture, flow, trust in others:
        if flow.shape[:2] != (height, width):
            flow, trust = enlarge_flow(flow, width, height), grow(trust, (width, height))
        moved.append((picture, flow, trust))
    total = np.empty_like(here)
    for rows in _strips(height, width):
        np.multiply(here[rows], 2, out=total[rows])
        _add_strip(moved, rows, total[rows])
    return total


def _strips(height: int, width: int) -> Iterator[slice]:
    number = max(1, round(height * width / STRIP))
    edges = [height * at // number for at in range(number + 1)]
    return (slice(top, bottom) for top, bottom in zip(edges, edges[1:], strict=False) if top < bottom)


def _add_strip(moved: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], rows: slice, total: np.ndarray) -> None:
    """Turn twice the picture in some rows, ``total``, into the mean."""
    weight = np.full(total.shape[:2], 2, np.float32)
    for picture, flow, trust in moved:
        height, width = picture.shape[:2]
        x, y = cv2.split(flow[rows] + grid(height, width)[rows])
        first = min(max(int(y.min()) - 2, 0), height - 1)
        last = max(min(int(y.max()) + 3, height), first + 1)
        y -= first
        there = SharpPicture(picture[first:last]).sample(x, y)
        weight += trust[rows]
        cv2.accumulateProduct(cv2.merge([trust[rows]] * 4), there, total)
    cv2.divide(total, cv2.merge([weight] * 4), dst=total)
