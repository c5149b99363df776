"""The jobs of a batch: run them with an executor, and write a summary file.

A failed job does not end the others. A stopped batch can be resumed: finished results are not made again. The summary,
in the folder of the results, lists the outcome of each job.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vidtrans.batch.batch_options import BatchOptions, parse_shard
from vidtrans.batch.executors import Task, TaskResult, make_executor
from vidtrans.batch.inputs import Item, Work, clips_with_endings, is_batch, make_items, place_beside
from vidtrans.config.recipe import Recipe
from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError, VidtransError
from vidtrans.core.events import BatchStatus, Event, Note, Progress
from vidtrans.core.files import base_name, read_small_json, write_json
from vidtrans.core.settings import Table
from vidtrans.output.result import COUNTS
from vidtrans.session import Context
from vidtrans.store.cache import Cache

if TYPE_CHECKING:
    from vidtrans.rendering.parts import Division

State = Literal["done", "failed", "pending"]  # Outcome of an item; "pending": it has not ended
SUMMARY_NAME = "vidtrans-batch"  # Stem of the names of a batch's summary and report
SAVE_S = 2.0  # Interval at which a running batch writes its summary, in seconds
# Errors that reading a missing or incomplete summary raises
SUMMARY_ERRORS = (OSError, ValueError, KeyError, TypeError)
JSON_SCALARS = (int, float, str, bool, type(None))  # Types of the result values that the summary copies
TRIM_S = 30.0  # Interval at which a running batch trims the cache to its size limit, in seconds
REPORT_S = 0.2  # Interval at which a running batch reports progress, in seconds
MAX_LOST_WORKERS = 2  # Number of lost workers after which the task that they ran fails
# Plural nouns for the items of a batch and for their units; the second is also a key of an item's table
CLIP_NOUNS = "clips", "frames"


def run_batch(
    items: Sequence[Item], command: str, folder: Path, options: BatchOptions, context: Context
) -> tuple[list[Outcome], Path]:
    """Run the items of a batch; return their outcomes, and the path of the summary in ``folder``.

    ``command``: the name of the command in the summary. Raises UsageError; Interrupted on a stop request, after all
    running jobs have saved.
    """
    summary = Summary(folder, command, options.shard)
    chosen = options.share_of(items)
    if options.retry:
        failed = summary.failed()
        chosen = [item for item in chosen if item.source.resolve() in failed]
    outcomes = [Outcome(item) for item in chosen]
    if not context.dry_run:
        summary.save(outcomes)  # If the summary cannot be written, fail before the work.
    save = None if context.dry_run else summary.refresh
    try:
        Scheduler(outcomes, options, context, save=save).run()
    finally:
        if not context.dry_run:
            summary.save(outcomes)
    if not context.dry_run:
        context.trim_cache()
    return outcomes, summary.path


def process_clips(
    paths: Sequence[Path],
    work: Callable[[Path, Path | None, bool], Callable[[Context], Table]],
    command: str,
    name: str,
    recipe: Recipe,
    output: Path | None,
    batch: BatchOptions,
    context: Context,
    *,
    beside: bool,
    skip: tuple[str, ...] = (),
) -> Table:
    """Process one clip, or a batch of clips; return the table of the clip or of the batch.

    A clip that is the result of another clip is left out of a batch, unless all clips were named.

    Args:
        paths: Clips, folders and globs.
        work: Returns the work for a clip, its output (None: the default), and whether the clip is the only one.
        command: The name of the command in the summary.
        name: Part of the names of default outputs, ``clip.NAME.mp4``.
        recipe: Its codec chooses the extension of the outputs.
        output: The output of one clip, or the folder of several.
        batch: How to run several clips.
        context: The context of the run.
        beside: Whether each output is put beside its clip.
        skip: Suffixes of the stems of clips that are left out of a batch.

    Raises:
        UsageError: The inputs or outputs cannot be used.
        Interrupted: A stop was requested.
    """
    if not is_batch(paths, batch):
        [clip] = paths
        return work(clip, place_beside(clip, name, recipe) if beside else output, True)(context)
    folder = None if beside else output or Path()
    endings = clips_with_endings(paths, name, folder, recipe)
    endings = {clip: ending for clip, ending in endings.items() if not (skip and base_name(clip).endswith(skip))}
    is_only = len(endings) == 1
    return process_each(
        endings, lambda clip, place: work(clip, place, is_only), command, folder, batch, context, beside=beside
    )


def process_each(
    endings: Mapping[Path, str],
    work: Callable[[Path, Path], Work],
    command: str,
    folder: Path | None,
    batch: BatchOptions,
    context: Context,
    *,
    beside: bool = False,
) -> Table:
    """Run the work that ``work(clip, output)`` returns for each clip; return the batch's ``--json`` table.

    ``command``: the name of the command in the summary. ``endings``: the ending of each output's name, ``.x.mp4``, by
    clip. ``folder``: the folder of the outputs and the summary; None: there are no outputs, or they go ``beside`` the
    clips, and the summary into the current folder. Raises UsageError, Interrupted.
    """
    items = make_items(list(endings), None if beside else folder or Path(), list(endings.values()), work)
    if folder is None and not beside:
        items = [replace(item, output=None) for item in items]
    outcomes, summary = run_batch(items, command, folder or Path(), batch, context)
    return batch_table(outcomes, summary, {"output": None if folder is None else str(folder)})


def batch_table(outcomes: Sequence[Outcome], summary: Path, base: Table) -> Table:
    """Return the table of a batch that ``--json`` prints. ``base``: the entries that the command adds."""
    done = [o.table for o in outcomes if o.state == "done"]
    failed = {str(o.item.source): o.error for o in outcomes if o.state == "failed"}
    pending = [str(o.item.source) for o in outcomes if o.state == "pending"]
    has_summary = not any(table.get("dry_run") for table in done) and (summary.exists() or not failed)
    return base | {
        "frames": sum(t["frames"] for t in done),
        "cached": bool(done) and not failed and not pending and all(t.get("cached") for t in done),
        "items": done,
        "failed": failed,
        "pending": pending,
        "summary": str(summary) if has_summary else None,
    }


def run_jobs(
    items: Sequence[Item], options: BatchOptions, context: Context, nouns: tuple[str, str] = CLIP_NOUNS
) -> list[Outcome]:
    """Run items without a summary file, and return their outcomes.

    ``nouns``: as ``CLIP_NOUNS``. Raises UsageError; Interrupted on a stop request, after all running jobs have saved.
    """
    outcomes = [Outcome(item) for item in items]
    Scheduler(outcomes, options, context, nouns=nouns).run()
    return outcomes


def run_divided_item(item: Item, options: BatchOptions, context: Context) -> Table:
    """Render one item in parts, by several workers; return the item's result table. Raises JobFailedError."""
    outcomes = [Outcome(item)]
    Scheduler(outcomes, options, context, should_report_ends=False).run()  # The caller reports the end.
    if outcomes[0].state == "failed":
        raise JobFailedError(outcomes[0].error, outcomes[0].exit_status)
    context.trim_cache()
    return outcomes[0].table


