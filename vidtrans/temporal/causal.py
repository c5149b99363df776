"""The causal filter, for live use: each frame is averaged with earlier frames along the motion.

The mean of the model's own outputs is warped along the motion, together with the number H of frames in it at each
pixel. The mean has the weight H / (H + 1), the new frame 1 / (H + 1). Results are never fed back, so that nothing
drifts. The source's luma is resampled in the same way, to separate detail lost by resampling from detail that flickers.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from vidtrans.flow.warping import PICTURE, from_16bit, grid_size, grow, shrink, to_16bit, warp
from vidtrans.temporal.along_motion import FineDetail, FlowTracker, frame_on_grid, pack_channels
from vidtrans.temporal.settings import CausalSettings
from vidtrans.temporal.stream import Sample, Window
from vidtrans.temporal.window import apply_correction, low_correction
from vidtrans.video.colour.conversion import to_float


class CausalFilter:
    """The filter of ``--temporal causal``; each frame starts a shot or follows the previous frame."""

    version = 7
    radius = 0
    Settings = CausalSettings

    def __init__(self, settings: CausalSettings, device: str = "cpu") -> None:
        self.settings = settings
        self._tracker = FlowTracker(settings, device, inverts=False)
        self._detail = FineDetail(self._tracker, settings)
        self._last: Sample | None = None
        self._mean = np.empty(0)  # (H, W, 4) float32: the output's RGB and the guide's luma
        self._count = np.empty(0)  # (h, w) float32: the number of frames in the mean

    def expect(self, before: Sample, after: Sample) -> None:
        """Do nothing, because the filter uses no later frames."""

    def __call__(self, window: Window) -> np.ndarray:
        (sample,) = window.samples
        here = to_float(pack_channels(sample.output, sample.guide))
        height, width = here.shape[:2]
        size = grid_size(height, width)
        last, self._last = self._last, sample
        if last is None or sample.starts_shot or last.guide.shape != sample.guide.shape:
            self._mean, self._count = here, np.ones(size[::-1], np.float32)
            return sample.output
        both = Window((last, sample), 1)
        ((_, path, trust),) = self._tracker.neighbours(both, 1, (-1,))
        count = path.sample(self._count) * trust * path.evenness()
        before = warp(self._mean, cv2.merge(path.full_size(width, height)), bicubic=True)
        weight = grow(count / (count + 1), (width, height))
        self._mean = here + cv2.merge([weight] * 4) * (before - here)
        self._count = np.minimum(count + 1, self.settings.history)
        correction = self._detail(both, 1, to_16bit(self._mean, PICTURE))
        change = shrink(self._mean, size) - from_16bit(frame_on_grid(sample), PICTURE)
        low = low_correction(change, count / max(1, self.settings.history - 1), correction.slope)
        return apply_correction(sample.output, low, correction, self.settings)

    def state(self) -> Mapping[str, np.ndarray]:
        """Return the last frame, the running mean, (H, W, 4), and the number of frames in the mean, (h, w)."""
        if self._last is None:
            return {}
        return {"guide": self._last.guide, "output": self._last.output, "mean": self._mean, "count": self._count}

    def resume(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore a state that ``state`` returned."""
        self._last = Sample(-1, 0, state["guide"], state["output"], False) if state else None
        self._mean, self._count = (state["mean"], state["count"]) if state else (np.empty(0), np.empty(0))
