"""Films of 300 frames that models make of their own frames: presets `loop` and `next-frame` beside plain pix2pix.

    python -m benchmarks.dream.rollouts DATA --cache DIR [--seconds 200 | --steps N] [--seeds 2] [--size 96]

Each is trained on each clip at equal wall time (the steps come from trials in turns), or for as many steps. Plain
pix2pix is what next-frame prediction usually is: one frame in, U-Net and PatchGAN, no frame of its own in training.
Printed are how the films hold (PSNR to the nearest frame that was learned, drift of colour, sharpness and motion
relative to the clip's, how many different frames) and, where frames were held out, the PSNR some frames on beside a
copy of the last one. ``±`` is half of what lies between the seeds. Models, results and strips of frames 1, 30, 100 and
300 are kept in DIR: stop it, and the same command goes on. Clips that are not there are skipped, in a line.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import vidtrans
from benchmarks import harness
from benchmarks.clips import LOSSLESS, read_frames
from benchmarks.store import Store
from benchmarks.tables import head, row
from benchmarks.trainings import Contender, Learn, equal_steps, learner, shared_options, timed_training
from vidtrans.core.machine import use_huge_pages
from vidtrans.core.settings import Table
from vidtrans.metrics import dreams
from vidtrans.metrics.dreams import STRIP_FRAMES
from vidtrans.metrics.picture_quality import psnr
from vidtrans.video.images.picture import read_picture, resize, write_picture
from vidtrans.video.plots import ContactSheet

DESIGNED = {"flower": "flower.mp4", "juggle": "juggle.mp4", "dog": "dog.mp4"}  # that presets were chosen on
CLIPS = DESIGNED | {
    "water": "stream-of-water.mp4",
    "carphone": "carphone_176x144.mp4",
    "cockatoo": "cockatoo_yuv420.mp4",
}
SIZES = dict.fromkeys(CLIPS, "80") | {"water": "96", "carphone": "96"}  # pixels of the short side
VISIBLE_DB = 15  # from the nearest frame of the clip, up to which another picture is still seen
HOLDING = ("nn", "drift", "sharpness", "m1", "m4", "uniq", "uniq_real")
STRENGTHS = (0.0, 0.25, 0.5, 1.0)
HORIZONS = ("1", "5", "10", "30")
PLAIN = Contender(
    "plain",
    "next-frame",
    {
        "pairing": {"name": "next-frame", "context_frames": 1, "position": "none"},
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
CONTENDERS = {c.name: c for c in (PLAIN, Contender("next-frame", "next-frame"), Contender("loop", "loop"))}
Found = dict[str, list[Table]]  # of each contender, a table a seed


class ClipRuns:
    """All runs on a clip, and where they are kept."""

    def __init__(self, clip: str, options: argparse.Namespace) -> None:
        self.clip, self.options, self.cache, self.store = clip, options, options.cache, Store(options.cache)
        self.size = options.size or SIZES[clip]
        self.source = harness.need(options.data / "video" / CLIPS[clip])
        self.learners = {name: self._learner(name) for name in options.only}
        self.steps = dict.fromkeys(options.only, options.steps)
        if not options.steps:
            key = f"{options.seconds:g}s-" + "-".join(CONTENDERS[name].digest(self.size) for name in options.only)
            trials = lambda: equal_steps(self.learners, options.seconds, self.cache)  # noqa: E731
            self.steps = self.store.table(f"{clip}-steps", key, trials)

    def _name(self, name: str) -> str:
        return f"{self.clip}-{name}-{CONTENDERS[name].digest(self.size)}"

    def _model(self, name: str, seed: int) -> Path:
        return self.cache / f"{self._name(name)}-{self.steps[name]}-{seed}.safetensors"

    def _learner(self, name: str) -> Learn:
        """Return what trains a contender on the clip, whose dataset is made if it is not there."""
        contender, folder = CONTENDERS[name], self.cache / f"{self._name(name)}.dataset"
        settings, options = contender.settings(self.size), shared_options(self.cache)
        vidtrans.make_dataset(self.source, folder, preset=contender.preset, settings=settings, **options)
        return learner(folder, contender.preset, settings, self.cache)

    def result(self, name: str, seed: int) -> Table:
        """Return the scores of one run, and its steps and seconds. Raises VidtransError."""
        model = self._model(name, seed)

        def train() -> Table:
            made = timed_training(self.learners[name], model, self.steps[name], seed)
            return {"steps": self.steps[name], "seconds": made["seconds"], **made["dreamt"]}

        strip = model.with_suffix(".train") / "dream.png"
        return self.store.table("rollout", model.stem, train) | {"strip": str(strip)}

    def corrected(self, name: str, strength: float) -> Table:
        """Return the scores of a dream of the first seed's model, with drift correction. Raises VidtransError."""
        model = self._model(name, 0)

        def dream() -> Table:
            # The pictures that were learned, so that all is of their size.
            source = self.cache / f"{self._name(name)}.dataset" / Path(CLIPS[self.clip]).stem
            film = self.cache / f"{model.stem}-{strength:g}.mkv"
            settings = {"dreaming": {"drift_correction": strength}, "encoding": LOSSLESS}
            vidtrans.dream(source, model, film, frames=300, settings=settings, **shared_options(self.cache))
            return vidtrans.evaluate(film, source, dream=True, cache_dir=self.cache / "vidtrans")

        return self.store.table("corrected", f"{model.stem}-{strength:g}", dream)

    def foreign(self, name: str, seed: int) -> Table:
        """Return how long a model's dream of another clip's frame stays away from its own clip, by recall."""
        model = self._model(name, seed)

        def dream() -> Table:
            folder = self.cache / f"{self._name(name)}.dataset" / Path(CLIPS[self.clip]).stem
            learned = [read_picture(path) for path in sorted(folder.glob("*.png"))]
            height, width = learned[0].shape[:2]
            foreign = CLIPS["juggle" if self.clip == "water" else "water"]
            [other] = read_frames(self.options.data / "video" / foreign, 0, 1)
            write_picture(self.cache / "foreign.png", resize(other, width, height))
            found: Table = {"megabytes": model.stat().st_size / 1e6}
            for recall in (0.0, 1.0):
                film = self.cache / "foreign.mkv"
                dreaming = {"drift_correction": 0, "recall": recall}
                settings = {"dreaming": dreaming, "encoding": LOSSLESS, "rendering": {"size": f"{width}x{height}"}}
                vidtrans.dream(
                    self.cache / "foreign.png", model, film, frames=30, settings=settings, **shared_options(self.cache)
                )
                frames = read_frames(film)
                near = dreams.nearest(frames, learned)
                nearest = [psnr(frame, learned[k]) for frame, k in zip(frames, near, strict=True)]
                stays = next((n for n, value in enumerate(nearest) if value > VISIBLE_DB), len(nearest))
                found |= {
                    f"stays at {recall:g}": stays,
                    f"h10 at {recall:g}": nearest[9],
                    f"h30 at {recall:g}": nearest[-1],
                }
            return found

        return self.store.table("foreign", model.stem, dream)


