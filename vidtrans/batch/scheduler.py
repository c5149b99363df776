"""A batch under way: which task comes next, and what becomes of an item when one ends."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from vidtrans.batch.divided_items import DividedItems
from vidtrans.batch.executors.base import Executor, Task, TaskResult
from vidtrans.batch.inputs import Item
from vidtrans.batch.progress import BatchProgress, TaskProgress
from vidtrans.batch.summary import Outcome
from vidtrans.errors import VidtransError
from vidtrans.events import Event, Note, Progress
from vidtrans.session import Context

TRIM_S = 30.0  # how often raw outputs are trimmed while a batch runs
SHOW_S = 0.2
TRIES = 2  # of a task whose worker was lost


@dataclass(frozen=True)
class Dividing:
    """How a long job is divided: ``divide`` says how (a ``Division``, or None), ``make_part`` makes a part of it.

    Both are ``module:function``, called with the job's arguments, and a ``count`` or a ``part``.
    """

    divide: str
    make_part: str


class Scheduler:
    """Submits the items of ``outcomes`` to an executor, and records there how each went.

    ``function``: the ``module:function`` that makes an item. ``halt``: begin nothing more after a failure.
    ``save``, where given, is called with the outcomes now and then. Of an item that is divided the parts come first.
    """

    def __init__(
        self,
        outcomes: list[Outcome],
        function: str,
        context: Context,
        executor: Executor,
        *,
        halt: bool = False,
        dividing: Dividing | None = None,
        save: Callable[[Sequence[Outcome]], None] | None = None,
    ) -> None:
        self.outcomes, self.context, self.executor = outcomes, context, executor
        self.divided = DividedItems(context.cache)
        self.progress = BatchProgress([outcome.item for outcome in outcomes])
        self._functions = {"whole": function}
        if dividing:
            self._functions |= {"divide": dividing.divide, "part": dividing.make_part}
        self._halt, self._save = halt, save
        self._waiting = deque(self._task(number, "whole") for number in range(len(outcomes)))
        self._halted = self._stopping = False
        self._shown, self._trimmed = 0.0, time.monotonic()
        self._looking = threading.Lock()

    def _task(self, number: int, kind: Literal["whole", "divide", "part"], **more: Any) -> Task:
        return Task(number, kind, self._functions[kind], {**self.outcomes[number].item.arguments, **more})

    def run(self) -> None:
        """Work until everything has ended, or no more is to be begun. Raises Interrupted when asked to stop."""
        try:
            self._submit()
            while self.progress.running:
                ended = self.executor.receive(SHOW_S)
                self._look_up()
                if ended:
                    self._end_task(*ended)
                    self._submit()
        finally:
            self.divided.close()
        self.context.stop.check()

    def _submit(self) -> None:
        """Fill the executor's slots. Where more of them are free than items wait, the next one is divided."""
        while self._waiting and not self._halted and len(self.progress.running) < self.executor.slots:
            spare = self.executor.slots - len(self.progress.running) - len(self._waiting)
            task = self._waiting.popleft()
            if "divide" in self._functions and spare > 0 and task.kind == "whole" and task.number not in self.divided:
                task = self._task(task.number, "divide", count=spare + 1)
            self.progress.running[task] = TaskProgress()
            self.executor.submit(task, partial(self._hear, task))

    # While a task runs, in any thread

    def _hear(self, task: Task, event: Event) -> None:
        if isinstance(event, Progress):
            if running := self.progress.running.get(task):
                running.update(event)
            self._look_up()  # an inline executor returns to ``run`` only after a whole task
        elif isinstance(event, Note) and event.general:
            self.context.warn_once(event.text)
        elif isinstance(event, Note):
            self.context.note(_about(self.outcomes[task.number].item, event.text), event.level)

    def _look_up(self) -> None:
        """Look whether to stop; every ``SHOW_S`` show progress, and save. In one thread at a time."""
        if not self._looking.acquire(blocking=False):
            return
        try:
            status = self.context.stop.exit_status
            if status is not None and not self._stopping:
                self._halted = self._stopping = True
                self.executor.stop(status)
            now = time.monotonic()
            if now - self._shown < SHOW_S:
                return
            self._shown = now
            self.context.report(self.progress.event())
            if self._save:
                self._save(self.outcomes)
            if now - self._trimmed >= TRIM_S and not self.context.dry_run:
                self._trimmed = now
                self.context.trim_cache()
        finally:
            self._looking.release()

    # When a task ends

    def _end_task(self, task: Task, result: TaskResult) -> None:
        del self.progress.running[task]
        if result.state == "done":
            self._done(task, result.value)
        elif result.state == "stopped":
            self._waiting.appendleft(task)
        elif result.state == "lost":
            self._lost(task, result.error)
        else:
            if result.traceback:
                self.context.note(result.traceback, "warning")
            self._halted = self._halted or result.disk_full
            self._fail(task, result.error, result.exit_status)

    def _done(self, task: Task, value: Any) -> None:
        number = task.number
        if task.kind == "divide":
            parts = value.parts if self.divided.begin(number, value) else []
            tasks = [self._task(number, "part", part=part) for part in parts] or [self._task(number, "whole")]
            self._waiting.extendleft(reversed(tasks))
        elif task.kind == "part":
            self.progress.frames += value["frames_encoded"]
            if self.divided.end_part(number, value) and self.outcomes[number].state == "pending":
                self._waiting.appendleft(self._task(number, "whole"))
        else:
            made = 0 if value.get("cached") else value.get("frames_encoded", value.get("frames", 0))
            self.progress.frames += made
            table = self.divided.with_counts(number, value)
            self._end_item(number, Outcome(self.outcomes[number].item, "done", table))

    def _lost(self, task: Task, fate: str) -> None:
        """Begin the task of a lost worker again, once."""
        if self._stopping:
            return
        if task.tries + 1 < TRIES:
            self.context.note(f"{self.outcomes[task.number].item.source}: {fate}; it is begun again", "warning")
            self._waiting.appendleft(replace(task, tries=task.tries + 1))
        else:
            why = f"{fate}, {TRIES} times — memory may not do: use fewer --jobs, or a smaller --size"
            self._fail(task, why, VidtransError.exit_status)

    def _fail(self, task: Task, error: str, exit_status: int) -> None:
        number = task.number
        if task.kind == "part":
            dropped = [t for t in self._waiting if t.number == number]
            self._waiting = deque(t for t in self._waiting if t.number != number)
            for _ in (task, *dropped):
                self.divided.end_part(number, {})
        if self.outcomes[number].state == "pending":
            self._end_item(number, Outcome(self.outcomes[number].item, "failed", {}, error, exit_status))

    def _end_item(self, number: int, outcome: Outcome) -> None:
        self.divided.end_item(number)
        self.outcomes[number] = outcome
        self.progress.end_item(outcome)
        place, item, table = f"[{self.progress.ended}/{len(self.outcomes)}]", outcome.item, outcome.table
        if outcome.state == "failed":
            self.context.note(f"{place} failed: {_about(item, outcome.error)}", "warning")
            self._halted = self._halted or self._halt
        elif not self.context.dry_run:
            took = "up to date" if table.get("cached") else f"{table.get('seconds', 0):.1f} s"
            self.context.note(f"{place} {item.output or item.source}: {table.get('frames', 0)} frames, {took}")


def _about(item: Item, text: str) -> str:
    """Return what is said of an item, with its name."""
    return text if item.source.name in text else f"{item.source}: {text}"
