"""The history of a recurrent model: its last output, motion-compensated, as an additional input."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from vidtrans.flow.history import BackwardFlowEstimator, from_signed_range, history, no_history, to_signed_range
from vidtrans.temporal.stream import Sample
from vidtrans.video.colour.conversion import to_uint16


class Recurrence(Protocol):
    """The history of a recurrent model. Pictures are arrays, or tensors on the engine's device."""

    def with_history(self, model_input: Any, sample: Sample) -> Any:  # noqa: ANN401
        """Append the history to the input of ``sample``."""

    def keep(self, sample: Sample) -> None:
        """Store the output that the next frame's history is computed from."""


class RecurrentHistory:
    """The last sample of a shot, on the CPU. ``flow``: the method that estimates the motion to the next frame."""

    def __init__(self, flow: str) -> None:
        self._estimate = BackwardFlowEstimator(flow)
        self._last: Sample | None = None

    def with_history(self, model_input: np.ndarray, sample: Sample) -> np.ndarray:
        """Append the history to the input of ``sample``, (H, W, C) uint8 or uint16; return C + 4 channels.

        The result is uint16 if the last output is.
        """
        last = self._last
        if last is None or sample.starts_shot or last.guide.shape != sample.guide.shape:
            nothing = no_history(*model_input.shape[:2])
            return np.dstack([model_input, nothing if model_input.dtype == np.uint8 else to_uint16(nothing)])
        if last.output.dtype == np.uint16:
            model_input = to_uint16(model_input)
        past = history(to_signed_range(last.output), self._estimate(last.guide, sample.guide))
        return np.dstack([model_input, from_signed_range(past, model_input.dtype)])

    def keep(self, sample: Sample) -> None:
        """Store the output that the next frame's history is computed from."""
        self._last = sample
