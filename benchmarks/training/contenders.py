"""Recipes that are compared at equal wall time: trained through the product's own API, run on its held-out pictures."""

from __future__ import annotations

import copy
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vidtrans
from vidtrans.config.recipe import make_recipe
from vidtrans.core.events import Event, Progress
from vidtrans.core.files import digest_of
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair, open_dataset
from vidtrans.data.loading import to_signed
from vidtrans.inference.device import resolve_device
from vidtrans.inference.torch_engine import TorchEngine, pad_by_mirroring
from vidtrans.models.model_file import load_generator
from vidtrans.pairing.base import Pairing
from vidtrans.training.validation import pair_input
from vidtrans.video.images.picture import read_picture

SIZE = 128  # pixels, of the short side
TRIALS = 5  # of what a step takes
# Isola et al.'s networks for this size, half as wide: a step takes half a second, and 90 seconds are few steps.
PAPERS = {"generator": {"name": "unet-128", "channels": 32}}
# What is timed is training.
QUIET = {"checkpoint_seconds": 1e9, "preview_seconds": 1e9, "val_interval": 10**9}


@dataclass(frozen=True)
class Contender:
    """A recipe: a preset, and what is set otherwise. ``modes``: its columns, and how the network is run for each."""

    name: str
    preset: str
    tables: dict[str, Table] = field(default_factory=dict)
    modes: tuple[tuple[str, str], ...] = ()

    def settings(self, pairing: str) -> dict[str, Table]:
        training = {**self.tables.get("training", {}), **QUIET}
        own = {**self.tables, "training": training, "dataset": {"size": str(SIZE)}}
        return own if pairing == "edges" else {**own, "pairing": {"name": pairing}, "dataset": FACADES}

    def recipe(self, pairing: str) -> str:
        """A digest of all that it sets."""
        tables = make_recipe(self.preset, None, self.settings(pairing)).tables
        return digest_of({k: tables[k] for k in sorted(tables)})[:10]


FACADES: Table = {"size": str(SIZE), "val_fraction": 0.2}  # 8 of 40
PAPER = Contender("paper", "pix2pix", PAPERS, (("paper, as it tests", "train"), ("paper, eval mode", "eval")))
FAST = Contender("fast", "fast", {}, (("fast", "eval"),))
PLATE = Contender("plate", "fast", {"training": {"background_plate": True}}, (("fast, plate", "eval"),))
ALIGNED = Contender("aligned", "aligned", {}, (("aligned", "eval"),))


@dataclass(frozen=True)
class Case:
    """What is learned: a source, and which of its held-out pictures follow each other."""

    name: str
    source: Path
    pairing: str
    contenders: tuple[Contender, ...]


@dataclass(frozen=True)
class Trained:
    """A model, the wall time its steps took, and the pictures that it is scored on."""

    model: Path
    steps: int
    seconds: float
    pairs: Sequence[Pair]
    pairing: Pairing

    def outputs(self, mode: str) -> list[np.ndarray]:
        run = painted if mode == "train" else rendered
        return run(self.model, [pair_input(self.pairing, pair) for pair in self.pairs])

    @property
    def targets(self) -> list[np.ndarray]:
        return [read_picture(pair.target) for pair in self.pairs]


def kept(path: Path, make: Callable[[], Table]) -> Table:
    """A table as JSON, made if it is not there; it appears when it is complete."""
    if path.exists():
        held: Table = json.loads(path.read_text())
        return held
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(made, indent=1))
    part.replace(path)
    return made


def prepare(case: Case, contender: Contender, cache: Path) -> tuple[Path, Callable[..., Table]]:
    """The dataset of a case, made if it is not there, and what trains a contender on it. Raises VidtransError."""
    settings = contender.settings(case.pairing)
    options: dict[str, Any] = {"cache_dir": cache / "vidtrans", "device": "cpu", "overwrite": True}
    folder = cache / f"{name_of(case, contender)}.dataset"
    vidtrans.make_dataset(case.source, folder, preset=contender.preset, settings=settings, **options)
    learns = {k: v for k, v in settings.items() if k in ("generator", "discriminator", "training")}
    return folder, partial(vidtrans.train, folder, preset=contender.preset, settings=learns, **options)


def name_of(case: Case, contender: Contender) -> str:
    return f"{case.name}-{contender.name}-{contender.recipe(case.pairing)}"


def steps_of(case: Case, seconds: float, cache: Path) -> Table:
    """How many steps each contender takes in ``seconds``: the median of trials in turns, for machines' speed drifts.

    Raises VidtransError.
    """

    def ask() -> Table:
        learners = {c.name: prepare(case, c, cache)[1] for c in case.contenders}
        model, minutes = cache / "trial.safetensors", seconds / 60
        found: dict[str, list[int]] = {name: [] for name in learners}
        for _ in range(TRIALS):
            for name, learn in learners.items():
                found[name].append(learn(model, minutes=minutes, dry_run=True)["steps"])
        return {name: statistics.median_low(steps) for name, steps in found.items()}

    names = "-".join(c.recipe(case.pairing) for c in case.contenders)
    return kept(cache / "results" / f"{case.name}-{digest_of(names)[:10]}-{seconds:g}s-steps.json", ask)


def train(case: Case, contender: Contender, seed: int, seconds: float, cache: Path) -> Trained:
    """A model of a case, trained where that is not done yet. All seeds take the same steps. Raises VidtransError."""
    folder, learn = prepare(case, contender, cache)
    model = cache / f"{name_of(case, contender)}-{seconds:g}s-{seed}.safetensors"
    steps = steps_of(case, seconds, cache)[contender.name]

    def run() -> Table:
        moments: list[float] = []

        def report(event: Event) -> None:
            if isinstance(event, Progress) and event.task == "training":
                moments.append(time.monotonic())

        learn(model, steps=steps, seed=seed, fresh=True, report=report)
        return {"seconds": (moments[-1] - moments[0]) * steps / max(1, steps - 1)}

    timed = model.with_suffix(".json")
    if not model.exists():
        timed.unlink(missing_ok=True)
    taken = kept(timed, run)["seconds"]
    dataset = open_dataset(folder)
    return Trained(model, steps, taken, dataset.role("val"), dataset.pairing)


def rendered(model: Path, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """As the product renders: BatchNorm with statistics of the training pictures, no dropout."""
    engine = TorchEngine(load_generator(model)[0], resolve_device("cpu"), batch=1)
    return [engine(shown[None])[0] for shown in inputs]


@torch.no_grad()
def painted(model: Path, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """As the paper tests: BatchNorm with the statistics of the one picture, and dropout."""
    generator = copy.deepcopy(load_generator(model)[0]).train()
    made = []
    for number, shown in enumerate(inputs):
        torch.manual_seed(number)
        padded = pad_by_mirroring(torch.from_numpy(to_signed(shown))[None], generator.multiple)
        output = generator(padded)[0]
        picture = ((output + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
        made.append(picture[: shown.shape[0], : shown.shape[1]])
    return made


def runs(pairs: Sequence[Pair]) -> list[range]:
    """The stretches of pairs whose frames follow each other."""
    numbers = [int(pair.target.stem) for pair in pairs]
    starts = [i for i in range(len(numbers)) if i == 0 or numbers[i] != numbers[i - 1] + 1]
    return [range(a, b) for a, b in zip(starts, [*starts[1:], len(numbers)], strict=True)]
