"""A batch under way: who is at what, what comes next, and what becomes of a job whose process is lost."""

from __future__ import annotations

import queue
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from vidtrans.batch.inputs import Item
from vidtrans.batch.summary import Outcome
from vidtrans.batch.workers import Worker, devices_for
from vidtrans.errors import VidtransError
from vidtrans.events import Batch, Note, Progress
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.rendering.division import Division

TRIM_S = 30.0  # how often raw outputs are trimmed while a batch runs
SHOW_S = 0.2
TRIES = 2  # of a job whose process was ended from outside
COUNTS = ("frames_inferred", "frames_encoded", "frames_spared")


@dataclass(frozen=True)
class Dividing:
    """How a long job is divided: ``divide`` says how (a ``Division``, or None), ``make_part`` makes a part of it.

    Both are ``module:function``, called with the job's arguments, and a ``count`` or a ``part``.
    """

    divide: str
    make_part: str


@dataclass(eq=False)
class _Task:
    """What a process does of the item ``number``: what it told ``last``, and of rendering, first and last."""

    number: int
    kind: Literal["whole", "divide", "part"] = "whole"
    more: Mapping[str, Any] = field(default_factory=dict)
    tries: int = 0
    last: Progress | None = None
    rendered: tuple[Progress, Progress] | None = None

    def told(self, progress: Progress) -> None:
        self.last = progress
        if progress.task.startswith("rendering"):
            self.rendered = self.rendered[0] if self.rendered else progress, progress

    @property
    def frames(self) -> int:
        """Made so far."""
        return self.rendered[1].done - self.rendered[0].done if self.rendered else 0

    @property
    def share(self) -> float:
        """Of the item, 0 to 1."""
        total = self.rendered[1].total if self.rendered else None
        return min(1.0, self.frames / total) if total else 0.0


