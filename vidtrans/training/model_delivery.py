"""The model of a training run at its output path: of a finished run, or of the steps that a stopped one took."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from vidtrans.core.costs import estimate
from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_of
from vidtrans.core.settings import Table
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.models.model_file import companion_path, embed_extractor
from vidtrans.output.result import Result
from vidtrans.store.cache import CacheEntry
from vidtrans.training.finish import MODEL_FILE, companion_file
from vidtrans.training.loop import TrainingRun

EMBEDDED_FILE = "embedded.safetensors"  # the model with the network that makes its input


def state_as_is(training: TrainingRun, minutes: float | None, nothing_taken: UsageError) -> Table:
    """Write the model of a restored run into its cache entry, and return the metadata. Raises ``nothing_taken``."""
    state = training.run
    if not state.step:
        raise nothing_taken
    training.context.note(f"the model of step {state.step:,} of {state.total:,}; without --as-is the training goes on")
    meta = training.deliver()
    meta["result"] |= {"of_steps": state.total, "minutes": minutes}
    return meta


def plan_as_is(training: TrainingRun, nothing_taken: UsageError) -> Table:
    """Return the report of a dry run with ``--as-is``. Raises ``nothing_taken``."""
    finished = training.entry.read()
    taken, total = finished["result"]["steps"] if finished else training.taken(), training.run.total
    if not taken:
        raise nothing_taken
    return training.setup.summary(training.output, taken) | {"of_steps": total, "dry_run": True} | estimate(0, 0)


def deliver(result: Result, entry: CacheEntry, meta: Table, extractor: LoadedModel | None) -> Table:
    """Copy the models of a cache entry to their output paths, and return the report. Raises UsageError."""
    companions = {name: companion_path(result.output, name) for name in meta["companions"]}
    for name, path in companions.items():
        source = entry.folder / companion_file(name)
        beside = replace(result, output=path, request=digest_of([result.request, source.name]), lineage="")
        if beside.existing() is None:
            _copy(source, beside, {"output": str(path)})
    table: Table = meta["result"] | {"output": str(result.output)}
    table["companions"] = {name: str(path) for name, path in companions.items()}
    model = entry.folder / MODEL_FILE
    if extractor is not None:
        embed_extractor(model, entry.folder / EMBEDDED_FILE, extractor.load_generator())
        model = entry.folder / EMBEDDED_FILE
    _copy(model, result, table)
    return table


def _copy(source: Path, result: Result, table: Table) -> None:
    """Copy a file to the path of a result. Raises UsageError if another file is there."""

    def make(path: Path) -> Table:
        shutil.copyfile(source, path)
        return table

    result.write(make)
