"""The training loop, from the first step (or a checkpoint) to the last."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch

from vidtrans.core.costs import count
from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Note, Preview, Progress, Report, Stop, silent
from vidtrans.core.files import remove
from vidtrans.core.settings import Table
from vidtrans.data.loading import PictureBatches
from vidtrans.inference.operator_checks import computed_in_fp32
from vidtrans.networks.init import inner_generator
from vidtrans.rendering.scene import plate_hint
from vidtrans.store.cache import CacheEntry
from vidtrans.store.stages import TrainStage
from vidtrans.training import earlier_runs, health
from vidtrans.training.checkpoint import load_checkpoint
from vidtrans.training.distributed import SINGLE_PROCESS, DistContext
from vidtrans.training.finish import ModelWriter
from vidtrans.training.monitor import TrainingMonitor
from vidtrans.training.report.training_page import film_steps
from vidtrans.training.set_up import TrainingSetup
from vidtrans.training.stopping import describe_score, score_steps
from vidtrans.training.time_budget import Milestones, TimeBudget
from vidtrans.training.training_state import Diverged, RunKeeper, Task, TrainingState, batches_of, one_step
from vidtrans.training.trials import TRIAL, seconds_per_step

FIRST_PREVIEW_S = 60.0
FEWER_PIXELS = 0.75  # of the largest picture: below it, a crop is a part of the scene
IGNORES_COLOURS = (
    "this generator sees no colours in crops, only differences within a crop, so areas of whole frames may come out in "
    "wrong colours — use --set generator.norm=batch where the generator has it, or --set training.crop_size=none"
)


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
        self.run = setup.make_run(entry.folder, stage.steps)
        self.writer = ModelWriter(setup, entry, stage, self.run, folder)
        self._preview, self._preview_due, self._began = preview, FIRST_PREVIEW_S, time.monotonic()
        self.monitor = TrainingMonitor(
            folder,
            setup.pairing,
            setup.dataset.inputs("val") or setup.pairs,
            self.run,
            lambda: self.writer.engine(self.run.model.learned),
            self._facts(),
            self.context.note,
            has_held_out=bool(self.writer.held_out),
        )

    def __call__(self) -> Table:
        """Train from scratch, a checkpoint or a shorter run; write the model; return its cache entry's metadata."""
        run, monitor, setup, context = self.run, self.monitor, self.setup, self.context
        continued = self._begin()
        plan = {"folder": str(self.entry.folder), "steps": self.run.total, "continued": str(continued or "")}
        setup.dist.broadcast(plan | {"budget": self._budget})
        setup.dist.barrier()
        if not setup.plate and (hint := plate_hint(setup.pairs, setup.dataset, setup.generator_table)):
            context.report(Note(hint, advises=True))
        if self._ignores_colours():
            context.report(Note(IGNORES_COLOURS, "warning", advises=True))
        context.note(f"watch it learn: {monitor.folder / 'preview.png'}")
        monitor.begin()
        try:
            with computed_in_fp32(self.exact):
                train(
                    run,
                    context.report,
                    context.stop,
                    lambda _: self._refresh(),
                    self._milestones,
                    setup.dist,
                    budget=self._budget,
                )
        except Diverged:
            last_good = setup.make_run(self.entry.folder, self.stage.steps)
            if last_good.load(context.report):
                path = self.writer.save("last-good.safetensors", last_good)
                context.note(f"the last state that was finite is saved in {path}", "warning")
            monitor.draw({})
            raise
        except Interrupted:
            if run.step:
                self.writer.save("last.safetensors")
                monitor.draw({})
            raise
        return self.writer.finish(self.output, monitor)

    def _ignores_colours(self) -> bool:
        """Return whether the generator learns pairs of pictures from crops by which it cannot tell their colours."""
        loader, pairing, generator = self.run.loader, self.setup.pairing, self.run.model.networks["generator"]
        learns_pairs = pairing.has_target and pairing.pointwise and not self.setup.dataset.domains
        if not learns_pairs or not isinstance(loader, PictureBatches):
            return False
        takes_crops = math.prod(loader.crop) < FEWER_PIXELS * loader.max_pixels
        is_plain = inner_generator(generator) is generator
        return takes_crops and is_plain and health.ignores_colours(generator, pairing.in_channels)

    def taken(self) -> int:
        """Restore the checkpoint that this run would continue, and return its step; 0 if there is none."""
        return self.run.step if earlier_runs.restore(self.run, self.entry, self.stage, self.context) else 0

    def deliver(self) -> Table:
        """Write the model of the steps ``taken``, and return its metadata. The cache entry stays unfinished."""
        self.context.begin("finishing the model")
        with computed_in_fp32(self.exact):
            return self.writer.deliver(self.output, self.monitor)

    def _facts(self) -> Table:
        """Return the report's table of facts: dataset, networks, device, seed and settings."""
        setup, networks = self.setup, self.run.model.networks
        names = {"generator": setup.generator_name, "discriminator": setup.discriminator_name}
        return {
            "dataset": setup.dataset.folder.name,
            "pairs": f"{len(setup.pairs):,}, and {len(self.writer.held_out):,} held out",
            "preset": setup.recipe.preset or None,
            "pairing": setup.pairing.name,
            **{kind: f"{n}, {_millions(networks[kind])}" if kind in networks else None for kind, n in names.items()},
            "device": f"{setup.device.kind} {setup.precision}" + (f" × {setup.dist.size}" * (setup.dist.size > 1)),
            "seed": self.stage.seed,
            **self.stage.settings,
        }

    def _begin(self) -> Path | None:
        """Load the checkpoint to continue, and return its folder; None if the run starts from scratch."""
        earlier_runs.describe(self.entry, self.stage, self.output)
        folder = earlier_runs.restore(self.run, self.entry, self.stage, self.context)
        if folder is None and not self.stage.fresh:
            earlier_runs.note_other_run(self.entry, self.stage, self.output, self.context)
        return folder

    def _milestones(self, total: int) -> dict[int, list[Task]]:
        """Return the functions to call after each milestone of a run of ``total`` steps, by its step."""
        settings = self.setup.settings
        due = self.monitor.milestones(total)
        for step in film_steps(total, settings.snapshots) if settings.snapshots else ():
            due.setdefault(step, []).append(self._save_snapshot)
        for step in score_steps(total, settings.val_interval) if self.writer.held_out else ():
            due.setdefault(step, []).append(self._score)
        due.setdefault(total, []).insert(0, self._begin_to_finish)
        return due

    def _begin_to_finish(self) -> None:
        self.context.begin("finishing the model")

    def _save_snapshot(self) -> None:
        self.writer.save(f"snapshots/{self.run.step:08d}.safetensors")

    def _score(self) -> None:
        self.writer.score()
        if self.run.step < self.run.total and not self.run.enough:  # otherwise the end of the run draws it
            self.context.report(Preview(self.monitor.draw({})))

    def _refresh(self) -> None:
        """Update the previews; called at intervals of wall time."""
        self.context.report(Preview(self.monitor.refresh()))
        if self._preview is None or self.context.stop.requested or self.run.step == self.run.total:
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
            self.run.seconds -= took
            self._preview_due *= 2


