"""Frames that the network skips: near-duplicates reuse an output, and drafts interpolate outputs.

A draft renders every n-th frame; the outputs of the frames between are propagated from both rendered neighbours along
the source's motion, and changed where the source changes otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np

from vidtrans.flow.estimator import FlowEstimator
from vidtrans.flow.warping import flow_consistency, resize_flow, warp
from vidtrans.temporal.stream import Sample

PROPAGATION_VERSION = "2"  # Version of the propagation of outputs, for cache keys
# Optical-flow method of the propagation, and the short side in pixels at which the flow is estimated
FLOW_METHOD, FLOW_SHORT_SIDE = "dis", 192
# In every 16th group of a draft, the middle frame is also rendered, to measure the error of its propagated output
CHECK_INTERVAL = 16
CELL_SIDE = 16  # Approximate side, in pixels, of the cells in which network inputs are compared
# Confidence added to the flow's confidence, so that the frame distance alone weights the key frames where it is 0
MIN_CONFIDENCE = 0.02
# A warped output is changed where the warped guide differs from the frame's. The constants, for luma in [0, 255], were
# chosen on the clips juggle and dog: the share of the change that is made, the σ in pixels by which the difference is
# smoothed, as noise is not painted, the σ of its absolute value, and the difference at which the confidence falls to
# a third.
SHARE, DIFFERENCE_SIGMA, ERROR_SIGMA, ERROR_SCALE = 0.85, 1.0, 1.5, 12.0
# Side of the cells in which slopes are computed, in pixels, and the window in cells; the variance of the luma below
# which slopes are small; the largest slope
SLOPE_CELL, SLOPE_WINDOW, MIN_VARIANCE, MAX_SLOPE = 4, (7, 7), 60.0, 2.0


@dataclass
class RenderCount:
    """Counts of frames: ``inferred`` by the model, and ``skipped``, whose output is reused or propagated.

    ``losses``: mean squared errors, in [0, 1]², of propagated frames that were also rendered.
    """

    inferred: int = 0
    skipped: int = 0
    losses: list[float] = field(default_factory=list)

    @property
    def psnr(self) -> float | None:
        """Return the PSNR in dB of propagated frames against their rendered pictures; None if no frame was compared."""
        return float(-10 * np.log10(max(float(np.mean(self.losses)), 1e-10))) if self.losses else None


def is_similar(one: np.ndarray, other: np.ndarray, levels: float) -> bool:
    """Return whether two network inputs, (H, W, C), are equal or nearly equal.

    ``levels``: limit, in 255ths of full scale, of the mean difference in any cell of about 16×16 pixels.
    """
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    height, width = one.shape[:2]
    difference = np.abs(one.astype(np.float32) - other).max(axis=2)
    cells = cv2.resize(difference, (-(-width // CELL_SIDE), -(-height // CELL_SIDE)), interpolation=cv2.INTER_AREA)
    return float(cells.max()) <= levels * np.iinfo(one.dtype).max / 255


@dataclass(frozen=True)
class Draft:
    """A draft render, in which the model renders only key frames.

    They are the first frame of each group of ``every`` frames in a shot, and the last frame of the shot.
    """

    every: int

    def is_key(self, frame: int, shot_first: int, shot_stop: int) -> bool:
        """Return whether a frame is rendered, because it is the first of its group or the last of its shot."""
        return (frame - shot_first) % self.every == 0 or frame == shot_stop - 1

    def is_checked(self, frame: int, shot_first: int, shot_stop: int) -> bool:
        """Return whether a skipped frame is rendered nevertheless, only to measure the propagation's error."""
        if self.is_key(frame, shot_first, shot_stop):
            return False
        group, place = divmod(frame - shot_first, self.every)
        return group % CHECK_INTERVAL == 0 and place == self.every // 2

    def mark(self, sample: Sample, shot_first: int, shot_stop: int, *, is_stored: bool) -> bool:
        """Set whether a sample is a key frame, or is propagated from key frames; return whether to render it.

        ``is_stored``: the output is stored, so that it is neither propagated nor rendered.
        """
        sample.is_key = self.is_key(sample.index, shot_first, shot_stop)
        sample.is_propagated = not sample.is_key and not is_stored
        return not is_stored and (sample.is_key or self.is_checked(sample.index, shot_first, shot_stop))

    def extend_to_keys(self, lo: int, hi: int, shot_first: int, shot_stop: int) -> tuple[int, int]:
        """Extend the frames [lo, hi) of a shot by the rendered key frames from which their outputs are propagated."""
        last = shot_first + -(-(hi - 1 - shot_first) // self.every) * self.every
        return lo - (lo - shot_first) % self.every, max(hi, min(shot_stop, last + 1))


@dataclass(frozen=True)
class _Guide:
    """The guide of a frame, of which the output is known or wanted."""

    sample: Sample
    prepared: np.ndarray  # In the flow method's input format

    @cached_property
    def luma(self) -> np.ndarray:
        """Return the luma of the guide, (H, W) float32 in [0, 255]."""
        luma: np.ndarray = cv2.cvtColor(self.sample.guide, cv2.COLOR_RGB2GRAY).astype(np.float32)
        return luma

    @cached_property
    def slopes(self) -> np.ndarray:
        """Return by how much a key frame's output changes with its luma, (h, w, 3) float32, at a quarter of the size.

        This is the slope of a guided filter (He et al., ECCV 2010): the regression of the output on the guide's luma
        in the surroundings of each pixel. The output counts in the units of its dtype.
        """
        height, width = self.luma.shape
        size = (max(1, width // SLOPE_CELL), max(1, height // SLOPE_CELL))
        output = self.sample.output.astype(np.float32)
        parts = self.luma, self.luma * self.luma, output, output * self.luma[..., None]
        luma, square, mean, product = (
            cv2.blur(cv2.resize(part, size, interpolation=cv2.INTER_AREA), SLOPE_WINDOW) for part in parts
        )
        slopes = (product - luma[..., None] * mean) / (square - luma * luma + MIN_VARIANCE)[..., None]
        limit = MAX_SLOPE * np.iinfo(self.sample.output.dtype).max / 255
        return np.clip(cv2.blur(slopes, SLOPE_WINDOW), -limit, limit)


class FlowPropagator:
    """A propagator of missing outputs from the rendered frames before and after, along the optical flow.

    Samples are marked as key frames or as propagated. For each propagated frame that was also rendered, the mean
    squared error, in [0, 1]², is appended to ``losses``.
    """

    def __init__(self, losses: list[float]) -> None:
        self._losses = losses
        self._flow = FlowEstimator(FLOW_METHOD, FLOW_SHORT_SIDE)
        self._before: _Guide | None = None
        self._waiting: list[Sample] = []

    def push(self, sample: Sample) -> Iterator[Sample]:
        """Add the next sample; yield the samples that now have their output, in order."""
        self._waiting.append(sample)
        if not sample.is_key:
            return
        after = _Guide(sample, self._flow.prepare(sample.guide))
        for waiting in self._waiting:
            if waiting.is_propagated:
                assert self._before is not None
                self._interpolate(waiting, self._before, after)
            yield waiting
        self._before, self._waiting = after, []

    def flush(self) -> Iterator[Sample]:
        """Yield the samples after the last key frame, which already have their output."""
        yield from self._waiting
        self._waiting = []

    def _interpolate(self, sample: Sample, before: _Guide, after: _Guide) -> None:
        """Set a sample's output to the mean of the warped outputs of the key frames ``before`` and ``after`` it.

        The weights are their confidence, and the nearness in time.
        """
        first, last, dtype = before.sample.index, after.sample.index, before.sample.output.dtype
        target = _Guide(sample, self._flow.prepare(sample.guide))
        pictures, weights = [], []
        for key, share in ((before, last - sample.index), (after, sample.index - first)):
            picture, confidence = self._warp(key, target)
            pictures.append(picture)
            # OpenCV adds 1e-5 to the sum of the weights, so they are made large
            weights.append(np.float32(1024 * share / (last - first)) * (confidence + np.float32(MIN_CONFIDENCE)))
        full = np.iinfo(dtype).max
        sample.output = np.clip(np.rint(cv2.blendLinear(*pictures, *weights)), 0, full).astype(dtype)
        if sample.rendered is not None:
            difference = (sample.rendered.astype(np.float32) - sample.output) / full
            self._losses.append(float(np.mean(np.square(difference))))
            sample.rendered = None

    def _warp(self, key: _Guide, target: _Guide) -> tuple[np.ndarray, np.ndarray]:
        """Warp the output of ``key`` to ``target``; return it, (H, W, 3) float32, and the confidence, (H, W).

        Where the warped guide differs from the target's, in light or because the flow is wrong, the output is changed
        by as much as it changes with the guide around there. The confidence is the flow's, and falls with this
        difference.
        """
        forward, backward = self._flow.estimate_both(target.prepared, key.prepared)
        height, width = target.luma.shape
        flow = resize_flow(forward, width, height)
        picture = warp(key.sample.output.astype(np.float32), flow, bicubic=True)
        difference = cv2.GaussianBlur(target.luma - warp(key.luma, flow, bicubic=True), (0, 0), DIFFERENCE_SIGMA)
        small_flow = resize_flow(forward, *key.slopes.shape[1::-1])
        slopes = cv2.resize(warp(key.slopes, small_flow), (width, height), interpolation=cv2.INTER_LINEAR)
        picture += np.float32(SHARE) * difference[..., None] * slopes
        confidence = cv2.resize(flow_consistency(forward, backward), (width, height), interpolation=cv2.INTER_LINEAR)
        error = cv2.GaussianBlur(np.abs(difference), (0, 0), ERROR_SIGMA)
        return picture, confidence * cv2.exp(error * np.float32(-1 / ERROR_SCALE))
