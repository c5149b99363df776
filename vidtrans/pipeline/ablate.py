"""``vidtrans train --ablate``: several trainings with one thing varied, in a table with pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vidtrans.config.recipe import Recipe
from vidtrans.data.dataset import INDEX, Dataset, open_dataset
from vidtrans.data.dataset_planning import SUFFIX as DATASET_SUFFIX
from vidtrans.data.folder import dataset_digest
from vidtrans.errors import UsageError
from vidtrans.events import silent
from vidtrans.files import digest_of
from vidtrans.launcher import is_distributed
from vidtrans.models.model_file import SUFFIX
from vidtrans.output.target import check_foreign, check_place, produce, refuse_link
from vidtrans.pipeline.train import train
from vidtrans.rendering.cost import add_up
from vidtrans.requests import AblateRequest, TrainRequest
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.training.ablations import ABLATIONS, Variants
from vidtrans.training.settings import TrainingSettings

PICTURE = "table.png"
SHEET_VERSION = 1


def ablate(request: AblateRequest, context: Context) -> Table:
    """Train every variant of a kind on a dataset, and return what is reported of all of them.

    Each is an ordinary training from nothing, with the same pictures, seed and number of steps: the recipe's, or, with
    ``minutes``, what fits for the slowest. The models go to the output folder, with a picture of what they paint of
    held-out frames, and their scores. Raises what ``train`` does.
    """
    began = time.monotonic()
    folder, kind, recipe, minutes = request.dataset, request.kind, request.recipe, request.minutes
    if is_distributed():
        why = "it trains its variants one after the other, in one process"
        raise UsageError(f"--ablate {kind}", why, "start it without torchrun")
    dataset = open_dataset(folder)
    find: Variants = ABLATIONS.load(kind)
    default_output = Path(f"{folder.resolve().name.removesuffix(DATASET_SUFFIX)}.ablate-{kind}")
    output = request.output or refuse_link(default_output)
    if output.exists() and not output.is_dir():
        raise UsageError(str(output), "it is a file, and the models go to a folder", "choose another with -o")
    check_place(output, [folder / INDEX], folder=True)
    variants = find(recipe, dataset, context)
    recipes = [recipe.under(v.tables) for v in variants]
    models = [output / f"{v.name}{SUFFIX}" for v in variants]
    for path in (*models, output / PICTURE):
        check_foreign(context.cache, refuse_link(path), context.overwrite)
    if minutes:
        steps = _steps(dataset, recipes, minutes, context)
        recipes = [r.under({"training": {"steps": steps}}) for r in recipes]
    trained = []
    for at, (variant, own, path) in enumerate(zip(variants, recipes, models, strict=True), start=1):
        if not context.dry_run:
            context.note(f"{at} of {len(variants)}: {variant.label}")
        trained.append(train(TrainRequest(folder, path, own, fresh=True), context))
    rows = [
        {"name": v.name, "label": v.label, "model": str(p)}
        | {k: t.get(k) for k in ("held_out", "cached", "seconds")}
        | ({"dreamt": t["dreamt"]} if "dreamt" in t else {})
        for v, p, t in zip(variants, models, trained, strict=True)
    ]
    table: Table = {"ablation": kind, "frames": trained[0]["frames"], "steps": trained[0]["steps"], "rows": rows}
    estimates = [t for t in trained if "estimate" in t]
    picture = {"dry_run": True} if estimates else _draw(output, rows, table, dataset, context)
    if "dry_run" in picture:
        return {"output": str(output), **table, "cached": False, "dry_run": True} | add_up(estimates)
    return {
        "output": str(output),
        **table,
        "picture": picture["output"],
        "seconds": round(time.monotonic() - began, 3),
        "cached": picture["cached"] and all(t["cached"] for t in trained),
    }


def _draw(output: Path, rows: Sequence[Table], table: Table, dataset: Dataset, context: Context) -> Table:
    """Draw the picture, unless it is there."""
    models = [Path(row["model"]) for row in rows]
    request = {
        "command": "ablate",
        "version": SHEET_VERSION,
        "dataset": dataset_digest(context, dataset),
        "models": [context.cache.digest(m) for m in models] if all(m.is_file() for m in models) else [],  # a dry run
        "rows": [[row["label"], row["held_out"]] for row in rows],
    }

    def make(path: Path) -> Table:
        from vidtrans.training.report.ablation_sheet import draw_sheet  # torch, only when there is something to draw

        title = f"{output.name}: {table['steps']} steps each"
        draw_sheet(path, title, rows, dataset, context)
        return {}

    return produce(context, output / PICTURE, request, models, make)


def _steps(dataset: Dataset, recipes: Sequence[Recipe], minutes: float, context: Context) -> int:
    """How many steps fit into ``minutes`` for the slowest, measured once and remembered."""
    from vidtrans.training.training_job import TrainingJob
    from vidtrans.training.trial import find_steps

    quiet, fitting = replace(context, report=silent), []
    for recipe in recipes:
        settings = recipe.settings("training", TrainingSettings)
        networks = recipe.only("generator", "discriminator")
        key = ["ablate", dataset_digest(context, dataset), networks, settings.for_key(), minutes]
        job = TrainingJob(dataset, recipe, settings, None, quiet)
        fitting.append(find_steps(job, minutes, digest_of([*key, context.seed, context.device_kind])))
    context.note(f"{minutes:g} minutes are about {min(fitting)} steps here for the slowest; each takes as many")
    return min(fitting)
