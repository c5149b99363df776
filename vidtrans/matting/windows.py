"""Windows: the part of a frame around a thing, at the scale at which the network sees it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

MULTIPLE, NARROWEST = 32, 96  # pixels, of a window's sides
MARGIN, MARGIN_PX = 0.4, 16  # around a thing: share of its side, and pixels besides
SMALLEST_SCALE, LARGEST_SCALE = 0.5, 2.0


class Box(NamedTuple):
    """A rectangle in pixels; ``right`` and ``bottom`` are outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def centre(self) -> tuple[float, float]:
        """Return (x, y)."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def sides(self) -> tuple[int, int]:
        """Return (width, height)."""
        return self.right - self.left, self.bottom - self.top


def box_of(matte: np.ndarray) -> Box | None:
    """Return the box of what is inside a matte (H, W) float32, at least half; None if nothing is."""
    inside = matte >= 0.5
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not len(rows):
        return None
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def scale_around(box: Box, side: int) -> float:
    """Return the scale at which a box with its margin has the area of a square with ``side``, within limits."""
    width, height = box.sides
    margin = 2 * (MARGIN * math.sqrt(max(width, 8) * max(height, 8)) + MARGIN_PX)
    area = (max(width, 8) + margin) * (max(height, 8) + margin)
    return min(max(side / math.sqrt(area), SMALLEST_SCALE), LARGEST_SCALE)


@dataclass(frozen=True)
class CropWindow:
    """A window of (width, height) ``size``; ``scale``: its pixels for one of the frame; ``corner``: its place there."""

    size: tuple[int, int]
    scale: float
    corner: tuple[float, float]

    @classmethod
    def around(cls, box: Box, frame: tuple[int, int], side: int) -> CropWindow:
        """Return the window around a box in a frame of (width, height), inside the frame where it fits."""
        scale = scale_around(box, side)
        margin = 2 * (MARGIN * math.sqrt(max(box.sides[0], 8) * max(box.sides[1], 8)) + MARGIN_PX)
        size, corner = [], []
        for middle, length, whole in zip(box.centre, box.sides, frame, strict=True):
            wanted = min((max(length, 8) + margin) * scale, whole * scale)
            pixels = max(NARROWEST, math.ceil(wanted / MULTIPLE) * MULTIPLE)
            half = pixels / scale / 2
            at = min(max(middle, half), whole - half) if 2 * half <= whole else whole / 2
            size.append(pixels)
            corner.append(at - half)
        return cls((size[0], size[1]), scale, (corner[0], corner[1]))

    @classmethod
    def whole(cls, frame: tuple[int, int], scale: float) -> CropWindow:
        """Return the window of all of a frame at a scale."""
        size = [max(NARROWEST, math.ceil(side * scale / MULTIPLE) * MULTIPLE) for side in frame]
        corner = [(side - pixels / scale) / 2 for side, pixels in zip(frame, size, strict=True)]
        return cls((size[0], size[1]), scale, (corner[0], corner[1]))

    def take(self, picture: np.ndarray, *, border: int = cv2.BORDER_REFLECT) -> np.ndarray:
        """Return what is in the window, of a picture (H, W[, C]) uint8 or a matte float32."""
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(picture, self._to_frame(), self.size, flags=flags, borderMode=border)

    def place(self, matte: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
        """Return a window's matte (h, w) float32 where it lies in a frame of (width, height); 0 around it."""
        return cv2.warpAffine(matte, self._to_frame(), frame, flags=cv2.INTER_LINEAR)

    def _to_frame(self) -> np.ndarray:
        shift = [corner + (1 / self.scale - 1) / 2 for corner in self.corner]  # from centres of pixels to centres
        return np.array([[1 / self.scale, 0, shift[0]], [0, 1 / self.scale, shift[1]]])
