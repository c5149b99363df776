"""How far a batch is: frames and bytes that are done, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from vidtrans.batch.executors.base import Task
from vidtrans.batch.inputs import Item
from vidtrans.batch.summary import Outcome
from vidtrans.events import BatchStatus, Progress


@dataclass
class TaskProgress:
    """What a running task reported last, and of rendering first and last."""

    last: Progress | None = None
    rendered: tuple[Progress, Progress] | None = None

    def update(self, progress: Progress) -> None:
        self.last = progress
        if progress.task.startswith("rendering"):
            self.rendered = self.rendered[0] if self.rendered else progress, progress

    @property
    def frames(self) -> int:
        """Frames that were made so far."""
        return self.rendered[1].done - self.rendered[0].done if self.rendered else 0

    @property
    def share(self) -> float:
        """How much of the item this task has made, 0 to 1."""
        total = self.rendered[1].total if self.rendered else None
        return min(1.0, self.frames / total) if total else 0.0


class BatchProgress:
    """Adds up what tasks report. Time is estimated by bytes of sources: frames are not counted before they are read."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.ended = self.failed = self.frames = 0
        self.running: dict[Task, TaskProgress] = {}
        self._began = time.monotonic()
        self._bytes = {"all": sum(item.size for item in items), "made": 0, "skipped": 0}

    def end_item(self, outcome: Outcome) -> None:
        self.ended += 1
        self.failed += outcome.state == "failed"
        made = outcome.state == "done" and not outcome.table.get("cached")
        self._bytes["made" if made else "skipped"] += outcome.item.size

    def event(self) -> BatchStatus:
        """Return what is shown now."""
        elapsed, running = time.monotonic() - self._began, dict(self.running)
        did = self._bytes["made"] + sum(p.share * self.items[task.number].size for task, p in running.items())
        total = self._bytes["all"] - self._bytes["skipped"]
        frames = self.frames + sum(p.frames for p in running.values())
        return BatchStatus(
            self.ended,
            self.failed,
            len(self.items),
            frames,
            frames / elapsed if elapsed > 0 else 0.0,
            elapsed * (total - did) / did if did > 0 else None,
            tuple((str(self.items[task.number].source), p.last) for task, p in running.items()),
        )