def follow_leader(setup: TrainingSetup) -> None:
    """Take the same steps as the main process, without output, in another process of a distributed run."""
    while (plan := setup.dist.broadcast()) == TRIAL:
        seconds_per_step(setup.make_run(Path(), 1))
    if not isinstance(plan, dict):
        return
    run = setup.make_run(Path(plan["folder"]), plan["steps"])
    if plan["continued"]:
        state = load_checkpoint(Path(plan["continued"]), silent)
        assert state is not None, "the main process has just read it"
        run.restore(state)
        if run.total != plan["steps"]:  # it is a longer run that continues a finished one
            run.history.append(plan["steps"])
            run.revisions = []
    setup.dist.barrier()  # the main process may now replace that checkpoint
    train(run, silent, setup.context.stop, dist=setup.dist, budget=plan["budget"])


def train(
    run: TrainingState,
    report: Report,
    stop: Stop,
    refresh: Callable[[TrainingState], None] | None = None,
    milestones: Milestones = lambda _: {},
    dist: DistContext = SINGLE_PROCESS,
    clock: Callable[[], float] = time.monotonic,
    budget: TimeBudget | None = None,
) -> None:
    """Train ``run`` to its last step, or until early stopping. Checkpoints and ``refresh`` follow the clock.

    ``milestones``: returns the functions to call, by step; called again when a ``budget`` of time changes the steps.
    ``dist``: of several processes, only the first saves, refreshes and resolves the steps again. Raises Interrupted
    (after saving) on a stop request, and Diverged on a loss or weight that is not finite.
    """
    if run.step:
        report(Note(f"continuing from step {run.step} of {run.total}"))
    keeper = RunKeeper(run, refresh if refresh and dist.is_main else lambda _: None, dist, clock)
    if budget:
        budget.begin(keeper)
    while _steps_are_revised(keeper, report, stop, milestones, budget):
        pass
    keeper.end()


