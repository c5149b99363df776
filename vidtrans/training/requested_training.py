"""Training by request: train the requested model, continue its training, or return the existing model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vidtrans.config.recipe import Recipe
from vidtrans.core.costs import estimate
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.files import digest_of
from vidtrans.core.machine import is_distributed, use_huge_pages
from vidtrans.core.settings import Table
from vidtrans.core.threads import import_in_background, import_torch
from vidtrans.data.dataset import Dataset, open_dataset
from vidtrans.data.dataset_planning import SUFFIX as DATASET_SUFFIX
from vidtrans.data.making import dataset_digest
from vidtrans.models.loaded_model import LoadedModel, find_extractor, load_extractor
from vidtrans.models.model_file import SUFFIX, find_model, with_reverse_model
from vidtrans.output.result import Result, recorded, refuse_link
from vidtrans.pairing.pairing_records import pairing_record
from vidtrans.session import Context
from vidtrans.store.stages import TrainStage
from vidtrans.training import plugins_in_use
from vidtrans.training.settings import TrainingSettings

if TYPE_CHECKING:
    from vidtrans.training.distributed import DistContext
    from vidtrans.training.finish import ModelWriter
    from vidtrans.training.loop import TimeBudget
    from vidtrans.training.set_up import TrainingSetup


@dataclass(frozen=True)
class TrainingRequest:
    """A request to train a model on a dataset; the default ``output`` is named after the dataset.

    ``minutes``: a time budget, which replaces the recipe's number of steps; ``at_most``: the maximum number of steps.
    ``start_from``: the model with the initial weights. ``fresh``: ignore earlier runs. ``embed``: include the network
    that extracts the input in the model file. ``as_is``: take no more steps, and write an interrupted run's model.
    """

    dataset: Path
    output: Path | None
    recipe: Recipe
    minutes: float | None = None
    at_most: int | None = None
    start_from: str | None = None
    fresh: bool = False
    embed: bool = False
    as_is: bool = False


def train(request: TrainingRequest, context: Context, preview: Callable[[Path], None] | None = None) -> Table:
    """Train a model on a dataset and return its report.

    ``preview`` is called with a model file of the current state, after about one minute, two, four and so on. An
    interrupted run is continued; asking for more steps continues a finished run, unless ``fresh``. If PyTorch's
    launcher starts several processes, the first returns the report, and the others take the same steps and return {}.
    Raises UsageError, MediaError, ModelError, DeviceError, Diverged, Interrupted.
    """
    if request.as_is and is_distributed():
        raise UsageError("--as-is", "nothing is trained, which takes one process", "run it without torchrun")
    run = _RequestedRun.of(request)
    if not run.dataset.role("train"):
        why = "it has no training pairs"
        raise MediaError(str(request.dataset), why, "make it again, or add --restore to its make-dataset command")
    if not is_distributed():
        return _train(run, context, None, preview)
    from vidtrans.training.distributed import distributed_context

    with distributed_context() as dist:
        if dist.is_main:
            return _train(run, context, dist, preview)
        if not context.dry_run:
            from vidtrans.training.training_run import follow_leader

            follow_leader(run.set_up(context, dist))
        return {}


def import_for_training(dataset: Path) -> None:
    """Import torch in the background, to save time while ``dataset`` is made; do nothing if the dataset exists."""
    if not dataset.exists():
        use_huge_pages()
        import_in_background("torch")


def finished_model(request: TrainingRequest, dataset: Dataset, pictures: str, context: Context) -> Table | None:
    """Return the report of the requested model if it exists; None if it must be trained.

    ``pictures``: the digest of the ``dataset``. Nothing is written, and torch is not imported. Raises UsageError if
    another file has the path of the model or of its previews.
    """
    assert request.output is not None
    run = _RequestedRun(request, dataset, request.output, None)
    return run.finished(run.result(context, pictures))


def plugins_of(recipe: Recipe) -> Table:
    """Return ``{"plugins": …}`` with the packages of generator, losses and method; {} if all are built in."""
    settings = recipe.settings("training", TrainingSettings)
    return plugins_in_use(settings.loss_weights, settings.method, recipe.choice("generator")[0])


@dataclass(frozen=True)
class _RequestedRun:
    """A training request with its opened dataset, output path and the path of the starting model."""

    request: TrainingRequest
    dataset: Dataset
    output: Path
    start: Path | None

    @classmethod
    def of(cls, request: TrainingRequest) -> _RequestedRun:
        """Open the dataset and resolve the paths of a request. Raises UsageError, MediaError, ModelError."""
        start = find_model(request.start_from) if request.start_from else None
        if request.start_from and start is None:
            raise UsageError(
                f"--from {request.start_from}", "it has no weights to start from", "give a .safetensors file"
            )
        default_output = Path(request.dataset.resolve().name.removesuffix(DATASET_SUFFIX) + SUFFIX)
        output = request.output or refuse_link(default_output)
        return cls(request, open_dataset(request.dataset), output, start)

    @property
    def settings(self) -> TrainingSettings:
        """Return the recipe's training settings. Raises UsageError."""
        return self.request.recipe.settings("training", TrainingSettings)

    def set_up(self, context: Context, dist: DistContext) -> TrainingSetup:
        """Build the components of the run. Raises UsageError, MediaError, ModelError."""
        from vidtrans.training.set_up import TrainingSetup  # Imports torch.

        return TrainingSetup(self.dataset, self.request.recipe, self.settings, self.start, context, dist=dist)

    def result(self, context: Context, pictures: str) -> Result:
        """Return the result to write: the model file, with the digest of all inputs of the training.

        Its lineage does not depend on the number of steps, so a run continues a run with fewer steps: only its model is
        replaced without ``--overwrite``.
        """
        parameters = self._parameters(context, pictures)
        settings = {name: value for name, value in parameters["settings"].items() if name != "steps"}
        lineage = digest_of(parameters | {"settings": settings, "minutes": [], "fresh": False})
        overwrite = context.overwrite
        if not overwrite and (existing := recorded(context.cache, self.output)) is not None:
            overwrite = existing["lineage"] == lineage and self._continues(existing["result"])
        sources = [self.start] if self.start else []
        return Result(self.output, digest_of(parameters), sources, context, lineage=lineage, overwrite=overwrite)

    def _continues(self, existing: Table) -> bool:
        """Return whether the existing model at the output path is an earlier state of this run, and may be replaced.

        ``existing``: the report of that model.
        """
        request = self.request
        if "of_steps" in existing and request.minutes:  # The existing model was written by --as-is.
            return bool(existing["minutes"] == request.minutes)
        is_shorter = self.settings.steps > existing["steps"]
        return is_shorter and not request.minutes and ("of_steps" in existing or not request.fresh)

    def previews(self) -> Path:
        """Return the folder of the previews. Raises UsageError if a file has the folder's name."""
        previews = refuse_link(self.output.with_suffix(".train"))
        if previews.exists() and not previews.is_dir():
            raise UsageError(str(previews), "it is a file; previews would go to a folder of this name", "move it away")
        return previews

    def finished(self, result: Result) -> Table | None:
        """Return the report of the model if it exists with its companion models, else None. Raises UsageError."""
        existing, cache = result.existing(), result.context.cache
        if existing is not None and all(recorded(cache, Path(p)) for p in existing["companions"].values()):
            return result.report(existing, cached=True)
        self.previews()
        return None

    def _parameters(self, context: Context, pictures: str) -> Table:
        """Return the parameters that identify the requested model; ``pictures``: the digest of the dataset."""
        request = self.request
        return {
            "command": "train",
            "dataset": pictures,
            "networks": request.recipe.only("generator", "discriminator", "card"),
            "settings": self.settings.on(context.device_kind).for_key(),
            "minutes": [request.minutes, request.at_most],
            "from": " ".join(map(context.cache.digest, with_reverse_model(self.start))) if self.start else "",
            "fresh": request.fresh,
            "seed": context.seed,
            "device": context.device_kind,
            "pairing": pairing_record(self.dataset.pairing),
            "stage": TrainStage.id(),
            **plugins_of(request.recipe),
            **({"embed": True} if self.request.embed else {}),
            **self.settings.rollout_version,
        }

    def budget(self, setup: TrainingSetup, digest: str) -> TimeBudget | None:
        """Return the time budget, or None if no ``minutes`` are requested; ``digest``: that of the request.

        Raises UsageError for ``as_is`` without an interrupted run.
        """
        from vidtrans.training.trials import cached_budget, find_budget

        request = self.request
        if not request.minutes:
            return None
        if not request.as_is:
            return find_budget(setup, request.minutes, digest, request.at_most)
        budget = cached_budget(setup.context, request.minutes, digest, request.at_most)
        if budget is None:
            raise self.no_steps_error()
        return budget

    def no_steps_error(self) -> UsageError:
        """Return the error for ``as_is`` without an interrupted run."""
        why = f"no interrupted run of these options has taken a step towards {self.output}"
        return UsageError("--as-is", why, "leave it out to train, or give the options of that run")

    def extractor(self, context: Context) -> LoadedModel | None:
        """Return the network that makes the model's input, to embed in the model file, or None.

        Raises UsageError, ModelError.
        """
        if not self.request.embed:
            return None
        pairing = self.dataset.pairing
        if pairing.extraction is None:
            why = f"the input of pairing '{pairing.name}' is made by no network"
            raise UsageError("--embed", why, "leave it out")
        folder, remedy = self.dataset.folder.resolve().parent, "put it beside the dataset, or into models/"
        path = find_extractor(pairing.extraction, folder, context.cache.digest, remedy)
        return load_extractor(pairing.extraction, context, str(path))


