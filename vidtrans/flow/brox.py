"""Coarse-to-fine warping of one variational energy (Brox et al., ECCV 2004), on OpenCV's solver.

It searches no patches: it begins with no motion at a few pixels and refines the whole field level by level. What it
gets wrong is therefore other than what DIS gets wrong, which makes it fit to score a filter that follows DIS.
"""

from __future__ import annotations

import cv2
import numpy as np

from vidtrans.flow.warping import resize_flow

RATIO = 0.9  # of a level to the one below; with 0.5 small fast things are lost
SMALLEST_SIDE = 16
WARPS = 2  # how often the second picture is warped anew at a level
SMOOTHNESS = 9.0  # OpenCV's own 20 is for refining a good field and flattens one that begins with nothing


class Brox:
    """Slow (nine times DIS), and about as exact; scikit-image's TV-L1 took five times longer still, less exact."""

    def __init__(self, device: str = "cpu") -> None:
        del device
        self._solver = cv2.VariationalRefinement.create()
        self._solver.setAlpha(SMOOTHNESS)
        self._solver.setFixedPointIterations(3)

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the flow between two pictures (H, W) uint8: (H, W, 2) float32 pixels."""
        sizes = _sizes(*first.shape)
        flow = np.zeros((sizes[-1][1], sizes[-1][0], 2), np.float32)
        for width, height in reversed(sizes):
            flow = resize_flow(flow, width, height)
            a, b = (cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA) for p in (first, second))
            for _ in range(WARPS):
                flow = self._solver.calc(a, b, flow)
        return flow


def _sizes(height: int, width: int) -> list[tuple[int, int]]:
    """(width, height) of each level, the finest first."""
    levels = [(width, height)]
    while min(levels[-1]) * RATIO >= SMALLEST_SIDE:
        shrunk = RATIO ** len(levels)
        levels.append((round(width * shrunk), round(height * shrunk)))
    return levels
