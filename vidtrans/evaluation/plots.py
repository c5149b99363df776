"""The scores of a render over time, and the moments at which it is worst."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import read_clip_frames
from vidtrans.evaluation.scoring import AlignedSource, seconds
from vidtrans.evaluation.verdicts import figures, verdict
from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import grey
from vidtrans.flow.warping import warp
from vidtrans.metrics.clip_scores import Scores
from vidtrans.metrics.motion import FlowPair
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import resize, write_picture
from vidtrans.video.plots.chart import Chart, ChartCurve, Colour
from vidtrans.video.plots.layout import FAINT, GAP, TEXT_PX, Sheet, blank, text_band

CELL = 392  # pixels, the width of one of three pictures in a row
WIDTH = 3 * CELL + 4 * GAP
TALLEST = 300  # pixels, of a picture
WHITE = 48  # 8-bit levels of difference that are shown as white
UNSCORED = (58, 66, 76)
# What is charted, how high, and under which words.
CHARTS = (
    (
        "warping_error",
        320,
        "change from frame to frame along the motion (RMS, 8-bit levels: the root of warping error)",
    ),
    ("flicker", 210, "stabilised flicker (8-bit levels)"),
    ("ghosting", 190, "ghosts: how much further off it is where something was uncovered (8-bit levels)"),
)
# The curves of a chart, in the order in which they are drawn: the render on top.
CURVES: dict[str, tuple[str, Colour, int]] = {
    "_per_frame": ("per frame", (222, 104, 150), 1),
    "_source": ("source", (92, 160, 255), 1),
    "": ("output", (255, 190, 70), 2),
}


def write_sheet(
    path: Path, scores: Scores, table: Table, shown: Clip, seen: AlignedSource, flow: str, context: Context
) -> None:
    """Charts over time, and below them three pictures of each of the worst moments."""
    bands = [text_band(f"{shown.name} along the motion of {seen.clip.name}", WIDTH, size=TEXT_PX + 4)]
    bands += [text_band(line, WIDTH, colour=FAINT) for line in (verdict(table), figures(table))]
    marks = [moment["frame"] for moment in table["worst"]]
    times = [seconds(shown, n) for n in range(scores.frames)]
    cuts = [n for n in range(1, scores.frames) if seen.starts_shot(n)]
    for name, height, title in CHARTS:
        if name in scores.series:
            chart = Chart(title, _curves(name, scores), times, cuts, marks)
            bands += [blank(WIDTH, GAP), chart.draw(WIDTH, height)]
    if marks:
        bands.append(_moments(marks, scores, shown, seen, flow, context))
    write_picture(path, np.vstack(bands))


def _curves(name: str, scores: Scores) -> list[ChartCurve]:
    """Warping errors as their roots: these show small errors beside large ones, where squares would not."""
    found = []
    for suffix, (label, colour, thick) in CURVES.items():
        if name + suffix in scores.series:
            values = [None if v is None else max(0.0, v) for v in scores.series[name + suffix]]
            if name == "warping_error":
                values = [None if v is None else _levels(v) for v in values]
            found.append(ChartCurve(label, values, colour, thick))
    return found


def _levels(error: float | None) -> float:
    """Return the root of a warping error, in 8-bit levels."""
    return 255 * math.sqrt(error or 0.0)


def _moments(
    marks: Sequence[int], scores: Scores, shown: Clip, seen: AlignedSource, flow: str, context: Context
) -> np.ndarray:
    """Draw a row for each moment: the frame before it, the frame, and where it changed."""
    method = FLOWS.load(flow)()
    wanted = sorted({n for mark in marks for n in (mark - 1, mark)})
    own = {f.index: resize(f.rgb, *scores.size) for f in read_clip_frames(shown, wanted, FrameFormat(), context)}
    steps, on_ground = sorted({seen.steps[n] for n in wanted}), FrameFormat(background=shown.default_background)
    source = {
        f.index: grey(resize(f.rgb, *scores.size)) for f in read_clip_frames(seen.clip, steps, on_ground, context)
    }
    rows, notes = [], []
    for mark in marks:
        first, second = (source[seen.steps[n]] for n in (mark - 1, mark))
        motion = FlowPair.between(first, second, method)
        rows.append([own[mark - 1], own[mark], changes(own[mark - 1], own[mark], motion)])
        error, floor = (_levels(scores.series[k][mark]) for k in ("warping_error", "warping_error_source"))
        said = f"changes by {error:.1f} levels where the source changes by {floor:.1f}"
        notes.append([f"frame {mark - 1}", f"frame {mark}, {seconds(shown, mark):.2f} s", said])
    height = max(1, min(TALLEST, round(CELL * scores.size[1] / scores.size[0])))
    headings = ("before the jump", "after it", f"what changed (white: {WHITE} levels; slate: not scored)")
    return Sheet("", rows, (CELL, height), headings, notes).draw()


def changes(before: np.ndarray, after: np.ndarray, motion: FlowPair) -> np.ndarray:
    """Where two frames differ along the motion, (H, W, 3) uint8: black nowhere, white by ``WHITE`` levels."""
    off = cv2.absdiff(warp(after, motion.there), before).max(axis=2)
    heat = np.clip(off.astype(np.float32) * (255 / WHITE), 0, 255).astype(np.uint8)
    picture = cv2.cvtColor(cv2.applyColorMap(heat, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    picture[~motion.reliable] = UNSCORED
    return picture
