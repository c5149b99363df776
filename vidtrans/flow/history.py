"""What a frame inherits from the one before it: a picture that was made of that, brought here along the motion.

A model with a memory sees this beside its input, in training and when it renders alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vidtrans.flow.estimator import FlowEstimator
from vidtrans.flow.warping import agreement, inside, photometric, warp

METHOD = "dis"
VERSION = 1  # of what follows, for the keys of what is made with it
CHANNELS = 4  # of a history: a picture, and how sure it is
SLACK = 1.0  # pixels² of the frame between a way there and back at which half of the trust is gone
TOLERANCE = 0.16  # σ of the source's colour difference that is the same place, as the filters have it


@dataclass(frozen=True)
class BackwardFlow:
    """The flow from a frame to the one before it: ``flow`` (H, W, 2) in pixels, and its ``confidence`` (H, W), 0 to
    1.

    Both are float32 and lie on the frame's pixels.
    """

    flow: np.ndarray
    confidence: np.ndarray

    def within(self) -> BackwardFlow:
        """Nothing is sure of what leads out of the picture."""
        return BackwardFlow(self.flow, np.where(inside(self.flow, 0.5), self.confidence, np.float32(0)))


class BackwardFlowEstimator:
    """Finds trails by a flow method of the table. Raises UsageError where that cannot be had."""

    def __init__(self, method: str, device: str = "cpu") -> None:
        self._estimator = FlowEstimator(method, None, device)

    def __call__(self, before: np.ndarray, here: np.ndarray) -> BackwardFlow:
        """Two frames that follow each other, (H, W, 3) uint8 of one size → the trail of the second."""
        there, back = self._estimator.estimate_both(*(self._estimator.prepare(frame) for frame in (before, here)))
        same = photometric(here, warp(before, back), TOLERANCE)
        return BackwardFlow(back, agreement(back, there, SLACK) * same)


def to_signed_range(picture: np.ndarray) -> np.ndarray:
    """(H, W, C) uint8 or uint16 → float32 in [−1, 1]."""
    return picture.astype(np.float32) / np.float32(np.iinfo(picture.dtype).max / 2) - np.float32(1)


def from_signed_range(picture: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """float32 in [−1, 1] → the nearest of uint8 or uint16."""
    made: np.ndarray = np.rint((picture + 1) * np.float32(np.iinfo(dtype).max / 2)).astype(dtype)
    return made


def history(picture: np.ndarray, trail: BackwardFlow) -> np.ndarray:
    """A picture of the frame before, (H, W, 3) float32 in [−1, 1], as the frame at the trail's begin inherits it.

    (H, W, 4) float32 in [−1, 1]: the picture at its new place times how sure that is, and how sure it is, −1 … 1 for
    0 … 1. Bicubic: who goes on and on from it would see it blur.
    """
    moved = warp(picture, trail.flow, bicubic=True) * trail.confidence[..., None]
    return np.dstack([np.clip(moved, -1, 1), 2 * trail.confidence - 1])


def no_history(height: int, width: int) -> np.ndarray:
    """(H, W, 4) uint8: what stands for it at the begin of a shot, sure of nothing."""
    made = np.full((height, width, CHANNELS), 128, np.uint8)
    made[..., -1] = 0
    return made
