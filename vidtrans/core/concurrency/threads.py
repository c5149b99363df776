"""Prefetch a generator in a background thread, run jobs in a background queue, both bounded, and time the steps."""

from __future__ import annotations

import gc
import importlib
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

import cv2

from vidtrans.core.machine import cores

WAITING = ""  # a step that is not counted


class StepClock:
    """Adds up the seconds that threads spend in each step. A step that begins within another one pauses that."""

    def __init__(self) -> None:
        self._lock, self._seconds = threading.Lock(), defaultdict[str, float](float)
        self._local = threading.local()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Count the time in this block as that of a step."""
        outer = getattr(self._local, "name", WAITING)
        self._switch(name)
        try:
            yield
        finally:
            self._switch(outer)

    def take(self) -> dict[str, float]:
        """Return the seconds of each step since the last time, of all threads; of a step that goes on, none yet."""
        with self._lock:
            taken, self._seconds = self._seconds, defaultdict(float)
        return {name: seconds for name, seconds in taken.items() if name != WAITING}

    def _switch(self, name: str) -> None:
        """Count what has passed in this thread as that of the step it was in; it is in ``name`` now."""
        now, local = time.perf_counter(), self._local
        with self._lock:
            self._seconds[getattr(local, "name", WAITING)] += now - getattr(local, "since", now)
        local.name, local.since = name, now


T = TypeVar("T")
BUFFERED_BYTES = 1 << 24  # of pictures, at most, between two stages


def buffer_capacity(width: int, height: int) -> int:
    """Return how many pictures of a size are buffered between two stages."""
    return max(2, min(32, BUFFERED_BYTES // (3 * width * height)))


def stage_buffer_capacity(kind: str, width: int, height: int) -> int:
    """Return the same for stages beside a network on a device of a ``kind``; 0 where they take turns.

    Beside a network on a GPU most cores would stand idle. Even one on a CPU, which fills two by itself, leaves gaps:
    measured there, side by side is 4 to 8 % faster (256x256). On a single core nothing can be.
    """
    return 0 if kind == "cpu" and cores() < 2 else buffer_capacity(width, height)


def import_in_background(name: str) -> None:
    """Import a module in a thread; an import of it elsewhere waits until that is done.

    The garbage collector is off meanwhile: what is imported stays, and collecting takes a tenth of the time.
    """

    def load() -> None:
        enabled = gc.isenabled()
        gc.disable()
        try:
            with suppress(Exception):  # raised again by the import that needs it
                importlib.import_module(name)
        finally:
            if enabled:
                gc.enable()

    if name not in sys.modules:
        threading.Thread(target=load, name="vidtrans-import").start()


@contextmanager
def limit_opencv_threads(kind: str) -> Iterator[None]:
    """Give OpenCV's threads half of the cores beside a network on a CPU: with more they wait for each other."""
    before = cv2.getNumThreads()
    try:
        if kind == "cpu":
            cv2.setNumThreads(min(before, max(1, cores() // 2)))
        yield
    finally:
        cv2.setNumThreads(before)


class Prefetcher(Iterator[T], Generic[T]):
    """Run a generator in a background thread, at most ``capacity`` items ahead of its user.

    With a capacity of 0 there is no thread: an item is made when it is asked for. Order and errors are the generator's,
    which starts with the first item taken. Close it in any case: the generator is then closed in its own thread, after
    the item that it is at. ``clock``: does not count the time for which its user waits.
    """

    def __init__(
        self, source: Generator[T, None, None], capacity: int, name: str, clock: StepClock | None = None
    ) -> None:
        self._source, self._capacity, self._clock = source, capacity, clock or StepClock()
        self._pending: deque[Future[T]] = deque()
        self._pool = ThreadPoolExecutor(1, f"vidtrans-{name}") if capacity else None

    def __next__(self) -> T:
        if self._pool is None:
            return next(self._source)
        while len(self._pending) < self._capacity:
            self._pending.append(self._pool.submit(next, self._source))
        with self._clock.step(WAITING):
            item = self._pending.popleft().result()
        self._pending.append(self._pool.submit(next, self._source))
        return item

    def close(self) -> None:
        """Drop what was not taken; may be called more than once."""
        if self._pool is None or not self._pending:
            self._source.close()
        else:
            for future in self._pending:
                future.cancel()
            self._pool.submit(self._source.close).result()
            self._pending.clear()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


class BackgroundQueue:
    """Run jobs one after another in a background thread; at most ``capacity`` of them wait.

    With a capacity of 0 there is no thread: a job is done when it is put in. After a job that raised none is run, and
    the next call raises its error. Close it in any case: all that was put in is done by then.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pending: deque[Future[None]] = deque()
        self._pool = ThreadPoolExecutor(1, "vidtrans-background") if capacity else None

    def put(self, job: Callable[[], None]) -> None:
        """Put in a job; wait while too many do."""
        if self._pool is None:
            job()
            return
        while self._pending and (self._pending[0].done() or len(self._pending) > self._capacity):
            self._pending.popleft().result()
        with suppress(RuntimeError):  # it was shut down by a job that raised, just now: the next call raises that
            future = self._pool.submit(job)
            future.add_done_callback(self._stop_after_error)
            self._pending.append(future)

    def _stop_after_error(self, future: Future[None]) -> None:
        """Run no further job. The thread calls this before it takes one."""
        if self._pool is not None and not future.cancelled() and future.exception() is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def finish(self) -> None:
        """Wait until all is done."""
        self.close()
        while self._pending:
            self._pending.popleft().result()

    def close(self) -> None:
        """Wait until all is done, or a job has raised; may be called more than once."""
        if self._pool is not None:
            self._pool.shutdown()
