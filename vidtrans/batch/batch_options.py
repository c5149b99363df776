"""The options of commands that make several results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from vidtrans.batch.executors import AUTO, check_apart, parse_executor
from vidtrans.core.errors import UsageError
from vidtrans.core.parameters import Group, Names, Option, Range


@dataclass(frozen=True)
class BatchOptions:
    """How a batch is run. Raises UsageError."""

    jobs: Annotated[
        int | None,
        Option(
            "Jobs at a time, of several clips or trainings.",
            Group.BATCH,
            values=Range(1, 1024),
            default="one on each device",
        ),
    ] = None
    shard: Annotated[
        str, Option("Only the I-th of N parts of the clips, for job arrays.", Group.FARM, metavar="I/N", rare=True)
    ] = ""
    halt: Annotated[
        bool, Option("Begin no further clip when one has failed.", Group.BATCH, ("--halt-on-error",), rare=True)
    ] = False
    retry: Annotated[
        bool, Option("Only the clips that failed the last time.", Group.BATCH, ("--retry-failed",), rare=True)
    ] = False
    executor: Annotated[
        str,
        Option(
            "Where jobs run: in this process, in worker processes, or on a cluster.",
            Group.FARM,
            values=Names("vidtrans.batch.executors:EXECUTORS", "executor", ("auto",), has_address=True),
            default="auto: one clip on one device inline, all else local",
        ),
    ] = AUTO
    shared_disk: Annotated[
        bool,
        Option(
            "The machines of --executor do not see these folders: files go there, and parts of clips come back.",
            Group.FARM,
            ("--no-shared-disk",),
            rare=True,
        ),
    ] = True

    def __post_init__(self) -> None:
        if self.shard:
            from vidtrans.batch.inputs import parse_shard

            parse_shard(self.shard)
        if self.executor != AUTO:
            parse_executor(self.executor)
        if self.executor == "inline" and self.jobs not in (None, 1):
            why = "this process does one job at a time"
            raise UsageError(f"--executor inline --jobs {self.jobs}", why, "leave --jobs out, or choose local")
        if not self.shared_disk:
            check_apart(self.executor)

    @property
    def is_partial(self) -> bool:
        """Return whether this run may leave out some of the clips, or the only one."""
        return bool(self.shard) or self.retry

    def is_inline(self, device: str) -> bool:
        """Return whether one clip is made in this process: where that was asked for, or one worker would make it."""
        if self.executor == AUTO:
            from vidtrans.batch.executors.local import devices_for

            return len(devices_for(device, self.jobs)) == 1
        return self.executor == "inline"


SEQUENTIAL = BatchOptions()
