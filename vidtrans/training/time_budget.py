"""A budget of time for a training run: its number of steps, resolved from a trial and again while it trains.

The rate of a trial of seconds is that of the machine at that moment. So the steps are resolved again after
``REVISED_AT`` of the time, by the rate since then, and a checkpoint has each revision before it counts: a run that was
killed goes on with the same steps, and the schedules (learning rate, sizes of pictures) are those of the steps then
known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vidtrans.training.training_state import Revision, TrainingState

REVISED_AT = (0.05, 0.25)  # shares of the time
LEAST_STEPS = 8  # since the last revision, or since the start of the process, for a rate that says something


@dataclass(frozen=True)
class StepCost:
    """The seconds of a step between two shares, ``start`` and ``end``, of a run's steps."""

    start: float
    end: float
    seconds: float


def mean_cost(costs: Sequence[StepCost]) -> float:
    """Return the seconds of a step, a mean over the run."""
    return sum((cost.end - cost.start) * cost.seconds for cost in costs)


@dataclass
class TimeBudget:
    """A budget of seconds. ``costs``: of steps in the trial; ``at_most``: the most steps that are asked for.

    ``began``: the step and the run's seconds at the last revision, or at the start of the process.
    """

    seconds: float
    costs: Sequence[StepCost]
    at_most: int | None = None
    began: tuple[int, float] = (0, 0.0)

    @property
    def steps(self) -> int:
        """Return the steps that fit by the trial alone."""
        return self._limited(self.seconds / mean_cost(self.costs))

    def begin(self, run: TrainingState) -> None:
        """Measure the rate from this step on."""
        self.began = run.step, run.seconds

    def is_due(self, run: TrainingState) -> bool:
        """Return whether the steps of ``run`` are to be resolved again now."""
        last = run.revisions[-1].share if run.revisions else 0.0
        later = [share for share in REVISED_AT if share > last]
        return (
            bool(later)
            and run.seconds >= later[0] * self.seconds
            and run.step - self.began[0] >= LEAST_STEPS
            and run.step < run.total
        )

    def revise(self, run: TrainingState) -> int:
        """Resolve the steps of ``run`` again, at least one more than it has taken; return them."""
        step, seconds = self.began
        slower = (run.seconds - seconds) / self._expected(step, run.step, run.total)
        left = max(0.0, self.seconds - run.seconds)
        fewest, most = run.step + 1, run.step + 2
        while slower * self._expected(run.step, most, most) < left:
            fewest, most = most, 2 * most
        while most - fewest > 1:
            middle = (fewest + most) // 2
            fits = slower * self._expected(run.step, middle, middle) <= left
            fewest, most = (middle, most) if fits else (fewest, middle)
        total = max(run.step + 1, self._limited(fewest))
        run.revise(Revision(run.step, total, max(run.seconds / self.seconds, REVISED_AT[0])))
        self.begin(run)
        return total

    def _expected(self, first: int, stop: int, total: int) -> float:
        """Return the trial's seconds of the steps [first, stop) of ``total``."""
        return sum(
            max(0.0, min(stop, cost.end * total) - max(first, cost.start * total)) * cost.seconds for cost in self.costs
        )

    def _limited(self, steps: float) -> int:
        return max(1, min(round(steps), self.at_most or round(steps)))
