"""Compare recipes by how a film's look renders on other footage: six pairs of clips that nothing was chosen on.

    python -m benchmarks.training.other_footage DATA --cache DIR [--minutes 5] [--recipes edges,others] [--pairs water]

Each film is trained for --minutes with each recipe, and rendered onto the other clip, by the commands that a user
types. DIR keeps models, renders, and for each pair a sheet of three frames (the clip, then each recipe). *structure*:
the correlation of blurred gradients with those of the clip, 1 at most. *flicker*: the warping error over the clip's
own. *sharpness*: the mean of blurred gradients over the clip's own.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks import harness
from benchmarks.clips import read_frames
from benchmarks.painters import warping_error
from benchmarks.tables import head, row
from vidtrans.training.losses.structure import edge_strength
from vidtrans.video.images.picture import write_picture

FRAMES, SHOWN = 48, (8, 24, 40)
LINES = 360  # of sheets and of what is measured


@dataclass(frozen=True)
class Pair:
    """A film that is learned, the clip that it is rendered onto, and the clip's first frame of a shot."""

    film: str
    clip: str
    first: int = 0


PAIRS = {
    "people": Pair("one-by-one-person-detection_139s.mp4", "carphone_176x144.mp4"),
    "water": Pair("stream-of-water.mp4", "juggle.mp4"),
    "city": Pair("bikes_5cuts.mp4", "cockatoo_yuv420.mp4", 60),
    "flowers": Pair("bug_bw.mp4", "juggle.mp4"),
    "drawn": Pair("bigbuckbunny_720p.mp4", "carphone_176x144.mp4"),
    "animal": Pair("wolf_512.mp4", "bikes_5cuts.mp4", 137),
}


def render(folder: Path, data: Path, pair: Pair, recipe: str, minutes: float) -> list[np.ndarray]:
    """Return the frames of a clip in a film's look, learned by a recipe; kept in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / "result.mkv"
    if not result.exists():
        video = data / "video"
        preset = Path(recipe).resolve() if recipe.endswith(".toml") else recipe
        common = ("--preset", preset, "--overwrite")
        harness.vidtrans("make-dataset", harness.need(video / pair.film), "-o", "film.dataset", *common, folder=folder)
        harness.vidtrans(
            "train", "film.dataset", "-o", "film.safetensors", *common, "--minutes", minutes, folder=folder
        )
        span = ("--start", pair.first, "--end", pair.first + FRAMES)
        words = ("stylize", harness.need(video / pair.clip), "--model", "film", "-o", "result.mkv", "--codec", "ffv1")
        harness.vidtrans(*words, *span, "--overwrite", folder=folder)
    return read_frames(result, short=LINES)


def correlation(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Return the correlation of the blurred gradients of two frames, and the mean of the second over the first."""
    a, b = (
        edge_strength(torch.from_numpy(x).permute(2, 0, 1)[None] / 127.5 - 1).flatten().numpy() for x in (one, other)
    )
    return float(np.corrcoef(a, b)[0, 1]), float((b - b.min()).mean() / max((a - a.min()).mean(), 1e-6))


def measure(clip: list[np.ndarray], made: list[np.ndarray]) -> tuple[float, float, float]:
    """Return structure, flicker and sharpness of a film beside its clip."""
    found = [correlation(a, b) for a, b in zip(clip[::6], made[::6], strict=True)]
    structure, sharpness = (statistics.fmean(values) for values in zip(*found, strict=True))
    return structure, warping_error(clip, made) / warping_error(clip, clip), sharpness


def main() -> None:
    """Train, render, measure, and write sheets."""
    parser = harness.parser(__doc__, data=True, cache=True)
    parser.add_argument("--minutes", type=float, default=5.0, help="of each training [default: %(default)s]")
    parser.add_argument("--recipes", type=harness.comma_list, default=["edges", "others"], help="presets or files")
    parser.add_argument("--pairs", type=harness.comma_list, default=list(PAIRS), help=f"of {', '.join(PAIRS)}")
    options = parser.parse_args()
    print(f"{harness.machine()}\n")
    head("pair", "recipe", "structure", "flicker", "sharpness")
    found: dict[str, list[tuple[float, float, float]]] = {}

    def compare(name: str) -> None:
        pair = PAIRS[name]
        clip = read_frames(options.data / "video" / pair.clip, pair.first, FRAMES, short=LINES)
        rows = [clip]
        for recipe in options.recipes:
            folder = options.cache / f"{name}-{Path(recipe).stem}-{options.minutes:g}"
            made = render(folder, options.data, pair, recipe, options.minutes)
            rows.append([cv2.resize(one, clip[0].shape[1::-1]) for one in made])
            scores = measure(clip, rows[-1])
            found.setdefault(recipe, []).append(scores)
            row(name, recipe, *scores)
        shown = [n for n in SHOWN if n < len(clip)]
        sheet = np.vstack([np.hstack([frames[n] for n in shown]) for frames in rows])
        write_picture(options.cache / f"{name}-{options.minutes:g}.png", sheet)

    harness.each(options.pairs, compare)
    for recipe, scores in found.items():
        row("mean", recipe, *(statistics.fmean(values) for values in zip(*scores, strict=True)))


if __name__ == "__main__":
    harness.run(main)
