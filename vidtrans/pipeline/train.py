"""The second step: a dataset in, a model file out."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidtrans.config.recipe import Recipe, make_recipe
from vidtrans.data.dataset import Dataset, open_dataset
from vidtrans.data.planning import SUFFIX as DATASET_SUFFIX
from vidtrans.errors import MediaError, UsageError
from vidtrans.files import digest_of, link_target, write_atomically
from vidtrans.launcher import is_distributed
from vidtrans.models.model_file import SUFFIX, find_model
from vidtrans.output.target import record, refuse_link, up_to_date
from vidtrans.pairing.base import pairing_record
from vidtrans.pipeline.make_dataset import dataset_digest
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.store.stages import TrainStage
from vidtrans.training.settings import TrainingSettings

if TYPE_CHECKING:
    from vidtrans.training.distributed import Team


def default_output(folder: Path) -> Path:
    name = folder.resolve().name
    return Path(name.removesuffix(DATASET_SUFFIX) + SUFFIX)


def train_recipe(folder: Path, preset: str | None, flags: dict[str, Table]) -> Recipe:
    """The recipe for a dataset: the preset that is named, else the one that the dataset was made with."""
    dataset = open_dataset(folder)
    return make_recipe(preset, dataset.preset or None, flags, dataset.recipe)


def train(
    folder: Path,
    output: Path | None,
    recipe: Recipe,
    context: Context,
    *,
    minutes: float | None = None,
    at_most: int | None = None,
    start_from: str | None = None,
    fresh: bool = False,
) -> Table:
    """Train a model on the dataset in ``folder`` and return what is reported of it.

    ``minutes`` outranks the recipe's steps, ``at_most`` bounds what it comes to. A run that was stopped goes on; one
    that was finished with fewer steps is continued, unless ``fresh``. Raises UsageError, MediaError, ModelError,
    DeviceError, Diverged, Interrupted.

    Of several processes that PyTorch's launcher has started, the first one does all this, and the others what it
    tells them: they return {}.
    """
    dataset = open_dataset(folder)
    settings = recipe.settings("training", TrainingSettings)
    output = output or refuse_link(default_output(folder))
    order = _Order(dataset, output, recipe, settings, _start(start_from, fresh), minutes, at_most, fresh)
    _check(order.output, minutes)
    if not dataset.role("train"):
        raise MediaError(str(folder), "it has no training pairs left", "make it again, or --restore its pictures")
    if not is_distributed():
        return _lead(order, context, None)
    from vidtrans.training.distributed import assembled

    with assembled() as team:
        if team.leads:
            return _lead(order, context, team)
        if not context.dry_run:
            _follow(order, context, team)
        return {}


@dataclass(frozen=True)
class _Order:
    """What was asked for."""

    dataset: Dataset
    output: Path
    recipe: Recipe
    settings: TrainingSettings
    start: Path | None
    minutes: float | None
    at_most: int | None
    fresh: bool

    def request(self, context: Context, pictures: str) -> str:
        return digest_of(
            {
                "command": "train",
                "dataset": pictures,
                "networks": self.recipe.only("generator", "discriminator", "card"),
                "settings": self.settings.for_key(),
                "minutes": [self.minutes, self.at_most],
                "from": context.cache.digest(self.start) if self.start else "",
                "fresh": self.fresh,
                "seed": context.seed,
                "device": context.device_kind,
                "pairing": pairing_record(self.dataset.pairing),
                "stage": TrainStage.id(),
            }
            | self.settings.films
        )


def _follow(order: _Order, context: Context, team: Team) -> None:
    """Take part in what the first process does."""
    from vidtrans.training.job import TRIAL, TrainJob
    from vidtrans.training.trainer import seconds_per_step
    from vidtrans.training.training_run import follow

    job = TrainJob(order.dataset, order.recipe, order.settings, order.start, context, team=team)
    while (plan := team.tell()) == TRIAL:
        seconds_per_step(job.make_run(Path(), 1))
    if plan is not None:
        follow(job, plan)


def _lead(order: _Order, context: Context, team: Team | None) -> Table:
    began = time.monotonic()
    dataset, output, settings = order.dataset, order.output, order.settings
    pictures = dataset_digest(context, dataset)
    pictures = dataset_digest(context, dataset)
    request = order.request(context, pictures)
    sources = [order.start] if order.start else []
    if (held := up_to_date(context.cache, output, request, sources, context.overwrite)) is not None:
        if team:
            team.tell(None)
        return held | {"output": str(output), "seconds": round(time.monotonic() - began, 3), "cached": True}
    watched = refuse_link(output.with_suffix(".train"))
    if watched.exists() and not watched.is_dir():
        raise UsageError(str(watched), "it is a file; previews would go to a folder of this name", "move it away")
    from vidtrans.training.distributed import ALONE
    from vidtrans.training.job import TrainJob  # torch is imported only when there is something to train

    team = team if team and not context.dry_run else ALONE
    job = TrainJob(dataset, order.recipe, settings, order.start, context, team=team)
    total = job.steps_for(order.minutes, request, order.at_most) if order.minutes else settings.steps
    if context.dry_run:
        from vidtrans.training.trial import estimate_training

        return job.summary(output, total) | {"dry_run": True} | estimate_training(job, total)
    from vidtrans.training.training_run import MODEL_FILE, TrainRun

    stage = job.stage(total, pictures, order.fresh)
    entry = context.cache.entry(stage.name, stage.key)
    with entry.locked():
        meta = entry.read()
        if meta is None:
            meta = TrainRun(job, entry, stage, output, watched)()
        else:
            team.tell(None)
        result: Table = meta["result"] | {"output": str(output)}
        up_to_date(context.cache, output, request, sources, context.overwrite)  # it may have appeared meanwhile
        with write_atomically(link_target(output)) as temporary:
            shutil.copyfile(entry.folder / MODEL_FILE, temporary)
            record(context.cache, output, temporary, request, result)
    context.trim_cache()
    return result | {"seconds": round(time.monotonic() - began, 3), "cached": False}


def _check(output: Path, minutes: float | None) -> None:
    """Raises UsageError where the output is no model file, or the minutes are no time."""
    if output.suffix != SUFFIX:
        raise UsageError(str(output), "a model is one .safetensors file", f"use -o {output.name}{SUFFIX}")
    check_minutes(minutes)


def check_minutes(minutes: float | None) -> None:
    """Raise UsageError where the minutes of a training are not a length of time."""
    if minutes is not None and not 0 < minutes < float("inf"):
        raise UsageError(f"--minutes {minutes:g}", "it is no length of time", "give a number above 0")


def _start(start_from: str | None, fresh: bool) -> Path | None:
    """The file of ``--from``. Raises UsageError, ModelError."""
    if not start_from:
        return None
    if fresh:
        raise UsageError("--from and --fresh", "one starts from a model, the other from nothing", "give one of them")
    start = find_model(start_from)
    if start is None:
        raise UsageError(f"--from {start_from}", "it has no weights to start from", "give a model file")
    return start
