"""Our training methods, and what needs no training: models that learn a scene through the product's own commands."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import vidtrans
from benchmarks.consistency.cases import Missing
from benchmarks.consistency.store import Store
from benchmarks.unpaired.scenes import SIDE, Scene
from vidtrans.config.recipe import make_recipe, preset_names
from vidtrans.core.errors import VidtransError
from vidtrans.core.events import Event, Note, Progress
from vidtrans.core.files import digest_of
from vidtrans.core.settings import Table, parse_assignment
from vidtrans.training import METHODS
from vidtrans.video.images.picture import read_picture, write_picture

TRIAL, WARM = 14, 4  # steps of a trial, and those of them that are not timed
# What is timed is training, and all frames that others learn from are learned from.
QUIET = {"checkpoint_seconds": 1e9, "preview_seconds": 1e9, "val_interval": 10**9}
WHOLE = {"size": str(SIDE), "val_fraction": 0.0}
UNPAIRED, MATCHED = "unpaired", "matched"
# All pairs that there are, and those of the target's frames: as much of it as is shown to others.
PAIRED = {"paired": "all", "paired-half": "target"}
LOSSLESS = {"codec": "png"}


@dataclass(frozen=True)
class Ours:
    """A preset, and what is set otherwise. ``pairs``: it is given those that the others do without, see ``PAIRED``."""

    name: str
    preset: str
    tables: dict[str, Table] = field(default_factory=dict)
    pairs: str = ""

    @classmethod
    def parse(cls, text: str) -> Ours:
        """Read ``PRESET`` or ``NAME:PRESET+TABLE.KEY=VALUE+…``. Raises UsageError.

        Without a NAME all of it is the name. A training method that has no preset of its name is that method with the
        preset ``unpaired``.
        """
        name, _, recipe = text.rpartition(":")
        preset, *assignments = recipe.split("+")
        tables: dict[str, Table] = {}
        if preset in METHODS and preset not in preset_names():
            preset, tables = UNPAIRED, {"training": {"method": preset}}
        for assignment in assignments:
            table, key, value = parse_assignment(assignment)
            tables.setdefault(table, {})[key] = value
        return cls(name or recipe, preset, tables)

    @property
    def recipe(self) -> str:
        """Return a digest of all that it sets, the preset's part included. Raises UsageError."""
        tables = make_recipe(self.preset, None, self.tables).tables
        return digest_of({name: tables[name] for name in sorted(tables)})[:10]

    @property
    def file_name(self) -> str:
        """Return a name for its files: another recipe has another."""
        return f"{plain_name(self.name)}-{self.recipe}"

    def learning(self) -> dict[str, Table]:
        """Return the settings of its training."""
        others = {name: table for name, table in self.tables.items() if name not in ("dataset", "pairing")}
        return {**others, "training": {**self.tables.get("training", {}), **QUIET}}


def paired(scene: Scene, name: str) -> Ours:
    """Return what is trained with pairs, at equal time: the quick recipe for a clip, the paper's for photos."""
    if scene.is_video:
        return Ours(name, "fast", {"training": {"motion_weight": 0.0}}, PAIRED[name])
    return Ours(name, "aligned", {"training": {"crop_size": SIDE}}, PAIRED[name])


