"""Chains: a network in training sees its own outputs, as it will when it is run on and on.

A pool holds what the network made, each with the pair that follows. A share of every batch goes on from there: the
input is the network's own output, the target is the real next frame, so it learns to find back from where it drifted.
Every output is there anyway; no gradient runs through a chain, so chains of any depth cost next to nothing. (What
Magenta's next-frame prediction does between whole trainings, and DAgger, Ross et al., AISTATS 2011, in general.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch

from vidtrans.data.augment import Geometry, SyntheticMotion
from vidtrans.data.dataset import Pair
from vidtrans.data.loading import Example, Loader, TrainingBatch
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.triples import BEFORE, PrecedingFrames
from vidtrans.video.images.picture import picture_size

DEPTH_BEGINS, DEPTH_ENDS = 0.1, 0.5  # of the run: between them chains may grow to their full length
SHORTEST = 4
RUN = 10  # pairs that follow a place where a chain goes on
POOL = 16  # chains under way at once: that few grow long
WORST = 0.35  # mean |output − target| in [−1, 1] at which a chain is lost, and ends


class Feedback(Protocol):
    """How own outputs become a part of the input.

    ``keeps``: the number of latest outputs that it needs. ``lands``: at the end of a shot, a rollout moves elsewhere.
    """

    keeps: int
    lands: bool

    def input(self, shown: np.ndarray, outputs: Sequence[np.ndarray], example: Example) -> np.ndarray:
        """Return a pair's input (C, H, W), as the loader makes it, with own ``outputs`` (3, H, W), the oldest first.

        They are what was made of the pairs just before (or, where a chain has landed, what stands for it), at most
        ``keeps``. float32 in [−1, 1]; a new array.
        """
        ...

    def following(self, example: Example, successor: int | None, age: int, rng: np.random.Generator) -> Example | None:
        """Return the next example of a rollout of length ``age``, or None; ``successor`` follows in time."""
        ...


class NextFrameFeedback:
    """Next-frame prediction: own outputs stand for the latest of the context's frames."""

    lands = True

    def __init__(self, context: int) -> None:
        self.keeps = context

    def input(self, shown: np.ndarray, outputs: Sequence[np.ndarray], example: Example) -> np.ndarray:
        """See ``Feedback.input``."""
        del example
        made = shown.copy()
        made[3 * (self.keeps - len(outputs)) : 3 * self.keeps] = np.concatenate(outputs)
        return made

    def following(self, example: Example, successor: int | None, age: int, rng: np.random.Generator) -> Example | None:
        """See ``Feedback.following``."""
        del age, rng
        return None if successor is None else replace(example, index=successor)


@dataclass(frozen=True)
class PooledRollout:
    """A chain under way: the ``example`` that comes next, own ``outputs`` (the oldest first), how many it has had.

    ``targets``: of the outputs, where they are judged in triples.
    """

    example: Example
    outputs: tuple[np.ndarray, ...]
    age: int
    targets: tuple[np.ndarray, ...] = ()


