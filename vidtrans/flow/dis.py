"""Dense inverse search (Kroeger et al., ECCV 2016), as OpenCV has it."""

from __future__ import annotations

import cv2
import numpy as np

# Below this the coarsest pyramid level is too small for the method's 8×8 patches.
_SMALLEST = 24


class DISMedium:
    """DIS at OpenCV's medium preset."""

    preset = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM

    def __init__(self) -> None:
        self._method = cv2.DISOpticalFlow.create(self.preset)

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(H, W) uint8 twice → (H, W, 2) float32 pixels. Pictures under 24 pixels are padded for the search."""
        height, width = first.shape
        below, right = max(0, _SMALLEST - height), max(0, _SMALLEST - width)
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
