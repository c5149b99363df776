"""The training loop: batches in, checkpoints and previews out, and the same result whatever interrupts it."""

from __future__ import annotations

import csv
import io
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from vidtrans.data.loading import Batches, TrainingBatch
from vidtrans.errors import Interrupted, VidtransError
from vidtrans.events import Note, Progress, Report, Stop
from vidtrans.settings import Table
from vidtrans.training import LOSSES, health
from vidtrans.training.checkpoint import load_checkpoint, save_checkpoint
from vidtrans.training.distributed import SINGLE_PROCESS, DistContext
from vidtrans.training.feedback.rollout_pool import RolloutPool
from vidtrans.training.methods.base import TrainingMethod
from vidtrans.training.schedule import learning_rate, step_seed

# A trial of what a step takes: some to warm up, then as many as fit, but no fewer and no more than so many.
WARM_UP, TRIAL_SECONDS, TRIAL_STEPS = 3, 4.0, (8, 60)


@dataclass
class TrainingState:
    """A training run that lives in ``folder``: where it is, and how it got there.

    ``history`` holds the step counts it was asked for so far: raising ``--steps`` later adds one. ``rows``: the losses
    of every step; ``scores``: (step, held-out scores); ``warnings``: (step, text). ``enough``: it is to stop here.
    ``chains``: where own outputs become inputs. ``pictures``: how many of the input's channels, the first, are of
    pictures, and take noise.
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
    chains: RolloutPool | None = None
    pictures: int = 0

    @property
    def total(self) -> int:
        """Return the number of steps."""
        return self.history[-1]

    def save(self) -> bool:
        """Write a checkpoint, unless a weight is no longer a number: then the last good state stays."""
        if not self.model.is_finite():
            return False
        rows = torch.tensor(self.rows, dtype=torch.float32).reshape(-1, len(self.model.columns))
        told = {"scores": self.scores, "warnings": self.warnings, "enough": self.enough}
        state = {"step": self.step, "history": self.history, "rows": rows, **told, "method": self.model.state()}
        if self.chains:
            state["chains"] = self.chains.state()
        save_checkpoint(self.folder, self.step, state)
        return True

    def load(self, report: Report) -> bool:
        """Go on from the folder's checkpoint, with the history that it began with, if it has a whole one."""
        state = load_checkpoint(self.folder, report)
        if state is None:
            return False
        self.adopt(state)
        self.history = [int(n) for n in state["history"]]
        return True

    def adopt(self, state: dict[str, Any]) -> None:
        """Restore a checkpoint's state."""
        self.model.restore(state["method"])
        if self.chains:
            self.chains.restore(state["chains"])
        self.step, self.rows = int(state["step"]), state["rows"].tolist()
        self.scores, self.warnings, self.enough = state["scores"], state["warnings"], state["enough"]

    def losses_csv(self) -> bytes:
        """Return the losses as CSV."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = self.model.columns
        writer.writerow(["step", *(f"generator_{c}" if c in LOSSES else c for c in columns)])
        writer.writerows([i, *(f"{v:.6g}" for v in row)] for i, row in enumerate(self.rows, start=1))
        return text.getvalue().encode()


class Diverged(VidtransError):
    """A loss is no longer a number. ``step`` is the last good one, whose state is kept."""

    def __init__(self, step: int, at: int) -> None:
        self.step = step
        super().__init__(
            "training",
            f"a loss or a weight became infinite or NaN at step {at}; "
            + (f"the state of step {step} is kept" if step else "no earlier state was saved"),
            "lower --set training.lr, or use --set training.precision=fp32",
        )


def train(
    run: TrainingState,
    report: Report,
    stop: Stop,
    refresh: Callable[[TrainingState], None] | None = None,
    milestones: Mapping[int, Callable[[TrainingState], None]] | None = None,
    dist: DistContext = SINGLE_PROCESS,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Train ``run`` to its total, or until it has enough. Checkpoints and ``refresh`` are timed, and change no result.

    ``milestones``: what is called when a step is done. ``dist``: of several processes, only the first saves, calls and
    reports.

    Raises Interrupted (after saving) when asked to stop, and Diverged on a loss that is not a number.
    """
    settings = run.model.settings
    saved, shown = clock(), -math.inf  # the first preview comes with the first step
    refresh = refresh if refresh and dist.is_main else _nothing
    saved_step = run.step
    if run.step:
        report(Note(f"going on from step {run.step} of {run.total}"))
    for batch in run.loader.stream(run.step, run.step if run.enough else run.total):
        _stop_if_asked(run, stop, dist, refresh)
        losses = one_step(run, batch)
        row = dist.mean(list(losses.values()))
        if not math.isfinite(sum(row)):
            raise Diverged(saved_step, run.step + 1)
        run.rows.append(row)
        run.step += 1
        report(Progress("training", run.step, run.total, "steps", _detail(run)))
        if run.step % health.EVERY == 0:
            _take_stock(run, report)
        if milestones and run.step in milestones:
            milestones[run.step](run)
        if dist.any(run.enough):
            break
        if dist.is_main and clock() - saved >= settings.checkpoint_seconds and run.step < run.total:
            _save(run, saved_step)
            saved, saved_step = clock(), run.step
        if clock() - shown >= settings.preview_seconds:
            refresh(run)
            shown = clock()
    if dist.is_main:
        _save(run, saved_step)
    refresh(run)


