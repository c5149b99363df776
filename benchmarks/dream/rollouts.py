"""Films of 300 frames that models make of their own frames: presets `loop` and `next-frame` beside plain pix2pix.

    python -m benchmarks.dream.rollouts ../shared/data --cache DIR [--seconds 200 | --steps N] [--seeds 2] [--size 96]

Each is trained on each clip at equal wall time (the steps come from trials in turns), or for as many steps. Plain
pix2pix is what next-frame prediction usually is: one frame in, U-Net and PatchGAN, no frame of its own in training.
Printed are how the films hold (PSNR to the nearest frame that was learned, drift of colour, sharpness and motion
relative to the clip's, how many different frames) and, where frames were held out, the PSNR some frames on beside a
copy of the last one. ``±`` is half of what lies between the seeds. Models, results and strips of frames 1, 30, 100 and
300 are kept in DIR: stop it, and the same command goes on. Clips that are not there are skipped, in a line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vidtrans
from vidtrans.config.recipe import make_recipe
from vidtrans.core.errors import VidtransError
from vidtrans.core.files import digest_of, write_json
from vidtrans.core.settings import Table
from vidtrans.metrics.dreams import STRIP_FRAMES
from vidtrans.training.set_up import use_huge_pages
from vidtrans.video.images.picture import read_picture, resize, write_picture
from vidtrans.video.plots.layout import ContactSheet

CLIPS = {"flower": "flower.mp4", "water": "stream-of-water.mp4", "juggle": "juggle.mp4"}
SIZES = {"flower": "80", "water": "96", "juggle": "80"}  # pixels of the short side: 142x80, 128x96, 142x80
TRIALS = 3
# What is timed is training.
QUIET: Table = {"checkpoint_seconds": 1e9, "preview_seconds": 1e9, "val_interval": 10**9}
HOLDING = ("nn", "drift", "sharpness", "m1", "m4", "uniq", "uniq_real")
STRENGTHS = (0.0, 0.25, 0.5, 1.0)
HORIZONS = ("1", "5", "10", "30")
NEAREST = {"flower": 30.0, "water": 30.0, "juggle": 22.0}  # dB
DRIFT = {"flower": 1.0, "water": 1.0, "juggle": 3.0}  # levels of 255


@dataclass(frozen=True)
class Contender:
    """A preset, and what is set otherwise."""

    name: str
    preset: str
    tables: dict[str, Table] = field(default_factory=dict)

    def settings(self, size: str) -> dict[str, Table]:
        training = {**self.tables.get("training", {}), **QUIET}
        return {**self.tables, "dataset": {"size": size}, "training": training}

    def digest(self, size: str) -> str:
        """Of all that it sets."""
        tables = make_recipe(self.preset, None, self.settings(size)).tables
        return digest_of({k: tables[k] for k in sorted(tables)})[:10]


PLAIN = Contender(
    "plain",
    "next-frame",
    {
        "pairing": {"name": "next-frame", "context_frames": 1},
        "generator": {"name": "unet-small"},
        "training": {
            "rollout_fraction": 0.0,
            "input_noise": 0.0,
            "ema_decay": 0.0,
            "lambda_gan": 1.0,
            "gan_start": 0.0,
            "lambda_texture": 0.0,
        },
    },
)
CONTENDERS = (PLAIN, Contender("next-frame", "next-frame"), Contender("loop", "loop"))


class Bench:
    """All runs of a command, and where they are kept."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.cache: Path = options.cache
        self.contenders = [c for c in CONTENDERS if not options.only or c.name in options.only]

    def name(self, clip: str, contender: Contender) -> str:
        return f"{clip}-{contender.name}-{contender.digest(self.size(clip))}"

    def size(self, clip: str) -> str:
        return self.options.size or SIZES[clip]

    def learner(self, clip: str, contender: Contender) -> Callable[..., Table]:
        """What trains a contender on a clip, whose dataset is made if it is not there. Raises VidtransError."""
        settings = contender.settings(self.size(clip))
        common: dict[str, Any] = {"cache_dir": self.cache / "vidtrans", "device": "cpu", "overwrite": True}
        folder = self.cache / f"{self.name(clip, contender)}.dataset"
        source = self.options.data / "video" / CLIPS[clip]
        vidtrans.make_dataset(source, folder, preset=contender.preset, settings=settings, **common)
        learned = {k: v for k, v in settings.items() if k in ("generator", "training")}

        def learn(model: Path, **more: Any) -> Table:
            return vidtrans.train(folder, model, preset=contender.preset, settings=learned, **common, **more)

        return learn

    def steps(self, clip: str) -> Table:
        """How many steps each contender takes: the median of trials in turns, since machines' speed drifts."""
        if self.options.steps:
            return {c.name: self.options.steps for c in self.contenders}

        def ask() -> Table:
            learners = {c.name: self.learner(clip, c) for c in self.contenders}
            found: dict[str, list[int]] = {name: [] for name in learners}
            for _ in range(TRIALS):
                for name, learn in learners.items():
                    trial = learn(self.cache / "trial.safetensors", minutes=self.options.seconds / 60, dry_run=True)
                    found[name].append(trial["steps"])
            return {name: statistics.median_low(steps) for name, steps in found.items()}

        names = digest_of([self.name(clip, c) for c in self.contenders])[:10]
        return self.kept(f"{clip}-{names}-{self.options.seconds:g}s-steps", ask)

    def result(self, clip: str, contender: Contender, seed: int) -> Table:
        """The scores of one run, and its steps and seconds. Raises VidtransError."""
        steps = self.steps(clip)[contender.name]
        name = f"{self.name(clip, contender)}-{steps}-{seed}"

        def run() -> Table:
            began = time.monotonic()
            made = self.learner(clip, contender)(self.cache / f"{name}.safetensors", steps=steps, seed=seed, fresh=True)
            return {"steps": steps, "seconds": time.monotonic() - began, **made["dreamt"]}

        return self.kept(name, run) | {"strip": str(self.cache / f"{name}.train" / "dream.png")}

    def governed(self, clip: str, contender: Contender, strength: float) -> Table:
        """The scores of a dream of the first seed's model, with drift correction. Raises VidtransError."""
        steps = self.steps(clip)[contender.name]
        name = f"{self.name(clip, contender)}-{steps}-0"

        def run() -> Table:
            # The pictures that were learned, so that all is of their size.
            source = self.cache / f"{self.name(clip, contender)}.dataset" / Path(CLIPS[clip]).stem
            film = self.cache / f"{name}-{strength:g}.mkv"
            settings = {"dreaming": {"drift_correction": strength}, "encoding": {"codec": "ffv1"}}
            common: dict[str, Any] = {"cache_dir": self.cache / "vidtrans", "device": "cpu"}
            model = self.cache / f"{name}.safetensors"
            vidtrans.dream(source, model, film, frames=300, settings=settings, overwrite=True, **common)
            return vidtrans.evaluate(film, source, dream=True, **common)

        return self.kept(f"{name}-governed-{strength:g}", run)

    def kept(self, name: str, make: Callable[[], Table]) -> Table:
        """A table as JSON, made if it is not there."""
        path = self.cache / "results" / f"{name}.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, make())
        held: Table = json.loads(path.read_text())
        return held


