"""The process of a job of the studio, which runs its command line; its argument is the folder of the job.

It reports to files in the folder, which a server reads that may have started later. A file ``stop`` there asks it to
save and end, as Ctrl-C does in a terminal.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from vidtrans.cli.command import WATCHER, Watcher
from vidtrans.cli.main import run
from vidtrans.core.events import BatchStatus, Event, Note, Preview, Progress, Stop
from vidtrans.core.machine import set_up_heap
from vidtrans.studio.job_folder import JobFolder

POLL_S = 0.2
INTERVAL_S = 0.3  # between two reports of progress


class JobReport:
    """Writes the events of a command to the folder of its job."""

    def __init__(self, folder: JobFolder) -> None:
        self._folder, self._written = folder, 0.0
        self._table: dict[str, object] = {k: v for k, v in folder.progress().items() if k == "preview"}
        self._task, self._began, self._first = "", 0.0, 0

    def __call__(self, event: Event) -> None:
        """Store an event; progress at intervals."""
        now = time.monotonic()
        if isinstance(event, Preview):
            self._table["preview"] = Path(os.path.relpath(event.path)).as_posix()
        elif isinstance(event, Note) and event.level == "warning":
            self._table["note"] = event.text
        elif isinstance(event, Progress):
            if event.task != self._task:
                self._task, self._began, self._first = event.task, now, event.done
            self._table |= {"task": event.task, "done": event.done, "total": event.total, "unit": event.unit}
            self._table |= {"detail": event.detail, "left_s": self._left(event, now)}
        elif isinstance(event, BatchStatus):
            self._table |= {"task": event.nouns[0], "done": event.done, "total": event.total, "unit": event.nouns[0]}
            self._table |= {"left_s": event.left_s, "detail": ""}
        if now - self._written >= INTERVAL_S or not isinstance(event, Progress):
            self._written = now
            self._folder.report(self._table)

    def _left(self, event: Progress, now: float) -> float | None:
        """Return the estimated seconds that the task still takes; None where that is unknown."""
        made = event.done - self._first
        if not event.total or made <= 0 or now - self._began < 1:
            return None
        return (now - self._began) / made * (event.total - event.done)


def watch_for_stop(folder: JobFolder, stop: Stop) -> None:
    """Request the stop once the folder asks for it; run as a thread."""
    while not stop.requested:
        if folder.stop.exists():
            stop.request()
        time.sleep(POLL_S)


def run_job(folder: JobFolder) -> int:
    """Run the job of a folder, and return the exit status of its command."""
    with folder.lock().acquire(timeout=5), folder.result.open("w", encoding="utf-8") as result:
        if (end := folder.end()) is not None:  # another process was quicker
            return int(end["exit_status"])
        folder.pid.write_text(str(os.getpid()))
        sys.stdout = result
        job, stop = folder.read(), Stop()
        threading.Thread(target=watch_for_stop, args=(folder, stop), daemon=True).start()
        WATCHER.set(Watcher(JobReport(folder), stop))
        sys.argv = ["vidtrans", *job.words]  # which a message names to go on
        status = 1
        try:
            status = run([*job.words, "--json"])
        finally:
            sys.stdout.flush()
            folder.finish(status, time.time())
    return status


def main() -> None:
    """Run the job of the folder that is named, and exit with the status of its command."""
    set_up_heap()
    sys.exit(run_job(JobFolder(Path(sys.argv[1]))))
