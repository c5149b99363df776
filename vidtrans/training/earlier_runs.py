"""Earlier runs that a new training run can continue: shorter ones, or ones with another number of processes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from vidtrans.core.costs import count
from vidtrans.core.errors import ModelError
from vidtrans.core.files import digest_of, read_small_json, remove, write_atomically, write_json
from vidtrans.core.settings import Table
from vidtrans.models.model_file import load_generator
from vidtrans.session import Context
from vidtrans.store.cache import CacheEntry
from vidtrans.store.stages import TrainStage
from vidtrans.training.checkpoint import POINTER, load_checkpoint
from vidtrans.training.stopping import best_of
from vidtrans.training.training_state import TrainingState, learning_rate

DESCRIPTION = "run.json"
BEST_FILE = "best.safetensors"
# Parameters of the engine that may change while a run is stopped: only the sharing of batches differs.
ELASTIC = ("threads", "world_size")


def describe(entry: CacheEntry, stage: TrainStage, output: Path) -> None:
    """Write the run's parameters into its cache entry, so that later runs can find and continue it."""
    write_json(entry.folder / DESCRIPTION, {"output": _place(entry, output), "parameters": stage.description()})


def _place(entry: CacheEntry, output: Path) -> str:
    return os.path.relpath(output.absolute(), entry.cache.root.absolute().parent)


def restore(run: TrainingState, entry: CacheEntry, stage: TrainStage, context: Context) -> Path | None:
    """Restore the run's own checkpoint, or that of an earlier run; return its folder, None if there is none."""
    if run.model.settings.exports_best and not context.dry_run:
        check_best(entry, context)
    if run.load(context.report):
        return entry.folder
    if stage.fresh:
        return None
    folder = with_other_processes(entry, stage, run, context) or continue_shorter(entry, stage, run, context)
    if folder is not None and not context.dry_run:
        copy_best(folder, entry, run, context)
    return folder


def with_other_processes(entry: CacheEntry, stage: TrainStage, run: TrainingState, context: Context) -> Path | None:
    """Restore the furthest unfinished run that differs only in number of processes or threads; return its folder."""
    wanted = _elastic(stage.description())
    found = [
        (state, other, parameters)
        for other, parameters, _ in _unfinished(entry)
        if _elastic(parameters) == wanted and (state := load_checkpoint(other.folder, context.report))
    ]
    if not found:
        return None
    state, other, parameters = max(found, key=lambda f: int(f[0]["step"]))
    run.restore(state)
    before, now = (p["engine"]["world_size"] for p in (parameters, stage.parameters()))
    processes = f"{before} process{'es' * (before > 1)}, now it is {now}"
    context.note(f"continuing a run of {processes if before != now else 'another number of threads'}")
    return other.folder


def _elastic(parameters: Table) -> str:
    engine = {k: v for k, v in parameters["engine"].items() if k not in ELASTIC}
    return digest_of(parameters | {"engine": engine})


def _unfinished(entry: CacheEntry) -> Iterator[tuple[CacheEntry, Table, str]]:
    """Yield (entry, parameters, output) of other, unfinished training runs."""
    for other in entry.cache.entries():
        if other.stage == entry.stage and other.key != entry.key and other.read() is None:
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                run: dict[str, Any] = read_small_json(other.folder / DESCRIPTION)
                yield other, run["parameters"] | {"engine": dict(run["parameters"]["engine"])}, str(run["output"])


def note_other_run(entry: CacheEntry, stage: TrainStage, output: Path, context: Context) -> None:
    """Warn if an unfinished run for the same output exists, and name the parameters that prevent continuing it."""
    for _, parameters, place in _unfinished(entry):
        if place != _place(entry, output):
            continue
        last = output.with_suffix(".train") / "last.safetensors"
        changed = _changed(parameters, stage.description())
        remedy = " (the old command continues it)"
        if "version" in changed:
            changed, remedy = ["version of vidtrans"], ""
        if last.is_file():
            remedy = f" (--from {last} starts from its weights)"
        difference = f"an unfinished run for {output} exists, with another {', '.join(changed)}"
        context.note(f"{difference}: this run starts from the beginning{remedy}", "warning")
        return


def _changed(before: Table, now: Table, above: str = "") -> list[str]:
    """Return the dotted names of the parameters that differ; ``above``: their common prefix."""
    names: list[str] = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            names += _changed(old, new, f"{above}{key}.")
        elif old != new:
            names.append(above + key)
    return names


def continue_shorter(entry: CacheEntry, stage: TrainStage, run: TrainingState, context: Context) -> Path | None:
    """Restore the longest finished run that differs only in fewer steps or its model card; return its folder."""
    finished = [
        (meta["steps"], other.folder)
        for other in entry.cache.entries()
        if other.stage == stage.name and other.key != entry.key and (meta := other.read())
        if meta["run_key"] == stage.run_key and meta["steps"] <= stage.steps
    ]
    _, folder = max(finished, key=lambda found: found[0], default=(0, None))
    if folder is None or (state := load_checkpoint(folder, context.report)) is None:
        return None
    run.restore(state)
    if run.step == stage.steps:
        return folder  # only the card is another
    run.history.append(stage.steps)
    run.revisions = []  # their shares are of the time of that run
    run.enough = False
    before = learning_rate(max(0, run.step - 1), run.step, run.model.settings)
    after = learning_rate(run.step, run.total, run.model.settings)
    context.note(
        f"continuing the finished run of {count(run.step, 'step')}; its learning rate had decayed to {before:.2g}, "
        f"and now decays over {run.total} steps, from {after:.2g}"
    )
    return folder


def check_best(entry: CacheEntry, context: Context) -> None:
    """Delete the checkpoint if the best state's file is damaged, since that state could not become the model."""
    best = entry.folder / BEST_FILE
    if best.is_file() and not _is_whole(best):
        context.note("the best state so far is damaged; training starts again", "warning")
        remove(best)
        remove(entry.folder / POINTER)


def copy_best(folder: Path, entry: CacheEntry, run: TrainingState, context: Context) -> None:
    """Copy the best state's file of the continued run from ``folder``; if damaged, drop ``run.scores`` instead."""
    if best_of(run.scores, run.model.settings.best_metric) is None:
        return
    if not _is_whole(folder / BEST_FILE):
        context.note("the best state so far is damaged; only later states can become the best", "warning")
        run.scores = []
        return
    with write_atomically(entry.folder / BEST_FILE) as temporary:
        shutil.copyfile(folder / BEST_FILE, temporary)


def _is_whole(model: Path) -> bool:
    try:
        load_generator(model)
    except ModelError:
        return False
    return True
