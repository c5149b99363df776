"""The history input of a recurrent model: its previous output, warped along the motion to the current frame.

It is an additional input of the model, in training and in renders. Renders on a GPU compute it there, see
``rendering.device_history``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vidtrans.flow.estimator import FlowEstimator
from vidtrans.flow.warping import flow_consistency, inside, photometric, warp

METHOD = "dis"  # Flow method that warps the previous output
VERSION = 2  # Version of the computed history, for cache keys
CHANNELS = 4  # Channels of a history: three of the warped picture, one of its confidence
SLACK = 1.0  # Squared forward–backward error at which the confidence is ½, in pixels²
TOLERANCE = 0.16  # σ of the Gaussian by which a colour difference (full scale 1) along the flow lowers the confidence


@dataclass(frozen=True)
class BackwardFlow:
    """The ``flow`` (H, W, 2) in pixels from a frame to the previous one, and its ``confidence`` (H, W), 0 to 1.

    Both are float32, on the frame's pixel grid.
    """

    flow: np.ndarray
    confidence: np.ndarray

    def within(self) -> BackwardFlow:
        """Return the same flow with zero confidence where it leads out of the picture."""
        return BackwardFlow(self.flow, np.where(inside(self.flow, 0.5), self.confidence, np.float32(0)))


class BackwardFlowEstimator:
    """Estimates backward flow by a registered method. Raises UsageError if the method is not installed."""

    def __init__(self, method: str, device: str = "cpu") -> None:
        self._estimator = FlowEstimator(method, None, device)

    def __call__(self, before: np.ndarray, here: np.ndarray) -> BackwardFlow:
        """Return the flow from ``here`` to ``before``, the preceding frame; both are (H, W, 3) uint8 of one size."""
        there, back = self._estimator.estimate_both(*(self._estimator.prepare(frame) for frame in (before, here)))
        same = photometric(here, warp(before, back), TOLERANCE)
        return BackwardFlow(back, flow_consistency(back, there, SLACK) * same)


def to_signed_range(picture: np.ndarray) -> np.ndarray:
    """Convert a picture (H, W, C) uint8 or uint16 to float32 in [−1, 1]."""
    return picture.astype(np.float32) / np.float32(np.iinfo(picture.dtype).max / 2) - np.float32(1)


def from_signed_range(picture: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Convert a picture in [−1, 1] to uint8 or uint16 by rounding."""
    return np.rint((picture + 1) * np.float32(np.iinfo(dtype).max / 2)).astype(dtype)


def history(picture: np.ndarray, backward: BackwardFlow) -> np.ndarray:
    """Return the history input for a frame, (H, W, 4) float32 in [−1, 1].

    It is the warped ``picture`` of the previous frame, (H, W, 3) float32 in [−1, 1], times the confidence, and the
    confidence mapped to [−1, 1]. Sampling is bicubic, because repeated bilinear sampling would blur it.
    """
    moved = warp(picture, backward.flow, bicubic=True) * backward.confidence[..., None]
    return np.dstack([np.clip(moved, -1, 1), 2 * backward.confidence - 1])


def no_history(height: int, width: int) -> np.ndarray:
    """Return the history input for the first frame of a shot, (H, W, 4) uint8: a grey picture with confidence 0."""
    empty = np.full((height, width, CHANNELS), 128, np.uint8)
    empty[..., -1] = 0
    return empty
