"""The job folder (``--job-folder FOLDER``): files through which another program watches and stops a command.

The process of the command writes all files except ``stop``. It locks the file ``lock`` while it runs, so that another
program, even after a restart, knows that the job is running.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from vidtrans.core.files import write_json
from vidtrans.core.settings import Table
from vidtrans.core.text_files import read_table


class JobFolder:
    """The files of one job: its progress, its result, its exit status, and the request to stop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.result, self.stop, self.pid = path / "result.json", path / "stop", path / "pid"
        self._progress_file, self._end_file = path / "progress.json", path / "end.json"

    def lock(self) -> FileLock:
        """Return the lock that the job's process holds while it runs."""
        return FileLock(self.path / "lock")

    def is_running(self) -> bool:
        """Return whether the job's process runs, which then holds the lock."""
        try:
            with self.lock().acquire(timeout=0):
                return False
        except Timeout:
            return True
        except (OSError, NotImplementedError):  # The disk has no locks.
            return False

    def progress(self) -> Table:
        """Return the last progress that the process reported; {} before the first report."""
        return read_table(self._progress_file) or {}

    def report(self, table: Table) -> None:
        """Store the job's progress. Write errors are ignored, because the next report may succeed."""
        with suppress(OSError):
            write_json(self._progress_file, table)

    def end(self) -> Table | None:
        """Return the job's ``exit_status`` and end time ``finished`` (seconds since the epoch); None before its end."""
        table = read_table(self._end_file)
        return table if table and isinstance(table.get("exit_status"), int) else None

    def finish(self, exit_status: int, finished: float) -> None:
        """Store the job's exit status and end time, in seconds since the epoch. Raises OSError."""
        write_json(self._end_file, {"exit_status": exit_status, "finished": finished})

    def outcome(self) -> Table:
        """Return the result of the command, as ``--json`` prints it; {} if it cannot be read."""
        return read_table(self.result) or {}

    def kill(self) -> None:
        """Kill the job's process, if it runs. The job can be resumed from its saved work."""
        import psutil

        with suppress(OSError, ValueError, psutil.Error):
            process = psutil.Process(int(self.pid.read_text()))
            if str(self.path) in process.cmdline():
                process.kill()

    def request_stop(self) -> None:
        """Ask the job's process to save its work and end, by the file ``stop``. Raises OSError."""
        self.stop.touch()

    def is_foreign(self) -> bool:
        """Return whether the folder has result files that no job wrote: a job first writes the file ``pid``."""
        return not self.pid.exists() and (self.result.exists() or self._end_file.exists())

    def clear_end(self, *, keep_stop: bool = False) -> None:
        """Remove an earlier process's exit status and result, and the stop request too unless ``keep_stop``.

        Raises OSError.
        """
        for path in (self._end_file, self.result, *(() if keep_stop else (self.stop,))):
            path.unlink(missing_ok=True)