def cell(values: Sequence[float]) -> str:
    return harness.mean_spread(values, 1 if max(values) >= 10 else 2)


def show(runs: ClipRuns) -> None:
    """Print the tables of a clip, and draw its strips."""
    found = {name: [runs.result(name, seed) for seed in range(runs.options.seeds)] for name in runs.learners}
    head(runs.clip, "steps", "s", *HOLDING)
    for name, tables in found.items():
        row(name, tables[0]["steps"], *(cell([t[c] for t in tables]) for c in ("seconds", *HOLDING)))
    if known := {name: tables for name, tables in found.items() if "horizons" in tables[0]}:
        first = next(iter(known.values()))[0]
        reached = [h for h in HORIZONS if h in first["horizons"]]
        print()
        head(runs.clip, *(f"h{h}" for h in reached))
        row("copy of the last", *(f"{first['copy_last'][h]:.1f}" for h in reached))
        for name, tables in known.items():
            row(name, *(cell([t["horizons"][h] for t in tables]) for h in reached))
    if runs.options.foreign:
        tables = {name: [runs.foreign(name, seed) for seed in range(runs.options.seeds)] for name in found}
        columns = list(next(iter(tables.values()))[0])
        print()
        head(runs.clip, *columns)
        for name, rows in tables.items():
            row(name, *(cell([t[c] for t in rows]) for c in columns))
    if runs.options.drift_correction:
        columns = [c for c in HOLDING if c != "m1"]
        print()
        head(runs.clip, "drift correction", *columns)
        for name in found:
            for strength in STRENGTHS:
                scores = runs.corrected(name, strength)
                row(name, f"{strength:g}", *(cell([scores[c]]) for c in columns))
    draw(runs.cache / f"{runs.clip}.png", found)
    print()


def draw(path: Path, found: Found) -> None:
    """Draw a strip of each contender's first seed, one below the other."""
    rows, notes = [], []
    for name, tables in found.items():
        rows.append(np.split(read_picture(Path(tables[0]["strip"])), len(STRIP_FRAMES), axis=1))
        notes.append([f"{name}, frame {STRIP_FRAMES[0]}", *(f"frame {n}" for n in STRIP_FRAMES[1:])])
    size = 2 * rows[0][0].shape[1], 2 * rows[0][0].shape[0]
    rows = [[resize(picture, *size) for picture in row] for row in rows]
    write_picture(path, ContactSheet("", rows, size, notes=notes).draw())


def main() -> None:
    parser = harness.parser(__doc__, data=True, cache=True)
    parser.add_argument("--seconds", type=float, default=200, help="wall time of each training")
    parser.add_argument("--steps", type=int, default=0, help="of each training, instead of its wall time")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--size", default="", help="pixels of the short side, instead of 80 or, of water, 96")
    parser.add_argument("--drift-correction", action="store_true", help="also with it, at several strengths")
    parser.add_argument("--foreign", action="store_true", help="also how long another clip's frame stays visible")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--clips", type=harness.comma_list, default=list(CLIPS))
    parser.add_argument("--only", type=harness.comma_list, default=list(CONTENDERS), help="contenders")
    options = parser.parse_args()
    use_huge_pages()
    torch.set_num_threads(options.threads)
    harness.each(options.clips, lambda clip: show(ClipRuns(clip, options)))


if __name__ == "__main__":
    harness.run(main)
