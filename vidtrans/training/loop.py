"""The training loop: a run's state, its steps, checkpoints and previews at intervals of wall time, and a time budget.

With a budget, the number of steps is calculated from the rate (steps per second) of a short trial, and again at
``REVISED_AT`` of the time from the rate since the last calculation, because the machine's load changes. Each revision
is in a checkpoint before it takes effect, so a killed run continues with the same steps. The rate excludes previews and
checkpoints, because most are made early and the first steps would seem too slow. The remaining time for them is
forecast from their number and their durations so far.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import pickle
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from vidtrans.core.costs import count
from vidtrans.core.errors import Interrupted, VidtransError
from vidtrans.core.events import Note, Progress, Report, Stop
from vidtrans.core.files import convert_disk_errors, digest_file, read_small_json, remove, write_atomically, write_json
from vidtrans.core.settings import Table
from vidtrans.data.loading import Batches, TrainingBatch
from vidtrans.inference.device import CPU, Device
from vidtrans.pairing.next_frame import noise_plane
from vidtrans.training import LOSSES, health
from vidtrans.training.batch_upload import DeviceBatch, upload, uploads
from vidtrans.training.distributed import SINGLE_PROCESS, DistContext
from vidtrans.training.feedback import RolloutPool
from vidtrans.training.methods.base import TrainingMethod, TrainingStep
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.training_words import describe_score

POINTER = "checkpoint.json"  # Name of the file that names a folder's complete checkpoint.
COSINE_FLOOR = 0.02  # Share of the learning rate that is left at the end of a cosine schedule.
REVISED_AT = (0.05, 0.25, 0.6, 0.85)  # Shares of the time budget after which the number of steps is calculated again.
LEAST_STEPS = 8  # Minimum number of steps over which the rate is measured before the number of steps is changed.
LEAST_SECONDS = 1e-6  # Minimum duration of a step in seconds, which keeps rates finite.

Task = Callable[[], object]  # A function that is called after a step, such as a preview or a checkpoint.
# Function of a run's number of steps; it returns the tasks to call, by the step after which they are called.
Milestones = Callable[[int], Mapping[int, Sequence[Task]]]


class Diverged(VidtransError):
    """Error: a loss or a weight became infinite or NaN at step ``at``.

    ``step``: the last step whose state is saved, or 0.
    """

    def __init__(self, step: int, at: int) -> None:
        super().__init__(
            "training",
            f"a loss or a weight became infinite or NaN at step {at}; "
            + (f"the state of step {step} is kept" if step else "no earlier state was saved"),
            "lower training.lr with --set, or use --set training.precision=fp32",
        )


class Revision(NamedTuple):
    """A change of a run's number of steps to ``total``, so that the run takes as long as its time budget allows.

    ``step``: the step at which it was calculated. ``share``: the used share of the time budget at this step.

    ``progress``: the share of the run's schedules that is completed at ``step``; the remaining steps complete them.
    """

    step: int
    total: int
    share: float
    progress: float


@dataclass
class TrainingState:
    """The state of a training run whose checkpoints are in ``folder``.

    ``history``: the requested step counts so far; raising ``--steps`` later adds one. ``rows``: the losses of
    every step; ``scores``: (step, held-out scores); ``warnings``: (step, text). ``enough``: whether to stop early.
    ``seconds``: the training time, summed over interruptions of the run; ``revisions``: see ``TimeBudget``.
    ``picture_channels``: the number of leading input channels that take noise. ``has_noise_level``: whether the last
    channel is the noise's level. ``device``: the device of batches.
    """

    folder: Path
    model: TrainingMethod
    loader: Batches
    seed: int
    history: list[int]
    step: int = 0
    rows: list[list[float]] = field(default_factory=list)
    scores: list[tuple[int, Table]] = field(default_factory=list)
    warnings: list[tuple[int, str]] = field(default_factory=list)
    enough: bool = False
    seconds: float = 0.0
    revisions: list[Revision] = field(default_factory=list)
    rollouts: RolloutPool | None = None
    picture_channels: int = 0
    has_noise_level: bool = False
    device: Device = CPU

    @property
    def total(self) -> int:
        """Return the run's number of steps."""
        return self.history[-1]

    @property
    def progress(self) -> float:
        """Return the completed share of the run, 0 to 1, for schedules; a change of the steps never moves it back."""
        step, done = (self.revisions[-1].step, self.revisions[-1].progress) if self.revisions else (0, 0.0)
        return done + (1 - done) * (self.step - step) / (self.total - step)

    def save(self) -> bool:
        """Write a checkpoint and return True; if a weight is not finite, keep the last checkpoint and return False."""
        if not self.model.is_finite():
            return False
        state = {name: getattr(self, name) for name in ("step", "history", "scores", "warnings", "enough", "seconds")}
        state["revisions"] = [tuple(revision) for revision in self.revisions]
        state["rows"] = torch.tensor(self.rows, dtype=torch.float32).reshape(-1, len(self.model.columns))
        state["method"] = self.model.state()
        if self.rollouts:
            state["rollouts"] = self.rollouts.state()
        save_checkpoint(self.folder, self.step, state)
        return True

    def load(self, report: Report) -> bool:
        """Restore the state from the folder's checkpoint; return whether the folder has a complete checkpoint."""
        state = load_checkpoint(self.folder, report)
        if state is not None:
            self.restore(state)
        return state is not None

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the state from a checkpoint's content."""
        self.model.restore(state["method"])
        if self.rollouts:
            self.rollouts.restore(state["rollouts"])
        self.step, self.rows, self.history = int(state["step"]), state["rows"].tolist(), list(state["history"])
        self.scores, self.warnings, self.enough = state["scores"], state["warnings"], state["enough"]
        self.seconds, self.revisions = state["seconds"], [Revision(*values) for values in state["revisions"]]
        self._plan_growth()

    def revise(self, revision: Revision) -> None:
        """Change the number of steps as ``revision`` says, and with it the pace of the schedules from now on."""
        self.history[-1] = revision.total
        self.revisions.append(revision)
        self._plan_growth()

    def _plan_growth(self) -> None:
        """Plan at which steps progressive resizing enlarges pictures; steps added to a finished run have full size."""
        growth, revisions = self.loader.growth, self.revisions if len(self.history) == 1 else []
        since = (revisions[-1].step, revisions[-1].progress) if revisions else (0, 0.0)
        self.loader.growth = growth.of_run(self.history[0], since)

    def batches(self, first: int, stop: int) -> Iterator[TrainingBatch | DeviceBatch]:
        """Yield the batches of the steps [first, stop): on the device, but in host memory if the run has rollouts."""
        batches = self.loader.stream(first, stop)
        return batches if self.rollouts else uploads(batches, self.device)

    def losses_csv(self) -> bytes:
        """Return the losses of every step as CSV."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = self.model.columns
        writer.writerow(["step", *(f"generator_{c}" if c in LOSSES else c for c in columns)])
        writer.writerows([i, *(f"{v:.6g}" for v in row)] for i, row in enumerate(self.rows, start=1))
        return text.getvalue().encode()


class Trial(NamedTuple):
    """The conditions of a step that is only timed: seed of random numbers, and completed share of the run, 0 to 1."""

    seed: int
    progress: float


def take_step(state: TrainingState, batch: TrainingBatch | DeviceBatch, trial: Trial | None = None) -> dict[str, float]:
    """Take training step ``state.step`` with a batch, and return its losses by name.

    ``trial``: if given, the step is only timed, and these values replace those of the run.
    """
    model, rollouts = state.model, state.rollouts
    if trial:
        lr, seed, progress = model.settings.lr, trial.seed, trial.progress
    else:
        lr = learning_rate(state.step, state.total, model.settings, state.progress if state.revisions else None)
        seed, progress = step_seed(state.seed, state.step), state.progress
    mixed, earlier = None, None
    if isinstance(batch, TrainingBatch):
        if rollouts:
            batch = mixed = rollouts.mix(batch, seed, progress)
            earlier = rollouts.preceding()
        batch = upload(batch, state.device)
    inputs = batch.inputs
    if sigma := model.settings.input_noise:
        own_seed = seed + model.dist.rank
        inputs = _noisy(inputs, sigma, state.picture_channels, own_seed, with_level=state.has_noise_level)
    losses = model.optimize(
        TrainingStep(inputs, batch.targets, lr=lr, seed=seed, progress=progress, weights=batch.weights, earlier=earlier)
    )
    if rollouts and mixed:
        rollouts.update(mixed, model.last_outputs)
    return losses


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write ``step-N.pt``, name it in ``checkpoint.json``, and delete older files.

    A kill leaves a complete checkpoint.
    """
    name = f"step-{step:08d}.pt"
    with write_atomically(folder / name) as temporary, convert_disk_errors(temporary):
        torch.save(state, temporary)
    write_json(folder / POINTER, {"file": name, "step": step, "sha256": digest_file(folder / name)})
    for other in folder.glob("step-*.pt"):
        if other.name != name:
            remove(other)


