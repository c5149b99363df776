"""What commands on many clips share: their options, and how the end of a batch is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidtrans.cli.console import Console
from vidtrans.cli.types import ExecutorName
from vidtrans.cli.words import count, rendered

if TYPE_CHECKING:
    from vidtrans.batch.summary import Outcome

NAMED = 5  # failed clips that are named in a line


def batch_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a batch; the command gets ``batch``, its ``Options``."""

    @click.option(
        "--jobs", type=click.IntRange(1, 1024), help="Clips at a time, of several.  [default: one on each device]"
    )
    @click.option(
        "--executor",
        type=ExecutorName("vidtrans.batch.executors:EXECUTORS", "executor", "auto"),
        default="auto",
        help="Where clips are made: in this process, or in worker processes.  [default: auto, one clip on one device "
        "inline, else local]",
    )
    @click.option("--shard", metavar="I/N", default="", help="Only the I-th of N parts of the clips, for job arrays.")
    @click.option("--retry-failed", "retry", is_flag=True, help="Only the clips that failed the last time.")
    @click.option("--halt-on-error", "halt", is_flag=True, help="Begin no further clip when one has failed.")
    @wraps(function)
    def wrapped(*, jobs: int | None, executor: str, shard: str, retry: bool, halt: bool, **given: Any) -> Any:
        from vidtrans.batch.jobs import Options

        return function(**given, batch=Options(jobs, shard, halt, retry, executor))

    return wrapped


def show_batch(console: Console, outcomes: Sequence[Outcome], summary: Path, base: dict[str, Any]) -> int:
    """Show how a batch ended, and return its exit status: 0, or 5 if some items failed."""
    done = [o.table for o in outcomes if o.state == "done"]
    failed = {str(o.item.source): o.error for o in outcomes if o.state == "failed"}
    pending = [str(o.item.source) for o in outcomes if o.state == "pending"]
    planned = any(table.get("dry_run") for table in done)
    table = base | {
        "frames": sum(t["frames"] for t in done),
        "cached": bool(done) and not failed and not pending and all(t.get("cached") for t in done),
        "items": done,
        "failed": failed,
        "pending": pending,
        "summary": None if planned else str(summary),
    }
    if planned and not console.as_json:
        for item in done:
            console.text(rendered(item))
    if not failed:
        line = f"{count(len(done), 'clip')}, {count(table['frames'], 'frame')}"
        console.result(table, line + ("" if planned else f"; what became of each is in {summary}"))
        return 0
    names = ", ".join(list(failed)[:NAMED]) + (f" and {len(failed) - NAMED} more" if len(failed) > NAMED else "")
    line = f"{len(failed)} of {count(len(outcomes), 'clip')} failed: {names}"
    line += f"; {len(pending)} not begun" if pending else ""
    if not summary.exists():  # a dry run leaves none
        console.failure(f"{line} — the first of them: {next(iter(failed.values()))}", 5, **table | {"summary": None})
        return 5
    remedy = f"see {summary}; the same command goes on, with --retry-failed only with these"
    console.failure(f"{line} — {remedy}", 5, **table)
    return 5
