"""Several trainings with different settings (an ablation or a sweep), and a table and picture of their results."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from vidtrans.batch.batch_options import SEQUENTIAL, BatchOptions
from vidtrans.batch.inputs import Item
from vidtrans.batch.jobs import run_jobs
from vidtrans.config.recipe import Recipe
from vidtrans.core.costs import add_estimates, count
from vidtrans.core.errors import UsageError
from vidtrans.core.events import ignore_event
from vidtrans.core.files import DATASET_FILE, digest_of
from vidtrans.core.machine import is_distributed
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Dataset, open_dataset
from vidtrans.data.dataset_planning import SUFFIX as DATASET_SUFFIX
from vidtrans.data.making import dataset_digest
from vidtrans.models.model_file import SUFFIX
from vidtrans.output.result import check_foreign, check_place, produce, refuse_link, replaces_own
from vidtrans.session import Context
from vidtrans.training.requested_training import TrainingRequest, finished_model, train
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.variants import ABLATIONS, Variant, check_networks, check_variants, sweep_name

TABLE_PICTURE = "table.png"  # File name, in the output folder, of the picture that compares the trained variants
SHEET_VERSION = 1  # Version of the layout of the picture that compares the variants, part of its cache key
TRAINING_NOUNS = "trainings", "steps"  # Plural nouns for the items of the batch and for their units


@dataclass(frozen=True)
class VariedTraining:
    """A request to train all variants of the ablation ``kind`` or of the ``sweep``; the one not requested is empty.

    ``minutes``: time limit of each training. ``batch``: how to run the trainings. ``labeller``: the name of a model
    that segments held-out outputs, which gives scores. Raises UsageError if the options conflict.
    """

    dataset: Path
    kind: str
    output: Path | None
    recipe: Recipe
    minutes: float | None = None
    sweep: tuple[Variant, ...] = ()
    batch: BatchOptions = SEQUENTIAL
    labeller: str = ""

    def __post_init__(self) -> None:
        if self.kind and self.sweep:
            raise UsageError("--sweep and --ablate", "both choose the varied settings", "give one of them")
        if not self.kind and not self.sweep:
            raise UsageError("--sweep", "there is nothing to vary", "give settings with their values")
        if self.minutes and any("training.steps" in variant.settings for variant in self.sweep):
            raise UsageError("--sweep training.steps and --minutes", "both say when to stop", "give one of them")
        if self.output and self.output.suffix == SUFFIX:
            remedy = f"use -o {self.output.with_suffix('')}"
            raise UsageError(str(self.output), f"{self.option} makes several models, in a folder", remedy)

    @property
    def option(self) -> str:
        """Return the option that requests the trainings, for messages: "--ablate NAME" or "--sweep"."""
        return f"--ablate {self.kind}" if self.kind else "--sweep"


def train_varied(request: VariedTraining, context: Context) -> Table:
    """Train every variant of an ablation or a sweep on a dataset, and return the result table.

    Each variant is trained from scratch with the same pictures, seed and steps, unless these are varied. The number of
    steps is the recipe's, or, with ``minutes``, what the slowest variant can do. The output folder gets the models, a
    picture of their held-out outputs, and their scores. A failed variant does not end the others: ``failed`` names it,
    and ``rows`` has the others. Raises UsageError, MediaError and Interrupted.
    """
    began = time.monotonic()
    if is_distributed():
        why = "it starts its own training processes"
        raise UsageError(request.option, why, "start it without torchrun")
    dataset, output = open_dataset(request.dataset), _output_of(request)
    if output.exists() and not output.is_dir():
        raise UsageError(str(output), "it is a file, but the models go into a folder", "give another path with -o")
    check_place(output, [request.dataset / DATASET_FILE], folder=True)
    variants = request.sweep or tuple(ABLATIONS.load(request.kind)(request.recipe, dataset, context))
    check_variants(request.sweep, context)
    _check_table_picture(output / TABLE_PICTURE, _lineage_digest(request), context)
    for variant in variants:
        check_foreign(context.cache, refuse_link(_model_of(variant, output)), context.overwrite)
    if request.minutes:
        steps = _steps_in_minutes(dataset, [v.recipe for v in variants], request.minutes, context)
        variants = tuple(replace(v, recipe=v.recipe.under({"training": {"steps": steps}})) for v in variants)
    score_labels = _label_scorer(request, dataset, context)
    trained, failed = _train_all(request, dataset, variants, output, context)
    rows = [_row(v, output, trained[v.name]) for v in variants if v.name in trained]
    for row in rows if not context.dry_run else ():
        row["held_out"] = row["held_out"] | score_labels(Path(row["model"]))
    all_steps = {t["steps"] for t in trained.values()}
    table: Table = {
        "ablation": request.kind or None,
        "sweep": list(variants[0].settings),
        "frames": dataset.num_frames,
        "steps": all_steps.pop() if len(all_steps) == 1 else None,
        "rows": rows,
        "failed": failed,
    }
    estimates = [t for t in trained.values() if "estimate" in t]
    picture: Table = {"output": None, "cached": False}
    if rows and not estimates:
        picture = _draw_table(output, table, dataset, _lineage_digest(request), context)
    if estimates or "dry_run" in picture:
        return {"output": str(output), **table, "cached": False, "dry_run": True} | add_estimates(estimates)
    return {
        "output": str(output),
        **table,
        "picture": picture["output"],
        "seconds": round(time.monotonic() - began, 3),
        "cached": picture["cached"] and not failed and all(row["cached"] for row in rows),
    }


def _label_scorer(request: VariedTraining, dataset: Dataset, context: Context) -> Callable[[Path], Table]:
    """Return a function that scores the class labels in the outputs of a model file; without a labeller it returns {}.

    Raises UsageError.
    """
    if not request.labeller:
        return lambda model: {}
    from vidtrans.rendering.extraction import Labeller  # It imports torch, which only a labeller needs.
    from vidtrans.training.variant_sheet import check_labels, read_back

    labeller = Labeller.found(request.labeller, context)
    check_labels(labeller, dataset)
    return lambda model: read_back(labeller, dataset, model, context)


def _output_of(request: VariedTraining) -> Path:
    """Return the output folder: the user's, or one named after the dataset and what is varied."""
    if request.output:
        return request.output
    stem = request.dataset.resolve().name.removesuffix(DATASET_SUFFIX)
    varied = f"ablate-{request.kind}" if request.kind else f"sweep-{sweep_name(_swept_keys(request))}"
    return refuse_link(Path(f"{stem}.{varied}"))