class JobFailedError(VidtransError):
    """The error of an item that failed in another process, with that error's message and exit status."""

    def __init__(self, what: str, exit_status: int) -> None:
        super().__init__(what)
        self.exit_status = exit_status


@dataclass
class Outcome:
    """The outcome of an item: its result table, or an error."""

    item: Item
    state: State = "pending"
    table: Table = field(default_factory=dict)
    error: str = ""
    exit_status: int = 0

    def row(self) -> Table:
        """Return the item's row in the summary file: source, output, state and scalar results, or the error."""
        output = None if self.item.output is None else str(self.item.output)
        row: Table = {"source": str(self.item.source), "output": output, "state": self.state}
        row |= {k: v for k, v in self.table.items() if k not in row and isinstance(v, JSON_SCALARS)}
        return row | ({"error": self.error, "exit_status": self.exit_status} if self.state == "failed" else {})


class Summary:
    """The summary file of a batch: ``vidtrans-batch.json``, or for a shard ``vidtrans-batch.2-of-8.json``.

    ``folder``: the folder of the file. ``command``: the command's name. ``shard``: the value of --shard, '' for none.
    """

    def __init__(self, folder: Path, command: str, shard: str) -> None:
        part = ".{}-of-{}".format(*parse_shard(shard)) if shard else ""
        self.path, self.command = folder / f"{SUMMARY_NAME}{part}.json", command
        self._saved = 0.0

    def failed(self) -> set[Path]:
        """Return the sources that failed in the last run. Raises UsageError if there is no readable summary."""
        try:
            rows = _read_rows(self.path)
            return {Path(row["source"]).resolve() for row in rows if row["state"] == "failed"}
        except SUMMARY_ERRORS:
            why = "there is no summary of an earlier run"
            raise UsageError(f"--retry-failed: {self.path}", why, "leave out --retry-failed") from None

    def refresh(self, outcomes: Sequence[Outcome]) -> None:
        """Write the summary file if ``SAVE_S`` seconds have passed since it was written; ignore write errors.

        The final ``save`` of a batch raises them.
        """
        if time.monotonic() - self._saved >= SAVE_S:
            with suppress(OSError):
                self.save(outcomes)

    def save(self, outcomes: Sequence[Outcome]) -> None:
        """Write the summary file atomically. Raises OSError."""
        self._saved = time.monotonic()
        rows = [outcome.row() for outcome in outcomes]
        counts = {state: sum(row["state"] == state for row in rows) for state in ("done", "failed", "pending")}
        write_json(self.path, {"command": self.command, **counts, "items": rows}, indent=1)


