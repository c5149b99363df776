"""The loop around the steps, by a clock of the test's own: when it saves, shows, warns and ends; budgets of time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_runs import run_of

from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Note, Progress, Stop, ignore_event
from vidtrans.pairing.next_frame import FULL_NOISE
from vidtrans.training import loop
from vidtrans.training.distributed import DistContext
from vidtrans.training.loop import LEAST_STEPS, REVISED_AT, Diverged, StepCost, TimeBudget, TrainingLoop, TrainingState
from vidtrans.training.training_page import film_steps

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    steps: list[int] = []
    save = loop.save_checkpoint

    def recorded(folder: Path, step: int, state: dict[str, Any]) -> None:
        steps.append(step)
        save(folder, step, state)

    monkeypatch.setattr(loop, "save_checkpoint", recorded)
    return steps


def test_it_saves_and_shows_when_their_time_has_come_and_at_the_end(tmp_path: Path, saved: list[int]) -> None:
    """A step takes 5 s; checkpoints are due every 10 s, previews every 15 s and with the first step."""
    run, shown = run_of(tmp_path, checkpoint_seconds=10.0, preview_seconds=15.0), []
    TrainingLoop(
        run, ignore_event, Stop(), refresh=lambda: shown.append(run.step), clock=lambda: 5.0 * run.step
    ).train()
    assert saved == [2, 4, 6, 8]
    assert shown == [1, 4, 7, 8]
    assert len(run.rows) == run.step == 8


def test_a_run_that_is_stopped_saves_and_shows_what_it_has(tmp_path: Path, saved: list[int]) -> None:
    run, shown, stop = run_of(tmp_path, checkpoint_seconds=1e9, preview_seconds=1e9), [], Stop()

    def report(event: Any) -> None:
        if isinstance(event, Progress) and event.done == 3:
            stop.request(130)

    with pytest.raises(Interrupted):
        TrainingLoop(run, report, stop, refresh=lambda: shown.append(run.step)).train()
    assert (saved, shown) == ([3], [1, 3])


def test_only_the_first_of_several_processes_saves_and_shows(tmp_path: Path, saved: list[int]) -> None:
    class Second(DistContext):
        def mean(self, values: Any) -> list[float]:
            return list(values)

    run, shown = run_of(tmp_path, checkpoint_seconds=0.0, preview_seconds=0.0), []
    TrainingLoop(run, ignore_event, Stop(), refresh=lambda: shown.append(run.step), dist=Second(1, 2)).train()
    assert (run.step, saved, shown) == (8, [], [])
    stop = Stop()
    stop.request(143)
    with pytest.raises(Interrupted) as raised:
        TrainingLoop(run_of(tmp_path), ignore_event, stop, dist=Second(1, 2)).train()
    assert raised.value.exit_status == 143
    assert saved == []


def test_milestones_are_called_when_their_step_is_done_and_may_end_the_run(tmp_path: Path, saved: list[int]) -> None:
    run, called = run_of(tmp_path, checkpoint_seconds=1e9), []

    def enough() -> None:
        called.append(run.step)
        run.enough = run.step == 5

    TrainingLoop(
        run, ignore_event, Stop(), milestones=lambda total: {2: [enough], 5: [enough], total - 1: [enough]}
    ).train()
    assert called == [2, 5]
    assert (run.step, saved) == (5, [5])
    TrainingLoop(run, ignore_event, Stop()).train()  # it stays enough
    assert run.step == 5


def test_it_tells_of_every_step_and_from_where_it_goes_on(tmp_path: Path) -> None:
    heard: list[Any] = []
    run = run_of(tmp_path, 3)
    run.scores = [(0, {"psnr": 21.26})]
    TrainingLoop(run, heard.append, Stop()).train()
    told = [e for e in heard if isinstance(e, Progress)]
    assert [(e.task, e.done, e.total, e.unit) for e in told] == [("training", n, 3, "steps") for n in (1, 2, 3)]
    assert (told[0].detail, told[0].figures) == ("held out 21.3 dB", f"G 0.00  L1 {run.rows[0][1]:.3f}  D 0.00")
    assert not [e for e in heard if isinstance(e, Note)]
    TrainingLoop(replace(run, history=[3, 4]), heard.append, Stop()).train()
    assert [e.text for e in heard if isinstance(e, Note)] == ["continuing from step 3 of 4"]


def test_a_checkpoint_holds_all_that_was_found_and_said(tmp_path: Path) -> None:
    run = run_of(tmp_path, 2)
    TrainingLoop(run, ignore_event, Stop()).train()
    run.scores, run.warnings, run.enough = [(1, {"l1": 0.5}), (2, {"l1": None})], [(1, "a: b")], True
    run.rows, run.history = [[0.0, 0.123456789, 1e-9], [1.0, 2.0, 3.0]], [1, 2]
    assert run.losses_csv() == b"step,generator_gan,generator_l1,discriminator\n1,0,0.123457,1e-09\n2,1,2,3\n"
    assert run.save()
    other = run_of(tmp_path, 9)
    assert other.load(ignore_event)
    found = (other.step, other.history, other.scores, other.warnings, other.enough)
    assert found == (2, [1, 2], run.scores, run.warnings, True)
    assert np.allclose(other.rows, run.rows)
    assert not run_of(tmp_path / "nothing").load(ignore_event)


@pytest.mark.parametrize(("saves", "kept"), [(False, "no earlier state was saved"), (True, "the state of step 3 is")])
def test_a_weight_that_is_no_number_ends_it_and_says_what_is_kept(tmp_path: Path, saves: bool, kept: str) -> None:
    run = run_of(tmp_path, checkpoint_seconds=0.0 if saves else 1e9)

    def poison() -> None:
        next(run.model.trained_generator.parameters()).data.fill_(torch.inf)

    with pytest.raises(Diverged, match=f"at step {4 if saves else 5}; {kept}"):
        TrainingLoop(run, ignore_event, Stop(), milestones=lambda _: {4: [poison]}).train()


def test_noise_lies_on_the_first_channels_as_strong_as_is_drawn_for_each_example_and_told_in_the_last() -> None:
    inputs = torch.zeros(200, 5, 16, 16)
    made = loop._noisy(inputs, 0.5, 3, seed=1, with_level=False)
    assert not made[:, 3:].any()
    deviations = made[:, :3].flatten(1).std(1)
    assert 0 < deviations.min() < 0.03
    assert 0.47 < deviations.max() < 0.53
    assert float(deviations.mean()) == pytest.approx(0.25, abs=0.03)
    inputs = torch.zeros(8, 5, 32, 32)
    made = loop._noisy(inputs, 0.4, 3, seed=1, with_level=True)
    assert torch.equal(made[:, 3], inputs[:, 3])
    sigmas = made[:, :3].flatten(1).std(1)
    told = (made[:, 4, 0, 0] + 1) / 2 * FULL_NOISE
    assert torch.allclose(told, sigmas, rtol=0.05)


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
    TrainingLoop(
        run, heard.append, Stop(), milestones=milestones, clock=Clock(run, 2.0), budget=TimeBudget(240.0, EVENLY)
    ).train()
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

    def refresh() -> None:
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

    TrainingLoop(run, report, Stop(), refresh, milestones, clock=clock, budget=TimeBudget(300.0, EVENLY)).train()
    assert abs(taken[-1] - 300.0) < 10.0  # half of what the preview and a picture of the film take
    totals = [revision.total for revision in run.revisions]
    assert len(totals) == len(REVISED_AT)
    assert max(totals[1:]) < 1.05 * min(totals[1:])  # after the first preview, nothing is a surprise


def test_a_killed_run_goes_on_with_the_steps_that_its_checkpoint_has(tmp_path: Path) -> None:
    def budget() -> TimeBudget:
        return TimeBudget(200.0, EVENLY)

    whole = run_of(tmp_path / "whole", 200)
    TrainingLoop(whole, ignore_event, Stop(), clock=Clock(whole, 2.0), budget=budget()).train()
    for at in (3, LEAST_STEPS):
        folder, stop = tmp_path / str(at), Stop()
        first = run_of(folder, 200)

        def report(event: object, at: int = at, stop: Stop = stop) -> None:
            if isinstance(event, Progress) and event.done == at:
                stop.request(130)

        with pytest.raises(Interrupted):
            TrainingLoop(first, report, stop, clock=Clock(first, 2.0), budget=budget()).train()
        second = run_of(folder, 200)
        assert second.load(ignore_event)
        assert second.revisions == first.revisions
        assert second.total == (100 if at >= LEAST_STEPS else 200)
        TrainingLoop(second, ignore_event, Stop(), clock=Clock(second, 2.0), budget=budget()).train()
        assert second.step == whole.step == 100
        if at >= LEAST_STEPS:  # the rate of a process is the same: so are the steps, and what is learned
            for one, other in zip(whole.model.networks.values(), second.model.networks.values(), strict=True):
                assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))
        assert second.history == [100]
