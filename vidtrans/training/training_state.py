"""The state of a training run (networks, losses, scores, seed), its single steps, and when it is saved and shown."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from vidtrans.core.errors import VidtransError
from vidtrans.core.events import Report
from vidtrans.core.settings import Table
from vidtrans.data.loading import Batches, TrainingBatch
from vidtrans.inference.device import CPU, Device
from vidtrans.pairing.next_frame import noise_plane
from vidtrans.training import LOSSES
from vidtrans.training.batch_upload import DeviceBatch, upload, uploads
from vidtrans.training.checkpoint import load_checkpoint, save_checkpoint
from vidtrans.training.distributed import DistContext
from vidtrans.training.feedback import RolloutPool
from vidtrans.training.methods.base import TrainingMethod
from vidtrans.training.settings import TrainingSettings

Task = Callable[[], object]

COSINE_FLOOR = 0.02  # of the learning rate, at the end of a cosine schedule


class Revision(NamedTuple):
    """The number of steps of a run with a budget of time, resolved again at a ``step``, after a ``share`` of it.

    ``progress``: the share of the run's schedules that is done then; the remaining steps take the rest.
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
    ``seconds``: how long it has trained, in all processes one after the other; ``revisions``: see ``time_budget``.
    ``picture_channels``: the number of leading input channels that take noise. ``tells_noise``: the last channel tells
    its level. ``device``: the device of batches.
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
    tells_noise: bool = False
    device: Device = CPU

    @property
    def total(self) -> int:
        """Return the number of steps."""
        return self.history[-1]

    @property
    def progress(self) -> float:
        """Return the share of the schedules that is done, 0 to 1; a revision changes their pace, never their value."""
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
        """Restore the folder's checkpoint; return whether it has a complete one."""
        state = load_checkpoint(self.folder, report)
        if state is not None:
            self.restore(state)
        return state is not None

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a checkpoint's state."""
        self.model.restore(state["method"])
        if self.rollouts:
            self.rollouts.restore(state["rollouts"])
        self.step, self.rows, self.history = int(state["step"]), state["rows"].tolist(), list(state["history"])
        self.scores, self.warnings, self.enough = state["scores"], state["warnings"], state["enough"]
        self.seconds, self.revisions = state["seconds"], [Revision(*values) for values in state["revisions"]]
        self._plan_growth()

    def revise(self, revision: Revision) -> None:
        """Change the number of steps, and with it the pace of the schedules that depend on it."""
        self.history[-1] = revision.total
        self.revisions.append(revision)
        self._plan_growth()

    def _plan_growth(self) -> None:
        """Plan the sizes of the pictures; a run that is asked for more steps goes on at full size."""
        growth, revisions = self.loader.growth, self.revisions if len(self.history) == 1 else []
        since = (revisions[-1].step, revisions[-1].progress) if revisions else (0, 0.0)
        self.loader.growth = growth.of_run(self.history[0], since)

    def losses_csv(self) -> bytes:
        """Return the losses as CSV."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = self.model.columns
        writer.writerow(["step", *(f"generator_{c}" if c in LOSSES else c for c in columns)])
        writer.writerows([i, *(f"{v:.6g}" for v in row)] for i, row in enumerate(self.rows, start=1))
        return text.getvalue().encode()


def learning_rate(step: int, total: int, settings: TrainingSettings, progress: float | None = None) -> float:
    """Return the learning rate at ``step`` (from 0) of ``total``; ``progress``: of a run whose steps were revised."""
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


def batches_of(run: TrainingState, first: int, stop: int) -> Iterator[TrainingBatch | DeviceBatch]:
    """Yield the batches of the steps [first, stop); on the device, unless rollouts are mixed in later."""
    batches = run.loader.stream(first, stop)
    return batches if run.rollouts else uploads(batches, run.device)


def one_step(run: TrainingState, batch: TrainingBatch | DeviceBatch) -> dict[str, float]:
    """Take step ``run.step`` and return its losses."""
    rate = learning_rate(run.step, run.total, run.model.settings, run.progress if run.revisions else None)
    return take_step(run, batch, lr=rate, seed=step_seed(run.seed, run.step), progress=run.progress)


def take_step(
    run: TrainingState, batch: TrainingBatch | DeviceBatch, *, lr: float, seed: int, progress: float
) -> dict[str, float]:
    """Take a step with a batch; return its losses. ``progress``: share of the run done, 0 to 1."""
    mixed, earlier = None, None
    if isinstance(batch, TrainingBatch):
        if run.rollouts:
            batch = mixed = run.rollouts.mix(batch, seed, progress)
            earlier = run.rollouts.preceding()
        batch = upload(batch, run.device)
    inputs, settings = batch.inputs, run.model.settings
    if settings.input_noise:
        rank = run.model.dist.rank
        inputs = _noisy(inputs, settings.input_noise, run.picture_channels, seed + rank, tells=run.tells_noise)
    weights = batch.weights
    losses = run.model.step(
        inputs, batch.targets, lr=lr, seed=seed, progress=progress, weights=weights, earlier=earlier
    )
    if run.rollouts and mixed:
        run.rollouts.update(mixed, run.model.painted)
    return losses


def _noisy(inputs: torch.Tensor, max_sigma: float, channels: int, seed: int, *, tells: bool) -> torch.Tensor:
    """Add normal noise to the first ``channels`` of (N, C, H, W); the last channel ``tells`` its level.

    Each example has its own deviation, from 0 to ``max_sigma``: outputs are cleaner than noisy inputs, and a network
    trained only on noisy inputs would also smooth clean ones.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((len(inputs), channels, *inputs.shape[2:]), generator=generator)
    sigmas = max_sigma * torch.rand((len(inputs), 1, 1, 1), generator=generator)
    noise *= sigmas
    parts = [inputs[:, :channels] + noise.to(inputs.device), inputs[:, channels:]]
    if tells:
        levels = torch.tensor([noise_plane(float(sigma)) for sigma in sigmas.flatten()])
        plane = levels.to(inputs)[:, None, None, None].expand_as(inputs[:, :1])
        parts = [parts[0], parts[1][:, :-1], plane]
    return torch.cat(parts, dim=1)


