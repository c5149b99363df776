"""One training run in its cache entry: from scratch, a checkpoint or an earlier run, to the model and its report."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from vidtrans.core.costs import count
from vidtrans.core.errors import Interrupted, ModelError
from vidtrans.core.events import Note, ignore_event
from vidtrans.core.files import digest_of, read_small_json, remove, write_atomically, write_json
from vidtrans.core.settings import Table
from vidtrans.data.loading import PictureBatches
from vidtrans.inference.operator_checks import correct_operators
from vidtrans.models.model_file import load_generator
from vidtrans.networks.init import inner_generator
from vidtrans.rendering.scene import plate_hint
from vidtrans.store.cache import CacheEntry
from vidtrans.training import health
from vidtrans.training.finish import BEST_FILE, ModelWriter
from vidtrans.training.loop import (
    POINTER,
    Diverged,
    TimeBudget,
    TrainingLoop,
    TrainingState,
    learning_rate,
    load_checkpoint,
)
from vidtrans.training.set_up import TrainingSetup
from vidtrans.training.training_words import best_step
from vidtrans.training.trials import TRIAL, seconds_per_step

FEWER_PIXELS = 0.75  # Share of the largest picture's pixels below which a crop shows only a part of the scene.
# Warning for a generator that cannot tell the colours of a crop.
IGNORES_COLOURS = (
    "this generator sees no colours in crops, only differences within a crop, so areas of whole frames may come out in "
    "wrong colours — use --set generator.norm=batch where the generator has it, or --set training.crop_size=none"
)
DESCRIPTION = "run.json"  # Name of the file, in a cache entry, with the run's output path and parameters.
# Engine parameters that may change while a run is stopped; they only affect how batches are shared.
ELASTIC = ("threads", "world_size")


def train_run(writer: ModelWriter, output: Path, exact: Sequence[str] = (), budget: TimeBudget | None = None) -> Table:
    """Train, or continue from a checkpoint or a shorter run; write the model; return the cache entry's metadata.

    Args:
        writer: The writer of the run, whose state is at step 0.
        output: Path of the model.
        exact: The operators to compute in fp32.
        budget: The time budget, which may change the number of steps.

    Raises:
        Diverged: If a loss or a weight is not finite; the last good state is saved then.
        Interrupted: After the state was saved.
    """
    state, monitor, setup, context = writer.state, writer.monitor, writer.setup, writer.context
    # The parameters are stored so that later runs can find and continue this one.
    description = {"output": _place(writer.entry, output), "parameters": writer.stage.description()}
    write_json(writer.entry.folder / DESCRIPTION, description)
    continued = restore(writer)
    if continued is None and not writer.stage.fresh:
        _note_other_run(writer, output)
    plan = {"folder": str(writer.entry.folder), "steps": state.total, "continued": str(continued or "")}
    setup.dist.broadcast(plan | {"budget": budget})
    setup.dist.barrier()
    if not setup.plate and (hint := plate_hint(setup.pairs, setup.dataset, setup.generator_table)):
        context.report(Note(hint, advises=True))
    if _ignores_colours(setup, state):
        context.report(Note(IGNORES_COLOURS, "warning", advises=True))
    context.note(f"watch it learn: {monitor.folder / 'preview.png'}")
    monitor.begin()
    loop = TrainingLoop(
        state, context.report, context.stop, writer.refresh, writer.milestones, setup.dist, budget=budget
    )
    try:
        with correct_operators(exact):
            loop.train()
    except Diverged:
        last_good = setup.make_state(writer.entry.folder, writer.stage.steps)
        if last_good.load(context.report):
            path = writer.save("last-good.safetensors", last_good)
            context.note(f"the last state that was finite is saved in {path}", "warning")
        monitor.draw({})
        raise
    except Interrupted:
        if state.step:
            writer.save("last.safetensors")
            monitor.draw({})
        raise
    finally:
        monitor.end()
    return writer.finish(output)


def deliver_as_is(writer: ModelWriter, output: Path, exact: Sequence[str], minutes: float | None) -> Table:
    """Write the model of the steps taken so far by an unfinished run; return the metadata. The run stays unfinished.

    ``exact``: operators to compute in fp32. ``minutes``: the requested time budget, or None.
    """
    state = writer.state
    writer.context.note(f"the model of step {state.step:,} of {state.total:,}; without --as-is the training goes on")
    writer.context.begin("finishing the model")
    with correct_operators(exact):
        meta = writer.deliver(output)
    meta["result"] |= {"of_steps": state.total, "minutes": minutes}
    return meta


def _ignores_colours(setup: TrainingSetup, state: TrainingState) -> bool:
    """Return whether the generator is trained on crops but ignores a crop's mean colour, see ``health``."""
    loader, pairing, generator = state.loader, setup.pairing, state.model.networks["generator"]
    learns_pairs = pairing.has_target and pairing.pointwise and not setup.dataset.domains
    if not learns_pairs or not isinstance(loader, PictureBatches):
        return False
    takes_crops = math.prod(loader.crop) < FEWER_PIXELS * loader.max_pixels
    is_plain = inner_generator(generator) is generator
    return takes_crops and is_plain and health.ignores_colours(generator, pairing.in_channels)