def _swept_keys(request: VariedTraining) -> list[str]:
    """Return the keys (table.key) of the settings that a sweep varies; [] for an ablation."""
    return list(request.sweep[0].settings) if request.sweep else []


def _lineage_digest(request: VariedTraining) -> str:
    """Return a digest of the dataset and the varied keys. A table picture may replace one with an equal digest."""
    return digest_of(["ablate", str(request.dataset.resolve()), request.kind, sorted(_swept_keys(request))])


def _model_of(variant: Variant, output: Path) -> Path:
    """Return the path of a variant's model file."""
    return output / f"{variant.name}{SUFFIX}"


def _row(variant: Variant, output: Path, table: Table) -> Table:
    """Return a variant's row in the result table. ``table``: the result of its training, or of its dry run."""
    row: Table = {"name": variant.name, "label": variant.label, "settings": variant.settings}
    row |= {"model": str(_model_of(variant, output))}
    row |= {key: table.get(key) for key in ("steps", "held_out", "cached", "seconds")}
    return row | ({"dreamt": table["dreamt"]} if "dreamt" in table else {})


def _check_table_picture(path: Path, lineage: str, context: Context) -> None:
    """Raise UsageError if the table picture would replace a file of another command or table.

    ``path``: the picture. ``lineage``: the digest (``_lineage_digest``) that an earlier picture must have.
    """
    check_foreign(context.cache, refuse_link(path), context.overwrite)
    if path.exists() and not context.overwrite and not replaces_own(context.cache, path, lineage):
        why = "it is the table of another ablation or sweep"
        raise UsageError(str(path), why, "use --overwrite, or another folder with -o")


