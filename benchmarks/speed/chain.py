"""What a chain of models costs beside its models, and whether its memory grows with the clip.

    python -m benchmarks.speed.chain --cache DIR [--clip CLIP] [--models flower,ink] [--frames 60] [--rounds 3]

In one process, in turns: the clip with all models in one pass, and with each model onto the result of the one before.
Below it the same of the engines alone: a chain's engine on frames, and its models' engines on inputs that are there.
At last the process's largest memory after a clip of so many frames, and after one of four times as many.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import vidtrans
from benchmarks.speed.batch import parts_of
from vidtrans.config.rendering_settings import RenderingSettings
from vidtrans.core.files import PACKAGE
from vidtrans.models.loaded_model import load_engine
from vidtrans.models.model_chain import ModelChain, load_chain_engine, load_models_in_turn
from vidtrans.session import Context

SIZE = (256, 256)


def seconds_of(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def renders(clip: Path, models: list[str], place: Path, temporal: str) -> tuple[float, float]:
    """Seconds of the chain, and of its models in turn."""
    settings = {"temporal": {"name": temporal}}
    outputs = [clip, *(place / f"{number}.mp4" for number in range(len(models)))]

    def stylize(source: Path, model: str | list[str], output: Path) -> None:
        vidtrans.stylize(source, model, output, settings=settings, cache_dir=place / "cache", overwrite=True)

    def in_turn() -> None:
        for model, source, output in zip(models, outputs, outputs[1:], strict=False):
            stylize(source, model, output)

    taken = seconds_of(lambda: stylize(clip, models, place / "chain.mp4")), seconds_of(in_turn)
    shutil.rmtree(place / "cache")
    return taken


def engines(models: list[str], frames: int) -> tuple[float, float]:
    """Seconds of a chain's engine on frames, and of its models' engines on inputs that are there."""
    context, settings = Context(), RenderingSettings(size="source")
    chain = load_models_in_turn(models, context, {})
    assert isinstance(chain, ModelChain)
    whole, rng = load_chain_engine(chain, settings, SIZE, context), np.random.default_rng(0)
    pictures = rng.integers(0, 256, (whole.batch, SIZE[1], SIZE[0], 3)).astype(np.uint8)
    inputs = [np.stack([part.pairing.input([one]) for one in pictures]) for part in (chain, *chain.steps)]
    parts = [load_engine(step, settings, context) for step in chain.steps]
    whole(inputs[0])
    taken = [0.0, 0.0]
    for _ in range(frames // whole.batch):  # in turns: a machine drifts
        taken[0] += seconds_of(lambda: whole(inputs[0]))
        taken[1] += seconds_of(lambda: [engine(one) for engine, one in zip(parts, inputs[1:], strict=True)])
    return taken[0], taken[1]


def memory(place: Path, models: list[str], clip: Path, frames: int) -> list[float]:
    """MB, the most that the process had after a clip, and after one that is four times as long."""
    found = []
    for number, count in enumerate((frames, 4 * frames)):
        folder = place / f"long{number}"
        folder.mkdir()
        parts_of(clip, folder, 1, count)
        settings = {"rendering": {"chunk_frames": 30}}
        vidtrans.stylize(folder / "000.mp4", models, folder / "o.mp4", settings=settings, cache_dir=place / "cache")
        found.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--clip", type=Path, default=PACKAGE / "assets" / "flower.mp4")
    parser.add_argument("--models", default="flower,ink")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    place, models = options.cache.resolve() / "chain", options.models.split(",")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    parts_of(options.clip, place, 1, options.frames)
    sizes = memory(place, models, options.clip, options.frames)
    print(f"{options.frames} frames, {' then '.join(models)}\n| | chain, s | in turn, s | ratio |\n|---|---|---|---|")
    cases: dict[str, Callable[[], tuple[float, float]]] = {
        "window filter": lambda: renders(place / "000.mp4", models, place, "window"),
        "no filter": lambda: renders(place / "000.mp4", models, place, "off"),
        "engines alone": lambda: engines(models, options.frames),
    }
    for name, measure in cases.items():
        taken = [measure() for _ in range(options.rounds)]
        ratios = [one / other for one, other in taken]
        one, other = (statistics.median(column) for column in zip(*taken, strict=True))
        spread = f"{statistics.median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})"
        print(f"| {name} | {one:.1f} | {other:.1f} | {spread} |", flush=True)
    print(f"\nlargest memory: {sizes[0]:.0f} MB, of a clip four times as long {sizes[1]:.0f} MB")
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
