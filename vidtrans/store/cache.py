"""The cache folder: ``.vidtrans/STAGE/KEY/``, marked with CACHEDIR.TAG, each entry locked while in use.

An entry is complete when its ``meta.json`` exists. A chunk inside an entry is written under a temporary
name, fsynced and renamed; a small file beside it then records its SHA-256. A damaged chunk causes a warning and is
made again; it never reaches a result.

The log of rendered chunks has a JSON line for each: host, process, time, and the seconds of each step. Each process has
its own file, because hosts cannot safely append to a shared one. Lines that cannot be written or read are skipped,
since nothing depends on the log. Links are not followed.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from vidtrans.core.costs import size as format_size
from vidtrans.core.errors import UsageError
from vidtrans.core.events import NEVER, Note, Report, Stop
from vidtrans.core.files import (
    write_bytes,
)
from vidtrans.core.partials import PROCESS, process_mark
from vidtrans.core.settings import Table
from vidtrans.core.system import is_too_long, path_limit
from vidtrans.store.cache_entry import META, CacheEntry
from vidtrans.store.digests import NAME as DIGESTS
from vidtrans.store.digests import Digests
from vidtrans.store.stages import STAGES

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


FOLDER = ".vidtrans"
REPORT_STEP_BYTES = 10**9  # of the cache: its size is reported when it passes a multiple
TAG_FILE = "CACHEDIR.TAG"
LONGEST_INSIDE = 130  # characters behind the cache's path: a stage, a key, and a file under its temporary name
KEY = re.compile("[0-9a-f]{64}")
# In a cache beside the folders of its stages and the log: files, and folders of JSON files.
FILES = (TAG_FILE, DIGESTS)
RECORDS = ("outputs", "resolved")
PARTIAL_FILE = re.compile(rf"\.(CACHEDIR|digests)\.{PROCESS}\.partial\.(TAG|jsonl)")  # of FILES, left by a killed run
LOG_FILE = re.compile(rf"{PROCESS}\.jsonl")
KEYED = re.compile(rf"\.?{KEY.pattern}(\..*)?")  # an entry, one being deleted, a record, a part of one


def check_cache_folder(root: Path) -> None:
    """Raise UsageError unless a folder is a vidtrans cache, empty, or missing, so that no user's files get deleted.

    A cache without the tag file (after a killed run, or a copy) is recognised by its name or by its content.

    Raises:
        UsageError: The folder holds other files, is a file, or has too long a path.
    """
    if is_too_long(str(root), LONGEST_INSIDE):
        why = f"paths in it would have more than the {path_limit()} characters that Windows takes"
        raise UsageError(f"--cache-dir {root}", why, "give a shorter one, or switch on long paths")
    if not root.exists() or (root / TAG_FILE).is_file() or root.resolve().name == FOLDER:
        return
    if not root.is_dir():
        raise UsageError(f"--cache-dir {root}", "it is a file, not a folder", "give a new or an empty folder")
    if foreign := next((path for path in sorted(root.iterdir()) if not _is_of_cache(path)), None):
        why = f"it holds '{foreign.name}', which is not part of a vidtrans cache"
        raise UsageError(f"--cache-dir {root.resolve()}", why, "give a new or an empty folder")


def _is_of_cache(path: Path) -> bool:
    """Return whether a path directly inside a cache folder has a name and content that vidtrans writes."""
    if path.is_symlink() or not path.is_dir():
        return path.name in FILES or bool(PARTIAL_FILE.fullmatch(path.name))
    form = LOG_FILE if path.name == LOG else KEYED
    return path.name in (*STAGES, *RECORDS, LOG) and all(form.fullmatch(child.name) for child in path.iterdir())


TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This folder holds what vidtrans can make again. See https://bford.info/cachedir/\n"
)


class Cache:
    """The cache folder. ``report`` gets warnings about damage; ``stop`` is checked during long operations.

    Raises UsageError where the folder is not a vidtrans cache.
    """

    def __init__(self, root: Path, report: Report, stop: Stop = NEVER) -> None:
        check_cache_folder(root)
        self.root, self.report, self.stop = root, report, stop
        self.log = RenderLog(root)
        self._digests = Digests(root, stop)
        self._warned: set[str] = set()
        self._opened = time.time()

    def prepare(self) -> None:
        """Create the folder with its tag file. Must be called before anything is written to the cache."""
        if not (self.root / TAG_FILE).is_file():
            write_bytes(self.root / TAG_FILE, TAG.encode())

    def warn_once(self, text: str) -> None:
        """Report a warning, unless the same text was reported before."""
        if text not in self._warned:
            self._warned.add(text)
            self.report(Note(text, "warning"))

    def entry(self, stage: str, key: str) -> CacheEntry:
        """Return the entry for a stage and a key, whether or not it exists on disk."""
        return CacheEntry(self.root / stage / key, self)

    def entries(self) -> list[CacheEntry]:
        """Return all entries of all stages, least recently used first. Other files in the folder are ignored."""
        # Not by their locks: on Windows filelock deletes the file of a lock that is released.
        folders = [folder for stage in STAGES for folder in self.root.glob(f"{stage}/*") if folder.is_dir()]
        found = [CacheEntry(folder, self) for folder in folders if KEY.fullmatch(folder.name)]
        return sorted((e for e in found if not e.is_linked()), key=lambda e: e.last_used)

    def digest(self, path: Path) -> str:
        """Return the SHA-256 (hex) of a file's content; an unchanged file is not read again, see ``Digests``."""
        return self._digests.of(path)

    def save_digests(self) -> None:
        """Write the stored digests to disk. If they are lost, files are only read again."""
        self._digests.save()

    def trim(self, limit_bytes: int) -> None:
        """Delete entries until the rest fits in ``limit_bytes``, the cheapest to make again first; skip entries in use.

        Among entries of equal cost, the least recently used is deleted first. A note names the cache if it has passed
        a multiple of ``REPORT_STEP_BYTES`` since this object was made.
        """
        self.log.trim()
        entries = sorted(self.entries(), key=_rank)
        sizes = {e.folder: e.size for e in entries}
        excess = sum(sizes.values()) - limit_bytes
        for entry in entries:
            if excess <= 0:
                break
            if entry.delete():
                excess -= sizes.pop(entry.folder)
        total = sum(sizes.values())
        made = sum(size for folder, size in sizes.items() if self._is_new(folder / META))
        if total // REPORT_STEP_BYTES > (total - made) // REPORT_STEP_BYTES:
            what = f"the cache {self.root} has grown to {format_size(total)}"
            self.report(Note(f"{what}: 'vidtrans cache clean' empties it, and --cache-limit bounds it"))

    def _is_new(self, path: Path) -> bool:
        """Return whether a file was written since this object was made."""
        with suppress(OSError):
            return path.stat().st_mtime >= self._opened
        return False


def _rank(entry: CacheEntry) -> int:
    """Return the deletion rank of an entry, 0 first: 0, 1: results; 2: an index or manifest; 3, 4: a training run."""
    unfinished = not (entry.folder / META).is_file()
    if entry.stage == "train":
        return 4 if unfinished else 3  # a stopped run resumes from it; a finished run continues from it with more steps
    if entry.stage in ("index", "parts"):
        return 2  # small; to make it again a clip is read, or other hosts depend on it
    return 1 if unfinished else 0