def load_checkpoint(folder: Path, report: Report) -> dict[str, Any] | None:
    """Return the latest checkpoint's state, on the CPU; None without one, or (with a warning) if it is damaged."""
    pointer = folder / POINTER
    if not pointer.exists():
        return None
    try:
        value = read_small_json(pointer)
        file = folder / str(value["file"])
        if digest_file(file) != value["sha256"]:
            raise ValueError("its content changed")
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        return state
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
        report(Note(f"the training checkpoint is damaged ({error}); training starts again", "warning"))
        return None


def learning_rate(step: int, total: int, settings: TrainingSettings, progress: float | None = None) -> float:
    """Return the learning rate at ``step`` (from 0) of ``total``, by the settings' warm-up and schedule.

    ``progress``: the completed share of the schedule, 0 to 1, of a run whose number of steps was changed; else None.
    """
    rate = settings.lr
    if step < settings.lr_warmup_steps:
        rate *= (step + 1) / settings.lr_warmup_steps
    at = step if progress is None else progress * total
    if settings.lr_schedule == "cosine":
        return rate * (COSINE_FLOOR + (1 - COSINE_FLOOR) * 0.5 * (1 + math.cos(math.pi * at / total)))
    half = total // 2
    return rate if at < half else rate * (total - at) / max(1, total - half)