def _train(
    run: _RequestedRun, context: Context, dist: DistContext | None, preview: Callable[[Path], None] | None
) -> Table:
    """Train the model unless it exists; return the report. ``dist``: None in a single process.

    Of several processes, this is called in the main process.
    """
    began, request, output = time.monotonic(), run.request, run.output
    context.begin(f"reading {run.dataset.folder.name}")
    pictures = dataset_digest(context, run.dataset)
    result = replace(run.result(context, pictures), began=began)
    if (existing := run.finished(result)) is not None:
        if dist:
            dist.broadcast(None)
        return existing
    context.begin("loading PyTorch")
    import_torch()
    from vidtrans.training.distributed import SINGLE_PROCESS
    from vidtrans.training.trials import wrong_operators

    context.begin("preparing the training")
    extractor = run.extractor(context)
    setup = run.set_up(context, dist if dist and not context.dry_run else SINGLE_PROCESS)
    budget = run.budget(setup, result.request)
    total = budget.steps if budget else run.settings.steps
    if context.dry_run and not request.as_is:
        from vidtrans.training.trials import estimate_training, transfer

        cost = estimate_training(setup, total)
        return setup.summary(output, total) | {"dry_run": True} | cost | transfer(setup, total)
    from vidtrans.training.finish import ModelWriter, deliver
    from vidtrans.training.training_run import train_run

    exact = wrong_operators(setup)
    context.begin("preparing the training")
    stage = setup.stage(total, pictures, exact, fresh=request.fresh)
    entry = context.cache.entry(stage.name, stage.key)
    make_writer = partial(ModelWriter, setup, entry, stage, run.previews(), preview)
    if context.dry_run:
        return _plan_as_is(run, make_writer())
    with entry.locked():
        meta = entry.read()
        if meta is None and request.as_is:
            report = _deliver_as_is(run, make_writer(), exact, result, extractor)
        else:
            if meta is not None:
                setup.dist.broadcast(None)
            meta = meta or train_run(make_writer(), output, exact, budget)
            report = result.report(deliver(result, entry, meta, extractor), cached=False)
    context.trim_cache()
    return report


