"""A Ray cluster whose machines do not see the folders of this one: they make parts of items, and this one the rest.

Items are divided and joined in a process of this machine. What a part reads goes through Ray's object store, in pieces,
and each chunk comes back as soon as it is made: what is lost with a machine is the chunk that it was at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

from vidtrans.batch.executors.base import Executor, Task, TaskResult
from vidtrans.batch.executors.local import LocalExecutor
from vidtrans.batch.executors.ray import RayExecutor
from vidtrans.batch.executors.ray_mirror import LogLines, Piece, SentFile, place_of, remove_mirrors, run_part_on_ray
from vidtrans.errors import VidtransError
from vidtrans.events import Report
from vidtrans.files import move_into_place, partial_path, process_mark, remove, sync_file
from vidtrans.inference.device import resolve_device
from vidtrans.rendering.division import Division
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.store.cache import Cache

PIECE_BYTES = 32 << 20  # of a file that is sent
AHEAD = 2  # items that are divided, or joined, while all machines are at work
CLEAN_S = 10.0  # in which all machines have to remove what they were sent


class ApartRayExecutor:
    """Divides and joins items in one process of this machine, and has a cluster make their parts.

    Raises what ``RayExecutor`` does; DeviceError where this machine lacks the kind of device that the cluster has: it
    decides keys of the cache.
    """

    divides_all: ClassVar[bool] = True
    takes_address: ClassVar[bool] = True

    def __init__(self, context: Context, jobs: int | None, address: str) -> None:
        self._away = PartsOnRay(context, jobs, address)
        try:
            kind = self._away.kind
            resolve_device(kind)
            self._here = LocalExecutor(replace(context, device=kind), 1, "")
        except BaseException:
            self._away.close()
            raise
        self._waiting: deque[tuple[Task, Report]] = deque()
        self._running: dict[Executor, int] = {self._here: 0, self._away: 0}
        self._stopped: deque[Task] = deque()

    @property
    def slots(self) -> int:
        """Return how many tasks may be handed over: more than the cluster takes, so that it never waits for a clip."""
        return self._away.slots + AHEAD

    def submit(self, task: Task, report: Report) -> None:
        """Give a part to the cluster; anything else is done here, in turn."""
        if task.kind == "part":
            self._begin(self._away, task, report)
        elif self._running[self._here]:
            self._waiting.append((task, report))
        else:
            self._begin(self._here, task, report)

    def _begin(self, executor: Executor, task: Task, report: Report) -> None:
        executor.submit(task, report)
        self._running[executor] += 1

    def receive(self, timeout_s: float) -> tuple[Task, TaskResult] | None:
        """Return a task that has ended, here or on the cluster."""
        if self._stopped:
            return self._stopped.popleft(), TaskResult("stopped")
        if ended := self._here.receive(0 if self._running[self._away] else timeout_s):
            self._running[self._here] -= 1
            if self._waiting:
                self._begin(self._here, *self._waiting.popleft())
            if ended[0].kind == "whole":
                self._away.forget(ended[0].number)
            return ended
        if self._running[self._away] and (ended := self._away.receive(timeout_s)):
            self._running[self._away] -= 1
            return ended
        return None

    def stop(self, exit_status: int) -> None:
        """Ask all that runs; what waits here is not begun."""
        self._here.stop(exit_status)
        self._away.stop(exit_status)
        self._stopped += [task for task, _ in self._waiting]
        self._waiting.clear()

    def close(self) -> None:
        """End what runs here and there; nothing of it stays on the cluster."""
        try:
            self._here.close()
        finally:
            self._away.close()


class PartsOnRay(RayExecutor):
    """Makes parts of items on machines that share no folder with this one."""

    shares_disk: ClassVar[bool] = False

    def __init__(self, context: Context, jobs: int | None, address: str) -> None:
        self._full: set[str] = set()  # nodes whose disks are
        self._done: deque[tuple[Task, TaskResult]] = deque()  # of which nothing was missing
        self._inbox = _Inbox(context.cache)
        self._mark = f"{process_mark()}-{uuid4().hex[:8]}"
        super().__init__(context, jobs, address)
        self._outbox = _Outbox(self._ray)

    def _begin(self, context: Context, jobs: int | None) -> None:
        super()._begin(context, jobs)
        self._node |= {"mark": self._mark, "folder": str(place_of(Path(self._folder)))}
        self._options["cache_dir"] = place_of(context.cache_dir)

    def submit(self, task: Task, report: Report) -> None:
        """Hand the task to Ray, without the chunks at its beginning that another try has made."""
        assert task.division is not None
        if self._inbox.missing(task.division, task.part) is None:
            self._done.append((task, TaskResult("done", {"frames_inferred": 0, "frames_encoded": 0})))
        else:
            super().submit(task, report)

    def _start(self, task: Task, options: Table) -> Any:  # noqa: ANN401  (a reference of Ray's)
        division = task.division
        assert division is not None
        if self._full and (nodes := self._nodes()):
            node = nodes[self._count % len(nodes)]["NodeID"]
            options = options | {"scheduling_strategy": self._on(node)}
        sent = self._outbox.send(task.number, division.files)
        self._inbox.expect(self._count, division)
        part = self._inbox.missing(division, task.part)
        own = replace(task, work=partial(division.make_part, part=part), division=None)
        run = self._ray.remote(run_part_on_ray).options(**options)
        return run.remote(self._count, own, self._options, self._node, self._board, sent, division.entries[0])

    def receive(self, timeout_s: float) -> tuple[Task, TaskResult] | None:
        """Put what has come into the cache; return a task that has ended."""
        return self._done.popleft() if self._done else super().receive(timeout_s)

    def _hear(self, number: int, event: Any, report: Report) -> None:  # noqa: ANN401  (what a task put on the board)
        if isinstance(event, Piece | LogLines):
            self._inbox.take(number, event)
        else:
            report(event)

    def _result(self, reference: Any, task: Task) -> TaskResult:  # noqa: ANN401  (a reference of Ray's)
        result: Any = super()._result(reference, task)
        if isinstance(result, TaskResult):  # it was lost
            return result
        own: TaskResult
        own, node = result
        if own.disk_full:
            self._full.add(node)
            if self._nodes():
                return TaskResult("lost", error=f"a disk of the cluster is full ({own.error})", is_blameless=True)
        return own

    def _end(self, number: int, result: TaskResult) -> TaskResult:
        self._inbox.end(number)
        return result

    def _nodes(self) -> list[Table]:
        return [node for node in super()._nodes() if node["NodeID"] not in self._full]

    def forget(self, number: int) -> None:
        """Let go of what was sent for an item."""
        self._outbox.forget(number)

    def close(self) -> None:
        """End what runs, remove what the cluster was sent, and leave it."""
        for reference in self._running:
            with suppress(Exception):
                self._ray.cancel(reference, force=True)
        with suppress(Exception):  # a machine that is lost has lost it all
            remote = self._ray.remote(remove_mirrors)
            nodes = [node for node in self._ray.nodes() if node["Alive"]]
            where = [self._on(node["NodeID"]) for node in nodes]
            asked = [remote.options(num_cpus=0, scheduling_strategy=w).remote(self._mark) for w in where]
            self._ray.wait(asked, num_returns=len(asked), timeout=CLEAN_S)
        super().close()


class _Outbox:
    """Files in the object store, each once, for as long as an item needs it."""

    def __init__(self, ray: Any) -> None:  # noqa: ANN401  (a module without types)
        self._ray = ray
        self._files: dict[Path, SentFile] = {}
        self._needed: dict[int, set[Path]] = {}  # by the numbers of items

    def send(self, number: int, files: Sequence[Path]) -> list[SentFile]:
        """Return the files of an item. Raises VidtransError where one is gone."""
        self._needed.setdefault(number, set()).update(files)
        return [self._sent(path) for path in files]

    def _sent(self, path: Path) -> SentFile:
        try:
            stat = path.stat()
            mark = (stat.st_size, stat.st_mtime_ns)
            if path not in self._files or self._files[path].mark != mark:
                with path.open("rb") as file:
                    pieces = iter(lambda: file.read(PIECE_BYTES), b"")
                    self._files[path] = SentFile(place_of(path), mark, [self._ray.put(piece) for piece in pieces])
        except OSError as error:
            raise VidtransError(str(path), f"it cannot be sent: {error.strerror}", "run the command again") from error
        return self._files[path]

    def forget(self, number: int) -> None:
        """Drop the files that no other item needs."""
        gone = self._needed.pop(number, set())
        needed = set().union(*self._needed.values())
        for path in gone - needed:
            self._files.pop(path, None)


class _Inbox:
    """Puts the chunks that tasks send into the entries of the cache that they are for."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._folders: dict[int, Path] = {}  # by submissions
        self._open: dict[int, Path] = {}  # files of which pieces are missing

    def missing(self, division: Division, part: tuple[int, int]) -> tuple[int, int] | None:
        """Return a part without the chunks at its beginning that are there; None where all are."""
        folder = self._cache.entry(*division.entries[0]).folder
        first, stop = part
        while first < stop and (folder / f"chunk-{first:06d}.json").is_file():
            first += 1
        return (first, stop) if first < stop else None

    def expect(self, number: int, division: Division) -> None:
        """Take the pieces of a submission from now on."""
        self._folders[number] = self._cache.entry(*division.entries[0]).folder

    def take(self, number: int, sent: Piece | LogLines) -> None:
        """Write what a submission has sent. Raises OSError."""
        if isinstance(sent, LogLines):
            self._cache.log.append(Path(sent.name).name, sent.lines)
            return
        target = self._folders[number] / Path(sent.name).name
        temporary = self._open.setdefault(number, partial_path(target))
        with temporary.open("ab") as file:
            file.write(sent.data)
        if sent.is_last:
            sync_file(temporary)
            move_into_place(temporary, target)
            del self._open[number]

    def end(self, number: int) -> None:
        """Forget a submission, with what it has sent in part."""
        self._folders.pop(number, None)
        if temporary := self._open.pop(number, None):
            remove(temporary)
