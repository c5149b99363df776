"""Render a part on a cluster machine without the command's folders, in a mirror folder of its input files.

A file /a/b of the command's machine is MIRROR/a/b here. The part is rendered in the mirror of the command's current
folder, so that paths relative to that folder lead to the same files as on the command's machine. This module imports
Ray only when its functions run, in Ray's workers.
"""

from __future__ import annotations

import os
import socket
import stat
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from vidtrans.batch.executors.base import Task, TaskResult, is_disk_full, run_task
from vidtrans.batch.executors.ray_worker import ENGINES, Link, check_node, examine
from vidtrans.core.errors import UsageError, VidtransError, describe_error, first_line
from vidtrans.core.events import Progress, Stop
from vidtrans.core.files import process_mark, remove
from vidtrans.core.machine import set_up_heap
from vidtrans.core.settings import Table
from vidtrans.core.system import WINDOWS
from vidtrans.session import Context
from vidtrans.store.cache import CacheEntry
from vidtrans.store.stages import InferStage, RenderStage

LOOK_S = 1.0  # interval of checks for finished chunks
PIECE_BYTES = 32 << 20  # size of the pieces that files are sent in
PREFIX = "vidtrans-mirror-"  # of folder names in the system's temporary folder
BEGINNING_S = 60.0  # a mirror younger than this may still get its lock
_MIRRORS: dict[str, Mirror] = {}  # of this process, by command


@dataclass(frozen=True)
class SentFile:
    """A file in Ray's object store: path below a mirror, ``mark`` (bytes, mtime in ns), references to ``pieces``."""

    place: Path
    mark: tuple[int, int]
    pieces: list[Any] = field(repr=False)


@dataclass(frozen=True)
class Piece:
    """A piece of the chunk file ``name``; ``is_last``: it ends the file. A chunk's JSON file is sent last."""

    name: str
    data: bytes = field(repr=False)
    is_last: bool


@dataclass(frozen=True)
class LogLines:
    """Lines of the chunk log's file ``name``."""

    name: str
    lines: str


def place_of(path: Path) -> Path:
    """Return the path below a mirror for an absolute path."""
    return Path(*path.parts[1:])


class Mirror:
    """The mirror folder of this process, which keeps it locked: a mirror that is not locked has been abandoned."""

    def __init__(self, command: str) -> None:
        base = Path(tempfile.gettempdir()) / f"{PREFIX}{command}"
        base.mkdir(mode=0o700, exist_ok=True)
        if not _is_own(base):
            what = f"{socket.gethostname()}: {base}"
            raise UsageError(what, "it belongs to another user", "set TMPDIR to another folder on this machine")
        self._lock = FileLock(base / f"{process_mark()}.lock")
        self._lock.acquire()
        self.root = base / process_mark()
        self.root.mkdir(exist_ok=True)
        self._held: dict[Path, tuple[int, int]] = {}

    @classmethod
    def of(cls, command: str) -> Mirror:
        """Return this process's mirror for the run ``command``; first remove mirrors that killed runs have left."""
        if command not in _MIRRORS:
            _remove_abandoned(command)
            _MIRRORS[command] = cls(command)
        return _MIRRORS[command]

    def fetch(self, files: list[SentFile], context: Context) -> None:
        """Make the mirror hold exactly these files. Raises OSError, Interrupted, and Ray's errors."""
        import ray

        for place in self._held.keys() - {file.place for file in files}:
            remove(self.root / place)
            del self._held[place]
        for done, file in enumerate(files):
            if self._held.get(file.place) == file.mark:
                continue
            target = self.root / file.place
            target.parent.mkdir(parents=True, exist_ok=True)
            self._held[file.place] = -1, -1
            with target.open("wb") as opened:
                for piece in file.pieces:
                    opened.write(ray.get(piece))
                    context.stop.check()
                    context.report(Progress("fetching files", done, len(files), "files"))
            self._held[file.place] = file.mark


class _Sender(threading.Thread):
    """A thread that sends the finished chunks of a cache entry, those with a JSON file, to the board."""

    def __init__(self, folder: Path, board: Any, number: int) -> None:  # noqa: ANN401  (a handle of Ray's)
        super().__init__(daemon=True)
        self._folder, self._board, self._number = folder, board, number
        self._sent: set[str] = set()
        self._ended = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        """Send finished chunks until closed; ``close`` raises the first error."""
        try:
            while not self._ended.wait(LOOK_S):
                self._send()
        except Exception as error:
            self._error = error

    def close(self) -> None:
        """Send the remaining chunks. Raises OSError and Ray's errors."""
        self._ended.set()
        self.join()
        if self._error is not None:
            raise self._error
        self._send()

    def _send(self) -> None:
        for description in sorted(self._folder.glob("chunk-*.json")):
            if description.name not in self._sent:
                for path in self._folder.glob(f"{description.stem}.*"):
                    if path != description:
                        self._send_file(path)
                self._send_file(description)
                self._sent.add(description.name)

    def _send_file(self, path: Path) -> None:
        with path.open("rb") as file:
            data = file.read(PIECE_BYTES)
            while True:
                following = file.read(PIECE_BYTES)
                send(self._board, self._number, Piece(path.name, data, is_last=not following))
                if not following:
                    return
                data = following


