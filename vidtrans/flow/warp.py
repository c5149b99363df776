"""Sampling a picture along a flow. ``W(x, f)`` samples x at p + f(p), for each pixel p."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np


@lru_cache(maxsize=8)
def _grid(height: int, width: int) -> np.ndarray:
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    grid = np.dstack([xs, ys])
    grid.setflags(write=False)
    return grid


def warp(picture: np.ndarray, flow: np.ndarray, *, bicubic: bool = False) -> np.ndarray:
    """Sample ``picture`` (H, W[, C]; uint8 or float32) at p + flow(p); the border is repeated.

    ``flow`` is (H, W, 2) float32 in pixels. Bicubic keeps detail that repeated bilinear sampling blurs;
    sample once, along a composed flow.
    """
    height, width = flow.shape[:2]
    places = _grid(height, width) + flow
    method = cv2.INTER_CUBIC if bicubic else cv2.INTER_LINEAR
    return cv2.remap(picture, places, None, method, borderMode=cv2.BORDER_REPLICATE)


def compose(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The flow A→C from A→B and B→C: f(p) + g(p + f(p)). (H, W, 2) float32 pixels each."""
    return first + warp(second, first)


def resize_flow(flow: np.ndarray, width: int, height: int) -> np.ndarray:
    """A flow on another grid, its vectors in the new grid's pixels."""
    scale = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    return cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA) * scale
