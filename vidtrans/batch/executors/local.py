"""The executor that runs tasks in worker processes on this machine, started on demand and replaced when one dies.

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
from vidtrans.core.child_process import end_process, module_command, take_output
from vidtrans.core.errors import VidtransError
from vidtrans.core.events import Event, Progress, Report, Stop
from vidtrans.core.machine import num_cuda_devices, set_up_heap
from vidtrans.core.settings import Table
from vidtrans.session import Context

REPORT_S = 0.2  # Minimum interval of a worker's progress messages, in seconds
NUM_STDERR_LINES = 20  # Number of last lines of a worker's standard error that are stored for the error message
EXIT_TIMEOUT_S = 5.0  # Time limit for a worker to end by itself before it is killed, in seconds


class LocalExecutor:
    """An executor with worker processes, by default one per device. The task of a worker that dies is lost."""

    takes_address: ClassVar[bool] = False

    def __init__(self, context: Context, jobs: int | None, address: str) -> None:
        self._free_devices = devices_for(context.device, jobs)
        self.slots = len(self._free_devices)
        self._options = shared_options(context)
        self._messages: queue.Queue[tuple[Worker, Any]] = queue.Queue()
        self._idle: list[Worker] = []
        self._busy: dict[Worker, tuple[Task, Report]] = {}

    def submit(self, task: Task, report: Report) -> None:
        """Send a task to an idle worker, or to a new one on a free device."""
        worker = self._idle.pop(0) if self._idle else Worker(self._free_devices.pop(0), self._options, self._messages)
        self._busy[worker] = task, report
        worker.send(task)

    def receive(self, timeout_s: float) -> tuple[Task, TaskResult] | None:
        """Handle one message of a worker; return its task and the result if the task ended, otherwise None.

        Raises VidtransError if a worker could not start.
        """
        try:
            worker, message = self._messages.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if message is None:
            return self._handle_exit(worker)
        if isinstance(message, TaskResult):
            self._idle.append(worker)
            return self._busy.pop(worker)[0], message
        if worker in self._busy:  # Otherwise the message is a late note of the worker's last task.
            self._busy[worker][1](message)
        return None

    def _handle_exit(self, worker: Worker) -> tuple[Task, TaskResult] | None:
        """Free the device of a worker that died; return its task, if any, with the result "lost"."""
        worker.end()
        self._free_devices.append(worker.device)
        if worker in self._idle:
            self._idle.remove(worker)
        task, _ = self._busy.pop(worker, (None, None))
        if not worker.is_ready:
            raise VidtransError("a worker process could not start", worker.exit_reason, "run 'vidtrans doctor'")
        return None if task is None else (task, TaskResult("lost", error=worker.exit_reason))

    def stop(self, exit_status: int) -> None:
        """Send the stop request to all busy workers. ``exit_status``: that of the command."""
        for worker in self._busy:
            worker.send(exit_status)

    def close(self) -> None:
        """End all worker processes."""
        for worker in (*self._busy, *self._idle):
            worker.end()


class Worker:
    """A worker process that runs tasks on a ``device``. An exit status that it receives is a stop request.

    ``options``: fields of the tasks' context, sent to the process. The process's messages arrive in the queue
    ``messages`` as (worker, message); (worker, None) means that the process has ended.
    """

    def __init__(self, device: str, options: Table, messages: queue.Queue[tuple[Worker, Any]]) -> None:
        self.device, self.is_ready = device, False
        self._lines: deque[str] = deque(maxlen=NUM_STDERR_LINES)
        self._process = subprocess.Popen(
            module_command("vidtrans.batch.executors.local"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Only the parent process handles Ctrl-C.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # Only Windows has this flag.
        )
        pipes = self._process.stdin, self._process.stdout, self._process.stderr
        self._stdin, stdout, stderr = (pipe for pipe in pipes if pipe)
        self._readers = [
            threading.Thread(target=self._read_messages, args=(stdout, messages), daemon=True),
            threading.Thread(target=self._read_lines, args=(stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self.send({**options, "device": device})

    def send(self, message: Task | int | Table) -> None:
        """Send a task, an exit status (the stop request) or the options to the process.

        Errors are ignored: if the process has ended, ``messages`` reports it.
        """
        with suppress(OSError):
            pickle.dump(message, self._stdin)
            self._stdin.flush()

    def end(self) -> None:
        """End the process, even if it is busy."""
        end_process(self._process, EXIT_TIMEOUT_S)
        for reader in self._readers:
            reader.join()

    @property
    def exit_reason(self) -> str:
        """Return the reason why the process ended: its signal or exit status, and its last line on standard error."""
        status = self._process.returncode
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        message = f": {self._lines[-1]}" if self._lines else ""
        return f"its process was ended {how}{message}"

    def _read_messages(self, stdout: IO[bytes], messages: queue.Queue[tuple[Worker, Any]]) -> None:
        """Put the messages of the process into the queue ``messages`` until the process's output ends.

        Runs in a thread.
        """
        with stdout, suppress(Exception):  # The process has ended, or its message is unreadable.
            while True:
                message = pickle.load(stdout)
                if message == "ready":
                    self.is_ready = True
                else:
                    messages.put((self, message))
        messages.put((self, None))

    def _read_lines(self, stderr: IO[bytes]) -> None:
        """Store the last lines of the process's standard error. Runs in a thread."""
        with stderr:
            for line in stderr:
                if text := line.decode(errors="replace").strip():
                    self._lines.append(text)


def devices_for(device: str, jobs: int | None) -> list[str]:
    """Return the device of each worker; ``auto`` and ``cuda`` use all GPUs. ``jobs`` None: one worker per device."""
    num_gpus = num_cuda_devices() if device in ("auto", "cuda") else 0
    devices = [f"cuda:{n}" for n in range(num_gpus)] if num_gpus > 1 else [device]
    return [devices[n % len(devices)] for n in range(jobs or len(devices))]


def main() -> None:
    """Run a worker process: execute tasks from standard input until it is closed."""
    set_up_heap()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent process handles Ctrl-C and sends the stop request.
    writer = _MessageWriter(take_output())
    messages = sys.stdin.buffer
    from vidtrans.session import Context

    stop, tasks = Stop(), queue.Queue[Task]()
    context = Context(report=writer.report, stop=stop, **pickle.load(messages))
    threading.Thread(target=_listen, args=(messages, tasks, stop), daemon=True).start()
    writer.send("ready")
    while True:
        writer.send(run_task(tasks.get(), context))


def _listen(messages: BinaryIO, tasks: queue.Queue[Task], stop: Stop) -> None:
    """Read ``messages`` of the parent process: put tasks into the queue ``tasks``, and pass stop requests to ``stop``.

    Runs in a thread. Ends this process when the parent process has ended.
    """
    while True:
        try:
            message = pickle.load(messages)
        except Exception:
            os._exit(1)  # The parent process has ended; finished chunks are on the disk.
        if isinstance(message, int):
            stop.request(message)
        else:
            tasks.put(message)


class _MessageWriter:
    """A thread-safe writer of pickled messages from a worker process to its parent process."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self._lock, self._progress_sent_s = out, threading.Lock(), 0.0

    def send(self, message: object) -> None:
        """Send a pickled message to the parent process. Thread-safe."""
        with self._lock:
            pickle.dump(message, self._out)
            self._out.flush()

    def report(self, event: Event) -> None:
        """Send an event to the parent process; progress at most every ``REPORT_S`` seconds."""
        now = time.monotonic()
        if isinstance(event, Progress):
            if now - self._progress_sent_s < REPORT_S:
                return
            self._progress_sent_s = now
        self.send(event)
