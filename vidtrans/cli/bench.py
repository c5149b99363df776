"""``vidtrans bench``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options
from vidtrans.cli.console import Console
from vidtrans.cli.types import MODEL
from vidtrans.commands.words import count

if TYPE_CHECKING:
    from vidtrans.requests import BenchRequest
    from vidtrans.session import Context
    from vidtrans.settings import Table


@click.command("bench")
@click.option("--model", default="flower", show_default=True, metavar="NAME|FILE", type=MODEL, help="To run.")
@click.option(
    "--size",
    type=click.IntRange(64, 2160),
    default=256,
    show_default=True,
    help="Working size: the short side in pixels, of 16:9.",
)
@click.option("--frames", type=click.IntRange(2, 1000), default=16, show_default=True, help="Of each measurement.")
@click.option("--all", "slow", is_flag=True, help="Engines that take long to start, too: compile.")
@command_options("device", "dry_run", request="BenchRequest")
def bench(request: BenchRequest, context: Context, console: Console) -> None:
    """How many frames a second each step of a render makes here, which is the slowest, and what auto takes.

    It measures on a clip of its own, and leaves nothing behind but what compile and openvino keep for the next time.
    """
    from vidtrans.pipeline.bench import bench as measure

    table, frames = measure(request, context), request.frames
    if table.get("dry_run"):
        plan = f"would measure '{table['model']}' in {table['rounds']} rounds of {count(frames, 'frame')}"
        console.result(table, f"{plan}; 16 of 256 pixels take about half a minute on two CPU cores")
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


def _rates(table: Table) -> list[tuple[str, ...]]:
    """Rows for a person: the steps in the order of a render, every engine, and what comes of them together."""
    steps, together, source = table["steps"], table["together"], "x".join(map(str, table["source_size"]))
    rows: list[tuple[str, ...]] = []

    def add(label: str, rate: Table, step: str = "") -> None:
        spread = f"{rate['slowest']:.1f} to {rate['fastest']:.1f}"
        mark = "bottleneck" if step == table["bottleneck"] else ""
        rows.append((label, f"{rate['fps']:.1f}", spread, f"{1000 / rate['fps']:.1f}", mark))

    for label, step in ((f"decode {source}", "decode"), ("input of the network", "input")):
        add(label, steps[step], step)
    for name, rate in table["engines"].items():
        is_auto = name == table["auto"]
        add(f"engine {name} (auto)" if is_auto else f"engine {name}", rate, "engine" if is_auto else "")
    for label, step in (("flow, both ways", "flow"), ("window filter", "filter"), (f"encode {source}", "encode")):
        add(label, steps[step], step)
    add("filter with its flow", together["filter_with_flow"])
    add("stylize", together["stylize"])
    add("stylize --temporal off", together["stylize_unfiltered"])
    return rows
