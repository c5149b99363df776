"""The cache: ``.vidtrans/<stage>/<key>/``, marked with CACHEDIR.TAG, locked while in use.

An entry is complete when its ``meta.json`` is there. Chunks inside an entry are written under a temporary
name, fsynced and renamed, then described by a small file with their SHA-256: a damaged chunk is a warning and
a miss, never a result.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from vidtrans.errors import UsageError, VidtransError
from vidtrans.events import NEVER, Note, Report, Stop
from vidtrans.files import digest_file, digest_of, folder_bytes, remove, write_bytes, write_json
from vidtrans.pipeline.digests import NAME as DIGESTS
from vidtrans.pipeline.digests import Digests
from vidtrans.pipeline.stages import STAGES

FOLDER = ".vidtrans"
TAG_FILE = "CACHEDIR.TAG"
META = "meta.json"
KEY = re.compile("[0-9a-f]{64}")
# What a cache holds beside the folders of its stages: files, and folders of JSON files.
FILES = (TAG_FILE, DIGESTS)
RECORDS = ("outputs", "resolved")
PARTIAL_FILE = re.compile(r"\.(CACHEDIR|digests)\.[0-9]+\.partial\.(TAG|jsonl)")  # of FILES, left by a killed run
KEYED = re.compile(rf"\.?{KEY.pattern}(\..*)?")  # an entry, one being deleted, a record, a part of one
HOLD = ".lock-held-"  # begins the names of the locks of those who read an entry
LOOK_S = 0.5  # seconds between two looks at whether to stop, while another run holds an entry
TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This folder holds what vidtrans can make again. See https://bford.info/cachedir/\n"
)


class Cache:
    """The cache folder. ``report`` hears of damage; ``stop`` is looked at where it takes long.

    Raises UsageError where the folder is something else.
    """

    def __init__(self, root: Path, report: Report, stop: Stop = NEVER) -> None:
        _check_root(root)
        self.root, self.report, self.stop = root, report, stop
        self._digests = Digests(root, stop)
        self._told: set[str] = set()

    def prepare(self) -> None:
        """Make the folder with its tag; called before anything is written."""
        if not (self.root / TAG_FILE).is_file():
            write_bytes(self.root / TAG_FILE, TAG.encode())

    def warn_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.report(Note(text, "warning"))

    def entry(self, stage: str, key: str) -> Entry:
        return Entry(self.root / stage / key, self)

    def entries(self) -> list[Entry]:
        """Return every entry of every stage, the least recently used first; nothing else that lies there."""
        folders = [lock.parent for stage in STAGES for lock in self.root.glob(f"{stage}/*/.lock")]
        found = [Entry(folder, self) for folder in folders if KEY.fullmatch(folder.name)]
        return sorted((e for e in found if not e.is_elsewhere()), key=lambda e: e.last_used)

    def digest(self, path: Path) -> str:
        """SHA-256 of a file's content, remembered by size, modification time and inode."""
        return self._digests.of(path)

    def save_digests(self) -> None:
        """Write what was remembered; losing it costs time, never correctness."""
        self._digests.save()

    def trim(self, limit_bytes: int) -> None:
        """Delete entries until all of them fit, those that cost least to lose first, and of these the least recently
        used; those in use stay.
        """
        entries = sorted(self.entries(), key=_worth)
        sizes = {e.folder: e.size for e in entries}
        excess = sum(sizes.values()) - limit_bytes
        for entry in entries:
            if excess <= 0:
                break
            if entry.delete():
                excess -= sizes[entry.folder]


def _check_root(root: Path) -> None:
    """Refuse a folder that is not vidtrans's: entries are deleted from a cache, and a user's files are not for that.

    Without its tag a folder is known by its name, or by what it holds: a killed run may have left it so, or a copy.

    Raises:
        UsageError: where it holds other files, or is a file.
    """
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
    return path.name in (*STAGES, *RECORDS) and all(KEYED.fullmatch(child.name) for child in path.iterdir())


def _worth(entry: Entry) -> int:
    """The rank in which entries are deleted: what only saves time, what is unfinished, and what was learned."""
    unfinished = not (entry.folder / META).is_file()
    if entry.stage == "train":
        return 4 if unfinished else 3  # a stopped run goes on from it, and a finished one with more steps
    if entry.stage == "index":
        return 2  # small, and it costs the reading of a clip
    return 1 if unfinished else 0