def read_summaries(folder: Path) -> list[Table]:
    """Return the rows of all summary files in a folder, each with ``source``, ``state``, and ``error`` if failed."""
    rows: list[Table] = []
    for path in sorted(folder.glob(f"{SUMMARY_NAME}*.json")):
        with suppress(*SUMMARY_ERRORS):
            for row in _read_rows(path):
                needed = {"source", "state", *(["error"] if row["state"] == "failed" else [])}
                rows += [row] if needed <= row.keys() else []
    return rows


def _read_rows(path: Path) -> list[Table]:
    """Return the rows of a summary. Raises one of ``SUMMARY_ERRORS``."""
    rows: list[Table] = read_small_json(path)["items"]
    return rows


class Scheduler:
    """A scheduler that runs the items of ``outcomes`` with an executor, and replaces their outcomes as they end.

    If there are more slots than items, an item with ``divide`` is divided, and its parts run first. ``save`` is called
    with the outcomes at intervals. ``nouns``: as ``CLIP_NOUNS``. ``should_report_ends``: note each item's end.
    """

    def __init__(
        self,
        outcomes: list[Outcome],
        options: BatchOptions,
        context: Context,
        *,
        save: Callable[[Sequence[Outcome]], None] | None = None,
        nouns: tuple[str, str] = CLIP_NOUNS,
        should_report_ends: bool = True,
    ) -> None:
        self.outcomes, self.context, self._options = outcomes, context, options
        self._divided: dict[int, _DividedItem | None] = {}  # By item index; None: the item must stay whole.
        self.progress = _BatchProgress([outcome.item for outcome in outcomes], nouns)
        self._save, self._should_report_ends = save, should_report_ends
        self._waiting = deque(self._whole(number) for number in range(len(outcomes)))
        self._halted = self._stopping = False
        self._reported_s, self._trimmed_s = 0.0, time.monotonic()
        self._update_lock = threading.Lock()

    def _whole(self, number: int) -> Task:
        """Return the task that renders an item as a whole. ``number``: the item's index."""
        return Task(number, "whole", self.outcomes[number].item.work)

    def run(self) -> None:
        """Run until all tasks have ended, or the batch was halted.

        Raises UsageError; Interrupted on a stop request, after all running jobs have saved.
        """
        options = self._options
        executor = make_executor(options.executor, self.context, options.jobs)
        with closing(executor) as self.executor:
            try:
                self._submit()
                while self.progress.running:
                    ended = self.executor.receive(REPORT_S)
                    self._update()
                    if ended:
                        self._end_task(*ended)
                        self._submit()
            finally:
                for divided in filter(None, self._divided.values()):
                    divided.locks.close()
                    divided.pins.close()
            self.context.stop.check()

    def _submit(self) -> None:
        """Fill the executor's slots. If more slots are free than tasks are waiting, divide the next item."""
        while self._waiting and not self._halted and len(self.progress.running) < self.executor.slots:
            spare = self.executor.slots - len(self.progress.running) - len(self._waiting)
            task = self._waiting.popleft()
            divide = self.outcomes[task.number].item.divide
            if divide and spare > 0 and task.kind == "whole" and task.number not in self._divided:
                task = Task(task.number, "divide", partial(divide, count=spare + 1))
            self.progress.running[task] = _TaskProgress()
            self.executor.submit(task, partial(self._receive_event, task))

    # Methods that are called while a task runs, in any thread

    def _receive_event(self, task: Task, event: Event) -> None:
        """Handle an event of a running task: update the progress, or report a note. Thread-safe."""
        if isinstance(event, Progress):
            if running := self.progress.running.get(task):
                running.update(event)
            self._update()  # An inline executor returns to ``run`` only after a whole task.
        elif isinstance(event, Note) and event.general:
            self.context.warn_once(event.text)
        elif isinstance(event, Note):
            self.context.note(self.outcomes[task.number].item.message(event.text), event.level)

    def _update(self) -> None:
        """Pass a stop request to the executor; every ``REPORT_S`` seconds report progress and save the summary.

        Thread-safe: if another thread runs it, it returns at once.
        """
        if not self._update_lock.acquire(blocking=False):
            return
        try:
            status = self.context.stop.exit_status
            if status is not None and not self._stopping:
                self._halted = self._stopping = True
                self.executor.stop(status)
            now = time.monotonic()
            if now - self._reported_s < REPORT_S:
                return
            self._reported_s = now
            self.context.report(self.progress.event())
            if self._save:
                self._save(self.outcomes)
            if now - self._trimmed_s >= TRIM_S and not self.context.dry_run:
                self._trimmed_s = now
                self.context.trim_cache()
        finally:
            self._update_lock.release()

    # Methods that are called when a task ends

    def _end_task(self, task: Task, result: TaskResult) -> None:
        """Handle the result of an ended task: store it, queue the task again, or fail the item."""
        self.progress.end_task(task)
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
        """Handle the value of a finished task: queue the parts of a divided item, or end the item."""
        number, divided = task.number, self._divided.get(task.number)
        if not isinstance(value, dict):
            tasks = [self._whole(number)]
            divided = self._divided[number] = _DividedItem.begin(value, self.context.cache)
            if divided and value:
                works = [(partial(value.make_part, part=part), part) for part in value.parts]
                tasks = [Task(number, "part", work, part=part, division=value) for work, part in works]
            self._waiting.extendleft(reversed(tasks))
        elif task.kind == "part":
            assert divided is not None
            self.progress.units += value["frames_encoded"]
            if divided.end_part(value) and self.outcomes[number].state == "pending":
                self._waiting.appendleft(self._whole(number))
        else:
            if not value.get("cached"):
                self.progress.add(number, value)
            table = divided.with_counts(value) if divided else value
            self._end_item(number, Outcome(self.outcomes[number].item, "done", table))

    def _retry(self, task: Task, result: TaskResult) -> None:
        """Queue the task of a lost worker again; fail the task's item if the task caused ``MAX_LOST_WORKERS`` losses.

        A loss counts unless the worker's end cannot be the task's fault.
        """
        if self._stopping:
            return
        reason, num_lost_workers = result.error, task.num_lost_workers + (not result.is_blameless)
        if num_lost_workers < MAX_LOST_WORKERS:
            self.context.note(f"{self.outcomes[task.number].item.title}: {reason}; the job is restarted", "warning")
            self._waiting.appendleft(replace(task, num_lost_workers=num_lost_workers))
        else:
            why = f"{reason}, {MAX_LOST_WORKERS} times — perhaps out of memory: use fewer --jobs, or smaller pictures"
            self._fail(task, why, VidtransError.exit_status)

    def _fail(self, task: Task, error: str, exit_status: int) -> None:
        """Fail the item of a task, and drop its waiting parts. ``exit_status``: the exit status of the ``error``."""
        number, divided = task.number, self._divided.get(task.number)
        if task.kind == "part" and divided:
            dropped = [t for t in self._waiting if t.number == number]
            self._waiting = deque(t for t in self._waiting if t.number != number)
            for _ in (task, *dropped):
                divided.end_part({})
        if self.outcomes[number].state == "pending":
            self._end_item(number, Outcome(self.outcomes[number].item, "failed", {}, error, exit_status))

    def _end_item(self, number: int, outcome: Outcome) -> None:
        """Store an item's outcome, and show a note with the count of ended items: ``[3/8] out.mp4: 240 frames``."""
        if divided := self._divided.get(number):
            divided.pins.close()
        self.progress.end_item(number, outcome)
        self.outcomes[number] = outcome
        place, item, table = f"[{self.progress.ended}/{len(self.outcomes)}]", outcome.item, outcome.table
        self._halted = self._halted or (self._options.halt and outcome.state == "failed")
        if not self._should_report_ends:
            return
        if outcome.state == "failed":
            self.context.note(f"{place} failed: {item.message(outcome.error)}", "warning")
        elif not self.context.dry_run:
            timing = "up to date" if table.get("cached") else f"{table.get('seconds', 0):.1f} s"
            units = self.progress.nouns[1]
            done = count(table.get(units, 0), units.removesuffix("s"))
            self.context.note(f"{place} {item.output or item.source}: {done}, {timing}")