# The functions below find earlier runs that this run can continue.


def restore(writer: ModelWriter) -> Path | None:
    """Restore this run's checkpoint or that of an earlier run; return the checkpoint's folder, None without one."""
    keeps_best = writer.state.model.settings.exports_best and not writer.context.dry_run
    best = writer.entry.folder / BEST_FILE
    if keeps_best and best.is_file() and not _is_whole(best):
        # The best state, which may become the model, cannot be used.
        writer.context.note("the best state so far is damaged; training starts again", "warning")
        remove(best)
        remove(writer.entry.folder / POINTER)
    if writer.state.load(writer.context.report):
        return writer.entry.folder
    if writer.stage.fresh:
        return None
    folder = _continue_with_other_processes(writer) or _continue_shorter(writer)
    if folder is not None and not writer.context.dry_run:
        _copy_best(writer, folder)
    return folder


def _continue_with_other_processes(writer: ModelWriter) -> Path | None:
    """Restore the longest unfinished run that differs only in processes or threads; return its folder, or None."""
    wanted = _without_elastic(writer.stage.description())
    found = [
        (state, other, parameters)
        for other, parameters, _ in _unfinished(writer)
        if _without_elastic(parameters) == wanted and (state := load_checkpoint(other.folder, writer.context.report))
    ]
    if not found:
        return None
    state, other, parameters = max(found, key=lambda f: int(f[0]["step"]))
    writer.state.restore(state)
    before, now = (p["engine"]["world_size"] for p in (parameters, writer.stage.parameters()))
    processes = f"{before} process{'es' * (before > 1)}, now it is {now}"
    writer.context.note(f"continuing a run of {processes if before != now else 'another number of threads'}")
    return other.folder


def _continue_shorter(writer: ModelWriter) -> Path | None:
    """Restore the longest finished run that differs only in fewer steps or its model card.

    Return its folder, or None.
    """
    entry, stage, state = writer.entry, writer.stage, writer.state
    finished = [
        (meta["steps"], other.folder)
        for other in entry.cache.entries()
        if other.stage == stage.name and other.key != entry.key and (meta := other.read())
        if meta["run_key"] == stage.run_key and meta["steps"] <= stage.steps
    ]
    _, folder = max(finished, key=lambda found: found[0], default=(0, None))
    if folder is None or (checkpoint := load_checkpoint(folder, writer.context.report)) is None:
        return None
    state.restore(checkpoint)
    if state.step == stage.steps:
        return folder  # only the card is another
    state.history.append(stage.steps)
    state.revisions = []  # their shares are of the time of that run
    state.enough = False
    before = learning_rate(max(0, state.step - 1), state.step, state.model.settings)
    after = learning_rate(state.step, state.total, state.model.settings)
    writer.context.note(
        f"continuing the finished run of {count(state.step, 'step')}; its learning rate had decayed to "
        f"{before:.2g}, and now decays over {state.total} steps, from {after:.2g}"
    )
    return folder


