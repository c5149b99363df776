"""``vidtrans doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options
from vidtrans.cli.console import Console

if TYPE_CHECKING:
    from vidtrans.session import Context

SIGNS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


@click.command("doctor")
@click.option(
    "--self-test",
    is_flag=True,
    help="Test what the device computes and how fast, too: a minute or two; with --json all figures.",
)
@command_options("device")
def doctor(self_test: bool, context: Context, console: Console) -> int:
    """Look at device, codecs, libraries and disk, and say what to do about what is wrong."""
    from vidtrans.pipeline.doctor import examine, start_self_test

    test = start_self_test(context.device) if self_test else None
    findings = []
    for checks in (examine(context.device), test or ()):
        for finding in checks:
            context.stop.check()
            findings.append(finding)
            if not console.as_json and not (console.quiet and finding.state != "wrong"):
                console.text(f"{SIGNS[finding.state]} {finding.name:15} {finding.detail}")
                if finding.remedy:
                    console.text(f"{'':6}{'':15} -> {finding.remedy}")
    wrong = [f.name for f in findings if f.state == "wrong"]
    table = {"findings": [f.__dict__ for f in findings], "wrong": wrong}
    if test is not None:
        table["self_test"] = test.table
    if wrong:
        console.failure(f"not everything is as it should be: {', '.join(wrong)}", 1, table)
        return 1
    console.result(table, "all is well")
    return 0
