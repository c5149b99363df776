"""The folder through which another program watches and stops a command: the files of ``--job-folder FOLDER``.

The process of the command writes all files but ``stop``. It holds ``lock`` while it lives, by which another program, or
the same one after a restart, knows that the job is running.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from vidtrans.core.files import write_json
from vidtrans.core.settings import Table
from vidtrans.core.text_files import read_table


class JobFolder:
    """The files of one job: its progress, its result, its end, and the request to stop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.result, self.stop, self.pid = path / "result.json", path / "stop", path / "pid"
        self._progress, self._end = path / "progress.json", path / "end.json"

    def lock(self) -> FileLock:
        """Return the lock that the job's process holds while it lives."""
        return FileLock(self.path / "lock")

    def is_running(self) -> bool:
        """Return whether the job's process lives."""
        try:
            with self.lock().acquire(timeout=0):
                return False
        except Timeout:
            return True
        except (OSError, NotImplementedError):  # a disk without locks
            return False

    def progress(self) -> Table:
        """Return the last report of the process; empty before that."""
        return read_table(self._progress) or {}

    def report(self, table: Table) -> None:
        """Store the progress; called by the process."""
        with suppress(OSError):  # the next report may succeed
            write_json(self._progress, table)

    def end(self) -> Table | None:
        """Return the exit status, and the time; None while the job has not ended."""
        found = read_table(self._end)
        return found if found and isinstance(found.get("exit_status"), int) else None

    def finish(self, exit_status: int, finished: float) -> None:
        """Store that the process ends; called by it. Raises OSError."""
        write_json(self._end, {"exit_status": exit_status, "finished": finished})

    def outcome(self) -> Table:
        """Return the result of the command, as ``--json`` prints it; empty if nothing can be read."""
        return read_table(self.result) or {}

    def kill(self) -> None:
        """End the process at once, if it lives; the job can be resumed from what was saved."""
        import psutil

        with suppress(OSError, ValueError, psutil.Error):
            process = psutil.Process(int(self.pid.read_text()))
            if str(self.path) in process.cmdline():
                process.kill()

    def request_stop(self) -> None:
        """Ask the process to save and end. Raises OSError."""
        self.stop.touch()

    def is_foreign(self) -> bool:
        """Return whether a result or an end is there that no job wrote: the process of a job writes ``pid`` first."""
        return not self.pid.exists() and (self.result.exists() or self._end.exists())

    def clear_end(self, *, keep_stop: bool = False) -> None:
        """Remove the end and the result of an earlier process, and the request to stop. Raises OSError."""
        for path in (self._end, self.result, *(() if keep_stop else (self.stop,))):
            path.unlink(missing_ok=True)