def send(board: Any, number: int, event: Piece | LogLines) -> None:  # noqa: ANN401  (a handle of Ray's)
    """Put an event on the board, and wait until it has arrived. Raises Ray's errors."""
    import ray

    ray.get(board.exchange.remote(number, [event]))


def run_part_on_ray(
    number: int,
    task: Task,
    options: Table,
    node: Table,
    board: Any,  # noqa: ANN401  (a handle of Ray's)
    files: list[SentFile],
    wanted: tuple[str, str],
) -> tuple[TaskResult, str]:
    """Render a part of an item; return the result, and the node's Ray identifier. ``number``: submission number.

    ``files``: the input files. ``wanted``: the cache entry, (stage, key), whose chunks are sent back. ``node``: the
    command's current ``folder``, relative to the mirror, its ``mark``, which identifies the run, and the required
    software and hardware.
    """
    import ray

    set_up_heap()
    here = str(ray.get_runtime_context().get_node_id())
    os.chdir("/")  # the mirror of an earlier command may be gone
    stop = Stop()
    link = Link(board, number, stop)
    lost: list[str] = []

    def work(context: Context) -> Table:
        check_node(examine("/", "", options["device"]), node, "/")
        mirror.fetch(files, context)
        folder = mirror.root / node["folder"]
        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        entry = context.cache.entry(*wanted)
        sender = _Sender(entry.folder, board, number)
        sender.start()
        try:
            return _made(task, context, entry)
        finally:
            sender.close()

    def careful(context: Context) -> Table:
        try:
            return work(context)
        except ray.exceptions.RayError as error:
            lost.append(f"its input files or results were lost in transfer ({first_line(error)})")
            raise VidtransError(lost[0]) from error

    try:
        mirror = Mirror.of(node["mark"])
        own = options | {"cache_dir": mirror.root / options["cache_dir"]}
        context = Context(report=link.report, stop=stop, engines=ENGINES, **own)
        context.cache.log.clear()
        result = run_task(replace(task, work=careful), context)
        _clean(context)
        with suppress(OSError):
            log = context.cache.log.own_file
            send(board, number, LogLines(log.name, log.read_text("utf-8")))
    except (OSError, UsageError) as error:  # from the mirror
        words, status = describe_error(error) or (str(error), 1)
        result = TaskResult("failed", error=words, exit_status=status, disk_full=is_disk_full(error))
    finally:
        os.chdir("/")
        link.close()
    return (TaskResult("lost", error=lost[0]) if lost else result), here


def _made(task: Task, context: Context, entry: CacheEntry) -> Table:
    """Return the table of the task's work. Raises VidtransError if it filled another cache entry."""
    table = task.work(context)
    assert isinstance(table, dict)
    if not entry.folder.is_dir():
        why = f"a machine of the cluster would render something else: its {entry.stage} has another key"
        remedy = "give paths relative to the current folder, and install the same programs on all machines"
        raise VidtransError("--no-shared-disk", why, remedy)
    return table


def _clean(context: Context) -> None:
    """Remove all rendered chunks: they were sent, and the next part of this process is usually of another clip."""
    with suppress(OSError, VidtransError):
        for entry in context.cache.entries():
            if entry.stage in (RenderStage.name, InferStage.name):
                entry.delete()


def remove_mirrors(command: str) -> None:
    """Remove this machine's mirrors of a command that ends."""
    remove(Path(tempfile.gettempdir()) / f"{PREFIX}{command}")


def _remove_abandoned(command: str) -> None:
    """Remove mirrors on this machine that killed processes of this user's other commands have left."""
    for base in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if base.name != f"{PREFIX}{command}" and _is_own(base) and _is_abandoned(base):
                remove(base)


def _is_own(base: Path) -> bool:
    """Return whether a path is a folder, not a link, of this user."""
    found = base.lstat()
    # On Windows each user has a temporary folder of their own.
    return stat.S_ISDIR(found.st_mode) and (WINDOWS or found.st_uid == os.getuid())


def _is_abandoned(base: Path) -> bool:
    locks = sorted(base.glob("*.lock"))
    if not locks:
        return time.time() - base.stat().st_mtime > BEGINNING_S
    for path in locks:
        try:
            FileLock(path).acquire(timeout=0).lock.release()
        except Timeout:
            return False
    return True
