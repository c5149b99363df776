"""What a dream costs beside the bare generator: a frame of each, in turns, in one process.

    python benchmarks/dream/cost.py [--preset next-frame | --model FILE] [--rounds 7] [--frames 300]
                                    [--size 144x80 256x256] [--set zoom=1.01 …] [--precision auto]

The bare generator is its network alone, on an input that lies ready in the engine's precision. The dream is all of it,
from its first frame to the finished file: what is fed back, clock, governor, pictures, H.264 beside it, the kept state.
Random weights paint noise, which takes a video encoder longer than a film does: ``--model`` takes trained ones. Prints
milliseconds a frame (medians) and the median of the rounds' ratios: by the clock, and of processor time, which says
more on a busy machine (with OMP_NUM_THREADS=1: threads that wait count).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import vidtrans
from vidtrans.dreaming.governor import bank_of
from vidtrans.events import Event, Progress
from vidtrans.inference.device import resolve_device
from vidtrans.inference.torch_engine import TorchEngine, as_pictures
from vidtrans.model import ModelRecord, load_generator, save_model
from vidtrans.networks import GENERATORS
from vidtrans.networks.init import build_generator, full_table, initialise
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.base import make_pairing, pairing_record
from vidtrans.pairing.clock import CHANNELS
from vidtrans.pipeline.recipe import make_recipe
from vidtrans.settings import parse_value


def make_model(preset: str, size: int, path: Path) -> None:
    """A model as the preset builds it, with a bank of what it paints itself: nothing strays."""
    recipe = make_recipe(preset, None, {})
    pairing = make_pairing(PAIRINGS, *recipe.choice("pairing"))
    name, table = recipe.choice("generator")
    if clock := getattr(pairing.settings, "clock", False):
        table = {**table, "clock": CHANNELS}
    generator = build_generator(name, table, pairing.in_channels)
    initialise(generator, 0)
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.uniform(-1, 1, (8, pairing.in_channels, 64, 64)).astype(np.float32))
    with torch.inference_mode():
        painted = as_pictures(generator.eval()(noise), deep=False)
    dream = {"positions": 200 if clock else 0, "rate": "25", "bank": bank_of(painted)}
    settings = full_table(GENERATORS, name, table, "generator")
    record = ModelRecord(
        {"name": name, "settings": settings},
        {k: v for k, v in pairing_record(pairing).items() if k != "version"},
        pairing.in_channels,
        3,
        size,
        "[-1, 1]",
        {},
        {},
        dream=dream,
    )
    save_model(path, generator, record)


Spent = tuple[float, float]  # seconds by the clock, and of all processors


def now() -> Spent:
    return time.perf_counter(), time.process_time()


def since(began: Spent, frames: int) -> Spent:
    """Of each of so many frames."""
    wall, processor = now()
    return (wall - began[0]) / frames, (processor - began[1]) / frames


def bare(path: Path, size: tuple[int, int], frames: int, precision: str) -> Spent:
    """A frame of the network alone."""
    engine = TorchEngine(load_generator(path)[0], resolve_device("auto"), precision)
    channels = load_generator(path)[1].in_channels
    width, height = (side + -side % engine.multiple for side in size)
    noise = np.random.default_rng(0).uniform(-1, 1, (1, channels, height, width)).astype(np.float32)
    x = torch.from_numpy(noise).to(engine.place, engine._dtype, memory_format=torch.channels_last)
    with torch.inference_mode():
        for _ in range(5):
            engine._network(x)
        began = now()
        for _ in range(frames):
            made = engine._network(x)
        made.cpu()
    return since(began, frames)


def dream(path: Path, size: tuple[int, int], frames: int, settings: dict[str, object], precision: str) -> Spent:
    """A frame of a dream, from its first frame until the file has its name."""
    began = (0.0, 0.0)

    def heard(event: Event) -> None:
        nonlocal began
        if isinstance(event, Progress) and event.task.startswith("dreaming") and event.done == 1:
            began = now()

    shape = f"{size[0]}x{size[1]}"
    tables = {"dreaming": settings, "rendering": {"size": shape, "precision": precision}}
    with tempfile.TemporaryDirectory() as place:
        output = Path(place) / "dream.mp4"
        vidtrans.dream(
            "noise", path, output, frames=frames, settings=tables, cache_dir=Path(place) / "cache", report=heard
        )
    return since(began, frames - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="next-frame")
    parser.add_argument("--model", type=Path, help="a trained one, instead of random weights")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--size", nargs="+", default=["144x80", "256x256"])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    settings = {k: parse_value(v) for k, _, v in (text.partition("=") for text in options.set)}
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.preset}, {options.precision}")
    for shape in options.size:
        size = tuple(map(int, shape.split("x")))
        with tempfile.TemporaryDirectory() as place:
            path = options.model or Path(place) / "model.safetensors"
            if not options.model:
                make_model(options.preset, min(size), path)
            rows = []
            for _ in range(options.rounds):
                alone = bare(path, size, options.frames, options.precision)
                rows.append((alone, dream(path, size, options.frames, settings, options.precision)))
        for k, kind in enumerate(("by the clock", "of processor")):
            one, other = (statistics.median(row[j][k] for row in rows) * 1e3 for j in (0, 1))
            ratios = sorted(row[1][k] / row[0][k] for row in rows)
            told = f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            print(f"{shape}: generator {one:.2f} ms, dream {other:.2f} ms a frame {kind}, {told}")


if __name__ == "__main__":
    main()
