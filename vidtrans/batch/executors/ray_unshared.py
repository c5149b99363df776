"""A Ray cluster without a shared disk: its machines render parts of items, and this machine does the rest.

A process on this machine divides and joins items. A part's input files go through Ray's object store, in pieces, and
each chunk comes back when it is finished, so that a lost machine does not lose it.

A cluster machine has the input files in a mirror folder: a file /a/b of the command's machine is MIRROR/a/b there. The
part is rendered in the mirror of the command's current folder, so that paths relative to that folder lead to the same
files as on the command's machine.
"""

from __future__ import annotations

import os
import socket
import stat
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

from filelock import FileLock, Timeout

from vidtrans.batch.executors import Executor, Task, TaskResult, is_disk_full, run_task
from vidtrans.batch.executors.local import LocalExecutor
from vidtrans.batch.executors.ray import ENGINES, Link, RayExecutor, RayObject, check_node, examine
from vidtrans.core.errors import DeviceError, Interrupted, UsageError, VidtransError, describe_error, first_line
from vidtrans.core.events import Progress, Report, Stop
from vidtrans.core.files import (
    move_into_place,
    naming_disk_errors,
    partial_path,
    process_mark,
    remove,
    remove_stale_partials,
    sync_file,
)
from vidtrans.core.machine import set_up_heap
from vidtrans.core.settings import Table
from vidtrans.core.system import WINDOWS
from vidtrans.rendering.parts import Division
from vidtrans.session import Context
from vidtrans.store.cache import Cache
from vidtrans.store.chunks import ChunkStore
from vidtrans.store.stages import InferStage, RenderStage

LOOK_S = 1.0  # interval of checks for finished chunks
PIECE_BYTES = 32 << 20  # size of the pieces that files are sent in
PREFIX = "vidtrans-mirror-"  # of folder names in the system's temporary folder
BEGINNING_S = 60.0  # a mirror younger than this may still get its lock
_MIRRORS: dict[str, Mirror] = {}  # of this process, by command
MESSAGES = 64  # local messages that are read before the cluster's
CLEAN_S = 10.0  # time limit for all machines to remove their mirrors
MEGABYTE = 1_000_000


class UnsharedRayExecutor:
    """An executor that divides and joins items in one local process, and renders their parts on a cluster.

    Raises the errors of ``RayExecutor``; DeviceError, UsageError if this machine differs in kind from the cluster's:
    the kind affects cache keys, and this machine may continue a clip that the cluster began.
    """

    ahead: ClassVar[int] = 2  # one to divide and one to join, while all machines are busy
    takes_address: ClassVar[bool] = True

    def __init__(self, context: Context, jobs: int | None, address: str) -> None:
        self._away = PartsOnRay(context, jobs, address)
        try:
            self._away.check_this_machine()
            self._here = LocalExecutor(replace(context, device=self._away.kind), 1, "")
        except BaseException:
            self._away.close()
            raise
        self._waiting: dict[Executor, deque[tuple[Task, Report]]] = {self._here: deque(), self._away: deque()}
        self._running: dict[Executor, int] = {self._here: 0, self._away: 0}
        self._stopped: deque[Task] = deque()

    @property
    def slots(self) -> int:
        """Return the number of tasks to accept: more than the cluster's slots, so that it never runs idle."""
        return self._away.slots + self.ahead

    def submit(self, task: Task, report: Report) -> None:
        """Submit a part to the cluster, and other tasks locally. Tasks beyond the slots are queued."""
        where = self._away if task.kind == "part" else self._here
        self._waiting[where].append((task, report))
        self._begin(where)

    def _begin(self, executor: Executor) -> None:
        while self._waiting[executor] and self._running[executor] < executor.slots:
            executor.submit(*self._waiting[executor].popleft())
            self._running[executor] += 1

    def receive(self, timeout_s: float) -> tuple[Task, TaskResult] | None:
        """Return an ended task, local or from the cluster."""
        if self._stopped:
            return self._stopped.popleft(), TaskResult("stopped")
        order: list[Executor] = [*[self._here] * MESSAGES, self._away]
        for executor in order:
            is_last = executor is self._away or not self._running[self._away]
            if self._running[executor] and (ended := executor.receive(timeout_s if is_last else 0)):
                self._running[executor] -= 1
                self._begin(executor)
                task, result = ended
                if task.kind == "whole" or result.state == "failed":
                    self._away.forget(task.number)
                return ended
            if is_last:
                break
        return None

    def stop(self, exit_status: int) -> None:
        """Ask all running tasks to stop; queued tasks are not started."""
        for executor, waiting in self._waiting.items():
            executor.stop(exit_status)
            self._stopped += [task for task, _ in waiting]
            waiting.clear()

    def close(self) -> None:
        """End local and cluster tasks, and remove all files from the cluster."""
        try:
            self._here.close()
        finally:
            self._away.close()


