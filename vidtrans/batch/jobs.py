"""Many jobs, overnight: given to processes one by one, so that none of them takes the others along.

What is done is found again by the results themselves, so that a batch that was ended anywhere goes on. Beside them lies
a summary, which says of each how it went.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vidtrans.batch.inputs import Item, parse_shard, shard_of
from vidtrans.batch.scheduler import Dividing, Run
from vidtrans.batch.summary import Outcome, Summary
from vidtrans.errors import VidtransError
from vidtrans.session import Context
from vidtrans.settings import Table


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

    @property
    def takes_some(self) -> bool:
        """Whether it may be that this run does not take all of the clips, be it one."""
        return bool(self.shard) or self.retry


ALONE = Options()


def run_batch(
    items: Sequence[Item],
    function: str,
    folder: Path,
    options: Options,
    context: Context,
    dividing: Dividing | None = None,
) -> tuple[list[Outcome], Path]:
    """Do the jobs; how each went, and where that is written: in ``folder``.

    ``function``: the ``module:function`` that is called with an item's arguments and a context, and returns what is
    reported of it. ``dividing``: how a job is divided where there are more processes than jobs. Raises UsageError;
    Interrupted when asked to stop, after all that were at work have saved.
    """
    shard = parse_shard(options.shard) if options.shard else None
    summary = Summary(folder, function.rpartition(":")[2], options.shard)
    chosen = shard_of(items, shard)
    if options.retry:
        failed = summary.failed()
        chosen = [item for item in chosen if item.source.resolve() in failed]
    outcomes = [Outcome(item) for item in chosen]
    if not context.dry_run:
        summary.save(outcomes)  # where it cannot be written, that is better known before the work
    keep = None if context.dry_run else summary.refresh
    run = Run(outcomes, function, context, jobs=options.jobs, halt=options.halt, dividing=dividing, keep=keep)
    try:
        run.work()
    finally:
        if not context.dry_run:
            summary.save(outcomes)
    if not context.dry_run:
        context.trim_cache()
    return outcomes, summary.path


def run_spread(item: Item, function: str, options: Options, context: Context, dividing: Dividing) -> Table:
    """Do one job, divided between processes, and return what is reported of it. Raises what it raised, in words."""
    outcomes = [Outcome(item)]
    Run(outcomes, function, context, jobs=options.jobs, halt=True, dividing=dividing).work()
    if outcomes[0].state == "failed":
        raise Failed(outcomes[0].error, outcomes[0].exit_status)
    context.trim_cache()
    return outcomes[0].table


class Failed(VidtransError):
    """What a job in another process raised."""

    def __init__(self, what: str, exit_status: int) -> None:
        super().__init__(what)
        self.exit_status = exit_status
