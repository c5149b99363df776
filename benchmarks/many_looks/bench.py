"""How different are the looks of a model of many looks, how true to its input, and how near to a picture's?

    python -m benchmarks.many_looks.bench ../shared/data --cache DIR [--steps 1000] [--clips carphone_176x144.mp4,...]

The frames of a clip are graded in twelve drawn ways; `many-looks` learns the first four fifths of them at 96 pixels, in
crops of 64, and the rest is scored: see ``scoring.score_model``. The goal is a `difference` of 0.5 at `edges` near 1.
One thread: several wait for each other where a machine is busy.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

import vidtrans
from benchmarks.many_looks.scoring import score_model
from benchmarks.many_looks.world import SIDE, make_world

# Settings were chosen on dog; these are others.
CLIPS = ("carphone_176x144.mp4", "asl_walk.mkv", "juggle.mp4")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--clips", default=",".join(CLIPS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    names = ("difference", "edges", "psnr", "ssim", "psnr_middle", "cpu_s")
    print(f"{'clip':24}" + "".join(f"{name:>12}" for name in names))
    for name in given.clips.split(","):
        scores = measure(given.data / "video" / name, given.cache, given.steps)
        print(f"{name:24}" + "".join(f"{scores[key]:12}" for key in names), flush=True)


def measure(clip: Path, cache: Path, steps: int) -> dict[str, float]:
    """Train on a clip's world, and return the scores and the processor's seconds."""
    world = make_world(clip, cache / clip.stem)
    dataset, model = cache / f"{clip.stem}.dataset", cache / f"{clip.stem}.{steps}.safetensors"
    options = {"cache_dir": str(cache / "cache")}
    tables = {"dataset": {"size": str(SIDE), "val_fraction": 0.0}}
    vidtrans.make_dataset(world.folders, dataset, preset="many-looks", settings=tables, **options)
    began = time.process_time()
    training = {"preview_seconds": 1e5}
    vidtrans.train(dataset, model, preset="many-looks", steps=steps, settings={"training": training}, **options)
    return score_model(model, world) | {"cpu_s": round(time.process_time() - began)}


if __name__ == "__main__":
    main()