@dataclass
class _DividedItem:
    """An item that is rendered in parts: ``num_left`` unfinished parts, and the frame ``counts`` of finished ones.

    The cache entries that the parts share are locked until all parts have ended. Then the item runs as a whole, with
    all chunks present. Its cache entries stay pinned until it ends, because nothing else protects them from deletion
    between two tasks.
    """

    locks: ExitStack
    pins: ExitStack
    num_left: int
    began: float = field(default_factory=time.monotonic)
    counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def begin(cls, division: Division | None, cache: Cache) -> _DividedItem | None:
        """Lock the cache entries that the parts share; return None if the item must stay whole.

        An item stays whole if ``division`` is None, or if another run, or another item with the same model outputs, has
        locked an entry: the task of a whole item waits for that lock.
        """
        if division is None:
            return None
        with ExitStack() as locks, ExitStack() as pins:
            try:
                for entry in (cache.entry(*names) for names in division.entries):
                    locks.enter_context(entry.locked(wait_s=0))
                    pins.callback(entry.pin().release)
                for entry in (cache.entry(*names) for names in division.sources):
                    with entry.locked(wait_s=0):
                        pins.callback(entry.pin().release)
            except VidtransError:
                return None
            return cls(locks.pop_all(), pins.pop_all(), len(division.parts))

    def end_part(self, counts: Mapping[str, int]) -> bool:
        """Add the frame counts of an ended part (empty if it failed); return whether it was the last part.

        After the last part, unlock the cache entries.
        """
        self.counts.update(counts)
        self.num_left -= 1
        if not self.num_left:
            self.locks.close()
        return not self.num_left

    def with_counts(self, table: Table) -> Table:
        """Return the item's table with the counts of its parts added, and the seconds since the parts began."""
        counts = {key: table.get(key, 0) + self.counts[key] for key in COUNTS if self.counts[key]}
        return table | counts | {"seconds": round(time.monotonic() - self.began, 3)}


