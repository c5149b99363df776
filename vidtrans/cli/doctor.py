"""``vidtrans doctor``."""

from __future__ import annotations

import click

from vidtrans.cli.command import console_options
from vidtrans.cli.console import Console

SIGNS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


@click.command("doctor")
@console_options
def doctor(console: Console) -> int:
    """Look at device, codecs, libraries and disk, and say what to do about what is wrong."""
    from vidtrans.pipeline.doctor import examine

    findings = []
    for finding in examine():
        findings.append(finding)
        if not console.as_json and not (console.quiet and finding.state == "ok"):
            console.text(f"{SIGNS[finding.state]} {finding.name:15} {finding.detail}")
            if finding.remedy:
                console.text(f"{'':6}{'':15} -> {finding.remedy}")
    wrong = [f.name for f in findings if f.state == "wrong"]
    table = {"findings": [f.__dict__ for f in findings], "wrong": wrong}
    if wrong:
        console.failure(f"not everything is as it should be: {', '.join(wrong)}", 1, table)
        return 1
    console.result(table, "all is well")
    return 0
