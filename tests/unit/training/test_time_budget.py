"""Budgets of time: the steps are resolved again by the rate while a run trains, and a resumed run goes on with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from made_runs import run_of

from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Note, Progress, Stop, silent
from vidtrans.training.device.distributed import DistContext
from vidtrans.training.loop import train
from vidtrans.training.report.training_page import film_steps
from vidtrans.training.time_budget import LEAST_STEPS, REVISED_AT, StepCost, TimeBudget
from vidtrans.training.training_state import TrainingState

pytestmark = pytest.mark.usefixtures("one_thread")
EVENLY = [StepCost(0.0, 1.0, 1.0)]


class Clock:
    """A clock on which a step of a run takes ``seconds``, and ``pass_time`` more."""

    def __init__(self, run: TrainingState, seconds: float) -> None:
        self.run, self.seconds, self.first, self.beside = run, seconds, run.step, 0.0

    def __call__(self) -> float:
        return (self.run.step - self.first) * self.seconds + self.beside

    def pass_time(self, seconds: float) -> None:
        self.beside += seconds


def steps_told(events: list[object]) -> list[str]:
    return [event.text for event in events if isinstance(event, Note)]


def test_a_rate_of_half_the_trials_halves_the_steps_and_with_them_all_schedules(tmp_path: Path) -> None:
    run, planned, heard = run_of(tmp_path, 240), [], []
    milestones = lambda total: planned.append(total) or {}  # noqa: E731
    train(run, heard.append, Stop(), milestones=milestones, clock=Clock(run, 2.0), budget=TimeBudget(240.0, EVENLY))
    assert set(planned) >= {240, 120}
    steps = [LEAST_STEPS, 30, 72, 102]
    assert [(revision.step, revision.total) for revision in run.revisions] == [(step, 120) for step in steps]
    shares = [revision.progress for revision in run.revisions]
    left = (1 - LEAST_STEPS / 240) / (120 - LEAST_STEPS)  # of the schedules for each step, from the first revision on
    assert shares == pytest.approx([LEAST_STEPS / 240 + (step - LEAST_STEPS) * left for step in steps])
    assert run.progress == pytest.approx(1.0)
    assert steps_told(heard) == ["at the rate so far 120 steps fit in 4 minutes, not 240"]
    assert run.history == [120]


def test_the_time_is_met_where_previews_take_much_of_it_and_most_of_them_come_early(tmp_path: Path) -> None:
    """Of 300 s, the first preview takes 15 s and each later one 4 s, a picture of the film 1 s, a score 5 s."""
    run = run_of(tmp_path, 300, preview_seconds=20.0)
    clock, taken = Clock(run, 0.25), []

    def refresh(_: TrainingState) -> None:
        clock.pass_time(4.0 if run.seconds > 20 else 15.0)

    shoot, score = (lambda: clock.pass_time(1.0)), (lambda: clock.pass_time(5.0))

    def milestones(total: int) -> dict[int, list[Any]]:
        due: dict[int, list[Any]] = {step: [shoot] for step in film_steps(total, min(72, total // 5))}
        for step in (total // 2, total):
            due.setdefault(step, []).append(score)
        return due

    def report(event: object) -> None:
        if isinstance(event, Progress):
            taken.append(clock())

    train(run, report, Stop(), refresh, milestones, clock=clock, budget=TimeBudget(300.0, EVENLY))
    assert abs(taken[-1] - 300.0) < 10.0  # half of what the preview and a picture of the film take
    totals = [revision.total for revision in run.revisions]
    assert len(totals) == len(REVISED_AT)
    assert max(totals[1:]) < 1.05 * min(totals[1:])  # after the first preview, nothing is a surprise


def test_processes_agree_on_the_steps_that_the_first_one_resolves(tmp_path: Path) -> None:
    """The second process's clock stands still, and it has no milestones."""
    sent: list[Any] = []
    flags: list[bool] = []

    class First(DistContext):
        def any(self, flag: bool) -> bool:
            flags.append(flag)
            return flag

        def broadcast(self, value: Any = None) -> Any:
            sent.append(value)
            return value

        def mean(self, values: Sequence[float]) -> list[float]:
            return list(values)

    class Second(First):
        def any(self, flag: bool) -> bool:
            return flags.pop(0)

        def broadcast(self, value: Any = None) -> Any:
            assert value is None
            return sent.pop(0)

    first, run = run_of(tmp_path / "first", 200), run_of(tmp_path / "second", 200)
    train(first, silent, Stop(), clock=Clock(first, 2.0), dist=First(0, 2), budget=TimeBudget(200.0, EVENLY))
    train(run, silent, Stop(), clock=lambda: 0.0, dist=Second(1, 2), budget=TimeBudget(200.0, EVENLY))
    assert (run.step, run.revisions) == (first.step, first.revisions)
    assert first.step == 100
    assert not list((tmp_path / "second").glob("*"))


def test_a_killed_run_goes_on_with_the_steps_that_its_checkpoint_has(tmp_path: Path) -> None:
    def budget() -> TimeBudget:
        return TimeBudget(200.0, EVENLY)

    whole = run_of(tmp_path / "whole", 200)
    train(whole, silent, Stop(), clock=Clock(whole, 2.0), budget=budget())
    for at in (3, LEAST_STEPS):
        folder, stop = tmp_path / str(at), Stop()
        first = run_of(folder, 200)

        def report(event: object, at: int = at, stop: Stop = stop) -> None:
            if isinstance(event, Progress) and event.done == at:
                stop.request(130)

        with pytest.raises(Interrupted):
            train(first, report, stop, clock=Clock(first, 2.0), budget=budget())
        second = run_of(folder, 200)
        assert second.load(silent)
        assert second.revisions == first.revisions
        assert second.total == (100 if at >= LEAST_STEPS else 200)
        train(second, silent, Stop(), clock=Clock(second, 2.0), budget=budget())
        assert second.step == whole.step == 100
        if at >= LEAST_STEPS:  # the rate of a process is the same: so are the steps, and what is learned
            for one, other in zip(whole.model.networks.values(), second.model.networks.values(), strict=True):
                assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))
        assert second.history == [100]