def _plan_as_is(run: _RequestedRun, writer: ModelWriter) -> Table:
    """Return the report of a dry run with ``--as-is``. Raises UsageError if the run has taken no step."""
    finished = writer.entry.read()
    step, total = finished["result"]["steps"] if finished else _restored_step(writer), writer.state.total
    if not step:
        raise run.no_steps_error()
    return writer.setup.summary(run.output, step) | {"of_steps": total, "dry_run": True} | estimate(0, 0)


def _deliver_as_is(
    run: _RequestedRun, writer: ModelWriter, exact: Sequence[str], result: Result, extractor: LoadedModel | None
) -> Table:
    """Write the model of the steps that an interrupted run has taken; return its report. Raises UsageError.

    ``exact``: operators to compute in fp32. ``extractor``: the network to embed in the model file, or None.
    """
    from vidtrans.training.finish import deliver
    from vidtrans.training.training_run import deliver_as_is

    step = _restored_step(writer)
    result = replace(result, request=digest_of([result.request, "as is", step]))
    if (existing := run.finished(result)) is not None:
        return existing
    if not step:
        raise run.no_steps_error()
    meta = deliver_as_is(writer, run.output, exact, run.request.minutes)
    return result.report(deliver(result, writer.entry, meta, extractor), cached=False)


def _restored_step(writer: ModelWriter) -> int:
    """Restore the checkpoint that the run would continue; return its step, or 0 without a checkpoint."""
    from vidtrans.training.training_run import restore

    return writer.state.step if restore(writer) else 0
