"""Blind pairs of films: taught looks beside the published networks of the same styles, for somebody who votes.

    python -m benchmarks.looks.blind DATA --styles DIR --model candy=FILE --model mosaic=FILE --output DIR [--seed 1]
    python -m benchmarks.looks.blind DATA --output DIR --score VOTES

Four spans of five clips, as each paints them at 288 lines: ours with the filter that ``stylize`` has by default, the
published network as it is. A sheet shows the clip and the style, then A and B: two frames, one after the other, and
how much each pixel changes between them (four times enlarged), which is what flickers and what moves. Sides and order
are drawn from the seed. VOTES has a line for each sheet, "NUMBER A" or "NUMBER B"; the sides are in DIR/key.json.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks import harness
from benchmarks.clips import Span, read_frames
from benchmarks.consistency.methods import run_filter
from benchmarks.looks.painted import read_styles
from benchmarks.store import tell
from vidtrans.inference.device import resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.models.model_file import load_generator
from vidtrans.video.images.picture import read_picture, write_picture

LINES, MULTIPLE, FRAMES, SHOWN = 288, 8, 8, 3
KEY = "key.json"
SPANS = {
    "cockatoo": ("video/cockatoo_yuv420.mp4", (20, 90, 160, 230)),
    "wolf": ("video/wolf_512.mp4", (2, 11, 20, 30)),
    "bedroom": ("seq/bedroom_pan/input", (5, 25, 45, 65)),
    "lynx": ("seq/lynx/input", (10, 35, 60, 85)),
    "bigbuckbunny": ("video/bigbuckbunny_720p.mp4", (10, 40, 75, 110)),
}
Frames = Sequence[np.ndarray]


def paint(model: Path, frames: Frames) -> list[np.ndarray]:
    """Paint frames with a model, in strokes of the middle size if it has such a control."""
    generator, record = load_generator(model)
    engine = TorchEngine(generator, resolve_device("cpu"))
    planes = record.in_channels - 3
    return [engine(np.concatenate([f, np.full((*f.shape[:2], planes), 128, np.uint8)], 2)[None])[0] for f in frames]


def sheet(frames: Frames, sides: tuple[Frames, Frames], style: np.ndarray) -> np.ndarray:
    """Return the sheet of a pair."""
    height, width = frames[0].shape[:2]
    scale = min(width / style.shape[1], height / style.shape[0])
    small = cv2.resize(style, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    beside = np.pad(small, ((0, height - len(small)), (0, width - small.shape[1]), (0, 0)), constant_values=255)
    between = np.full((height, MULTIPLE, 3), 255, np.uint8)
    rows = [(frames[SHOWN], beside), *((a, b) for a, b in zip(*(s[SHOWN : SHOWN + 2] for s in sides), strict=True))]
    rows.append((change(sides[0]), change(sides[1])))
    return np.vstack([np.hstack([a, between, b]) for a, b in rows])


def change(painted: Frames) -> np.ndarray:
    """Return how much each pixel changes between the two frames that are shown, four times enlarged."""
    first, second = (frame.astype(np.int16) for frame in painted[SHOWN : SHOWN + 2])
    return np.repeat(np.clip(4 * np.abs(second - first).mean(2), 0, 255).astype(np.uint8)[..., None], 3, 2)


def make(options: argparse.Namespace, models: dict[str, Path]) -> None:
    """Write the sheets and the key."""
    drawn, pairs = random.Random(options.seed), []
    for style, path in models.items():
        picture = read_picture(read_styles(harness.need(options.styles))[style])
        published = options.data / "models" / f"{style}_nc16_256x256_onnxjs013.onnx"
        for clip, (source, starts) in SPANS.items():
            for start in starts:
                span = Span(source, start, FRAMES)
                frames = read_frames(options.data / span.path, span.first, span.count, short=LINES, least=FRAMES)
                frames = [f[: f.shape[0] // MULTIPLE * MULTIPLE, : f.shape[1] // MULTIPLE * MULTIPLE] for f in frames]
                ours = run_filter("window", frames, paint(path, frames))
                pairs.append((f"{style} {clip} {start}", frames, paint(published, frames), ours, picture))
            tell(f"{style}: {clip}")
    drawn.shuffle(pairs)
    key = {}
    options.output.mkdir(parents=True, exist_ok=True)
    for number, (name, frames, theirs, ours, picture) in enumerate(pairs):
        is_first = drawn.random() < 0.5
        write_picture(
            options.output / f"{number:02}.png", sheet(frames, (ours, theirs) if is_first else (theirs, ours), picture)
        )
        key[f"{number:02}"] = {"pair": name, "ours": "A" if is_first else "B"}
    (options.output / KEY).write_text(json.dumps(key, indent=1))


def score(folder: Path, votes: Path) -> None:
    """Print how many votes ours has, by style and clip."""
    key = json.loads((folder / KEY).read_text())
    found: dict[str, list[bool]] = {}
    for number, side in (line.split()[:2] for line in votes.read_text().splitlines() if line.strip()):
        style, clip, _ = key[number]["pair"].split()
        for name in ("all", style, clip):
            found.setdefault(name, []).append(side == key[number]["ours"])
    for name, won in found.items():
        print(f"{name}: {sum(won)} of {len(won)}")


def main() -> None:
    parser = harness.parser(__doc__, data=True)
    parser.add_argument("--styles", type=Path)
    parser.add_argument("--model", action="append", default=[], metavar="STYLE=FILE")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--score", type=Path, metavar="VOTES")
    options = parser.parse_args()
    if options.score:
        score(options.output, options.score)
    else:
        make(options, {name: Path(path) for name, _, path in (text.partition("=") for text in options.model)})


if __name__ == "__main__":
    harness.run(main)
