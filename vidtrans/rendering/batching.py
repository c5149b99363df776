"""Batch the inputs of a network; a near-duplicate of the last input reuses its output."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from vidtrans.inference.engine import Engine
from vidtrans.temporal.stream import Sample

CELL = 16  # pixels a side, about, over which inputs are compared
MAX_WAITING = 4  # batches of samples that wait for a batch of inputs, as those of drafts and repeated frames do


@dataclass
class RenderCount:
    """Frames that the model rendered, and those that it ``skipped``: their output is another's, or propagated.

    ``losses``: of propagated frames that were rendered too, the mean squared differences, in [0, 1]².
    """

    inferred: int = 0
    skipped: int = 0
    losses: list[float] = field(default_factory=list)

    @property
    def psnr(self) -> float | None:
        """Return that of propagated frames against rendered ones, in dB; None where none were compared."""
        return float(-10 * np.log10(max(float(np.mean(self.losses)), 1e-10))) if self.losses else None


class BatchQueue:
    """Inputs that wait for the engine, and the samples that wait for them, in order.

    An input that is what the last one was, or differs by at most ``reuse``, takes its output.
    """

    def __init__(self, engine: Engine, *, deep: bool, reuse: float, count: RenderCount) -> None:
        self._engine, self._deep, self._reuse, self._count = engine, deep, reuse, count
        self._inputs: list[Any] = []
        self._waiting: deque[tuple[Sample, int | None]] = deque()  # with the place of its input
        self._last: Any = None  # the last input that took no other's output
        self._last_output: Any = None  # None while it waits

    def add(self, sample: Sample, model_input: Any) -> None:  # noqa: ANN401  (an array, or what is made one later)
        """Put in a sample with its input; None where it has its output."""
        place: int | None = None
        if model_input is not None and self._last is not None and self._is_repeated(model_input):
            self._count.skipped += 1
            if self._last_output is None:
                place = len(self._inputs) - 1
            else:
                _set_output(sample, self._last_output)
        elif model_input is not None:
            self._count.inferred += 1
            place, self._last, self._last_output = len(self._inputs), model_input, None
            self._inputs.append(model_input)
        self._waiting.append((sample, place))

    def reset(self) -> None:
        """Render the next input, whatever it is."""
        self._last = None

    @property
    def is_full(self) -> bool:
        """Return whether there is a batch, or too many samples wait for a part of one."""
        count = len(self._inputs)
        batch = self._batch()
        return count >= batch or (count > 0 and len(self._waiting) >= MAX_WAITING * batch)

    def ready(self) -> Iterator[Sample]:
        """Yield the samples that wait for nothing."""
        while self._waiting and not self._inputs:
            yield self._waiting.popleft()[0]

    def flush(self) -> Iterator[Sample]:
        """Run the engine; yield all samples."""
        outputs = self._outputs() if self._inputs else []
        if outputs:
            self._last_output = outputs[-1]
        self._inputs.clear()
        while self._waiting:
            sample, place = self._waiting.popleft()
            if place is not None:
                _set_output(sample, outputs[place])
            yield sample

    def _batch(self) -> int:
        return self._engine.batch

    def _is_repeated(self, model_input: Any) -> bool:  # noqa: ANN401
        return is_similar(model_input, self._last, self._reuse)

    def _outputs(self) -> list[Any]:
        """Return the outputs of all inputs that wait."""
        return list(self._engine(np.stack(self._inputs), deep=self._deep))


def _set_output(sample: Sample, output: Any) -> None:  # noqa: ANN401
    """Give a sample its output; of one that is propagated it is kept only to be compared."""
    if sample.is_propagated:
        sample.rendered = output
    else:
        sample.output = output


def is_similar(one: np.ndarray, other: np.ndarray, levels: float) -> bool:
    """Return whether two inputs, (H, W, C), are the same, or nearly.

    ``levels``, 255ths of full scale, is the most by which the mean over any cell of about 16×16 pixels may differ.
    """
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not levels:
        return np.array_equal(one, other)
    height, width = one.shape[:2]
    difference = np.abs(one.astype(np.float32) - other).max(axis=2)
    cells = cv2.resize(difference, (-(-width // CELL), -(-height // CELL)), interpolation=cv2.INTER_AREA)
    return float(cells.max()) <= levels * np.iinfo(one.dtype).max / 255
