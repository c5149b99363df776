"""Background threads: prefetch a generator, run jobs in a bounded queue, and time their steps."""

from __future__ import annotations

import gc
import importlib
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

import cv2

from vidtrans.core.machine import cores

T = TypeVar("T")
WAITING = ""  # a step that is not counted
POLL_S = 0.05  # while a thread ends
BUFFERED_BYTES = 12_000_000  # of pictures, at most, between two stages: one of 1080p, four of 720p


def buffer_capacity(width: int, height: int, least: int = 2) -> int:
    """Return the number of pictures of this size that are buffered between two stages, at least ``least``."""
    return max(least, min(32, BUFFERED_BYTES // (3 * width * height)))


def stage_buffer_capacity(kind: str, width: int, height: int) -> int:
    """Return ``buffer_capacity`` for the stages around a network on a device of a ``kind``; 0: the stages take turns.

    Parallel stages use the cores that are idle while a network runs on a GPU. Even on a CPU of two cores, which a
    network fills, they are 4 to 8 % faster (measured, 256x256). On a single core nothing runs in parallel. Beside a
    CPU's network one large picture in advance is enough: the network takes longer for it than all other stages.
    """
    if kind != "cpu":
        return buffer_capacity(width, height)
    return 0 if cores() < 2 else buffer_capacity(width, height, least=1)


def decoder_threads(kind: str, width: int, height: int) -> int:
    """Return the number of threads that decode for a network on a device of a ``kind``; 0: one for each core.

    Each of the decoder's threads holds pictures of the source. For a large picture, a network on a CPU takes many times
    as long as one thread that decodes.
    """
    return 1 if kind == "cpu" and buffer_capacity(width, height, least=1) == 1 else 0


def import_torch() -> None:
    """Import torch, if it is not imported yet, in the least time. Raises as an import does.

    Call it where torch is needed next, not in a thread beside other work: an import holds the interpreter's lock, for
    which each call of the other work into NumPy, OpenCV or FFmpeg then waits. An import beside the indexing of a short
    clip takes a tenth longer than one after it.
    """
    if "torch" not in sys.modules:
        with _no_search_for_cycles():
            importlib.import_module("torch")


def import_in_background(name: str) -> None:
    """Import a module in a thread; a later import by another thread waits for it, and raises its error if it failed."""

    def load() -> None:
        with suppress(Exception), _no_search_for_cycles():  # raised again by the import that needs it
            importlib.import_module(name)

    if name not in sys.modules:
        threading.Thread(target=load, name="vidtrans-import").start()


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Switch the garbage collector off in this block, and have it never search what is alive at its end.

    That is, modules that are imported there, and little else: a cycle that is garbage by then is never freed. It would
    find nothing to free. Its searches take a tenth of the time of an import of torch, and as long after it.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if enabled:
            gc.enable()


@contextmanager
def limit_opencv_threads(kind: str) -> Iterator[None]:
    """Give OpenCV half of the cores in this block if a network runs on the CPU; with more, they wait for each other.

    Blocks may overlap, in threads and in generators: the last one to end restores the number of threads.
    """
    if kind != "cpu":
        yield
        return
    with _OPENCV.lock:
        if not _OPENCV.blocks:
            _OPENCV.before = cv2.getNumThreads()
            cv2.setNumThreads(min(_OPENCV.before, max(1, cores() // 2)))
        _OPENCV.blocks += 1
    try:
        yield
    finally:
        with _OPENCV.lock:
            _OPENCV.blocks -= 1
            if not _OPENCV.blocks:
                cv2.setNumThreads(_OPENCV.before)


class _OpenCVThreads:
    """OpenCV's number of threads ``before`` it was limited, and how many ``blocks`` limit it."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may end a block of a generator in the middle of another.
        self.lock, self.blocks, self.before = threading.RLock(), 0, 0


_OPENCV = _OpenCVThreads()


class Prefetcher(Iterator[T], Generic[T]):
    """Run a generator in a background thread, which makes up to ``capacity`` items in advance.

    With capacity 0 there is no thread: items are made on request. Order and errors are the generator's, which starts
    with the first request. Always close it: the generator is then closed in its own thread, after its current item.
    ``clock``: pauses the consumer's current step while it waits for an item.
    """

    def __init__(
        self, source: Generator[T, None, None], capacity: int, name: str, clock: StepClock | None = None
    ) -> None:
        self._source, self._capacity, self._clock = source, capacity, clock or StepClock()
        self._pending: deque[Future[T]] = deque()
        self._pool: ThreadPoolExecutor | None = None
        if capacity:
            self._thread = thread = list[threading.Thread]()
            self._pool = ThreadPoolExecutor(1, f"vidtrans-{name}", lambda: thread.append(threading.current_thread()))

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
        """Drop the items that were not used, and close the generator. May be called more than once."""
        pool, self._pool = self._pool, None
        if pool is None or not self._pending:
            self._source.close()
        else:
            for future in self._pending:
                future.cancel()
            self._pending.clear()
            if threading.current_thread() in self._thread:
                # The garbage collector, in the middle of an item: the generator ends with its thread.
                pool.shutdown(wait=False)
                return
            self._close_source(pool)
        if pool is not None:
            pool.shutdown()

    def _close_source(self, pool: ThreadPoolExecutor) -> None:
        """Close the generator in its own thread; here, if the interpreter or the garbage collector ended that.

        A pool that is garbage ends its thread, and takes jobs all the same.
        """
        try:
            ended = pool.submit(self._source.close)
        except RuntimeError:  # the interpreter ends
            self._source.close()
            return
        while not wait([ended], POLL_S).done:
            if not all(thread.is_alive() for thread in self._thread) and ended.cancel():
                self._source.close()
                return
        ended.result()


class BackgroundQueue:
    """Run jobs one after another in a background thread; at most ``capacity`` jobs wait.

    With capacity 0 there is no thread: ``put`` runs the job. After a job has raised, no further job runs, and the next
    ``put`` or ``finish`` raises its error. Always close it, which waits for the jobs in the queue.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pending: deque[Future[None]] = deque()
        self._pool = ThreadPoolExecutor(1, "vidtrans-background") if capacity else None

    def put(self, job: Callable[[], None]) -> None:
        """Add a job; wait while the queue is full."""
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
        """Stop the queue after an error; the thread calls this before it takes the next job."""
        if self._pool is not None and not future.cancelled() and future.exception() is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def finish(self) -> None:
        """Wait until all jobs are done, and raise the error of a failed job."""
        self.close()
        while self._pending:
            self._pending.popleft().result()

    def close(self) -> None:
        """Wait until all jobs are done, or one has raised. May be called more than once."""
        if self._pool is not None:
            self._pool.shutdown()


class StepClock:
    """Adds up the seconds that threads spend in each step, without waits. A nested step pauses the outer one."""

    def __init__(self) -> None:
        self._lock, self._seconds = threading.Lock(), defaultdict[str, float](float)
        self._local = threading.local()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Count the time in this block for the step ``name``."""
        local, began = self._local, time.perf_counter()
        outer = getattr(local, "name", WAITING)
        with self._lock:
            self._seconds[outer] += began - getattr(local, "since", began)
        local.name, local.since = name, began
        try:
            yield
        finally:
            ended = time.perf_counter()
            with self._lock:
                self._seconds[name] += ended - local.since
            local.name, local.since = outer, ended

    def take(self) -> dict[str, float]:
        """Return the seconds of each step since the last call, of all threads; unfinished steps are not counted yet."""
        with self._lock:
            taken, self._seconds = self._seconds, defaultdict(float)
        return {name: seconds for name, seconds in taken.items() if name != WAITING}
