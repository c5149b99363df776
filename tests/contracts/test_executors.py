"""What every executor does: the same results, whatever fails or stops."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import batch_jobs
import pytest
from chain import refuse, said_json
from directed_clip import three_clips
from processes import states, workers
from under_test import put_first

from vidtrans.batch.batch_options import BatchOptions
from vidtrans.batch.executors import EXECUTORS, Task, TaskResult, make_executor, run_task
from vidtrans.batch.inputs import Item
from vidtrans.batch.jobs import Outcome, run_batch
from vidtrans.core.errors import Interrupted
from vidtrans.core.events import BatchStatus, Event, Stop
from vidtrans.session import Context

SUPPORT = Path(__file__).parents[1] / "support"
OTHERS = sorted(set(EXECUTORS) - {"inline"})


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A cluster of this machine for all tests of this process: to start one takes ten seconds."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install '.[cluster]'")
    folder = tempfile.mkdtemp(prefix="ray-")
    with pytest.MonkeyPatch.context() as patch:
        put_first(patch, SUPPORT)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        quiet = {"include_dashboard": False, "logging_level": "ERROR", "log_to_driver": False}
        quiet |= {"_system_config": {"worker_niceness": 0}}
        ray.init(num_cpus=8, object_store_memory=80 << 20, _temp_dir=folder, **quiet)
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=[*EXECUTORS])
def executor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of each executor, whose workers find the modules of these tests."""
    put_first(monkeypatch, SUPPORT)
    if request.param == "ray":
        request.getfixturevalue("ray_cluster")
    return str(request.param)


def items(*whats: str, dividing: bool = False) -> list[Item]:
    found = []
    for n, what in enumerate(whats):
        source = Path(f"{n} {what}")
        divide = partial(batch_jobs.divide, source, what) if dividing else None
        found.append(Item(source, None, partial(batch_jobs.job, source, what), 1, divide))
    return found


def run(folder: Path, executor: str, *whats: str, jobs: int | None = None, **more: Any) -> list[Outcome]:
    """A batch of ``batch_jobs.job``, of clips that are called what shall happen to them."""
    options, dividing = BatchOptions(executor=executor, jobs=jobs), more.pop("dividing", False)
    context = Context(cache_dir=folder / "cache", device="cpu", **more)
    return run_batch(items(*whats, dividing=dividing), "job", folder, options, context)[0]


def told(outcomes: list[Outcome]) -> list[tuple[Any, ...]]:
    """All of the outcomes but in which process each was made."""
    return [(o.item.source, o.state, o.error, o.exit_status, {**o.table, "pid": 0}) for o in outcomes]


def test_results_and_their_order_are_those_of_this_process(executor: str, tmp_path: Path) -> None:
    whats = ("good", "bad", "bug", "good")
    outcomes = run(tmp_path, executor, *whats)
    assert states(outcomes) == ["done", "failed", "failed", "done"]
    assert "KeyError" in outcomes[2].error
    assert told(outcomes) == told(run(tmp_path, "inline", *whats))
    assert run(tmp_path, executor) == []
    made = make_executor(executor, Context(cache_dir=tmp_path / "cache", device="cpu"), None)  # it has no task
    assert made.slots >= 1
    assert made.receive(0.01) is None
    made.stop(130)
    made.close()


@pytest.mark.parametrize("executor", OTHERS, indirect=True)
def test_an_item_that_kills_its_worker_does_not_end_the_others(executor: str, tmp_path: Path) -> None:
    outcomes = run(tmp_path, executor, "crashes", "good", "crashes once")
    assert states(outcomes) == ["failed", "done", "done"]
    assert re.search("ended .*(SIGKILL|with status).*2 times", outcomes[0].error)


def test_a_request_to_stop_is_heard_and_nothing_more_is_begun(executor: str, tmp_path: Path) -> None:
    stop, running = Stop(), set()

    def stop_soon(event: Event) -> None:
        names = {name for name, progress in event.workers if progress} if isinstance(event, BatchStatus) else set()
        running.update(names)
        if names:
            stop.request(143)

    with pytest.raises(Interrupted) as raised:
        run(tmp_path, executor, "slow", "slow", "slow", "slow", jobs=1, report=stop_soon, stop=stop)
    assert raised.value.exit_status == 143
    assert "0 slow" in running or "1 slow" in running
    assert not any(name.startswith(("2", "3")) for name in running)
    assert not workers()


@pytest.mark.parametrize("whats", [("good", "good"), pytest.param(("bad part 0",), marks=pytest.mark.thorough)])
def test_a_divided_item_is_the_same(executor: str, whats: tuple[str, ...], tmp_path: Path) -> None:
    jobs = None if executor == "inline" else len(whats) + 1
    outcomes = run(tmp_path, executor, *whats, jobs=jobs, dividing=True)
    divides = executor != "inline"
    assert [o.item.source for o in outcomes] == [item.source for item in items(*whats)]
    assert all((o.state == "failed") == (divides and o.item.source.name == "0 bad part 0") for o in outcomes)
    assert any("frames_inferred" in o.table for o in outcomes) == (divides and whats[0] == "good")


@pytest.mark.thorough
@pytest.mark.parametrize("executor", OTHERS, indirect=True)
def test_clips_have_the_same_bytes(executor: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = three_clips(tmp_path / "clips")
    for name, where in ((executor, "out"), ("inline", "here")):
        command = ("stylize", clips, "--model", "identity", "-o", where, "--cache-dir", f"of-{where}")
        assert len(said_json(capsys, *command, "--executor", name, "--device", "cpu")["items"]) == 3
    made = {p.name: p.read_bytes() for p in Path("out").glob("*.mp4")}
    assert made == {p.name: p.read_bytes() for p in Path("here").glob("*.mp4")}
    assert len(made) == 3


def test_a_full_disk_and_a_bug_are_told_apart(tmp_path: Path) -> None:
    context = Context(cache_dir=tmp_path / "cache")
    results: dict[str, TaskResult] = {}
    for item in items("full", "bug", "bad"):
        results[item.source.name.partition(" ")[2]] = run_task(Task(0, "whole", item.work), context)
    assert [r.disk_full for r in results.values()] == [True, False, False]
    assert [bool(r.traceback) for r in results.values()] == [False, True, False]
    context.stop.request(130)
    assert run_task(Task(0, "whole", items("good")[0].work), context).state == "stopped"


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--executor", "loca"), "did you mean 'local'"),
        (("--executor", "local://host"), "takes no address"),
        (("--executor", "ray://nowhere"), "no HOST:PORT"),
        (("--executor", "ray://127.0.0.1:1"), "no answer ("),
        (("--executor", "inline", "--jobs", "2"), "one job at a time"),
    ],
)
def test_slips_are_told(flags: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    dry_run = "--executor" not in flags or "://" not in flags[1]  # which calls nobody
    assert why in refuse(capsys, 2, "stylize", "a.mp4", "--model", "identity", *flags, dry_run=dry_run)


def test_one_clip_is_made_in_this_process_where_one_worker_would_make_it() -> None:
    given = [{}, {"executor": "inline"}, {"jobs": 2}, {"executor": "local"}]
    assert [BatchOptions(**options).is_inline("cpu") for options in given] == [True, True, False, False]
