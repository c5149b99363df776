"""``vidtrans batch report``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options
from vidtrans.cli.console import Console
from vidtrans.cli.options import output_option
from vidtrans.cli.types import FILE
from vidtrans.commands.words import count
from vidtrans.requests import REPORT_HOURS

if TYPE_CHECKING:
    from vidtrans.requests import BatchReportRequest
    from vidtrans.session import Context


@click.group("batch")
def batch() -> None:
    """What became of a night of renders."""


@batch.command("report")
@click.argument("folder", type=FILE, default=".")
@output_option("The page.  [default: FOLDER/vidtrans-batch.html]")
@click.option(
    "--hours",
    type=float,
    default=REPORT_HOURS,
    show_default=True,
    help="How far to look back: what was rendered since then.",
)
@command_options("cache_dir", "overwrite", "dry_run", request="BatchReportRequest")
def batch_report(request: BatchReportRequest, context: Context, console: Console) -> None:
    """A page of what was rendered: which host rendered what and when, the slowest chunks, and what failed.

    FOLDER holds results: where a batch has left its summary there, the page is about its clips, else about all that was
    rendered with this cache, on whichever host.
    """
    from vidtrans.pipeline.batch_report import report_batch

    table = report_batch(request, context)
    now, then = table["with_another_s"]
    frames, chunks = count(table["frames"], "frame"), count(table["chunks"], "chunk")
    by = f"by {count(len(table['hosts']), 'host')}, {count(len(table['failures']), 'failure')}"
    line = f"{table['output']}: {frames} in {chunks} {by}"
    if table["chunks"]:
        line += f"\nwith one more machine {then:.0f} s in place of {now:.0f} s"
    console.result(table, line)
