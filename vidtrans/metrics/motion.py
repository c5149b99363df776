"""The motion of a source between two frames, and masks of its reliable pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from vidtrans.flow.estimator import FlowMethod
from vidtrans.flow.warping import forward_backward


@dataclass(frozen=True)
class FlowPair:
    """The motion between two consecutive frames of a shot.

    ``there`` is the flow from the first frame to the second, ``back`` the flow from the second to the first:
    (H, W, 2) float32, in pixels.
    """

    there: np.ndarray
    back: np.ndarray

    @classmethod
    def between(cls, first: np.ndarray, second: np.ndarray, method: FlowMethod) -> FlowPair:
        """Estimate the motion between two grey pictures, (H, W) uint8."""
        return cls(method(first, second), method(second, first))

    @cached_property
    def reliable(self) -> np.ndarray:
        """The mask (H, W) bool of the first frame's pixels that reappear in the second."""
        return self._returns_there & ~motion_boundary(self.there)

    @cached_property
    def reliable_back(self) -> np.ndarray:
        """The mask (H, W) bool of the second frame's pixels that appear in the first."""
        return self._returns_back & ~motion_boundary(self.back)

    @cached_property
    def uncovered(self) -> np.ndarray:
        """The mask (H, W) bool of the second frame's pixels absent from the first, dilated by one pixel.

        Something moved away from there, or content entered at the border; failures of the flow method look the same.
        """
        unseen = (~self._returns_back).astype(np.uint8)
        return cv2.dilate(unseen, np.ones((3, 3), np.uint8)).astype(bool)

    @cached_property
    def _returns_there(self) -> np.ndarray:
        return forward_backward(self.there, self.back)

    @cached_property
    def _returns_back(self) -> np.ndarray:
        return forward_backward(self.back, self.there)


def motion_boundary(flow: np.ndarray) -> np.ndarray:
    """Return the mask of motion boundaries (Ruder et al. 2016): (H, W) bool of a flow (H, W, 2) in pixels.

    ``|∇u|² + |∇v|² > 0.01 |f|² + 0.002``, with differences to the next pixel, as in the evaluator that Lai et al.
    (ECCV 2018) published.
    """
    down, right = np.zeros_like(flow), np.zeros_like(flow)
    down[:-1], right[:, :-1] = flow[1:] - flow[:-1], flow[:, 1:] - flow[:, :-1]
    u, v = flow[..., 0], flow[..., 1]
    change = np.einsum("hwc,hwc->hw", down, down) + np.einsum("hwc,hwc->hw", right, right)
    boundary: np.ndarray = change > 0.01 * (u * u + v * v) + 0.002
    return boundary
