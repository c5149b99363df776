"""A worker process: receive tasks, run them one at a time, send their results.

``local`` starts it. Pickled messages arrive on standard input and leave on the original standard output; prints of
libraries are redirected, so they cannot disturb the messages. The worker ends when its parent process ends.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
import time
from typing import BinaryIO

from vidtrans.batch.executors.base import Task, run_task
from vidtrans.core.events import Event, Progress, Stop
from vidtrans.core.machine import set_up_heap

REPORT_S = 0.2  # seconds between two progress reports


class _MessageWriter:
    """A thread-safe writer of pickled messages."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self._lock, self._reported = out, threading.Lock(), 0.0

    def send(self, message: object) -> None:
        with self._lock:
            pickle.dump(message, self._out)
            self._out.flush()

    def report(self, event: Event) -> None:
        """Send every note, and progress at most every ``REPORT_S`` seconds."""
        now = time.monotonic()
        if isinstance(event, Progress):
            if now - self._reported < REPORT_S:
                return
            self._reported = now
        self.send(event)


def main() -> None:
    """Run tasks until standard input is closed."""
    set_up_heap()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process sends the stop request
    writer = _MessageWriter(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    messages = sys.stdin.buffer
    from vidtrans.session import Context

    stop, tasks = Stop(), queue.Queue[Task]()
    context = Context(report=writer.report, stop=stop, **pickle.load(messages))
    threading.Thread(target=_listen, args=(messages, tasks, stop), daemon=True).start()
    writer.send("ready")
    while True:
        writer.send(run_task(tasks.get(), context))


def _listen(messages: BinaryIO, tasks: queue.Queue[Task], stop: Stop) -> None:
    while True:
        try:
            message = pickle.load(messages)
        except Exception:
            os._exit(1)  # the parent has ended; finished chunks are on the disk
        if isinstance(message, int):
            stop.request(message)
        else:
            tasks.put(message)
