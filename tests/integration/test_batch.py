"""Batches: one bad clip is named and passed over, whatever ends goes on, and nothing is left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import batch_jobs
import pytest
from chain import refuse, vidtrans, vidtrans_json
from directed_clip import three_clips
from processes import Started, needs_signals, states, until, workers
from under_test import put_first

from vidtrans.batch.batch_options import BatchOptions
from vidtrans.batch.executors.local import devices_for
from vidtrans.batch.inputs import Item
from vidtrans.batch.jobs import Outcome, run_batch
from vidtrans.core import machine
from vidtrans.core.errors import Interrupted, VidtransError
from vidtrans.core.events import BatchStatus, Event, Note, Stop
from vidtrans.session import Context

INLINE = BatchOptions(executor="inline")  # to start a worker process takes half a second


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Outcome]]:
    """Runs a batch of ``batch_jobs.job``, here unless said, of clips that are called what shall happen to them."""
    put_first(monkeypatch, Path(__file__).parents[1] / "support")

    def run(*whats: str, options: BatchOptions = INLINE, **context: Any) -> list[Outcome]:
        sources = [Path(f"{n} {what}") for n, what in enumerate(whats)]
        items = [Item(s, None, partial(batch_jobs.job, s, w), 1) for s, w in zip(sources, whats, strict=True)]
        made = Context(cache_dir=tmp_path / "cache", device="cpu", **context)
        return run_batch(items, "job", tmp_path, options, made)[0]

    return run


def log(folder: Path) -> list[str]:
    return (folder / "log").read_text().splitlines()


def test_what_fails_is_passed_over_and_told(batch: Callable[..., list[Outcome]], tmp_path: Path) -> None:
    events: list[Event] = []
    outcomes = batch("good", "bad", "bug", "good", options=BatchOptions(), report=events.append)
    assert states(outcomes) == ["done", "failed", "failed", "done"]
    assert outcomes[1].error == "1 bad: it is bad — give a better one"
    assert (outcomes[1].exit_status, outcomes[2].exit_status) == (3, 1)
    assert "KeyError" in outcomes[2].error
    notes = [e.text for e in events if isinstance(e, Note)]
    assert sum(note.startswith("[") for note in notes) == 4
    assert "[4/4] 3 good: 3 frames, 0.1 s" in notes
    assert any("Traceback" in note for note in notes)
    assert outcomes[0].table["pid"] == outcomes[3].table["pid"] != os.getpid()
    summary = json.loads((tmp_path / "vidtrans-batch.json").read_text())
    assert [summary[state] for state in ("done", "failed", "pending")] == [2, 2, 0]
    failed = {"source": "1 bad", "output": None, "state": "failed", "error": outcomes[1].error, "exit_status": 3}
    assert summary["items"][1] == failed


def test_it_halts_where_that_was_asked_for_and_where_the_disk_is_full(batch: Callable[..., list[Outcome]]) -> None:
    assert states(batch("good", "bad", "good", options=replace(INLINE, halt=True))) == ["done", "failed", "pending"]
    assert batch() == []
    full = batch("good", "full", "good")
    assert states(full) == ["done", "failed", "pending"]
    assert "free some space" in full[1].error


def test_a_batch_in_parts(batch: Callable[..., list[Outcome]], tmp_path: Path) -> None:
    for n in (1, 2):
        batch("good", "good", "good", options=replace(INLINE, shard=f"{n}/2"))
    assert sorted(log(tmp_path)) == ["0 good", "1 good", "2 good"]
    assert {p.name for p in tmp_path.glob("*.json")} == {f"vidtrans-batch.{n}-of-2.json" for n in (1, 2)}


def test_a_stop_lets_each_save_and_begins_no_more(batch: Callable[..., list[Outcome]], tmp_path: Path) -> None:
    stop, busy = Stop(), list[str]()

    def after_a_while(event: Event) -> None:
        if isinstance(event, BatchStatus) and any(doing for _, doing in event.workers):
            busy.extend(name for name, _ in event.workers)
            stop.request(143)

    with pytest.raises(Interrupted) as raised:
        batch("good", "slow", "good", report=after_a_while, stop=stop)
    assert raised.value.exit_status == 143
    assert set(busy) == {"1 slow"}
    summary = json.loads((tmp_path / "vidtrans-batch.json").read_text())
    assert [row["state"] for row in summary["items"]] == ["done", "pending", "pending"]


def test_processes_that_cannot_begin_are_no_reason_to_go_on(
    batch: Callable[..., list[Outcome]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "vidtrans.py").write_text("raise RuntimeError('of another kind')")
    put_first(monkeypatch, tmp_path)
    with pytest.raises(VidtransError, match=r"could not start: .*of another kind"):
        batch("good", "good", options=BatchOptions())
    assert not workers()


def test_one_process_for_each_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_torch_build", lambda: "cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert devices_for("auto", None) == ["cuda:0", "cuda:1"]
    assert devices_for("auto", 3) == ["cuda:0", "cuda:1", "cuda:0"]
    assert devices_for("cuda:1", 2) == ["cuda:1", "cuda:1"]
    assert devices_for("cpu", None) == ["cpu"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices_for("auto", 2) == ["auto", "auto"]


# The command

HERE = ("--executor", "inline")


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Five clips, two of them broken, in a folder of their own."""
    folder = three_clips(tmp_path / "clips")
    (folder / "3.mov").write_bytes(b"no video")
    whole = (folder / "2.mov").read_bytes()
    (folder / "4.mov").write_bytes(whole[: len(whole) // 2])
    return folder


def results(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.glob("*.mp4"))}


def test_a_folder_of_clips(clips: Path) -> None:
    assert "no summary" in vidtrans("stylize", clips, "--model", "identity", "--retry-failed", *HERE, expect=2).stderr
    assert "--model" in vidtrans("stylize", clips, "-o", "out", expect=2).stderr
    given = ("stylize", clips, "--model", "identity", "-o", "out")
    assert "not of the form I/N" in vidtrans(*given, "--shard", "3/2", expect=2).stderr
    first = vidtrans_json(*given, expect=5)
    assert sorted(first["failed"]) == [str(clips / "3.mov"), str(clips / "4.mov")]
    assert (first["frames"], len(first["items"]), first["cached"]) == (27, 3, False)
    assert list(results(Path("out"))) == ["0.identity.mp4", "1.identity.mp4", "2.identity.mp4"]
    alone = ("-o", "alone/1.identity.mp4", "--cache-dir", "c")
    vidtrans("stylize", clips / "1.mov", "--model", "identity", *alone)
    assert results(Path("alone")).items() <= results(Path("out")).items()
    again = vidtrans("stylize", f"{clips}/*.mov", "--model", "identity", "-o", "out", *HERE, expect=5)
    assert again.stderr.count("up to date") == 3
    assert "2 of 5 clips failed" in again.stderr.splitlines()[-1]
    shutil.copy(clips / "0.mov", clips / "3.mov")
    retried = vidtrans_json(*given, "--retry-failed", *HERE, expect=5)
    assert [Path(item["output"]).name for item in retried["items"]] == ["3.identity.mp4"]
    assert list(retried["failed"]) == [str(clips / "4.mov")]
    assert list(Path("out").glob(".*")) == []


def test_a_plan_touches_nothing_and_one_that_fails_says_why_and_points_to_nothing(clips: Path) -> None:
    plan = ("--model", "identity", "--dry-run", *HERE)
    told = vidtrans("stylize", clips / "0.mov", clips / "1.mov", *plan, "-o", "out").stdout
    assert told.count("would render") == 2
    assert not Path("out").exists()
    table = vidtrans_json("stylize", clips / "0.mov", "no.mp4", *plan, expect=5)
    assert "no.mp4: no such file" in table["error"]
    assert "vidtrans-batch" not in table["error"]
    assert table["summary"] is None


@needs_signals
@pytest.mark.thorough
def test_ctrl_c_says_how_to_go_on(clips: Path) -> None:
    process = Started.vidtrans("stylize", str(clips), "--model", "identity", "-o", "out")
    until(lambda: "[1/5]" in process.said()[1] or process.poll() is not None)
    assert process.kill(signal.SIGINT) == 130
    assert "to continue: vidtrans stylize" in process.said()[1]
    assert not workers()
    assert json.loads(Path("out/vidtrans-batch.json").read_text())["pending"] > 0


def test_a_list_of_clips_with_models_and_options_of_their_own(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "night.toml").write_text("""
        model = "identity"
        encoding.codec = "ffv1"
        clips = [
            { source = ["clips/0.mov", "clips/1.mov"] },
            { source = "clips/2.m*", output = "end.mp4", start = 4, encoding.codec = "h264" },
        ]
    """)
    table = vidtrans_json("stylize", tmp_path / "night.toml", "-o", "out", *HERE)
    assert [Path(item["output"]).name for item in table["items"]] == ["0.identity.mkv", "1.identity.mkv", "end.mp4"]
    assert [item["frames"] for item in table["items"]] == [8, 9, 6]


CLIP = "[[clips]]\nsource = 'a.mov'\n"
SLIPS = {
    "": "contains no clips",
    "[[clips]]": "no source",
    CLIP: "no model",
    f"{CLIP}modle = 'x'": "did you mean 'model'",
    "[[clips]]\nsource = 'none/*.mov'\nmodel = 'identity'": "nothing matches",
    "[[clips]]\nsource = ['a.mov', 'b.mov']\nmodel = 'identity'\noutput = 'x.mp4'": "one output for 2",
    f"{CLIP}model = 'identity'\n[clips.temporal]\nradios = 3": "radius",
    f"{CLIP}model = 'identity'\nencoding = 5": "must be a table",
    f"{CLIP}model = 'identity'\nmask = ['x.mp4']": "'mask' in clip 1",
    f"model = 5\n{CLIP}": "it must be text",
    "[[clips": "not valid TOML",
}


def test_slips_in_a_list_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, why in SLIPS.items():
        (tmp_path / "night.toml").write_text(text)
        assert why in refuse(capsys, 2, "stylize", tmp_path / "night.toml", "-o", "out")
