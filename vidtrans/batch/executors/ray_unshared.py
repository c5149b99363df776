"""The executor for a Ray cluster without a shared disk: cluster machines render parts, this machine joins them.

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
from vidtrans.batch.executors.ray import ENGINES, BoardClient, RayExecutor, RayObject, check_node, describe_node
from vidtrans.core.errors import DeviceError, Interrupted, UsageError, VidtransError, describe_error, first_line
from vidtrans.core.events import Progress, Report, Stop
from vidtrans.core.files import (
    convert_disk_errors,
    move_into_place,
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

CHUNK_CHECK_S = 1.0  # Interval at which a cluster machine looks for finished chunks to send, in seconds
PIECE_BYTES = 32 << 20  # Size of the pieces in which files are sent through Ray, in bytes
MIRROR_PREFIX = "vidtrans-mirror-"  # Prefix of the names of mirror folders in the system's temporary folder
# Age in seconds below which a mirror folder without a lock file counts as in use, because its process may be starting
LOCK_GRACE_S = 60.0
# Mirror folders of this process, by the mark (identifier) of the command that they serve
_MIRRORS: dict[str, Mirror] = {}
LOCAL_MESSAGES = 64  # Maximum number of messages of the local process that are handled before one of the cluster
CLEANUP_TIMEOUT_S = 10.0  # Time limit for all machines to remove their mirrors, in seconds
BYTES_PER_MB = 1_000_000  # Bytes per megabyte, the unit of the progress of sent files


class UnsharedRayExecutor:
    """An executor that divides and joins items in one local process, and renders their parts on a cluster.

    Raises the errors of ``RayExecutor``; DeviceError, UsageError if this machine differs in kind from the cluster's:
    the kind affects cache keys, and this machine may continue a clip that the cluster began.
    """

    num_local_slots: ClassVar[int] = 2  # One slot divides and one joins items, while all cluster machines are busy.
    takes_address: ClassVar[bool] = True

    def __init__(self, context: Context, jobs: int | None, address: str) -> None:
        self._cluster = PartExecutor(context, jobs, address)
        try:
            self._cluster.check_this_machine()
            self._local = LocalExecutor(replace(context, device=self._cluster.device_kind), 1, "")
        except BaseException:
            self._cluster.close()
            raise
        self._waiting: dict[Executor, deque[tuple[Task, Report]]] = {self._local: deque(), self._cluster: deque()}
        self._running: dict[Executor, int] = {self._local: 0, self._cluster: 0}
        self._stopped: deque[Task] = deque()

    @property
    def slots(self) -> int:
        """Return the maximum number of tasks: the cluster's slots plus those for dividing and joining items here."""
        return self._cluster.slots + self.num_local_slots

    def submit(self, task: Task, report: Report) -> None:
        """Submit a part to the cluster, and other tasks locally. Tasks beyond the slots are queued."""
        executor: Executor = self._cluster if task.kind == "part" else self._local
        self._waiting[executor].append((task, report))
        self._start_waiting(executor)

    def _start_waiting(self, executor: Executor) -> None:
        """Submit queued tasks to ``executor`` while it has free slots."""
        while self._waiting[executor] and self._running[executor] < executor.slots:
            executor.submit(*self._waiting[executor].popleft())
            self._running[executor] += 1

    def receive(self, timeout_s: float) -> tuple[Task, TaskResult] | None:
        """Return an ended task and its result, from the local process or the cluster; None if there is none."""
        if self._stopped:
            return self._stopped.popleft(), TaskResult("stopped")
        order: list[Executor] = [*[self._local] * LOCAL_MESSAGES, self._cluster]
        for executor in order:
            is_last = executor is self._cluster or not self._running[self._cluster]
            if self._running[executor] and (ended := executor.receive(timeout_s if is_last else 0)):
                self._running[executor] -= 1
                self._start_waiting(executor)
                task, result = ended
                if task.kind == "whole" or result.state == "failed":
                    self._cluster.drop_files(task.number)
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
        """End the tasks, local ones and the cluster's, and remove all files from the cluster."""
        try:
            self._local.close()
        finally:
            self._cluster.close()


