"""Background threads: prefetch a generator, run jobs in a bounded queue, and measure the time of steps."""

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

T = TypeVar("T")  # Type of a generator's items
WAITING = ""  # Name of the step of a ``StepClock`` whose time is not counted
POLL_S = 0.05  # Interval at which ``Prefetcher.close`` checks whether its thread has ended, in seconds
# Maximum size in bytes of the pictures in the buffer between two stages: one of 1080p, or four of 720p
MAX_BUFFERED_BYTES = 12_000_000


def buffer_capacity(width: int, height: int, least: int = 2) -> int:
    """Return the number of pictures to buffer between two stages: from ``least`` to 32, fewer for large pictures."""
    return max(least, min(32, MAX_BUFFERED_BYTES // (3 * width * height)))


def stage_buffer_capacity(kind: str, width: int, height: int) -> int:
    """Return the number of pictures to buffer before and after a network; 0: the stages run one after another.

    ``kind``: the kind of the network's device. ``width``, ``height``: the size of the pictures, in pixels. Parallel
    stages use the cores that are idle while a network runs on a GPU. Even on a CPU of two cores, which a network fills,
    they are 4 to 8 % faster (measured, 256x256). On a single core nothing runs in parallel. With the network on a CPU,
    one large picture in advance is enough: the network is slower than all other stages together.
    """
    if kind != "cpu":
        return buffer_capacity(width, height)
    return 0 if cores() < 2 else buffer_capacity(width, height, least=1)


def decoder_threads(kind: str, width: int, height: int) -> int:
    """Return the number of decoder threads to use with a network on a device ``kind``; 0: one for each core.

    ``width``, ``height``: the size of the pictures, in pixels. Each decoder thread holds pictures of the source in
    memory. For large pictures, a network on a CPU is many times slower than one decoder thread.
    """
    return 1 if kind == "cpu" and buffer_capacity(width, height, least=1) == 1 else 0


def import_torch() -> None:
    """Import torch, if it is not imported yet, without garbage collection, which is faster. Raises import errors.

    Call it directly before torch is needed, and not in a thread: an import holds the interpreter's lock, so that calls
    of other threads into NumPy, OpenCV or FFmpeg wait. Indexing a short clip during the import takes a tenth longer
    than indexing it before.
    """
    if "torch" not in sys.modules:
        with _without_garbage_collection():
            importlib.import_module("torch")


def import_in_background(name: str) -> None:
    """Import a module in a thread; a later import in another thread waits for it, and raises the error of a failure."""

    def load() -> None:
        """Import the module; an error is ignored, because the later import raises it again."""
        with suppress(Exception), _without_garbage_collection():  # The later import raises the error again.
            importlib.import_module(name)

    if name not in sys.modules:
        threading.Thread(target=load, name="vidtrans-import").start()


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Switch the garbage collector off in this block, and exclude all objects at its end from later searches.

    These objects are mostly imported modules, in which the collector finds nothing to free. Its searches take a tenth
    of the time of an import of torch, and as long after it. A cycle that is garbage at the end is never freed.
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
    """Limit OpenCV to half of the cores in this block, if ``kind`` is cpu: with more, OpenCV and the network compete.

    Blocks may overlap, in threads and in generators: the last block to end restores the number of threads.
    """
    if kind != "cpu":
        yield
        return
    with _OPENCV.lock:
        if not _OPENCV.blocks:
            _OPENCV.threads_before = cv2.getNumThreads()
            cv2.setNumThreads(min(_OPENCV.threads_before, max(1, cores() // 2)))
        _OPENCV.blocks += 1
    try:
        yield
    finally:
        with _OPENCV.lock:
            _OPENCV.blocks -= 1
            if not _OPENCV.blocks:
                cv2.setNumThreads(_OPENCV.threads_before)


class _OpenCVThreads:
    """The state of ``limit_opencv_threads``: OpenCV's number of threads before the limit, and the running blocks."""

    def __init__(self) -> None:
        # The lock is reentrant, because the garbage collector may end a generator's block inside another block.
        self.lock, self.blocks, self.threads_before = threading.RLock(), 0, 0


_OPENCV = _OpenCVThreads()  # State that all blocks of ``limit_opencv_threads`` share


class Prefetcher(Iterator[T], Generic[T]):
    """Run a generator in a background thread, which makes up to ``capacity`` items in advance.

    ``name``: part of the thread's name. With capacity 0 there is no thread: items are made on request. The generator
    starts with the first request; its order and its errors are kept. Always close it: the generator is then closed in
    its thread, after its current item. ``clock``: its current step pauses while the consumer waits for an item.
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
        """Drop unused items, and close the generator. May be called more than once."""
        pool, self._pool = self._pool, None
        if pool is None or not self._pending:
            self._source.close()
        else:
            for future in self._pending:
                future.cancel()
            self._pending.clear()
            if threading.current_thread() in self._thread:
                # The garbage collector called ``close`` in the generator's own thread, while it makes an item. The
                # generator cannot be closed now; it ends with its thread.
                pool.shutdown(wait=False)
                return
            self._close_source(pool)
        if pool is not None:
            pool.shutdown()

    def _close_source(self, pool: ThreadPoolExecutor) -> None:
        """Close the generator in its thread, or in this thread if its thread has ended.

        The interpreter or the garbage collector may have ended that thread.
        """
        try:
            ended = pool.submit(self._source.close)
        except RuntimeError:  # The interpreter is exiting.
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
        """Add a job; wait while the queue is full. Raises the error of an earlier job."""
        if self._pool is None:
            job()
            return
        while self._pending and (self._pending[0].done() or len(self._pending) > self._capacity):
            self._pending.popleft().result()
        with suppress(RuntimeError):  # A job has just failed and shut the pool down; the next call raises its error.
            future = self._pool.submit(job)
            future.add_done_callback(self._stop_after_error)
            self._pending.append(future)

    def _stop_after_error(self, future: Future[None]) -> None:
        """Stop the queue if the ended job of ``future`` raised an error, before the thread takes the next job."""
        if self._pool is not None and not future.cancelled() and future.exception() is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def finish(self) -> None:
        """Wait until all jobs are done, and raise the error of a failed job."""
        self.close()
        while self._pending:
            self._pending.popleft().result()

    def close(self) -> None:
        """Wait until all jobs are done, or one has failed. May be called more than once."""
        if self._pool is not None:
            self._pool.shutdown()


class StepClock:
    """A clock that adds up the seconds that all threads spend in each step; waiting times do not count.

    A step inside another step pauses the outer one.
    """

    def __init__(self) -> None:
        self._lock, self._seconds = threading.Lock(), defaultdict[str, float](float)
        self._local = threading.local()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time of this block to the step ``name``."""
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
        """Return the seconds spent in each step by all threads since the last call, without unfinished steps."""
        with self._lock:
            taken, self._seconds = self._seconds, defaultdict(float)
        return {name: seconds for name, seconds in taken.items() if name != WAITING}
