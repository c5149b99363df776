"""A Ray cluster without a shared disk: its machines render parts of items, and this machine does the rest.

A process on this machine divides and joins items. A part's input files go through Ray's object store, in pieces, and
each chunk comes back when it is finished, so that a lost machine does not lose it.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

from vidtrans.batch.executors.base import Executor, Task, TaskResult
from vidtrans.batch.executors.local import LocalExecutor
from vidtrans.batch.executors.ray import RayExecutor
from vidtrans.batch.executors.ray_boxes import MEGABYTE, CannotSendError, Inbox, Outbox
from vidtrans.batch.executors.ray_mirror import (
    LogLines,
    Piece,
    place_of,
    remove_mirrors,
    run_part_on_ray,
)
from vidtrans.batch.executors.ray_worker import check_node, examine
from vidtrans.core.errors import DeviceError, Interrupted, first_line
from vidtrans.core.events import Progress, Report
from vidtrans.core.files import process_mark
from vidtrans.core.settings import Table
from vidtrans.session import Context

MESSAGES = 64  # local messages that are read before the cluster's
CLEAN_S = 10.0  # time limit for all machines to remove their mirrors


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

    def _start(self, task: Task, options: Table) -> Any:  # noqa: ANN401  (a reference of Ray's)
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