def _steps_are_revised(
    keeper: RunKeeper,
    report: Report,
    stop: Stop,
    milestones: Milestones,
    budget: TimeBudget | None,
) -> bool:
    """Train to the last step, or until early stopping; return True, early, after the ``budget`` changed the steps."""
    run, dist = keeper.run, keeper.dist
    due = milestones(run.total)
    for batch in batches_of(run, run.step, run.step if run.enough else run.total):
        _stop_if_asked(run, stop, dist, keeper.refresh)
        losses = one_step(run, batch)
        row = dist.mean(list(losses.values()))
        if not math.isfinite(sum(row)):
            raise Diverged(keeper.saved_step, run.step + 1)
        run.rows.append(row)
        run.step += 1
        at_most_s = max(0.0, budget.seconds - run.seconds) if budget else None
        detail, figures = describe_score(run.scores), _losses(run)
        report(Progress("training", run.step, run.total, "steps", detail, figures, counted=True, at_most_s=at_most_s))
        if run.step % health.EVERY == 0:
            _check_health(run, report)
        for task in due.get(run.step, ()):
            keeper.do(task)
        if dist.any(run.enough):
            break
        keeper.count_time()
        if budget is not None and dist.any(dist.is_main and budget.is_due(keeper)):
            _revise(keeper, budget, milestones, report)
            if dist.is_main:
                keeper.do(keeper.save)
            return True
        keeper.save_and_show_if_due()
    return False


def _stop_if_asked(run: TrainingState, stop: Stop, dist: DistContext, refresh: Callable[[TrainingState], None]) -> None:
    """Save and raise Interrupted if any process received a stop request."""
    if dist.any(stop.requested):
        if dist.is_main:
            run.save()
        refresh(run)
        raise Interrupted(stop.exit_status or Interrupted().exit_status)


def _revise(keeper: RunKeeper, budget: TimeBudget, milestones: Milestones, report: Report) -> None:
    """Resolve the steps again, in all processes alike, and say so if they differ by more than a tenth."""
    run, dist = keeper.run, keeper.dist
    sent = dist.broadcast({"revision": budget.resolve(keeper, milestones)} if dist.is_main else None)
    assert isinstance(sent, dict), "the main process has just sent it"
    before, total = run.total, sent["revision"].total
    run.revise(sent["revision"])
    budget.begin(keeper)
    if not 0.9 <= total / before <= 1.1:
        in_time = f"in {count(budget.seconds / 60, 'minute')}"
        report(Note(f"at the rate so far {count(total, 'step')} fit {in_time}, not {before:,}"))


def _losses(run: TrainingState) -> str:
    return run.model.describe(dict(zip(run.model.columns, run.rows[-1], strict=True)))


def _check_health(run: TrainingState, report: Report) -> None:
    """Report each problem of the networks once, and record the ages of rollouts."""
    if run.rollouts:
        run.rollouts.log(run.step)
    known = {text.partition(":")[0] for _, text in run.warnings}
    for concern in run.model.concerns(run.rows, run.total):
        if concern.partition(":")[0] not in known:
            run.warnings.append((run.step, concern))
            report(Note(f"step {run.step}: {concern}", "warning", advises=True))


def _millions(network: torch.nn.Module) -> str:
    return f"{sum(p.numel() for p in network.parameters()) / 1e6:.3g} M parameters"
