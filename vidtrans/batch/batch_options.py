"""The options of commands that make several results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from vidtrans.batch.executors import AUTO, parse_executor
from vidtrans.core.errors import UsageError
from vidtrans.core.options import Group, Names, option

T = TypeVar("T")  # Type of the items that a shard divides


@dataclass(frozen=True)
class BatchOptions:
    """The options of a batch: parallel jobs, shard, executor. Raises UsageError if the options conflict."""

    jobs: int | None = option(
        None,
        "Number of jobs that run at the same time, for several clips or trainings.",
        Group.BATCH,
        bounds=(1, 1024),
        default_text="one for each device; stylize: two short clips on a CPU",
    )
    shard: str = option(
        "",
        "Divide the clips into N parts, and process only part I, for job arrays.",
        Group.FARM,
        metavar="I/N",
        rare=True,
    )
    halt: bool = option(False, "After a failure, start no further clips.", Group.BATCH, ("--halt-on-error",), rare=True)
    retry: bool = option(
        False, "Process only the clips that failed in the last run.", Group.BATCH, ("--retry-failed",), rare=True
    )
    executor: str = option(
        AUTO,
        "Where jobs run: in this process (inline), in worker processes (local), or on a cluster (ray).",
        Group.FARM,
        choices=Names("vidtrans.batch.executors:EXECUTORS", "executor", ("auto",), has_address=True),
        default_text="auto: inline for one clip on one device, else local",
    )

    def __post_init__(self) -> None:
        if self.shard:
            parse_shard(self.shard)
        if self.executor != AUTO:
            parse_executor(self.executor)
        if self.executor == "inline" and self.jobs not in (None, 1):
            why = "this process does one job at a time"
            raise UsageError(f"--executor inline --jobs {self.jobs}", why, "leave out --jobs, or choose local")

    @property
    def is_partial(self) -> bool:
        """Return whether this run may leave out some of the clips (--shard, --retry-failed)."""
        return bool(self.shard) or self.retry

    def share_of(self, items: Sequence[T]) -> list[T]:
        """Return this shard's items: every N-th item, to balance long and short ones; all items without --shard."""
        number, count = parse_shard(self.shard or "1/1")
        return list(items[number - 1 :: count])

    def is_inline(self, device: str) -> bool:
        """Return whether a single clip is rendered in this process: with --executor inline, or auto and one worker."""
        if self.executor == AUTO:
            from vidtrans.batch.executors.local import devices_for

            return len(devices_for(device, self.jobs)) == 1
        return self.executor == "inline"


SEQUENTIAL = BatchOptions()  # The default options: no shard, and the executor "auto"


def parse_shard(text: str) -> tuple[int, int]:
    """Parse the value of --shard: ``"2/8"``, the second of eight shards, gives (2, 8). Raises UsageError."""
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
    number, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= count:
        raise UsageError(f"--shard {text}", "not of the form I/N", "write 1/8, 2/8 … 8/8")
    return number, count
