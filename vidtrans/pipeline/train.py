"""The second step: a dataset in, a model file out."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

from vidtrans.data.dataset import open_dataset
from vidtrans.errors import MediaError, UsageError
from vidtrans.files import complete, digest_of
from vidtrans.model import SUFFIX, find_model
from vidtrans.pipeline.context import Context
from vidtrans.pipeline.make_dataset import SUFFIX as DATASET_SUFFIX
from vidtrans.pipeline.make_dataset import dataset_digest
from vidtrans.pipeline.outputs import record, up_to_date
from vidtrans.pipeline.recipe import Recipe, make_recipe
from vidtrans.settings import Table
from vidtrans.training.settings import TrainingSettings


def default_output(folder: Path) -> Path:
    name = folder.resolve().name
    return Path(name.removesuffix(DATASET_SUFFIX) + SUFFIX)


def train_recipe(folder: Path, preset: str | None, flags: dict[str, Table]) -> Recipe:
    """The recipe for a dataset: the preset that is named, else the one that the dataset was made with."""
    return make_recipe(preset, open_dataset(folder).preset or None, flags)


def train(
    folder: Path,
    output: Path | None,
    recipe: Recipe,
    context: Context,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    start_from: str | None = None,
    fresh: bool = False,
) -> Table:
    """Train a model on the dataset in ``folder`` and return what is reported of it.

    ``steps`` outranks ``minutes``, which outranks the recipe's steps. A run that was stopped goes on; one with
    fewer steps is continued, unless ``fresh``. Raises UsageError, MediaError, ModelError, Diverged, Interrupted.
    """
    began = time.monotonic()
    dataset = open_dataset(folder)
    output = output or default_output(folder)
    if output.suffix != SUFFIX:
        raise UsageError(str(output), "a model is one .safetensors file", f"use -o {output.name}{SUFFIX}")
    settings = recipe.settings("training", TrainingSettings)
    settings = replace(settings, steps=steps or settings.steps)
    start = find_model(start_from) if start_from else None
    request = digest_of(
        {
            "command": "train",
            "dataset": dataset_digest(context, dataset),
            "networks": recipe.only("generator", "discriminator"),
            "settings": settings.for_key(),
            "minutes": minutes,
            "from": context.cache.digest(start) if start else "",
            "seed": context.seed,
            "device": context.device,
        }
    )
    if not fresh and (held := up_to_date(context.cache, output, request, [], context.overwrite)) is not None:
        return held | {"output": str(output), "seconds": round(time.monotonic() - began, 3), "cached": True}
    if fresh and output.exists() and not context.overwrite:
        up_to_date(context.cache, output, "", [], False)  # says why not
    if not dataset.role("train"):
        raise MediaError(str(folder), "it has no training pairs left", "make it again, or --restore its pictures")
    from vidtrans.pipeline.train_job import TrainJob  # torch is imported only when there is something to train

    job = TrainJob(dataset, recipe, settings, start, context)
    total = job.steps_for(minutes, request) if minutes and not steps else settings.steps
    if context.dry_run:
        return job.summary(output, total) | {"dry_run": True}
    stage = job.stage(total, dataset_digest(context, dataset))
    entry = context.cache.entry(stage.name, stage.key)
    with entry.locked():
        meta = None if fresh else entry.read()
        if meta is None:
            if fresh:
                entry.clear()
            meta = job.run(entry, stage, total, output, fresh)
        with complete(output) as temporary:
            shutil.copyfile(entry.folder / job.MODEL_FILE, temporary)
    result = meta["result"] | {"output": str(output)}
    record(context.cache, output, request, result)
    return result | {"seconds": round(time.monotonic() - began, 3), "cached": False}
