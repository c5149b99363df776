"""The goals for GPUs, measured: a table of goal, figure, and whether it is met.

    python -m benchmarks.gpu.bench [--cache DIR] [--json FILE] [--parts 256,network,…] [--device cuda:0|cpu]

On a CUDA device, with the paper's U-Net 256 in the precision that ``auto`` takes:

- whole renders with the window filter, as ``stylize`` runs them on a new clip, against the slowest of their steps by
  itself, at 256x256, 1280x720 and 1920x1080: at least 90 %;
- the network alone at 256x256, from pictures to pictures: at least 400 frames a second;
- training, the fastest of its configurations, against an eager fp32 loop of batch 1: at least 5 times the pictures;
- the tests that need a CUDA device (only where ``--parts`` names them): all pass, and none is skipped.

Exit status: 0 where all is met, 1 where it is not, 4 where there is no CUDA device. ``--device cpu`` goes the same way
with tiny sizes and a small network: it shows that the benchmark runs, and its figures mean nothing. ``--cache`` keeps
the trained U-Net and a clip.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.speed.inputs import model_path
from benchmarks.tables import head, row
from benchmarks.training.rates import Networks, configurations, rates
from vidtrans.commands.bench import stylize_frames
from vidtrans.core.errors import DeviceError, VidtransError
from vidtrans.doctor.self_test import make_frames, make_generator
from vidtrans.inference.device import Device, resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.models.loaded_model import load_model
from vidtrans.rendering.benchmark import STEPS, RenderBenchmark, measure, measure_engine, write_clip
from vidtrans.session import Context

NO_DEVICE = 4  # exit status, as vidtrans has it
TESTS = ("tests/integration/test_cuda.py", "tests/integration/test_several_gpus.py")
PARTS = ("256", "720", "1080", "network", "training", "tests")  # of heights, the clips of that height
RENDER_SHARE, NETWORK_RATE, TRAINING_RATIO = 0.9, 400.0, 5.0  # the goals, at least


@dataclass(frozen=True)
class Plan:
    """How much is measured. ``clips``: width, height, frames that steps are timed on, frames of whole renders."""

    clips: tuple[tuple[int, int, int, int], ...]
    model: str
    generator: str
    network_frames: int
    batches: tuple[int, ...]
    precisions: tuple[str, ...]
    training_rounds: int
    side: int = 256


FULL = Plan(
    ((256, 256, 256, 1500), (1280, 720, 96, 600), (1920, 1080, 48, 300)),
    "unet-256",
    "unet-256",
    512,
    (16, 64),
    ("bf16", "tf32"),
    20,
)
TINY = Plan(((96, 64, 4, 8),), "flower", "unet-small", 4, (2,), ("fp32",), 1, 64)


@dataclass(frozen=True)
class Row:
    """A goal and what was measured; ``met`` is None where the figure means nothing. ``about``: what it is made of."""

    name: str
    goal: str
    measured: str
    met: bool | None
    about: dict[str, Any]


class GpuBench:
    """The measurements, one after another, on a device."""

    def __init__(self, device: Device, plan: Plan, folder: Path, cache: Path) -> None:
        self.device, self.plan, self.folder, self.cache = device, plan, folder, cache

    def _row(self, name: str, figure: float, goal: float, form: str, about: dict[str, Any]) -> Row:
        met = figure >= goal if self.plan is FULL else None
        return Row(name, f">= {form.format(goal)}", form.format(figure), met, about | {"figure": figure})

    def render(self, width: int, height: int, timed: int, whole: int) -> Row:
        """A whole render with the window filter against the slowest of its steps."""
        folder = self.folder / f"{width}x{height}"
        folder.mkdir()
        context = Context(cache_dir=folder / "cache", device=self.device.name)
        model = model_path(self.plan.model, None, self.cache)
        clip = write_clip(folder / "clip.mp4", (width, height), whole)
        benchmark = RenderBenchmark(
            load_model(str(model), context), context, self.device, folder, clip, min(width, height), timed
        )
        steps = benchmark.steps({benchmark.auto: benchmark.engine})
        steps["engine"] = steps.pop(f"engine {benchmark.auto}")
        alone = measure(steps, timed, context)
        together = measure({"stylize": benchmark.renders(stylize_frames)["stylize"]}, whole, context)["stylize"]
        slowest = min(STEPS, key=lambda name: alone[name]["fps"])
        share = together["fps"] / alone[slowest]["fps"]
        about = {"steps": alone, "stylize": together, "slowest": slowest, "frames": whole}
        name = f"render {width}x{height} / its slowest step ({slowest})"
        return self._row(name, share, RENDER_SHARE, "{:.0%}", about)

    def network(self) -> Row:
        """The generator alone, at one size, from pictures to pictures."""
        side, name = self.plan.side, self.plan.generator
        engine = TorchEngine(make_generator(name, {}), self.device)
        shown = list(make_frames(side, engine.batch))
        many = [shown[n % len(shown)] for n in range(self.plan.network_frames)]
        step = lambda count: measure_engine(engine, many[:count])  # noqa: E731
        rate = measure({name: step}, len(many), Context(device=self.device.name))[name]
        about = rate | {"precision": engine.precision, "batch": engine.batch}
        return self._row(f"{name} at {side}x{side}, frames/s", rate["fps"], NETWORK_RATE, "{:.0f}", about)

    def training(self) -> Row:
        """The fastest configuration of a training against the eager loop."""
        plan = self.plan
        networks = Networks(plan.generator, self.device, plan.side)
        reference = networks.warm_eager()
        found: dict[str, dict[str, Any]] = {}
        for configuration in configurations(self.device, list(plan.batches), list(plan.precisions), compiled=False):
            try:
                ours, eager, refusal = rates(networks, configuration, reference, plan.training_rounds)
            except VidtransError as error:
                found[str(configuration)] = {"error": str(error)}
                continue
            found[str(configuration)] = {"pictures_per_second": ours, "ratio": ours / eager, "not_replayed": refusal}
        best = max(found, key=lambda name: found[name].get("ratio", 0.0))
        ratio = found[best].get("ratio", 0.0)
        return self._row(f"training ({best}) / eager fp32 batch 1", ratio, TRAINING_RATIO, "{:.1f} ×", found)

    def tests(self) -> Row:
        """The tests that need a device."""
        command = [sys.executable, "-m", "pytest", "-n", "0", "-q", *TESTS]
        done = subprocess.run(command, cwd=harness.ROOT, capture_output=True, text=True, check=False)
        last = (done.stdout.strip().splitlines() or ["no output"])[-1]
        met = done.returncode == 0 and "skipped" not in last if self.plan is FULL else None
        return Row("CUDA tests", "all pass", last, met, {"exit_status": done.returncode, "output": done.stdout[-4000:]})


def run(device: Device, plan: Plan, cache: Path | None, parts: Collection[str]) -> list[Row]:
    """Measure the parts, of ``PARTS``, and print each row when it is there."""
    with harness.work_folder() as folder:
        kept = cache or folder / "kept"
        kept.mkdir(parents=True, exist_ok=True)
        bench = GpuBench(device, plan, folder, kept)
        jobs = {
            str(clip[1]): partial(bench.render, *clip) for clip in plan.clips if plan is TINY or str(clip[1]) in parts
        }
        others = {"network": bench.network, "training": bench.training, "tests": bench.tests}
        jobs |= {name: job for name, job in others.items() if name in parts}
        head("measured", "goal", "figure", "met")
        rows = []
        for job in jobs.values():
            found = job()
            row(found.name, found.goal, found.measured, {True: "yes", False: "NO", None: "–"}[found.met])
            rows.append(found)
        return rows


def main() -> int:
    parser = harness.parser(__doc__)
    parser.add_argument("--device", default="cuda", help="cpu: tiny sizes, to see that it runs [default: cuda]")
    parser.add_argument("--cache", type=lambda text: Path(text).resolve())
    parser.add_argument("--json", type=Path, help="a file for all figures")
    parser.add_argument("--parts", type=harness.comma_list, default=PARTS[:-1], help=f"of {', '.join(PARTS)}")
    given = parser.parse_args()
    try:
        device = resolve_device(given.device)
    except DeviceError as error:
        print(f"nothing was measured: {error}")
        return NO_DEVICE
    plan = FULL if device.kind == "cuda" else TINY
    print(harness.machine() if plan is FULL else f"{harness.machine()}\ntiny sizes, off CUDA: the figures mean nothing")
    rows = run(device, plan, given.cache, given.parts)
    if given.json:
        table = {"machine": harness.machine(), "device": device.name, "rows": [asdict(row) for row in rows]}
        given.json.write_text(json.dumps(table, indent=1) + "\n")
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    harness.run(main)
