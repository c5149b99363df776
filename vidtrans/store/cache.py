"""The cache folder ``.vidtrans``, with an entry STAGE/KEY/ for each cached result; entries in use are locked.

The file CACHEDIR.TAG marks the folder as a cache. An entry is complete when its ``meta.json`` exists. It is locked
while it is written, and pinned while it is read. A chunk inside an entry is written under a temporary name,
fsynced and renamed; a small file next to the chunk then records its SHA-256. A damaged chunk causes a warning and is
rendered again; it never reaches a result.

The log of rendered chunks has a JSON line for each: host, process, time, and the seconds of each step. Each process has
a separate file, because hosts cannot safely append to a shared file. Lines that cannot be written or read are skipped,
because nothing depends on the log. Links are not followed. A table of SHA-256 digests of files (``Digests``) avoids
reading an unchanged large file twice.

The mount table shows whether locks in a folder work between hosts: an NFS server manages flock(2) locks (Linux 2.6.12
and newer), as SMB and Lustre servers do, unless a mount option disables this; file systems in user space usually have
locks on one host only. See nfs(5), mount.cifs(8), mount.lustre(8).
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from vidtrans.core.costs import size as format_size
from vidtrans.core.errors import UsageError, VidtransError
from vidtrans.core.events import NEVER_STOP, Note, Report, Stop
from vidtrans.core.files import (
    CACHE_FOLDER,
    PROCESS,
    check_regular_file,
    digest_file,
    digest_of,
    folder_bytes,
    parse_json,
    process_mark,
    read_small_file,
    read_small_json,
    refresh_folder_listing,
    remove,
    write_bytes,
    write_json,
)
from vidtrans.core.settings import Table
from vidtrans.core.system import WINDOWS, is_too_long, max_path_length
from vidtrans.store.stages import STAGES

DIGESTS_FILE = "digests.jsonl"  # Name of the file with the digests of files, in the cache folder
# Least age, in nanoseconds, of a file's last change for its digest to be stored: a younger file may change again
# without a new timestamp
SETTLED_NS = 2_000_000_000
# Flags of ``os.open`` for a file of the cache: refuse links, which may lead to a user's file; do not wait for a pipe
OWN_FILE_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
MAX_STALE_LINES = 1000  # Number of outdated lines after which the file of digests is rewritten
# Mount options of NFS with which locks work on one host only
_NFS_LOCAL_OPTIONS = frozenset({"nolock", "local_lock=all", "local_lock=flock"})
# Mount options with which locks work on one host only, by type of file system
LOCAL_LOCK_OPTIONS = {
    "nfs": _NFS_LOCAL_OPTIONS,
    "nfs4": _NFS_LOCAL_OPTIONS,
    "cifs": frozenset({"nobrl"}),
    "smb3": frozenset({"nobrl"}),
}
# POSIX error numbers of a file system without locks
_NO_LOCKS = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK})
# Windows error numbers of a file system without locks: INVALID_FUNCTION, NOT_SUPPORTED
_NO_LOCKS_ON_WINDOWS = frozenset({1, 50})
META = "meta.json"  # Name of the file that marks a cache entry as complete
PIN_PREFIX = ".lock-held-"  # Prefix of the names of pins, which are lock files of processes that read an entry
SHORT_WAIT_S = 2.0  # Default wait for a lock, in seconds, because cleaning and trimming lock entries for a moment
RUN_WAIT_S = 24 * 3600.0  # Longest wait, in seconds, for another process that fills the same entry
STOP_CHECK_S = 0.5  # Interval, in seconds, at which a request to stop is checked while waiting for a lock
LOG_FOLDER = "log"  # Name of the folder with the log of rendered chunks, in the cache folder
LOG_RETENTION_S = 30 * 86_400.0  # Age in seconds of a log file's last line at which the file is deleted
MAX_LOG_FILE_BYTES = 1 << 28  # Size in bytes of the largest log file that is read, with about half a million chunks
REPORT_STEP_BYTES = 10**9  # The cache's size is reported when it passes a multiple of this number of bytes
TAG_FILE = "CACHEDIR.TAG"  # Name of the file that marks a folder as a cache
# Largest number of characters of a path relative to the cache folder: stage, key, and a file's temporary name
MAX_INNER_PATH = 130
KEY = re.compile("[0-9a-f]{64}")  # Matches a cache key: a SHA-256 in hexadecimal digits
ROOT_FILES = (TAG_FILE, DIGESTS_FILE)  # Names of files directly in a cache folder
# Names of the folders with JSON records in a cache folder; the other folders are the stages and the log
RECORD_FOLDERS = ("outputs", "resolved")
# Matches the temporary name of a ROOT_FILES file, which a killed process may leave: ".digests.….partial.jsonl"
PARTIAL_FILE = re.compile(rf"\.(CACHEDIR|digests)\.{PROCESS}\.partial\.(TAG|jsonl)")
LOG_FILE = re.compile(rf"{PROCESS}\.jsonl")  # Matches the name of a process's log file
# Matches a name that begins with a key, or with a dot and a key: an entry, a record, or a temporary form of these
KEYED_NAME = re.compile(rf"\.?{KEY.pattern}(\..*)?")
# Content of the tag file, which tells backup programs that the folder is a cache
TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This folder holds what vidtrans can make again. See https://bford.info/cachedir/\n"
)


class Digests:
    """A store of files' SHA-256 digests, by path, size, modification time, change time (ctime) and inode.

    The ctime reveals a file that was rewritten in place and whose old modification time was restored. On Windows it is
    the creation time, so that such a file is not noticed. On file systems whose inodes or times change at each mount,
    files are read a second time.

    Lines are appended to a file in ``root``, so that several processes may write at once. Each line contains a digest
    of its content; damaged lines are ignored, which costs only time. ``stop``: checked while a file is read.
    """

    def __init__(self, root: Path, stop: Stop = NEVER_STOP) -> None:
        self.path, self._stop = root / DIGESTS_FILE, stop
        self._entries: dict[str, list[Any]] | None = None
        self._new: list[str] = []

    def of(self, path: Path) -> str:
        """Return a file's SHA-256 (hex). Raises OSError, MediaError if it is not a regular file, and Interrupted."""
        check_regular_file(path)
        stat = path.stat()
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        name, entries = str(path.resolve()), self._load()
        if (entry := entries.get(name)) and entry[:-1] == stamp:
            return str(entry[-1])
        digest = digest_file(path, self._stop.check)
        if time.time_ns() - max(stamp[1:3]) > SETTLED_NS:
            entries[name] = [*stamp, digest]
            self._new.append(_digest_line(name, entries[name]))
        return digest

    def save(self) -> None:
        """Append the new digests to the file; errors are ignored, because digests can be computed again."""
        if not self._new or not self.path.parent.is_dir():
            return
        with suppress(OSError), open(self.path, "ab", buffering=0, opener=_open_own_file) as file:
            file.write("".join(self._new).encode())
        self._new.clear()

    def _load(self) -> dict[str, list[Any]]:
        """Return size, times, inode and digest of known files by path; read them from the file at the first call."""
        if self._entries is None:
            self._entries, count = {}, 0
            with suppress(OSError, ValueError):
                for line in read_small_file(self.path).decode("utf-8", errors="replace").splitlines():
                    count += 1
                    with suppress(ValueError, TypeError):
                        name, entry, check = parse_json(line)
                        if isinstance(entry, list) and check == digest_of([name, entry])[:16]:
                            self._entries[name] = entry
                if count > 2 * len(self._entries) + MAX_STALE_LINES:
                    write_bytes(self.path, "".join(_digest_line(n, e) for n, e in self._entries.items()).encode())
        return self._entries


