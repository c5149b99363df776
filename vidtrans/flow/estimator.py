"""From frames to flow both ways, at a size of its own."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from vidtrans.flow import FLOWS
from vidtrans.flow.dis import grey
from vidtrans.settings import Size
from vidtrans.video.colour.conversion import to_uint8

# An instance of a registered class, (first, second) → flow; ``vidtrans.flow`` describes it.
FlowMethod = Callable[[np.ndarray, np.ndarray], np.ndarray]


def runs_on_device(method: str) -> bool:
    """Return whether a method of the table is a network, which may run on a GPU. Raises UsageError."""
    return hasattr(FLOWS.load(method), "identity")


def flow_identity(method: str, device: str = "cpu") -> str:
    """Return what decides a method's flow besides the pictures and OpenCV; '' for OpenCV's own.

    Raises UsageError for an unknown method or one that is not installed.
    """
    return str(FLOWS.load(method).identity(device)) if runs_on_device(method) else ""


class FlowEstimator:
    """A flow method of the table, and the size that it works at.

    ``short_side``: in pixels, or None for the frames' own size; frames are never enlarged. ``device``: 'cpu', 'cuda:0'
    and the like, for methods that are networks. Not for two threads at once. Raises UsageError for an unknown method or
    one that is not installed.
    """

    def __init__(self, method: str = "dis", short_side: int | None = None, device: str = "cpu") -> None:
        self._short_side = short_side
        self._takes = FLOWS[method].takes
        self._method: FlowMethod = FLOWS.load(method)(device)

    def prepare(self, rgb: np.ndarray) -> np.ndarray:
        """Return what the method takes of a frame (H, W, 3) uint8 or uint16: uint8, at the working size."""
        picture = grey(rgb) if self._takes == "grey" else rgb
        height, width = picture.shape[:2]
        if self._short_side is not None and min(width, height) > self._short_side:
            size = Size(short=self._short_side).of(width, height)
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(to_uint8(picture))

    def estimate_both(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the flow from one prepared picture to another and back: (H, W, 2) float32 each, in its own pixels.

        Between two equal pictures it is zero, at no cost. ``warping.resize_flow`` brings a flow to another size.
        """
        if np.array_equal(first, second):
            still = np.zeros((*first.shape[:2], 2), np.float32)
            return still, still.copy()
        return self._method(first, second), self._method(second, first)
