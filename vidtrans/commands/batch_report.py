"""``vidtrans batch report``: write a page from the cache's chunk log and the summaries of batches."""

from __future__ import annotations

import time
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vidtrans.commands.base import Command
from vidtrans.commands.options import check_suffix, output_option
from vidtrans.core.costs import count
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.options import Group, argument, option
from vidtrans.core.settings import Table
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.batch.farm_report import FarmReport

REPORT_HOURS = 24.0  # Default of --hours: length of the period before now that the report covers, in hours


@dataclass(frozen=True)
class BatchReport(Command):
    """Write a report page on the renders of a batch: the chunks of each host over time, the slowest chunks, failures.

    If FOLDER has the summary of a batch, the page covers the clips of that batch. Otherwise it covers all renders with
    this cache, on any host.
    """

    CONTEXT: ClassVar = ("cache_dir", "overwrite", "dry_run")

    folder: Path = argument(default=Path())
    output: Path | None = output_option("The report page.", "FOLDER/vidtrans-batch.html")
    _: KW_ONLY
    hours: float = option(REPORT_HOURS, "Report only the last HOURS hours.", Group.TIME)

    def __post_init__(self) -> None:
        check_suffix(self.output, "the page", ".html")
        if not 0 < self.hours < float("inf"):
            raise UsageError(f"--hours {self.hours:g}", "it must be greater than 0", "give a number above 0")

    def make(self, context: Context) -> Table:
        """Write the report page on the renders of the last ``hours`` hours; return its figures.

        If ``folder`` has summaries of batches, the page covers only their clips, and adds their failures of any time;
        otherwise it covers all clips in the log. Raises UsageError, MediaError if there is nothing to report.
        """
        from vidtrans.batch.farm_report import Failure, FarmReport, write_page
        from vidtrans.batch.jobs import SUMMARY_NAME, read_summaries
        from vidtrans.output.result import produce, refuse_link

        output = self.output or refuse_link(self.folder / f"{SUMMARY_NAME}.html")
        rows = read_summaries(self.folder)
        clips = list(dict.fromkeys(Path(row["source"]).name for row in rows))
        failures = [Failure(Path(row["source"]).name, str(row["error"])) for row in rows if row["state"] == "failed"]
        since = time.time() - 3600 * self.hours
        report = FarmReport.of(context.cache.log.lines(since), failures, clips)
        if not report.chunks and not report.failures:
            lately = f"in the last {count(self.hours, 'hour')}"
            why = f"nothing was rendered into {context.cache.root} {lately}, and nothing failed"
            raise MediaError(str(self.folder), why, "give --cache-dir, or more --hours")
        table = _table(report, output)

        def make(path: Path) -> Table:
            """Write the page to a path; return the report's table."""
            write_page(path, report, f"Renders of {output.resolve().parent.name}")
            return table

        key = {"command": "batch report", "table": table}
        return produce(context, output, key, [], lambda: make, lineage="batch report") | table

    def describe(self, table: Table) -> str:
        """Return the report on the written page as text. ``table``: the result of ``make``."""
        now, then = table["with_another_s"]
        frames, chunks = count(table["frames"], "frame"), count(table["chunks"], "chunk")
        by = f"by {count(len(table['hosts']), 'host')}, {count(len(table['failures']), 'failure')}"
        line = f"{table['output']}: {frames} in {chunks} {by}"
        if table["chunks"]:
            line += f"\nwith one more machine {then:.0f} s in place of {now:.0f} s"
        return line


def _table(report: FarmReport, output: Path) -> Table:
    """Return the figures of a batch report as the table that ``--json`` prints; times are in seconds."""
    now, then = report.simulate_another_machine()
    return {
        "output": str(output),
        "frames": report.frames,
        "clips": len(report.clips),
        "chunks": len(report.chunks),
        "duration_s": round(report.duration_s, 1),
        "busy_s": round(report.busy_s, 1),
        "by_step": {step: round(seconds, 1) for step, seconds in report.seconds.items()},
        "hosts": [
            {
                "host": share.host,
                "devices": share.devices,
                "at_a_time": len(share.lanes),
                "chunks": len(share.chunks),
                "frames": share.frames,
                "busy_s": round(share.busy_s, 1),
            }
            for share in report.hosts
        ],
        "failures": [{"clip": f.clip, "part": f.part, "host": f.host, "error": f.why} for f in report.failures],
        "with_another_s": [round(now, 1), round(then, 1)],
    }
