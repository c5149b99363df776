"""Measure and show how pictures of real networks come to full size: sharpness, flicker, a sheet, a blind vote.

    python -m benchmarks.sharp.networks DATA --cache DIR [--models landscape,coffee] [--parts scores,sheet,jury]

Each model renders twelve frames of each clip at 256 lines, with the temporal filter, in each mode.

``scores``: warping error and mean |Laplacian|, over those of a bicubic resize. ``sheet``: crops of the source and each
mode, in CACHE/sheet.png. ``jury``: pairs of crops, auto and bicubic in an order that --seed decides, in CACHE/jury.png;
CACHE/jury.json tells the order.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import vidtrans
from benchmarks import harness
from benchmarks.clips import LOSSLESS, Span, read_frames
from benchmarks.picture_looks import STYLES, model_named
from benchmarks.tables import head, row
from vidtrans.metrics.consistency import Scorer
from vidtrans.metrics.picture_quality import sharpness
from vidtrans.upscaling import MODES
from vidtrans.video.images.picture import write_picture
from vidtrans.video.plots import ContactSheet

PARTS = ("scores", "sheet", "jury")
# Strengths were chosen on dog and juggle. The rule that finds a network's own texture was chosen with the statistics of
# these models on the first three clips in view as well, but not on the last three.
CLIPS = (
    Span("video/cockatoo_yuv420.mp4", 100),
    Span("video/flower.mp4", 60),
    Span("video/bigbuckbunny_720p.mp4", 40),
    Span("video/friday.mp4", 60),
    Span("video/wolf_512.mp4", 5),
    Span("video/bug_bw.mp4", 60),
)
FRAMES = 12
CROP = 300, 220  # pixels of the source, (width, height)


def rendered(clip: Span, model: str, mode: str, options: argparse.Namespace) -> list[np.ndarray]:
    """Return the frames of a clip as a model renders them, brought to full size in a mode."""
    name = f"{Path(clip.path).stem}-{Path(model).stem}-{mode}"
    output, source = options.cache / f"{name}.mkv", harness.need(options.data / clip.path)
    settings = {"encoding": LOSSLESS, "rendering": {"size": str(options.size), "upscale": mode}}
    part = {"start": str(clip.first), "end": str(clip.first + FRAMES)}
    vidtrans.stylize(
        source, model, output, settings=settings, cache_dir=options.cache / "vidtrans", overwrite=True, **part
    )
    return read_frames(output)


def compare(models: list[str], options: argparse.Namespace) -> None:
    """Print the scores of each mode over those of a bicubic resize."""
    head("clip", "model", *(f"{mode}: sharpness / warping error" for mode in MODES if mode != "bicubic"))
    for clip in CLIPS:
        for model in models:
            found = {}
            for mode in MODES:
                frames = rendered(clip, model, mode, options)
                scorer = Scorer()
                sources = read_frames(options.data / clip.path, clip.first, len(frames))
                for source, frame in zip(sources, frames, strict=True):
                    scorer.add(source, frame)
                error = scorer.scores().summary["warping_error"]
                found[mode] = np.mean([sharpness(frame) for frame in frames]), error
            soft, calm = found["bicubic"]
            cells = [f"{found[m][0] / soft:.2f} / {found[m][1] / calm:.2f}" for m in MODES if m != "bicubic"]
            row(Path(clip.path).stem, Path(model).stem, *cells)


def crops(clip: Span, model: str, modes: tuple[str, ...], at: float, options: argparse.Namespace) -> list[np.ndarray]:
    """Return a part of the middle frame of the source, and of each mode. ``at``: its place, from 0 to 1."""
    number = FRAMES // 2
    found = [read_frames(options.data / clip.path, clip.first + number, 1)[0]]
    found += [rendered(clip, model, mode, options)[number] for mode in modes]
    height, width = found[0].shape[:2]
    x, y = round((width - CROP[0]) * at), round((height - CROP[1]) * 0.45)
    return [picture[y : y + CROP[1], x : x + CROP[0]] for picture in found]


def draw_sheet(models: list[str], options: argparse.Namespace) -> None:
    """Write a table of crops: a row for a model, a column for a mode."""
    modes = ("bicubic", "faithful", "guided", "auto", "clean")
    rows = [crops(CLIPS[1], model, modes, 0.5, options) for model in models]
    sheet = ContactSheet("", rows, CROP, ("source", *modes)).draw()
    write_picture(options.cache / "sheet.png", sheet)


def draw_jury(models: list[str], options: argparse.Namespace) -> None:
    """Write pairs of crops in a random order, and beside them the source; the order goes into a file of its own."""
    random = np.random.default_rng(options.seed)
    rows, key = [], []
    for at in (0.4, 0.6):
        for clip in CLIPS:
            for model in models:
                source, soft, sharp = crops(clip, model, ("bicubic", "auto"), at, options)
                is_left = bool(random.integers(2))
                rows.append([source, sharp, soft] if is_left else [source, soft, sharp])
                key.append({"clip": clip.path, "model": model, "auto": "left" if is_left else "right"})
    notes = [["", f"{n} left", f"{n} right"] for n in range(1, len(rows) + 1)]
    write_picture(options.cache / "jury.png", ContactSheet("", rows, CROP, notes=notes).draw())
    (options.cache / "jury.json").write_text(json.dumps({"seed": options.seed, "rows": key}, indent=1))


def main() -> None:
    parser = harness.parser(__doc__, data=True, cache=True)
    parser.add_argument("--models", type=harness.comma_list, default=list(STYLES), help="names or files")
    parser.add_argument("--parts", type=harness.comma_list, default=list(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--size", type=int, default=256, help="lines that the network sees [default: %(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="of the jury's order")
    options = parser.parse_args()
    models = [model_named(name, options.cache / "vidtrans") for name in options.models]
    works = {"scores": compare, "sheet": draw_sheet, "jury": draw_jury}
    for part in options.parts:
        works[part](models, options)


if __name__ == "__main__":
    harness.run(main)
