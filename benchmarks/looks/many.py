"""Measure how much the looks of one model differ, and how close they are to the input and to a given picture.

    python -m benchmarks.looks.many DATA --cache DIR [--steps 1000] [--clips carphone_176x144.mp4,...]

The frames of a clip are graded in twelve drawn ways; `many-looks` learns the first four fifths of them at 96 pixels, in
crops of 64, and the rest is scored: see ``score_model``. The goal is a `difference` of 0.5 at `edges` near 1. One
thread: several wait for each other where a machine is busy.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

import vidtrans
from benchmarks import harness
from benchmarks.clips import read_frames, write_folder
from benchmarks.tables import head, row
from vidtrans.clips.sampling import spread_numbers
from vidtrans.grading.learning import Operators
from vidtrans.inference.codes import code_of
from vidtrans.inference.device import resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.metrics.picture_quality import psnr, ssim
from vidtrans.models.model_file import load_generator
from vidtrans.networks.code_planes import plane_values, with_planes
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.training.picture_codes import mean_distance
from vidtrans.video.images.picture import read_picture

# Settings were chosen on dog; these are others.
CLIPS = ("carphone_176x144.mp4", "asl_walk.mkv", "juggle.mp4")
NUM_LOOKS, SIDE, FRAMES = 12, 96, 150
HELD_OUT = 0.2  # share of the frames, at the clip's end, of which nothing is learned
LOOKS, SCORED = 10, 6  # draws, and frames
ON = 127  # a line is lighter


@dataclass(frozen=True)
class World:
    """Folders of graded pictures to learn from, and frames (H, W, 3) uint8 that are in none, with their grades."""

    folders: list[Path]
    frames: list[np.ndarray]
    grades: list[Operators]

    def target(self, frame: np.ndarray, look: int) -> np.ndarray:
        return graded(frame, self.grades[look])


def drawn_grades(seed: int) -> list[Operators]:
    """Draw strong grades: a stop of light, casts, curves, contrast and colour."""
    rng = np.random.default_rng(seed)
    spreads = np.array([0.7, 1.0, 0.4, 0.25, 0.25, 0.25, 0.06, 0.06, 0.06, 0.25, 0.5])
    return [Operators(*(rng.standard_normal(len(spreads)) * spreads)) for _ in range(NUM_LOOKS)]


def graded(frame: np.ndarray, grade: Operators) -> np.ndarray:
    return np.rint(255 * np.clip(grade(frame / 255.0), 0, 1)).astype(np.uint8)


def make_world(clip: Path, folder: Path, seed: int = 0) -> World:
    """Write a clip's frames in each look, and return those that were held out."""
    frames = read_frames(clip, short=SIDE)
    frames = [frames[n] for n in spread_numbers(len(frames), min(FRAMES, len(frames)))]
    known = round(len(frames) * (1 - HELD_OUT))
    grades = drawn_grades(seed)
    folders = [
        write_folder(folder / f"look{number:02d}", [graded(frame, grade) for frame in frames[:known]])
        for number, grade in enumerate(grades)
    ]
    return World(folders, frames[known:], grades)


def score_model(model: Path, world: World, seed: int = 0) -> dict[str, float]:
    """Score a model file.

    ``difference``: mean pairwise distance of ten drawn looks of a frame over that of its real grades. ``edges``:
    F-score of the lines of drawn looks and of the frame, a pixel apart at most, over that of the real grades' lines.
    ``psnr``, ``ssim``: by the code of a frame in a look, other frames in it. ``psnr_middle``: the same with the middle
    of all codes: what is lost where a code says nothing.
    """
    generator, record = load_generator(model)
    engine = TorchEngine(generator, resolve_device("cpu"), "fp32", batch=1)
    pairing = make_pairing(record.pairing["name"], record.pairing["settings"])
    mean, spread = (np.array(record.codes[name]) for name in ("mean", "spread"))
    codes = mean + spread * np.random.default_rng(seed).standard_normal((LOOKS, len(mean)))
    frames = [world.frames[n] for n in np.linspace(0, len(world.frames) - 1, SCORED).astype(int)]
    rows: list[dict[str, float]] = []
    for frame in frames:
        given = pairing.input([frame])
        drawn = [_paint(engine, given, code) for code in codes]
        real = [world.target(frame, k) for k in range(len(world.grades))]
        rows.append(
            {
                "difference": mean_distance(drawn) / mean_distance(real),
                "edges": _agreement(pairing, given, drawn) / _agreement(pairing, given, real),
            }
        )
        for look, target in enumerate(real):
            reference = read_picture(sorted(world.folders[look].iterdir())[0])
            like = _paint(engine, given, code_of(generator.encoder, reference))
            middle = _paint(engine, given, mean)
            rows.append({"psnr": psnr(like, target), "ssim": ssim(like, target), "psnr_middle": psnr(middle, target)})
    return {name: round(float(np.mean([row[name] for row in rows if name in row])), 3) for name in rows[0] | rows[1]}


def _paint(engine: TorchEngine, given: np.ndarray, code: np.ndarray) -> np.ndarray:
    painted: np.ndarray = engine(with_planes(given, plane_values(code))[None])[0]
    return painted


def _agreement(pairing: Pairing, given: np.ndarray, pictures: Sequence[np.ndarray]) -> float:
    """Return the mean F-score of the lines of pictures and of an input."""
    return float(np.mean([f_score(given[..., 0], pairing.input([picture])[..., 0]) for picture in pictures]))


def f_score(first: np.ndarray, second: np.ndarray) -> float:
    """Return how well lines, (H, W) uint8, white on black, agree within a pixel: 0 to 1."""
    a, b = (lines > ON for lines in (first, second))
    near_a, near_b = (cv2.dilate(lines.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0 for lines in (a, b))
    precision, recall = (b & near_a).sum() / max(b.sum(), 1), (a & near_b).sum() / max(a.sum(), 1)
    return float(2 * precision * recall / max(precision + recall, 1e-9))


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


def main() -> None:
    parser = harness.parser(__doc__, data=True, cache=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--clips", type=harness.comma_list, default=list(CLIPS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    names = ("difference", "edges", "psnr", "ssim", "psnr_middle", "cpu_s")
    head("clip", *names)

    def show(clip: str) -> None:
        scores = measure(given.data / "video" / clip, given.cache, given.steps)
        row(clip, *(scores[name] for name in names))

    harness.each(given.clips, show)


if __name__ == "__main__":
    harness.run(main)
