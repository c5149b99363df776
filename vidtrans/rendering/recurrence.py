"""What a model that remembers knows when it paints a frame: its own output for the frame before, as it is kept."""

from __future__ import annotations

import numpy as np

from vidtrans.flow.history import BackwardFlowEstimator, from_signed_range, history, no_history, to_signed_range
from vidtrans.temporal.stream import Sample
from vidtrans.video.colour.conversion import to_uint16


class Recurrence:
    """Holds the last sample of a shot. ``flow``: the method by which the past comes to a frame."""

    def __init__(self, flow: str) -> None:
        self._tracer = BackwardFlowEstimator(flow)
        self._last: Sample | None = None

    def beside(self, shown: np.ndarray, sample: Sample) -> np.ndarray:
        """Append the history to the input of ``sample``, (H, W, C) uint8 or uint16: C + 4 channels.

        uint16 where the sample that was kept has an output that is.
        """
        last = self._last
        if last is None or sample.starts_shot or last.guide.shape != sample.guide.shape:
            nothing = no_history(*shown.shape[:2])
            return np.dstack([shown, nothing if shown.dtype == np.uint8 else to_uint16(nothing)])
        if last.output.dtype == np.uint16:
            shown = to_uint16(shown)
        past = history(to_signed_range(last.output), self._tracer(last.guide, sample.guide))
        return np.dstack([shown, from_signed_range(past, shown.dtype)])

    def keep(self, sample: Sample) -> None:
        """Store the output that the next frame's history is computed from."""
        self._last = sample