@dataclass
class _TaskProgress:
    """The progress of a running task.

    ``last``: the latest report. ``counted``: the first and the latest report that count frames or steps.
    """

    last: Progress | None = None
    counted: tuple[Progress, Progress] | None = None

    def update(self, progress: Progress) -> None:
        """Store a progress report of the task."""
        self.last = progress
        if progress.counted:
            self.counted = self.counted[0] if self.counted else progress, progress

    @property
    def units(self) -> int:
        """Return the number of frames or steps that the task has done since its first report."""
        return self.counted[1].done - self.counted[0].done if self.counted else 0

    @property
    def share(self) -> float:
        """Return the share of the item that this task has completed, in [0, 1]."""
        return self._share_of_item(self.units)

    @property
    def resumed_share(self) -> float:
        """Return the share of the item that an earlier run had completed, in [0, 1], for a task of the whole item."""
        return self._share_of_item(self.counted[0].done - 1) if self.counted else 0.0

    def _share_of_item(self, units: int) -> float:
        """Return ``units`` as a share of the item's total, in [0, 1]; 0 if the total is unknown."""
        total = self.counted[1].total if self.counted else None
        return min(1.0, units / total) if total else 0.0


class _BatchProgress:
    """The total progress of a batch.

    ``nouns``: as ``CLIP_NOUNS``. The remaining time is estimated from the sizes of the items, because their frame
    counts are not known in advance.
    """

    def __init__(self, items: Sequence[Item], nouns: tuple[str, str]) -> None:
        self.items, self.nouns = items, nouns
        self.ended = self.failed = self.units = 0
        self.running: dict[Task, _TaskProgress] = {}
        self._began = time.monotonic()
        self._resumed_shares = [0.0] * len(items)  # Shares that earlier runs completed, which take no time in this run.
        self._sizes = {"all": float(sum(item.size for item in items)), "done": 0.0, "skipped": 0.0}

    def end_task(self, task: Task) -> None:
        """Remove an ended task from the running ones."""
        progress = self.running.pop(task)
        if task.kind == "whole":
            self._resumed_shares[task.number] = progress.resumed_share

    def add(self, number: int, table: Table) -> None:
        """Add the units (frames, steps) that this run made of item ``number``, from the item's result ``table``."""
        if "frames_encoded" in table:
            self.units += table["frames_encoded"]
        else:
            self.units += round(table[self.nouns[1]] * (1 - self._resumed_shares[number]))

    def end_item(self, number: int, outcome: Outcome) -> None:
        """Count an ended item; add its size to the work done by this run, or to the skipped work.

        Failed and cached items are skipped work, as is the share of an item that an earlier run had completed.
        """
        self.ended += 1
        self.failed += outcome.state == "failed"
        is_new = outcome.state == "done" and not outcome.table.get("cached")
        share = 1 - self._resumed_shares[number] if is_new else 0.0
        self._sizes["done"] += outcome.item.size * share
        self._sizes["skipped"] += outcome.item.size * (1 - share)

    def event(self) -> BatchStatus:
        """Return the state of the batch with its rate and the estimated remaining time."""
        elapsed, running = time.monotonic() - self._began, dict(self.running)
        sizes = {task: self.items[task.number].size for task in running}
        done = self._sizes["done"] + sum(p.share * sizes[task] for task, p in running.items())
        resumed_share = sum(p.resumed_share * sizes[task] for task, p in running.items() if task.kind == "whole")
        total = self._sizes["all"] - self._sizes["skipped"] - resumed_share
        units = self.units + sum(p.units for p in running.values())
        return BatchStatus(
            self.ended,
            self.failed,
            len(self.items),
            units,
            units / elapsed if elapsed > 0 else 0.0,
            elapsed * (total - done) / done if done > 0 else None,
            tuple((self.items[task.number].title, p.last) for task, p in running.items()),
            self.nouns,
        )
