"""Steps of a pipeline side by side: in order, no further ahead than there is room, and gone when they are closed."""

from __future__ import annotations

import gc
import importlib
import sys
import threading
import time
from collections.abc import Generator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from clips import moving_frames
from directed_clip import lossless
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import make_model

import vidtrans as api
from vidtrans.core import threads
from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Event, Progress, Stop
from vidtrans.core.threads import WAITING, Prefetcher, StepClock


def own_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("vidtrans-")]


def test_what_is_dropped_in_a_cycle_ends_with_it() -> None:
    closed = []

    def source() -> Generator[int, None, None]:
        try:
            yield from range(100)
        finally:
            closed.append(1)

    def ahead(items: Generator[int, None, None]) -> Generator[int, None, None]:
        with closing(Prefetcher(items, 2, "test")) as fetched:
            yield from fetched

    def drop() -> None:
        made = ahead(ahead(source()))
        cycle: list[Any] = [made, next(made)]
        cycle.append(cycle)
        del made, cycle
        gc.collect()

    thread = threading.Thread(target=drop, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert closed == [1]
    assert not own_threads()


@given(st.integers(0, 12), st.integers(1, 5))
@settings(max_examples=15)
def test_it_is_never_further_ahead_than_there_is_room_and_closes_its_source(taken: int, room: int) -> None:
    made, closed = [], []

    def source() -> Generator[int, None, None]:
        try:
            for number in range(1000):
                made.append(number)
                yield number
        finally:
            closed.append(threading.current_thread().name)

    ahead = Prefetcher(source(), room, "test")
    for _ in range(taken):
        next(ahead)
        assert len(made) <= taken + room + 1
    ahead.close()
    ahead.close()
    assert len(made) <= taken + room + 1
    assert closed == (["vidtrans-test_0"] if taken else [])  # a generator that was not begun has nothing to end
    assert not own_threads()


def test_what_is_imported_beside_is_waited_for_and_what_is_wrong_with_it_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "slow_to_import.py").write_text("import gc, time\ntime.sleep(0.05)\nlooked_through = gc.isenabled()\n")
    (tmp_path / "breaks_when_imported.py").write_text("raise OSError('a library is missing')\n")
    threads.import_in_background("slow_to_import")
    while "slow_to_import" not in sys.modules:
        time.sleep(0.001)
    assert not importlib.import_module("slow_to_import").looked_through
    threads.import_in_background("breaks_when_imported")
    for thread in threading.enumerate():
        if thread.name == "vidtrans-import":
            thread.join()
    assert gc.isenabled()
    with pytest.raises(OSError, match="a library is missing"):
        importlib.import_module("breaks_when_imported")


def test_side_by_side_and_stopped_and_gone_on_with_in_turns_the_result_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip, model = lossless(Path("clip.mp4"), moving_frames(18, shots=(0, 8))), make_model("m.safetensors", "edges")
    tables = {"rendering": {"chunk_frames": 5}, "temporal": {"name": "causal"}}
    stop = Stop()

    def render(name: str, cores: int, **more: Any) -> bytes:
        monkeypatch.setattr(threads, "cores", lambda: cores)
        api.stylize(clip, model, f"{name}.mp4", settings=tables, cache_dir=Path(name), **more)
        return Path(f"{name}.mp4").read_bytes()

    def after_some(event: Event) -> None:
        if isinstance(event, Progress) and event.task.startswith("rendering") and event.done >= 11:
            stop.request(130)

    whole = render("whole", 1)
    with pytest.raises(Interrupted):
        render("stopped", 16, report=after_some, stop=stop)
    assert not own_threads()
    assert not Path("stopped.mp4").exists()
    assert list(Path("stopped").rglob("chunk-000000.json"))
    assert render("stopped", 1) == whole
    assert not own_threads()


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(threads.time, "perf_counter", lambda: now[0])
    return now


def test_a_step_within_another_one_pauses_that(pass_time: list[float]) -> None:
    clock = StepClock()
    with clock.step("filter"):
        pass_time[0] += 1
        with clock.step("network"):
            pass_time[0] += 10
            with clock.step(WAITING):
                pass_time[0] += 1000
        pass_time[0] += 2
    pass_time[0] += 500
    assert clock.take() == {"filter": 3, "network": 10}
    with suppress(ValueError), clock.step("encode"):  # an error ends it
        pass_time[0] += 1
        raise ValueError
    pass_time[0] += 7
    assert clock.take() == {"encode": 1}
