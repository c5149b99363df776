"""Trainings among the jobs: they are taken as they are, and go on later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from vidtrans.core.errors import UsageError
from vidtrans.studio.job_queue import JobQueue
from vidtrans.studio.studio_jobs import StudioJob, StudioJobFolder
from vidtrans.studio.training_jobs import train_longer, train_on

VALUES = {"dataset": "a.dataset", "minutes": 5.0, "output": "a.safetensors"}


def line(command: str, values: Mapping[str, object]) -> list[str]:
    if command != "train":
        raise UsageError(command, "a page cannot set it", "leave it out")
    return [command, *(["--as-is"] if values.get("as_is") else [])]


class Stage:
    """A queue with one training, whose process is pretended."""

    def __init__(self, folder: Path) -> None:
        self.started: list[list[str]] = []
        self.queue = JobQueue(folder / "jobs", folder, 1, line, self.start)
        self.queue.add([StudioJob("train", dict(VALUES), ["train"], "learn a")])
        self.job = StudioJobFolder(folder / "jobs" / "000001")
        self._lock: FileLock | None = None

    def start(self, folder: Path, root: Path) -> None:
        self.started.append(StudioJobFolder(folder).read().words)
        self._lock = StudioJobFolder(folder).lock()
        self._lock.acquire()

    def learn(self, done: int = 3) -> None:
        self.job.report({"task": "training", "done": done, "total": 9, "preview": "a.train/preview.png"})

    def end(self, status: int | None) -> None:
        if status is not None:
            self.job.finish(status, 1.0)
        assert self._lock is not None
        self._lock.release()

    def table(self) -> dict[str, Any]:
        return self.queue.step()[0]


@pytest.mark.parametrize("status", [130, None])  # it was stopped, or killed in between
def test_a_running_training_is_stopped_and_delivers(tmp_path: Path, status: int | None) -> None:
    stage = Stage(tmp_path)
    assert stage.table()["can_take"] is False
    stage.learn()
    table = stage.table()
    assert (table["can_take"], table["training"], table["as_is"]) == (True, "a.train", False)
    stage.queue.act(1, "enough")
    assert stage.job.stop.exists()
    assert stage.table()["state"] == "running"
    stage.end(status)
    again = JobQueue(tmp_path / "jobs", tmp_path, 1, line, stage.start)  # another server, later
    assert again.step()[0]["state"] == "running"
    assert stage.started == [["train"], ["train", "--as-is"]]
    assert again.step()[0]["line"] == "vidtrans train --as-is"
    stage.job.result.write_text(json.dumps({"output": "a.safetensors", "steps": 3, "of_steps": 9}))
    stage.end(0)
    made = again.step()[0]
    assert (made["state"], made["as_is"], made["can_train_on"]) == ("done", True, True)


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
