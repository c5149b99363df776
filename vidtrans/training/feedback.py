"""Feedback in training: a network sees its own outputs, as in rendering, where many frames feed back.

A next-frame model gets its outputs as context frames, a recurrent generator its previous output, warped to the frame.

A pool holds outputs of the network, each with the pair that follows. A share of every batch continues from there: the
input is the network's own output, the target is the real next frame, so it learns to correct its drift. The outputs are
computed anyway and no gradient runs through a rollout, so rollouts of any length cost next to nothing. (Magenta's
next-frame prediction does this between whole trainings; DAgger, Ross et al., AISTATS 2011, in general.)
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

GROWTH_START, GROWTH_END = 0.1, 0.5  # Shares of the run between which the longest rollout grows to its full length.
MIN_LENGTH = 4
RELOCATION_RUN = 10  # Pairs that must follow a place to which a rollout is moved.
POOL_SIZE = 16  # Rollouts at once: few, so that they grow long.
MAX_ERROR = 0.35  # Mean |output − target| in [−1, 1] above which a rollout ends.
FLOW_BYTES = 12  # Bytes of a pixel's flow.
FLOW_CACHE_BYTES = 1 << 29  # Bytes of flows in memory: those of 680 pictures of 256x256 pixels.
MAX_MOTION_STEPS = 6  # Steps of a synthetic motion, in which a third of the picture may leave.


class Feedback(Protocol):
    """The interface that inserts a network's own outputs into its input.

    ``num_outputs``: the number of latest outputs it needs. ``relocates``: whether a rollout that reaches the end of its
    shot continues at another pair.
    """

    num_outputs: int
    relocates: bool

    def input(self, given: np.ndarray, outputs: Sequence[np.ndarray], example: Example) -> np.ndarray:
        """Return ``given``, a pair's input (C, H, W), with own ``outputs`` (3, H, W), oldest first, inserted.

        The outputs, ``num_outputs`` at most, belong to the pairs just before; after a relocation they are substitutes.
        float32 in [−1, 1]; a new array.
        """
        ...

    def following(self, example: Example, successor: int | None, age: int, rng: np.random.Generator) -> Example | None:
        """Return a rollout's example after ``age`` outputs; None if it ends. ``successor``: the next pair's index."""
        ...


class NextFrameFeedback:
    """Next-frame prediction: own outputs replace the latest of the context frames."""

    relocates = True

    def __init__(self, context: int) -> None:
        self.num_outputs = context

    def input(self, given: np.ndarray, outputs: Sequence[np.ndarray], example: Example) -> np.ndarray:
        """See ``Feedback.input``."""
        result = given.copy()
        if windows := example.geometry.windows:
            outputs = [_moved(windows, output, len(outputs) - k) for k, output in enumerate(outputs)]
        result[3 * (self.num_outputs - len(outputs)) : 3 * self.num_outputs] = np.concatenate(outputs)
        return result

    def following(self, example: Example, successor: int | None, age: int, rng: np.random.Generator) -> Example | None:
        """See ``Feedback.following``."""
        del age
        if successor is None:
            return None
        geometry = example.geometry
        if geometry.windows:
            geometry = replace(geometry, windows=geometry.windows.following(rng, geometry.scaled))
        return Example(successor, geometry)


@dataclass(frozen=True)
class PooledRollout:
    """A rollout: its next ``example``, latest own ``outputs`` (3, H, W), oldest first, and its length ``age`` in steps.

    ``targets``: the targets of these outputs, used only with the temporal discriminator.
    """

    example: Example
    outputs: tuple[np.ndarray, ...]
    age: int
    targets: tuple[np.ndarray, ...] = ()


class RolloutPool:
    """The pool of rollouts of one process; the share ``settings.own_output_fraction`` of a batch continues them.

    Call ``mix`` before a step and ``update`` after it; both depend on seed and state only.
    """

    def __init__(self, loader: Loader, feedback: Feedback, settings: TrainingSettings) -> None:
        self.loader, self.feedback, self.settings = loader, feedback, settings
        self._in_triples = settings.weights["temporal_gan"] > 0
        self._num_outputs = max(feedback.num_outputs, NUM_PRECEDING if self._in_triples else 0)
        self.slots: list[PooledRollout | None] = [None] * POOL_SIZE
        self.ages: list[tuple[int, int, float, int]] = []  # (step, youngest, mean, oldest) along the run
        self._successors = successors(loader.pairs, loader.pairing.stride)
        self._drawn_slots: list[int | None] = []  # of each example of the batch, the slot that it came from
        self._max_length = MIN_LENGTH
        self._rng = np.random.default_rng(0)  # of the step

    def mix(self, batch: TrainingBatch, seed: int, progress: float) -> TrainingBatch:
        """Return a batch with some examples replaced by rollouts. ``progress``: share of the run done, 0 to 1."""
        rng = self._rng = np.random.Generator(np.random.Philox(key=(seed << 64) + 1))
        grown = min(1.0, max(0.0, (progress - GROWTH_START) / (GROWTH_END - GROWTH_START)))
        self._max_length = round(MIN_LENGTH + grown * (self.settings.max_own_outputs - MIN_LENGTH))
        crop = (batch.targets.shape[3], batch.targets.shape[2])  # a run whose pictures grow begins with smaller ones
        self.slots = [r if r is not None and r.example.geometry.crop == crop else None for r in self.slots]
        ready = [i for i, rollout in enumerate(self.slots) if rollout is not None]
        rng.shuffle(ready)
        fraction = self.settings.own_output_fraction
        self._drawn_slots = [
            ready.pop() if progress >= GROWTH_START and rng.random() < fraction and ready else None
            for _ in batch.examples
        ]
        inputs, targets = signed_planes(batch.inputs), signed_planes(batch.targets)
        weights = None if batch.weights is None else batch.weights.copy()
        examples = list(batch.examples)
        for k, rollout in enumerate(self._drawn()):
            if rollout is None:
                continue
            given, target, pixel_weights = self.loader.pictures(rollout.example, rng)
            targets[k] = signed_planes(target)
            outputs = rollout.outputs[-self.feedback.num_outputs :]
            inputs[k] = self.feedback.input(signed_planes(given), outputs, rollout.example)
            if weights is not None:
                weights[k] = pixel_weights
            examples[k] = rollout.example
        return replace(batch, inputs=inputs, targets=targets, weights=weights, examples=tuple(examples))

    def _drawn(self) -> list[PooledRollout | None]:
        return [None if slot is None else self.slots[slot] for slot in self._drawn_slots]

    def preceding(self) -> PrecedingFrames | None:
        """Return the two frames before each mixed example that has them; None if no example does."""
        known = {k: r for k, r in enumerate(self._drawn()) if r is not None and len(r.targets) == NUM_PRECEDING}
        if not known:
            return None
        painted, targets = (
            torch.from_numpy(np.stack([np.concatenate(row) for row in rows]))
            for rows in ([r.outputs[-NUM_PRECEDING:] for r in known.values()], [r.targets for r in known.values()])
        )
        return PrecedingFrames(torch.tensor(list(known)), painted, targets)

    def update(self, batch: TrainingBatch, painted: torch.Tensor) -> None:
        """Store ``painted``, the outputs of a mixed batch, (N, 3, H, W) float32."""
        pictures = painted.cpu().numpy()
        for example, slot, picture, target in zip(
            batch.examples, self._drawn_slots, pictures, batch.targets, strict=True
        ):
            rollout = None if slot is None else self.slots[slot]
            if slot is None:
                slot = next((i for i, other in enumerate(self.slots) if other is None), None)
            if slot is not None:
                self.slots[slot] = self._extended(example, rollout, picture, target)

    def _extended(
        self, example: Example, rollout: PooledRollout | None, picture: np.ndarray, target: np.ndarray
    ) -> PooledRollout | None:
        """Return the rollout with one more output; None if it ends."""
        age = (rollout.age if rollout else 0) + 1
        following = self.feedback.following(example, self._successors[example.index], age, self._rng)
        error = float(np.abs(picture - target).mean())
        if age > self._max_length or not error <= MAX_ERROR:
            return None
        if following is None:
            return self._relocated(example, picture - target, age) if self.feedback.relocates else None
        outputs = (*(rollout.outputs if rollout else ()), picture.copy())[-self._num_outputs :]
        targets = (*(rollout.targets if rollout else ()), target.copy())[-NUM_PRECEDING:] if self._in_triples else ()
        return PooledRollout(following, outputs, age, targets)

    @cached_property
    def _places(self) -> dict[tuple[int, int], list[int]]:
        """Indices of the pairs to which rollouts can relocate, by (width, height): a rollout keeps its picture size.

        Computed on first use; a cyclic timeline (clock) may never need them.
        """
        places: dict[tuple[int, int], list[int]] = {}
        for index in _followed_by_a_run(self._successors):
            places.setdefault(self._size(index), []).append(index)
        return places

    def _size(self, index: int) -> tuple[int, int]:
        return picture_size(self.loader.pairs[index].target)

    def _relocated(self, example: Example, error: np.ndarray, age: int) -> PooledRollout | None:
        """Return a rollout at another pair of this size: true frames plus the last output's ``error``, or None.

        Held-out blocks cut a clip into stretches of a second or two, in which errors stay smaller than in a long
        rollout. The output itself cannot be used, because the frames of the other pair do not continue it.
        """
        places = self._places.get(self._size(example.index))
        if not places:
            return None
        geometry = example.geometry
        if geometry.windows:  # the frames that it gets are moved to where they are seen now
            geometry = replace(geometry, windows=geometry.windows.standing())
        moved = Example(places[self._rng.integers(len(places))], geometry)
        given, _, _ = self.loader.pictures(moved, self._rng)
        frames = np.split(signed_planes(given[: 3 * self.feedback.num_outputs]), self.feedback.num_outputs)
        return PooledRollout(moved, tuple(np.clip(frame + error, -1, 1) for frame in frames), age)

    def log(self, step: int) -> None:
        """Record the rollouts' ages for the report: if rollouts end early, late frames are never trained on."""
        if ages := [rollout.age for rollout in self.slots if rollout is not None]:
            self.ages.append((step, min(ages), sum(ages) / len(ages), max(ages)))

    def state(self) -> dict[str, Any]:
        """Return the pool's state for a checkpoint."""
        return {"slots": [rollout and _packed(rollout) for rollout in self.slots], "ages": self.ages}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state returned by ``state``."""
        self.slots = [packed and _unpacked(packed) for packed in state["slots"]]
        self.ages = [tuple(row) for row in state["ages"]]


def successors(pairs: Sequence[Pair], stride: int) -> list[int | None]:
    """Return for each pair the index of the pair whose ``place`` in the shot is ``stride`` later, or None."""
    numbers = {(pair.shot, pair.place): i for i, pair in enumerate(pairs)}
    places = {shot: round_trip(pairs, shot) for shot in {pair.shot for pair in pairs if pair.phase}}
    following: list[int | None] = []
    for pair in pairs:
        place = pair.place + stride
        following.append(numbers.get((pair.shot, place % places[pair.shot] if pair.shot in places else place)))
    return following


def _followed_by_a_run(after: Sequence[int | None]) -> list[int]:
    """Return the indices of pairs with at least ``RELOCATION_RUN`` successors; ``after``: result of ``successors``."""
    found = []
    for index in range(len(after)):
        count, at = 0, after[index]
        while at is not None and count < RELOCATION_RUN:
            count, at = count + 1, after[at]
        if count == RELOCATION_RUN:
            found.append(index)
    return found


def round_trip(pairs: Sequence[Pair], shot: tuple[int, int]) -> int:
    """Return the number of clock positions of ``shot``, forwards and back; ``Pair.place`` counts them from 0."""
    return next(round(p.place / p.phase) for p in pairs if p.shot == shot and p.phase)


def _moved(windows: Windows, output: np.ndarray, back: int) -> np.ndarray:
    """Return an output (3, H, W) of ``back`` frames before, moved with the camera."""
    return windows.moved(output.transpose(1, 2, 0), back).transpose(2, 0, 1)


def _packed(rollout: PooledRollout) -> dict[str, Any]:
    """Return the rollout as dicts, lists and tensors, for a checkpoint."""
    pictures = {name: [*map(torch.from_numpy, getattr(rollout, name))] for name in ("outputs", "targets")}
    return {"example": asdict(rollout.example), "age": rollout.age} | pictures


def _unpacked(packed: dict[str, Any]) -> PooledRollout:
    geometry = dict(packed["example"]["geometry"])
    if geometry["motion"]:
        geometry["motion"] = SyntheticMotion(**geometry["motion"])
    if geometry["windows"]:
        geometry["windows"] = Windows(**geometry["windows"])
    outputs, targets = (tuple(picture.numpy() for picture in packed[name]) for name in ("outputs", "targets"))
    return PooledRollout(Example(packed["example"]["index"], Geometry(**geometry)), outputs, packed["age"], targets)


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
        worker, size = ThreadPoolExecutor(1, "flows"), FLOW_CACHE_BYTES // (FLOW_BYTES * loader.max_pixels)

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
