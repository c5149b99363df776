"""Dense inverse search (Kroeger et al., ECCV 2016), as OpenCV has it."""

from __future__ import annotations

import math

import cv2
import numpy as np

PATCH = 8


class DISMedium:
    """DIS at OpenCV's medium preset."""

    preset = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM

    def __init__(self) -> None:
        self._method = cv2.DISOpticalFlow.create(self.preset)

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(H, W) uint8 twice → (H, W, 2) float32 pixels. Small and very wide pictures are padded for the search."""
        height, width = first.shape
        right = max(0, 3 * PATCH - width)
        # OpenCV chooses the coarsest pyramid level by the width alone, and crashes where the height does not hold
        # a patch there.
        coarsest = max(0, math.floor(math.log2(2 * (width + right) / (5 * PATCH))))
        below = max(0, max(3 * PATCH, PATCH * 2**coarsest) - height)
        if below or right:
            first, second = (cv2.copyMakeBorder(p, 0, below, 0, right, cv2.BORDER_REPLICATE) for p in (first, second))
        flow = self._method.calc(np.ascontiguousarray(first), np.ascontiguousarray(second), None)
        return np.ascontiguousarray(flow[:height, :width])


class DISFast(DISMedium):
    """DIS at OpenCV's fast preset."""

    preset = cv2.DISOPTICAL_FLOW_PRESET_FAST


def grey(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB → (H, W) uint8, the input that flow methods take."""
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
