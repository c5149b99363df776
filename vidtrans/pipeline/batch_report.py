"""``vidtrans batch report``: the log of a cache and the summaries of batches in, a page out."""

from __future__ import annotations

import time
from pathlib import Path

from vidtrans.batch.report.night import Failure, Night
from vidtrans.batch.report.page import write_page
from vidtrans.batch.summary import NAME, read_summaries
from vidtrans.errors import MediaError
from vidtrans.files import digest_of, link_target, write_atomically
from vidtrans.output.target import check_foreign, check_place, record, refuse_link
from vidtrans.requests import BatchReportRequest
from vidtrans.session import Context
from vidtrans.settings import Table

PAGE = f"{NAME}.html"


def report_batch(request: BatchReportRequest, context: Context) -> Table:
    """Write the page of what was rendered in the last hours, and return its figures.

    Where a folder of results has summaries of batches, their clips count, and what failed there; else all that the log
    has. Raises UsageError, MediaError where there is nothing to tell of.
    """
    began = time.monotonic()
    output = request.output or refuse_link(request.folder / PAGE)
    check_place(output, [])
    check_foreign(context.cache, output, context.overwrite)
    rows = read_summaries(request.folder)
    clips = list(dict.fromkeys(Path(row["source"]).name for row in rows))
    failures = [Failure(Path(row["source"]).name, str(row["error"])) for row in rows if row["state"] == "failed"]
    since = time.time() - 3600 * request.hours
    night = Night.of(context.cache.log.lines(since), failures, clips)
    if not night.chunks and not night.failures:
        why = f"nothing was rendered into {context.cache.root} in the last {request.hours:g} hours, and nothing failed"
        raise MediaError(str(request.folder), why, "give --cache-dir, or more --hours")
    table = _table(night, output)
    if not context.dry_run:
        with write_atomically(link_target(output)) as temporary:
            write_page(temporary, night, f"Renders of {output.resolve().parent.name}")
            record(context.cache, output, temporary, digest_of({"command": "batch report"}), table)
    return (
        table
        | {"seconds": round(time.monotonic() - began, 3), "cached": False}
        | ({"dry_run": True} if context.dry_run else {})
    )


def _table(night: Night, output: Path) -> Table:
    now, then = night.with_another()
    return {
        "output": str(output),
        "frames": night.frames,
        "clips": len(night.clips),
        "chunks": len(night.chunks),
        "duration_s": round(night.duration_s, 1),
        "busy_s": round(night.busy_s, 1),
        "by_step": {step: round(seconds, 1) for step, seconds in night.seconds.items()},
        "hosts": [
            {
                "host": share.host,
                "devices": share.devices,
                "at_a_time": len(share.lanes),
                "chunks": len(share.chunks),
                "frames": share.frames,
                "busy_s": round(share.busy_s, 1),
            }
            for share in night.hosts
        ],
        "failures": [{"clip": f.clip, "part": f.part, "host": f.host, "error": f.why} for f in night.failures],
        "with_another_s": [round(now, 1), round(then, 1)],
    }
