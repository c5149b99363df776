"""Trainings among the jobs: they are taken as they are, and go on later."""

from __future__ import annotations

import pytest

from vidtrans.core.errors import UsageError
from vidtrans.studio.studio_jobs import StudioJob
from vidtrans.studio.training_jobs import train_longer, train_on

VALUES = {"dataset": "a.dataset", "minutes": 5.0, "output": "a.safetensors"}


def job(**values: object) -> StudioJob:
    return StudioJob("train", VALUES | values, [], "learn a")


def test_going_on_is_the_same_line_without_the_option() -> None:
    step = train_on(job(as_is=True))
    assert (step.command, step.values) == ("train", VALUES)
    with pytest.raises(UsageError):
        train_on(job())


def test_longer_is_as_many_steps_again() -> None:
    step = train_longer(job(fresh=True), {"steps": 400})
    assert step.values == {"dataset": "a.dataset", "output": "a.safetensors", "steps": 800}
    for outcome in ({}, {"steps": True}, {"steps": 3, "of_steps": 9}):
        with pytest.raises(UsageError):
            train_longer(job(), outcome)
