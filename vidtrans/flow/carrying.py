"""Carry painted pictures along the motion of the clip over which they were painted, to frames between them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import cv2
import numpy as np

from vidtrans.flow.estimator import FlowEstimator
from vidtrans.flow.warping import flow_consistency, resize_flow, warp

VERSION = "2"  # Version of carried pictures, for cache keys
# Optical-flow method, and the short side in pixels at which the flow is estimated
FLOW_METHOD, FLOW_SHORT_SIDE = "dis", 192
# Confidence added to the flow's confidence, so that the distance in time alone weights the pictures where it is 0
MIN_CONFIDENCE = 0.02
# A warped picture is changed where the warped guide differs from the frame's. The constants, for luma in [0, 255], were
# chosen on the clips juggle and dog: the share of the change that is made, the σ in pixels by which the difference is
# smoothed, as noise is not painted, the σ of its absolute value, and the difference at which the confidence falls to
# a third.
SHARE, DIFFERENCE_SIGMA, ERROR_SIGMA, ERROR_SCALE = 0.85, 1.0, 1.5, 12.0
# Side of the cells in which slopes are computed, in pixels, and the window in cells; the variance of the luma below
# which slopes are small; the largest slope
SLOPE_CELL, SLOPE_WINDOW, MIN_VARIANCE, MAX_SLOPE = 4, (7, 7), 60.0, 2.0


class GuideFrame:
    """A frame of the clip, ``guide``, and the picture that is ``painted`` over it, of its size, if there is one.

    Both are (H, W, 3) uint8 or uint16. ``prepared``: the guide in the flow method's input format.
    """

    def __init__(self, guide: np.ndarray, painted: np.ndarray | None, prepared: np.ndarray) -> None:
        self.guide, self._painted, self.prepared = guide, painted, prepared

    @property
    def painted(self) -> np.ndarray:
        """Return the painted picture, which there must be."""
        assert self._painted is not None
        return self._painted

    @cached_property
    def luma(self) -> np.ndarray:
        """Return the luma of the guide, (H, W) float32 in [0, 255]."""
        luma: np.ndarray = cv2.cvtColor(self.guide, cv2.COLOR_RGB2GRAY).astype(np.float32)
        return luma

    @cached_property
    def slopes(self) -> np.ndarray:
        """Return by how much the painted picture changes with the luma, (h, w, 3) float32, at a quarter of the size.

        This is the slope of a guided filter (He et al., ECCV 2010): the regression of the picture on the guide's luma
        in the surroundings of each pixel. The picture counts in the units of its dtype.
        """
        height, width = self.luma.shape
        size = (max(1, width // SLOPE_CELL), max(1, height // SLOPE_CELL))
        picture = self.painted.astype(np.float32)
        parts = self.luma, self.luma * self.luma, picture, picture * self.luma[..., None]
        luma, square, mean, product = (
            cv2.blur(cv2.resize(part, size, interpolation=cv2.INTER_AREA), SLOPE_WINDOW) for part in parts
        )
        slopes = (product - luma[..., None] * mean) / (square - luma * luma + MIN_VARIANCE)[..., None]
        limit = MAX_SLOPE * np.iinfo(self.painted.dtype).max / 255
        return np.clip(cv2.blur(slopes, SLOPE_WINDOW), -limit, limit)


class Carrier:
    """Makes the picture of a frame from those of key frames around it, along the optical flow of their guides."""

    def __init__(self) -> None:
        self._flow = FlowEstimator(FLOW_METHOD, FLOW_SHORT_SIDE)

    def frame(self, guide: np.ndarray, painted: np.ndarray | None = None) -> GuideFrame:
        """Return a frame to carry from, if it is ``painted``, or to carry to."""
        return GuideFrame(guide, painted, self._flow.prepare(guide))

    def __call__(self, target: GuideFrame, keys: Sequence[tuple[GuideFrame, float]]) -> np.ndarray:
        """Return the mean of the pictures of ``keys``, warped to the frame ``target``: (H, W, 3) of their dtype.

        Each key has a share, which says how near it is in time. It is weighted by this share and its confidence.
        """
        dtype = keys[0][0].painted.dtype
        pictures, weights = [], []
        for key, share in keys:
            picture, confidence = self._warp(key, target)
            pictures.append(picture)
            # OpenCV adds 1e-5 to the sum of the weights, so they are made large
            weights.append(np.float32(1024 * share) * (confidence + np.float32(MIN_CONFIDENCE)))
        mixed = pictures[0] if len(keys) == 1 else cv2.blendLinear(*pictures, *weights)
        return np.clip(np.rint(mixed), 0, np.iinfo(dtype).max).astype(dtype)

    def _warp(self, key: GuideFrame, target: GuideFrame) -> tuple[np.ndarray, np.ndarray]:
        """Warp the picture of ``key`` to ``target``; return it, (H, W, 3) float32, and the confidence, (H, W).

        Where the warped guide differs from the target's, in light or because the flow is wrong, the picture is changed
        by as much as it changes with the guide around there. The confidence is the flow's, and falls with this
        difference.
        """
        forward, backward = self._flow.estimate_both(target.prepared, key.prepared)
        height, width = target.luma.shape
        flow = resize_flow(forward, width, height)
        picture = warp(key.painted.astype(np.float32), flow, bicubic=True)
        difference = cv2.GaussianBlur(target.luma - warp(key.luma, flow, bicubic=True), (0, 0), DIFFERENCE_SIGMA)
        small_flow = resize_flow(forward, *key.slopes.shape[1::-1])
        slopes = cv2.resize(warp(key.slopes, small_flow), (width, height), interpolation=cv2.INTER_LINEAR)
        picture += np.float32(SHARE) * difference[..., None] * slopes
        confidence = cv2.resize(flow_consistency(forward, backward), (width, height), interpolation=cv2.INTER_LINEAR)
        error = cv2.GaussianBlur(np.abs(difference), (0, 0), ERROR_SIGMA)
        return picture, confidence * cv2.exp(error * np.float32(-1 / ERROR_SCALE))
