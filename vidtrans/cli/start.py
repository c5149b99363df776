"""The first five minutes: demo, doctor, bench."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vidtrans.cli.console import Console
from vidtrans.cli.flags import FILE
from vidtrans.cli.options import common, console_options, model_type
from vidtrans.cli.words import count

SIGNS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


@click.command("demo")
@click.option("-o", "--output", type=FILE, help="The folder to make.  [default: vidtrans-demo]")
@click.option(
    "--minutes",
    type=click.FloatRange(0, 1e6, min_open=True),
    help="How long it may train; a GPU needs less.  [default: 2]",
)
@common("device", "seed", "cache_dir", "cache_limit_gb", "overwrite", "dry_run")
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


@click.command("bench")
@click.option("--model", default="flower", show_default=True, metavar="NAME|FILE", type=model_type, help="To run.")
@click.option(
    "--size",
    type=click.IntRange(64, 2160),
    default=256,
    show_default=True,
    help="Working size: the short side in pixels, of 16:9.",
)
@click.option("--frames", type=click.IntRange(2, 1000), default=16, show_default=True, help="Of each measurement.")
@click.option("--all", "slow", is_flag=True, help="Engines that take long to start, too: compile.")
@common("device", "dry_run")
def bench(model: str, size: int, frames: int, slow: bool, context: Any, console: Console) -> None:
    """How many frames a second each step of a render makes here, which is the slowest, and what auto takes.

    It measures on a clip of its own, and leaves nothing behind but what compile and openvino keep for the next time.
    """
    from vidtrans.pipeline.bench import bench as measure

    table = measure(model, context, size=size, frames=frames, slow=slow)
    if table.get("dry_run"):
        told = f"would measure '{table['model']}' in {table['rounds']} rounds of {count(frames, 'frame')}"
        console.result(table, f"{told}; 16 of 256 pixels take about half a minute on two CPU cores")
        return
    console.figures(("", "frames/s", "spread", "ms a frame", ""), _rates(table))
    machine, (width, height) = table["machine"], table["working_size"]
    on = f"{machine['gpu']}; " if machine["gpu"] else ""
    cpu = f"{machine['cpu']}, {count(machine['cores'], 'core')}"
    lines = [f"{on}{cpu}; {machine['device']}, {machine['precision']}"]
    lines.append(f"'{table['model']}' at {width}x{height}, medians of {table['rounds']} rounds of {frames} frames")
    lines += [f"engine {name} was left out: {why}" for name, why in table["skipped"].items()]
    slowest = table["steps"][table["bottleneck"]]["fps"]
    lines.append(f"the bottleneck is {table['bottleneck']}: {slowest:.1f} frames/s; auto takes engine {table['auto']}")
    console.result(table, "\n".join(lines))


def _rates(table: dict[str, Any]) -> list[tuple[str, ...]]:
    """Rows for a person: the steps in the order of a render, every engine, and what comes of them together."""
    steps, auto, source = table["steps"], table["auto"], "x".join(map(str, table["source_size"]))
    before = {f"decode {source}": "decode", "input of the network": "input"}
    after = {"flow, both ways": "flow", "window filter": "filter", f"encode {source}": "encode"}
    engines = {f"engine {name} (auto)" if name == auto else f"engine {name}": name for name in table["engines"]}
    together = {"filter with its flow": "filter_with_flow", "stylize": "stylize"}
    rates = {label: steps[name] for label, name in before.items()}
    rates |= {label: table["engines"][name] for label, name in engines.items()}
    rates |= {label: steps[name] for label, name in after.items()}
    rates |= {label: table["together"][name] for label, name in together.items()}
    rates["stylize --temporal off"] = table["together"]["stylize_unfiltered"]
    step_of = {**before, **after, f"engine {auto} (auto)": "engine"}
    return [
        (
            label,
            f"{rate['fps']:.1f}",
            f"{rate['slowest']:.1f} to {rate['fastest']:.1f}",
            f"{1000 / rate['fps']:.1f}",
            "bottleneck" if step_of.get(label) == table["bottleneck"] else "",
        )
        for label, rate in rates.items()
    ]