def step_seed(seed: int, step: int) -> int:
    """Return the seed of all random numbers of a step (such as dropout), the same in a resumed run."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{step}".encode()).digest()[:8], "little") >> 1


def _noisy(inputs: torch.Tensor, max_sigma: float, channels: int, seed: int, *, with_level: bool) -> torch.Tensor:
    """Add normal noise to the first ``channels`` channels of inputs, (N, C, H, W); return a copy.

    If ``with_level``, the last channel becomes the noise's level. Each example has its own standard deviation, from 0
    to ``max_sigma``: outputs are cleaner than noisy inputs, and a network trained only on noisy inputs would also
    smooth clean ones.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((len(inputs), channels, *inputs.shape[2:]), generator=generator)
    sigmas = max_sigma * torch.rand((len(inputs), 1, 1, 1), generator=generator)
    noise *= sigmas
    parts = [inputs[:, :channels] + noise.to(inputs.device), inputs[:, channels:]]
    if with_level:
        levels = torch.tensor([noise_plane(float(sigma)) for sigma in sigmas.flatten()])
        plane = levels.to(inputs)[:, None, None, None].expand_as(inputs[:, :1])
        parts = [parts[0], parts[1][:, :-1], plane]
    return torch.cat(parts, dim=1)


class TrainingLoop:
    """The loop that trains a run to its last step or to early stopping, and at intervals saves and shows its state.

    ``refresh``: updates the previews of a run. ``milestones``: returns the functions to call, by step; called again
    when a time ``budget`` changes the number of steps. ``dist``: of several processes, only the first saves, refreshes
    and resolves the steps again. ``costs``: the durations in seconds, by function, of this process's calls outside the
    steps: checkpoints, previews and tasks of milestones.
    """

    def __init__(
        self,
        state: TrainingState,
        report: Report,
        stop: Stop,
        refresh: Callable[[], None] | None = None,
        milestones: Milestones = lambda _: {},
        dist: DistContext = SINGLE_PROCESS,
        clock: Callable[[], float] = time.monotonic,
        budget: TimeBudget | None = None,
    ) -> None:
        self.state, self.report, self.stop, self.milestones = state, report, stop, milestones
        self.refresh = refresh if refresh and dist.is_main else lambda: None
        self.dist, self.clock, self.budget = dist, clock, budget
        self.costs: dict[Task, list[float]] = {}
        self.now = self._saved_at = clock()
        self._shown_at = -math.inf  # the first preview comes with the first step
        self.saved_step = state.step

    def train(self) -> None:
        """Take all steps. Raises Interrupted (after saving), and Diverged on a loss or weight that is not finite."""
        state = self.state
        if state.step:
            self.report(Note(f"continuing from step {state.step} of {state.total}"))
        if self.budget:
            self.budget.begin(self)
        while self._steps_are_revised():
            pass
        if self.dist.is_main:
            self.save()
        self.refresh()

    def _steps_are_revised(self) -> bool:
        """Train to the end and return False, or return True as soon as the time budget recalculated the steps."""
        state, dist, budget = self.state, self.dist, self.budget
        due = self.milestones(state.total)
        for batch in state.batches(state.step, state.step if state.enough else state.total):
            self._stop_if_asked()
            losses = take_step(state, batch)
            row = dist.mean(list(losses.values()))
            if not math.isfinite(sum(row)):
                raise Diverged(self.saved_step, state.step + 1)
            state.rows.append(row)
            state.step += 1
            self._report_progress()
            if state.step % health.CHECK_INTERVAL == 0:
                self._check_health()
            for task in due.get(state.step, ()):
                self.do(task)
            if dist.any(state.enough):
                break
            self.count_time()
            if budget is not None and dist.any(dist.is_main and budget.is_due(self)):
                self._revise(budget)
                if dist.is_main:
                    self.do(self.save)
                return True
            self._save_and_show_if_due()
        return False

    def _stop_if_asked(self) -> None:
        """Save a checkpoint and raise Interrupted if any process received a stop request."""
        if self.dist.any(self.stop.requested):
            if self.dist.is_main:
                self.state.save()
            self.refresh()
            raise Interrupted(self.stop.exit_status or Interrupted().exit_status)

    def _report_progress(self) -> None:
        """Report the step, the newest score and losses, and the time left to the progress callback."""
        state, model = self.state, self.state.model
        at_most_s = max(0.0, self.budget.seconds - state.seconds) if self.budget else None
        detail = describe_score(state.scores)
        figures = model.describe(dict(zip(model.columns, state.rows[-1], strict=True)))
        self.report(
            Progress("training", state.step, state.total, "steps", detail, figures, counted=True, at_most_s=at_most_s)
        )

    def _check_health(self) -> None:
        """Report each problem of the networks once, and record the ages of rollouts."""
        state = self.state
        if state.rollouts:
            state.rollouts.log(state.step)
        known = {text.partition(":")[0] for _, text in state.warnings}
        for concern in state.model.find_problems(state.rows, state.total):
            if concern.partition(":")[0] not in known:
                state.warnings.append((state.step, concern))
                self.report(Note(f"step {state.step}: {concern}", "warning", advises=True))

    def _revise(self, budget: TimeBudget) -> None:
        """Calculate the number of steps again, equally in all processes; report a change by more than a tenth."""
        state, dist = self.state, self.dist
        sent = dist.broadcast({"revision": budget.resolve(self, self.milestones)} if dist.is_main else None)
        assert isinstance(sent, dict), "the main process has just sent it"
        before, total = state.total, sent["revision"].total
        state.revise(sent["revision"])
        budget.begin(self)
        if not 0.9 <= total / before <= 1.1:
            in_time = f"in {count(budget.seconds / 60, 'minute')}"
            self.report(Note(f"at the rate so far {count(total, 'step')} fit {in_time}, not {before:,}"))

    @property
    def step_seconds(self) -> float:
        """Return a clock in seconds that runs only during steps, not during checkpoints, previews and other tasks.

        Only differences between its values have a meaning.
        """
        return self.state.seconds - sum(map(sum, self.costs.values()))

    def do(self, task: Task) -> None:
        """Call ``task``, and record the call's duration."""
        self.count_time()
        began = self.state.seconds
        task()
        self.count_time()
        self.costs.setdefault(task, []).append(self.state.seconds - began)

    def cost(self, task: Task) -> float:
        """Return the usual duration of ``task`` in seconds; 0 if it was not called yet."""
        known = self.costs.get(task, [0.0])
        return statistics.median(known[1:] or known)  # the first call also imports and warms up

    def share_by_the_clock(self, seconds_per_step: float) -> float:
        """Return the share of a run's time, 0 to 1, that checkpoints and previews take.

        They come at intervals of wall time, at most one of each after a step. ``seconds_per_step``: duration of a step.
        """
        settings = self.state.model.settings
        pauses = {self.save: settings.checkpoint_seconds, self._show: settings.preview_seconds}
        beside = sum(self.cost(task) / max(pause, seconds_per_step) for task, pause in pauses.items())
        return beside / (1 + beside)

    def count_time(self) -> None:
        """Add the time since the last call to the run's training time."""
        before, self.now = self.now, self.clock()
        self.state.seconds += self.now - before

    def save(self) -> None:
        """Save a checkpoint. Raises Diverged if the state is not finite; the last checkpoint then remains."""
        if not self.state.save():
            raise Diverged(self.saved_step, self.state.step)
        self._saved_at, self.saved_step = self.clock(), self.state.step

    def _save_and_show_if_due(self) -> None:
        """Save a checkpoint and update the previews if their intervals have passed."""
        state, settings = self.state, self.state.model.settings
        if self.dist.is_main and self.now - self._saved_at >= settings.checkpoint_seconds and state.step < state.total:
            self.do(self.save)
        if self.clock() - self._shown_at >= settings.preview_seconds:
            self.do(self._show)

    def _show(self) -> None:
        """Update the previews, and note the time for the next update."""
        self.refresh()
        self._shown_at = self.clock()


