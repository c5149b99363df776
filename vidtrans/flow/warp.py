"""Sampling a picture along a flow. ``W(x, f)`` samples x at p + f(p), for each pixel p."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

BORDER = cv2.BORDER_REPLICATE


@lru_cache(maxsize=8)
def grid(height: int, width: int) -> np.ndarray:
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    grid = np.dstack([xs, ys])
    grid.setflags(write=False)
    return grid


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


def compose(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The flow A→C from A→B and B→C: f(p) + g(p + f(p)). (H, W, 2) float32 pixels each."""
    return first + warp(second, first)


def resize_flow(flow: np.ndarray, width: int, height: int) -> np.ndarray:
    """A flow (H, W, 2) float32 on another grid, in the new grid's pixels: (height, width, 2). Itself at its own size.

    Pixels are squares, so their centres lie at halves and the corners of both grids coincide. Shrunk, each vector is
    the mean over its pixel's area; enlarged, vectors are interpolated.
    """
    if (height, width) == flow.shape[:2]:
        return flow
    scale = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    # INTER_AREA does not interpolate when it enlarges: it repeats.
    method = cv2.INTER_AREA if scale.max() <= 1 else cv2.INTER_LINEAR
    return cv2.resize(flow, (width, height), interpolation=method) * scale
