"""A log of rendered chunks in the cache, a JSON line each: host, process, time, and the seconds of each step.

Each process has its own file, because hosts cannot safely append to a shared one. Lines that cannot be written or
read are skipped, since nothing depends on the log. Links are not followed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from vidtrans.core.partials import process_mark
from vidtrans.core.settings import Table

LOG = "log"  # the folder of the files, in the cache
KEPT_S = 30 * 86_400.0  # a file is deleted when nothing was added to it for this long
MOST_BYTES = 1 << 28  # of a file that is read: half a million chunks


class RenderLog:
    """The render log of a cache."""

    def __init__(self, root: Path) -> None:
        self.folder = root / LOG

    @property
    def own_file(self) -> Path:
        """Return the log file of this process."""
        return self.folder / f"{process_mark()}.jsonl"

    def add(self, line: Table) -> None:
        """Append a line to the log file of this process."""
        self.append(self.own_file.name, json.dumps(line) + "\n")

    def append(self, name: str, lines: str) -> None:
        """Append lines to the log file with this name."""
        if self.folder.is_symlink():
            return
        with suppress(OSError):
            self.folder.mkdir(exist_ok=True)
            with open(self.folder / name, "a", encoding="utf-8", opener=_open_no_link) as file:
                file.write(lines)

    def lines(self, since: float = 0.0) -> Iterator[Table]:
        """Yield the log lines of all processes whose chunk ended at ``since`` (seconds since the epoch) or later."""
        for path in self._files():
            with suppress(OSError):
                if path.stat().st_mtime < since or path.stat().st_size > MOST_BYTES:
                    continue
                for text in path.read_text("utf-8", "replace").splitlines():
                    with suppress(ValueError, KeyError, TypeError, OverflowError):  # cut short by a kill
                        line = json.loads(text)
                        if float(line["ended"]) >= since:
                            yield line

    def trim(self) -> None:
        """Delete log files that have not changed for 30 days."""
        self._delete(time.time() - KEPT_S)

    def clear(self) -> None:
        """Delete all log files."""
        self._delete(float("inf"))

    def _delete(self, before: float) -> None:
        for path in self._files():
            with suppress(OSError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def _files(self) -> list[Path]:
        if self.folder.is_symlink():
            return []
        return sorted(path for path in self.folder.glob("*.jsonl") if not path.is_symlink())


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
