"""Read the matte of each frame of a clip, with its edge softened."""

from __future__ import annotations

from collections.abc import Callable, Generator

import cv2
import numpy as np

from vidtrans.video.io.clip import Frame, FrameCursor

Feather = Callable[[int], float]  # returns the σ, in pixels, of a frame


def hard(frame: int) -> float:
    """Return 0: an edge that is not softened."""
    return 0.0


class MatteReader:
    """A reader of the matte of each frame, in order: (H, W) uint8, white where the style is applied.

    ``read`` yields the mask's frames from a number on; ``steps[i]`` is the mask's frame for frame ``first + i``.
    """

    def __init__(
        self,
        steps: list[int],
        first: int,
        read: Callable[[int], Generator[Frame, None, None]],
        feather: Feather = hard,
        *,
        inverted: bool = False,
    ) -> None:
        self.steps, self.first, self.feather, self.inverted = steps, first, feather, inverted
        self._cursor = FrameCursor(read)
        self._frame: Frame | None = None
        self._sigma = 0.0
        self._matte = np.empty((0, 0), np.uint8)

    def __call__(self, frame: int) -> np.ndarray:
        """Return the matte of a frame of the clip."""
        mask = self._cursor(self.steps[frame - self.first])
        sigma = self.feather(frame)
        if mask is not self._frame or sigma != self._sigma:  # one that goes with several frames is feathered once
            self._frame, self._sigma, self._matte = mask, sigma, self._feathered(mask.rgb, sigma)
        return self._matte

    def close(self) -> None:
        """Close the mask's file."""
        self._cursor.close()

    def _feathered(self, rgb: np.ndarray, sigma: float) -> np.ndarray:
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        grey = cv2.bitwise_not(grey) if self.inverted else grey
        if sigma > 0:
            grey = cv2.GaussianBlur(grey, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        return grey
