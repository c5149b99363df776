"""Time of a training step, measured by a short trial, for budgets in minutes and dry runs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from vidtrans.data.loading import TrainingBatch
from vidtrans.training.device.batch_upload import DeviceBatch
from vidtrans.training.trainer import TRIAL_SECONDS, TRIAL_STEPS, WARM_UP, TrainingState, batches_of, take_step


def steps_for(run: TrainingState, minutes: float) -> int:
    """Return how many steps fit in ``minutes``, by a short trial that changes ``run``."""
    return max(1, round(minutes * 60 / seconds_per_step(run)))


def seconds_per_step(run: TrainingState) -> float:
    """Return the mean of the run's seconds per step, by a short trial that changes ``run``, in all processes together.

    Each size of its pictures is tried, before and after the turning point of its method.
    """
    turn, growth, seconds = run.model.turning_point, run.loader.growth, 0.0
    for start, end, alone in growth.parts():
        run.loader.growth = alone
        early = max(0.0, min(end, turn) - start)
        seconds += _seconds_at_one_size(run, early, end - start - early)
    run.loader.growth = growth
    return run.model.dist.mean([seconds])[0]


def try_steps(run: TrainingState) -> None:
    """Take a step on each size of the run's pictures, before and after the turning point of its method."""
    for _, _, alone in run.loader.growth.parts():
        run.loader.growth = alone
        batches = enumerate(batches_of(run, 0, 2))
        for progress in (0.0, 1.0) if run.model.turning_point else (1.0,):
            _trial(run, batches, progress)


def _seconds_at_one_size(run: TrainingState, early: float, late: float) -> float:
    """Return the seconds of shares of a step before (``early``) and after (``late``) its method's turning point."""
    dist = run.model.dist
    batches = enumerate(batches_of(run, 0, WARM_UP + 2 * TRIAL_STEPS[1]))
    for _ in range(WARM_UP):
        seconds = _trial(run, batches, 1.0)
    fits = TRIAL_SECONDS / max(seconds, 1e-4)
    count = round(dist.mean([min(max(fits, TRIAL_STEPS[0]), TRIAL_STEPS[1])])[0])
    seconds = 0.0
    for share, progress in ((early, 0.0), (late, 1.0)):
        if share:
            seconds += share * statistics.median(_trial(run, batches, progress) for _ in range(count))
    return seconds


def _trial(run: TrainingState, batches: Iterator[tuple[int, TrainingBatch | DeviceBatch]], progress: float) -> float:
    """Take a step, and return its seconds, with those that it waited for its batch."""
    began = time.perf_counter()
    step, batch = next(batches)
    take_step(run, batch, lr=run.model.settings.lr, seed=step, progress=progress)
    return time.perf_counter() - began
