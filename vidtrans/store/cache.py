"""The cache: ``.vidtrans/STAGE/KEY/``, marked with CACHEDIR.TAG, locked while in use.

An entry is complete when its ``meta.json`` is there. Chunks inside an entry are written under a temporary
name, fsynced and renamed, then described by a small file with their SHA-256: a damaged chunk is a warning and
a miss, never a result.
"""

from __future__ import annotations

import re
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.events import NEVER, Note, Report, Stop
from vidtrans.core.files import (
    write_bytes,
)
from vidtrans.core.partials import PROCESS
from vidtrans.core.system import is_too_long, path_limit
from vidtrans.store.cache_entry import META, CacheEntry
from vidtrans.store.digests import NAME as DIGESTS
from vidtrans.store.digests import Digests
from vidtrans.store.render_log import LOG, RenderLog
from vidtrans.store.stages import STAGES

FOLDER = ".vidtrans"
TAG_FILE = "CACHEDIR.TAG"
LONGEST_INSIDE = 130  # characters behind the cache's path: a stage, a key, and a file under its temporary name
KEY = re.compile("[0-9a-f]{64}")
# What a cache holds beside the folders of its stages and the log: files, and folders of JSON files.
FILES = (TAG_FILE, DIGESTS)
RECORDS = ("outputs", "resolved")
PARTIAL_FILE = re.compile(rf"\.(CACHEDIR|digests)\.{PROCESS}\.partial\.(TAG|jsonl)")  # of FILES, left by a killed run
LOG_FILE = re.compile(rf"{PROCESS}\.jsonl")
KEYED = re.compile(rf"\.?{KEY.pattern}(\..*)?")  # an entry, one being deleted, a record, a part of one


def check_cache_folder(root: Path) -> None:
    """Refuse a folder that is not vidtrans's: entries are deleted from a cache, and a user's files are not for that.

    Without its tag a folder is known by its name, or by what it holds: a killed run may have left it so, or a copy.

    Raises:
        UsageError: where it holds other files, or is a file, or where its path is too long.
    """
    if is_too_long(str(root), LONGEST_INSIDE):
        why = f"paths in it would have more than the {path_limit()} characters that Windows takes"
        raise UsageError(f"--cache-dir {root}", why, "give a shorter one, or switch on long paths")
    if not root.exists() or (root / TAG_FILE).is_file() or root.resolve().name == FOLDER:
        return
    if not root.is_dir():
        raise UsageError(f"--cache-dir {root}", "it is a file, not a folder", "give a new or an empty folder")
    if foreign := next((path for path in sorted(root.iterdir()) if not _is_of_cache(path)), None):
        why = f"it holds '{foreign.name}', which is not of a vidtrans cache"
        raise UsageError(f"--cache-dir {root.resolve()}", why, "give a new or an empty folder")


def _is_of_cache(path: Path) -> bool:
    """Return whether a child of a cache's folder has the name and the content that vidtrans gives it."""
    if path.is_symlink() or not path.is_dir():
        return path.name in FILES or bool(PARTIAL_FILE.fullmatch(path.name))
    form = LOG_FILE if path.name == LOG else KEYED
    return path.name in (*STAGES, *RECORDS, LOG) and all(form.fullmatch(child.name) for child in path.iterdir())


TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This folder holds what vidtrans can make again. See https://bford.info/cachedir/\n"
)


class Cache:
    """The cache folder. ``report`` gets warnings of damage; ``stop`` is checked where it takes long.

    Raises UsageError where the folder is something else.
    """

    def __init__(self, root: Path, report: Report, stop: Stop = NEVER) -> None:
        check_cache_folder(root)
        self.root, self.report, self.stop = root, report, stop
        self.log = RenderLog(root)
        self._digests = Digests(root, stop)
        self._warned: set[str] = set()

    def prepare(self) -> None:
        """Make the folder with its tag; called before anything is written."""
        if not (self.root / TAG_FILE).is_file():
            write_bytes(self.root / TAG_FILE, TAG.encode())

    def warn_once(self, text: str) -> None:
        """Report a warning, unless it was reported before."""
        if text not in self._warned:
            self._warned.add(text)
            self.report(Note(text, "warning"))

    def entry(self, stage: str, key: str) -> CacheEntry:
        """Return the entry of a stage's key, whether it is there or not."""
        return CacheEntry(self.root / stage / key, self)

    def entries(self) -> list[CacheEntry]:
        """Return every entry of every stage, the least recently used first; nothing else that lies there."""
        # Not by their locks: on Windows filelock deletes the file of a lock that is released.
        folders = [folder for stage in STAGES for folder in self.root.glob(f"{stage}/*") if folder.is_dir()]
        found = [CacheEntry(folder, self) for folder in folders if KEY.fullmatch(folder.name)]
        return sorted((e for e in found if not e.is_linked()), key=lambda e: e.last_used)

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of a file's content, remembered by size, times of modification and change, and inode."""
        return self._digests.of(path)

    def save_digests(self) -> None:
        """Write the digests that were remembered; losing them costs time, never correctness."""
        self._digests.save()

    def trim(self, limit_bytes: int) -> None:
        """Delete entries until the others fit, those that cost least to lose first, but none in use.

        Of those that cost the same, the least recently used is deleted first.
        """
        self.log.trim()
        entries = sorted(self.entries(), key=_rank)
        sizes = {e.folder: e.size for e in entries}
        excess = sum(sizes.values()) - limit_bytes
        for entry in entries:
            if excess <= 0:
                break
            if entry.delete():
                excess -= sizes[entry.folder]


def _rank(entry: CacheEntry) -> int:
    """The order in which entries are deleted: what only saves time, what is unfinished, and what was trained."""
    unfinished = not (entry.folder / META).is_file()
    if entry.stage == "train":
        return 4 if unfinished else 3  # a stopped run goes on from it, and a finished one with more steps
    if entry.stage in ("index", "parts"):
        return 2  # small, and it costs the reading of a clip, or others go by it
    return 1 if unfinished else 0
