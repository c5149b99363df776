"""Contenders of a scene: what needs no training, our presets, and training with the pairs that others do without.

``mean``: the target domain's mean picture. ``colours``: a map of colours alone, by both methods of ``vidtrans grade``.
``paired``: training with all pairs; ``paired-half``: with those of the target's frames. Any other name is a preset,
with settings: ``cut+training.lr=2e-4``, or a training method.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import vidtrans
from benchmarks.clips import render_frames, write_folder
from benchmarks.harness import Missing
from benchmarks.store import Store, digest
from benchmarks.trainings import Contender, Learn, equal_steps, learner, shared_options, timed_training
from benchmarks.unpaired.scenes import SIDE, Scene
from benchmarks.unpaired.scores import score
from vidtrans.config.recipe import preset_names
from vidtrans.core.errors import VidtransError
from vidtrans.core.settings import Table, parse_assignment
from vidtrans.training import METHODS

COLOURS = {"colours": "linear", "colours, transport": "transport"}  # rows, and how the map is found
UNTRAINED = ("mean", *COLOURS)
PAIRED = ("paired", "paired-half")
UNPAIRED, MATCHED = "unpaired", "matched"


def parse(text: str) -> Contender:
    """Read ``PRESET+TABLE.KEY=VALUE+…``. Raises UsageError.

    A training method that has no preset of its name is that method with the preset ``unpaired``.
    """
    preset, *assignments = text.split("+")
    tables: dict[str, Table] = {"dataset": {"val_fraction": 0.0}}  # all frames are learned from
    if preset in METHODS and preset not in preset_names():
        preset, tables["training"] = UNPAIRED, {"method": preset}
    for assignment in assignments:
        table, key, value = parse_assignment(assignment)
        tables.setdefault(table, {})[key] = value
    return Contender(text, preset, tables)


def paired(scene: Scene, name: str) -> Contender:
    """Return what is trained with pairs, at equal time: the quick recipe for a clip, the paper's for photos."""
    tables: dict[str, Table] = {"dataset": {"val_fraction": 0.0}, "pairing": {"name": "aligned"}}
    tables["training"] = {"motion_weight": 0.0} if scene.is_video else {"crop_size": SIDE}
    return Contender(name, "fast" if scene.is_video else "aligned", tables)


@dataclass(frozen=True)
class Lab:
    """Where results are kept, and how long a training takes: in seconds, or in steps where these are given."""

    store: Store
    seconds: float
    threads: int

    def result(self, name: str, scene: Scene, seed: int, steps: int = 0) -> Table:
        """Return the scores of a contender, with ``steps`` and ``seconds`` of its training; kept. Raises Missing."""
        key = self._key(name, scene, seed, steps)

        def make() -> Table:
            pictures, table = self._paint(name, scene, seed, steps)
            self.store.pictures("pictures", key, lambda: pictures)
            return {**table, **score(scene, pictures)}

        return self.store.table("result", key, make)

    def pictures(self, name: str, scene: Scene, seed: int, steps: int = 0) -> list[np.ndarray]:
        """Return a contender's pictures of the tests' inputs, (H, W, 3) uint8 each. Raises Missing."""
        key = self._key(name, scene, seed, steps)
        return self.store.pictures("pictures", key, lambda: self._paint(name, scene, seed, steps)[0])

    def _key(self, name: str, scene: Scene, seed: int, steps: int) -> str:
        plain = "".join(c if c.isalnum() or c in "-." else "_" for c in name)
        if name in UNTRAINED:
            return f"{scene.name}-{plain}-{scene.digest}"
        budget = f"{steps}-steps" if steps else f"{self.seconds:g}s"
        recipe = self._contender(name, scene).digest(SIDE)
        return f"{scene.name}-{plain}-{recipe}-{budget}-{seed}-{digest(scene.digest, str(self.threads))}"

    def _contender(self, name: str, scene: Scene) -> Contender:
        return paired(scene, name) if name in PAIRED else parse(name)

    def _paint(self, name: str, scene: Scene, seed: int, steps: int) -> tuple[list[np.ndarray], Table]:
        inputs = [picture for stretch in scene.tests for picture in stretch.inputs]
        if name == "mean":
            return [np.rint(np.mean(scene.target, axis=0)).astype(np.uint8)] * len(inputs), {"steps": 0, "seconds": 0.0}
        try:
            if name in COLOURS:
                model, table = self._grade(scene, COLOURS[name]), {"steps": 0, "seconds": 0.0}
            else:
                model, table = self._train(name, scene, seed, steps)
        except VidtransError as error:
            raise Missing(f"{name}: {error}") from None
        folder = self.store.folder / "painted" / f"{scene.name}-{scene.digest}"
        return render_frames(inputs, model, folder, self.store.folder / "vidtrans"), table

    def _domains(self, scene: Scene) -> list[Path]:
        place = self.store.folder / "scenes" / f"{scene.name}-{scene.digest}"
        domains = {"source": scene.source, "target": scene.target}
        return [write_folder(place / name, frames) for name, frames in domains.items()]

    def _grade(self, scene: Scene, method: str) -> Path:
        """Return a map of the source's colours to the target's, which needs no training. Raises VidtransError."""
        model = self.store.folder / f"{scene.name}-{method}-{scene.digest}.safetensors"
        source, target = self._domains(scene)
        options = {"cache_dir": self.store.folder / "vidtrans", "overwrite": True}
        vidtrans.grade(source, target, model, unpaired=True, method=method, **options)
        return model

    def _learner(self, name: str, scene: Scene, contender: Contender) -> Learn:
        """Return what trains a contender on a scene's dataset, which is made if it is not there."""
        place, settings = self.store.folder / "scenes" / f"{scene.name}-{scene.digest}", contender.settings(SIDE)
        options: dict[str, Any] = {**shared_options(self.store.folder), "preset": contender.preset}
        tables = {table: settings[table] for table in ("dataset", "pairing") if table in settings}
        folder = place / f"{contender.preset}-{name if name in PAIRED else ''}.dataset"
        if name in PAIRED:
            first = len(scene.source) if name == "paired-half" else 0
            inputs = place / name
            for side, frames in (("A", scene.paired_inputs), ("B", scene.paired_targets)):
                write_folder(inputs / side, frames[first:])
            vidtrans.make_dataset(inputs, folder, settings=tables, **options)
        else:
            source, target = self._domains(scene)
            given: dict[str, Any] = {"target": target} if contender.preset == MATCHED else {"unpaired": [target]}
            vidtrans.make_dataset(source, folder, settings=tables, **given, **options)
        return learner(folder, contender.preset, settings, self.store.folder)

    def _train(self, name: str, scene: Scene, seed: int, steps: int) -> tuple[Path, Table]:
        """Return the model of a scene, and its steps and seconds. Raises VidtransError."""
        contender = self._contender(name, scene)
        learn, key = self._learner(name, scene, contender), f"{scene.digest}-{contender.digest(SIDE)}-{self.seconds:g}s"
        if not steps:
            trial = lambda: equal_steps({"steps": learn}, self.seconds, self.store.folder)  # noqa: E731
            steps = self.store.table(f"{scene.name}-steps", key, trial)["steps"]
        model = self.store.folder / f"{scene.name}-{key}-{steps}-{seed}.safetensors"
        return model, {"steps": steps, "seconds": timed_training(learn, model, steps, seed)["seconds"]}
