"""Run a command for another program, which watches and stops it through the files of ``--job-folder``.

The program may end, start again, and find the job by its folder. A file ``stop`` there asks the command to save and
end, as Ctrl-C does in a terminal.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from errno import EEXIST
from io import StringIO
from itertools import takewhile
from pathlib import Path

from filelock import Timeout

from vidtrans.cli.command import JOB_FOLDER, WATCHER, Watcher
from vidtrans.cli.console import Console
from vidtrans.core.costs import TimeLeft
from vidtrans.core.events import BatchStatus, Event, Note, Preview, Progress, Stop
from vidtrans.core.files import write_bytes
from vidtrans.core.job_folder import JobFolder
from vidtrans.core.machine import is_secondary_rank

STOP_POLL_S = 0.2  # Interval at which the job folder is checked for the file ``stop``, in seconds
LOCK_TIMEOUT_S = 5.0  # Time limit for locking the job folder, in seconds; an earlier process may be about to end
REPORT_INTERVAL_S = 0.3  # Minimum interval at which progress is written to the job folder, in seconds


class JobReport:
    """A report that writes the events of a command to the job folder."""

    def __init__(self, folder: JobFolder) -> None:
        self._folder, self._written_s = folder, 0.0
        self._table: dict[str, object] = {k: v for k, v in folder.progress().items() if k == "preview"}
        self._task, self._time_left = "", TimeLeft(0.0, 0)
        self.write()

    def __call__(self, event: Event) -> None:
        """Store an event; write progress at most every ``REPORT_INTERVAL_S`` seconds."""
        now = time.monotonic()
        if isinstance(event, Preview):
            self._table["preview"] = _relative(Path(event.path))
        elif isinstance(event, Note) and event.level == "warning":
            self._table["note"] = event.text
        elif isinstance(event, Progress):
            if event.task != self._task:
                self._task, self._time_left = event.task, TimeLeft(now, event.done)
            self._table |= {"task": event.task, "done": event.done, "total": event.total, "unit": event.unit}
            self._table |= {"detail": event.detail, "left_s": self._time_left.update(event, now)}
        elif isinstance(event, BatchStatus):
            self._table |= {"task": event.nouns[0], "done": event.done, "total": event.total, "unit": event.nouns[0]}
            self._table |= {"left_s": event.left_s, "detail": ""}
        if now - self._written_s >= REPORT_INTERVAL_S or not isinstance(event, Progress):
            self._written_s = now
            self.write()

    def write(self) -> None:
        """Write the latest progress into the job folder."""
        self._folder.report(self._table)


def _relative(path: Path) -> str:
    """Return a path relative to the current folder, with slashes; on another drive, the absolute path."""
    try:
        return Path(os.path.relpath(path)).as_posix()
    except ValueError:
        return path.absolute().as_posix()


def watch_for_stop(folder: JobFolder, stop: Stop) -> None:
    """Request the stop when the file ``stop`` appears in the job folder. Runs in a thread."""
    while not stop.requested:
        if folder.stop.exists():
            stop.request()
        time.sleep(STOP_POLL_S)


def parse_job_folder(arguments: Sequence[str]) -> Path | None:
    """Return the folder of ``--job-folder``; None if the option is not given.

    In a distributed job, only the process of rank 0 gets the folder.
    """
    options = [*takewhile(lambda word: word != "--", arguments)]
    at = next((n for n, word in enumerate(options) if word.partition("=")[0] == JOB_FOLDER), None)
    if at is None or is_secondary_rank():
        return None
    name = options[at].partition("=")[2] or next(iter(options[at + 1 :]), "")
    return Path(name) if name and not name.startswith("-") else None  # click refuses the option without a value.


def run_job(path: Path, arguments: Sequence[str], run: Callable[[list[str], list[str]], int]) -> int:
    """Run the command line ``arguments``, which reports to the job folder ``path``; return its exit status.

    ``run`` is called with the arguments plus ``--json``, and with the arguments without ``--job-folder``.
    """
    folder, stop = JobFolder(path.absolute()), Stop()
    with ExitStack() as stack:
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            stack.enter_context(folder.lock().acquire(timeout=LOCK_TIMEOUT_S))
            if folder.is_foreign():
                raise FileExistsError(EEXIST, "its result.json or end.json is not of a job")
            folder.pid.write_text(str(os.getpid()))
            folder.clear_end(keep_stop=True)
        except (OSError, NotImplementedError) as error:  # Timeout is an OSError.
            in_use = isinstance(error, Timeout)
            why = "another job uses it" if in_use else f"it cannot be written: {getattr(error, 'strerror', error)}"
            Console().failure(f"{JOB_FOLDER} {path}: {why} — choose another folder", 2)
            return 2
        result = stack.enter_context(StringIO())
        threading.Thread(target=watch_for_stop, args=(folder, stop), daemon=True).start()
        report = JobReport(folder)
        watcher_token = WATCHER.set(Watcher(report, stop))
        status, output = 1, sys.stdout
        try:
            sys.stdout = result
            at = arguments.index("--") if "--" in arguments else len(arguments)
            status = run([*arguments[:at], "--json", *arguments[at:]], _without_folder(arguments))
        finally:
            sys.stdout = output
            WATCHER.reset(watcher_token)
            stop.request()  # The request ends the thread.
            report.write()
            with suppress(OSError):  # The exit status is written in any case.
                write_bytes(folder.result, result.getvalue().encode())
            folder.finish(status, time.time())
    return status


def _without_folder(arguments: Sequence[str]) -> list[str]:
    """Return the arguments without ``--job-folder`` and its value."""
    words = iter(arguments)
    return [
        word for word in words if not (word.startswith(f"{JOB_FOLDER}=") or (word == JOB_FOLDER and next(words, "")))
    ]
