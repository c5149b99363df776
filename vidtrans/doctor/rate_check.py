"""How many frames a second does each step of a render take, and a training step?

Each by itself, one after the other, with the model that ships; the paper's U-Net 256 beside it, and a training step of
a small network. There is nothing that a rate could fail: the slowest step is named.
"""

from __future__ import annotations

from functools import partial

from vidtrans.doctor import Checks, Verdict
from vidtrans.doctor.subject import Subject, frames, make_generator
from vidtrans.doctor.training_check import BATCH, make_training, method_of
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.models.loaded_model import load_model
from vidtrans.rendering.bench_clip import write_clip
from vidtrans.rendering.render_benchmark import STEPS, RenderBenchmark, Step, inferred, measure
from vidtrans.session import Context
from vidtrans.training.trials import seconds_per_step

MODEL = "flower"
PAPERS = "unet-256"


def rate_checks(subject: Subject) -> Checks:
    """Return a check for each size of clips; of networks at 256x256 with the first."""
    scale = subject.scale
    sizes = scale.rate_sizes[: 1 if subject.device.kind == "cpu" else None]
    renders = {f"rates {width}x{height}": partial(_render, subject, (width, height)) for width, height in sizes}
    return {**renders, "rate unet-256": partial(_unet, subject), "rate training": partial(_training, subject)}


def _count(subject: Subject) -> int:
    return subject.scale.rate_frames if subject.device.kind == "cpu" else subject.scale.rate_frames_on_gpu


def _render(subject: Subject, size: tuple[int, int]) -> Verdict:
    """Rates of the steps of a render whose source and working size are ``size``."""
    count, folder = _count(subject), subject.folder / f"{size[0]}x{size[1]}"
    folder.mkdir()
    context = Context(cache_dir=folder / "cache", device=subject.device.name)
    clip = write_clip(folder / "clip.mp4", size, count)
    benchmark = RenderBenchmark(load_model(MODEL, context), context, subject.device, folder, clip, min(size), count)
    steps = benchmark.steps({benchmark.auto: benchmark.engine})
    steps["engine"] = steps.pop(f"engine {benchmark.auto}")
    rates = measure(steps, count, context)
    slowest = min(STEPS, key=lambda name: rates[name]["fps"])
    told = ", ".join(f"{name} {rates[name]['fps']:.4g}" for name in STEPS)
    figures = {"engine": benchmark.auto, "fps": rates, "slowest": slowest, "frames": count}
    return Verdict("ok", f"frames/s: {told}; the slowest is {slowest}", figures)


def _unet(subject: Subject) -> Verdict:
    """The rate of the paper's generator, from pictures to pictures, on the engine torch."""
    side = subject.scale.side
    engine = TorchEngine(make_generator(PAPERS, {}), subject.device)
    inputs = list(frames(side, engine.batch))
    step: Step = lambda count: inferred(engine, [inputs[n % len(inputs)] for n in range(count)])  # noqa: E731
    rate = measure({PAPERS: step}, _count(subject), Context(device=subject.device.name))[PAPERS]
    told = f"U-Net 256 at {side}x{side}: {rate['fps']:.4g} frames/s in {engine.precision}, batch {engine.batch}"
    return Verdict("ok", told, {"fps": {PAPERS: rate}, "precision": engine.precision, "batch": engine.batch})


def _training(subject: Subject) -> Verdict:
    """The rate of a training step, with the making of its batch."""
    side = subject.scale.side
    run = make_training(subject, subject.folder / "rate", 1000, side)
    rate = round(BATCH / seconds_per_step(run), 2)
    precision = method_of(run).precision
    told = f"a small U-Net at {side}x{side}, batch {BATCH}, {precision}: {rate:.4g} pictures/s"
    return Verdict("ok", told, {"pictures_per_second": rate, "precision": precision, "batch": BATCH})
