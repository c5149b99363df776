"""``vidtrans bench``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vidtrans.cli.command import command_options
from vidtrans.cli.console import Console
from vidtrans.cli.types import MODEL
from vidtrans.cli.words import count

if TYPE_CHECKING:
    from vidtrans.requests import BenchRequest
    from vidtrans.session import Context


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
