"""The second step: a dataset in, a model file out."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from vidtrans.data.dataset import open_dataset
from vidtrans.errors import MediaError, UsageError
from vidtrans.files import complete, digest_of
from vidtrans.model import SUFFIX, find_model
from vidtrans.pairing.base import pairing_record
from vidtrans.pipeline.context import Context
from vidtrans.pipeline.dataset_plan import SUFFIX as DATASET_SUFFIX
from vidtrans.pipeline.make_dataset import dataset_digest
from vidtrans.pipeline.outputs import record, up_to_date
from vidtrans.pipeline.recipe import Recipe, make_recipe
from vidtrans.pipeline.stages import TrainStage
from vidtrans.settings import Table
from vidtrans.training.settings import TrainingSettings


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
    """
    began = time.monotonic()
    dataset = open_dataset(folder)
    output = output or default_output(folder)
    settings = recipe.settings("training", TrainingSettings)
    _check(output, minutes)
    start = _start(start_from, fresh)
    pictures = dataset_digest(context, dataset)
    request = digest_of(
        {
            "command": "train",
            "dataset": pictures,
            "networks": recipe.only("generator", "discriminator", "card"),
            "settings": settings.for_key(),
            "minutes": [minutes, at_most],
            "from": context.cache.digest(start) if start else "",
            "fresh": fresh,
            "seed": context.seed,
            "device": context.device,
            "pairing": pairing_record(dataset.pairing),
            "stage": TrainStage.id(),
        }
    )
    sources = [start] if start else []
    if (held := up_to_date(context.cache, output, request, sources, context.overwrite)) is not None:
        return held | {"output": str(output), "seconds": round(time.monotonic() - began, 3), "cached": True}
    watched = output.with_suffix(".train")
    if watched.exists() and not watched.is_dir():
        raise UsageError(str(watched), "it is a file; previews would go to a folder of this name", "move it away")
    if not dataset.role("train"):
        raise MediaError(str(folder), "it has no training pairs left", "make it again, or --restore its pictures")
    from vidtrans.pipeline.train_job import TrainJob  # torch is imported only when there is something to train

    job = TrainJob(dataset, recipe, settings, start, context)
    total = job.steps_for(minutes, request, at_most) if minutes else settings.steps
    if context.dry_run:
        from vidtrans.pipeline.train_trial import estimate_training

        return job.summary(output, total) | {"dry_run": True} | estimate_training(job, total)
    stage = job.stage(total, pictures, fresh)
    entry = context.cache.entry(stage.name, stage.key)
    with entry.locked():
        meta = entry.read() or job.run(entry, stage, output, watched)
        result: Table = meta["result"] | {"output": str(output)}
        up_to_date(context.cache, output, request, sources, context.overwrite)  # it may have appeared meanwhile
        with complete(output) as temporary:
            shutil.copyfile(entry.folder / job.MODEL_FILE, temporary)
            record(context.cache, output, temporary, request, result)
    return result | {"seconds": round(time.monotonic() - began, 3), "cached": False}


def _check(output: Path, minutes: float | None) -> None:
    """Raises UsageError where the output is no model file, or the minutes are no time."""
    if output.suffix != SUFFIX:
        raise UsageError(str(output), "a model is one .safetensors file", f"use -o {output.name}{SUFFIX}")
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
