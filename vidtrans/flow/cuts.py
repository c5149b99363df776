"""Where one shot ends and the next begins.

The share of pixels that can be followed — kept by the forward–backward test, and of the colour that the flow
leads to — falls to nearly nothing at a cut and stays well above it in a violent shot. Measured: at most 0.05 at
eight cuts of real clips, at least 0.24 within their shots. The colour matters: to a plain black frame any flow is
consistent.
"""

from __future__ import annotations

import cv2
import numpy as np

from vidtrans.flow.dis import DISFast, grey
from vidtrans.flow.reliability import forward_backward
from vidtrans.flow.warp import warp

ANALYSIS_SHORT_SIDE = 128
SHARE_AT_CUT = 0.15
SAME_COLOUR = 32  # largest difference of a channel, 0 to 255, along the flow
CHANGE_AT_CUT = 8.0  # mean |ΔRGB|, 0 to 255


class CutDetector:
    """Feed the frames of a clip in order; each call says whether the frame starts a new shot.

    Frames are (H, W, 3) uint8; short sides near ``ANALYSIS_SHORT_SIDE`` are best. A frame of another size than the
    one before (pictures in a folder) starts a shot.
    """

    def __init__(self) -> None:
        self._flow = DISFast()
        self._last: np.ndarray | None = None
        self.share, self.change = 1.0, 0.0

    def __call__(self, rgb: np.ndarray) -> bool:
        previous, self._last = self._last, rgb
        if previous is None or previous.shape != rgb.shape:
            return True
        # In RGB, not HSV: the hue of a nearly black picture is noise, and a fade-in would be full of cuts.
        self.change = float(cv2.absdiff(previous, rgb).mean())
        self.share = 1.0
        if self.change < CHANGE_AT_CUT:
            return False  # most frames: no flow is needed to see that nothing jumped
        self.share = share_kept(self._flow, previous, rgb)
        return self.share < SHARE_AT_CUT


def share_kept(method: DISFast, first: np.ndarray, second: np.ndarray) -> float:
    """The share of pixels of ``first``, 0 to 1, that are found again in ``second``; both (H, W, 3) uint8."""
    a, b = grey(first), grey(second)
    flow = method(a, b)
    reliable = forward_backward(flow, method(b, a))
    same = cv2.absdiff(first, warp(second, flow)).max(-1) < SAME_COLOUR
    return float((reliable & same).mean())
