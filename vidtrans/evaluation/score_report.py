"""Report the scores of a clip as a table, a line of text, a JSON file, or a plot with its worst moments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from vidtrans.clips.indexing import Clip, content_digest, open_clip
from vidtrans.clips.sampling import read_clip_frames
from vidtrans.core.errors import UsageError
from vidtrans.core.files import base_name
from vidtrans.core.settings import Table, Time
from vidtrans.evaluation.scoring import AlignedSource, Pictures, score_clips, seconds, write_scores
from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import grey
from vidtrans.flow.warping import warp
from vidtrans.metrics import SCORING_FLOW
from vidtrans.metrics.consistency import FlowPair, Scores, round_digits
from vidtrans.output.result import produce
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.render_job import RenderJob
from vidtrans.session import Context
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import resize
from vidtrans.video.plots import FAINT, GAP, TEXT_PX, Chart, ChartCurve, Colour, ContactSheet, blank_picture, text_band

VERSION = 3  # Version of the score report, for digests
VISIBLE_GHOST = 2.0  # Ghosting, in 8-bit levels, above which the report mentions it
BLURRED = 0.85  # Sharpness relative to the reference below which the report mentions blur
CELL_WIDTH_PX = 392  # Width of each of the three pictures in a row of the plot, in pixels
WIDTH_PX = 3 * CELL_WIDTH_PX + 4 * GAP  # Width of the plot, in pixels
MAX_HEIGHT_PX = 300  # Largest height of a picture in a row, in pixels
WHITE = 48  # Difference of two frames that is drawn white, in 8-bit levels
UNSCORED = (58, 66, 76)  # RGB colour, in a difference picture, of pixels that are not scored
# (measure, height in pixels, title) of each chart of the plot
CHARTS = (
    (
        "warping_error",
        320,
        "change from frame to frame along the motion (RMS, 8-bit levels: the root of warping error)",
    ),
    ("flicker", 210, "stabilised flicker (8-bit levels)"),
    ("ghosting", 190, "ghosts: how much further off it is where something was uncovered (8-bit levels)"),
)
# Curves of a chart by suffix of the measure's name: label, colour, line width; the last one is drawn on top
CURVES: dict[str, tuple[str, Colour, int]] = {
    "_per_frame": ("per frame", (222, 104, 150), 1),
    "_source": ("source", (92, 160, 255), 1),
    "": ("output", (255, 190, 70), 2),
}


def score(
    clip: Clip,
    source: AlignedSource,
    flow: str,
    result: Path | None,
    context: Context,
    *,
    per_frame: Pictures | None = None,
    reference: Pictures | None = None,
) -> Table:
    """Return the scores of a render; if ``result`` is given, also write a plot (.png) or all values (.json).

    ``flow``: the flow method. ``per_frame``: the outputs without temporal filter. ``reference``: the desired result.
    Raises UsageError, MediaError, Interrupted.
    """
    scores = score_clips(clip, source, context, per_frame=per_frame, reference=reference, flow=flow)
    errors, source_error = scores.series["warping_error"], scores.series["warping_error_source"]
    numbers = range(scores.frames)
    times = [round(seconds(clip, n), 3) for n in numbers]
    worst = [
        {
            "frame": n,
            "seconds": times[n],
            "warping_error": round_digits(errors[n]),
            "warping_error_source": round_digits(source_error[n]),
        }
        for n in scores.worst()
    ]
    table = {"path": str(clip.path), "flow": flow, "frames": scores.frames, **scores.table(), "worst": worst}
    # The value of a pair of consecutive frames is assigned to the second frame.
    columns = {name: [round_digits(v) for v in values] for name, values in scores.series.items()}
    series = {"frame": list(numbers), "seconds": times} | columns
    write_scores(result, table, series, lambda: _sheet(scores, table, clip, source, flow, context))
    return table


def verdict(table: Table) -> str:
    """Return a summary of the scores in one line of text."""
    parts = [_flicker_text(table)]
    if table["sharpness"] is not None:
        blurred = "blurred: " if table["sharpness"] < BLURRED else ""
        parts.append(f"{blurred}{table['sharpness']:.2f} as sharp as the {compared_with(table)}")
    if (table["ghosting"] or 0) > VISIBLE_GHOST:
        parts.append("ghosts where something was uncovered")
    if table["worst"]:
        worst = table["worst"][0]
        parts.append(f"worst at frame {worst['frame']} ({worst['seconds']:.1f} s)")
    return "; ".join(parts)


def compared_with(table: Table) -> str:
    """Return which video the render was compared with, for the text of a report."""
    return {"per-frame": "per-frame video"}.get(table["compared_with"], str(table["compared_with"]))


def figures(table: Table) -> str:
    """Return the measures that a table of scores has as one line of text."""
    parts = []
    for name, key, form in (
        ("warping error", "warping_error", ".3g"),
        ("per frame", "warping_error_per_frame", ".3g"),
        ("source", "warping_error_source", ".3g"),
        ("ratio", "ratio", ".2f"),
        ("flicker", "flicker", ".1f"),
        ("PSNR", "psnr", ".1f"),
        ("SSIM", "ssim", ".3f"),
        ("sharpness", "sharpness", ".2f"),
        ("ghosting", "ghosting", ".1f"),
    ):
        if table[key] is not None:
            parts.append(f"{name} {table[key]:{form}}")
    return "   ".join(parts)


def _flicker_text(table: Table) -> str:
    """Return the flicker measures as text."""
    own, source, ratio, gone = (table[k] for k in ("warping_error", "warping_error_source", "ratio", "removed"))
    if own is None:
        why = "it has one frame" if table["frames"] == 1 else "no frame can be followed to the next"
        return f"its steadiness cannot be scored: {why}"
    if gone is not None and gone > 1:
        return "all of the per-frame flicker is gone, it is steadier than the source itself"
    if gone is not None and gone >= 0:
        return f"{100 * gone:.0f} % of the per-frame flicker is gone"
    if ratio is not None:
        why = "" if gone is not None else ", which is hardly less steady than the source"
        return f"its warping error is {ratio:.2f} of the per-frame video's{why}"
    if not own:
        return "it does not flicker at all"
    return (
        f"its warping error is {own / source:.2f} times the source's" if source else "it flickers, the source does not"
    )


def _sheet(scores: Scores, table: Table, clip: Clip, source: AlignedSource, flow: str, context: Context) -> np.ndarray:
    """Return a picture with charts of the measures over time, and below them a row for each of the worst moments."""
    bands = [text_band(f"{clip.name} along the motion of {source.clip.name}", WIDTH_PX, size=TEXT_PX + 4)]
    bands += [text_band(line, WIDTH_PX, colour=FAINT) for line in (verdict(table), figures(table))]
    marks = [moment["frame"] for moment in table["worst"]]
    times = [seconds(clip, n) for n in range(scores.frames)]
    cuts = [n for n in range(1, scores.frames) if source.starts_shot(n)]
    for name, height, title in CHARTS:
        if name in scores.series:
            chart = Chart(title, _curves(name, scores), times, cuts, marks)
            bands += [blank_picture(WIDTH_PX, GAP), chart.draw(WIDTH_PX, height)]
    if marks:
        bands.append(_moments(marks, scores, clip, source, flow, context))
    return np.vstack(bands)


def _curves(name: str, scores: Scores) -> list[ChartCurve]:
    """Return the curves of a measure's chart; warping errors as square roots, so that small errors are visible."""
    found = []
    for suffix, (label, colour, thick) in CURVES.items():
        if name + suffix in scores.series:
            values = [None if v is None else max(0.0, v) for v in scores.series[name + suffix]]
            if name == "warping_error":
                values = [None if v is None else _to_levels(v) for v in values]
            found.append(ChartCurve(label, values, colour, thick))
    return found


