"""Trainings that are compared at equal time, through the product's own functions."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import vidtrans
from vidtrans.config.recipe import make_recipe
from vidtrans.core.events import Event, Progress
from vidtrans.core.files import digest_of
from vidtrans.core.settings import Table

TRIALS = 3  # of what a step takes
# What is timed is training.
QUIET: Table = {"checkpoint_seconds": 1e9, "preview_seconds": 1e9, "val_interval": 10**9}
Learn = Callable[..., Table]  # takes the model's path and options of ``vidtrans.train``


@dataclass(frozen=True)
class Contender:
    """A preset, and what is set otherwise."""

    name: str
    preset: str
    tables: dict[str, Table] = field(default_factory=dict)

    def settings(self, size: object) -> dict[str, Table]:
        """Return all that it sets, for frames of a size."""
        training = {**self.tables.get("training", {}), **QUIET}
        return {**self.tables, "dataset": {**self.tables.get("dataset", {}), "size": str(size)}, "training": training}

    def digest(self, size: object) -> str:
        """Return a digest of its whole recipe, the preset's part included. Raises UsageError."""
        tables = make_recipe(self.preset, None, self.settings(size)).tables
        return digest_of({name: tables[name] for name in sorted(tables)})[:10]


def shared_options(cache: Path) -> dict[str, Any]:
    """Return the options of every command."""
    return {"cache_dir": cache / "vidtrans", "device": "cpu", "overwrite": True}


def learner(dataset: Path, preset: str, settings: Mapping[str, Table], cache: Path) -> Learn:
    """Return the function that trains on a dataset."""
    learned = {name: table for name, table in settings.items() if name not in ("dataset", "pairing")}

    def learn(model: Path, **options: Any) -> Table:
        return vidtrans.train(dataset, model, preset=preset, settings=learned, **{**shared_options(cache), **options})

    return learn


def equal_steps(learners: Mapping[str, Learn], seconds: float, cache: Path) -> dict[str, int]:
    """Return the steps that each takes in a time: medians of trials in turns. Raises VidtransError."""
    found: dict[str, list[int]] = {name: [] for name in learners}
    for _ in range(TRIALS):
        for name, learn in learners.items():
            trial = learn(cache / "trial.safetensors", minutes=seconds / 60, dry_run=True)
            found[name].append(trial["steps"])
    return {name: statistics.median_low(steps) for name, steps in found.items()}


def timed_training(learn: Learn, model: Path, steps: int, seed: int) -> Table:
    """Train; return the report of ``vidtrans.train`` with the wall ``seconds`` of the steps. Raises VidtransError."""
    moments: list[float] = []

    def report(event: Event) -> None:
        if isinstance(event, Progress) and event.task == "training":
            moments.append(time.monotonic())

    made = learn(model, steps=steps, seed=seed, fresh=True, report=report)
    return {**made, "seconds": (moments[-1] - moments[0]) * steps / max(1, steps - 1)}
