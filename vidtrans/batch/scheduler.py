"""Schedule a batch: choose the next task, and collect the outcome of each item."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from vidtrans.batch.divided_items import DividedItems
from vidtrans.batch.executors.base import Executor, Task, TaskResult
from vidtrans.batch.inputs import Item
from vidtrans.batch.summary import Outcome
from vidtrans.errors import VidtransError
from vidtrans.events import BatchStatus, Event, Note, Progress
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.rendering.division import Division
    from vidtrans.settings import Table

TRIM_S = 30.0  # how often raw outputs are trimmed while a batch runs
REPORT_S = 0.2  # between two reports of progress
MAX_TRIES = 2  # of a task whose worker was lost


@dataclass
class _TaskProgress:
    """The last progress of a running task, and the first and last of its rendering."""

    last: Progress | None = None
    rendered: tuple[Progress, Progress] | None = None

    def update(self, progress: Progress) -> None:
        self.last = progress
        if progress.renders:
            self.rendered = self.rendered[0] if self.rendered else progress, progress

    @property
    def frames(self) -> int:
        return self.rendered[1].done - self.rendered[0].done if self.rendered else 0

    @property
    def share(self) -> float:
        """How much of the item this task has rendered, 0 to 1."""
        total = self.rendered[1].total if self.rendered else None
        return min(1.0, self.frames / total) if total else 0.0


class _BatchProgress:
    """Adds up what tasks report. Time is estimated by bytes of sources: frames are not counted before they are read."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.ended = self.failed = self.frames = 0
        self.running: dict[Task, _TaskProgress] = {}
        self._began = time.monotonic()
        self._bytes = {"all": sum(item.size for item in items), "done": 0, "skipped": 0}

    def end_item(self, outcome: Outcome) -> None:
        self.ended += 1
        self.failed += outcome.state == "failed"
        is_new = outcome.state == "done" and not outcome.table.get("cached")
        self._bytes["done" if is_new else "skipped"] += outcome.item.size

    def event(self) -> BatchStatus:
        elapsed, running = time.monotonic() - self._began, dict(self.running)
        done = self._bytes["done"] + sum(p.share * self.items[task.number].size for task, p in running.items())
        total = self._bytes["all"] - self._bytes["skipped"]
        frames = self.frames + sum(p.frames for p in running.values())
        return BatchStatus(
            self.ended,
            self.failed,
            len(self.items),
            frames,
            frames / elapsed if elapsed > 0 else 0.0,
            elapsed * (total - done) / done if done > 0 else None,
            tuple((str(self.items[task.number].source), p.last) for task, p in running.items()),
        )


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
        self.progress = _BatchProgress([outcome.item for outcome in outcomes])
        self._halt, self._save = halt, save
        self._waiting = deque(self._whole(number) for number in range(len(outcomes)))
        self._halted = self._stopping = False
        self._reported, self._trimmed = 0.0, time.monotonic()
        self._update_lock = threading.Lock()

    def _whole(self, number: int) -> Task:
        return Task(number, "whole", self.outcomes[number].item.work)

    def run(self) -> None:
        """Work until everything has ended, or no more is to be begun. Raises Interrupted when asked to stop."""
        try:
            self._submit()
            while self.progress.running:
                ended = self.executor.receive(REPORT_S)
                self._update()
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
            self.progress.running[task] = _TaskProgress()
            self.executor.submit(task, partial(self._receive_event, task))

    # While a task runs, in any thread

    def _receive_event(self, task: Task, event: Event) -> None:
        if isinstance(event, Progress):
            if running := self.progress.running.get(task):
                running.update(event)
            self._update()  # an inline executor returns to ``run`` only after a whole task
        elif isinstance(event, Note) and event.general:
            self.context.warn_once(event.text)
        elif isinstance(event, Note):
            self.context.note(_about(self.outcomes[task.number].item, event.text), event.level)

    def _update(self) -> None:
        """Stop where that was requested; every ``REPORT_S`` report progress, and save. In one thread at a time."""
        if not self._update_lock.acquire(blocking=False):
            return
        try:
            status = self.context.stop.exit_status
            if status is not None and not self._stopping:
                self._halted = self._stopping = True
                self.executor.stop(status)
            now = time.monotonic()
            if now - self._reported < REPORT_S:
                return
            self._reported = now
            self.context.report(self.progress.event())
            if self._save:
                self._save(self.outcomes)
            if now - self._trimmed >= TRIM_S and not self.context.dry_run:
                self._trimmed = now
                self.context.trim_cache()
        finally:
            self._update_lock.release()

    # When a task ends

    def _end_task(self, task: Task, result: TaskResult) -> None:
        del self.progress.running[task]
        if result.state == "done":
            self._end_work(task, result.value)
        elif result.state == "stopped":
            self._waiting.appendleft(task)
        elif result.state == "lost":
            self._retry(task, result)
        else:
            if result.traceback:
                self.context.note(result.traceback, "warning")
            self._halted = self._halted or result.disk_full
            self._fail(task, result.error, result.exit_status)

    def _end_work(self, task: Task, value: Table | Division | None) -> None:
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

    def _retry(self, task: Task, result: TaskResult) -> None:
        """Begin the task of a lost worker again; once, where it may have been the reason."""
        if self._stopping:
            return
        fate, tries = result.error, task.tries + (not result.is_blameless)
        if tries < MAX_TRIES:
            self.context.note(f"{self.outcomes[task.number].item.source}: {fate}; it is started again", "warning")
            self._waiting.appendleft(replace(task, tries=tries))
        else:
            why = f"{fate}, {MAX_TRIES} times — perhaps out of memory: use fewer --jobs, or a smaller --size"
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
            timing = "up to date" if table.get("cached") else f"{table.get('seconds', 0):.1f} s"
            self.context.note(f"{place} {item.output or item.source}: {table.get('frames', 0)} frames, {timing}")


def _about(item: Item, text: str) -> str:
    """A text about an item, with its name."""
    return text if item.source.name in text else f"{item.source}: {text}"