def _to_levels(error: float | None) -> float:
    """Return the square root of a warping error (full scale squared) in 8-bit levels."""
    return 255 * math.sqrt(error or 0.0)


def _moments(
    marks: Sequence[int], scores: Scores, clip: Clip, source: AlignedSource, flow: str, context: Context
) -> np.ndarray:
    """Return a picture with a row for each frame in ``marks``, by number: previous frame, frame, and their change."""
    method = FLOWS.load(flow)()
    wanted = sorted({n for mark in marks for n in (mark - 1, mark)})
    own = {f.index: resize(f.rgb, *scores.size) for f in read_clip_frames(clip, wanted, FrameFormat(), context)}
    steps, form = sorted({source.steps[n] for n in wanted}), FrameFormat(background=clip.default_background)
    greys = {f.index: grey(resize(f.rgb, *scores.size)) for f in read_clip_frames(source.clip, steps, form, context)}
    rows, notes = [], []
    for mark in marks:
        first, second = (greys[source.steps[n]] for n in (mark - 1, mark))
        motion = FlowPair.between(first, second, method)
        rows.append([own[mark - 1], own[mark], changes(own[mark - 1], own[mark], motion)])
        error, source_error = (_to_levels(scores.series[k][mark]) for k in ("warping_error", "warping_error_source"))
        note = f"changes by {error:.1f} levels where the source changes by {source_error:.1f}"
        notes.append([f"frame {mark - 1}", f"frame {mark}, {seconds(clip, mark):.2f} s", note])
    height = max(1, min(MAX_HEIGHT_PX, round(CELL_WIDTH_PX * scores.size[1] / scores.size[0])))
    headings = ("before the jump", "after it", f"what changed (white: {WHITE} levels; slate: not scored)")
    return ContactSheet("", rows, (CELL_WIDTH_PX, height), headings, notes).draw()


