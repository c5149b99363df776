"""Edges → frame: the lines of Canny (1986), with thresholds that adapt to the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.pairing.base import FramePairing
from vidtrans.settings import setting

SOBEL_GAIN = 8  # Sobel's 3×3 kernel sums to 8 times the slope


@dataclass(frozen=True)
class EdgesSettings:
    """How lines are found."""

    density: float = setting(
        0.12,
        "share of the picture whose gradient may start a line; more gives more lines",
        low=0.001,
        high=0.9,
    )
    hysteresis: float = setting(0.4, "a line goes on down to this share of the starting gradient", low=0.05, high=1.0)
    blur: float = setting(1.0, "σ in pixels of the smoothing before lines are sought", low=0.0, high=10.0)
    floor: float = setting(
        8.0,
        "gradients (grey levels a pixel) below this never start a line: flat pictures stay empty",
        low=0.0,
    )
    soft: bool = setting(
        False, "add a second channel with the gradient's strength; sharper, but drawings have no such channel"
    )


class Edges(FramePairing):
    """One binary channel of lines, and a soft one of gradient strength where the settings ask for it."""

    name = "edges"
    version = 1
    Settings = EdgesSettings

    def __init__(self, settings: EdgesSettings) -> None:
        self.settings = settings

    @property
    def in_channels(self) -> int:
        return 2 if self.settings.soft else 1

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """((H, W, 3) uint8,) → (H, W, 1 or 2) uint8; lines are 255 on 0."""
        grey = cv2.cvtColor(frames[0], cv2.COLOR_RGB2GRAY)
        if self.settings.blur > 0:
            grey = cv2.GaussianBlur(grey, (0, 0), self.settings.blur, borderType=cv2.BORDER_REFLECT_101)
        dx = cv2.Sobel(grey, cv2.CV_16S, 1, 0)
        dy = cv2.Sobel(grey, cv2.CV_16S, 0, 1)
        # Squared slopes are whole numbers, exact on every machine. (cv2.magnitude is not: its rounding was seen to
        # depend on where in memory the arrays lie, and thresholds hang on it.)
        squared = np.square(dx, dtype=np.int32) + np.square(dy, dtype=np.int32)
        floor = (SOBEL_GAIN * self.settings.floor) ** 2
        high = math.sqrt(max(_quantile(squared, 1 - self.settings.density), floor))
        lines = cv2.Canny(dx, dy, self.settings.hysteresis * high, high, L2gradient=True)
        if not self.settings.soft:
            return lines[..., None]
        # A square root lifts faint structure; the 98th percentile keeps one bright edge from hiding the rest.
        ceiling = max(_quantile(squared, 0.98), floor)
        strength = np.sqrt(np.sqrt(np.minimum(squared / ceiling, 1))) * 255
        return np.dstack([lines, np.rint(strength).astype(np.uint8)])


def _quantile(values: np.ndarray, share: float) -> float:
    """The value that ``share`` of the whole numbers lie below: one of them, never a mean of two."""
    at = min(int(share * values.size), values.size - 1)
    return float(np.partition(values, at, axis=None)[at])