class Diverged(VidtransError):
    """A loss or a weight became infinite or NaN at step ``at``. ``step``: the last saved step, 0 for none."""

    def __init__(self, step: int, at: int) -> None:
        super().__init__(
            "training",
            f"a loss or a weight became infinite or NaN at step {at}; "
            + (f"the state of step {step} is kept" if step else "no earlier state was saved"),
            "lower training.lr with --set, or use --set training.precision=fp32",
        )


@dataclass
class RunKeeper:
    """Checkpoints and previews by the clock; of several processes, only the first saves.

    ``costs``: the seconds of each call of the work beside the steps in this process, by function: checkpoints, previews
    and what follows a milestone.
    """

    run: TrainingState
    refresh: Callable[[TrainingState], None]
    dist: DistContext
    clock: Callable[[], float]
    costs: dict[Task, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.now = self._saved_at = self.clock()
        self._shown_at = -math.inf  # the first preview comes with the first step
        self.saved_step = self.run.step

    @property
    def step_seconds(self) -> float:
        """Return the time of the run without the work beside the steps; only differences have a meaning."""
        return self.run.seconds - sum(map(sum, self.costs.values()))

    def do(self, task: Task) -> None:
        """Call ``task``, and record its time as its cost."""
        self.count_time()
        began = self.run.seconds
        task()
        self.count_time()
        self.costs.setdefault(task, []).append(self.run.seconds - began)

    def cost(self, task: Task) -> float:
        """Return the usual seconds of ``task``; 0 if it was not called yet."""
        known = self.costs.get(task, [0.0])
        return statistics.median(known[1:] or known)  # the first call also imports and warms up

    def share_by_the_clock(self, seconds_per_step: float) -> float:
        """Return the share of the time that checkpoints and previews take; at most one of each follows a step."""
        settings = self.run.model.settings
        pauses = {self.save: settings.checkpoint_seconds, self._show: settings.preview_seconds}
        beside = sum(self.cost(task) / max(pause, seconds_per_step) for task, pause in pauses.items())
        return beside / (1 + beside)

    def count_time(self) -> None:
        """Add the time since the last call to the run's."""
        before, self.now = self.now, self.clock()
        self.run.seconds += self.now - before

    def save(self) -> None:
        """Save a checkpoint. Raises Diverged if the state is not finite; the last checkpoint remains then."""
        if not self.run.save():
            raise Diverged(self.saved_step, self.run.step)
        self._saved_at, self.saved_step = self.clock(), self.run.step

    def save_and_show_if_due(self) -> None:
        """Save a checkpoint and update the previews if their time has come."""
        run, settings = self.run, self.run.model.settings
        if self.dist.is_main and self.now - self._saved_at >= settings.checkpoint_seconds and run.step < run.total:
            self.do(self.save)
        if self.clock() - self._shown_at >= settings.preview_seconds:
            self.do(self._show)

    def _show(self) -> None:
        self.refresh(self.run)
        self._shown_at = self.clock()

    def end(self) -> None:
        """Save the last state and show it."""
        if self.dist.is_main:
            self.save()
        self.refresh(self.run)
