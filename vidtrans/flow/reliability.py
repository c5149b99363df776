"""Where a flow can be believed."""

from __future__ import annotations

import cv2
import numpy as np

from vidtrans.flow.warp import grid, warp


def squared_length(vectors: np.ndarray) -> np.ndarray:
    """(H, W, C) float32 → (H, W): the sum of squares over channels. By planes: numpy's own sum takes 4 times longer."""
    planes = cv2.split(vectors)
    total = cv2.multiply(planes[0], planes[0])
    for plane in planes[1:]:
        cv2.accumulateSquare(plane, total)
    return total


def forward_backward(flow: np.ndarray, back: np.ndarray) -> np.ndarray:
    """The consistency test of Sundaram et al. (ECCV 2010): (H, W) bool, True where the flow is reliable.

    Unreliable where |f + f̂|² ≥ 0.01 (|f|² + |f̂|²) + 0.5, with f̂ the backward flow sampled at p + f(p), and
    where p + f(p) leaves the picture. Flows are (H, W, 2) float32, in pixels of the full-size picture.
    """
    gap, lengths = _gap(flow, back)
    return (gap < 0.01 * lengths + 0.5) & inside(flow, 0.0)


def agreement(flow: np.ndarray, back: np.ndarray, slack: float = 8.0) -> np.ndarray:
    """How far a flow and the one back agree: (H, W) float32 in [0, 1], s / (s + |f + f̂|²), 0 outside the picture.

    The forward–backward test with a soft edge: s = 0.01 (|f|² + |f̂|²) + ``slack`` (pixels²) is where it is ½. For
    weights that are not alone in deciding: a hard test of 0.5 pixels² throws away much that fits well. The picture
    ends half a pixel beyond the centres of its outer pixels. Flows as in ``forward_backward``.
    """
    gap, lengths = _gap(flow, back)
    scale = 0.01 * lengths + slack
    return np.where(inside(flow, 0.5), scale / (scale + gap), np.float32(0))


def _gap(flow: np.ndarray, back: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|f + f̂|², and |f|² + |f̂|²."""
    returned = warp(back, flow)
    return squared_length(flow + returned), squared_length(flow) + squared_length(returned)


def inside(flow: np.ndarray, margin: float) -> np.ndarray:
    """Where p + f(p) is within the picture, or at most ``margin`` pixels outside."""
    height, width = flow.shape[:2]
    low, high = (-margin, -margin), (width - 1 + margin, height - 1 + margin)
    return cv2.inRange(grid(height, width) + flow, low, high) > 0


def motion_boundaries(flow: np.ndarray) -> np.ndarray:
    """Where the flow jumps (Ruder et al., GCPR 2016): (H, W) bool, True at |∇u|² + |∇v|² > 0.01 |f|² + 0.002.

    ``flow`` is (H, W, 2) float32 in pixels; ∇ are central differences, the border repeated. Ruder et al. leave such
    pixels out, since a flow is blurred there and what it leads to is part of one thing and part of another.
    """
    along_x, along_y = (
        cv2.Sobel(flow, cv2.CV_32F, dx, 1 - dx, ksize=1, scale=0.5, borderType=cv2.BORDER_REPLICATE) for dx in (1, 0)
    )
    change = squared_length(along_x) + squared_length(along_y)
    return change > 0.01 * squared_length(flow) + 0.002


def photometric(first: np.ndarray, second_warped: np.ndarray, sigma: float = 0.1) -> np.ndarray:
    """How far two pictures agree, exp(−‖A − W(B, f)‖² / (2σ²)): (H, W) float32 in [0, 1].

    ``first`` and ``second_warped``, the second sampled along the flow, are (H, W, 3) RGB, float32 in [0, 1], or uint8
    or uint16 over their full range. ``sigma`` is a length in RGB of [0, 1]; vid2vid (Wang et al., 2018) has instead the
    hard test ‖·‖² < 0.02.
    """
    difference = cv2.subtract(first, second_warped, dtype=cv2.CV_32F)
    full = np.iinfo(first.dtype).max if first.dtype.kind == "u" else 1.0
    return np.exp(squared_length(difference) * np.float32(-0.5 / (sigma * full) ** 2))
