"""Frames that the network skips: near-duplicates reuse an output, and drafts interpolate outputs.

A draft renders every n-th frame; the outputs of the frames between are propagated from both rendered neighbours along
the source's motion, and changed where the source changes otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from vidtrans.flow.carrying import Carrier, GuideFrame
from vidtrans.temporal.stream import Sample

# In every 16th group of a draft, the middle frame is also rendered, to measure the error of its propagated output
CHECK_INTERVAL = 16
CELL_SIDE = 16  # Approximate side, in pixels, of the cells in which network inputs are compared


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


class FlowPropagator:
    """A propagator of missing outputs from the rendered frames before and after, along the optical flow.

    Samples are marked as key frames or as propagated. For each propagated frame that was also rendered, the mean
    squared error, in [0, 1]², is appended to ``losses``.
    """

    def __init__(self, losses: list[float]) -> None:
        self._losses = losses
        self._carrier = Carrier()
        self._before: tuple[int, GuideFrame] | None = None
        self._waiting: list[Sample] = []

    def push(self, sample: Sample) -> Iterator[Sample]:
        """Add the next sample; yield the samples that now have their output, in order."""
        self._waiting.append(sample)
        if not sample.is_key:
            return
        after = sample.index, self._carrier.frame(sample.guide, sample.output)
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

    def _interpolate(self, sample: Sample, before: tuple[int, GuideFrame], after: tuple[int, GuideFrame]) -> None:
        """Set a sample's output to that of the key frames ``before`` and ``after`` it, each with its number."""
        target = self._carrier.frame(sample.guide)
        (first, one), (last, other) = before, after
        keys = (one, (last - sample.index) / (last - first)), (other, (sample.index - first) / (last - first))
        sample.output = self._carrier(target, keys)
        if sample.rendered is not None:
            difference = (sample.rendered.astype(np.float32) - sample.output) / np.iinfo(sample.output.dtype).max
            self._losses.append(float(np.mean(np.square(difference))))
            sample.rendered = None
