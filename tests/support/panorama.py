"""A wide picture to look along: what is seen at two places is known to be the same, or to have nothing in common."""

from __future__ import annotations

import cv2
import numpy as np


def panorama(seed: int, width: int = 640, height: int = 128) -> np.ndarray:
    """Ellipses of many sizes and greys, (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 128, np.uint8)
    for _ in range(width * height // 1000):
        centre = int(rng.integers(width)), int(rng.integers(height))
        axes = int(rng.integers(4, 40)), int(rng.integers(4, 40))
        grey = [int(rng.integers(256))] * 3
        cv2.ellipse(picture, centre, axes, float(rng.integers(180)), 0, 360, grey, -1, cv2.LINE_AA)
    return picture
