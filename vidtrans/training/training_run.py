"""One run in its cache entry: from scratch, from its checkpoint or from an earlier run, to the model and its report."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from vidtrans.core.costs import count, estimate
from vidtrans.core.errors import Interrupted, ModelError, UsageError
from vidtrans.core.events import Note, Preview, silent
from vidtrans.core.files import digest_of, read_small_json, remove, write_atomically, write_json
from vidtrans.core.settings import Table
from vidtrans.data.loading import PictureBatches
from vidtrans.inference.operator_checks import computed_in_fp32
from vidtrans.models.model_file import load_generator
from vidtrans.networks.init import inner_generator
from vidtrans.rendering.scene import plate_hint
from vidtrans.store.cache import CacheEntry
from vidtrans.store.stages import TrainStage
from vidtrans.training import health
from vidtrans.training.finish import BEST_FILE, ModelWriter
from vidtrans.training.loop import (
    POINTER,
    Diverged,
    Task,
    TimeBudget,
    TrainingLoop,
    learning_rate,
    load_checkpoint,
)
from vidtrans.training.set_up import TrainingSetup
from vidtrans.training.training_page import film_steps
from vidtrans.training.training_words import best_of, score_steps
from vidtrans.training.trials import TRIAL, seconds_per_step

FIRST_PREVIEW_S = 60.0  # Seconds of training before the first model for ``preview``; the interval doubles each time.
FEWER_PIXELS = 0.75  # Share of the largest picture below which a crop is a part of the scene.
IGNORES_COLOURS = (
    "this generator sees no colours in crops, only differences within a crop, so areas of whole frames may come out in "
    "wrong colours — use --set generator.norm=batch where the generator has it, or --set training.crop_size=none"
)
DESCRIPTION = "run.json"  # The file of a cache entry with the run's parameters.
# Parameters of the engine that may change while a run is stopped: only the sharing of batches differs.
ELASTIC = ("threads", "world_size")


class TrainingRun:
    """One run in a cache entry, with the operators ``exact`` computed in fp32.

    ``folder`` holds its previews and its report. ``preview`` is called with a model file of the current state,
    after ``FIRST_PREVIEW_S`` seconds and then at doubling intervals. ``budget``: of time, which may change the steps.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        entry: CacheEntry,
        stage: TrainStage,
        output: Path,
        folder: Path,
        exact: list[str],
        preview: Callable[[Path], None] | None = None,
        budget: TimeBudget | None = None,
    ) -> None:
        self.setup, self.entry, self.stage, self.output, self.exact = setup, entry, stage, output, exact
        self.context, self._budget = setup.context, budget
        self.state = setup.make_state(entry.folder, stage.steps)
        self.writer = ModelWriter(setup, entry, stage, self.state, folder)
        self._preview, self._preview_due, self._began = preview, FIRST_PREVIEW_S, time.monotonic()

    def train(self) -> Table:
        """Train from scratch, a checkpoint or a shorter run; write the model; return its cache entry's metadata."""
        state, monitor, setup, context = self.state, self.writer.monitor, self.setup, self.context
        continued = self._begin()
        plan = {"folder": str(self.entry.folder), "steps": state.total, "continued": str(continued or "")}
        setup.dist.broadcast(plan | {"budget": self._budget})
        setup.dist.barrier()
        if not setup.plate and (hint := plate_hint(setup.pairs, setup.dataset, setup.generator_table)):
            context.report(Note(hint, advises=True))
        if self._ignores_colours():
            context.report(Note(IGNORES_COLOURS, "warning", advises=True))
        context.note(f"watch it learn: {monitor.folder / 'preview.png'}")
        monitor.begin()
        loop = TrainingLoop(
            state,
            context.report,
            context.stop,
            lambda _: self._refresh(),
            self._milestones,
            setup.dist,
            budget=self._budget,
        )
        try:
            with computed_in_fp32(self.exact):
                loop.train()
        except Diverged:
            last_good = setup.make_state(self.entry.folder, self.stage.steps)
            if last_good.load(context.report):
                path = self.writer.save("last-good.safetensors", last_good)
                context.note(f"the last state that was finite is saved in {path}", "warning")
            monitor.draw({})
            raise
        except Interrupted:
            if state.step:
                self.writer.save("last.safetensors")
                monitor.draw({})
            raise
        return self.writer.finish(self.output)

    def _ignores_colours(self) -> bool:
        """Return whether the generator learns pairs of pictures from crops by which it cannot tell their colours."""
        loader, pairing, generator = self.state.loader, self.setup.pairing, self.state.model.networks["generator"]
        learns_pairs = pairing.has_target and pairing.pointwise and not self.setup.dataset.domains
        if not learns_pairs or not isinstance(loader, PictureBatches):
            return False
        takes_crops = math.prod(loader.crop) < FEWER_PIXELS * loader.max_pixels
        is_plain = inner_generator(generator) is generator
        return takes_crops and is_plain and health.ignores_colours(generator, pairing.in_channels)

    def restored_step(self) -> int:
        """Restore the checkpoint that this run would continue, and return its step; 0 if there is none."""
        return self.state.step if self._restore() else 0

    def deliver_as_is(self, minutes: float | None, no_steps: UsageError) -> Table:
        """Write the model of a restored run into its cache entry, and return the metadata. Raises ``no_steps``.

        The cache entry stays unfinished.
        """
        state = self.state
        if not state.step:
            raise no_steps
        self.context.note(f"the model of step {state.step:,} of {state.total:,}; without --as-is the training goes on")
        self.context.begin("finishing the model")
        with computed_in_fp32(self.exact):
            meta = self.writer.deliver(self.output)
        meta["result"] |= {"of_steps": state.total, "minutes": minutes}
        return meta

    def plan_as_is(self, no_steps: UsageError) -> Table:
        """Return the report of a dry run with ``--as-is``. Raises ``no_steps``."""
        finished = self.entry.read()
        step, total = finished["result"]["steps"] if finished else self.restored_step(), self.state.total
        if not step:
            raise no_steps
        return self.setup.summary(self.output, step) | {"of_steps": total, "dry_run": True} | estimate(0, 0)

    def _begin(self) -> Path | None:
        """Load the checkpoint to continue, and return its folder; None if the run starts from scratch."""
        # The parameters are stored so that later runs can find and continue this one.
        description = {"output": self._place(), "parameters": self.stage.description()}
        write_json(self.entry.folder / DESCRIPTION, description)
        folder = self._restore()
        if folder is None and not self.stage.fresh:
            self._note_other_run()
        return folder

    def _milestones(self, total: int) -> dict[int, list[Task]]:
        """Return the functions to call after each milestone of a run of ``total`` steps, by its step."""
        settings = self.setup.settings
        due = self.writer.monitor.milestones(total)
        for step in film_steps(total, settings.snapshots) if settings.snapshots else ():
            due.setdefault(step, []).append(self._save_snapshot)
        for step in score_steps(total, settings.val_interval) if self.writer.held_out else ():
            due.setdefault(step, []).append(self._score)
        due.setdefault(total, []).insert(0, self._begin_to_finish)
        return due

    def _begin_to_finish(self) -> None:
        self.context.begin("finishing the model")

    def _save_snapshot(self) -> None:
        self.writer.save(f"snapshots/{self.state.step:08d}.safetensors")

    def _score(self) -> None:
        self.writer.score()
        if self.state.step < self.state.total and not self.state.enough:  # otherwise the end of the run draws it
            self.context.report(Preview(self.writer.monitor.draw({})))

    def _refresh(self) -> None:
        """Update the previews; called at intervals of wall time."""
        self.context.report(Preview(self.writer.monitor.refresh()))
        if self._preview is None or self.context.stop.requested or self.state.step == self.state.total:
            return
        if time.monotonic() - self._began >= self._preview_due:
            began = time.monotonic()
            path = self.writer.save("preview.safetensors")
            try:
                self._preview(path)
            except Interrupted:  # the loop is about to stop, and saves what was learned
                return
            finally:
                remove(path)
            took = time.monotonic() - began  # that was no training
            self._began += took
            self.state.seconds -= took
            self._preview_due *= 2

    # Earlier runs that this one can continue: shorter ones, or ones with another number of processes.

    def _restore(self) -> Path | None:
        """Restore the run's own checkpoint, or that of an earlier run; return its folder, None if there is none."""
        keeps_best = self.state.model.settings.exports_best and not self.context.dry_run
        best = self.entry.folder / BEST_FILE
        if keeps_best and best.is_file() and not _is_whole(best):
            # That state could not become the model.
            self.context.note("the best state so far is damaged; training starts again", "warning")
            remove(best)
            remove(self.entry.folder / POINTER)
        if self.state.load(self.context.report):
            return self.entry.folder
        if self.stage.fresh:
            return None
        folder = self._continue_with_other_processes() or self._continue_shorter()
        if folder is not None and not self.context.dry_run:
            self._copy_best(folder)
        return folder

    def _continue_with_other_processes(self) -> Path | None:
        """Restore the furthest unfinished run that differs only in processes or threads, and return its folder."""
        wanted = _without_elastic(self.stage.description())
        found = [
            (state, other, parameters)
            for other, parameters, _ in self._unfinished()
            if _without_elastic(parameters) == wanted and (state := load_checkpoint(other.folder, self.context.report))
        ]
        if not found:
            return None
        state, other, parameters = max(found, key=lambda f: int(f[0]["step"]))
        self.state.restore(state)
        before, now = (p["engine"]["world_size"] for p in (parameters, self.stage.parameters()))
        processes = f"{before} process{'es' * (before > 1)}, now it is {now}"
        self.context.note(f"continuing a run of {processes if before != now else 'another number of threads'}")
        return other.folder

    def _continue_shorter(self) -> Path | None:
        """Restore the longest finished run that differs only in fewer steps or its model card; return its folder."""
        entry, stage, state = self.entry, self.stage, self.state
        finished = [
            (meta["steps"], other.folder)
            for other in entry.cache.entries()
            if other.stage == stage.name and other.key != entry.key and (meta := other.read())
            if meta["run_key"] == stage.run_key and meta["steps"] <= stage.steps
        ]
        _, folder = max(finished, key=lambda found: found[0], default=(0, None))
        if folder is None or (checkpoint := load_checkpoint(folder, self.context.report)) is None:
            return None
        state.restore(checkpoint)
        if state.step == stage.steps:
            return folder  # only the card is another
        state.history.append(stage.steps)
        state.revisions = []  # their shares are of the time of that run
        state.enough = False
        before = learning_rate(max(0, state.step - 1), state.step, state.model.settings)
        after = learning_rate(state.step, state.total, state.model.settings)
        self.context.note(
            f"continuing the finished run of {count(state.step, 'step')}; its learning rate had decayed to "
            f"{before:.2g}, and now decays over {state.total} steps, from {after:.2g}"
        )
        return folder

    def _copy_best(self, folder: Path) -> None:
        """Copy the best state's file of the continued run from ``folder``; if damaged, drop the scores instead."""
        if best_of(self.state.scores, self.state.model.settings.best_metric) is None:
            return
        if not _is_whole(folder / BEST_FILE):
            self.context.note("the best state so far is damaged; only later states can become the best", "warning")
            self.state.scores = []
            return
        with write_atomically(self.entry.folder / BEST_FILE) as temporary:
            shutil.copyfile(folder / BEST_FILE, temporary)

    def _note_other_run(self) -> None:
        """Warn if an unfinished run for the same output exists, and name the parameters that prevent continuing it."""
        for _, parameters, place in self._unfinished():
            if place != self._place():
                continue
            last = self.output.with_suffix(".train") / "last.safetensors"
            changed = _changed(parameters, self.stage.description())
            remedy = " (the old command continues it)"
            if "version" in changed:
                changed, remedy = ["version of vidtrans"], ""
            if last.is_file():
                remedy = f" (--from {last} starts from its weights)"
            difference = f"an unfinished run for {self.output} exists, with another {', '.join(changed)}"
            self.context.note(f"{difference}: this run starts from the beginning{remedy}", "warning")
            return

    def _unfinished(self) -> Iterator[tuple[CacheEntry, Table, str]]:
        """Yield (entry, parameters, output) of other, unfinished training runs."""
        for other in self.entry.cache.entries():
            if other.stage == self.entry.stage and other.key != self.entry.key and other.read() is None:
                with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                    run: dict[str, Any] = read_small_json(other.folder / DESCRIPTION)
                    yield other, run["parameters"] | {"engine": dict(run["parameters"]["engine"])}, str(run["output"])

    def _place(self) -> str:
        """Return the output path, relative to the folder of the cache."""
        return os.path.relpath(self.output.absolute(), self.entry.cache.root.absolute().parent)


def follow_leader(setup: TrainingSetup) -> None:
    """Take the same steps as the main process, without output, in another process of a distributed run."""
    while (plan := setup.dist.broadcast()) == TRIAL:
        seconds_per_step(setup.make_state(Path(), 1))
    if not isinstance(plan, dict):
        return
    state = setup.make_state(Path(plan["folder"]), plan["steps"])
    if plan["continued"]:
        checkpoint = load_checkpoint(Path(plan["continued"]), silent)
        assert checkpoint is not None, "the main process has just read it"
        state.restore(checkpoint)
        if state.total != plan["steps"]:  # it is a longer run that continues a finished one
            state.history.append(plan["steps"])
            state.revisions = []
    setup.dist.barrier()  # the main process may now replace that checkpoint
    TrainingLoop(state, silent, setup.context.stop, dist=setup.dist, budget=plan["budget"]).train()


def _without_elastic(parameters: Table) -> str:
    engine = {k: v for k, v in parameters["engine"].items() if k not in ELASTIC}
    return digest_of(parameters | {"engine": engine})


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


def _is_whole(model: Path) -> bool:
    try:
        load_generator(model)
    except ModelError:
        return False
    return True
