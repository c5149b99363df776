"""A model's raw outputs, frame by frame: the pairing makes the input, the engine runs in batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

import numpy as np

from vidtrans.inference.engine import Engine
from vidtrans.pairing.base import Pairing
from vidtrans.rendering.matte import Mattes
from vidtrans.rendering.memory import Memory
from vidtrans.temporal.stream import Sample
from vidtrans.video.clip import Frame
from vidtrans.video.colour import eight_bit


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


def raw_outputs(
    frames: Iterable[Frame],
    first: int,
    shot_first: Callable[[int], int],
    inputs_of: Inputs,
    engine: Engine,
    known: Callable[[int], np.ndarray | None],
    *,
    deep: bool = False,
    memory: Memory | None = None,
) -> Generator[Sample, None, None]:
    """Yield a Sample for each frame from number ``first`` on, in order.

    ``frames`` may begin before ``first``, with the past frames that the pairing looks back to;
    ``shot_first(i)`` is the first frame of frame i's shot; ``known(i)`` returns an output made earlier, or None.
    ``deep``: outputs are uint16. With a ``memory`` frames are painted one by one, each from the one before.
    """
    pairing = inputs_of.pairing
    past: dict[int, Frame] = {}
    waiting: deque[tuple[Sample, np.ndarray | None]] = deque()
    inputs: list[np.ndarray] = []

    for frame in frames:
        start = shot_first(frame.index)
        past[frame.index] = frame
        if frame.index < first:
            continue
        numbers = pairing.history(frame.index, start)
        for old in [n for n in past if n < numbers[0]]:
            del past[old]
        output = known(frame.index)
        guide = eight_bit(frame.rgb)
        sample = Sample(frame.index, frame.pts, guide, guide, starts_shot=frame.index == start)
        shown = inputs_of([past[n] for n in numbers]) if output is None else None
        if memory:
            if shown is not None:
                output = engine(memory.beside(shown, sample)[None], deep=deep)[0]
            sample.output = output if output is not None else sample.output
            memory.keep(sample)
            yield sample
            continue
        if shown is not None:
            inputs.append(shown)
        waiting.append((sample, output))
        if len(inputs) >= engine.batch:
            yield from _flush(waiting, inputs, engine, deep)
        while not inputs and waiting:
            sample, output = waiting.popleft()
            sample.output = output if output is not None else sample.output
            yield sample
    yield from _flush(waiting, inputs, engine, deep)


def _flush(
    waiting: deque[tuple[Sample, np.ndarray | None]], inputs: list[np.ndarray], engine: Engine, deep: bool
) -> Iterator[Sample]:
    made = iter(engine(np.stack(inputs), deep=deep) if inputs else ())
    inputs.clear()
    while waiting:
        sample, output = waiting.popleft()
        sample.output = output if output is not None else next(made)
        yield sample


def lookback(pairing: Pairing, first: int, shot_first: int) -> int:
    """The earliest frame that must be read to make the input of frame ``first``."""
    return min(pairing.history(first, shot_first))
