"""What a dream costs beside the bare generator: a frame of each, in turns, in one process.

    python -m benchmarks.speed.dream [--preset next-frame | --model FILE] [--rounds 7] [--frames 300]
                                    [--size 144x80 256x256] [--set zoom=1.01 …] [--precision auto]

The bare generator is its network alone, on an input that lies ready in the engine's precision: as torch runs it (norm
folded, channels last), and as our engine does. The dream is all of it, from its first frame to the finished file: what
is fed back, clock, drift correction, pictures, H.264 beside it, the kept state.
Random weights paint noise, which takes a video encoder longer than a film does: ``--model`` takes trained ones. Prints
milliseconds a frame (medians) and the median of the rounds' ratios: by the clock, and of processor time, which says
more on a busy machine (with OMP_NUM_THREADS=1: threads that wait count).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

import vidtrans
from benchmarks import harness
from vidtrans.config.recipe import make_recipe
from vidtrans.core.events import Event, Progress
from vidtrans.core.settings import parse_value
from vidtrans.dreaming.drift_correction import frame_statistics
from vidtrans.inference.device import resolve_device, resolve_precision, torch_dtype
from vidtrans.inference.torch_engine import TorchEngine, to_pictures
from vidtrans.models.model_file import load_generator, save_model
from vidtrans.models.model_record import ModelRecord
from vidtrans.networks import GENERATORS
from vidtrans.networks.for_rendering import fold_norm
from vidtrans.networks.init import build_generator, complete_settings, initialise
from vidtrans.pairing.next_frame import CHANNELS
from vidtrans.pairing.pairing_records import make_pairing, pairing_record


def make_model(preset: str, size: int, path: Path) -> None:
    """A model as the preset builds it, with a bank of what it paints itself: nothing strays."""
    recipe = make_recipe(preset, None, {})
    pairing = make_pairing(*recipe.choice("pairing"))
    name, table = recipe.choice("generator")
    if told := getattr(pairing, "is_told", False):
        table = {**table, "told_channels": CHANNELS}
    generator = build_generator(name, table, pairing.in_channels)
    initialise(generator, 0)
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.uniform(-1, 1, (8, pairing.in_channels, 64, 64)).astype(np.float32))
    if told:
        kept = generator.frame_memory.pictures.permute(0, 2, 3, 1).shape
        generator.frame_memory.fill(rng.integers(0, 256, kept, np.uint8))
    with torch.inference_mode():
        painted = to_pictures(generator.eval()(noise), deep=False)
    dream = {"positions": 200 if pairing.has_clock else 0, "rate": "25"}
    dream |= {"statistics": frame_statistics(painted), "runs": [table["memory_frames"]] if told else []}
    settings = complete_settings(GENERATORS, name, table, "generator")
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


ALONE = ("the network as torch runs it", "as our engine does")
Spent = tuple[float, float]  # seconds by the clock, and of all processors


def spent_since(began: Spent, frames: int) -> Spent:
    """Return the seconds of each of so many frames."""
    return (time.perf_counter() - began[0]) / frames, (time.process_time() - began[1]) / frames


def bare(path: Path, size: tuple[int, int], frames: int, precision: str, *, packed: bool) -> Spent:
    """A frame of the network alone, as torch runs it; ``packed``: as our engine does."""
    generator, record = load_generator(path)
    device = resolve_device("auto")
    wanted = torch_dtype(resolve_precision(precision, device))
    width, height = (side + -side % generator.multiple for side in size)
    noise = np.random.default_rng(0).uniform(-1, 1, (1, record.in_channels, height, width)).astype(np.float32)
    x = torch.from_numpy(noise).to(device.torch, wanted, memory_format=torch.channels_last)
    network = fold_norm(generator.eval()).to(device.torch, wanted).to(memory_format=torch.channels_last)
    if packed:
        network = TorchEngine(generator, device, precision)._network
    with torch.inference_mode():
        for _ in range(5):
            network(x)
        began = time.perf_counter(), time.process_time()
        for _ in range(frames):
            made = network(x)
        made.cpu()
    return spent_since(began, frames)


def dream(path: Path, size: tuple[int, int], frames: int, settings: dict[str, object], precision: str) -> Spent:
    """A frame of a dream, from its first frame until the file has its name."""
    began = (0.0, 0.0)

    def heard(event: Event) -> None:
        nonlocal began
        if isinstance(event, Progress) and event.task.startswith("dreaming") and event.done == 1:
            began = time.perf_counter(), time.process_time()

    shape = f"{size[0]}x{size[1]}"
    tables = {"dreaming": settings, "rendering": {"size": shape, "precision": precision}}
    with tempfile.TemporaryDirectory() as place:
        output = Path(place) / "dream.mp4"
        vidtrans.dream(
            "noise", path, output, frames=frames, settings=tables, cache_dir=Path(place) / "cache", report=heard
        )
    return spent_since(began, frames - 1)


def main() -> None:
    parser = harness.parser(__doc__, rounds=7)
    parser.add_argument("--preset", default="next-frame")
    parser.add_argument("--model", type=Path, help="a trained one, instead of random weights")
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
            works = {
                name: partial(bare, path, size, options.frames, options.precision, packed=packed)
                for name, packed in zip(ALONE, (False, True), strict=True)
            }
            works["dream"] = partial(dream, path, size, options.frames, settings, options.precision)
            taken = harness.in_turns(works, options.rounds, warm_up=0, measure=lambda work: work())
        for k, kind in enumerate(("by the clock", "of processor")):
            spent = {name: [found[k] for found in values] for name, values in taken.items()}
            plain, packed, whole = (statistics.median(values) * 1e3 for values in spent.values())
            told = ", ".join(f"{harness.spread(harness.ratios(spent['dream'], spent[n]))} x {n}" for n in ALONE)
            print(f"{shape}: {plain:.2f} ms as torch, {packed:.2f} as our engine, dream {whole:.2f} {kind}: {told}")


if __name__ == "__main__":
    harness.run(main)
