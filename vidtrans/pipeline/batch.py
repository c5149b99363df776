"""Many jobs, overnight: given to processes one by one, so that none of them takes the others along.

What is done is found again by the results themselves, so that a batch that was ended anywhere goes on. Beside them lies
a summary, which says of each how it went.
"""

from __future__ import annotations

import json
import queue
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vidtrans.errors import UsageError, VidtransError
from vidtrans.events import Batch as Progressed
from vidtrans.events import Note, Progress
from vidtrans.files import write_json
from vidtrans.pipeline.batch_crew import Worker, devices_for
from vidtrans.pipeline.batch_plan import Item, parse_shard, shard_of
from vidtrans.pipeline.context import Context
from vidtrans.settings import Table

State = Literal["done", "failed", "pending"]
SUMMARY = "vidtrans-batch"
SAVE_S = 2.0  # how often the summary is written while a batch runs
TRIM_S = 30.0  # … and the raw outputs are trimmed
SHOW_S = 0.2
PLAIN = (int, float, str, bool, type(None))
TRIES = 2  # of a job whose process was ended from outside


@dataclass(frozen=True)
class Options:
    """How a batch is run.

    ``jobs``: how many at a time, None for one on each device. ``shard``: "2/8", this run's part. ``halt``: at the first
    failure. ``retry``: only what failed the last time.
    """

    jobs: int | None = None
    shard: str = ""
    halt: bool = False
    retry: bool = False


ALONE = Options()


@dataclass
class Outcome:
    """How an item went: what was reported of it, or why it failed."""

    item: Item
    state: State = "pending"
    table: Table = field(default_factory=dict)
    error: str = ""
    exit_status: int = 0

    def row(self) -> Table:
        """For the summary."""
        row: Table = {"source": str(self.item.source), "output": _text(self.item.output), "state": self.state}
        row |= {k: v for k, v in self.table.items() if k not in row and isinstance(v, PLAIN)}
        return row | ({"error": self.error, "exit_status": self.exit_status} if self.state == "failed" else {})


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


class Summary:
    """The file that says of each item how it went: ``vidtrans-batch.json``, of a part vidtrans-batch.2-of-8.json."""

    def __init__(self, folder: Path, command: str, shard: str) -> None:
        part = ".{}-of-{}".format(*parse_shard(shard)) if shard else ""
        self.path, self.command = folder / f"{SUMMARY}{part}.json", command
        self._saved = 0.0

    def failed(self) -> set[Path]:
        """The sources that failed the last time. Raises UsageError where there was none."""
        try:
            rows = json.loads(self.path.read_text(encoding="utf-8"))["items"]
            return {Path(row["source"]).resolve() for row in rows if row["state"] == "failed"}
        except (OSError, ValueError, KeyError, TypeError):
            why = "there is no summary of an earlier run"
            raise UsageError(f"--retry-failed: {self.path}", why, "leave it out") from None

    def refresh(self, outcomes: Sequence[Outcome]) -> None:
        """Write it every few seconds. One that cannot be written takes nothing along: the last one is what counts."""
        if time.monotonic() - self._saved >= SAVE_S:
            with suppress(OSError):
                self.save(outcomes)

    def save(self, outcomes: Sequence[Outcome]) -> None:
        self._saved = time.monotonic()
        rows = [outcome.row() for outcome in outcomes]
        counts = {state: sum(row["state"] == state for row in rows) for state in ("done", "failed", "pending")}
        write_json(self.path, {"command": self.command, **counts, "items": rows}, indent=1)


def run_batch(
    items: Sequence[Item], function: str, folder: Path, options: Options, context: Context
) -> tuple[list[Outcome], Path]:
    """Do the jobs; how each went, and where that is written.

    ``function``: the ``module:function`` that is called with an item's arguments and a context, and returns what is
    reported of it. ``folder`` is that of the summary. Raises UsageError; Interrupted when asked to stop, after all that
    were at work have saved.
    """
    shard = parse_shard(options.shard) if options.shard else None
    summary = Summary(folder, function.rpartition(":")[2], options.shard)
    chosen = shard_of(items, shard)
    if options.retry:
        failed = summary.failed()
        chosen = [item for item in chosen if item.source.resolve() in failed]
    run = _Run([Outcome(item) for item in chosen], function, options, context, summary)
    if not context.dry_run:
        summary.save(run.outcomes)  # where it cannot be written, that is better known before the work
    try:
        run.work()
    finally:
        if not context.dry_run:
            summary.save(run.outcomes)
            context.cache.trim("infer", int(context.cache_limit_gb * 1e9))
    return run.outcomes, summary.path


