"""Where one shot ends and the next begins.

The share of pixels that the forward–backward test keeps falls to nearly nothing at a cut, and stays high in
the most violent shot; together with a jump in colour it tells cuts from flashes and fast moves.
"""

from __future__ import annotations

import cv2
import numpy as np

from vidtrans.flow.dis import DISFast, grey
from vidtrans.flow.reliability import forward_backward

# Bump when the measure or its thresholds change: the cached shots of every clip depend on it.
VERSION = 1
ANALYSIS_SHORT_SIDE = 128
SHARE_AT_CUT = 0.2
CHANGE_AT_CUT = 8.0  # mean |ΔRGB|, 0 to 255


class CutDetector:
    """Feed the frames of a clip in order; each call says whether the frame starts a new shot.

    Frames are (H, W, 3) uint8, all of one size; short sides near ``ANALYSIS_SHORT_SIDE`` are best.
    """

    def __init__(self) -> None:
        self._flow = DISFast()
        self._last: np.ndarray | None = None
        self.share, self.change = 1.0, 0.0

    def __call__(self, rgb: np.ndarray) -> bool:
        previous, self._last = self._last, rgb
        if previous is None:
            return True
        # In RGB, not HSV: the hue of a nearly black picture is noise, and a fade-in would be full of cuts.
        self.change = float(cv2.absdiff(previous, rgb).mean())
        self.share = 1.0
        if self.change < CHANGE_AT_CUT:
            return False  # most frames: no flow is needed to see that nothing jumped
        self.share = share_kept(self._flow, previous, rgb)
        return self.share < SHARE_AT_CUT


def share_kept(method: DISFast, first: np.ndarray, second: np.ndarray) -> float:
    """The share of pixels, 0 to 1, whose flow survives the forward–backward test."""
    a, b = grey(first), grey(second)
    return float(forward_backward(method(a, b), method(b, a)).mean())