class PartExecutor(RayExecutor):
    """An executor for parts of items on machines that share no folder with this one."""

    shares_disk: ClassVar[bool] = False

    def __init__(self, context: Context, jobs: int | None, address: str) -> None:
        self._full_nodes: set[str] = set()  # Ray identifiers of nodes whose disk is full
        self._ended_early: deque[tuple[Task, TaskResult]] = deque()  # Tasks that ended without reaching the cluster
        self._receiver = ChunkReceiver(context.cache)
        self._mark, self._stop = f"{process_mark()}-{uuid4().hex[:8]}", context.stop
        super().__init__(context, jobs, address)
        self._input_files = InputFileStore(self._ray)

    def _set_up(self, context: Context, jobs: int | None) -> None:
        """Set up the cluster, with paths relative to the mirror folders of its machines."""
        super()._set_up(context, jobs)
        self._node |= {"mark": self._mark, "folder": str(path_in_mirror(Path(self._folder)))}
        self._options["cache_dir"] = path_in_mirror(context.cache_dir)

    def check_this_machine(self) -> None:
        """Raise DeviceError, UsageError if this machine's device or software differs from the cluster's."""
        try:
            check_node(describe_node("/", "", self.device_kind), self._node, "/")
        except DeviceError:
            device = self.device_kind
            why = f"the cluster renders on {device}, and this machine, which divides and joins clips, has none"
            remedy = "run vidtrans on a machine of the cluster's kind, or render on CPUs: --device cpu"
            raise DeviceError("--no-shared-disk", why, remedy) from None

    def submit(self, task: Task, report: Report) -> None:
        """Send the task's input files, and submit the task to Ray, without leading chunks that are already stored."""
        division = task.division
        assert division is not None

        def report_bytes(done: int, total: int) -> None:
            """Report the sent bytes as progress in megabytes. Raises Interrupted on a stop request."""
            report(Progress("sending files", -(-done // BYTES_PER_MB), -(-total // BYTES_PER_MB), "MB"))
            self._stop.check()

        if self._receiver.missing_part(division, task.part) is None:
            self._ended_early.append((task, TaskResult("done", {"frames_inferred": 0, "frames_encoded": 0})))
            return
        try:
            self._input_files.add(task.number, division.files, report_bytes)
            super().submit(task, report)
        except Interrupted:
            self._ended_early.append((task, TaskResult("stopped")))
        except (CannotSendError, self._ray.exceptions.RayError) as error:
            message = f"it cannot be sent to the cluster: {first_line(error)}"
            self._ended_early.append((task, TaskResult("failed", error=message, exit_status=1)))

    def _start(self, task: Task, options: Table) -> RayObject:
        """Submit the part without its stored leading chunks to Ray; return its Ray reference."""
        division = task.division
        assert division is not None
        if self._full_nodes and task.number not in self._whole_node_items and (nodes := self._nodes()):
            node = nodes[self._count % len(nodes)]["NodeID"]
            options = options | {"scheduling_strategy": self._node_placement(node)}
        files = [self._input_files.files[path] for path in division.files]
        self._receiver.begin(self._count, division)
        part = self._receiver.missing_part(division, task.part)
        part_task = replace(task, work=partial(division.make_part, part=part), division=None)
        remote = self._ray.remote(run_part_on_ray).options(**options)
        entry = division.entries[0]
        return remote.remote(self._count, part_task, self._options, self._node, self._board, files, entry)

    def receive(self, timeout_s: float) -> tuple[Task, TaskResult] | None:
        """Write received chunks into the cache; return an ended task and its result; None if none has ended."""
        return self._ended_early.popleft() if self._ended_early else super().receive(timeout_s)

    def _handle_event(self, number: int, event: RayObject, report: Report) -> None:
        """Write a received piece of a chunk or log lines into the cache; report other events."""
        if isinstance(event, FilePiece | LogLines):
            self._receiver.write(number, event)
        else:
            report(event)

    def _result(self, number: int, reference: RayObject, task: Task) -> TaskResult:
        """Return the result of an ended task; a full disk excludes its node, and the part counts as lost."""
        result: Any = super()._result(number, reference, task)
        self._receiver.end(number)
        if isinstance(result, TaskResult):  # The task was lost.
            return result
        task_result: TaskResult
        task_result, node = result
        if task_result.disk_full:
            self._full_nodes.add(node)
            if self._nodes():
                why = f"a disk of the cluster is full ({task_result.error})"
                return TaskResult("lost", error=why, is_blameless=True)
        return task_result

    def _nodes(self) -> list[Table]:
        """Return Ray's tables of the nodes that can run a task and whose disk is not full."""
        return [node for node in super()._nodes() if node["NodeID"] not in self._full_nodes]

    def drop_files(self, number: int) -> None:
        """Drop the input files that were sent for the item with index ``number``."""
        self._input_files.drop_files(number)

    def _disconnect(self) -> None:
        """Delete incomplete files and the mirrors on all machines, and leave the cluster."""
        self._receiver.close()
        with suppress(Exception):  # A lost machine needs no cleanup.
            if self._count:
                remote = self._ray.remote(remove_mirrors)
                nodes = [node for node in self._ray.nodes() if node["Alive"]]
                options: Table = {"num_cpus": 0, "runtime_env": self._environment}
                placements = [self._node_placement(node["NodeID"]) for node in nodes]
                references = [
                    remote.options(**options, scheduling_strategy=placement).remote(self._mark)
                    for placement in placements
                ]
                self._ray.wait(references, num_returns=len(references), timeout=CLEANUP_TIMEOUT_S)
        super()._disconnect()


class CannotSendError(Exception):
    """An input file cannot be sent: it is missing, or Ray's object store has no room for it."""


@dataclass(frozen=True)
class SentFile:
    """An input file in Ray's object store.

    ``relative_path``: its path below a mirror. ``fingerprint``: its size in bytes and modification time in ns.
    ``pieces``: Ray references to its content, in order.
    """

    relative_path: Path
    fingerprint: tuple[int, int]
    pieces: list[RayObject] = field(repr=False)


@dataclass(frozen=True)
class FilePiece:
    """A piece of a chunk's file ``name``; ``is_last``: the last piece of that file.

    Of the files of a chunk, the JSON file is sent last.
    """

    name: str
    data: bytes = field(repr=False)
    is_last: bool


@dataclass(frozen=True)
class LogLines:
    """Lines to append to the file ``name`` of the cache's chunk log."""

    name: str
    lines: str


def path_in_mirror(path: Path) -> Path:
    """Return the path, relative to a mirror folder, of the copy of a file with an absolute path."""
    return Path(*path.parts[1:])


class InputFileStore:
    """The input files in Ray's object store; each is stored once, as long as an item of the batch needs it."""

    def __init__(self, ray: RayObject) -> None:
        self._ray = ray
        self.files: dict[Path, SentFile] = {}
        self._needed: dict[int, set[Path]] = {}  # Input files of each item, by item index

    def add(self, number: int, files: Sequence[Path], report_bytes: Callable[[int, int], None]) -> None:
        """Store the files of item ``number`` that are not stored yet.

        ``report_bytes``: called with the number of bytes sent, and the total. Raises CannotSendError, and the errors of
        ``report_bytes``.
        """
        self._needed.setdefault(number, set()).update(files)
        new = [path for path in files if path not in self.files]
        with self._naming_errors():
            stats = {path: path.stat() for path in new}
        done, total = 0, sum(status.st_size for status in stats.values())
        for path, status in stats.items():
            pieces = []
            for piece, num_bytes in self._put(path):
                pieces.append(piece)
                done += num_bytes
                report_bytes(done, total)
            self.files[path] = SentFile(path_in_mirror(path), (status.st_size, status.st_mtime_ns), pieces)

    def _put(self, path: Path) -> Iterator[tuple[RayObject, int]]:
        """Store a file; yield a reference to each piece, and its number of bytes."""
        with self._naming_errors(), path.open("rb") as file:
            while data := file.read(PIECE_BYTES):
                yield self._ray.put(data), len(data)

    @contextmanager
    def _naming_errors(self) -> Iterator[None]:
        """Convert errors of files and of Ray to CannotSendError; errors of ``report_bytes`` pass unchanged."""
        try:
            yield
        except (OSError, self._ray.exceptions.RayError) as error:
            reason = getattr(error, "strerror", None) or first_line(error)
            raise CannotSendError(f"{getattr(error, 'filename', None) or ''} {reason}".strip()) from error

    def drop_files(self, number: int) -> None:
        """Drop the files of item ``number`` that no other item needs."""
        dropped = self._needed.pop(number, set())
        needed = set().union(*self._needed.values())
        for path in dropped - needed:
            self.files.pop(path, None)


class ChunkReceiver:
    """A receiver that writes the chunks, which tasks on the cluster send, into the cache entries of their items."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._folders: dict[int, Path] = {}  # Folder of the cache entry, by submission number
        self._open: dict[int, Path] = {}  # Path of the incomplete file, by submission number

    def missing_part(self, division: Division, part: tuple[int, int]) -> tuple[int, int] | None:
        """Return a part, the chunks [first, stop), without leading chunks that are stored; None if all are stored."""
        store = ChunkStore(self._cache.entry(*division.entries[0]), "")
        first, stop = part
        while first < stop and store.is_written(first):
            first += 1
        return (first, stop) if first < stop else None

    def begin(self, number: int, division: Division) -> None:
        """Accept pieces of submission ``number`` for the cache entry of its division."""
        self._folders[number] = self._cache.entry(*division.entries[0]).folder

    def write(self, number: int, event: FilePiece | LogLines) -> None:
        """Write a received piece of a chunk, or log lines, into the cache. Raises OSError."""
        if isinstance(event, LogLines):
            self._cache.log.append(Path(event.name).name, event.lines)
            return
        target = self._folders[number] / Path(event.name).name
        is_first = number not in self._open
        temporary = self._open.setdefault(number, partial_path(target))
        with convert_disk_errors(target):
            if is_first:
                remove_stale_partials(target)
            with temporary.open("wb" if is_first else "ab") as file:
                file.write(event.data)
            if event.is_last:
                sync_file(temporary)
                move_into_place(temporary, target)
                del self._open[number]

    def end(self, number: int) -> None:
        """End a submission: accept no more of its pieces, and delete its incomplete file."""
        self._folders.pop(number, None)
        if temporary := self._open.pop(number, None):
            remove(temporary)

    def close(self) -> None:
        """Delete the incomplete files of all submissions."""
        for number in [*self._folders]:
            self.end(number)


def run_part_on_ray(
    number: int,
    task: Task,
    options: Table,
    node: Table,
    board: RayObject,
    files: list[SentFile],
    entry_names: tuple[str, str],
) -> tuple[TaskResult, str]:
    """Render a part of an item in a process of the cluster; return its result, and the node's Ray identifier.

    ``number``: the submission number. ``files``: the input files. ``entry_names``: stage and key of the cache entry
    whose chunks are sent back. ``node``: the command's current ``folder``, relative to the mirror, its ``mark``, which
    identifies the command, and the required software and hardware.
    """
    import ray

    set_up_heap()
    node_id = str(ray.get_runtime_context().get_node_id())
    os.chdir("/")  # The current folder may be the removed mirror of an earlier command.
    stop = Stop()
    link = BoardClient(board, number, stop)
    transfer_errors: list[str] = []

    def work(context: Context) -> Table:
        """Fetch the input files, render the part in the mirror folder, and send its chunks meanwhile."""
        try:
            check_node(describe_node("/", "", options["device"]), node, "/")
            mirror.fetch(files, context)
            folder = mirror.root / node["folder"]
            folder.mkdir(parents=True, exist_ok=True)
            os.chdir(folder)
            entry = context.cache.entry(*entry_names)
            sender = _ChunkSender(entry.folder, board, number)
            sender.start()
            try:
                table = task.work(context)
            finally:
                sender.close()
        except ray.exceptions.RayError as error:
            transfer_errors.append(f"its input files or results were lost in transfer ({first_line(error)})")
            raise VidtransError(transfer_errors[0]) from error
        if not entry.folder.is_dir():
            why = f"a machine of the cluster would render something else: its {entry.stage} has another key"
            remedy = "give paths relative to the current folder, and install the same programs on all machines"
            raise VidtransError("--no-shared-disk", why, remedy)
        assert isinstance(table, dict)
        return table

    try:
        mirror = Mirror.of(node["mark"])
        options = options | {"cache_dir": mirror.root / options["cache_dir"]}
        context = Context(report=link.report, stop=stop, engines=ENGINES, **options)
        context.cache.log.clear()
        result = run_task(replace(task, work=work), context)
        _remove_chunks(context)
        with suppress(OSError):
            log = context.cache.log.own_file
            send_event(board, number, LogLines(log.name, log.read_text("utf-8")))
    except (OSError, UsageError) as error:  # The mirror cannot be set up or filled.
        message, status = describe_error(error) or (str(error), 1)
        result = TaskResult("failed", error=message, exit_status=status, disk_full=is_disk_full(error))
    finally:
        os.chdir("/")
        link.close()
    return (TaskResult("lost", error=transfer_errors[0]) if transfer_errors else result), node_id


def _remove_chunks(context: Context) -> None:
    """Remove all rendered chunks after they were sent, because the next task usually renders another clip."""
    with suppress(OSError, VidtransError):
        for entry in context.cache.entries():
            if entry.stage in (RenderStage.name, InferStage.name):
                entry.delete()


class Mirror:
    """A mirror folder, locked by the process that uses it. A mirror without a lock was left by a killed process."""

    def __init__(self, command: str) -> None:
        base = Path(tempfile.gettempdir()) / f"{MIRROR_PREFIX}{command}"
        base.mkdir(mode=0o700, exist_ok=True)
        if not _is_own(base):
            what = f"{socket.gethostname()}: {base}"
            raise UsageError(what, "it belongs to another user", "set TMPDIR to another folder on this machine")
        self._lock = FileLock(base / f"{process_mark()}.lock")
        self._lock.acquire()
        self.root = base / process_mark()
        self.root.mkdir(exist_ok=True)
        self._fingerprints: dict[Path, tuple[int, int]] = {}  # Fingerprint of each file in the mirror, by relative path

    @classmethod
    def of(cls, command: str) -> Mirror:
        """Return this process's mirror folder for a command's mark; first remove mirrors of killed commands."""
        if command not in _MIRRORS:
            _remove_abandoned_mirrors(command)
            _MIRRORS[command] = cls(command)
        return _MIRRORS[command]

    def fetch(self, files: list[SentFile], context: Context) -> None:
        """Write ``files`` into the mirror, and remove all others. Raises OSError, Interrupted, and Ray's errors."""
        import ray

        for path in self._fingerprints.keys() - {file.relative_path for file in files}:
            remove(self.root / path)
            del self._fingerprints[path]
        for done, file in enumerate(files):
            if self._fingerprints.get(file.relative_path) == file.fingerprint:
                continue
            target = self.root / file.relative_path
            target.parent.mkdir(parents=True, exist_ok=True)
            self._fingerprints[file.relative_path] = -1, -1  # The file is incomplete.
            with target.open("wb") as opened:
                for piece in file.pieces:
                    opened.write(ray.get(piece))
                    context.stop.check()
                    context.report(Progress("fetching files", done, len(files), "files"))
            self._fingerprints[file.relative_path] = file.fingerprint


def remove_mirrors(command: str) -> None:
    """Remove the mirror folders that a command has on this machine. ``command``: its mark (identifier)."""
    remove(Path(tempfile.gettempdir()) / f"{MIRROR_PREFIX}{command}")


def _remove_abandoned_mirrors(command: str) -> None:
    """Remove mirrors on this machine that were left by killed processes of this user's other commands."""
    for base in Path(tempfile.gettempdir()).glob(f"{MIRROR_PREFIX}*"):
        with suppress(OSError):
            if base.name != f"{MIRROR_PREFIX}{command}" and _is_own(base) and _is_abandoned(base):
                remove(base)


def _is_own(base: Path) -> bool:
    """Return whether a path is a folder of this user, and not a link."""
    status = base.lstat()
    # On Windows, each user has a private temporary folder.
    return stat.S_ISDIR(status.st_mode) and (WINDOWS or status.st_uid == os.getuid())


def _is_abandoned(base: Path) -> bool:
    """Return whether no running process holds a lock of a mirror folder."""
    locks = sorted(base.glob("*.lock"))
    if not locks:
        return time.time() - base.stat().st_mtime > LOCK_GRACE_S
    for path in locks:
        try:
            FileLock(path).acquire(timeout=0).lock.release()
        except Timeout:
            return False
    return True


class _ChunkSender(threading.Thread):
    """A background thread that sends the finished chunks of a cache entry, which have a JSON file, to the board."""

    def __init__(self, folder: Path, board: RayObject, number: int) -> None:
        super().__init__(daemon=True)
        self._folder, self._board, self._number = folder, board, number
        self._sent_names: set[str] = set()
        self._ended = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        """Send finished chunks until closed; ``close`` raises the first error."""
        try:
            while not self._ended.wait(CHUNK_CHECK_S):
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
        """Send the finished chunks that were not sent yet, each with its JSON file last."""
        for description in sorted(self._folder.glob("chunk-*.json")):
            if description.name not in self._sent_names:
                for path in self._folder.glob(f"{description.stem}.*"):
                    if path != description:
                        self._send_file(path)
                self._send_file(description)
                self._sent_names.add(description.name)

    def _send_file(self, path: Path) -> None:
        """Send a file to the board in pieces."""
        size, is_last = path.stat().st_size, False
        with path.open("rb") as file:
            while not is_last:
                data = file.read(PIECE_BYTES)
                is_last = not data or file.tell() >= size  # There is no data if the file became shorter.
                send_event(self._board, self._number, FilePiece(path.name, data, is_last=is_last))


def send_event(board: RayObject, number: int, event: FilePiece | LogLines) -> None:
    """Put an event on the board, and wait until it has arrived. Raises Ray's errors."""
    import ray

    ray.get(board.exchange.remote(number, [event]))
