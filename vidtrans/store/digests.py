"""A table of SHA-256 digests of files, so that an unchanged large file is not read twice."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from vidtrans.core.events import NEVER, Stop
from vidtrans.core.files import check_regular_file, digest_file, digest_of, parse_json, read_small_file, write_bytes

NAME = "digests.jsonl"
# A file that changed this recently may change again within its own timestamp's resolution.
SETTLED_NS = 2_000_000_000
# Refuse links, which may lead to a user's file, and do not block on a pipe.
ITS_OWN_FILE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
MAX_STALE_LINES = 1000  # with more of them the file is rewritten


class Digests:
    """SHA-256 digests of files, looked up by path, size, times of modification and change (ctime), and inode.

    The ctime reveals a file that was rewritten in place and given its old modification time. On Windows it is the time
    of creation, so such a file is not noticed. File systems whose inodes or times change at each mount only cost a
    second reading.

    Lines are appended to a file in ``root``, so several runs may write at once. Each line holds its own digest; damaged
    lines are ignored, which costs time, never correctness. ``stop``: checked while a file is read.
    """

    def __init__(self, root: Path, stop: Stop = NEVER) -> None:
        self.path, self._stop = root / NAME, stop
        self._known: dict[str, list[Any]] | None = None
        self._new: list[str] = []

    def of(self, path: Path) -> str:
        """Return a file's SHA-256 (hex). Raises OSError, MediaError if it is not a regular file, and Interrupted."""
        check_regular_file(path)
        stat = path.stat()
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        name, known = str(path.resolve()), self._load()
        if (entry := known.get(name)) and entry[:-1] == stamp:
            return str(entry[-1])
        digest = digest_file(path, self._stop.check)
        if time.time_ns() - max(stamp[1:3]) > SETTLED_NS:
            known[name] = [*stamp, digest]
            self._new.append(_line(name, known[name]))
        return digest

    def save(self) -> None:
        """Append new digests to the file, if its folder exists."""
        if not self._new or not self.path.parent.is_dir():
            return
        with suppress(OSError), open(self.path, "ab", buffering=0, opener=_open_own_file) as file:
            file.write("".join(self._new).encode())
        self._new.clear()

    def _load(self) -> dict[str, list[Any]]:
        if self._known is None:
            self._known, count = {}, 0
            with suppress(OSError, ValueError):
                for line in read_small_file(self.path).decode("utf-8", errors="replace").splitlines():
                    count += 1
                    with suppress(ValueError, TypeError):
                        name, entry, check = parse_json(line)
                        if isinstance(entry, list) and check == digest_of([name, entry])[:16]:
                            self._known[name] = entry
                if count > 2 * len(self._known) + MAX_STALE_LINES:
                    write_bytes(self.path, "".join(_line(n, e) for n, e in self._known.items()).encode())
        return self._known


def _open_own_file(path: str, flags: int) -> int:
    return os.open(path, flags | ITS_OWN_FILE, 0o666)


def _line(name: str, entry: list[Any]) -> str:
    # ASCII, so that no file name can spoil it.
    return json.dumps([name, entry, digest_of([name, entry])[:16]]) + "\n"
