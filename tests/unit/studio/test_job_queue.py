from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from filelock import FileLock

from vidtrans.core.errors import UsageError
from vidtrans.studio.studio_jobs import MAX_STARTS, JobQueue, StudioJob, StudioJobFolder


class Processes:
    """Pretended processes of jobs: each holds its lock until it ends."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self._locks: dict[int, FileLock] = {}

    def __call__(self, job: Path, root: Path) -> None:
        self.started.append(int(job.name))
        self._locks[int(job.name)] = lock = StudioJobFolder(job).lock()
        lock.acquire()

    def end(self, folder: Path, number: int, status: int) -> None:
        StudioJobFolder(folder / f"{number:06d}").finish(status, 1.0)
        self.kill(number)

    def kill(self, number: int) -> None:
        self._locks.pop(number).release()


@pytest.fixture
def processes() -> Processes:
    return Processes()


@pytest.fixture
def queue(tmp_path: Path, processes: Processes) -> JobQueue:
    return JobQueue(tmp_path / "jobs", tmp_path, 1, line, processes)


def job(title: str = "a", after: tuple[int, ...] = ()) -> StudioJob:
    return StudioJob("probe", {}, ["probe"], title, after=list(after))


def line(command: str, values: Mapping[str, object]) -> list[str]:
    if values:
        raise UsageError(command, "a page cannot set it", "leave it out")
    return [command]


def states(queue: JobQueue) -> dict[int, str]:
    return {table["number"]: str(table["state"]) for table in queue.step()}


def test_a_job_waits_for_those_that_it_needs_and_says_so(queue: JobQueue, processes: Processes) -> None:
    queue.at_once = 3
    queue.add([job()])
    assert queue.add([job("two"), job(after=(0,)), job(after=(1,))]) == [2, 3, 4]
    assert states(queue) == {1: "running", 2: "running", 3: "queued", 4: "queued"}
    assert next(t for t in queue.step() if t["number"] == 3)["waits"] == "'two' comes first"
    processes.end(queue.folder, 2, 1)
    assert states(queue) == {1: "running", 2: "failed", 3: "queued", 4: "queued"}
    assert "has not succeeded" in next(t for t in queue.step() if t["number"] == 3)["waits"]
    queue.act(2, "resume")
    assert states(queue)[2] == "running"
    processes.end(queue.folder, 2, 0)
    assert states(queue) == {1: "running", 2: "done", 3: "running", 4: "queued"}


def test_a_job_is_cancelled_and_then_removed(queue: JobQueue, processes: Processes) -> None:
    queue.add([job(), job()])
    queue.step()
    for number in (1, 2):  # one runs, one waits
        queue.act(number, "cancel")
    processes.end(queue.folder, 1, 130)
    assert states(queue) == {1: "cancelled", 2: "cancelled"}
    queue.act(1, "remove")
    assert states(queue) == {2: "cancelled"}


def test_a_job_that_another_one_needs_is_not_removed(queue: JobQueue) -> None:
    queue.add([job(), job("render", after=(0,))])
    queue.act(1, "cancel")
    with pytest.raises(UsageError, match="'render' waits for it"):
        queue.act(1, "remove")
    queue.act(2, "cancel")
    queue.act(1, "remove")
    assert states(queue) == {2: "cancelled"}


def test_a_job_whose_process_was_killed_goes_on_but_not_for_ever(queue: JobQueue, processes: Processes) -> None:
    queue.add([job()])
    for _ in range(MAX_STARTS):
        assert states(queue) == {1: "running"}
        processes.kill(1)
        queue._start_times_s.clear()  # the time that a process has to take its lock
    states(queue)
    assert states(queue) == {1: "failed"}
    assert len(processes.started) == MAX_STARTS


def test_a_finished_job_that_was_stopped_from_elsewhere_goes_on(queue: JobQueue, processes: Processes) -> None:
    queue.add([job()])
    queue.step()
    processes.end(queue.folder, 1, 143)  # the machine shuts down
    assert states(queue) == {1: "running"}
    assert processes.started == [1, 1]


def test_a_job_that_no_page_has_asked_for_is_not_started(queue: JobQueue, processes: Processes) -> None:
    """As in a folder that came from somebody else."""
    queue.add([StudioJob("probe", {}, ["stylize", "--filter", "movie=/x"], "a")])
    queue.add([StudioJob("probe", {"x": 1}, ["probe"], "b")])
    queue.step()
    assert states(queue) == {1: "failed", 2: "failed"}
    errors = [table["outcome"]["error"] for table in queue.step()]
    assert [error.partition(" ")[0] for error in errors] == ["probe:", "its"]
    assert processes.started == []


def test_damaged_files_hide_only_their_own_job(queue: JobQueue) -> None:
    queue.add([job("one"), job("two")])
    (queue.folder / "000001" / "job.json").write_text("{")
    (queue.folder / "000009").mkdir()
    (queue.folder / "000002" / "end.json").write_text("{}")
    assert [table["title"] for table in queue.step()] == ["two"]
