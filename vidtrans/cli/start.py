"""The first five minutes: demo, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vidtrans.cli.console import Console
from vidtrans.cli.flags import FILE
from vidtrans.cli.options import common, console_options

SIGNS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


@click.command("demo")
@click.option("-o", "--output", type=FILE, help="The folder to make.  [default: vidtrans-demo]")
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    help="How long it may train; a GPU needs less.  [default: 2]",
)
@common
def demo(output: Path | None, minutes: float | None, context: Any, console: Console) -> None:
    """See a result: a flower is learned and painted again, from nothing but its lines. Needs no file of yours."""
    from vidtrans.pipeline.demo import MINUTES
    from vidtrans.pipeline.demo import demo as run_demo

    table = run_demo(output, context, minutes=minutes or MINUTES)
    if table.get("dry_run"):
        line = f"would make {table['output']}: a dataset, a model, a video and a comparison; about "
        line += f"{(minutes or MINUTES) + 1:g} min on a CPU, 60 MB"
    else:
        line = "\n".join(
            (
                f"done in {table['seconds']:.0f} s, {table['steps']} training steps. Look at:",
                f"  {table['comparison']}        the clip, what the model saw of it, what it painted",
                f"  {table['comparison_sheet']}        the same as a picture",
                f"  {table['training_sheet']}   how it learned",
                f"  {table['video']}   the video itself",
                "Now with a clip of yours:",
                "  vidtrans stylize YOURS.mp4 --model flower      a model that ships; try its settings first:",
                "  vidtrans try YOURS.mp4 --model flower          a grid of them on a few frames, in seconds",
                "  vidtrans run YOURS.mp4 --apply OTHER.mp4 -o out.mp4     teach it the look of your clip",
            )
        )
    console.result(table, line)


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
        console.failure(f"not everything is as it should be: {', '.join(wrong)}", 1, **table)
        return 1
    console.result(table, "all is well")
    return 0
