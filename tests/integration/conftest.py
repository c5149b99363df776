"""What ends a job on its way, for the tests of what goes on after that, and a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chromium import chromium
from processes import KILLED_STATUSES, Started

from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Event, Note, Progress, Stop

KILLED = """
import os, signal, torch
import vidtrans as api
from vidtrans.core import threads
from vidtrans.core.events import Progress

def report(event):
    if isinstance(event, Progress) and event.task.startswith({task!r}) and event.done == {at}:
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

torch.set_num_threads(1)
threads.cores = lambda: 1  # the steps take turns, so that what is done at a frame is known
api.{job}(*{arguments!r}, report=report, **{options!r})
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser in which sounds play unasked, with a camera that shows a pattern."""
    with chromium("--autoplay-policy=no-user-gesture-required", "--use-fake-ui-for-media-stream") as opened:
        yield opened


@pytest.fixture
def stopped() -> Callable[..., list[str]]:
    """Run a job, ask it to stop when ``at`` units of a task are done, and return the notes that it reported."""

    def run(job: Callable[..., Any], task: str, at: int, *arguments: Any, **options: Any) -> list[str]:
        stop, notes = Stop(), list[str]()

        def report(event: Event) -> None:
            if isinstance(event, Note):
                notes.append(event.text)
            if isinstance(event, Progress) and event.task.startswith(task) and event.done >= at:
                stop.request(130)

        with pytest.raises(Interrupted):
            job(*arguments, report=report, stop=stop, **options)
        return notes

    return run


@pytest.fixture
def killed() -> Callable[..., None]:
    """Run ``api.JOB`` in a process that kills itself at a rendered frame, or when so much of another task is done."""

    def run(job: str, at: int, *arguments: object, task: str = "rendering", **options: Any) -> None:
        words = [str(argument) for argument in arguments]
        process = Started("-c", KILLED.format(job=job, task=task, at=at, arguments=words, options=options))
        assert process.wait() in KILLED_STATUSES, process.said()

    return run