def _train_all(
    request: VariedTraining, dataset: Dataset, variants: Sequence[Variant], output: Path, context: Context
) -> tuple[dict[str, Table], dict[str, str]]:
    """Train the variants that have no finished model.

    Return the result tables of trained variants, and the errors of failed ones, both by variant name.
    """
    pictures, trained, missing = dataset_digest(context, dataset), dict[str, Table](), list[Variant]()
    requests = {v.name: TrainingRequest(request.dataset, _model_of(v, output), v.recipe, fresh=True) for v in variants}
    for variant in variants:
        existing = finished_model(requests[variant.name], dataset, pictures, _with_seed(context, variant.seed))
        if existing is None:
            missing.append(variant)
        else:
            trained[variant.name] = existing | {"seconds": 0.0}
    if not missing:
        return trained, {}
    check_networks(missing)
    works = {v.name: partial(_train_one, requests[v.name], v.seed) for v in missing}
    if context.dry_run:
        return trained | {name: work(context) for name, work in works.items()}, {}
    if trained:
        context.note(f"up to date: {len(trained)} of {count(len(variants), 'model')}")
    items = [
        Item(
            request.dataset,
            _model_of(variant, output),
            works[variant.name],
            variant.recipe.settings("training", TrainingSettings).steps,
            name=variant.label,
        )
        for variant in missing
    ]
    # Existing models were checked for this machine's kind of device, so a cluster must train on that kind, too.
    device = context.device_kind if context.device == "auto" else context.device
    outcomes = run_jobs(items, request.batch, replace(context, device=device), TRAINING_NOUNS)
    for variant, outcome in zip(missing, outcomes, strict=True):
        if outcome.state == "done":
            trained[variant.name] = outcome.table
    failed = {v.name: o.error or "not begun" for v, o in zip(missing, outcomes, strict=True) if o.state != "done"}
    return trained, failed


def _train_one(request: TrainingRequest, seed: int | None, context: Context) -> Table:
    """Train one variant; return its result table. ``seed``: None for the context's seed. Picklable."""
    return train(request, _with_seed(context, seed))


def _with_seed(context: Context, seed: int | None) -> Context:
    """Return the context with a seed; unchanged for None."""
    return context if seed is None else replace(context, seed=seed)


def _draw_table(output: Path, table: Table, dataset: Dataset, lineage: str, context: Context) -> Table:
    """Draw the picture of the table, unless it is up to date; return the result table of the picture.

    ``lineage``: the digest of ``_lineage_digest``.
    """
    rows = table["rows"]
    models = [Path(row["model"]) for row in rows]
    request = {
        "command": "ablate",
        "version": SHEET_VERSION,
        "dataset": dataset_digest(context, dataset),
        "models": [context.cache.digest(m) for m in models],
        "rows": [[row["label"], row["held_out"]] for row in rows],
    }

    def make(path: Path) -> Table:
        """Draw the picture of the variants into a file."""
        from vidtrans.training.variant_sheet import draw_sheet  # It imports torch, which an up-to-date picture omits.

        title = output.name if table["steps"] is None else f"{output.name}: {count(table['steps'], 'step')} each"
        draw_sheet(path, title, rows, dataset, context)
        return {}

    return produce(context, output / TABLE_PICTURE, request, models, lambda: make, lineage=lineage)


def _steps_in_minutes(dataset: Dataset, recipes: Sequence[Recipe], minutes: float, context: Context) -> int:
    """Return the number of steps that the slowest recipe can train in ``minutes``, from a cached measurement."""
    from vidtrans.training.set_up import TrainingSetup
    from vidtrans.training.trials import find_budget

    quiet, fitting = replace(context, report=ignore_event), []
    for recipe in recipes:
        settings = recipe.settings("training", TrainingSettings)
        networks = recipe.only("generator", "discriminator")
        key = ["ablate", dataset_digest(context, dataset), networks, settings.for_key(), minutes]
        job = TrainingSetup(dataset, recipe, settings, None, quiet)
        fitting.append(find_budget(job, minutes, digest_of([*key, context.seed, context.device_kind])).steps)
    about = f"the slowest model does about {count(min(fitting), 'step')} in {count(minutes, 'minute')}"
    context.note(f"{about}; every model is trained that many")
    return min(fitting)
