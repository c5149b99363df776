"""Feedback in training: a network receives its own outputs as inputs, as in rendering, where most frames do.

A next-frame model gets its outputs as context frames; a recurrent generator gets its previous output, warped to the
current frame.

A pool stores outputs of the network, each with the next pair of its shot. A share of every batch continues from these:
the input is the network's own output, the target is the real next frame, so the network learns to correct its drift.
The outputs are computed anyway and no gradient runs through a rollout, so rollouts of any length cost next to nothing.
(Magenta's next-frame prediction does this between whole trainings; DAgger, Ross et al., AISTATS 2011, in general.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Protocol

import numpy as np
import torch

from vidtrans.data.augment import Geometry, SyntheticMotion, draw_synthetic_motion
from vidtrans.data.dataset import Pair
from vidtrans.data.loading import Example, Loader, TrainingBatch, signed_planes
from vidtrans.data.moving_windows import Windows
from vidtrans.flow.history import CHANNELS, BackwardFlow, BackwardFlowEstimator, history, to_signed_range
from vidtrans.training.losses.base import NUM_PRECEDING, PrecedingFrames
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.images.picture import picture_size

GROWTH_START, GROWTH_END = 0.1, 0.5  # Shares of the run, 0 to 1, between which the maximum rollout length grows.
MIN_LENGTH = 4  # Maximum number of own outputs in a rollout early in the run; the limit grows later.
# Minimum number of pairs after a pair in its shot, so that a rollout whose own shot has ended may continue there.
MIN_RELOCATION_SUCCESSORS = 10
POOL_SIZE = 16  # Number of rollouts in the pool: few, so that they grow long.
MAX_ERROR = 0.35  # Mean |output − target|, for colours in [−1, 1], above which a rollout ends.
FLOW_BYTES = 12  # Memory for the optical flow of one pixel, in bytes.
# Memory for the cache of optical flows, in bytes: enough for 680 pictures of 256x256 pixels.
FLOW_CACHE_BYTES = 1 << 29
# Maximum number of steps of a synthetic motion; more would move over a third of the picture out of view.
MAX_MOTION_STEPS = 6


class Feedback(Protocol):
    """The interface of a feedback: it inserts a network's own outputs into its input, and continues a rollout.

    ``num_outputs``: the number of latest outputs to insert. ``relocates``: whether a rollout continues at another
    pair when it reaches the end of its shot.
    """

    num_outputs: int
    relocates: bool

    def input(self, network_input: np.ndarray, outputs: Sequence[np.ndarray], example: Example) -> np.ndarray:
        """Insert own ``outputs``, (3, H, W) each, oldest first, into ``network_input``, a pair's input (C, H, W).

        The outputs, at most ``num_outputs``, belong to the preceding pairs; after a relocation they are substitutes.
        The result is a new array, float32 in [−1, 1].
        """

    def following(self, example: Example, successor: int | None, age: int, rng: np.random.Generator) -> Example | None:
        """Return the example with which a rollout continues after ``age`` outputs; None if the rollout ends there.

        ``example``: the rollout's last example. ``successor``: the index of the next pair, or None.
        """


class NextFrameFeedback:
    """Feedback of next-frame prediction: own outputs replace the latest context frames of the input.

    ``context``: the number of context frames, all of which may be replaced.
    """

    relocates = True

    def __init__(self, context: int) -> None:
        self.num_outputs = context

    def input(self, network_input: np.ndarray, outputs: Sequence[np.ndarray], example: Example) -> np.ndarray:
        """Return the input with the latest context frames replaced by own outputs, see ``Feedback.input``."""
        result = network_input.copy()
        if windows := example.geometry.windows:
            pictures = [output.transpose(1, 2, 0) for output in outputs]
            pictures = [windows.align_to_target(p, len(outputs) - k) for k, p in enumerate(pictures)]
            outputs = [picture.transpose(2, 0, 1) for picture in pictures]
        result[3 * (self.num_outputs - len(outputs)) : 3 * self.num_outputs] = np.concatenate(outputs)
        return result

    def following(self, example: Example, successor: int | None, age: int, rng: np.random.Generator) -> Example | None:
        """Return the next pair's example, with the camera's window moved on; None at the end of the shot."""
        del age
        if successor is None:
            return None
        geometry = example.geometry
        if geometry.windows:
            geometry = replace(geometry, windows=geometry.windows.advance(rng, geometry.scaled))
        return Example(successor, geometry)


@dataclass(frozen=True)
class PooledRollout:
    """A rollout: a sequence of outputs, each predicted from the ones before, that continues in later steps.

    ``example``: the next example. ``outputs``: the latest outputs, (3, H, W), oldest first. ``age``: the number of
    outputs so far. ``targets``: the targets of these outputs, used only with the temporal discriminator.
    """

    example: Example
    outputs: tuple[np.ndarray, ...]
    age: int
    targets: tuple[np.ndarray, ...] = ()


class RolloutPool:
    """A pool of rollouts (see ``PooledRollout``), from which a share of every batch is taken.

    The share is ``settings.own_output_fraction``. Each process has its own pool. Call ``mix`` before a step and
    ``update`` after it; both depend on seed and state only.
    """

    def __init__(self, loader: Loader, feedback: Feedback, settings: TrainingSettings) -> None:
        self.loader, self.feedback, self.settings = loader, feedback, settings
        self._in_triples = settings.weights["temporal_gan"] > 0
        self._num_outputs = max(feedback.num_outputs, NUM_PRECEDING if self._in_triples else 0)
        self.slots: list[PooledRollout | None] = [None] * POOL_SIZE
        self.ages: list[tuple[int, int, float, int]] = []  # (step, youngest, mean, oldest), for the report.
        self._successors = successors(loader.pairs, loader.pairing.stride)
        self._example_slots: list[int | None] = []  # The slot of each example of the batch; None for a new example.
        self._max_length = MIN_LENGTH
        self._rng = np.random.default_rng(0)  # Replaced in every step.

    def mix(self, batch: TrainingBatch, seed: int, progress: float) -> TrainingBatch:
        """Return a batch with some examples replaced by continued rollouts, whose inputs contain the network's outputs.

        ``seed``: of the step. ``progress``: completed share of the run, 0 to 1.
        """
        rng = self._rng = np.random.Generator(np.random.Philox(key=(seed << 64) + 1))
        growth = min(1.0, max(0.0, (progress - GROWTH_START) / (GROWTH_END - GROWTH_START)))
        self._max_length = round(MIN_LENGTH + growth * (self.settings.max_own_outputs - MIN_LENGTH))
        # With progressive resizing, rollouts of an earlier picture size cannot be continued.
        crop = (batch.targets.shape[3], batch.targets.shape[2])
        self.slots = [r if r is not None and r.example.geometry.crop == crop else None for r in self.slots]
        ready = [i for i, rollout in enumerate(self.slots) if rollout is not None]
        rng.shuffle(ready)
        fraction = self.settings.own_output_fraction
        self._example_slots = [
            ready.pop() if progress >= GROWTH_START and rng.random() < fraction and ready else None
            for _ in batch.examples
        ]
        inputs, targets = signed_planes(batch.inputs), signed_planes(batch.targets)
        weights = None if batch.weights is None else batch.weights.copy()
        examples = list(batch.examples)
        for k, rollout in enumerate(self._example_rollouts()):
            if rollout is None:
                continue
            network_input, target, pixel_weights = self.loader.pictures(rollout.example, rng)
            targets[k] = signed_planes(target)
            outputs = rollout.outputs[-self.feedback.num_outputs :]
            inputs[k] = self.feedback.input(signed_planes(network_input), outputs, rollout.example)
            if weights is not None:
                weights[k] = pixel_weights
            examples[k] = rollout.example
        return replace(batch, inputs=inputs, targets=targets, weights=weights, examples=tuple(examples))

    def _example_rollouts(self) -> list[PooledRollout | None]:
        """Return the rollout that each example of the batch continues; None for an ordinary example."""
        return [None if slot is None else self.slots[slot] for slot in self._example_slots]

    def preceding(self) -> PrecedingFrames | None:
        """Return the two frames before each example whose rollout has two or more outputs; None if there are none."""
        rollouts = {
            k: r for k, r in enumerate(self._example_rollouts()) if r is not None and len(r.targets) == NUM_PRECEDING
        }
        if not rollouts:
            return None
        frames = [r.outputs[-NUM_PRECEDING:] for r in rollouts.values()], [r.targets for r in rollouts.values()]
        outputs, targets = (torch.from_numpy(np.stack([np.concatenate(row) for row in rows])) for rows in frames)
        return PrecedingFrames(torch.tensor(list(rollouts)), outputs, targets)

    def update(self, batch: TrainingBatch, outputs: torch.Tensor) -> None:
        """Store the outputs, (N, 3, H, W) float32, of a batch from ``mix`` in the pool."""
        rows = zip(batch.examples, self._example_slots, outputs.cpu().numpy(), batch.targets, strict=True)
        for example, slot, output, target in rows:
            rollout = None if slot is None else self.slots[slot]
            if slot is None:
                slot = next((i for i, other in enumerate(self.slots) if other is None), None)
            if slot is not None:
                self.slots[slot] = self._extend(example, rollout, output, target)

    def _extend(
        self, example: Example, rollout: PooledRollout | None, output: np.ndarray, target: np.ndarray
    ) -> PooledRollout | None:
        """Return the rollout extended by the ``output`` for ``example``; None if the rollout ends.

        ``rollout``: None for an example that begins a rollout. ``output``, ``target``: (3, H, W) in [−1, 1].
        """
        age = (rollout.age if rollout else 0) + 1
        following = self.feedback.following(example, self._successors[example.index], age, self._rng)
        error = float(np.abs(output - target).mean())
        if age > self._max_length or not error <= MAX_ERROR:
            return None
        if following is None:
            return self._relocate(example, output - target, age) if self.feedback.relocates else None
        outputs = (*(rollout.outputs if rollout else ()), output.copy())[-self._num_outputs :]
        targets = (*(rollout.targets if rollout else ()), target.copy())[-NUM_PRECEDING:] if self._in_triples else ()
        return PooledRollout(following, outputs, age, targets)

    @cached_property
    def _relocation_indices(self) -> dict[tuple[int, int], list[int]]:
        """Return the indices of pairs to which a rollout can be moved, by their picture size (width, height).

        Computed on first use; a cyclic timeline (clock) may never need them.
        """
        by_size: dict[tuple[int, int], list[int]] = {}
        for index in _relocation_targets(self._successors):
            by_size.setdefault(self._picture_size(index), []).append(index)
        return by_size

    def _picture_size(self, index: int) -> tuple[int, int]:
        """Return the (width, height) of the target of pair ``index``."""
        return picture_size(self.loader.pairs[index].target)

    def _relocate(self, example: Example, error: np.ndarray, age: int) -> PooledRollout | None:
        """Return a rollout that continues at another pair of equal size, or None if there is no such pair.

        Its outputs are the true frames there plus ``error``, the last output minus its target, (3, H, W).

        Held-out blocks cut a clip into spans of a second or two, in which errors stay smaller than in a long rollout.
        The output itself cannot be used, because the frames of the other pair do not continue it.
        """
        indices = self._relocation_indices.get(self._picture_size(example.index))
        if not indices:
            return None
        geometry = example.geometry
        if geometry.windows:  # The pair's frames are already aligned to the target's window.
            geometry = replace(geometry, windows=geometry.windows.stationary())
        relocated = Example(indices[self._rng.integers(len(indices))], geometry)
        network_input, _, _ = self.loader.pictures(relocated, self._rng)
        frames = np.split(signed_planes(network_input[: 3 * self.feedback.num_outputs]), self.feedback.num_outputs)
        return PooledRollout(relocated, tuple(np.clip(frame + error, -1, 1) for frame in frames), age)

    def log(self, step: int) -> None:
        """Record the rollouts' ages at a step for the report.

        If rollouts end early, late frames are never trained on.
        """
        if ages := [rollout.age for rollout in self.slots if rollout is not None]:
            self.ages.append((step, min(ages), sum(ages) / len(ages), max(ages)))

    def state(self) -> dict[str, Any]:
        """Return the pool's rollouts and the history of their ages, for a checkpoint."""
        return {"slots": [rollout and _to_checkpoint(rollout) for rollout in self.slots], "ages": self.ages}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the rollouts and their ages from a checkpoint."""
        self.slots = [packed and _from_checkpoint(packed) for packed in state["slots"]]
        self.ages = [tuple(row) for row in state["ages"]]


def successors(pairs: Sequence[Pair], stride: int) -> list[int | None]:
    """Return for each pair the index of the pair that follows ``stride`` places later in the same shot, or None."""
    numbers = {(pair.shot, pair.place): i for i, pair in enumerate(pairs)}
    places = {shot: num_clock_positions(pairs, shot) for shot in {pair.shot for pair in pairs if pair.phase}}
    following: list[int | None] = []
    for pair in pairs:
        place = pair.place + stride
        following.append(numbers.get((pair.shot, place % places[pair.shot] if pair.shot in places else place)))
    return following


def _relocation_targets(next_pairs: Sequence[int | None]) -> list[int]:
    """Return the indices of pairs to which rollouts can be moved: many pairs follow them in their shot.

    ``next_pairs``: the result of ``successors``. See ``MIN_RELOCATION_SUCCESSORS``.
    """
    indices = []
    for index in range(len(next_pairs)):
        count, successor = 0, next_pairs[index]
        while successor is not None and count < MIN_RELOCATION_SUCCESSORS:
            count, successor = count + 1, next_pairs[successor]
        if count == MIN_RELOCATION_SUCCESSORS:
            indices.append(index)
    return indices


def num_clock_positions(pairs: Sequence[Pair], shot: tuple[int, int]) -> int:
    """Return the number of positions on the clock of ``shot``: a cyclic timeline that plays forwards, then backwards.

    ``Pair.place`` counts the positions from 0.
    """
    return next(round(p.place / p.phase) for p in pairs if p.shot == shot and p.phase)


def _to_checkpoint(rollout: PooledRollout) -> dict[str, Any]:
    """Return the rollout as dicts, lists and tensors, for a checkpoint."""
    pictures = {name: [*map(torch.from_numpy, getattr(rollout, name))] for name in ("outputs", "targets")}
    return {"example": asdict(rollout.example), "age": rollout.age} | pictures


def _from_checkpoint(packed: dict[str, Any]) -> PooledRollout:
    """Return the rollout that ``_to_checkpoint`` stored."""
    geometry = dict(packed["example"]["geometry"])
    if geometry["motion"]:
        geometry["motion"] = SyntheticMotion(**geometry["motion"])
    if geometry["windows"]:
        geometry["windows"] = Windows(**geometry["windows"])
    outputs, targets = (tuple(picture.numpy() for picture in packed[name]) for name in ("outputs", "targets"))
    return PooledRollout(Example(packed["example"]["index"], Geometry(**geometry)), outputs, packed["age"], targets)


class RecurrentFeedback:
    """The feedback of a recurrent generator: the previous output, warped to the current frame.

    ``flow``: the name of the optical-flow method for the warp. ``motion_fraction``: the share of pictures that are
    followed by a synthetic motion of themselves instead of by the next frame; a picture with neither a next nor a
    previous frame is always followed by its synthetic motion.
    """

    num_outputs = 1
    relocates = False

    def __init__(self, loader: Loader, flow: str, motion_fraction: float) -> None:
        self.loader, self.motion_fraction = loader, motion_fraction
        after = successors(loader.pairs, loader.pairing.stride)
        self._before = {following: i for i, following in enumerate(after) if following is not None}
        self._estimator = BackwardFlowEstimator(flow)
        # A thread estimates optical flows in advance, parallel to training, as OpenCV releases the interpreter lock.
        worker, size = ThreadPoolExecutor(1, "flows"), FLOW_CACHE_BYTES // (FLOW_BYTES * loader.max_pixels)

        @lru_cache(max(1, size))
        def backward_flow(index: int) -> Future[BackwardFlow]:
            """Start to estimate the backward flow of pair ``index`` in the worker thread, or return the cached one."""
            return worker.submit(self._estimate, index)

        self._flow = backward_flow

    def input(self, network_input: np.ndarray, outputs: Sequence[np.ndarray], example: Example) -> np.ndarray:
        """Return the input with its last planes replaced by the previous output, warped by flow or synthetic motion."""
        geometry = example.geometry
        if geometry.motion:
            flow = geometry.motion.backward_flow(*network_input.shape[1:])
        else:
            flow = geometry.apply_to_flow(self._flow(example.index).result())
        result = network_input.copy()
        result[-CHANNELS:] = history(outputs[-1].transpose(1, 2, 0), flow).transpose(2, 0, 1)
        return result

    def following(self, example: Example, successor: int | None, age: int, rng: np.random.Generator) -> Example | None:
        """Return the example of the next pair or of a further synthetic motion; None if the rollout ends."""
        motion = example.geometry.motion
        is_single = successor is None and example.index not in self._before
        if motion:
            next_motion = replace(motion, steps=motion.steps + 1)
        elif age == 1 and (rng.random() < self.motion_fraction or is_single):
            next_motion = draw_synthetic_motion(rng, example.geometry.crop)
        else:
            if successor is None:
                return None
            self._flow(successor)
            return replace(example, index=successor)
        if next_motion.steps > MAX_MOTION_STEPS:
            return None
        return replace(example, geometry=replace(example.geometry, motion=next_motion))

    def pair_history(self, index: int, paint: Callable[[Pair], np.ndarray]) -> np.ndarray | None:
        """Return a pair's history, (H, W, 4) float32: the preceding pair's output, warped to it, with its confidence.

        It is None if no pair precedes the pair at ``index``. ``paint``: renders a pair, (H, W, 3) uint8.
        """
        if index not in self._before:
            return None
        return history(to_signed_range(paint(self.loader.pairs[self._before[index]])), self._flow(index).result())

    def _estimate(self, index: int) -> BackwardFlow:
        """Return the optical flow from the stored frame of pair ``index`` back to the frame before it."""
        frames = [self.loader.read(self.loader.pairs[i].inputs[0]) for i in (self._before[index], index)]
        return self._estimator(*frames)