Found = dict[str, list[Table]]  # of each contender, a table a seed


def figure(values: Sequence[float]) -> str:
    digits = 1 if max(values) >= 10 else 2
    spread = (max(values) - min(values)) / 2
    return f"{statistics.mean(values):.{digits}f}" + (f" ±{spread:.{digits}f}" if len(values) > 1 else "")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def holding(clip: str, found: Found) -> str:
    rows = [
        [name, str(t[0]["steps"]), figure([s["seconds"] for s in t]), *(figure([s[c] for s in t]) for c in HOLDING)]
        for name, t in found.items()
    ]
    return table([clip, "steps", "s", *HOLDING], rows)


def governing(clip: str, bench: Bench) -> str:
    columns = [c for c in HOLDING if c != "m1"]
    rows = []
    for contender in bench.contenders:
        for strength in STRENGTHS:
            scores = bench.governed(clip, contender, strength)
            rows.append([contender.name, f"{strength:g}", *(figure([scores[c]]) for c in columns)])
    return table([clip, "drift correction", *columns], rows)


def foretelling(clip: str, found: Found) -> str:
    known = {name: t for name, t in found.items() if "horizons" in t[0]}
    if not known:
        return ""
    reached = [h for h in HORIZONS if h in next(iter(known.values()))[0]["horizons"]]
    rows = [[name, *(figure([s["horizons"][h] for s in t]) for h in reached)] for name, t in known.items()]
    copies = next(iter(known.values()))[0]["copy_last"]
    return table(
        [clip, *(f"h{h}" for h in reached)], [["copy of the last", *(f"{copies[h]:.1f}" for h in reached)], *rows]
    )


