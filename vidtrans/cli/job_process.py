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

POLL_S = 0.2
LOCK_S = 5.0  # an earlier process of the folder may be about to end
INTERVAL_S = 0.3  # between two reports of progress


class JobReport:
    """Writes the events of a command to the folder of its job."""

    def __init__(self, folder: JobFolder) -> None:
        self._folder, self._written = folder, 0.0
        self._table: dict[str, object] = {k: v for k, v in folder.progress().items() if k == "preview"}
        self._task, self._time_left = "", TimeLeft(0.0, 0)
        self.write()

    def __call__(self, event: Event) -> None:
        """Store an event; progress at intervals."""
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
        if now - self._written >= INTERVAL_S or not isinstance(event, Progress):
            self._written = now
            self.write()

    def write(self) -> None:
        """Store the last event, which an interval may have held back."""
        self._folder.report(self._table)


def _relative(path: Path) -> str:
    """Return a path as seen from the working folder, with slashes; absolute on another drive."""
    try:
        return Path(os.path.relpath(path)).as_posix()
    except ValueError:
        return path.absolute().as_posix()


def watch_for_stop(folder: JobFolder, stop: Stop) -> None:
    """Request the stop once the folder asks for it; run as a thread."""
    while not stop.requested:
        if folder.stop.exists():
            stop.request()
        time.sleep(POLL_S)


def folder_of(arguments: Sequence[str]) -> Path | None:
    """Return the folder that ``--job-folder`` names; None without it, and in all but the first of several ranks."""
    options = [*takewhile(lambda word: word != "--", arguments)]
    at = next((n for n, word in enumerate(options) if word.partition("=")[0] == JOB_FOLDER), None)
    if at is None or is_secondary_rank():
        return None
    name = options[at].partition("=")[2] or next(iter(options[at + 1 :]), "")
    return Path(name) if name and not name.startswith("-") else None  # click refuses the option without a value


def run_job(path: Path, arguments: Sequence[str], run: Callable[[list[str], list[str]], int]) -> int:
    """Call ``run`` with a command line that reports to a folder, and with the line as the user sees it.

    Return the exit status.
    """
    folder, stop = JobFolder(path.absolute()), Stop()
    with ExitStack() as held:
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            held.enter_context(folder.lock().acquire(timeout=LOCK_S))
            if folder.is_foreign():
                raise FileExistsError(EEXIST, "its result.json or end.json is not of a job")
            folder.pid.write_text(str(os.getpid()))
            folder.clear_end(keep_stop=True)
        except (OSError, NotImplementedError) as error:  # Timeout is an OSError
            in_use = isinstance(error, Timeout)
            why = "another job uses it" if in_use else f"it cannot be written: {getattr(error, 'strerror', error)}"
            Console().failure(f"{JOB_FOLDER} {path}: {why} — choose another folder", 2)
            return 2
        result = held.enter_context(StringIO())
        threading.Thread(target=watch_for_stop, args=(folder, stop), daemon=True).start()
        report = JobReport(folder)
        watched = WATCHER.set(Watcher(report, stop))
        status, output = 1, sys.stdout
        try:
            sys.stdout = result
            at = arguments.index("--") if "--" in arguments else len(arguments)
            status = run([*arguments[:at], "--json", *arguments[at:]], _without_folder(arguments))
        finally:
            sys.stdout = output
            WATCHER.reset(watched)
            stop.request()  # ends the thread
            report.write()
            with suppress(OSError):  # the exit status is written in any case
                write_bytes(folder.result, result.getvalue().encode())
            folder.finish(status, time.time())
    return status


def _without_folder(arguments: Sequence[str]) -> list[str]:
    """Return the arguments without ``--job-folder`` and its value."""
    words = iter(arguments)
    return [
        word for word in words if not (word.startswith(f"{JOB_FOLDER}=") or (word == JOB_FOLDER and next(words, "")))
    ]