def changes(before: np.ndarray, after: np.ndarray, motion: FlowPair) -> np.ndarray:
    """Draw the motion-compensated difference of two frames, (H, W, 3) uint8; a difference of ``WHITE`` is white."""
    difference = cv2.absdiff(warp(after, motion.there), before).max(axis=2)
    heat = np.clip(difference.astype(np.float32) * (255 / WHITE), 0, 255).astype(np.uint8)
    picture = cv2.cvtColor(cv2.applyColorMap(heat, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    picture[~motion.reliable] = UNSCORED
    return picture


def score_path(output: Path) -> Path:
    """Return the path of a render's score plot: ``out.score.png`` for ``out.mp4``."""
    return output.with_name(f"{base_name(output)}.score.png")


def check_scorable(plan: RenderPlan) -> None:
    """Raise UsageError for a single picture, which cannot flicker."""
    if plan.num_frames == 1:
        raise UsageError("--score", "one picture cannot flicker", "leave it out")


def score_render(job: RenderJob, output: Path, request: str, context: Context) -> Table:
    """Score a finished render against its unfiltered outputs, write a plot, and return scores and verdict.

    ``request``: the digest of the render's request. Raises UsageError, MediaError, Interrupted.
    """
    plan = job.plan

    def make(path: Path) -> Table:
        """Write the plot, and return the scores."""
        clip, steps = open_clip(context, output), plan.source_frames
        # Not the filter's own flow method, which would hide the filter's errors
        flow = "brox" if getattr(plan.settings.filter_settings, "flow", None) == SCORING_FLOW else SCORING_FLOW
        if steps is None or len(steps) != clip.index.num_frames:  # A filter graph or a GIF changes the frames
            source = AlignedSource.find(plan.clip, clip, context, Time(frame=plan.first))
            table = score(clip, source, flow, path, context)
        else:
            with closing(job.unfiltered(clip.default_background)) as pictures:
                table = score(clip, AlignedSource(plan.clip, steps), flow, path, context, per_frame=pictures)
        return table | {"verdict": verdict(table)}

    place = score_path(output)
    key = {"command": "score", "version": VERSION, "render": request, "output": content_digest(context, output)}
    return produce(context, place, key, [plan.clip.path, output], lambda: make)