def _open_own_file(path: str, flags: int) -> int:
    """Return the descriptor of a file of the cache; refuse links. It is the ``opener`` of ``open``."""
    return os.open(path, flags | OWN_FILE_FLAGS, 0o666)


def _digest_line(name: str, entry: list[Any]) -> str:
    """Return the line of the digests' file for the file ``name``; it ends with a digest of the line, to find damage."""
    # JSON is written in ASCII, so that no character of a file name can end the line.
    return json.dumps([name, entry, digest_of([name, entry])[:16]]) + "\n"


@contextmanager
def require_locks(root: Path) -> Iterator[None]:
    """Raise VidtransError if the file system of the cache ``root`` has no locks, as on some network drives."""
    try:
        yield
    except (NotImplementedError, OSError) as error:  # filelock raises NotImplementedError for ENOSYS
        is_lock_error = isinstance(error, NotImplementedError) or error.errno in _NO_LOCKS
        if not is_lock_error and getattr(error, "winerror", None) not in _NO_LOCKS_ON_WINDOWS:
            raise
        remedy = "give a --cache-dir on a local disk"
        raise VidtransError(f"cache {root}", "its file system has no locks", remedy) from error


def lock_warning(folder: Path) -> str:
    """Return a warning if locks in a folder work on this host only; '' if they are shared or this is unknown."""
    if sys.platform != "linux":  # Other systems have other file systems and options, and a lost drive may answer late
        return ""
    import psutil  # Slow to import

    place, mounts = os.path.realpath(folder), []
    with suppress(OSError):
        mounts = psutil.disk_partitions(all=True)
    enclosing = [m for m in mounts if place == m.mountpoint or place.startswith(m.mountpoint.rstrip("/") + "/")]
    # Select the innermost mount, and the last one of several mounts at the same place.
    mount = max(reversed(enclosing), key=lambda one: len(one.mountpoint), default=None)
    flaw = _lock_flaw(mount.fstype, set(mount.opts.split(","))) if mount else None
    if mount is None or flaw is None:
        return ""
    why, remedy = flaw
    return (
        f"the cache lies on '{mount.mountpoint}' ({mount.fstype}), {why}: a host may delete entries that another host "
        f"uses — {remedy}; until then let no host clean or trim the cache while others render"
    )


