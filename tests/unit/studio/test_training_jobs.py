"""Trainings among the jobs: they are taken as they are, and go on later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from vidtrans.core.errors import UsageError
from vidtrans.studio.studio_jobs import JobQueue, StudioJob, StudioJobFolder, continue_training, extend_training

VALUES = {"dataset": "a.dataset", "minutes": 5.0, "output": "a.safetensors"}


def job(**values: object) -> StudioJob:
    return StudioJob("train", VALUES | values, [], "learn a")


def test_going_on_is_the_same_line_without_the_option() -> None:
    step = continue_training(job(as_is=True))
    assert (step.command, step.values) == ("train", VALUES)
    with pytest.raises(UsageError):
        continue_training(job())


def test_longer_is_as_many_steps_again() -> None:
    step = extend_training(job(fresh=True), {"steps": 400})
    assert step.values == {"dataset": "a.dataset", "output": "a.safetensors", "steps": 800}
    for outcome in ({}, {"steps": True}, {"steps": 3, "of_steps": 9}):
        with pytest.raises(UsageError):
            extend_training(job(), outcome)


class Stage:
    """A queue with one training that has taken steps; its process is pretended."""

    def __init__(self, folder: Path) -> None:
        def line(command: str, values: Mapping[str, object]) -> list[str]:
            return [command, *(["--as-is"] if values.get("as_is") else [])]

        self.started: list[list[str]] = []
        self.queue = JobQueue(folder / "jobs", folder, 1, line, self.start)
        self.queue.add([StudioJob("train", dict(VALUES), ["train"], "learn a")])
        self.job = StudioJobFolder(folder / "jobs" / "000001")
        self.table()
        self.job.report({"task": "training", "done": 3, "total": 9, "preview": "a.train/preview.png"})

    def start(self, folder: Path, root: Path) -> None:
        self.started.append(StudioJobFolder(folder).read().words)
        self._lock = StudioJobFolder(folder).lock()
        self._lock.acquire()

    def end(self, status: int) -> dict[str, Any]:
        self.job.finish(status, 1.0)
        self._lock.release()
        return self.table()

    def table(self) -> dict[str, Any]:
        return self.queue.step()[0]


def test_a_paused_one_can_be_taken_as_it_is_and_one_that_has_ended_not(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.queue.act(1, "pause")
    table = stage.end(130)
    assert (table["state"], table["can_take"]) == ("paused", True)
    stage.queue.act(1, "enough")
    assert stage.table()["state"] == "running"
    with pytest.raises(UsageError, match="no training that has taken a step"):
        stage.queue.act(1, "enough")
    stage.end(0)
    with pytest.raises(UsageError, match="done"):
        stage.queue.act(1, "enough")


@pytest.mark.parametrize("when", ["running", "failed"])
def test_where_the_disk_was_full_it_can_be_asked_for_again(tmp_path: Path, when: str) -> None:
    stage = Stage(tmp_path)
    if when == "failed":
        stage.end(1)
    full = patch("vidtrans.studio.studio_jobs.write_json", side_effect=OSError(28, "full"))
    with full, pytest.raises(OSError, match="full"):
        stage.queue.act(1, "enough")
    assert (stage.table()["state"], stage.job.read().words) == (when, ["train"])
    stage.queue.act(1, "enough")
    if when == "running":
        stage.end(130)
    stage.table()
    assert stage.started[-1] == ["train", "--as-is"]
