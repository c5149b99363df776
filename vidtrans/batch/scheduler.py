"""A batch under way: which task comes next, and what becomes of an item when one ends."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from vidtrans.batch.divided_items import DividedItems
from vidtrans.batch.executors.base import Executor, Task, TaskResult
from vidtrans.batch.inputs import Item
from vidtrans.batch.progress import BatchProgress, TaskProgress
from vidtrans.batch.summary import Outcome
from vidtrans.errors import VidtransError
from vidtrans.events import Event, Note, Progress
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.rendering.division import Division
    from vidtrans.settings import Table

TRIM_S = 30.0  # how often raw outputs are trimmed while a batch runs
SHOW_S = 0.2
TRIES = 2  # of a task whose worker was lost


class Scheduler:
    """Submits the items of ``outcomes`` to an executor, and records there how each went.

    ``halt``: begin nothing more after a failure. ``save``, where given, is called with the outcomes now and then. Where
    there are more slots than items, an item that has a ``dividing`` is divided: its parts come first.
    """

    def __init__(
        self,
        outcomes: list[Outcome],
        context: Context,
        executor: Executor,
        *,
        halt: bool = False,
        save: Callable[[Sequence[Outcome]], None] | None = None,
    ) -> None:
        self.outcomes, self.context, self.executor = outcomes, context, executor
        self.divided = DividedItems(context.cache)
        self.progress = BatchProgress([outcome.item for outcome in outcomes])
        self._halt, self._save = halt, save
        self._waiting = deque(self._whole(number) for number in range(len(outcomes)))
        self._halted = self._stopping = False
        self._shown, self._trimmed = 0.0, time.monotonic()
        self._looking = threading.Lock()

    def _whole(self, number: int) -> Task:
        return Task(number, "whole", self.outcomes[number].item.work)

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
            dividing = self.outcomes[task.number].item.dividing
            if dividing and spare > 0 and task.kind == "whole" and task.number not in self.divided:
                task = Task(task.number, "divide", partial(dividing.divide, count=spare + 1))
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

    def _done(self, task: Task, value: Table | Division | None) -> None:
        number, dividing = task.number, self.outcomes[task.number].item.dividing
        if not isinstance(value, dict):
            parts = value.parts if self.divided.begin(number, value) and value else []
            tasks = [Task(number, "part", partial(dividing.make_part, part=part)) for part in parts if dividing]
            self._waiting.extendleft(reversed(tasks or [self._whole(number)]))
        elif task.kind == "part":
            self.progress.frames += value["frames_encoded"]
            if self.divided.end_part(number, value) and self.outcomes[number].state == "pending":
                self._waiting.appendleft(self._whole(number))
        else:
            if not value.get("cached"):
                self.progress.frames += value["frames_encoded"] if "frames_encoded" in value else value["frames"]
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
