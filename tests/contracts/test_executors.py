"""What every executor does, the one that the docs add included: the same results, whatever fails or stops."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from chain import refuse, said_json
from extending import add_as_page_says, page
from processes import states, workers
from shoot import three_clips
from under_test import put_first

from vidtrans.batch.executors import EXECUTORS, make_executor
from vidtrans.batch.executors.base import SHARED, Task, TaskResult, run_task, shared_options
from vidtrans.batch.inputs import Item
from vidtrans.batch.jobs import Options, run_batch, run_spread
from vidtrans.batch.scheduler import Dividing
from vidtrans.batch.summary import Outcome
from vidtrans.config.recipe import render_recipe
from vidtrans.errors import Interrupted, UsageError, VidtransError
from vidtrans.events import BatchStatus, Event, Stop
from vidtrans.pipeline.stylize_batch import Wish, plan
from vidtrans.session import Context

DIVIDING = Dividing("batch_jobs:divide", "batch_jobs:make_part")
FROM_DOCS = "docs/extend/executor.md"
OUT_OF_PROCESS = sorted(set(EXECUTORS) - {"inline"})


@pytest.fixture(params=[*EXECUTORS, FROM_DOCS])
def executor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of each executor, and of the one that a page of the docs adds."""
    put_first(monkeypatch, Path(__file__).parent)
    if request.param == FROM_DOCS:
        return add_as_page_says(page("executor"), EXECUTORS, monkeypatch)
    return str(request.param)


def items(*whats: str) -> list[Item]:
    return [Item(Path(f"{n} {w}"), None, {"source": Path(f"{n} {w}"), "what": w}, 1) for n, w in enumerate(whats)]


def run(folder: Path, executor: str, *whats: str, jobs: int | None = None, **more: Any) -> list[Outcome]:
    """A batch of ``batch_jobs.job``, of clips that are called what shall happen to them."""
    options, dividing = Options(executor=executor, jobs=jobs), more.pop("dividing", None)
    context = Context(cache_dir=folder / "cache", device="cpu", **more)
    return run_batch(items(*whats), "batch_jobs:job", folder, options, context, dividing)[0]


def told(outcomes: list[Outcome]) -> list[tuple[Any, ...]]:
    """All of the outcomes but in which process each was made."""
    return [(o.item.source, o.state, o.error, o.exit_status, {**o.table, "pid": 0}) for o in outcomes]


def test_results_and_their_order_are_those_of_this_process(executor: str, tmp_path: Path) -> None:
    whats = ("good", "bad", "bug", "good", "good")
    outcomes = run(tmp_path, executor, *whats)
    assert states(outcomes) == ["done", "failed", "failed", "done", "done"]
    assert "KeyError" in outcomes[2].error
    assert told(outcomes) == told(run(tmp_path, "inline", *whats))
    assert run(tmp_path, executor) == []


