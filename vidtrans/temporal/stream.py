"""From a stream of per-frame outputs to the windows that filters see; at a cut all history is dropped."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


@dataclass
class Sample:
    """One frame: the ``guide`` (input), (H, W, 3) uint8, and the model's ``output``, of one size, uint8 or uint16.

    ``extras`` is where a filter keeps what it derives from this frame, or from this frame and the next, so
    that it is computed once whatever number of windows the frame is in.
    """

    index: int
    pts: int
    guide: np.ndarray
    output: np.ndarray
    starts_shot: bool
    extras: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Window:
    """``samples`` of one shot around ``samples[centre]``: up to ``radius`` before it and after it."""

    samples: tuple[Sample, ...]
    centre: int


class Filter(Protocol):
    radius: int

    def __call__(self, window: Window) -> np.ndarray:
        """The filtered picture of the window's centre, of its output's shape and dtype."""


def filtered(samples: Iterable[Sample], method: Filter) -> Iterator[tuple[Sample, np.ndarray]]:
    """Yield each sample with its filtered picture, ``method.radius`` frames behind the input."""
    held: deque[Sample] = deque(maxlen=2 * method.radius + 1)
    waiting = 0  # how many of the last held samples have not been filtered yet

    def flush(keep: int) -> Iterator[tuple[Sample, np.ndarray]]:
        nonlocal waiting
        while waiting > keep:
            at = len(held) - waiting
            first = max(0, at - method.radius)
            window = Window(tuple(held)[first : at + method.radius + 1], at - first)
            yield held[at], method(window)
            waiting -= 1

    for sample in samples:
        if sample.starts_shot:
            yield from flush(0)
            held.clear()
        held.append(sample)
        waiting += 1
        yield from flush(method.radius)
    yield from flush(0)
