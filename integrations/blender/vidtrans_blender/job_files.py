"""The files of a process that a job starts: its progress, result and end, its lock, and the request to stop.

``vidtrans COMMAND --job-folder FOLDER`` writes them; the add-on's own renderer of scenes writes the same ones.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

STOPPED = (130, 143)  # exit statuses of a process that was asked to stop


def write_table(path: Path, table: dict[str, Any]) -> None:
    """Write a JSON object; a reader sees the old or the new file, never a half. Raises OSError."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(table, indent=1, ensure_ascii=False), encoding="utf-8")
    for attempt in range(20):
        try:
            part.replace(path)
            return
        except PermissionError:  # Windows, while another process reads it
            if attempt == 19:
                raise
            time.sleep(0.05)


def read_table(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file; empty if there is none."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def take_lock(file: IO[bytes]) -> bool:
    """Return whether the lock of an open file could be taken; it is held until the file is closed."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class StepFiles:
    """The files of one process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stop, self.log = path / "stop", path / "log.txt"
        self._progress, self._end, self._result = (path / f"{name}.json" for name in ("progress", "end", "result"))

    def is_locked(self) -> bool:
        try:
            with (self.path / "lock").open("r+b") as file:
                return not take_lock(file)
        except OSError:
            return False

    def progress(self) -> dict[str, Any]:
        return read_table(self._progress)

    def exit_status(self) -> int | None:
        found = read_table(self._end).get("exit_status")
        return found if isinstance(found, int) else None

    def error(self) -> str:
        """Return the message of a process that failed: that of its result, or the end of its log."""
        if message := read_table(self._result).get("error"):
            return str(message)
        with suppress(OSError):
            if text := self.log.read_text(encoding="utf-8", errors="replace").strip():
                return text.splitlines()[-1].strip().removeprefix("Error: ")
        return f"its process ended without a message (memory may be full) — see {self.log}"

    def clear(self) -> None:
        for path in (self._end, self._result, self.stop):
            path.unlink(missing_ok=True)

    def report(self, **table: Any) -> None:
        with suppress(OSError):  # the next report may succeed
            write_table(self._progress, table)

    def finish(self, exit_status: int, result: dict[str, Any]) -> None:
        write_table(self._result, result)
        write_table(self._end, {"exit_status": exit_status, "finished": time.time()})