def _copy_best(writer: ModelWriter, folder: Path) -> None:
    """Copy the best state's model from ``folder``, that of the run that is continued; if damaged, drop all scores."""
    if best_step(writer.state.scores, writer.state.model.settings.best_metric) is None:
        return
    if not _is_whole(folder / BEST_FILE):
        writer.context.note("the best state so far is damaged; only later states can become the best", "warning")
        writer.state.scores = []
        return
    with write_atomically(writer.entry.folder / BEST_FILE) as temporary:
        shutil.copyfile(folder / BEST_FILE, temporary)


def _note_other_run(writer: ModelWriter, output: Path) -> None:
    """Warn about an unfinished run for the same output, and name the parameters that prevent continuing it."""
    for _, parameters, place in _unfinished(writer):
        if place != _place(writer.entry, output):
            continue
        last = output.with_suffix(".train") / "last.safetensors"
        changed = _changed(parameters, writer.stage.description())
        remedy = " (the old command continues it)"
        if "version" in changed:
            changed, remedy = ["version of vidtrans"], ""
        if last.is_file():
            remedy = f" (--from {last} starts from its weights)"
        difference = f"an unfinished run for {output} exists, with another {', '.join(changed)}"
        writer.context.note(f"{difference}: this run starts from the beginning{remedy}", "warning")
        return


def _unfinished(writer: ModelWriter) -> Iterator[tuple[CacheEntry, Table, str]]:
    """Yield (cache entry, parameters, output path) of other, unfinished training runs."""
    for other in writer.entry.cache.entries():
        if other.stage == writer.entry.stage and other.key != writer.entry.key and other.read() is None:
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                run: dict[str, Any] = read_small_json(other.folder / DESCRIPTION)
                yield other, run["parameters"] | {"engine": dict(run["parameters"]["engine"])}, str(run["output"])


def _place(entry: CacheEntry, output: Path) -> str:
    """Return the output path relative to the cache's folder."""
    return os.path.relpath(output.absolute(), entry.cache.root.absolute().parent)


def follow_leader(setup: TrainingSetup) -> None:
    """Take the same steps as the main process of a distributed run, without writing files."""
    while (plan := setup.dist.broadcast()) == TRIAL:
        seconds_per_step(setup.make_state(Path(), 1))
    if not isinstance(plan, dict):
        return
    state = setup.make_state(Path(plan["folder"]), plan["steps"])
    if plan["continued"]:
        checkpoint = load_checkpoint(Path(plan["continued"]), ignore_event)
        assert checkpoint is not None, "the main process has just read it"
        state.restore(checkpoint)
        if state.total != plan["steps"]:  # it is a longer run that continues a finished one
            state.history.append(plan["steps"])
            state.revisions = []
    setup.dist.barrier()  # the main process may now replace that checkpoint
    TrainingLoop(state, ignore_event, setup.context.stop, dist=setup.dist, budget=plan["budget"]).train()


def _without_elastic(parameters: Table) -> str:
    """Return the digest of a run's parameters, without the numbers of threads and processes (``ELASTIC``)."""
    engine = {k: v for k, v in parameters["engine"].items() if k not in ELASTIC}
    return digest_of(parameters | {"engine": engine})


def _changed(before: Table, now: Table, above: str = "") -> list[str]:
    """Return the dotted names of the parameters that differ between two runs; ``above``: a prefix for all names."""
    names: list[str] = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            names += _changed(old, new, f"{above}{key}.")
        elif old != new:
            names.append(above + key)
    return names


def _is_whole(model: Path) -> bool:
    """Return whether a model file can be loaded."""
    try:
        load_generator(model)
    except ModelError:
        return False
    return True