@dataclass(frozen=True)
class Lab:
    """Where results are kept, and how long a training takes, in seconds of CPU time."""

    store: Store
    seconds: float

    @property
    def options(self) -> dict[str, Any]:
        """Return what every command is given."""
        return {"cache_dir": self.store.folder / "vidtrans", "device": "cpu", "overwrite": True}

    def dataset(self, scene: Scene, ours: Ours) -> Path:
        """Return the folder of a scene's dataset, made if it is not there. Raises Missing."""
        if ours.pairs:
            first = len(scene.source) if ours.pairs == "target" else 0
            inputs = self._folders(
                scene, ours.pairs, {"A": scene.paired_inputs[first:], "B": scene.paired_targets[first:]}
            )
        else:
            inputs = self._folders(scene, UNPAIRED, {"source": scene.source, "target": scene.target})
        settings = {"dataset": {**WHOLE, **ours.tables.get("dataset", {})}}
        folder = inputs.parent / f"{ours.preset}-{inputs.name}.dataset"
        try:
            if ours.pairs:
                pairing = {"name": "aligned"}
                vidtrans.make_dataset(
                    inputs, folder, preset=ours.preset, settings={**settings, "pairing": pairing}, **self.options
                )
            elif ours.preset == MATCHED:
                vidtrans.make_dataset(
                    inputs / "source",
                    folder,
                    target=inputs / "target",
                    preset=MATCHED,
                    settings=settings,
                    **self.options,
                )
            else:
                vidtrans.make_dataset(
                    inputs / "source",
                    folder,
                    unpaired=[inputs / "target"],
                    preset=ours.preset,
                    settings=settings,
                    **self.options,
                )
        except VidtransError as error:
            raise Missing(f"{ours.name}: {error}") from None
        return folder

    def _folders(self, scene: Scene, kind: str, domains: dict[str, list[np.ndarray]]) -> Path:
        """Return a folder with a folder of pictures for each domain."""
        place = self.store.folder / "scenes" / f"{scene.name}-{scene.digest}" / kind
        for name, frames in domains.items():
            _write(place / name, frames)
        return place

    def time_step(self, scene: Scene, ours: Ours) -> float:
        """Measure the CPU seconds of a step, in a short training. Raises Missing."""
        moments = self._train(scene, ours, self._trial(ours), TRIAL, 0)[0]
        return (moments[TRIAL] - moments[WARM]) / (TRIAL - WARM)

    def seconds_a_step(self, scene: Scene, ours: Ours) -> float:
        """Return the CPU seconds of a step, the same for all seeds of a scene. Raises Missing."""
        key = f"{scene.name}-{ours.file_name}-{scene.digest}"
        return float(self.store.table("step", key, lambda: {"seconds": self.time_step(scene, ours)})["seconds"])

    def learn(self, scene: Scene, ours: Ours, seed: int, steps: int | None = None) -> tuple[Path, Table]:
        """Return the model of a scene, and what it took. Without ``steps`` it takes the time that there is.

        Raises Missing where it cannot be trained.
        """
        steps = steps or max(TRIAL, round(self.seconds / self.seconds_a_step(scene, ours)))
        model = self.store.folder / "models" / f"{scene.name}-{ours.file_name}-{steps}-{seed}.safetensors"

        def run() -> Table:
            moments, notes = self._train(scene, ours, model, steps, seed)
            first = min(moments)
            taken = (moments[max(moments)] - moments[first]) * steps / max(1, max(moments) - first)
            return {"steps": steps, "seconds": taken, "notes": notes}

        return model, self.store.table("training", f"{model.stem}-{scene.digest}", run)

    def _train(
        self, scene: Scene, ours: Ours, model: Path, steps: int, seed: int
    ) -> tuple[dict[int, float], list[str]]:
        """Train; return the CPU time at which each step was done, and what was said. Raises Missing."""
        folder = self.dataset(scene, ours)
        moments: dict[int, float] = {}
        notes: list[str] = []

        def report(event: Event) -> None:
            if isinstance(event, Progress) and event.task == "training":
                moments[event.done] = time.process_time()
            elif isinstance(event, Note):
                notes.append(event.text)

        model.parent.mkdir(parents=True, exist_ok=True)
        # A cache of its own: what was trained before would be found there, and take no time.
        cache = self.store.folder / f"training-{os.getpid()}"
        shutil.rmtree(cache, ignore_errors=True)
        options = {**self.options, "cache_dir": cache, "seed": seed, "report": report}
        try:
            vidtrans.train(
                folder, model, preset=ours.preset, steps=steps, fresh=True, settings=ours.learning(), **options
            )
        except VidtransError as error:
            raise Missing(f"{ours.name}: {error}") from None
        finally:
            shutil.rmtree(cache, ignore_errors=True)
        return moments, notes

    def _trial(self, ours: Ours) -> Path:
        return self.store.folder / "models" / f"trial-{os.getpid()}-{plain_name(ours.name)}.safetensors"

    def colours(self, scene: Scene, method: str) -> Path:
        """Return a map of the source's colours to the target's, which needs no training. Raises Missing."""
        inputs = self._folders(scene, UNPAIRED, {"source": scene.source, "target": scene.target})
        model = self.store.folder / "models" / f"{scene.name}-{method}-{scene.digest}.safetensors"
        model.parent.mkdir(parents=True, exist_ok=True)
        try:
            vidtrans.grade(inputs / "source", inputs / "target", model, unpaired=True, method=method, **self.options)
        except VidtransError as error:
            raise Missing(f"colours: {error}") from None
        return model

    def paint(self, scene: Scene, model: Path, settings: dict[str, Table] | None = None) -> list[np.ndarray]:
        """Return what a model makes of the tests' inputs, each frame by itself. Raises Missing."""
        made: list[np.ndarray] = []
        place = self.store.folder / f"painted-{os.getpid()}"
        plain = {"encoding": LOSSLESS, "temporal": {"name": "off"}, "rendering": {"size": "source", "cuts": "off"}}
        for stretch in scene.tests:
            shutil.rmtree(place, ignore_errors=True)
            _write(place / "in", stretch.inputs)
            try:
                vidtrans.stylize(
                    place / "in", model, place / "out", settings={**plain, **(settings or {})}, **self.options
                )
            except VidtransError as error:
                raise Missing(f"{model.stem}: {error}") from None
            made += [read_picture(file) for file in sorted((place / "out").glob("*.png"))]
        shutil.rmtree(place, ignore_errors=True)
        return made


def plain_name(name: str) -> str:
    """Return a contender's name as a file can have it."""
    return "".join(c if c.isalnum() or c in "-." else "_" for c in name)


def _write(folder: Path, frames: Sequence[np.ndarray]) -> None:
    """Write frames as pictures of a folder, unless it is there."""
    if folder.exists():
        return
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    for number, frame in enumerate(frames):
        write_picture(part / f"{number:05d}.png", frame)
    if folder.exists():  # another run was quicker
        shutil.rmtree(part)
    else:
        part.rename(folder)
