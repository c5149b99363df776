"""Where a flow can be believed."""

from __future__ import annotations

import numpy as np

from vidtrans.flow.warp import _grid, warp


def squared_length(vectors: np.ndarray) -> np.ndarray:
    """(H, W, C) → (H, W): the sum of squares over channels. einsum, since a sum over a last axis is slow."""
    return np.einsum("hwc,hwc->hw", vectors, vectors)


def forward_backward(flow: np.ndarray, back: np.ndarray) -> np.ndarray:
    """The consistency test of Sundaram et al. (ECCV 2010): (H, W) bool, True where the flow is reliable.

    Unreliable where |f + f̂|² ≥ 0.01 (|f|² + |f̂|²) + 0.5, with f̂ the backward flow sampled at p + f(p), and
    where p + f(p) leaves the picture. Flows are (H, W, 2) float32, in pixels of the full-size picture.
    """
    height, width = flow.shape[:2]
    returned = warp(back, flow)
    gap = squared_length(flow + returned)
    bound = 0.01 * (squared_length(flow) + squared_length(returned)) + 0.5
    places = _grid(height, width) + flow
    x, y = places[..., 0], places[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return (gap < bound) & inside
