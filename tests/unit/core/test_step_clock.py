"""The clock of steps: what each takes without those that it waits for."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from vidtrans.core.concurrency import threads
from vidtrans.core.concurrency.threads import WAITING, StepClock


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
    assert clock.take() == {}


def test_an_error_ends_a_step(pass_time: list[float]) -> None:
    clock = StepClock()

    with suppress(ValueError), clock.step("encode"):
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