@pytest.mark.parametrize("name", OUT_OF_PROCESS)
def test_an_item_that_kills_its_worker_does_not_end_the_others(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_first(monkeypatch, Path(__file__).parent)
    outcomes = run(tmp_path, name, "crashes", "good", "crashes once")
    assert states(outcomes) == ["failed", "done", "done"]
    assert "SIGKILL" in outcomes[0].error


def test_a_request_to_stop_is_heard_and_nothing_more_is_begun(executor: str, tmp_path: Path) -> None:
    stop, running = Stop(), set()

    def stop_soon(event: Event) -> None:
        names = {name for name, progress in event.workers if progress} if isinstance(event, BatchStatus) else set()
        running.update(names)
        if names:
            stop.request(143)

    with pytest.raises(Interrupted) as raised:
        run(tmp_path, executor, "slow", "slow", "slow", "slow", report=stop_soon, stop=stop)
    assert raised.value.exit_status == 143
    assert "0 slow" in running or "1 slow" in running
    assert not any(name.startswith(("2", "3")) for name in running)
    assert not workers()


@pytest.mark.parametrize("whats", [("good",), ("good", "good"), ("bad part 0",)])
def test_a_divided_item_is_the_same(executor: str, whats: tuple[str, ...], tmp_path: Path) -> None:
    jobs = None if executor == "inline" else len(whats) + 1
    outcomes = run(tmp_path, executor, *whats, jobs=jobs, dividing=DIVIDING)
    divides = executor != "inline"
    assert [o.item.source for o in outcomes] == [item.source for item in items(*whats)]
    assert all((o.state == "failed") == (divides and o.item.source.name == "0 bad part 0") for o in outcomes)
    assert any("frames_inferred" in o.table for o in outcomes) == (divides and whats[0] == "good")


def test_one_divided_job_raises_what_it_raised(executor: str, tmp_path: Path) -> None:
    context = Context(cache_dir=tmp_path / "cache", device="cpu")
    options = Options(executor=executor, jobs=None if executor == "inline" else 2)
    good, bad = items("good", "bad")
    table = run_spread(good, "batch_jobs:job", options, context, DIVIDING)
    assert table.get("frames_encoded", 4) == 4
    with pytest.raises(VidtransError, match="it is bad") as raised:
        run_spread(bad, "batch_jobs:job", options, context, DIVIDING)
    assert raised.value.exit_status == 3


def test_clips_have_the_same_bytes(executor: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = three_clips(tmp_path / "clips")
    for name, where in ((executor, "out"), ("inline", "here")):
        command = ("stylize", clips, "--model", "identity", "-o", where, "--cache-dir", f"of-{where}")
        assert len(said_json(capsys, *command, "--executor", name, "--device", "cpu")["items"]) == 3
    made = {p.name: p.read_bytes() for p in Path("out").glob("*.mp4")}
    assert made == {p.name: p.read_bytes() for p in Path("here").glob("*.mp4")}
    assert len(made) == 3


def test_an_executor_without_a_task_waits_and_has_none(executor: str, tmp_path: Path) -> None:
    made = make_executor(executor, Context(cache_dir=tmp_path, device="cpu"), None)
    assert made.slots >= 1
    assert made.receive(0.01) is None
    made.stop(130)
    made.close()


def test_what_goes_to_a_worker_and_comes_back_is_picklable(tmp_path: Path) -> None:
    wishes = [Wish(clip, "identity", render_recipe(None, {})) for clip in three_clips(tmp_path / "clips").iterdir()]
    context = Context(cache_dir=tmp_path / "cache", device="cpu", seed=3)
    for item in plan(wishes, tmp_path / "out"):
        task = Task(1, "whole", "vidtrans.pipeline.stylize:stylize", item.arguments)
        again = pickle.loads(pickle.dumps(task))
        assert {f.name: getattr(again, f.name) for f in fields(again)} == task.__dict__
        result = run_task(again, Context(**shared_options(context)))
        assert result.state == "done"
        assert pickle.loads(pickle.dumps(result)) == result
    options = pickle.loads(pickle.dumps(shared_options(context)))
    assert {name: getattr(Context(**options), name) for name in SHARED} == options


def test_a_full_disk_and_a_bug_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = Context(cache_dir=tmp_path / "cache")
    results: dict[str, TaskResult] = {}
    for item in items("full", "bug", "bad"):
        task = Task(0, "whole", "batch_jobs:job", item.arguments)
        results[item.arguments["what"]] = run_task(task, context)
    assert [r.disk_full for r in results.values()] == [True, False, False]
    assert [bool(r.traceback) for r in results.values()] == [False, True, False]
    context.stop.request(130)
    assert run_task(Task(0, "whole", "batch_jobs:job", {}), context).state == "stopped"


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--executor", "loca"), "did you mean 'local'"),
        (("--executor", "local://host"), "takes no address"),
        (("--executor", "inline", "--jobs", "2"), "one clip at a time"),
    ],
)
def test_slips_are_told(flags: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert why in refuse(capsys, 2, "stylize", "a.mp4", "--model", "identity", *flags)


def test_one_clip_is_made_in_this_process_where_one_worker_would_make_it() -> None:
    assert Options().is_inline("cpu")
    assert not Options(jobs=2).is_inline("cpu")
    assert not Options(executor="local").is_inline("cpu")
    assert Options(executor="inline").is_inline("cpu")
    with pytest.raises(UsageError, match="unknown executor"):
        Options(executor="nowhere")


def test_the_registries_and_their_cheap_parts_load_no_torch() -> None:
    code = (
        "import sys\n"
        "from vidtrans.batch.executors import EXECUTORS\n"
        "from vidtrans.models.formats import FORMATS, load_format\n"
        "[EXECUTORS.load(name) for name in EXECUTORS]\n"
        "[load_format(name) for name in FORMATS]\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
