"""``vidtrans bench``: measure each step of a render separately, and whole renders.

``vidtrans.toml`` is not read, so that rates of different machines are comparable.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from vidtrans.commands.base import Command
from vidtrans.commands.text_reports import Terminal
from vidtrans.config.recipe import Recipe
from vidtrans.core.costs import count
from vidtrans.core.errors import Interrupted, UsageError
from vidtrans.core.events import ignore_event
from vidtrans.core.options import Group, option
from vidtrans.core.settings import Table, Time
from vidtrans.session import Context


@dataclass(frozen=True)
class Bench(Command):
    """Measure the speed of each step of a render, in frames per second.

    The command prints the slowest step, and the engine that 'auto' uses. It measures on a generated clip, and leaves no
    files except the compilation caches of compile and openvino.
    """

    CONTEXT: ClassVar = ("device", "dry_run")

    model: str = option("flower", "The model to run.", Group.INPUT, metavar="NAME|FILE", file="model")
    size: int = option(256, "Working size: the short side of 16:9 frames, in pixels.", Group.INPUT, bounds=(64, 2160))
    frames: int = option(16, "Number of frames in each measurement.", Group.INPUT, bounds=(2, 1000))
    slow: bool = option(False, "Also measure engines that start slowly: compile.", Group.SPEED, ("--all",))

    def make(self, context: Context) -> Table:
        """Measure each step of a render, each engine and whole renders on this machine; return their frames a second.

        The table has ``steps`` (with the engine of ``auto``), all available ``engines``, the ``skipped`` engines with
        reasons, and ``together``: the filter with its flow, and whole renders. ``bottleneck`` is the slowest step.
        Raises ModelError, UsageError, DeviceError, Interrupted; MediaError for a model limited to one scene.
        """
        from vidtrans.inference.device import resolve_device
        from vidtrans.models.loaded_model import load_model
        from vidtrans.pairing.pairing_records import refuse_matte
        from vidtrans.rendering.benchmark import (
            ROUNDS,
            SHORT_SIDE,
            STEPS,
            RenderBenchmark,
            machine,
            measure,
            widescreen,
            write_clip,
        )

        with tempfile.TemporaryDirectory(prefix="vidtrans-") as temporary:
            folder = Path(temporary)
            bench_context = replace(
                context, cache_dir=folder / "cache", report=ignore_event, dry_run=False, overwrite=False
            )
            model, device = load_model(self.model, bench_context), resolve_device(context.device)
            model.check_renders()
            refuse_matte(model.name, model.pairing)
            if model.extractor is not None:
                why = f"another network, '{model.extractor.name}', makes its input"
                raise UsageError(f"model '{model.name}'", why, "measure that one, or another model")
            if model.pairing.guides:
                raise UsageError(f"model '{model.name}'", "its input is guide passes", "measure another model")
            table: Table = {
                "output": None,
                "frames": self.frames,
                "rounds": ROUNDS,
                "model": model.name,
                "cached": False,
            }
            if context.dry_run:
                return table | {"dry_run": True}
            context.begin("making a clip")
            clip = write_clip(folder / "bench.mp4", widescreen(max(self.size, SHORT_SIDE)), self.frames)
            benchmark = RenderBenchmark(model, bench_context, device, folder, clip, self.size, self.frames)
            engines, skipped = benchmark.engines(self.slow)
            try:
                rates = measure(benchmark.steps(engines) | benchmark.renders(stylize_frames), self.frames, context)
            except Interrupted as error:
                error.why = "nothing was written"
                raise
            auto, plan = benchmark.auto, benchmark.plan
            steps = {name: rates[f"engine {auto}" if name == "engine" else name] for name in STEPS}
            return table | {
                "source_size": [plan.clip.index.width, plan.clip.index.height],
                "working_size": list(plan.size),
                "machine": machine(device),
                "steps": steps,
                "engines": {name: rates[f"engine {name}"] for name in engines},
                "skipped": skipped,
                "auto": auto,
                "together": {name: rates[name] for name in ("filter_with_flow", "stylize", "stylize_unfiltered")},
                "bottleneck": min(steps, key=lambda name: steps[name]["fps"]),
            }

    def describe(self, table: Table) -> str:
        """Return the report on the measured speeds as text. ``table``: the result of ``make``."""
        if table.get("dry_run"):
            plan = f"would measure '{table['model']}' in {table['rounds']} rounds of {count(self.frames, 'frame')}"
            return f"{plan}; 16 of 256 pixels take about half a minute on two CPU cores"
        machine, (width, height) = table["machine"], table["working_size"]
        on = f"{machine['gpu']}; " if machine["gpu"] else ""
        cpu = f"{machine['cpu']}, {count(machine['cores'], 'core')}"
        lines = [f"{on}{cpu}; {machine['device']}, {machine['precision']}"]
        lines.append(
            f"'{table['model']}' at {width}x{height}, medians of {table['rounds']} rounds of {self.frames} frames"
        )
        lines += [f"engine {name} was skipped: {why}" for name, why in table["skipped"].items()]
        slowest = table["steps"][table["bottleneck"]]["fps"]
        lines.append(
            f"the bottleneck is {table['bottleneck']}: {slowest:.1f} frames/s; auto takes engine {table['auto']}"
        )
        return "\n".join(lines)

    def show(self, table: Table, terminal: Terminal) -> int:
        """Print the table of frame rates and then the report; return the exit status."""
        if not table.get("dry_run"):
            terminal.figures(("", "frames/s", "spread", "ms a frame", ""), _rates(table))
        return super().show(table, terminal)


def stylize_frames(video: Path, model: str, output: Path, recipe: Recipe, frames: int, context: Context) -> None:
    """Render the first ``frames`` frames of a video with a model, as 'vidtrans stylize' does."""
    from vidtrans.stylizing.requested_render import stylize
    from vidtrans.stylizing.requests import StylizeRequest

    stylize(StylizeRequest(video, (model,), output, recipe, end=Time(frame=frames)), context)


def _rates(table: Table) -> list[tuple[str, ...]]:
    """Return the rows of the printed table: label, frames a second, range, milliseconds a frame, bottleneck mark.

    The rows are the steps in the order of a render, with all engines, and then the combined measurements. ``table``:
    the result of ``Bench.make``.
    """
    steps, together, source = table["steps"], table["together"], "x".join(map(str, table["source_size"]))
    rows: list[tuple[str, ...]] = []

    def add(label: str, rate: Table, step: str = "") -> None:
        """Append the row of a measured rate; mark it if ``step`` is the bottleneck."""
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
