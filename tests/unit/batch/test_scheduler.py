"""What a batch reports of jobs that count other things than frames, and that an earlier run had begun."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from vidtrans.batch import scheduler
from vidtrans.batch.batch_options import BatchOptions
from vidtrans.batch.inputs import Item
from vidtrans.batch.jobs import run_jobs
from vidtrans.core.events import BatchStatus, Event, Note, Progress
from vidtrans.session import Context


def resumed(context: Context) -> dict[str, Any]:
    context.note("going on")
    for step in range(91, 101):
        time.sleep(0.001)
        context.report(Progress("training", step, 100, "steps", counted=True))
    return {"steps": 100, "seconds": 0.05, "cached": False}


def test_the_rest_is_estimated_without_what_an_earlier_run_had_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "REPORT_S", 0.0)
    events: list[Event] = []
    context = Context(cache_dir=tmp_path / "cache", device="cpu", report=events.append)
    items = [Item(tmp_path / "one.dataset", None, resumed, 100, name=f"lr={n}") for n in (1, 2)]
    run_jobs(items, BatchOptions(executor="inline"), context, ("trainings", "steps"))
    shown = [event for event in events if isinstance(event, BatchStatus)]
    assert {event.nouns for event in shown} == {("trainings", "steps")}
    assert [event.units for event in shown] == sorted(event.units for event in shown)
    assert max(event.units for event in shown) == 19  # 10 of the first, and of the second those after its first report
    *_, last = (event for event in shown if event.done == 0 and event.left_s is not None)
    seconds_per_step = (last.left_s or 0) / 101  # the last step of the first, and 100 of the second
    assert seconds_per_step == pytest.approx(1 / last.rate)
    notes = [event.text for event in events if isinstance(event, Note)]
    assert notes[0] == "lr=1: going on"
    assert "one.dataset: 100 steps" in notes[1]
