"""Steps of a pipeline side by side: in order, no further ahead than there is room, and gone when they are closed."""

from __future__ import annotations

import gc
import importlib
import shutil
import sys
import threading
import time
from collections.abc import Generator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import cv2
import pytest
from clips import moving_frames
from directed_clip import lossless
from hypothesis import given, settings
from hypothesis import strategies as st

import vidtrans as api
from vidtrans.core.concurrency import threads
from vidtrans.core.concurrency.threads import (
    WAITING,
    Prefetcher,
    StepClock,
    buffer_capacity,
    decoder_threads,
    limit_opencv_threads,
    stage_buffer_capacity,
)
from vidtrans.core.errors import Interrupted, MediaError
from vidtrans.core.events import Event, Progress, Stop


def own_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("vidtrans-")]


def test_what_is_dropped_in_a_cycle_ends_with_it() -> None:
    """A pool that is garbage ends its thread before the generator that waits for it is closed."""
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


@settings(max_examples=15)
@given(st.integers(0, 20), st.sampled_from([0, 1, 7]))
def test_all_comes_in_order_and_what_is_raised_is_raised_where_it_was(count: int, room: int) -> None:
    def source() -> Generator[int, None, None]:
        yield from range(count)
        raise MediaError("clip", "broken", "")

    with closing(Prefetcher(source(), room, "test")) as ahead:
        assert [next(ahead) for _ in range(count)] == list(range(count))
        with pytest.raises(MediaError, match="broken"):
            next(ahead)
    with closing(Prefetcher((i for i in range(count)), room, "test")) as ahead:
        assert list(ahead) == list(range(count))
        assert next(ahead, None) is None
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


def test_buffers_and_threads_follow_cores_the_network_and_the_size_of_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 1)
    assert stage_buffer_capacity("cpu", 256, 256) == 0  # steps take turns with it
    assert stage_buffer_capacity("cuda", 256, 256) == buffer_capacity(256, 256) == 32
    monkeypatch.setattr(threads, "cores", lambda: 8)
    assert stage_buffer_capacity("cpu", 7680, 4320) == 1
    assert [decoder_threads(kind, 3840, 2160) for kind in ("cpu", "cuda")] == [1, 0]
    assert [buffer_capacity(3840, 2160, least) for least in (1, 2)] == [1, 2]
    assert [decoder_threads("cpu", *size) for size in ((1920, 1080), (1280, 720))] == [1, 0]


@pytest.mark.parametrize(
    ("kind", "processors", "expected"), [("cpu", 8, 4), ("cpu", 1, 1), ("cpu", 100, 5), ("cuda", 8, 5)]
)
def test_beside_a_network_on_the_cpu_opencv_has_half_of_the_cores(
    kind: str, processors: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "cores", lambda: processors)
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(5)
        with limit_opencv_threads(kind):
            assert cv2.getNumThreads() == expected
        assert cv2.getNumThreads() == 5
    finally:
        cv2.setNumThreads(before)


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


# Renders


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("ahead")
    lossless(folder / "clip.mp4", moving_frames(30, shots=(0, 12)))
    shutil.copyfile(tiny_model, folder / "m.safetensors")
    return folder


def render(place: Path, name: str, cores: int, monkeypatch: pytest.MonkeyPatch, temporal: str, **more: Any) -> bytes:
    monkeypatch.setattr(threads, "cores", lambda: cores)
    tables = {"rendering": {"chunk_frames": 7}, "temporal": {"name": temporal}}
    output = place / f"{name}.mp4"
    api.stylize(place / "clip.mp4", place / "m.safetensors", output, settings=tables, cache_dir=place / name, **more)
    return output.read_bytes()


@pytest.mark.parametrize("temporal", [pytest.param("window", marks=pytest.mark.thorough), "causal"])
def test_side_by_side_and_stopped_and_gone_on_with_in_turns_the_result_is_the_same(
    place: Path, monkeypatch: pytest.MonkeyPatch, temporal: str
) -> None:
    stop = Stop()

    def after_some(event: Event) -> None:
        if isinstance(event, Progress) and event.task.startswith("rendering") and event.done >= 17:
            stop.request(130)

    whole, name = render(place, f"whole-{temporal}", 1, monkeypatch, temporal), f"stopped-{temporal}"
    with pytest.raises(Interrupted):
        render(place, name, 16, monkeypatch, temporal, report=after_some, stop=stop)
    assert not own_threads()
    assert not (place / f"{name}.mp4").exists()
    assert list((place / name).rglob("chunk-000000.json"))
    assert render(place, name, 1, monkeypatch, temporal) == whole
    assert render(place, f"beside-{temporal}", 16, monkeypatch, temporal) == whole
    assert not own_threads()


# The clock of steps


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


def test_threads_add_up(pass_time: list[float]) -> None:
    clock, inside, go_on = StepClock(), threading.Event(), threading.Event()

    def work() -> None:
        with clock.step("read"):
            inside.set()
            go_on.wait()

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait()
    with clock.step("read"):
        pass_time[0] += 4
    assert clock.take() == {"read": 4}  # the other thread's step goes on
    go_on.set()
    thread.join()
    assert clock.take() == {"read": 4}
