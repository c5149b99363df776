"""A Ray cluster whose machines do not see the folders of this one: they make parts of items, and this one the rest.

Items are divided and joined in a process of this machine. What a part reads goes through Ray's object store, in pieces,
and each chunk comes back as soon as it is made, so that those are not lost with a machine.
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
from vidtrans.core.partials import process_mark
from vidtrans.core.settings import Table
from vidtrans.session import Context

MESSAGES = 64  # of the process of this machine, which are read before the cluster's
CLEAN_S = 10.0  # in which all machines have to remove what they were sent


class UnsharedRayExecutor:
    """Divides and joins items in one process of this machine, and has a cluster make their parts.

    Raises what ``RayExecutor`` does; DeviceError, UsageError where this machine is of another kind than the cluster's:
    that decides keys of the cache, and this machine may go on with a clip that the cluster began.
    """

    ahead: ClassVar[int] = 2  # to divide and to join, while all machines are at work
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
        """Return how many tasks may be handed over: more than the cluster takes, so that it never waits for a clip."""
        return self._away.slots + self.ahead

    def submit(self, task: Task, report: Report) -> None:
        """Give a part to the cluster; anything else is done here. More than there are slots wait their turn."""
        where = self._away if task.kind == "part" else self._here
        self._waiting[where].append((task, report))
        self._begin(where)

    def _begin(self, executor: Executor) -> None:
        while self._waiting[executor] and self._running[executor] < executor.slots:
            executor.submit(*self._waiting[executor].popleft())
            self._running[executor] += 1

    def receive(self, timeout_s: float) -> tuple[Task, TaskResult] | None:
        """Return a task that has ended, here or on the cluster."""
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
        """Ask all that runs; what waits is not begun."""
        for executor, waiting in self._waiting.items():
            executor.stop(exit_status)
            self._stopped += [task for task, _ in waiting]
            waiting.clear()

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
        self._inbox = Inbox(context.cache)
        self._mark, self._stop = f"{process_mark()}-{uuid4().hex[:8]}", context.stop
        super().__init__(context, jobs, address)
        self._outbox = Outbox(self._ray)

    def _begin(self, context: Context, jobs: int | None) -> None:
        super()._begin(context, jobs)
        self._node |= {"mark": self._mark, "folder": str(place_of(Path(self._folder)))}
        self._options["cache_dir"] = place_of(context.cache_dir)

    def check_this_machine(self) -> None:
        """Raise DeviceError, UsageError where this machine is not of the cluster's kind."""
        try:
            check_node(examine("/", "", self.kind), self._node, "/")
        except DeviceError:
            why = f"the cluster renders on {self.kind}, and this machine, which divides and joins clips, has none"
            remedy = "start it on a machine of the cluster's kind, or render on CPUs: --device cpu"
            raise DeviceError("--no-shared-disk", why, remedy) from None

    def submit(self, task: Task, report: Report) -> None:
        """Send what the task reads, and hand it to Ray without the chunks at its beginning that another try made."""
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

    def _leave(self) -> None:
        self._inbox.close()
        with suppress(Exception):  # a machine that is lost has lost it all
            if self._count:
                remote = self._ray.remote(remove_mirrors)
                nodes = [node for node in self._ray.nodes() if node["Alive"]]
                options: Table = {"num_cpus": 0, "runtime_env": self._environment}
                where = [options | {"scheduling_strategy": self._on(node["NodeID"])} for node in nodes]
                asked = [remote.options(**given).remote(self._mark) for given in where]
                self._ray.wait(asked, num_returns=len(asked), timeout=CLEAN_S)
        super()._leave()
