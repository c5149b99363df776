"""Signals of a live source's frames, from the past alone: how much moves, and how bright it is."""

from __future__ import annotations

import math

import cv2
import numpy as np

from vidtrans.flow.estimator import grey
from vidtrans.flow.survey import MOTION_SIGMA, edge_motion

SIDE = 96  # pixels of the short side at which frames are compared
FULL_FALL_S = 20.0  # in which the motion that is scaled to 1 falls by e
LEAST_MOTION = 2.0  # pixels a second at that size; less, as the noise of a camera, is never scaled to 1
HOLD_S = 0.5  # for which the motion of the last two frames counts


class SourceSignals:
    """Measures the frames that a live session paints.

    Attributes:
        brightness: The last frame's mean grey level, 0 to 1.
    """

    def __init__(self) -> None:
        self.brightness = 0.0
        self._motion, self._full = 0.0, LEAST_MOTION
        self._before: np.ndarray | None = None
        self._seen_s = -math.inf

    def see(self, rgb: np.ndarray, now_s: float) -> None:
        """Measure the next frame, (H, W, 3) uint8, at a time in s."""
        scale = min(1.0, SIDE / min(rgb.shape[:2]))
        small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else rgb
        picture = grey(small)
        self.brightness = float(picture.mean()) / 255
        after = cv2.GaussianBlur(picture, (0, 0), MOTION_SIGMA).astype(np.float32)
        before, passed_s = self._before, max(1e-3, now_s - self._seen_s)
        self._before, self._seen_s = after, now_s
        if before is None or before.shape != after.shape or passed_s > HOLD_S:
            self._motion = 0.0
            return
        speed = edge_motion(before, after) / passed_s
        self._full = max(speed, LEAST_MOTION, self._full * math.exp(-passed_s / FULL_FALL_S))
        self._motion = speed / self._full

    def motion(self, now_s: float) -> float:
        """Return how much moves, from 0 to 1, where 1 is the most of the last seconds."""
        return self._motion if now_s - self._seen_s < HOLD_S else 0.0
