"""Polynomial expansion (Farnebäck, SCIA 2003), by OpenCV."""

from __future__ import annotations

import cv2
import numpy as np


class Farneback:
    """With the settings of the measure tOF (Chu et al., *TecoGAN*, 2020): 0.5, 3, 15, 3, 5, 1.2.

    More levels, steps or a wider window measured no better: motion beyond some ten pixels escapes it.
    """

    def __init__(self, device: str = "cpu") -> None:
        del device

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the flow between two pictures (H, W) uint8: (H, W, 2) float32 pixels."""
        return cv2.calcOpticalFlowFarneback(
            first, second, None, pyr_scale=0.5, levels=3, winsize=15, iterations=3, poly_n=5, poly_sigma=1.2, flags=0
        )