class PartsOnRay(RayExecutor):
    """An executor for parts of items on machines that share no folder with this one."""

    shares_disk: ClassVar[bool] = False

    def __init__(self, context: Context, jobs: int | None, address: str) -> None:
        self._full: set[str] = set()  # nodes with full disks
        self._done: deque[tuple[Task, TaskResult]] = deque()  # ended without being sent to the cluster
        self._inbox = Inbox(context.cache)
        self._mark, self._stop = f"{process_mark()}-{uuid4().hex[:8]}", context.stop
        super().__init__(context, jobs, address)
        self._outbox = Outbox(self._ray)

    def _begin(self, context: Context, jobs: int | None) -> None:
        super()._begin(context, jobs)
        self._node |= {"mark": self._mark, "folder": str(place_of(Path(self._folder)))}
        self._options["cache_dir"] = place_of(context.cache_dir)

    def check_this_machine(self) -> None:
        """Raise DeviceError, UsageError if this machine differs in kind from the cluster's."""
        try:
            check_node(examine("/", "", self.kind), self._node, "/")
        except DeviceError:
            why = f"the cluster renders on {self.kind}, and this machine, which divides and joins clips, has none"
            remedy = "run vidtrans on a machine of the cluster's kind, or render on CPUs: --device cpu"
            raise DeviceError("--no-shared-disk", why, remedy) from None

    def submit(self, task: Task, report: Report) -> None:
        """Send the task's input files, and submit the task to Ray without its leading chunks that are stored."""
        division = task.division
        assert division is not None

        def tell(done: int, total: int) -> None:
            report(Progress("sending files", -(-done // MEGABYTE), -(-total // MEGABYTE), "MB"))
            self._stop.check()

        if self._inbox.missing(division, task.part) is None:
            self._done.append((task, TaskResult("done", {"frames_inferred": 0, "frames_encoded": 0})))
            return
        try:
            self._outbox.send(task.number, division.files, tell)
            super().submit(task, report)
        except Interrupted:
            self._done.append((task, TaskResult("stopped")))
        except (CannotSendError, self._ray.exceptions.RayError) as error:
            what = f"it cannot be sent to the cluster: {first_line(error)}"
            self._done.append((task, TaskResult("failed", error=what, exit_status=1)))

    def _start(self, task: Task, options: Table) -> RayObject:
        division = task.division
        assert division is not None
        if self._full and task.number not in self._alone and (nodes := self._nodes()):
            node = nodes[self._count % len(nodes)]["NodeID"]
            options = options | {"scheduling_strategy": self._on(node)}
        sent = [self._outbox.sent[path] for path in division.files]
        self._inbox.expect(self._count, division)
        part = self._inbox.missing(division, task.part)
        own = replace(task, work=partial(division.make_part, part=part), division=None)
        run = self._ray.remote(run_part_on_ray).options(**options)
        return run.remote(self._count, own, self._options, self._node, self._board, sent, division.entries[0])

    def receive(self, timeout_s: float) -> tuple[Task, TaskResult] | None:
        """Write received chunks into the cache; return an ended task."""
        return self._done.popleft() if self._done else super().receive(timeout_s)

    def _hear(self, number: int, event: RayObject, report: Report) -> None:
        if isinstance(event, Piece | LogLines):
            self._inbox.take(number, event)
        else:
            report(event)

    def _result(self, number: int, reference: RayObject, task: Task) -> TaskResult:
        result: Any = super()._result(number, reference, task)
        self._inbox.end(number)
        if isinstance(result, TaskResult):  # it was lost
            return result
        own: TaskResult
        own, node = result
        if own.disk_full:
            self._full.add(node)
            if self._nodes():
                return TaskResult("lost", error=f"a disk of the cluster is full ({own.error})", is_blameless=True)
        return own

    def _nodes(self) -> list[Table]:
        return [node for node in super()._nodes() if node["NodeID"] not in self._full]

    def forget(self, number: int) -> None:
        """Drop the files that were sent for an item."""
        self._outbox.forget(number)

    def _leave(self) -> None:
        self._inbox.close()
        with suppress(Exception):  # a lost machine needs no cleaning
            if self._count:
                remote = self._ray.remote(remove_mirrors)
                nodes = [node for node in self._ray.nodes() if node["Alive"]]
                options: Table = {"num_cpus": 0, "runtime_env": self._environment}
                where = [options | {"scheduling_strategy": self._on(node["NodeID"])} for node in nodes]
                asked = [remote.options(**given).remote(self._mark) for given in where]
                self._ray.wait(asked, num_returns=len(asked), timeout=CLEAN_S)
        super()._leave()


class CannotSendError(Exception):
    """A file is missing, or the object store has no room for it."""


@dataclass(frozen=True)
class SentFile:
    """A file in Ray's object store: path below a mirror, ``mark`` (bytes, mtime in ns), references to ``pieces``."""

    place: Path
    mark: tuple[int, int]
    pieces: list[RayObject] = field(repr=False)


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


class Outbox:
    """Input files in Ray's object store, each stored once, for as long as an item needs it."""

    def __init__(self, ray: RayObject) -> None:
        self._ray = ray
        self.sent: dict[Path, SentFile] = {}
        self._needed: dict[int, set[Path]] = {}  # by item number

    def send(self, number: int, files: Sequence[Path], tell: Callable[[int, int], None]) -> None:
        """Store those files of item ``number`` that are not stored yet; call ``tell`` with the bytes sent and in total.

        Raises CannotSendError, and the errors of ``tell``.
        """
        self._needed.setdefault(number, set()).update(files)
        new = [path for path in files if path not in self.sent]
        with self._naming_errors():
            stats = {path: path.stat() for path in new}
        done, total = 0, sum(one.st_size for one in stats.values())
        for path, own in stats.items():
            pieces = []
            for piece, num_bytes in self._put(path):
                pieces.append(piece)
                done += num_bytes
                tell(done, total)
            self.sent[path] = SentFile(place_of(path), (own.st_size, own.st_mtime_ns), pieces)

    def _put(self, path: Path) -> Iterator[tuple[RayObject, int]]:
        """Store a file; yield a reference to each piece, and its number of bytes."""
        with self._naming_errors(), path.open("rb") as file:
            while data := file.read(PIECE_BYTES):
                yield self._ray.put(data), len(data)

    @contextmanager
    def _naming_errors(self) -> Iterator[None]:
        """Convert errors of files and of Ray to CannotSendError; errors of ``tell`` pass unchanged."""
        try:
            yield
        except (OSError, self._ray.exceptions.RayError) as error:
            words = getattr(error, "strerror", None) or first_line(error)
            raise CannotSendError(f"{getattr(error, 'filename', None) or ''} {words}".strip()) from error

    def forget(self, number: int) -> None:
        """Drop the item's files that no other item needs."""
        gone = self._needed.pop(number, set())
        needed = set().union(*self._needed.values())
        for path in gone - needed:
            self.sent.pop(path, None)


class Inbox:
    """A receiver that writes the chunks that tasks send into their cache entries."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._folders: dict[int, Path] = {}  # by submission number
        self._open: dict[int, Path] = {}  # by submission number: its incomplete file

    def missing(self, division: Division, part: tuple[int, int]) -> tuple[int, int] | None:
        """Return a part, the chunks [first, stop), without its leading stored chunks; None if all chunks are stored."""
        store = ChunkStore(self._cache.entry(*division.entries[0]), "")
        first, stop = part
        while first < stop and store.is_written(first):
            first += 1
        return (first, stop) if first < stop else None

    def expect(self, number: int, division: Division) -> None:
        """Write the pieces of submission ``number`` from now on into the cache entry of its division."""
        self._folders[number] = self._cache.entry(*division.entries[0]).folder

    def take(self, number: int, sent: Piece | LogLines) -> None:
        """Write a piece or log lines of a submission. Raises OSError."""
        if isinstance(sent, LogLines):
            self._cache.log.append(Path(sent.name).name, sent.lines)
            return
        target = self._folders[number] / Path(sent.name).name
        is_first = number not in self._open
        temporary = self._open.setdefault(number, partial_path(target))
        with naming_disk_errors(target):
            if is_first:
                remove_stale_partials(target)
            with temporary.open("wb" if is_first else "ab") as file:
                file.write(sent.data)
            if sent.is_last:
                sync_file(temporary)
                move_into_place(temporary, target)
                del self._open[number]

    def end(self, number: int) -> None:
        """Accept no more pieces of a submission, and delete its incomplete file."""
        self._folders.pop(number, None)
        if temporary := self._open.pop(number, None):
            remove(temporary)

    def close(self) -> None:
        """End all submissions."""
        for number in [*self._folders]:
            self.end(number)


def run_part_on_ray(
    number: int,
    task: Task,
    options: Table,
    node: Table,
    board: RayObject,
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
        try:
            check_node(examine("/", "", options["device"]), node, "/")
            mirror.fetch(files, context)
            folder = mirror.root / node["folder"]
            folder.mkdir(parents=True, exist_ok=True)
            os.chdir(folder)
            entry = context.cache.entry(*wanted)
            sender = _Sender(entry.folder, board, number)
            sender.start()
            try:
                table = task.work(context)
            finally:
                sender.close()
        except ray.exceptions.RayError as error:
            lost.append(f"its input files or results were lost in transfer ({first_line(error)})")
            raise VidtransError(lost[0]) from error
        if not entry.folder.is_dir():
            why = f"a machine of the cluster would render something else: its {entry.stage} has another key"
            remedy = "give paths relative to the current folder, and install the same programs on all machines"
            raise VidtransError("--no-shared-disk", why, remedy)
        assert isinstance(table, dict)
        return table

    try:
        mirror = Mirror.of(node["mark"])
        own = options | {"cache_dir": mirror.root / options["cache_dir"]}
        context = Context(report=link.report, stop=stop, engines=ENGINES, **own)
        context.cache.log.clear()
        result = run_task(replace(task, work=work), context)
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


def _clean(context: Context) -> None:
    """Remove all rendered chunks: they were sent, and the next part of this process is usually of another clip."""
    with suppress(OSError, VidtransError):
        for entry in context.cache.entries():
            if entry.stage in (RenderStage.name, InferStage.name):
                entry.delete()


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


class _Sender(threading.Thread):
    """A thread that sends the finished chunks of a cache entry, those with a JSON file, to the board."""

    def __init__(self, folder: Path, board: RayObject, number: int) -> None:
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
        size, is_last = path.stat().st_size, False
        with path.open("rb") as file:
            while not is_last:
                data = file.read(PIECE_BYTES)
                is_last = not data or file.tell() >= size  # without data: a file that became shorter
                send(self._board, self._number, Piece(path.name, data, is_last=is_last))


def send(board: RayObject, number: int, event: Piece | LogLines) -> None:
    """Put an event on the board, and wait until it has arrived. Raises Ray's errors."""
    import ray

    ray.get(board.exchange.remote(number, [event]))