class _Run:
    """A batch under way."""

    def __init__(
        self, outcomes: list[Outcome], function: str, options: Options, context: Context, summary: Summary
    ) -> None:
        self.outcomes, self.function, self.options = outcomes, function, options
        self.context, self.summary = context, summary
        self._waiting = deque(range(len(outcomes)))
        self._at_work: dict[Worker, int] = {}
        self._doing: dict[int, Progress | None] = {}
        self._tries = [0] * len(outcomes)
        self._heard: queue.Queue[tuple[Worker, Any]] = queue.Queue()
        self._crew: list[Worker] = []
        self._halted = self._told_to_stop = False
        self._began = self._trimmed = time.monotonic()
        self._shown = 0.0
        self._ended = self._failed = self._frames = 0
        self._bytes = {"all": sum(o.item.size for o in outcomes), "made": 0, "skipped": 0}

    def work(self) -> None:
        """Until all is done, or it is halted. Raises Interrupted."""
        try:
            for device in devices_for(self.context.device, self.options.jobs)[: len(self._waiting)]:
                self._begin(device)
            while self._at_work or (self._waiting and not self._halted):
                with suppress(queue.Empty):
                    self._hear(*self._heard.get(timeout=SHOW_S))
                self._look_up()
        finally:
            for worker in self._crew:
                worker.end()
        self.context.stop.check()

    def _begin(self, device: str) -> None:
        context = self.context
        names = ("cache_dir", "seed", "overwrite", "dry_run", "allow_damaged", "decode_threads", "cache_limit_gb")
        worker = Worker(device, {name: getattr(context, name) for name in names}, self._heard)
        self._crew.append(worker)
        self._give(worker)

    def _give(self, worker: Worker) -> None:
        """The next job, if there is one."""
        if not self._waiting or self._halted:
            return
        number = self._waiting.popleft()
        self._at_work[worker] = number
        self._doing[number] = None
        self._tries[number] += 1
        worker.give(number, self.function, self.outcomes[number].item.arguments)

    def _hear(self, worker: Worker, message: tuple[Any, ...]) -> None:
        kind, *rest = message
        if kind == "event":
            self._told(worker, rest[0])
        elif kind == "done":
            number, table = rest
            self._end(number, Outcome(self.outcomes[number].item, "done", table))
            self._give(worker)
        elif kind in ("failed", "full"):
            number, error, exit_status, trace = rest
            if trace:
                self.context.note(trace.rstrip(), "warning")
            if kind == "full":  # as it will be for all that follow
                self._halted = True
            self._end(number, Outcome(self.outcomes[number].item, "failed", {}, error, exit_status))
            self._give(worker)
        elif kind == "stopped":
            del self._doing[self._at_work.pop(worker)]
        elif kind == "gone":
            self._replace(worker)

    def _told(self, worker: Worker, event: Any) -> None:
        number = self._at_work.get(worker)
        if number is None:
            return
        if isinstance(event, Progress):
            self._doing[number] = event
        elif isinstance(event, Note):
            self.context.note(_about(self.outcomes[number].item, event.text), event.level)

    def _end(self, number: int, outcome: Outcome) -> None:
        self.outcomes[number] = outcome
        self._at_work = {worker: n for worker, n in self._at_work.items() if n != number}
        self._doing.pop(number, None)
        self._ended += 1
        place, what = f"[{self._ended}/{len(self.outcomes)}]", outcome.item.output or outcome.item.source
        made = outcome.state == "done" and not outcome.table.get("cached")
        self._bytes["made" if made else "skipped"] += outcome.item.size
        if outcome.state == "failed":
            self._failed += 1
            self.context.note(f"{place} failed: {_about(outcome.item, outcome.error)}", "warning")
            self._halted = self._halted or self.options.halt
        else:
            table = outcome.table
            self._frames += table.get("frames", 0) if made else 0
            took = "up to date" if table.get("cached") else f"{table.get('seconds', 0):.1f} s"
            if not self.context.dry_run:
                self.context.note(f"{place} {what}: {table.get('frames', 0)} frames, {took}")

    def _replace(self, worker: Worker) -> None:
        """One that is gone: what it was at is begun again by another, once."""
        self._crew.remove(worker)
        number, fate = self._at_work.pop(worker, None), worker.fate
        worker.end()
        if number is None or self._told_to_stop:
            return
        self._doing.pop(number, None)
        if self._tries[number] < TRIES:
            self.context.note(f"{self.outcomes[number].item.source}: {fate}; it is begun again", "warning")
            self._waiting.appendleft(number)
        else:
            error = f"{fate}, {TRIES} times — memory may not do: use fewer --jobs, or a smaller --size"
            item = self.outcomes[number].item
            self._end(number, Outcome(item, "failed", {}, error, VidtransError.exit_status))
        if self._waiting and not self._halted:
            self._begin(worker.device)

    def _look_up(self) -> None:
        """Between messages: whether to stop, what to show, what to keep."""
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
        self.summary.refresh(self.outcomes)
        if now - self._trimmed >= TRIM_S:
            self._trimmed = now
            self.context.cache.trim("infer", int(self.context.cache_limit_gb * 1e9))

    def _progress(self, elapsed: float) -> Progressed:
        shares = {number: _share(progress) for number, progress in self._doing.items()}
        did = self._bytes["made"] + sum(share * self.outcomes[n].item.size for n, share in shares.items())
        total = self._bytes["all"] - self._bytes["skipped"]
        frames = self._frames + sum(p.done for p in self._doing.values() if p is not None and _share(p))
        return Progressed(
            self._ended,
            self._failed,
            len(self.outcomes),
            frames,
            frames / elapsed if elapsed > 0 else 0.0,
            elapsed * (total - did) / did if did > 0 else None,
            tuple((str(self.outcomes[n].item.source), p) for n, p in self._doing.items()),
        )


def _about(item: Item, text: str) -> str:
    """What is said of an item, with its name."""
    return text if item.source.name in text else f"{item.source}: {text}"


def _share(progress: Progress | None) -> float:
    """How much of a job is done, 0 to 1: where its frames are made."""
    if progress is None or not progress.total or not progress.task.startswith("rendering"):
        return 0.0
    return min(1.0, progress.done / progress.total)