def _stop_if_asked(run: TrainingState, stop: Stop, dist: DistContext, refresh: Callable[[TrainingState], None]) -> None:
    """Save and raise Interrupted where any of the processes was asked to stop."""
    if dist.any(stop.requested):
        if dist.is_main:
            run.save()
        refresh(run)
        raise Interrupted(stop.exit_status or Interrupted().exit_status)


def _save(run: TrainingState, saved_step: int) -> None:
    """Save a checkpoint. Raises Diverged where the state is not finite; that of ``saved_step`` is kept then."""
    if not run.save():
        raise Diverged(saved_step, run.step)


def _take_stock(run: TrainingState, report: Report) -> None:
    """Warn about networks that do not learn, and log how deep chains have grown."""
    _warn(run, report)
    if run.chains:
        run.chains.log(run.step)


def _nothing(run: TrainingState) -> None:
    del run


def _detail(run: TrainingState) -> str:
    detail = run.model.describe(dict(zip(run.model.columns, run.rows[-1], strict=True)))
    psnr = run.scores[-1][1].get("psnr") if run.scores else None
    return detail if psnr is None else f"{detail}  held out {psnr:.1f} dB"


def _warn(run: TrainingState, report: Report) -> None:
    """Say what is wrong with the networks, each thing once."""
    heard = {text.partition(":")[0] for _, text in run.warnings}
    for concern in run.model.concerns(run.rows, run.total):
        if concern.partition(":")[0] not in heard:
            run.warnings.append((run.step, concern))
            report(Note(f"step {run.step}: {concern}", "warning"))


def one_step(run: TrainingState, batch: TrainingBatch) -> dict[str, float]:
    """Take step ``run.step``."""
    rate = learning_rate(run.step, run.total, run.model.settings)
    return _take(run, batch, lr=rate, seed=step_seed(run.seed, run.step), progress=run.step / run.total)


def _take(run: TrainingState, batch: TrainingBatch, *, lr: float, seed: int, progress: float) -> dict[str, float]:
    earlier = None
    if run.chains:
        batch = run.chains.mixed(batch, seed, progress)
        earlier = run.chains.earlier()
    settings = run.model.settings
    inputs, targets = torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)
    if settings.input_noise:
        inputs = _noisy(inputs, settings.input_noise, run.pictures, seed + run.model.dist.rank)
    weights = None if batch.weights is None else torch.from_numpy(batch.weights)
    losses = run.model.step(inputs, targets, lr=lr, seed=seed, progress=progress, weights=weights, earlier=earlier)
    if run.chains:
        run.chains.keep(batch, run.model.painted)
    return losses


def _noisy(inputs: torch.Tensor, most: float, pictures: int, seed: int) -> torch.Tensor:
    """(N, C, H, W) with normal noise on its first channels; those of a clock stay as they are.

    Each example has its own deviation, from 0 to ``most``: what is made is cleaner than what was learned to go on from,
    and one who had seen noise alone would go on smoothing where there is none.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn((len(inputs), pictures, *inputs.shape[2:]), generator=generator)
    drawn *= most * torch.rand((len(inputs), 1, 1, 1), generator=generator)
    return torch.cat([inputs[:, :pictures] + drawn, inputs[:, pictures:]], dim=1)


def steps_for(run: TrainingState, minutes: float) -> int:
    """How many steps fit in ``minutes``, from a short trial; ``run`` is spent by it."""
    return max(1, round(minutes * 60 / seconds_per_step(run)))


def seconds_per_step(run: TrainingState) -> float:
    """From a short trial, by which ``run`` is spent: what a step takes most of the time.

    All processes of a dist take it together, as many steps each.
    """
    dist, alone = run.model.dist, run.model.settings.gan_start
    for step in range(WARM_UP):
        seconds = _trial(run, step, 1.0)
    fits = TRIAL_SECONDS / max(seconds, 1e-4)
    count = round(dist.mean([min(max(fits, TRIAL_STEPS[0]), TRIAL_STEPS[1])])[0])
    seconds = 0.0
    for share, progress in ((alone, 0.0), (1 - alone, 1.0)):  # before and after the adversarial loss begins
        if share:
            seconds += share * statistics.median(_trial(run, WARM_UP + at, progress) for at in range(count))
    return dist.mean([seconds])[0]


def _trial(run: TrainingState, step: int, progress: float) -> float:
    """Measure the seconds of a step."""
    began = time.perf_counter()
    _take(run, run.loader.make(step), lr=run.model.settings.lr, seed=step, progress=progress)
    return time.perf_counter() - began