class RolloutPool:
    """The pool of one process: ``settings.own_output_fraction`` of a batch continues rollouts from it.

    ``mixed`` before a step, ``keep`` after it; both are functions of seed and state.
    """

    def __init__(self, loader: Loader, feedback: Feedback, settings: TrainingSettings) -> None:
        self.loader, self.feedback = loader, feedback
        self.share, self.longest = settings.own_output_fraction, settings.max_own_outputs
        self._in_triples = settings.weights["temporal_gan"] > 0
        self._kept = max(feedback.keeps, BEFORE if self._in_triples else 0)
        self.slots: list[PooledRollout | None] = [None] * POOL
        self.ages: list[tuple[int, int, float, int]] = []  # (step, youngest, mean, oldest) along the run
        self._after = successors(loader.pairs, loader.pairing.stride)
        self._taken: list[int | None] = []  # of each example of the batch, the slot that it came from
        self._longest = SHORTEST
        self._rng = np.random.default_rng(0)  # of the step

    def mixed(self, batch: TrainingBatch, seed: int, progress: float) -> TrainingBatch:
        """Replace some examples of a batch by continued rollouts. ``progress``: of the run, 0 to 1."""
        rng = self._rng = np.random.Generator(np.random.Philox(key=(seed << 64) + 1))
        grown = min(1.0, max(0.0, (progress - DEPTH_BEGINS) / (DEPTH_ENDS - DEPTH_BEGINS)))
        self._longest = round(SHORTEST + grown * (self.longest - SHORTEST))
        ready = [i for i, chain in enumerate(self.slots) if chain is not None]
        rng.shuffle(ready)
        self._taken = [
            ready.pop() if progress >= DEPTH_BEGINS and rng.random() < self.share and ready else None
            for _ in batch.examples
        ]
        inputs, targets = batch.inputs.copy(), batch.targets.copy()
        weights = None if batch.weights is None else batch.weights.copy()
        examples = list(batch.examples)
        for k, slot in enumerate(self._taken):
            chain = None if slot is None else self.slots[slot]
            if chain is None:
                continue
            shown, targets[k], weighed = self.loader.pictures(chain.example, rng)
            inputs[k] = self.feedback.input(shown, chain.outputs[-self.feedback.keeps :], chain.example)
            if weights is not None:
                weights[k] = weighed
            examples[k] = chain.example
        return replace(batch, inputs=inputs, targets=targets, weights=weights, examples=tuple(examples))

    def earlier(self) -> PrecedingFrames | None:
        """Return the frames right before the examples of the ``mixed`` batch that have them; None where none has."""
        chains = [None if slot is None else self.slots[slot] for slot in self._taken]
        known = {k: chain for k, chain in enumerate(chains) if chain is not None and len(chain.targets) == BEFORE}
        if not known:
            return None
        painted, targets = (
            torch.from_numpy(np.stack([np.concatenate(row) for row in rows]))
            for rows in ([c.outputs[-BEFORE:] for c in known.values()], [c.targets for c in known.values()])
        )
        return PrecedingFrames(torch.tensor(list(known)), painted, targets)

    def keep(self, batch: TrainingBatch, painted: torch.Tensor) -> None:
        """Take up what was made of a ``mixed`` batch, (N, 3, H, W) float32."""
        pictures = painted.cpu().numpy()
        for example, slot, picture, target in zip(batch.examples, self._taken, pictures, batch.targets, strict=True):
            chain = None if slot is None else self.slots[slot]
            if slot is None:
                slot = next((i for i, held in enumerate(self.slots) if held is None), None)
            if slot is not None:
                self.slots[slot] = self._longer(example, chain, picture, target)

    def _longer(
        self, example: Example, chain: PooledRollout | None, picture: np.ndarray, target: np.ndarray
    ) -> PooledRollout | None:
        """Return the rollout with one more output; None where it ends."""
        age = (chain.age if chain else 0) + 1
        following = self.feedback.following(example, self._after[example.index], age, self._rng)
        apart = float(np.abs(picture - target).mean())
        if age > self._longest or not apart <= WORST:
            return None
        if following is None:
            return self._landed(example, picture - target, age) if self.feedback.lands else None
        outputs = (*(chain.outputs if chain else ()), picture.copy())[-self._kept :]
        targets = (*(chain.targets if chain else ()), target.copy())[-BEFORE:] if self._in_triples else ()
        return PooledRollout(following, outputs, age, targets)

    @cached_property
    def _landings(self) -> dict[tuple[int, int], list[int]]:
        """Where a chain may go on that has come to an end, by the size of the pictures: it keeps its geometry.

        A clock has no end: nothing is read where none is asked for.
        """
        found: dict[tuple[int, int], list[int]] = {}
        for index in _with_a_run(self._after):
            found.setdefault(self._size(index), []).append(index)
        return found

    def _size(self, index: int) -> tuple[int, int]:
        return picture_size(self.loader.pairs[index].target)

    def _landed(self, example: Example, wrong: np.ndarray, age: int) -> PooledRollout | None:
        """Move a rollout elsewhere: the error of its last output is added to the true frames of another place.

        Held-out blocks leave stretches of a second or two, and a film that lasts has to bear more than what goes wrong
        in them. Its own output would not do: what follows there does not follow from it.
        """
        places = self._landings.get(self._size(example.index))
        if not places:
            return None
        elsewhere = replace(example, index=places[self._rng.integers(len(places))])
        shown, _, _ = self.loader.pictures(elsewhere, self._rng)
        frames = np.split(shown[: 3 * self.feedback.keeps], self.feedback.keeps)
        return PooledRollout(elsewhere, tuple(np.clip(frame + wrong, -1, 1) for frame in frames), age)

    def log(self, step: int) -> None:
        """Keep the ages for people: a pool whose chains end early teaches nothing of late frames."""
        if under_way := [chain.age for chain in self.slots if chain is not None]:
            mean = sum(under_way) / len(under_way)
            self.ages.append((step, min(under_way), mean, max(under_way)))

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"slots": [None if c is None else _packed(c) for c in self.slots], "ages": self.ages}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what ``state`` returned."""
        self.slots = [None if held is None else _unpacked(held) for held in state["slots"]]
        self.ages = [tuple(row) for row in state["ages"]]


def successors(pairs: Sequence[Pair], stride: int) -> list[int | None]:
    """For each pair the number of that which follows it in time, ``stride`` places on; None where there is none."""
    numbers = {(pair.shot, pair.place): i for i, pair in enumerate(pairs)}
    places = {shot: round_trip(pairs, shot) for shot in {pair.shot for pair in pairs if pair.phase}}
    following: list[int | None] = []
    for pair in pairs:
        place = pair.place + stride
        following.append(numbers.get((pair.shot, place % places[pair.shot] if pair.shot in places else place)))
    return following


def _with_a_run(after: Sequence[int | None]) -> list[int]:
    """Return the pairs that at least RUN others follow."""
    found = []
    for index in range(len(after)):
        count, at = 0, after[index]
        while at is not None and count < RUN:
            count, at = count + 1, after[at]
        if count == RUN:
            found.append(index)
    return found


def round_trip(pairs: Sequence[Pair], shot: tuple[int, int]) -> int:
    """How many places the timeline of a shot with a clock has."""
    return next(round(p.place / p.phase) for p in pairs if p.shot == shot and p.phase)


def _packed(chain: PooledRollout) -> dict[str, Any]:
    geometry = chain.example.geometry
    return {
        "index": chain.example.index,
        "geometry": [*geometry.scaled, geometry.x, geometry.y, *geometry.crop, int(geometry.mirrored)],
        "drift": [*geometry.drift.matrix, geometry.drift.steps] if geometry.drift else [],
        "outputs": [torch.from_numpy(picture) for picture in chain.outputs],
        "age": chain.age,
    } | ({"targets": [torch.from_numpy(picture) for picture in chain.targets]} if chain.targets else {})


def _unpacked(held: dict[str, Any]) -> PooledRollout:
    width, height, x, y, across, down, mirrored = held["geometry"]
    drift = SyntheticMotion(tuple(held["drift"][:6]), held["drift"][6]) if held["drift"] else None
    geometry = Geometry((width, height), x, y, (across, down), bool(mirrored), drift)
    outputs, targets = (tuple(p.numpy() for p in held.get(name, ())) for name in ("outputs", "targets"))
    return PooledRollout(Example(held["index"], geometry), outputs, held["age"], targets)
