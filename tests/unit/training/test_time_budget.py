"""Budgets of time: the steps are resolved again by the rate while a run trains, and a resumed run goes on with them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_runs import run_of

from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Note, Progress, Stop, silent
from vidtrans.training.earlier_runs import continue_shorter
from vidtrans.training.loop import train
from vidtrans.training.time_budget import LEAST_STEPS, REVISED_AT, StepCost, TimeBudget
from vidtrans.training.training_state import Revision, TrainingState

pytestmark = pytest.mark.usefixtures("one_thread")
EVENLY = [StepCost(0.0, 1.0, 1.0)]


class Clock:
    """A clock on which a step of a run takes ``seconds``."""

    def __init__(self, run: TrainingState, seconds: float) -> None:
        self.run, self.seconds, self.first = run, seconds, run.step

    def __call__(self) -> float:
        return (self.run.step - self.first) * self.seconds


def steps_told(events: list[object]) -> list[str]:
    return [event.text for event in events if isinstance(event, Note)]


@given(seconds=st.floats(0.1, 6.0), budgeted=st.integers(60, 300))
def test_the_time_is_met_whatever_the_rate_turns_out_to_be(
    tmp_path_factory: pytest.TempPathFactory, seconds: float, budgeted: int
) -> None:
    run, budget = run_of(tmp_path_factory.mktemp("run"), budgeted, checkpoint_seconds=1e9), TimeBudget(budgeted, EVENLY)
    assert budget.steps == budgeted
    heard: list[object] = []
    train(run, heard.append, Stop(), clock=Clock(run, seconds), budget=budget)
    assert abs(run.step * seconds - budgeted) <= max(seconds, LEAST_STEPS * seconds - budgeted) + 1e-6
    shares = [revision.share for revision in run.revisions]
    assert len(shares) <= len(REVISED_AT)
    assert all(share >= wanted for share, wanted in zip(shares, REVISED_AT, strict=False))
    assert [event.total for event in heard if isinstance(event, Progress)][-1] == run.total == run.step
    assert bool(steps_told(heard)) == any(
        not 0.9 <= after / before <= 1.1
        for before, after in zip(
            [budgeted, *(r.total for r in run.revisions)], (r.total for r in run.revisions), strict=False
        )
    )


def test_a_rate_of_half_the_trials_halves_the_steps_and_with_them_all_schedules(tmp_path: Path) -> None:
    run, planned, heard = run_of(tmp_path, 240), [], []
    milestones = lambda: planned.append(run.total) or {}  # noqa: E731
    train(run, heard.append, Stop(), milestones=milestones, clock=Clock(run, 2.0), budget=TimeBudget(240.0, EVENLY))
    assert planned == [240, 120, 120]
    assert [(revision.step, revision.total) for revision in run.revisions] == [(LEAST_STEPS, 120), (30, 120)]
    assert steps_told(heard) == ["at the rate so far 120 steps fit in 4 minutes, not 240"]
    assert run.history == [120]


def test_steps_that_cost_more_later_are_reckoned_with(tmp_path: Path) -> None:
    """Half of the run at 1 s a step, half at 3 s, in the trial; in the run everything takes twice as long."""
    run = run_of(tmp_path, 200)
    budget = TimeBudget(400.0, [StepCost(0.0, 0.5, 1.0), StepCost(0.5, 1.0, 3.0)])
    assert budget.steps == 200
    run.step, run.seconds = 50, 100.0
    assert budget.revise(run) == 100
    assert run.revisions == [Revision(50, 100, 0.25)]
    run.step, run.seconds = 60, 400.0  # the time is up
    assert budget.revise(run) == 61


def test_no_more_steps_than_are_asked_for(tmp_path: Path) -> None:
    run = run_of(tmp_path, 90)
    train(run, silent, Stop(), clock=Clock(run, 0.5), budget=TimeBudget(100.0, EVENLY, at_most=90))
    assert run.step == 90


def test_a_killed_run_goes_on_with_the_steps_that_its_checkpoint_has(tmp_path: Path) -> None:
    def budget() -> TimeBudget:
        return TimeBudget(200.0, EVENLY)

    whole = run_of(tmp_path / "whole", 200)
    train(whole, silent, Stop(), clock=Clock(whole, 2.0), budget=budget())
    for at in (3, LEAST_STEPS, 20, 60):
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


def test_a_longer_time_for_a_finished_run_is_resolved_anew(tmp_path: Path) -> None:
    first, notes = run_of(tmp_path / "first", 200), []
    train(first, silent, Stop(), clock=Clock(first, 2.0), budget=TimeBudget(200.0, EVENLY))
    finished = SimpleNamespace(
        stage="train", key="a", folder=first.folder, read=lambda: {"run_key": "k", "steps": first.total}
    )
    entry: Any = SimpleNamespace(key="b", cache=SimpleNamespace(entries=lambda: [finished]))
    stage: Any = SimpleNamespace(name="train", run_key="k", steps=400)
    context: Any = SimpleNamespace(report=silent, note=notes.append)
    run = run_of(tmp_path / "second", 400)
    assert continue_shorter(entry, stage, run, context) == first.folder
    train(run, silent, Stop(), clock=Clock(run, 2.0), budget=TimeBudget(400.0, EVENLY))
    assert (run.step, run.seconds, run.history) == (200, 400.0, [100, 200])
    assert "continuing the finished run of 100 steps" in notes[0]
