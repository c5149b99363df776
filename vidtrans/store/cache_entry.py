"""A cache entry: locked while it is written, pinned while it is read."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from vidtrans.core.errors import VidtransError
from vidtrans.core.events import Note, Report, Stop
from vidtrans.core.files import (
    digest_file,
    digest_of,
    folder_bytes,
    look_anew,
    read_small_json,
    remove,
    write_json,
)
from vidtrans.core.partials import process_mark
from vidtrans.core.system import WINDOWS
from vidtrans.store.shared_locks import refusing_no_locks

META = "meta.json"
PIN_PREFIX = ".lock-held-"  # begins the names of the locks of those who read an entry
SHORT_WAIT_S = 2.0  # at least this long an entry is waited for: to clean and to trim, others lock it for a moment
RUN_WAIT_S = 24 * 3600.0  # the longest wait for another run that makes the same
STOP_CHECK_S = 0.5  # between two checks of a request to stop, while another run holds an entry


class HoldsEntries(Protocol):
    """The part of the interface of ``Cache`` that its entries use."""

    root: Path
    report: Report
    stop: Stop

    def prepare(self) -> None:
        """Create the cache folder."""

    def warn_once(self, text: str) -> None:
        """Report a warning, unless the same text was reported before."""

    def entries(self) -> list[CacheEntry]:
        """Return all entries of the cache."""


@dataclass(frozen=True)
class CacheEntry:
    """The cached result of one stage for one key: a folder in the cache."""

    folder: Path
    cache: HoldsEntries

    @property
    def stage(self) -> str:
        """Return the name of the entry's stage."""
        return self.folder.parent.name

    @property
    def key(self) -> str:
        """Return the entry's key."""
        return self.folder.name

    def is_linked(self) -> bool:
        """Return whether the entry's folder, or its stage's, is a link, so that writes would change files elsewhere."""
        inside = os.path.join(os.path.realpath(self.cache.root), self.stage, self.key)
        return os.path.realpath(self.folder) != inside

    @property
    def size(self) -> int:
        """Return the size of the entry's files in bytes."""
        return folder_bytes(self.folder)

    @property
    def last_used(self) -> float:
        """Return the time of the last lock, in seconds since the epoch; 0 where it is unknown."""
        # A lock's file keeps the time; where it is deleted on release, that changes the folder.
        for path in (self.folder / ".lock", self.folder):
            with suppress(OSError):
                return path.stat().st_mtime
        return 0.0

    @contextmanager
    def locked(self, wait_s: float = SHORT_WAIT_S, *, wait_for: str = "") -> Iterator[None]:
        """Lock the entry, waiting up to ``wait_s`` seconds. The lock of a killed run counts as free.

        ``wait_for``: a description of another run, "a run that …": after ``wait_s``, it is reported, and the lock is
        awaited for up to a day. Raises VidtransError if another run keeps the lock or the entry is a link; Interrupted.
        """
        self._check_links()
        self.cache.prepare()
        lock = FileLock(self.folder / ".lock")
        try:
            while True:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._acquire(lock, wait_s, wait_for)
                if (self.folder / ".lock").exists():
                    break
                lock.release()  # the entry was deleted between opening its lock and getting it
        except Timeout:
            remedy = "wait for it, or give this one its own --cache-dir"
            raise VidtransError(self._label, "in use by another run", remedy) from None
        try:
            with suppress(OSError):
                (self.folder / ".lock").touch()
            look_anew(self.folder)  # to see what another host wrote before it let go
            yield
        finally:
            lock.release()

    @property
    def _label(self) -> str:
        return f"cache entry {self.stage}/{self.key[:12]}"

    def _check_links(self) -> None:
        """Raise VidtransError where the entry, its stage's folder or a file in it is a link.

        vidtrans creates no links; to write or delete through one would change files outside the cache.
        """
        link: Path | None = self.folder if self.is_linked() else None
        if link is None and self.folder.is_dir():
            with os.scandir(self.folder) as children:
                link = next((Path(child.path) for child in children if child.is_symlink()), None)
        if link is not None:
            why = f"'{link}' is a link, or lies in a linked folder"
            raise VidtransError(self._label, why, "delete the link, or give another --cache-dir")

    def pin(self) -> CachePin:
        """Protect the entry from deletion until the pin is released; several processes may hold pins at the same time.

        Call it while the entry is locked. The pin of a killed run counts as released.
        """
        for path in self._pins():
            _is_free(path)  # else they would pile up
        lock = FileLock(self.folder / f"{PIN_PREFIX}{process_mark()}-{time.monotonic_ns()}")
        with refusing_no_locks(self.cache.root):
            lock.acquire()
        return CachePin(self, lock)

    def _pins(self) -> list[Path]:
        return sorted(self.folder.glob(f"{PIN_PREFIX}*"))

    def _acquire(self, lock: FileLock, wait_s: float, wait_for: str) -> None:
        """Acquire the lock. Raises Timeout, VidtransError where the file system has no locks, and Interrupted."""
        end = time.monotonic() + wait_s
        while True:
            left = end - time.monotonic()
            with suppress(Timeout):
                with refusing_no_locks(self.cache.root):
                    lock.acquire(timeout=max(0.0, min(left, STOP_CHECK_S)))
                return
            if left <= STOP_CHECK_S:
                if not wait_for:
                    raise Timeout(lock.lock_file)
                self.cache.report(Note(f"waiting for {wait_for}"))
                end, wait_for = time.monotonic() + RUN_WAIT_S, ""
            self.cache.stop.check()

    def read(self) -> dict[str, Any] | None:
        """Return the metadata of a complete entry; None where it is incomplete or (with a warning) damaged."""
        try:
            value = read_small_json(self.folder / META)
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
                self.warn_damaged(error)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.warn_damaged(error)
        return None

    def warn_damaged(self, error: object) -> None:
        """Report once that the entry is damaged."""
        self.cache.warn_once(f"{self._label} is damaged ({error}); it is made again")

    def finish(self, meta: Mapping[str, Any], files: tuple[str, ...] = ()) -> None:
        """Mark the entry complete. ``files`` are the names of the files whose content ``read`` verifies."""
        content = {name: digest_file(self.folder / name) for name in files}
        sha256 = digest_of(dict(meta))
        write_json(self.folder / META, {"key": self.key, "meta": dict(meta), "sha256": sha256, "content": content})

    def clear(self) -> None:
        """Delete the files of the entry, except its locks. Call it while the entry is locked."""
        for child in self.folder.iterdir():
            if not child.name.startswith(".lock"):
                remove(child)

    def delete(self) -> bool:
        """Delete the entry unless a run uses it; return whether it was deleted."""
        doomed = self.folder.with_name(f".{self.key}.{process_mark()}.deleted")
        is_renamed = False
        try:
            with self.locked(wait_s=0):
                if not all(map(_is_free, self._pins())):
                    return False
                try:
                    os.replace(self.folder, doomed)
                    is_renamed = True
                except OSError:
                    # On a full disk even a new name may be too much, and this is what makes room; and Windows moves no
                    # folder with an open file in it, which the lock is.
                    remove(self.folder / META)
                    self.clear()
        except VidtransError:
            return False
        if is_renamed:
            remove(doomed)
        elif WINDOWS:
            with suppress(OSError):  # another run may want it again
                self.folder.rmdir()
        return True


@dataclass(frozen=True)
class CachePin:
    """A pin that protects an entry from deletion until it is released or its process ends."""

    entry: CacheEntry
    lock: FileLock

    def release(self) -> None:
        """Release the pin, so that the entry may be deleted."""
        self.lock.release()


def _is_free(pin: Path) -> bool:
    """Return whether no process holds this pin; a free pin's file is deleted."""
    lock = FileLock(pin)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    with suppress(OSError):
        pin.unlink()
    lock.release()
    return True
