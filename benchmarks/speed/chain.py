"""What a chain of models costs beside its models, and whether its memory grows with the clip.

    python -m benchmarks.speed.chain [--clip CLIP] [--models flower,landscape] [--frames 60] [--rounds 3]

In one process, in turns: the clip with all models in one pass, and with each model onto the result of the one before.
Below it the same of the engines alone: a chain's engine on frames, and its models' engines on inputs that are there.
At last the process's largest memory after a clip of so many frames, and after one of four times as many.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import vidtrans
from benchmarks import harness
from benchmarks.clips import SHIPPED, write_parts
from benchmarks.picture_looks import model_named
from benchmarks.tables import head, row
from vidtrans.core.system import peak_memory
from vidtrans.models.loaded_model import load_engine
from vidtrans.models.model_chain import ModelChain, load_chain_engine, load_models_in_turn
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context

SIZE = (256, 256)
Works = dict[str, Callable[[], object]]


def renders(clip: Path, models: list[str], place: Path, temporal: str) -> Works:
    """Return the render by the chain, and those of its models in turn."""

    def stylize(source: Path, model: str | list[str], output: Path) -> None:
        settings = {"temporal": {"name": temporal}}
        vidtrans.stylize(source, model, output, settings=settings, cache_dir=place / "cache", overwrite=True)

    def at_once() -> None:
        shutil.rmtree(place / "cache", ignore_errors=True)
        stylize(clip, models, place / "chain.mp4")

    def in_turn() -> None:
        shutil.rmtree(place / "cache", ignore_errors=True)
        outputs = [clip, *(place / f"{number}.mp4" for number in range(len(models)))]
        for model, source, output in zip(models, outputs, outputs[1:], strict=False):
            stylize(source, model, output)

    return {"chain": at_once, "in turn": in_turn}


def engines(models: list[str], frames: int) -> Works:
    """Return a chain's engine on frames, and its models' engines on inputs that are there."""
    context, settings = Context(), RenderingSettings(size="source")
    chain = load_models_in_turn(models, context, {})
    assert isinstance(chain, ModelChain)
    whole, rng = load_chain_engine(chain, settings, SIZE, context), np.random.default_rng(0)
    pictures = rng.integers(0, 256, (whole.batch, SIZE[1], SIZE[0], 3)).astype(np.uint8)
    first, *inputs = [np.stack([part.pairing.input([one]) for one in pictures]) for part in (chain, *chain.steps)]
    parts = [load_engine(step, settings, context) for step in chain.steps]
    batches = range(max(1, frames // whole.batch))
    pairs = list(zip(parts, inputs, strict=True))
    return {
        "chain": lambda: [whole(first) for _ in batches],
        "in turn": lambda: [engine(one) for _ in batches for engine, one in pairs],
    }


def memory(place: Path, models: list[str], clip: Path, frames: int) -> list[float]:
    """Return the most MB that the process had after a clip, and after one that is four times as long."""
    found = []
    for count in (frames, 4 * frames):
        (long,) = write_parts(place / f"long{count}", clip, 1, count)
        settings = {"rendering": {"chunk_frames": 30}}
        vidtrans.stylize(long, models, long.with_name("o.mp4"), settings=settings, cache_dir=place / "cache")
        found.append(peak_memory() / 1e6)
    return found


def main() -> None:
    parser = harness.parser(__doc__, rounds=3)
    parser.add_argument("--clip", type=Path, default=SHIPPED)
    parser.add_argument("--models", type=harness.comma_list, default=["flower", "landscape"])
    parser.add_argument("--frames", type=int, default=60)
    options = parser.parse_args()
    with harness.work_folder() as place:
        models = [model_named(name, place / "cache") for name in options.models]
        sizes = memory(place, models, options.clip, options.frames)
        (clip,) = write_parts(place, options.clip, 1, options.frames)
        print(f"{options.frames} frames, {' then '.join(models)}")
        head("", "chain, s", "in turn, s", "ratio")
        cases: dict[str, Callable[[], Works]] = {
            "window filter": partial(renders, clip, models, place, "window"),
            "no filter": partial(renders, clip, models, place, "off"),
            "engines alone": partial(engines, models, options.frames),
        }
        for name, make in cases.items():
            one, other = harness.in_turns(make(), options.rounds).values()
            cells = [harness.spread(one, 1), harness.spread(other, 1), harness.spread(harness.ratios(one, other), 3)]
            row(name, *cells)
        print(f"\nlargest memory: {sizes[0]:.0f} MB, of a clip four times as long {sizes[1]:.0f} MB")


if __name__ == "__main__":
    harness.run(main)
