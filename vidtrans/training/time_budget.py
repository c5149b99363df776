"""A budget of time for a training run: its number of steps, resolved from a trial and again while it trains.

The rate of a trial of seconds is that of the machine at that moment. So the steps are resolved again at ``REVISED_AT``
of the time, by the rate since then, and a checkpoint has each revision before it counts: a run that was killed goes on
with the same steps. Previews and checkpoints are no part of the rate: most of them come early, so that the first steps
would seem too slow. The time that they will yet take is forecast from their number and their cost so far.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vidtrans.training.training_state import Revision, RunKeeper, Task

REVISED_AT = (0.05, 0.25, 0.6, 0.85)  # shares of the time
LEAST_STEPS = 8  # since the last revision, or since the start of the process, for a rate that says something
LEAST_SECONDS = 1e-6  # of a step: no rate is infinite
# Returns what to call after which steps of a run of so many steps.
Milestones = Callable[[int], Mapping[int, Sequence[Task]]]


@dataclass(frozen=True)
class StepCost:
    """The seconds of a step between two shares, ``start`` and ``end``, of a run's steps."""

    start: float
    end: float
    seconds: float


def mean_cost(costs: Sequence[StepCost], start: float = 0.0, end: float = 1.0) -> float:
    """Return the seconds of a step, a mean over the run, or over its part between two shares."""
    parts = [(max(0.0, min(end, cost.end) - max(start, cost.start)), cost.seconds) for cost in costs]
    return sum(share * seconds for share, seconds in parts) / (end - start)


class Mark(NamedTuple):
    """A moment of a run, from which on its rate is measured; ``seconds``: of steps alone."""

    step: int = 0
    progress: float = 0.0
    seconds: float = 0.0


@dataclass
class TimeBudget:
    """A budget of seconds. ``costs``: of steps in the trial; ``at_most``: the most steps that are asked for.

    ``began``: the last revision, or the start of the process.
    """

    seconds: float
    costs: Sequence[StepCost]
    at_most: int | None = None
    began: Mark = field(default_factory=Mark)

    @property
    def steps(self) -> int:
        """Return the steps that fit by the trial alone."""
        return self._limited(self.seconds / mean_cost(self.costs))

    def begin(self, keeper: RunKeeper) -> None:
        """Measure the rate from this step on."""
        self.began = Mark(keeper.run.step, keeper.run.progress, keeper.step_seconds)

    def is_due(self, keeper: RunKeeper) -> bool:
        """Return whether the steps are to be resolved again now.

        Where few steps are planned, half of them do: the machine may have stood still in the trial, and the run would
        end before its time.
        """
        run, began = keeper.run, self.began.step
        planned = run.total - began
        if run.step == run.total or run.step - began < min(LEAST_STEPS, max(1, planned // 2)):
            return False
        if planned < 2 * LEAST_STEPS and not run.revisions:
            return True
        last = run.revisions[-1].share if run.revisions else 0.0
        return any(share > last and run.seconds >= share * self.seconds for share in REVISED_AT)

    def resolve(self, keeper: RunKeeper, milestones: Milestones) -> Revision:
        """Return the number of steps that fit by the rate since ``began``, at least one more than were taken."""
        run, began = keeper.run, self.began
        tried = (run.step - began.step) * mean_cost(self.costs, began.progress, run.progress)
        slower = (keeper.step_seconds - began.seconds) / tried
        each = max(LEAST_SECONDS, slower * mean_cost(self.costs, run.progress))
        left = (self.seconds - run.seconds) * (1 - keeper.share_by_the_clock(each))

        def fits(total: int) -> bool:
            """Return whether the steps up to ``total`` and the work between them take no longer than is left."""
            between = [tasks for step, tasks in milestones(total).items() if run.step < step < total]
            beside = sum(keeper.cost(task) for tasks in between for task in tasks)
            return (total - run.step) * each + beside <= left

        fewest, more = run.step + 1, 1 + round(max(0.0, left) / each)
        while more > 1:  # the most steps, to about one, where more steps have more milestones
            more = (more + 1) // 2
            if fits(fewest + more):
                fewest += more
        total = max(run.step + 1, self._limited(fewest))
        share = max(run.seconds / self.seconds, REVISED_AT[0])
        return Revision(run.step, total, share, run.progress)

    def _limited(self, steps: float) -> int:
        return max(1, min(round(steps), self.at_most or round(steps)))