@dataclass(frozen=True)
class Entry:
    """One stage's result for one key."""

    folder: Path
    cache: Cache

    @property
    def stage(self) -> str:
        return self.folder.parent.name

    @property
    def key(self) -> str:
        return self.folder.name

    def is_elsewhere(self) -> bool:
        """Return whether its folder, or its stage's, is a link: what is written or deleted there is not the cache's."""
        inside = os.path.join(os.path.realpath(self.cache.root), self.stage, self.key)
        return os.path.realpath(self.folder) != inside

    @property
    def size(self) -> int:
        return folder_bytes(self.folder)

    @property
    def last_used(self) -> float:
        with suppress(OSError):
            return (self.folder / ".lock").stat().st_mtime
        return 0.0

    @contextmanager
    def locked(self, wait_s: float = 0) -> Iterator[None]:
        """Hold the entry, waiting for it up to ``wait_s``. A killed run's lock is free.

        Raises VidtransError where another run holds it, or a link is in its place, Interrupted.
        """
        self._check_links()
        self.cache.prepare()
        lock = FileLock(self.folder / ".lock")
        try:
            while True:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._acquire(lock, wait_s)
                if (self.folder / ".lock").exists():
                    break
                lock.release()  # the entry was deleted between opening its lock and getting it
        except Timeout:
            raise VidtransError(
                f"cache entry {self.stage}/{self.key[:12]}",
                "in use by another run",
                "wait for it, or give this one its own --cache-dir",
            ) from None
        try:
            with suppress(OSError):
                (self.folder / ".lock").touch()
            yield
        finally:
            lock.release()

    def _check_links(self) -> None:
        """Refuse links, of which vidtrans makes none: to fill or to empty the entry would change what they lead to.

        Raises:
            VidtransError: where the entry, its stage or a thing in it is a link.
        """
        link: Path | None = self.folder if self.is_elsewhere() else None
        if link is None and self.folder.is_dir():
            with os.scandir(self.folder) as children:
                link = next((Path(child.path) for child in children if child.is_symlink()), None)
        if link is not None:
            raise VidtransError(
                f"cache entry {self.stage}/{self.key[:12]}",
                f"'{link}' is a link, or lies in a linked folder",
                "delete the link, or give another --cache-dir",
            )

    def hold(self) -> FileLock:
        """Keep the entry from deletion for as long as what is returned lives; others may read it at the same time.

        Call it while the entry is locked. A killed run's hold is free.
        """
        for path in self._holds():
            _is_free(path)  # else they would pile up
        hold = FileLock(self.folder / f"{HOLD}{os.getpid()}-{time.monotonic_ns()}")
        hold.acquire()
        return hold

    def _holds(self) -> list[Path]:
        return sorted(self.folder.glob(f"{HOLD}*"))

    def _acquire(self, lock: FileLock, wait_s: float) -> None:
        """Raises Timeout, Interrupted."""
        end = time.monotonic() + wait_s
        while True:
            left = end - time.monotonic()
            with suppress(Timeout):
                lock.acquire(timeout=max(0.0, min(left, LOOK_S)))
                return
            if left <= LOOK_S:
                raise Timeout(lock.lock_file)
            self.cache.stop.check()

    def read(self) -> dict[str, Any] | None:
        """The metadata of a complete entry; None where it is not complete, or (with a warning) damaged."""
        try:
            value = json.loads((self.folder / META).read_text(encoding="utf-8"))
            if value["key"] != self.key:
                raise ValueError("it belongs to another key")
            meta: dict[str, Any] = value["meta"]
            if digest_of(meta) != value["sha256"]:
                raise ValueError(f"{META} changed")
            for name, wanted in value["content"].items():
                if digest_file(self.folder / name) != wanted:
                    raise ValueError(f"{name} changed")
            return meta
        except (FileNotFoundError, NotADirectoryError) as error:
            if Path(str(error.filename)).name != META:
                self.damaged(error)
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.damaged(error)
            return None

    def damaged(self, error: object) -> None:
        """Say so, once."""
        self.cache.warn_once(f"cache entry {self.stage}/{self.key[:12]} is damaged ({error}); made again")

    def finish(self, meta: Mapping[str, Any], files: tuple[str, ...] = ()) -> None:
        """Mark the entry complete; ``files`` are those whose content ``read`` shall verify."""
        content = {name: digest_file(self.folder / name) for name in files}
        sha256 = digest_of(dict(meta))
        write_json(self.folder / META, {"key": self.key, "meta": dict(meta), "sha256": sha256, "content": content})

    def clear(self) -> None:
        """Empty the entry; call it while it is locked."""
        for child in self.folder.iterdir():
            if not child.name.startswith(".lock"):
                remove(child)

    def delete(self) -> bool:
        """Remove the entry unless a run holds it; says whether it did."""
        doomed = self.folder.with_name(f".{self.key}.{os.getpid()}.deleted")
        try:
            with self.locked():
                if not all(map(_is_free, self._holds())):
                    return False
                try:
                    os.replace(self.folder, doomed)
                except OSError:  # on a full disk even a new name may be too much, and this is what makes room
                    remove(self.folder / META)
                    self.clear()
        except VidtransError:
            return False
        remove(doomed)
        return True


def _is_free(hold: Path) -> bool:
    """Whether nobody has this hold any more; then it is removed."""
    lock = FileLock(hold)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    with suppress(OSError):
        hold.unlink()
    lock.release()
    return True
