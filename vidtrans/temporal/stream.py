"""From a stream of per-frame outputs to the windows that filters see; at a cut all history is dropped."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

LOOKAHEAD = 1  # samples that are taken before windows need them: what a filter expects is then made beside its work


@dataclass
class Sample:
    """One frame: the ``guide`` (input), (H, W, 3) uint8, and the model's ``output``, of one size, uint8 or uint16.

    ``extras`` is where a filter keeps what it derives from this frame and its neighbours, so that it is computed once
    whatever number of windows the frame is in.
    """

    index: int
    pts: int
    guide: np.ndarray
    output: np.ndarray
    starts_shot: bool
    extras: dict[Any, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Window:
    """``samples`` of one shot around ``samples[centre]``: up to ``radius`` before it and after it."""

    samples: tuple[Sample, ...]
    centre: int


class Filter(Protocol):
    """A frame depends on ``radius`` neighbours on each side, and on nothing else."""

    radius: int

    def expect(self, before: Sample, after: Sample) -> None:
        """Two neighbours of a shot are there: what windows will need of them may be begun in the background."""

    def __call__(self, window: Window) -> np.ndarray:
        """The filtered picture of the window's centre, of its output's shape and dtype."""


@runtime_checkable
class RecursiveFilter(Protocol):
    """A filter that carries a state from frame to frame: it takes frames in order, each once, with a radius of 0."""

    def state(self) -> Mapping[str, np.ndarray]:
        """All that the next frame depends on. To go on from it is to go on exactly."""

    def resume(self, state: Mapping[str, np.ndarray]) -> None:
        """Take up a state that ``state`` gave."""


def filter_samples(
    samples: Iterable[Sample], method: Filter, wanted: range | None = None
) -> Iterator[tuple[Sample, np.ndarray]]:
    """Yield each sample with its filtered picture, ``method.radius`` frames behind the input, or one more, unless 0.

    ``wanted``: the numbers of the frames that are asked for; the others are only neighbours. A recursive filter sees
    all of them.
    """
    ahead = method.radius + LOOKAHEAD if method.radius else 0  # one that has no window may be live: it must not wait
    held: deque[Sample] = deque(maxlen=method.radius + 1 + ahead)
    waiting = 0  # how many of the last held samples have not been filtered yet

    def flush(keep: int) -> Iterator[tuple[Sample, np.ndarray]]:
        nonlocal waiting
        while waiting > keep:
            at = len(held) - waiting
            first = max(0, at - method.radius)
            asked = wanted is None or held[at].index in wanted
            if asked or isinstance(method, RecursiveFilter):
                picture = method(Window(tuple(held)[first : at + method.radius + 1], at - first))
                if asked:
                    yield held[at], picture
            waiting -= 1

    for sample in samples:
        if sample.starts_shot:
            yield from flush(0)
            held.clear()
        if held:
            method.expect(held[-1], sample)
        held.append(sample)
        waiting += 1
        yield from flush(ahead)
    yield from flush(0)
