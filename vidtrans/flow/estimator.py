"""Estimate flow in both directions at a working size; dense inverse search, the default method, is here."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from vidtrans.flow import FLOWS
from vidtrans.flow.lucas_kanade import refine
from vidtrans.settings import Size
from vidtrans.video.colour.conversion import to_uint8

# An instance of a registered class, (first, second) → flow; ``vidtrans.flow`` describes it.
FlowMethod = Callable[[np.ndarray, np.ndarray], np.ndarray]


def runs_on_device(method: str) -> bool:
    """Return whether a method of the table runs in torch, and so on any device. Raises UsageError."""
    return hasattr(FLOWS.load(method), "identity")


def flow_identity(method: str, device: str = "cpu") -> str:
    """Return what decides a method's flow besides the pictures and OpenCV; '' for OpenCV's own.

    Raises UsageError for an unknown method or one that is not installed.
    """
    return str(FLOWS.load(method).identity(device)) if runs_on_device(method) else ""


class FlowEstimator:
    """A flow method of the table, and the size that it works at.

    ``short_side``: in pixels, or None for the frames' own size; frames are never enlarged. ``device``: 'cpu', 'cuda:0'
    and the like, for methods that run in torch. Not for two threads at once. Raises UsageError for an unknown method or
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


# Pictures are padded to this. Below it OpenCV crashes (it chooses the coarsest level by the width, and then the height
# does not hold a patch), and along a strip it finds only short motion: the strip has no levels.
NARROWEST = 64


class DISMedium:
    """Dense inverse search (Kroeger et al., ECCV 2016) down to half size, then a Lucas–Kanade step at full size.

    OpenCV's medium preset with fewer patches and descents.
    """

    preset = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
    finest = 1
    stride, descents, refinements = 4, 8, 3
    refined_at_full_size = True

    def __init__(self, device: str = "cpu") -> None:
        del device
        self._search = cv2.DISOpticalFlow.create(self.preset)
        self._search.setPatchStride(self.stride)
        self._search.setGradientDescentIterations(self.descents)
        self._search.setVariationalRefinementIterations(self.refinements)

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the flow between two pictures (H, W) uint8: (H, W, 2) float32 pixels. Small ones are padded."""
        height, width = first.shape
        below, right = max(0, NARROWEST - height), max(0, NARROWEST - width)
        if below or right:
            first, second = (cv2.copyMakeBorder(p, 0, below, 0, right, cv2.BORDER_REPLICATE) for p in (first, second))
        first, second = np.ascontiguousarray(first), np.ascontiguousarray(second)
        # Where a picture is too small for that scale, OpenCV chooses another, and keeps to it for all that follow.
        self._search.setFinestScale(self.finest)
        flow = self._search.calc(first, second, None)
        if self.refined_at_full_size:
            flow = refine(first, second, flow)
        return np.ascontiguousarray(flow[:height, :width])


class DISFast(DISMedium):
    """OpenCV's fast preset: patches down to a quarter of the size."""

    preset = cv2.DISOPTICAL_FLOW_PRESET_FAST
    finest = 2
    stride, descents, refinements = 4, 16, 5
    refined_at_full_size = False


class DISFine(DISMedium):
    """Patches down to full size.

    With the medium preset's stride of 3 and 25 descents it takes half as long again, and the errors are the same
    within 4 %.
    """

    finest = 0
    stride, descents, refinements = 4, 12, 5
    refined_at_full_size = False


def grey(rgb: np.ndarray) -> np.ndarray:
    """Return an RGB picture in grey, (H, W): the input that most flow methods take."""
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
