"""Work beside the work: jobs that a second thread does in order, so that encoding waits for no network."""

from __future__ import annotations

import gc
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Full, Queue

import cv2

from vidtrans.machine import cores

Job = Callable[[], None]
WAITING_BYTES = 1 << 26  # of pictures, at most, between two steps
_LOOK_S = 0.2  # how often one that waits for room looks whether the thread still works


def room_for(width: int, height: int) -> int:
    """How many pictures of a size may wait between two steps of a pipeline."""
    return max(2, min(32, WAITING_BYTES // (3 * width * height)))


def room_beside(kind: str, width: int, height: int) -> int:
    """The same for steps beside a network on a device of a ``kind``; 0 where they should take turns.

    Beside a network on a GPU most cores would stand idle. Even one on a CPU, which fills two by itself, leaves gaps:
    measured there, side by side is 4 to 8 % faster (256x256). On a single core nothing can be.
    """
    return 0 if kind == "cpu" and cores() < 2 else room_for(width, height)


def begin_import(name: str) -> None:
    """Import a module beside other work; who needs it meanwhile waits for it.

    Meanwhile nothing is looked through for garbage: what is imported stays, and looking takes a tenth of the time.
    """

    def load() -> None:
        enabled = gc.isenabled()
        gc.disable()
        try:
            with suppress(Exception):  # who needs it hears of it
                importlib.import_module(name)
        finally:
            if enabled:
                gc.enable()

    if name not in sys.modules:
        threading.Thread(target=load, name="vidtrans-import").start()


@contextmanager
def sharing_cores(kind: str) -> Iterator[None]:
    """Beside a network on a CPU, OpenCV's own threads get half of the cores: more, and they wait for each other."""
    before = cv2.getNumThreads()
    try:
        if kind == "cpu":
            cv2.setNumThreads(min(before, max(1, cores() // 2)))
        yield
    finally:
        cv2.setNumThreads(before)


class Background:
    """Does jobs one after another in a thread of its own; no more than ``waiting`` of them wait.

    With 0 there is no thread, a job is done when it is handed over. What a job raises ends the thread, and is raised
    again by the next call. Close it in any case: what was handed over is done by then.
    """

    def __init__(self, waiting: int) -> None:
        self._jobs: Queue[Job | None] = Queue(waiting)
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        if waiting:
            self._thread = threading.Thread(target=self._work, name="vidtrans-background", daemon=True)
            self._thread.start()

    def put(self, job: Job) -> None:
        """Hand over a job; waits while too many do."""
        if self._thread is None:
            job()
            return
        self._put(self._thread, job)
        self._check()

    def finish(self) -> None:
        """Wait until all is done."""
        self.close()
        self._check()

    def close(self) -> None:
        """Wait until all is done, or something was raised; may be called more than once."""
        if self._thread is not None:
            self._put(self._thread, None)
            self._thread.join()

    def _put(self, thread: threading.Thread, job: Job | None) -> None:
        while thread.is_alive():
            try:
                self._jobs.put(job, timeout=_LOOK_S)
                return
            except Full:
                continue

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                job()
        except BaseException as error:  # raised again where somebody waits
            self._error = error
