"""The feedback of a recurrent generator: its previous output, warped to the current frame, is part of its input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache

import numpy as np

from vidtrans.data.augment import draw_synthetic_motion
from vidtrans.data.dataset import Pair
from vidtrans.data.loading import Example, Loader
from vidtrans.flow.history import CHANNELS, BackwardFlow, BackwardFlowEstimator, history, to_signed_range
from vidtrans.training.feedback.rollout_pool import successors

FLOW_BYTES = 12  # of a pixel
CACHE_BYTES = 1 << 29  # of flows: those of 680 pictures of 256x256 pixels
MAX_MOTION_STEPS = 6  # in which a third of the picture may leave


class RecurrentFeedback:
    """The feedback of a recurrent generator; ``flow``: the name of the flow method that warps its previous output.

    ``motion_fraction``: the share of pictures that are followed by a synthetic motion of themselves instead of by the
    next frame; a picture with neither a next nor a previous frame is always followed by its synthetic motion.
    """

    num_outputs = 1
    relocates = False

    def __init__(self, loader: Loader, flow: str, motion_fraction: float) -> None:
        self.loader, self.motion_fraction = loader, motion_fraction
        after = successors(loader.pairs, loader.pairing.stride)
        self._before = {following: i for i, following in enumerate(after) if following is not None}
        self._estimator = BackwardFlowEstimator(flow)
        # One thread estimates flows before they are needed: OpenCV releases the interpreter lock.
        worker, size = ThreadPoolExecutor(1, "flows"), CACHE_BYTES // (FLOW_BYTES * loader.max_pixels)

        @lru_cache(max(1, size))
        def backward_flow(index: int) -> Future[BackwardFlow]:
            return worker.submit(self._estimate, index)

        self._flow = backward_flow

    def input(self, given: np.ndarray, outputs: Sequence[np.ndarray], example: Example) -> np.ndarray:
        """See ``Feedback.input``."""
        geometry = example.geometry
        if geometry.motion:
            flow = geometry.motion.backward_flow(*given.shape[1:])
        else:
            flow = geometry.apply_to_flow(self._flow(example.index).result())
        result = given.copy()
        result[-CHANNELS:] = history(outputs[-1].transpose(1, 2, 0), flow).transpose(2, 0, 1)
        return result

    def following(self, example: Example, successor: int | None, age: int, rng: np.random.Generator) -> Example | None:
        """See ``Feedback.following``."""
        motion = example.geometry.motion
        if motion:
            longer = replace(motion, steps=motion.steps + 1)
        elif age == 1 and (rng.random() < self.motion_fraction or self._stands_alone(example.index, successor)):
            longer = draw_synthetic_motion(rng, example.geometry.crop)
        else:
            if successor is None:
                return None
            self._flow(successor)
            return replace(example, index=successor)
        if longer.steps > MAX_MOTION_STEPS:
            return None
        return replace(example, geometry=replace(example.geometry, motion=longer))

    def pair_history(self, index: int, paint: Callable[[Pair], np.ndarray]) -> np.ndarray | None:
        """Return the history of pair ``index``, (H, W, 4) float32; ``paint`` renders the pair before, (H, W, 3) uint8.

        None if no pair precedes it.
        """
        if index not in self._before:
            return None
        return history(to_signed_range(paint(self.loader.pairs[self._before[index]])), self._flow(index).result())

    def _stands_alone(self, index: int, successor: int | None) -> bool:
        return successor is None and index not in self._before

    def _estimate(self, index: int) -> BackwardFlow:
        """Return the flow from the stored frame of pair ``index`` back to the frame before it."""
        frames = [self.loader.read(self.loader.pairs[i].inputs[0]) for i in (self._before[index], index)]
        return self._estimator(*frames)