def goals(clip: str, found: Found) -> list[str]:
    mean = lambda name, column: statistics.mean(t[column] for t in found[name])  # noqa: E731
    lines = []
    if "loop" in found:
        uniq = mean("loop", "uniq") / mean("loop", "uniq_real")
        sharp, moved = mean("loop", "sharpness"), mean("loop", "m4")
        lines += [
            verdict(clip, "loop: nearest frame, dB", mean("loop", "nn"), mean("loop", "nn") >= NEAREST[clip]),
            verdict(clip, "loop: drift", mean("loop", "drift"), mean("loop", "drift") <= DRIFT[clip]),
            verdict(clip, "loop: sharpness", sharp, 0.85 <= sharp <= 1.15),
            verdict(clip, "loop: motion over 4 frames", moved, 0.6 <= moved <= 1.3),
            verdict(clip, "loop: different frames, of the clip's", uniq, uniq >= 0.6),
        ]
    if "next-frame" in found and clip != "juggle":
        over = [
            statistics.mean(t["horizons"][h] - t["copy_last"][h] for t in found["next-frame"])
            for h in (HORIZONS[1:] if clip == "flower" else HORIZONS)
        ]
        nearest, moved = mean("next-frame", "nn"), mean("next-frame", "m4")
        lines += [
            verdict(clip, "next-frame: least over a copy, dB", min(over), min(over) >= (2 if clip == "flower" else -1)),
            verdict(clip, "next-frame: nearest frame, dB", nearest, nearest >= 20),
            verdict(clip, "next-frame: motion over 4 frames", moved, moved >= 0.3),
        ]
    return lines


def verdict(clip: str, words: str, value: float, met: bool) -> str:
    return f"{clip:8} {words:42} {value:7.2f}  {'met' if met else 'NOT MET'}"


WORDS = {"plain": "plain pix2pix", "next-frame": "next-frame", "loop": "loop"}


def draw(path: Path, found: Found) -> None:
    """A strip of each contender's first seed, one below the other."""
    rows, notes = [], []
    for name, tables in found.items():
        strip = read_picture(Path(tables[0]["strip"]))
        rows.append(np.split(strip, len(STRIP_FRAMES), axis=1))
        notes.append([f"{WORDS[name]}, frame {STRIP_FRAMES[0]}", *(f"frame {n}" for n in STRIP_FRAMES[1:])])
    size = 2 * rows[0][0].shape[1], 2 * rows[0][0].shape[0]
    rows = [[resize(picture, *size) for picture in row] for row in rows]
    write_picture(path, ContactSheet("", rows, size, notes=notes).draw())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of the data set, with its folder video")
    parser.add_argument("--cache", type=Path, required=True, help="a folder for all that is made")
    parser.add_argument("--seconds", type=float, default=200, help="wall time of each training")
    parser.add_argument("--steps", type=int, default=0, help="of each training, instead of its wall time")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--size", default="", help="pixels of the short side, instead of 80 or, of water, 96")
    parser.add_argument("--drift-correction", action="store_true", help="also with it, at several strengths")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--clips", default="", help=f"of {', '.join(CLIPS)}; all, unless said")
    parser.add_argument("--only", default="", help=f"contenders, of {', '.join(c.name for c in CONTENDERS)}")
    options = parser.parse_args()
    options.only = [name for name in options.only.split(",") if name]
    use_huge_pages()
    torch.set_num_threads(options.threads)
    bench, told = Bench(options), []
    for clip, file in CLIPS.items():
        if options.clips and clip not in options.clips.split(","):
            continue
        if not (options.data / "video" / file).exists():
            print(f"skipped {clip}: no {file}", file=sys.stderr, flush=True)
            continue
        try:
            found = {c.name: [bench.result(clip, c, seed) for seed in range(options.seeds)] for c in bench.contenders}
        except VidtransError as error:
            print(f"skipped {clip}: {error}", file=sys.stderr, flush=True)
            continue
        draw(options.cache / f"{clip}.png", found)
        print(f"{holding(clip, found)}\n{foretelling(clip, found)}", flush=True)
        if options.drift_correction:
            print(governing(clip, bench), flush=True)
        told += goals(clip, found)
    print("\n".join(told))


if __name__ == "__main__":
    main()
