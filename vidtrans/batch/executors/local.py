"""Run tasks in worker processes on this machine, started on demand and replaced when one dies.

A worker receives tasks, runs them one at a time and sends their results. Pickled messages arrive on its standard input
and leave on its original standard output; prints of libraries are redirected, so they cannot disturb the messages. It
ends when its parent process ends.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from typing import IO, Any, BinaryIO, ClassVar

from vidtrans.batch.executors import Task, TaskResult, run_task, shared_options
from vidtrans.core.errors import VidtransError
from vidtrans.core.events import Event, Progress, Report, Stop
from vidtrans.core.machine import cuda_devices, set_up_heap
from vidtrans.core.settings import Table
from vidtrans.core.system import module_command
from vidtrans.session import Context

REPORT_S = 0.2  # seconds between two progress reports
LAST_LINES = 20  # of a process's standard error, kept for the error message
ENDING_S = 5.0  # time for a process to end before it is killed


class LocalExecutor:
    """An executor with worker processes, by default one per device. The task of a worker that dies is lost."""

    ahead: ClassVar[int] = 0
    takes_address: ClassVar[bool] = False

    def __init__(self, context: Context, jobs: int | None, address: str) -> None:
        self._devices = devices_for(context.device, jobs)  # devices without a worker
        self.slots = len(self._devices)
        self._options = shared_options(context)
        self._messages: queue.Queue[tuple[Worker, Any]] = queue.Queue()
        self._idle: list[Worker] = []
        self._busy: dict[Worker, tuple[Task, Report]] = {}

    def submit(self, task: Task, report: Report) -> None:
        """Send the task to an idle worker, or to a new one."""
        worker = self._idle.pop(0) if self._idle else Worker(self._devices.pop(0), self._options, self._messages)
        self._busy[worker] = task, report
        worker.send(task)

    def receive(self, timeout_s: float) -> tuple[Task, TaskResult] | None:
        """Handle a worker's message; return its task if that has ended. Raises VidtransError if it cannot start."""
        try:
            worker, message = self._messages.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if message is None:
            return self._lose(worker)
        if isinstance(message, TaskResult):
            self._idle.append(worker)
            return self._busy.pop(worker)[0], message
        if worker in self._busy:  # else a late note of the task before
            self._busy[worker][1](message)
        return None

    def _lose(self, worker: Worker) -> tuple[Task, TaskResult] | None:
        """Free the device of a dead worker, and report its task, if any, as lost."""
        worker.end()
        self._devices.append(worker.device)
        if worker in self._idle:
            self._idle.remove(worker)
        task, _ = self._busy.pop(worker, (None, None))
        if not worker.is_ready:
            raise VidtransError("a worker process could not start", worker.fate, "run 'vidtrans doctor'")
        return None if task is None else (task, TaskResult("lost", error=worker.fate))

    def stop(self, exit_status: int) -> None:
        """Send the stop request to every busy worker."""
        for worker in self._busy:
            worker.send(exit_status)

    def close(self) -> None:
        """End all processes."""
        for worker in (*self._busy, *self._idle):
            worker.end()


class Worker:
    """A process on a ``device`` that receives tasks, and an exit status as the stop request.

    Its output arrives in ``messages`` as (worker, message), and (worker, None) when it has ended.
    """

    def __init__(self, device: str, options: Table, messages: queue.Queue[tuple[Worker, Any]]) -> None:
        self.device, self.is_ready = device, False
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._process = subprocess.Popen(
            module_command("vidtrans.batch.executors.local"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Only the parent process handles Ctrl-C.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # on Windows
        )
        pipes = self._process.stdin, self._process.stdout, self._process.stderr
        self._stdin, stdout, stderr = (pipe for pipe in pipes if pipe)
        self._outputs = stdout, stderr
        self._readers = [
            threading.Thread(target=self._read_messages, args=(stdout, messages), daemon=True),
            threading.Thread(target=self._read_lines, args=(stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self.send({**options, "device": device})

    def send(self, message: Task | int | Table) -> None:
        """Send a message; if the process has ended, ``messages`` reports it."""
        with suppress(OSError):
            pickle.dump(message, self._stdin)
            self._stdin.flush()

    def end(self) -> None:
        """End the process, even if it is busy."""
        with suppress(OSError):
            self._stdin.close()  # the worker then ends
        try:
            self._process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in self._outputs:
            pipe.close()

    @property
    def fate(self) -> str:
        """Return how the process ended, as text."""
        status = self._process.returncode
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        message = f": {self._lines[-1]}" if self._lines else ""
        return f"its process was ended {how}{message}"

    def _read_messages(self, stdout: IO[bytes], messages: queue.Queue[tuple[Worker, Any]]) -> None:
        with suppress(Exception):  # the process has ended, or its message is unreadable
            while True:
                message = pickle.load(stdout)
                if message == "ready":
                    self.is_ready = True
                else:
                    messages.put((self, message))
        messages.put((self, None))

    def _read_lines(self, stderr: IO[bytes]) -> None:
        for line in stderr:
            if text := line.decode(errors="replace").strip():
                self._lines.append(text)


def devices_for(device: str, jobs: int | None) -> list[str]:
    """Return the device of each of ``jobs`` workers, for ``auto`` spread over all GPUs; None: one worker per device."""
    count = cuda_devices() if device in ("auto", "cuda") else 0
    places = [f"cuda:{n}" for n in range(count)] if count > 1 else [device]
    return [places[n % len(places)] for n in range(jobs or len(places))]


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
