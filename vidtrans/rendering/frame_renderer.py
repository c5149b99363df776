"""A model's raw outputs, frame by frame: the pairing makes the input, the engine runs in batches.

Two steps, that may go side by side: ``prepared`` and ``painted``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from vidtrans.clips.matte import Mattes
from vidtrans.inference.engine import Engine
from vidtrans.pairing.base import Pairing
from vidtrans.rendering.flow_propagation import Draft
from vidtrans.rendering.recurrence import Memory
from vidtrans.temporal.stream import Sample
from vidtrans.video.colour.conversion import eight_bit
from vidtrans.video.io.clip import Frame

CELL = 16  # pixels a side, about, over which inputs are compared
WAITING = 4  # batches: of samples that wait for a batch of inputs, as drafts and repeated frames do


class Inputs:
    """What the network sees of each frame: the pairing's input, or the drawing itself.

    ``matte``: the mask of a frame at the working size, for pairings that look at it.
    """

    def __init__(self, pairing: Pairing, *, drawn: bool = False, matte: Mattes | None = None) -> None:
        self.pairing, self.is_drawn, self.matte = pairing, drawn, matte

    def __call__(self, frames: Sequence[Frame]) -> np.ndarray:
        """Frames, oldest first → (H, W, in_channels), for the last of them; uint16 where frames and pairing are."""
        now = frames[-1]
        if self.is_drawn:
            return self.pairing.drawn(eight_bit(now.rgb))
        pictures = [picture for frame in frames for picture in frame.pictures]
        if not self.pairing.deep:
            pictures = [eight_bit(picture) for picture in pictures]
        return self.pairing.shown(pictures, now.index, self.matte(now.index) if self.matte else None)

    def close(self) -> None:
        if self.matte is not None:
            self.matte.close()


class Prepared(NamedTuple):
    """A sample, and what the network is ``shown`` for it: None where it is known, or is to be carried."""

    sample: Sample
    shown: np.ndarray | None


@dataclass
class Count:
    """Frames that the model painted, and those that it was ``spared``: they are what another was, or are carried."""

    inferred: int = 0
    spared: int = 0


class _Batch:
    """Inputs that wait for the engine, and the samples that wait for them, in order.

    An input that is what the last one was, or differs by at most ``alike``, takes its output.
    """

    def __init__(self, engine: Engine, *, deep: bool, alike: float, count: Count) -> None:
        self._engine, self._deep, self._alike, self._count = engine, deep, alike, count
        self._inputs: list[np.ndarray] = []
        self._waiting: deque[tuple[Sample, int | None]] = deque()  # with the place of its input
        self._shown: np.ndarray | None = None  # the last input that was not taken for another
        self._made: np.ndarray | None = None  # and its output, unless it waits

    def add(self, sample: Sample, shown: np.ndarray | None) -> None:
        """``shown`` is None for a sample that has its output."""
        place: int | None = None
        if shown is not None and self._shown is not None and alike(shown, self._shown, self._alike):
            self._count.spared += 1
            place = len(self._inputs) - 1 if self._made is None else None
            if self._made is not None:
                _paint(sample, self._made)
        elif shown is not None:
            self._count.inferred += 1
            place, self._shown, self._made = len(self._inputs), shown, None
            self._inputs.append(shown)
        self._waiting.append((sample, place))

    def forget(self) -> None:
        """The next input is painted, whatever it is."""
        self._shown = None

    @property
    def is_full(self) -> bool:
        """Whether there is a batch; or so many wait for a part of one that it has to do."""
        count = len(self._inputs)
        return count >= self._engine.batch or (count > 0 and len(self._waiting) >= WAITING * self._engine.batch)

    def taken(self) -> Iterator[Sample]:
        """The samples that wait for nothing."""
        while self._waiting and not self._inputs:
            yield self._waiting.popleft()[0]

    def flushed(self) -> Iterator[Sample]:
        """All samples, painted."""
        made = list(self._engine(np.stack(self._inputs), deep=self._deep)) if self._inputs else []
        if made:
            self._made = made[-1]
        self._inputs.clear()
        while self._waiting:
            sample, place = self._waiting.popleft()
            if place is not None:
                _paint(sample, made[place])
            yield sample


def _paint(sample: Sample, painted: np.ndarray) -> None:
    """A sample that is to be carried keeps what was painted to be compared."""
    if "carried" in sample.extras:
        sample.extras["painted"] = painted
    else:
        sample.output = painted


def alike(one: np.ndarray, other: np.ndarray, levels: float) -> bool:
    """Whether two inputs, (H, W, C), are the same; or differ by no more than so many ``levels``, 255ths of full scale,
    in the mean over each cell of about 16×16 pixels.
    """
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not levels:
        return np.array_equal(one, other)
    height, width = one.shape[:2]
    apart = np.abs(one.astype(np.float32) - other).max(axis=2)
    cells = cv2.resize(apart, (-(-width // CELL), -(-height // CELL)), interpolation=cv2.INTER_AREA)
    return float(cells.max()) <= levels * np.iinfo(one.dtype).max / 255


def prepared(
    frames: Iterable[Frame],
    first: int,
    shot_of: Callable[[int], tuple[int, int]],
    inputs_of: Inputs,
    known: Callable[[int], np.ndarray | None],
    draft: Draft | None = None,
) -> Generator[Prepared, None, None]:
    """Yield what is to be painted of each frame from number ``first`` on, in order.

    ``frames`` may begin before ``first``, with the past frames that the pairing looks back to;
    ``shot_of(i)`` is frame i's shot, [first, stop); ``known(i)`` returns an output made earlier, or None. With a
    ``draft`` those that it leaves out are marked for a ``Carrier``.
    """
    pairing = inputs_of.pairing
    past: dict[int, Frame] = {}
    for frame in frames:
        start, stop = shot_of(frame.index)
        past[frame.index] = frame
        if frame.index < first:
            continue
        numbers = pairing.history(frame.index, start)
        for old in [n for n in past if n < numbers[0]]:
            del past[old]
        output = known(frame.index)
        guide = eight_bit(frame.rgb)
        sample = Sample(frame.index, frame.pts, guide, guide, starts_shot=frame.index == start)
        if output is not None:
            sample.output = output
        is_painted = output is None
        if draft is not None and draft.is_key(frame.index, start, stop):
            sample.extras["key"] = True
        elif draft is not None and is_painted:
            sample.extras["carried"] = True
            is_painted = draft.is_checked(frame.index, start, stop)
        yield Prepared(sample, inputs_of([past[n] for n in numbers]) if is_painted else None)


def painted(
    given: Iterable[Prepared],
    engine: Engine,
    *,
    deep: bool = False,
    memory: Memory | None = None,
    reuse: float = 0.0,
    begins: Callable[[int], bool] = lambda number: False,
    count: Count | None = None,
) -> Generator[Sample, None, None]:
    """Yield a Sample with its output for each that is ``given``, in order; ``deep``: outputs are uint16.

    With a ``memory`` frames are painted one by one, each from the one before. Where the network would see what it saw
    last, or something no further than ``reuse`` from it, see ``alike``, it is not asked again; but where a chunk
    ``begins``, so that no chunk depends on another. The ``count`` is kept of what it was asked.
    """
    count = count or Count()
    batch = _Batch(engine, deep=deep, alike=reuse, count=count)
    for sample, shown in given:
        count.spared += shown is None and "carried" in sample.extras
        if memory:
            if shown is not None:
                count.inferred += 1
                sample.output = engine(memory.beside(shown, sample)[None], deep=deep)[0]
            memory.keep(sample)
            yield sample
            continue
        if reuse and begins(sample.index):
            batch.forget()
        batch.add(sample, shown)
        if batch.is_full:
            yield from batch.flushed()
        yield from batch.taken()
    yield from batch.flushed()


def lookback(pairing: Pairing, first: int, shot_first: int) -> int:
    """The earliest frame that must be read to make the input of frame ``first``."""
    return min(pairing.history(first, shot_first))
