"""Speed check: measure the frames per second of each step of a render, and of a training step.

Each step is measured alone with a bundled model; also measured are the U-Net 256 of pix2pix and a training step of a
small network. A speed cannot fail the check; the slowest step is named.
"""

from __future__ import annotations

from functools import partial

from vidtrans.doctor import Checks, Verdict
from vidtrans.doctor.subject import Subject, frames, make_generator
from vidtrans.doctor.training_check import BATCH, make_training, method_of
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.models.loaded_model import load_model
from vidtrans.rendering.benchmark import STEPS, RenderBenchmark, Step, inferred, measure, write_clip
from vidtrans.session import Context
from vidtrans.training.trials import seconds_per_step

MODEL = "flower"
PAPERS = "unet-256"


def rate_checks(subject: Subject) -> Checks:
    """Return a check function for each clip size, for the U-Net 256 and for training, by name."""
    scale = subject.scale
    sizes = scale.rate_sizes[: 1 if subject.device.kind == "cpu" else None]
    renders = {f"rates {width}x{height}": partial(_render, subject, (width, height)) for width, height in sizes}
    return {**renders, "rate unet-256": partial(_unet, subject), "rate training": partial(_training, subject)}


def _count(subject: Subject) -> int:
    return subject.scale.rate_frames if subject.device.kind == "cpu" else subject.scale.rate_frames_on_gpu


def _render(subject: Subject, size: tuple[int, int]) -> Verdict:
    """Measure the steps of a render whose source and working size are ``size`` (width, height)."""
    count, folder = _count(subject), subject.folder / f"{size[0]}x{size[1]}"
    folder.mkdir()
    context = Context(cache_dir=folder / "cache", device=subject.device.name)
    clip = write_clip(folder / "clip.mp4", size, count)
    benchmark = RenderBenchmark(load_model(MODEL, context), context, subject.device, folder, clip, min(size), count)
    steps = benchmark.steps({benchmark.auto: benchmark.engine})
    steps["engine"] = steps.pop(f"engine {benchmark.auto}")
    rates = measure(steps, count, context)
    slowest = min(STEPS, key=lambda name: rates[name]["fps"])
    speeds = ", ".join(f"{name} {rates[name]['fps']:.4g}" for name in STEPS)
    figures = {"engine": benchmark.auto, "fps": rates, "slowest": slowest, "frames": count}
    return Verdict("ok", f"frames/s: {speeds}; the slowest is {slowest}", figures)


def _unet(subject: Subject) -> Verdict:
    """Measure the U-Net 256 of pix2pix on the engine 'torch', from input pictures to output pictures."""
    side = subject.scale.side
    engine = TorchEngine(make_generator(PAPERS, {}), subject.device)
    inputs = list(frames(side, engine.batch))
    step: Step = lambda count: inferred(engine, [inputs[n % len(inputs)] for n in range(count)])  # noqa: E731
    rate = measure({PAPERS: step}, _count(subject), Context(device=subject.device.name))[PAPERS]
    detail = f"U-Net 256 at {side}x{side}: {rate['fps']:.4g} frames/s in {engine.precision}, batch {engine.batch}"
    return Verdict("ok", detail, {"fps": {PAPERS: rate}, "precision": engine.precision, "batch": engine.batch})


def _training(subject: Subject) -> Verdict:
    """Measure a training step, including the preparation of its batch."""
    side = subject.scale.side
    run = make_training(subject, subject.folder / "rate", 1000, side)
    rate = round(BATCH / seconds_per_step(run), 2)
    precision = method_of(run).precision
    detail = f"a small U-Net at {side}x{side}, batch {BATCH}, {precision}: {rate:.4g} pictures/s"
    return Verdict("ok", detail, {"pictures_per_second": rate, "precision": precision, "batch": BATCH})
