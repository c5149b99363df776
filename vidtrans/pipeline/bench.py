"""``vidtrans bench``: the rates of the steps of a render, each alone and all together.

``vidtrans.toml`` is not read: rates of two machines have to compare.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from vidtrans.config.recipe import Recipe
from vidtrans.errors import Interrupted, UsageError
from vidtrans.events import Progress, silent
from vidtrans.inference.device import resolve_device
from vidtrans.models.loaded_model import load_model
from vidtrans.pipeline.stylize import stylize
from vidtrans.rendering.bench_clip import widescreen, write_clip
from vidtrans.rendering.render_benchmark import ROUNDS, SHORT_SIDE, STEPS, RenderBenchmark, machine, measure
from vidtrans.requests import BenchRequest, StylizeRequest
from vidtrans.session import Context
from vidtrans.settings import Table, Time


def bench(request: BenchRequest, context: Context) -> Table:
    """Measure this machine, and return the rates.

    The table has ``steps`` (each of ``STEPS``, with the engine that ``auto`` takes), all ``engines`` that are here,
    those ``skipped`` and why, and ``together``: the filter with its flow, and whole renders. The ``bottleneck`` is the
    slowest of the steps. Raises ModelError, UsageError, DeviceError, Interrupted; MediaError for a model that paints
    one scene only.
    """
    with tempfile.TemporaryDirectory(prefix="vidtrans-") as temporary:
        folder = Path(temporary)
        own = replace(context, cache_dir=folder / "cache", report=silent, dry_run=False, overwrite=False)
        look, device = load_model(request.model, own), resolve_device(context.device)
        look.check_renders()
        if look.extractor is not None:
            why = f"another network, '{look.extractor.name}', makes its input"
            raise UsageError(f"model '{look.name}'", why, "measure that one, or another model")
        if look.pairing.guides:
            raise UsageError(f"model '{look.name}'", "its input is guide passes", "measure another model")
        table: Table = {"output": None, "frames": request.frames, "rounds": ROUNDS, "model": look.name, "cached": False}
        if context.dry_run:
            return table | {"dry_run": True}
        context.report(Progress("making a clip", 0, None))
        clip = write_clip(folder / "bench.mp4", widescreen(max(request.size, SHORT_SIDE)), request.frames)
        benchmark = RenderBenchmark(look, own, device, folder, clip, request.size, request.frames)
        engines, skipped = benchmark.engines(request.slow)
        try:
            rates = measure(benchmark.steps(engines) | benchmark.renders(stylize_frames), request.frames, context)
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


def stylize_frames(video: Path, model: str, output: Path, recipe: Recipe, frames: int, context: Context) -> None:
    """Render the first frames of a clip."""
    stylize(StylizeRequest(video, (model,), output, recipe, end=Time(frame=frames)), context)
