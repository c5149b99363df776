"""Who is compared on a scene: what needs no training, our presets, training with pairs, and programs of others.

``mean``: the target domain's mean picture. ``colours``: a map of colours alone, by both methods of ``vidtrans grade``.
``paired``: our training with the pairs that all others do without; ``paired-half``: with those of
the target's frames. ``their-…``: ``opponent``. Any other name is a
preset, with settings: ``cut+training.lr=2e-4``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.consistency.store import digest
from benchmarks.unpaired.opponent import OPPONENTS, find_checkout, run_opponent
from benchmarks.unpaired.ours import PAIRED, Lab, Ours, paired, plain_name
from benchmarks.unpaired.scenes import Scene
from benchmarks.unpaired.scores import score
from vidtrans.core.settings import Table

COLOURS = {"colours": "linear", "colours, transport": "transport"}  # rows, and how the map is found
UNTRAINED = ("mean", *COLOURS)


@dataclass(frozen=True)
class Bench:
    """What all runs of a benchmark share."""

    lab: Lab
    threads: int
    checkouts: Sequence[Path]
    methods: dict[str, Ours]  # those that are named otherwise than by their preset

    def result(self, name: str, scene: Scene, seed: int, steps: int | None = None) -> Table:
        """Return the scores of a contender, with ``steps`` and ``seconds`` of its training; stored. Raises Missing."""
        key = self._key(name, scene, seed, steps)

        def run() -> Table:
            pictures, table = self._paint(name, scene, seed, steps)
            self.lab.store.pictures("pictures", key, lambda: pictures)
            return {**table, **score(scene, pictures)}

        return self.lab.store.table("result", key, run)

    def pictures(self, name: str, scene: Scene, seed: int, steps: int | None = None) -> list[np.ndarray]:
        """Return what a contender paints of the tests' inputs, (H, W, 3) uint8 each. Raises Missing."""
        self.result(name, scene, seed, steps)
        key = self._key(name, scene, seed, steps)
        return self.lab.store.pictures("pictures", key, lambda: self._paint(name, scene, seed, steps)[0])

    def _key(self, name: str, scene: Scene, seed: int, steps: int | None) -> str:
        if name in UNTRAINED:
            return f"{scene.name}-{plain_name(name)}-{scene.digest}"
        budget = f"{steps}-steps" if steps else f"{self.lab.seconds:g}s"
        known = plain_name(name) if name in OPPONENTS else self.ours(name, scene).file_name
        return f"{scene.name}-{known}-{budget}-{seed}-{digest(scene.digest, str(self.threads))}"

    def ours(self, name: str, scene: Scene) -> Ours:
        """Return one of our trainings by its name. Raises UsageError."""
        return paired(scene, name) if name in PAIRED else self.methods.get(name) or Ours.parse(name)

    def _paint(self, name: str, scene: Scene, seed: int, steps: int | None) -> tuple[list[np.ndarray], Table]:
        inputs = [picture for stretch in scene.tests for picture in stretch.inputs]
        if name == "mean":
            picture = np.rint(np.mean(scene.target, axis=0)).astype(np.uint8)
            return [picture] * len(inputs), {"steps": 0, "seconds": 0.0}
        if name in COLOURS:
            return self.lab.paint(scene, self.lab.colours(scene, COLOURS[name])), {"steps": 0, "seconds": 0.0}
        if name in OPPONENTS:
            opponent = OPPONENTS[name]
            checkout = find_checkout(opponent, self.checkouts)
            place = self.lab.store.folder / "opponent" / self._key(name, scene, seed, steps)
            return run_opponent(opponent, checkout, scene, place, self.lab.seconds, self.threads, seed)
        model, table = self.lab.learn(scene, self.ours(name, scene), seed, steps)
        return self.lab.paint(scene, model), table
