"""One process of a batch: it does the jobs that it is given, one after another, and says how they go.

``batch_crew`` starts it. Pickled messages come on standard input and go out where standard output was: what
libraries print there does not disturb them. It ends with the process that started it, whatever becomes of that.
"""

from __future__ import annotations

import errno
import importlib
import os
import pickle
import queue
import signal
import sys
import threading
import time
import traceback
from typing import Any, BinaryIO

from vidtrans.errors import Interrupted, in_words
from vidtrans.events import Event, Progress, Stop

TELL_S = 0.2  # how often progress is told


class Line:
    """Where messages go out. Safe to share between threads."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self._lock, self._told = out, threading.Lock(), 0.0

    def send(self, *message: Any) -> None:
        with self._lock:
            pickle.dump(message, self._out)
            self._out.flush()

    def report(self, event: Event) -> None:
        """Notes as they come, progress now and then."""
        now = time.monotonic()
        if isinstance(event, Progress):
            if now - self._told < TELL_S:
                return
            self._told = now
        self.send("event", event)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who gave the jobs says when to stop
    line = Line(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    heard = sys.stdin.buffer
    from vidtrans.session import Context

    stop, jobs = Stop(), queue.Queue[tuple[str, dict[str, Any]]]()
    context = Context(report=line.report, stop=stop, **pickle.load(heard))
    threading.Thread(target=_listen, args=(heard, jobs, stop), daemon=True).start()
    line.send("ready")
    while True:
        name, arguments = jobs.get()
        line.send(*_done(name, arguments, context))


def _listen(heard: BinaryIO, jobs: queue.Queue[Any], stop: Stop) -> None:
    while True:
        try:
            message = pickle.load(heard)
        except (EOFError, OSError, pickle.UnpicklingError):
            os._exit(1)  # nobody is left to work for; what is whole is on the disk
        if isinstance(message, int):
            stop.request(message)
        else:
            jobs.put(message)


def _done(name: str, arguments: dict[str, Any], context: Any) -> tuple[Any, ...]:
    """Do a job; the message that says how it went."""
    module, _, function = name.partition(":")
    try:
        context.stop.check()
        table = getattr(importlib.import_module(module), function)(**arguments, context=context)
        return "done", table
    except Interrupted:
        return ("stopped",)
    except Exception as error:
        told = in_words(error)
        if told is None:
            return "failed", f"a bug in vidtrans: {type(error).__name__}: {error}", 1, traceback.format_exc()
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        return "full" if full else "failed", *told, ""
    finally:
        context.cache.save_digests()
