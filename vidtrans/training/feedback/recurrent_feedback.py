"""Memory in training: a model's own output for the frame before, brought to this one, is a part of its input."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from vidtrans.data.augment import draw_synthetic_motion
from vidtrans.data.dataset import Pair
from vidtrans.data.loading import Example, Loader
from vidtrans.flow.history import CHANNELS, BackwardFlow, BackwardFlowEstimator, history, to_signed_range
from vidtrans.training.feedback.rollout_pool import successors
from vidtrans.video.images.picture import picture_size

TRAIL_BYTES = 12  # of a pixel
CACHE_BYTES = 1 << 29  # of trails: those of 680 pictures of 256x256 pixels
LONGEST_DRIFT = 6  # steps, in which a third of the picture may leave


class RecurrentFeedback:
    """The feedback of a generator that remembers; ``flow`` is the method by which its past comes to it.

    ``drifting``: the share of examples that go on as a motion given to the one picture. All do that have no successor
    in time, but for those at the end of a shot.
    """

    keeps = 1
    lands = False

    def __init__(self, loader: Loader, flow: str, drifting: float) -> None:
        self.loader, self.drifting = loader, drifting
        after = successors(loader.pairs, loader.pairing.stride)
        self._before = {following: i for i, following in enumerate(after) if following is not None}
        self._tracer = BackwardFlowEstimator(flow)
        self._trails: OrderedDict[int, Future[BackwardFlow]] = OrderedDict()
        self._worker = ThreadPoolExecutor(1, "trails")

    def input(self, shown: np.ndarray, outputs: Sequence[np.ndarray], example: Example) -> np.ndarray:
        """See ``Feedback.input``."""
        geometry = example.geometry
        drift = geometry.drift
        trail = drift.trail(*shown.shape[1:]) if drift else geometry.trail(self._trail(example.index).result())
        made = shown.copy()
        made[-CHANNELS:] = history(outputs[-1].transpose(1, 2, 0), trail).transpose(2, 0, 1)
        return made

    def following(self, example: Example, successor: int | None, age: int, rng: np.random.Generator) -> Example | None:
        """See ``Feedback.following``."""
        drift = example.geometry.drift
        if drift:
            longer = replace(drift, steps=drift.steps + 1)
        elif age == 1 and (rng.random() < self.drifting or self._stands_alone(example.index, successor)):
            longer = draw_synthetic_motion(rng, example.geometry.crop)
        else:
            if successor is None:
                return None
            self._trail(successor)
            return replace(example, index=successor)
        if longer.steps > LONGEST_DRIFT:
            return None
        return replace(example, geometry=replace(example.geometry, drift=longer))

    def of_pair(self, index: int, paint: Callable[[Pair], np.ndarray]) -> np.ndarray | None:
        """Return the history of a whole pair, (H, W, 4) float32; ``paint`` renders the pair before it, (H, W, 3) uint8.

        None where there is no pair before it.
        """
        if index not in self._before:
            return None
        return history(to_signed_range(paint(self.loader.pairs[self._before[index]])), self._trail(index).result())

    def _stands_alone(self, index: int, successor: int | None) -> bool:
        return successor is None and index not in self._before

    def _trail(self, index: int) -> Future[BackwardFlow]:
        """From a pair's frame back to the one before it, as they are stored; begun if it is not known.

        One thread finds them, ahead of when they are needed: OpenCV lets go of the interpreter.
        """
        if index in self._trails:
            self._trails.move_to_end(index)
            return self._trails[index]
        width, height = picture_size(self.loader.pairs[index].inputs[0])
        while len(self._trails) >= max(1, CACHE_BYTES // (TRAIL_BYTES * width * height)):
            self._trails.popitem(last=False)
        self._trails[index] = self._worker.submit(self._find, index)
        return self._trails[index]

    def _find(self, index: int) -> BackwardFlow:
        frames = [self.loader.read(self.loader.pairs[i].inputs[0]) for i in (self._before[index], index)]
        return self._tracer(*frames)