def _lock_flaw(kind: str, options: set[str]) -> tuple[str, str] | None:
    """Return (reason, remedy) if locks in a file system work on this host only; else None.

    ``kind``: the type of the file system, such as "nfs4". ``options``: its mount options.
    """
    if named := sorted(options & LOCAL_LOCK_OPTIONS.get(kind, frozenset())):
        return f"mounted with {named[0]}", "mount it without that option"
    if kind == "lustre" and "flock" not in options:
        return "mounted without flock", "mount it with flock"
    if kind.startswith("fuse."):
        return "a file system in user space", "use NFS or SMB, if other hosts use this cache, too"
    return None


@dataclass(frozen=True)
class CacheEntry:
    """The cached result of one stage for one key: a folder in the cache."""

    folder: Path
    cache: Cache

    @property
    def stage(self) -> str:
        """Return the name of the stage whose output the entry holds, such as "infer"."""
        return self.folder.parent.name

    @property
    def key(self) -> str:
        """Return the entry's cache key, a SHA-256 in hexadecimal digits."""
        return self.folder.name

    def is_linked(self) -> bool:
        """Return whether the folder of the entry or of its stage is a link, so that writes would change other files."""
        inside = os.path.join(os.path.realpath(self.cache.root), self.stage, self.key)
        return os.path.realpath(self.folder) != inside

    @property
    def size(self) -> int:
        """Return the size of the entry in bytes."""
        return folder_bytes(self.folder)

    @property
    def last_used(self) -> float:
        """Return the time when the entry was last locked, in seconds since the epoch; 0 if it is unknown."""
        # Locking sets the lock file's time. Systems that delete the lock file on release set the folder's time.
        for path in (self.folder / ".lock", self.folder):
            with suppress(OSError):
                return path.stat().st_mtime
        return 0.0

    @contextmanager
    def locked(self, wait_s: float = SHORT_WAIT_S, *, wait_for: str = "") -> Iterator[None]:
        """Lock the entry; wait up to ``wait_s`` seconds. The lock of a killed process counts as free.

        ``wait_for``: a description of the process that may hold the lock, "another run that …". It is reported after
        ``wait_s`` seconds, and then the wait lasts up to a day. Raises VidtransError if another process still has the
        lock or the entry is a link; Interrupted.
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
                lock.release()  # The entry was deleted between opening the lock and acquiring it
        except Timeout:
            remedy = "wait for it, or give this one its own --cache-dir"
            raise VidtransError(self._label, "in use by another run", remedy) from None
        try:
            with suppress(OSError):
                (self.folder / ".lock").touch()
            refresh_folder_listing(self.folder)  # Shows files that another host wrote before it released the lock
            yield
        finally:
            lock.release()

    @property
    def _label(self) -> str:
        """Return the name of the entry in messages."""
        return f"cache entry {self.stage}/{self.key[:12]}"

    def _check_links(self) -> None:
        """Raise VidtransError if the entry, its stage's folder or a file in it is a link.

        vidtrans creates no links; writing or deleting through a link would change files outside the cache.
        """
        link: Path | None = self.folder if self.is_linked() else None
        if link is None and self.folder.is_dir():
            with os.scandir(self.folder) as children:
                link = next((Path(child.path) for child in children if child.is_symlink()), None)
        if link is not None:
            why = f"'{link}' is a link, or lies in a linked folder"
            raise VidtransError(self._label, why, "delete the link, or give another --cache-dir")

    def pin(self) -> CachePin:
        """Protect the entry from deletion until the pin is released; several processes may pin it at the same time.

        Call it while the entry is locked. The pin of a killed process counts as released.
        """
        for path in self._pins():
            _remove_if_free(path)  # Otherwise the pins of killed processes would accumulate
        lock = FileLock(self.folder / f"{PIN_PREFIX}{process_mark()}-{time.monotonic_ns()}")
        with require_locks(self.cache.root):
            lock.acquire()
        return CachePin(self, lock)

    def _pins(self) -> list[Path]:
        """Return the lock files of all pins of the entry."""
        return sorted(self.folder.glob(f"{PIN_PREFIX}*"))

    def _acquire(self, lock: FileLock, wait_s: float, wait_for: str) -> None:
        """Acquire the lock. Raises Timeout, VidtransError if the file system has no locks, and Interrupted."""
        end = time.monotonic() + wait_s
        while True:
            remaining_s = end - time.monotonic()
            with suppress(Timeout):
                with require_locks(self.cache.root):
                    lock.acquire(timeout=max(0.0, min(remaining_s, STOP_CHECK_S)))
                return
            if remaining_s <= STOP_CHECK_S:
                if not wait_for:
                    raise Timeout(lock.lock_file)
                self.cache.report(Note(f"waiting for {wait_for}"))
                end, wait_for = time.monotonic() + RUN_WAIT_S, ""
            self.cache.stop.check()

    def read(self) -> dict[str, Any] | None:
        """Return the metadata of a complete entry; None if the entry is incomplete or, with a warning, damaged."""
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
        """Warn, once, that the entry is damaged and that its content is computed again."""
        self.cache.warn_once(f"{self._label} is damaged ({error}); it is made again")

    def finish(self, meta: Mapping[str, Any], files: tuple[str, ...] = ()) -> None:
        """Mark the entry as complete, with metadata ``meta``. ``files``: names of files that ``read`` verifies."""
        content = {name: digest_file(self.folder / name) for name in files}
        sha256 = digest_of(dict(meta))
        write_json(self.folder / META, {"key": self.key, "meta": dict(meta), "sha256": sha256, "content": content})

    def clear(self) -> None:
        """Delete the files of the entry, except its locks. Call it while the entry is locked."""
        for child in self.folder.iterdir():
            if not child.name.startswith(".lock"):
                remove(child)

    def delete(self) -> bool:
        """Delete the entry unless a process uses it; return whether it was deleted."""
        renamed = self.folder.with_name(f".{self.key}.{process_mark()}.deleted")
        is_renamed = False
        try:
            with self.locked(wait_s=0):
                if not all(map(_remove_if_free, self._pins())):
                    return False
                try:
                    os.replace(self.folder, renamed)
                    is_renamed = True
                except OSError:
                    # Delete in place: on a full disk even a rename may fail, and Windows does not rename a folder that
                    # contains an open file, such as the lock.
                    remove(self.folder / META)
                    self.clear()
        except VidtransError:
            return False
        if is_renamed:
            remove(renamed)
        elif WINDOWS:
            with suppress(OSError):  # Another process may use the folder again
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


def _remove_if_free(pin: Path) -> bool:
    """Delete the lock file of a pin unless a process holds the pin; return whether the pin was free."""
    lock = FileLock(pin)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    with suppress(OSError):
        pin.unlink()
    lock.release()
    return True


class RenderLog:
    """The log of rendered chunks in a cache: a file of JSON lines for each process."""

    def __init__(self, root: Path) -> None:
        self.folder = root / LOG_FOLDER

    @property
    def own_file(self) -> Path:
        """Return the log file of this process."""
        return self.folder / f"{process_mark()}.jsonl"

    def add(self, line: Table) -> None:
        """Append an entry (``line``) to the log file of this process."""
        self.append(self.own_file.name, json.dumps(line) + "\n")

    def append(self, name: str, lines: str) -> None:
        """Append JSON ``lines`` to the log file ``name``; file system errors are ignored."""
        if self.folder.is_symlink():
            return
        with suppress(OSError):
            self.folder.mkdir(exist_ok=True)
            with open(self.folder / name, "a", encoding="utf-8", opener=_open_no_link) as file:
                file.write(lines)

    def lines(self, since: float = 0.0) -> Iterator[Table]:
        """Yield all processes' log entries of chunks whose render ended at ``since`` (s since the epoch) or later."""
        for path in self._files():
            with suppress(OSError):
                if path.stat().st_mtime < since or path.stat().st_size > MAX_LOG_FILE_BYTES:
                    continue
                for text in path.read_text("utf-8", "replace").splitlines():
                    with suppress(
                        ValueError, KeyError, TypeError, OverflowError
                    ):  # A killed process leaves half a line
                        line = json.loads(text)
                        if float(line["ended"]) >= since:
                            yield line

    def trim(self) -> None:
        """Delete the log files whose last line is older than ``LOG_RETENTION_S``."""
        self._delete(time.time() - LOG_RETENTION_S)

    def clear(self) -> None:
        """Delete all log files."""
        self._delete(float("inf"))

    def _delete(self, before: float) -> None:
        """Delete the log files that were last changed before a time in seconds since the epoch."""
        for path in self._files():
            with suppress(OSError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def _files(self) -> list[Path]:
        """Return the log files of all processes, without links."""
        if self.folder.is_symlink():
            return []
        return sorted(path for path in self.folder.glob("*.jsonl") if not path.is_symlink())


def _open_no_link(path: str, flags: int) -> int:
    """Return the descriptor of a file; refuse links. It is the ``opener`` of ``open``."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def check_cache_folder(root: Path) -> None:
    """Check that a folder is a vidtrans cache, empty, or missing, so that no files of the user are deleted.

    A cache without the tag file (after a killed process, or a copy) is recognised by its name or by its content.

    Raises:
        UsageError: The folder contains other files, is a file, or its path is too long.
    """
    if is_too_long(str(root), MAX_INNER_PATH):
        why = f"paths in it would have more than the {max_path_length()} characters that Windows takes"
        raise UsageError(f"--cache-dir {root}", why, "give a shorter one, or switch on long paths")
    if not root.exists() or (root / TAG_FILE).is_file() or root.resolve().name == CACHE_FOLDER:
        return
    if not root.is_dir():
        raise UsageError(f"--cache-dir {root}", "it is a file, not a folder", "give a new or an empty folder")
    if foreign := next((path for path in sorted(root.iterdir()) if not _is_of_cache(path)), None):
        why = f"it holds '{foreign.name}', which is not part of a vidtrans cache"
        raise UsageError(f"--cache-dir {root.resolve()}", why, "give a new or an empty folder")


def _is_of_cache(path: Path) -> bool:
    """Return whether a path directly inside a cache folder has a name and content of a vidtrans cache."""
    if path.is_symlink() or not path.is_dir():
        return path.name in ROOT_FILES or bool(PARTIAL_FILE.fullmatch(path.name))
    form = LOG_FILE if path.name == LOG_FOLDER else KEYED_NAME
    return path.name in (*STAGES, *RECORD_FOLDERS, LOG_FOLDER) and all(
        form.fullmatch(child.name) for child in path.iterdir()
    )


class Cache:
    """The cache folder. ``report`` receives warnings about damage; ``stop`` is checked during long operations.

    Raises UsageError if the folder is not a vidtrans cache.
    """

    def __init__(self, root: Path, report: Report, stop: Stop = NEVER_STOP) -> None:
        check_cache_folder(root)
        self.root, self.report, self.stop = root, report, stop
        self.log = RenderLog(root)
        self._digests = Digests(root, stop)
        self._warned: set[str] = set()
        self._open_time_s = time.time()

    def prepare(self) -> None:
        """Create the folder with its tag file. Call it before anything is written to the cache."""
        if not (self.root / TAG_FILE).is_file():
            write_bytes(self.root / TAG_FILE, TAG.encode())

    def warn_once(self, text: str) -> None:
        """Report a warning, unless this object has reported the same text."""
        if text not in self._warned:
            self._warned.add(text)
            self.report(Note(text, "warning"))

    def entry(self, stage: str, key: str) -> CacheEntry:
        """Return the entry for a stage and a key, whether or not it exists on disk."""
        return CacheEntry(self.root / stage / key, self)

    def entries(self) -> list[CacheEntry]:
        """Return all entries of all stages, least recently used first. Other files in the folder are ignored."""
        # Search for folders, not for lock files, because on Windows filelock deletes a released lock's file.
        folders = [folder for stage in STAGES for folder in self.root.glob(f"{stage}/*") if folder.is_dir()]
        found = [CacheEntry(folder, self) for folder in folders if KEY.fullmatch(folder.name)]
        return sorted((e for e in found if not e.is_linked()), key=lambda e: e.last_used)

    def digest(self, path: Path) -> str:
        """Return the SHA-256 (hex) of a file's content; an unchanged file is not read again, see ``Digests``."""
        return self._digests.of(path)

    def save_digests(self) -> None:
        """Write new digests of files to disk. If they are lost, the files are read again."""
        self._digests.save()

    def trim(self, limit_bytes: int) -> None:
        """Delete entries until the others fit in ``limit_bytes``, first those that are quick to compute again.

        Of equally quick entries, the least recently used one is deleted first; entries in use are skipped. A note is
        reported if the cache's size has passed a multiple of ``REPORT_STEP_BYTES`` since this object was created.
        """
        self.log.trim()
        entries = sorted(self.entries(), key=_deletion_rank)
        sizes = {e.folder: e.size for e in entries}
        excess = sum(sizes.values()) - limit_bytes
        for entry in entries:
            if excess <= 0:
                break
            if entry.delete():
                excess -= sizes.pop(entry.folder)
        total = sum(sizes.values())
        new_bytes = sum(size for folder, size in sizes.items() if self._is_new(folder / META))
        if total // REPORT_STEP_BYTES > (total - new_bytes) // REPORT_STEP_BYTES:
            what = f"the cache {self.root} has grown to {format_size(total)}"
            self.report(Note(f"{what}: 'vidtrans cache clean' empties it, and --cache-limit bounds it"))

    def _is_new(self, path: Path) -> bool:
        """Return whether a file was changed after this ``Cache`` object was created."""
        with suppress(OSError):
            return path.stat().st_mtime >= self._open_time_s
        return False


def _deletion_rank(entry: CacheEntry) -> int:
    """Return an entry's rank; entries with the lowest rank are deleted first.

    0 is a complete result, 1 an incomplete result, 2 an index or the manifest of parts, 3 and 4 a training.
    """
    unfinished = not (entry.folder / META).is_file()
    if entry.stage == "train":
        return 4 if unfinished else 3  # An interrupted training resumes; a finished one continues with more steps
    if entry.stage in ("index", "parts"):
        return 2  # Small, and a clip must be read to make it again, or other hosts depend on it
    return 1 if unfinished else 0
