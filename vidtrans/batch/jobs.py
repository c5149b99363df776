"""Run the jobs of a batch with an executor; a failed job does not end the others.

A stopped batch can be resumed: finished results are not made again. A summary file next to the results lists the
outcome of each job.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from vidtrans.batch.batch_options import BatchOptions
from vidtrans.batch.executors import make_executor
from vidtrans.batch.executors.base import Executor
from vidtrans.batch.inputs import Item, parse_shard, shard_of
from vidtrans.batch.scheduler import CLIPS, Scheduler
from vidtrans.batch.summary import Outcome, Summary
from vidtrans.core.errors import VidtransError
from vidtrans.core.settings import Table
from vidtrans.session import Context


def run_batch(
    items: Sequence[Item], command: str, folder: Path, options: BatchOptions, context: Context
) -> tuple[list[Outcome], Path]:
    """Run jobs; return the outcomes, and the path of the summary, in ``folder``. ``command``: its name in the summary.

    Raises UsageError; Interrupted on a stop request, after all running jobs have saved.
    """
    shard = parse_shard(options.shard) if options.shard else None
    summary = Summary(folder, command, options.shard)
    chosen = shard_of(items, shard)
    if options.retry:
        failed = summary.failed()
        chosen = [item for item in chosen if item.source.resolve() in failed]
    outcomes = [Outcome(item) for item in chosen]
    if not context.dry_run:
        summary.save(outcomes)  # fail before the work if it cannot be written
    save = None if context.dry_run else summary.refresh
    try:
        with closing(_executor(options, context)) as executor:
            Scheduler(outcomes, context, executor, halt=options.halt, save=save).run()
    finally:
        if not context.dry_run:
            summary.save(outcomes)
    if not context.dry_run:
        context.trim_cache()
    return outcomes, summary.path


def _executor(options: BatchOptions, context: Context) -> Executor:
    return make_executor(options.executor, context, options.jobs, shared_disk=options.shared_disk)


def run_jobs(
    items: Sequence[Item], options: BatchOptions, context: Context, nouns: tuple[str, str] = CLIPS
) -> list[Outcome]:
    """Run jobs without a summary file, and return the outcomes.

    ``nouns``: the words for jobs and for their units; the latter is a key of a job's table. Raises UsageError;
    Interrupted on a stop request, after all running jobs have saved.
    """
    outcomes = [Outcome(item) for item in items]
    with closing(_executor(options, context)) as executor:
        Scheduler(outcomes, context, executor, nouns=nouns).run()
    return outcomes


def run_spread(item: Item, options: BatchOptions, context: Context) -> Table:
    """Run one job, divided among workers, and return its table. Raises JobFailedError with the job's message."""
    outcomes = [Outcome(item)]
    with closing(_executor(options, context)) as executor:
        Scheduler(outcomes, context, executor, tells_ends=False).run()  # the caller reports the end
    if outcomes[0].state == "failed":
        raise JobFailedError(outcomes[0].error, outcomes[0].exit_status)
    context.trim_cache()
    return outcomes[0].table


class JobFailedError(VidtransError):
    """The error of a job that ran in another process."""

    def __init__(self, what: str, exit_status: int) -> None:
        super().__init__(what)
        self.exit_status = exit_status