@dataclass(frozen=True)
class StepCost:
    """The duration of a step in ``seconds`` between two shares, ``start`` and ``end``, of a run's steps."""

    start: float
    end: float
    seconds: float


def mean_cost(costs: Sequence[StepCost], start: float = 0.0, end: float = 1.0) -> float:
    """Return the mean duration of a step in seconds between two shares, ``start`` and ``end``, of a run."""
    parts = [(max(0.0, min(end, cost.end) - max(start, cost.start)), cost.seconds) for cost in costs]
    return sum(share * seconds for share, seconds in parts) / (end - start)


class Mark(NamedTuple):
    """The point of a run from which its rate of steps is measured.

    ``progress``: the completed share of the run, 0 to 1. ``seconds``: the value of ``TrainingLoop.step_seconds``.
    """

    step: int = 0
    progress: float = 0.0
    seconds: float = 0.0


@dataclass
class TimeBudget:
    """A time budget of a run, in ``seconds``, from which the number of steps is calculated, several times in the run.

    ``costs``: durations of steps, measured by a trial before the run. ``at_most``: maximum number of steps. ``began``:
    the point of the last revision, or of the start of the process.
    """

    seconds: float
    costs: Sequence[StepCost]
    at_most: int | None = None
    began: Mark = field(default_factory=Mark)

    @property
    def steps(self) -> int:
        """Return the number of steps that fit into the budget, estimated before the run from the trial's ``costs``."""
        return self._limited(self.seconds / mean_cost(self.costs))

    def begin(self, loop: TrainingLoop) -> None:
        """Measure the rate of steps from the current step of ``loop`` on."""
        self.began = Mark(loop.state.step, loop.state.progress, loop.step_seconds)

    def is_due(self, loop: TrainingLoop) -> bool:
        """Return whether the number of steps must be calculated again now.

        If few steps are planned, the calculation is repeated after half of them: the machine may have been busy in the
        trial, and the run would end before its time.
        """
        run, began = loop.state, self.began.step
        planned = run.total - began
        if run.step == run.total or run.step - began < min(LEAST_STEPS, max(1, planned // 2)):
            return False
        if planned < 2 * LEAST_STEPS and not run.revisions:
            return True
        last = run.revisions[-1].share if run.revisions else 0.0
        return any(share > last and run.seconds >= share * self.seconds for share in REVISED_AT)

    def resolve(self, loop: TrainingLoop, milestones: Milestones) -> Revision:
        """Return the new number of steps: as many as fit into the time left, at the rate of steps since ``began``.

        It is at least one more than the steps taken. ``milestones``: the tasks that also need time.
        """
        run, began = loop.state, self.began
        tried = (run.step - began.step) * mean_cost(self.costs, began.progress, run.progress)
        slower = (loop.step_seconds - began.seconds) / tried
        each = max(LEAST_SECONDS, slower * mean_cost(self.costs, run.progress))
        left = (self.seconds - run.seconds) * (1 - loop.share_by_the_clock(each))

        def fits(total: int) -> bool:
            """Return whether the steps up to ``total`` and the milestones' tasks before it fit into the time left."""
            between = [tasks for step, tasks in milestones(total).items() if run.step < step < total]
            beside = sum(loop.cost(task) for tasks in between for task in tasks)
            return (total - run.step) * each + beside <= left

        fewest, more = run.step + 1, 1 + round(max(0.0, left) / each)
        while more > 1:  # Bisection for the maximum number of steps, because more steps have more milestones.
            more = (more + 1) // 2
            if fits(fewest + more):
                fewest += more
        total = max(run.step + 1, self._limited(fewest))
        share = max(run.seconds / self.seconds, REVISED_AT[0])
        return Revision(run.step, total, share, run.progress)

    def _limited(self, steps: float) -> int:
        """Return ``steps`` rounded to 1 or more, and to at most ``at_most``."""
        return max(1, min(round(steps), self.at_most or round(steps)))