class Run:
    """Gives the jobs of ``outcomes`` to processes, and puts down there how they went.

    Of an item that is divided the parts come first; this process holds the locks of what they share until all are
    there, and then the item is done as any other: nothing is missing. Until it is done, this process keeps all that
    from deletion, as nobody else does between two tasks. ``keep`` is given the outcomes now and then.
    """

    def __init__(
        self,
        outcomes: list[Outcome],
        function: str,
        context: Context,
        *,
        jobs: int | None,
        halt: bool,
        dividing: Dividing | None,
        keep: Callable[[Sequence[Outcome]], None] | None = None,
    ) -> None:
        self.outcomes, self.function, self.context = outcomes, function, context
        self.halt, self.dividing, self.keep = halt, dividing, keep
        self._devices = devices_for(context.device, jobs)
        if not dividing:
            self._devices = self._devices[: len(outcomes)]
        self._waiting = deque(_Task(number) for number in range(len(outcomes)))
        self._heard: queue.Queue[tuple[Worker, Any]] = queue.Queue()
        self._crew: list[Worker] = []
        self._at_work: dict[Worker, _Task] = {}
        self._parts: Counter[int] = Counter()  # of an item, those that are not there yet
        self._counts: dict[int, Counter[str]] = {}  # what its parts have made
        self._locks: dict[int, ExitStack] = {}
        self._holds: dict[int, ExitStack] = {}
        self._halted = self._told_to_stop = False
        self._began = self._trimmed = time.monotonic()
        self._shown = 0.0
        self._ended = self._failed = self._frames = 0
        self._bytes = {"all": sum(o.item.size for o in outcomes), "made": 0, "skipped": 0}

    def work(self) -> None:
        """Until all is done, or it is halted. Raises Interrupted."""
        try:
            if self._waiting:
                for device in self._devices:
                    self._begin(device)
            self._give()
            while self._at_work or (self._waiting and not self._halted):
                with suppress(queue.Empty):
                    self._hear(*self._heard.get(timeout=SHOW_S))
                    self._give()
                self._look_up()
        finally:
            for worker in self._crew:
                worker.end()
            for kept in (*self._locks.values(), *self._holds.values()):
                kept.close()
        self.context.stop.check()

    # Giving

    def _begin(self, device: str) -> None:
        context = self.context
        names = ("cache_dir", "seed", "overwrite", "dry_run", "allow_damaged", "decode_threads", "cache_limit_gb")
        self._crew.append(Worker(device, {name: getattr(context, name) for name in names}, self._heard))

    def _give(self) -> None:
        """Whoever has nothing to do gets what comes next."""
        idle = [worker for worker in self._crew if worker not in self._at_work]
        while idle and self._waiting and not self._halted:
            worker, task = idle.pop(0), self._waiting.popleft()
            spare = len(idle) - len(self._waiting)
            if self.dividing and task.kind == "whole" and spare > 0 and task.number not in self._counts:
                task = _Task(task.number, "divide", {"count": spare + 1})
            task.tries += 1
            self._at_work[worker] = task
            worker.give(self._function(task), {**self.outcomes[task.number].item.arguments, **task.more})

    def _function(self, task: _Task) -> str:
        if task.kind == "whole" or self.dividing is None:
            return self.function
        return self.dividing.divide if task.kind == "divide" else self.dividing.make_part

    # Hearing

    def _hear(self, worker: Worker, message: tuple[Any, ...]) -> None:
        kind, *rest = message
        if kind == "gone":
            self._replace(worker)
        elif kind == "event":
            self._told(worker, rest[0])
        elif kind == "ready":
            worker.is_ready = True
        else:
            task = self._at_work.pop(worker)
            if kind == "done":
                self._done(task, rest[0])
            elif kind == "stopped":
                self._waiting.appendleft(task)
            else:
                error, exit_status, trace = rest
                if trace:
                    self.context.note(trace.rstrip(), "warning")
                self._halted = self._halted or kind == "full"  # as it will be for all that follow
                self._fail(task, error, exit_status)

    def _told(self, worker: Worker, event: Any) -> None:
        task = self._at_work.get(worker)
        if task is None:
            return
        if isinstance(event, Progress):
            task.told(event)
        elif isinstance(event, Note) and event.general:
            self.context.warn_once(event.text)
        elif isinstance(event, Note):
            self.context.note(_about(self.outcomes[task.number].item, event.text), event.level)

    def _done(self, task: _Task, result: Any) -> None:
        number = task.number
        if task.kind == "divide":
            self._counts[number] = Counter()
            self._divide(number, result)
        elif task.kind == "part":
            self._counts[number].update(result)
            self._frames += result["frames_encoded"]
            self._part_ended(number)
            if not self._parts[number] and self.outcomes[number].state == "pending":
                self._waiting.appendleft(_Task(number))
        else:
            made = self._counts.get(number, Counter())
            table = result | {key: result.get(key, 0) + made[key] for key in COUNTS if made[key]}
            self._frames += 0 if result.get("cached") else result.get("frames_encoded", result.get("frames", 0))
            self._end(number, Outcome(self.outcomes[number].item, "done", table))

    def _divide(self, number: int, division: Division | None) -> None:
        if division is None:
            self._waiting.appendleft(_Task(number))
            return
        locks, holds = ExitStack(), ExitStack()
        self._locks[number], self._holds[number] = locks, holds
        try:
            for entry in (self.context.cache.entry(*names) for names in division.entries):
                locks.enter_context(entry.locked())
                holds.callback(entry.hold().release)
            for entry in (self.context.cache.entry(*names) for names in division.sources):
                with entry.locked():
                    holds.callback(entry.hold().release)
        except VidtransError as error:
            self._locks.pop(number).close()
            self._fail(_Task(number), str(error), error.exit_status)
            return
        self._parts[number] = len(division.parts)
        self._waiting.extendleft(_Task(number, "part", {"part": part}) for part in reversed(division.parts))

    def _part_ended(self, number: int) -> None:
        """What the parts share is let go with the last of them."""
        self._parts[number] -= 1
        if not self._parts[number]:
            self._locks.pop(number).close()

    def _fail(self, task: _Task, error: str, exit_status: int) -> None:
        number = task.number
        if task.kind == "part":
            dropped = [t for t in self._waiting if t.number == number]
            self._waiting = deque(t for t in self._waiting if t.number != number)
            for _ in (task, *dropped):
                self._part_ended(number)
        if self.outcomes[number].state == "pending":
            self._end(number, Outcome(self.outcomes[number].item, "failed", {}, error, exit_status))

    def _end(self, number: int, outcome: Outcome) -> None:
        if holds := self._holds.pop(number, None):
            holds.close()
        self.outcomes[number] = outcome
        self._ended += 1
        place, what = f"[{self._ended}/{len(self.outcomes)}]", outcome.item.output or outcome.item.source
        made = outcome.state == "done" and not outcome.table.get("cached")
        self._bytes["made" if made else "skipped"] += outcome.item.size
        if outcome.state == "failed":
            self._failed += 1
            self.context.note(f"{place} failed: {_about(outcome.item, outcome.error)}", "warning")
            self._halted = self._halted or self.halt
        elif not self.context.dry_run:
            took = "up to date" if outcome.table.get("cached") else f"{outcome.table.get('seconds', 0):.1f} s"
            self.context.note(f"{place} {what}: {outcome.table.get('frames', 0)} frames, {took}")

    def _replace(self, worker: Worker) -> None:
        """One that is gone: what it was at is begun again by another, once."""
        self._crew.remove(worker)
        task, fate = self._at_work.pop(worker, None), worker.fate
        worker.end()
        if not worker.is_ready:
            raise VidtransError("a process of the batch could not begin", fate, "see what 'vidtrans doctor' says")
        if self._told_to_stop:
            return
        if task is not None and task.tries < TRIES:
            self.context.note(f"{self.outcomes[task.number].item.source}: {fate}; it is begun again", "warning")
            self._waiting.appendleft(_Task(task.number, task.kind, task.more, task.tries))
        elif task is not None:
            why = f"{fate}, {TRIES} times — memory may not do: use fewer --jobs, or a smaller --size"
            self._fail(task, why, VidtransError.exit_status)
        if self._waiting and not self._halted:
            self._begin(worker.device)

    # Between messages

    def _look_up(self) -> None:
        """Whether to stop, what to show, what to keep."""
        status = self.context.stop.exit_status
        if status is not None and not self._told_to_stop:
            self._halted = self._told_to_stop = True
            for worker in self._at_work:
                worker.stop(status)
        now = time.monotonic()
        if now - self._shown >= SHOW_S:
            self._shown = now
            self.context.report(self._progress(now - self._began))
        if self.context.dry_run:
            return
        if self.keep:
            self.keep(self.outcomes)
        if now - self._trimmed >= TRIM_S:
            self._trimmed = now
            self.context.trim_cache()

    def _progress(self, elapsed: float) -> Batch:
        tasks: Sequence[_Task] = list(self._at_work.values())
        items = [o.item for o in self.outcomes]
        did = self._bytes["made"] + sum(task.share * items[task.number].size for task in tasks)
        total = self._bytes["all"] - self._bytes["skipped"]
        frames = self._frames + sum(task.frames for task in tasks)
        return Batch(
            self._ended,
            self._failed,
            len(self.outcomes),
            frames,
            frames / elapsed if elapsed > 0 else 0.0,
            elapsed * (total - did) / did if did > 0 else None,
            tuple((str(items[task.number].source), task.last) for task in tasks),
        )


def _about(item: Item, text: str) -> str:
    """What is said of an item, with its name."""
    return text if item.source.name in text else f"{item.source}: {text}"
