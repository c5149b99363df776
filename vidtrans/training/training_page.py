"""The training report: one self-contained HTML file. ``training_page.html`` is its Jinja template, filled in here."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np

from vidtrans.core.files import write_bytes
from vidtrans.core.settings import Table
from vidtrans.training import Label
from vidtrans.training.training_words import (
    ROLLOUT_AGE_LABEL,
    ROLLOUT_LABELS,
    SCORE_LABELS,
    TrainingSummary,
    figure,
    is_number,
    loss_label,
)
from vidtrans.video.images.picture import resize
from vidtrans.video.plots import cell_size, round_values
from vidtrans.video.report_page import load_page

# Pictures are a third larger as base64 text, so a report has about 4 MB, and a few hundred kB of curves.
# Size limits in bytes of the JPEG files in a report: of the film, of all sheets, of a strip, of all crops.
FILM_BYTES, SHEET_BYTES, STRIP_BYTES, CROP_BYTES = 1_500_000, 1_500_000, 200_000, 1_000_000
MAX_FILM_FRAMES, MAX_SHEETS = 96, 12  # Maximum number of pictures in the film, and of sheets.
# Maximum long sides of the pictures of film, sheets and crops, in pixels.
FILM_SIDE_PX, SHEET_SIDE_PX, CROP_SIDE_PX = 384, 1400, 384
# Settings (JPEG quality from 0 to 100, scale), tried in this order until the pictures are within their size limit.
JPEG_SETTINGS = ((92, 1.0), (85, 1.0), (75, 1.0), (75, 0.75), (65, 0.6), (55, 0.45), (50, 0.3))
MAX_OPEN_ROWS = 12  # Maximum number of rows of a table that is unfolded when the page is loaded.

MAX_POINTS = 300  # Maximum number of points of a curve.
SMOOTHING_DIVISOR = 40  # The window of a curve's running mean is the number of steps divided by this.
LOG_RATIO = 20.0  # Ratio of values above which an axis is logarithmic.
WIDTH, HEIGHT = 320, 200  # Size of a plot, in pixels.
LEFT, RIGHT, TOP, BOTTOM = 44, 308, 22, 168  # Borders of the plot area in pixels, from the left or the top of the plot.

Key = TypeVar("Key")  # The type of a picture's name: a text or a step.


class StepMarks(NamedTuple):
    """The steps that all plots of a run mark: the ``last`` step, the ``best`` state's, and (step, text) of warnings."""

    last: int
    best: int | None = None
    warnings: Sequence[tuple[int, str]] = ()


class LossCurve(NamedTuple):
    """A curve of at most ``MAX_POINTS`` points for a plot of values over steps; all fields are arrays (N,).

    Each point stands for several steps, with the extremes ``low`` and ``high`` of their values and the running
    ``mean``.
    """

    steps: np.ndarray
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray


def window_of(count: int) -> int:
    """Return the window of a curve's running mean, in steps, for a curve of ``count`` steps."""
    return max(1, count // SMOOTHING_DIVISOR)


def resample_curve(values: np.ndarray, most: int = MAX_POINTS) -> LossCurve:
    """Reduce the values of steps 1 to N, (N,), to a curve of at most ``most`` points; infinities and NaN are dropped.

    The curve keeps the minimum and maximum of the steps of each point.
    """
    steps = np.flatnonzero(np.isfinite(values)) + 1.0
    values = values[np.isfinite(values)]
    count = min(most, len(values))
    if not count:
        return LossCurve(*[np.zeros(0)] * 4)
    edges = np.linspace(0, len(values), count + 1).astype(int)
    starts, ends = edges[:-1], edges[1:]
    middle, half = (starts + ends - 1) // 2, window_of(len(values)) // 2
    sums = np.concatenate(([0.0], np.cumsum(values)))
    first, stop = np.maximum(0, middle - half), np.minimum(len(values), middle + half + 1)
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    return LossCurve((steps[starts] + steps[ends - 1]) / 2, low, high, (sums[stop] - sums[first]) / (stop - first))


class Axis(NamedTuple):
    """The range of a plot's vertical axis; ``log``: whether the axis is logarithmic."""

    low: float
    high: float
    log: bool

    def place(self, values: np.ndarray | float) -> np.ndarray:
        """Return the positions of ``values`` on the axis, in pixels from the top of the plot."""
        scale = np.log10 if self.log else np.asarray
        low, high = scale(self.low), scale(self.high)
        return BOTTOM - (BOTTOM - TOP) * (scale(values) - low) / (high - low)

    def ticks(self) -> list[float]:
        """Return the values of the grid lines."""
        if not self.log:
            return round_values(self.low, self.high, 4)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        if len(decades) > 4:
            values = [10.0**d for d in decades[:: -(-len(decades) // 5)]]
        else:
            values = [m * 10.0**d for d in decades for m in (1, 2, 5)]
        return [v for v in values if self.low <= v <= self.high]


def axis_for(curve: LossCurve, level: float | None = None, from_zero: bool = False) -> Axis:
    """Return a vertical axis that shows a curve and, if given, a horizontal line at the value ``level``.

    ``from_zero``: the axis begins at 0, or is logarithmic if values have a wide range.
    """
    low, high = float(curve.low.min()), float(curve.high.max())
    if level is not None:
        low, high = min(low, level), max(high, level)
    usual = float(np.median(curve.mean))
    if from_zero and low > 0 and (high / usual > LOG_RATIO or curve.mean.max() / curve.mean.min() > LOG_RATIO):
        return Axis(low / 1.1, high * 1.1, log=True)
    if from_zero and low >= 0:
        low = 0.0
    margin = 0.06 * (high - low) or max(abs(high), 1.0) * 0.05
    return Axis(low if from_zero and low == 0 else low - margin, high + margin, log=False)


@dataclass(frozen=True)
class LossPanel:
    """A plot for ``training_page.html``, in pixels of a ``WIDTH`` x ``HEIGHT`` picture.

    ``kind``: the CSS class of the plot; ``dots``: draw a line through single values instead of a mean in a band;
    ``level``: a reference value and the value's name.
    """

    label: Label
    curve: LossCurve
    marks: StepMarks
    kind: str
    dots: bool = False
    level: tuple[float, str] | None = None

    @property
    def last(self) -> int:
        """Return the step at the right end of the plot."""
        return max(1, self.marks.last)

    @cached_property
    def axis(self) -> Axis:
        """Return the vertical axis that fits the curve and the reference value."""
        return axis_for(self.curve, self.level[0] if self.level else None, from_zero=not self.dots)

    def x(self, steps: np.ndarray | float) -> np.ndarray:
        """Return the positions of ``steps``, in pixels from the left of the plot."""
        return LEFT + (RIGHT - LEFT) * np.asarray(steps) / self.last

    def y(self, values: np.ndarray | float) -> np.ndarray:
        """Return the positions of ``values``, in pixels from the top of the plot."""
        return self.axis.place(values)

    def steps(self) -> list[float]:
        """Return the step numbers at the ticks of the horizontal axis."""
        return round_values(0, self.last, 4, whole=True)

    def points(self) -> list[tuple[float, float]]:
        """Return (step, running mean) of each point of the curve."""
        return list(zip(self.curve.steps.tolist(), self.curve.mean.tolist(), strict=True))

    def path(self, values: np.ndarray, back: np.ndarray | None = None) -> str:
        """Return an SVG path along ``values``; with ``back``, an area between ``values`` and the values ``back``."""
        steps = self.curve.steps
        if back is not None:
            steps, values = np.concatenate([steps, steps[::-1]]), np.concatenate([values, back[::-1]])
        places = zip(self.x(steps), self.y(values), strict=True)
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places) + ("Z" if back is not None else "")


def short(step: float) -> str:
    """Format a step briefly: ``50k`` for 50000."""
    return f"{step / 1000:g}k" if step >= 10_000 else f"{step:,g}"


@dataclass(frozen=True)
class RolloutSummary:
    """A rollout's scores (see ``RolloutScorer.score``), and a ``strip`` of (frame number, picture (H, W, 3) uint8)."""

    scores: Table
    strip: Sequence[tuple[int, np.ndarray]]


@dataclass(frozen=True)
class DeliveredSummary:
    """Outputs enlarged to the source's size ("delivered") at a ``step``: crops and ``scores``, {} during training.

    ``crops``: the same area of a bicubic resize, of the delivered picture and of the target, (H, W, 3) uint8, at 1:1.
    """

    step: int
    scores: Table
    crops: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class TrainingReport:
    """The content of a training report. Empty sections are omitted.

    ``facts``: a table in this order, with formatted values; ``columns`` and ``rows``: the losses of every step from 1
    on; ``balance``: D's loss when it cannot tell fake from real; ``scores``: (step, means over held-out pairs), as from
    ``validation.score``; ``best``: the step of the best saved state; ``warnings``: (step, text); ``words``: the summary
    of the state; ``ages``: (step, youngest, mean, oldest) of the rollouts in the pool; ``sheets``: (step, a strip of
    outputs); ``film``: (step, output) of one pair, with its ``input`` and ``target``; ``delivered``: the delivered
    pictures of full-size pairs. Pictures are (H, W, 3) uint8 RGB. Steps ascend.
    """

    title: str
    facts: Mapping[str, object] = field(default_factory=dict)
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[float]] = ()
    balance: float | None = None
    scores: Sequence[tuple[int, Mapping[str, float | None]]] = ()
    best: int | None = None
    warnings: Sequence[tuple[int, str]] = ()
    words: TrainingSummary | None = None
    ages: Sequence[tuple[int, int, float, int]] = ()
    rollout: RolloutSummary | None = None
    sheets: Sequence[tuple[int, np.ndarray]] = ()
    film: Sequence[tuple[int, np.ndarray]] = ()
    input: np.ndarray | None = None
    target: np.ndarray | None = None
    delivered: DeliveredSummary | None = None

    @property
    def last(self) -> int:
        """Return the last step for which the report has data."""
        entries = (*self.scores, *self.warnings, *self.sheets, *self.film)
        return max([len(self.rows), *(entry[0] for entry in entries)])

    @property
    def marks(self) -> StepMarks:
        """Return the marks in all plots."""
        return StepMarks(self.last, self.best, self.warnings)


def film_steps(total: int, count: int = 72) -> list[int]:
    """Return at most ``count`` steps of a run whose output is saved in ``film/``: denser at the start of the run."""
    return sorted({max(1, round(total * (i / (count - 1)) ** 2.5)) for i in range(count)}) if total > 0 else []


def write_report(path: Path, report: TrainingReport) -> None:
    """Write the HTML page to ``path`` atomically. The same report gives the same bytes."""
    write_bytes(path, render(report).encode("utf-8", "replace"))


def render(report: TrainingReport) -> str:
    """Return the report as an HTML page. All text is escaped."""
    sheets, strip = _pick_evenly(report.sheets, MAX_SHEETS), report.rollout.strip if report.rollout else []
    page = load_page(Path(__file__).with_suffix(".html"), figure=_format_value, short=short)
    return page.render(
        title=report.title,
        report=report,
        film=_film_context(report),
        rollout_strip=_data_uris(strip, FILM_SIDE_PX, STRIP_BYTES),
        rollout_labels=ROLLOUT_LABELS,
        names=_score_names(report),
        label=_score_label,
        best_values=_best_values(report),
        score_panels=_score_panels(report),
        loss_panels=_loss_panels(report),
        window=window_of(len(report.rows)),
        skipped=sum(1 for row in report.rows if not all(map(math.isfinite, row))),
        crops=_crop_rows(report.delivered),
        sheets=_data_uris(sheets, SHEET_SIDE_PX, SHEET_BYTES),
        modest_rows=MAX_OPEN_ROWS,
        chart={"WIDTH": WIDTH, "HEIGHT": HEIGHT, "LEFT": LEFT, "RIGHT": RIGHT, "TOP": TOP, "BOTTOM": BOTTOM},
    )


def _film_context(report: TrainingReport) -> dict[str, object]:
    """Return the template's variables for the film: steps, pictures, and last output with input and target.

    {} without.
    """
    if not report.film:
        return {}
    film = _pick_evenly(report.film, MAX_FILM_FRAMES)
    pair = [(n, p) for n, p in (("input", report.input), ("target", report.target)) if p is not None]
    # All pictures have the same scale and quality, so that they can be compared.
    named = _data_uris([*((str(step), p) for step, p in film), *pair], FILM_SIDE_PX, FILM_BYTES)
    pictures = [uri for _, uri in named[: len(film)]]
    pictures_by_name = dict(named[len(film) :]) | {"output": pictures[-1]}
    figures = [(name, pictures_by_name[name]) for name in ("input", "output", "target") if name in pictures_by_name]
    return {"steps": [step for step, _ in film], "pictures": pictures, "figures": figures}


def _crop_rows(delivered: DeliveredSummary | None) -> list[list[tuple[str, str]]]:
    """Return a row of (caption, data URI) for each crop of a delivered picture, at 1:1; see ``DeliveredSummary``."""
    names = ("bicubic resize", "delivered", "target")
    rows = delivered.crops if delivered else []
    uris = iter(
        _data_uris([(name, p) for row in rows for name, p in zip(names, row, strict=True)], CROP_SIDE_PX, CROP_BYTES)
    )
    return [[next(uris) for _ in names] for _ in rows]


def _score_panels(report: TrainingReport) -> list[LossPanel]:
    """Return a plot for each held-out score, with a dot per scoring."""
    panels = []
    for name in _score_names(report):
        points = [(step, value) for step, table in report.scores if is_number(value := table.get(name))]
        xs, ys = np.array(points, float).T
        curve, level = LossCurve(xs, ys, ys, ys), (1.0, "as sharp") if name == "sharpness" else None
        panels.append(LossPanel(_score_label(name), curve, report.marks, "score", dots=True, level=level))
    return panels


def _best_values(report: TrainingReport) -> dict[str, float | None]:
    """Return the best value of each score by name; None for a score without a better direction."""
    return {
        name: _score_label(name).best([v for _, table in report.scores if is_number(v := table.get(name))])
        for name in _score_names(report)
    }


def _loss_panels(report: TrainingReport) -> list[LossPanel]:
    """Return a plot for each loss: the running mean in a band that contains the values of all steps."""
    panels = []
    for at, name in enumerate(report.columns):
        values = np.array([row[at] for row in report.rows], np.float64)
        if np.isfinite(values).any() and values.any():  # Without a discriminator its column is zero.
            level = (report.balance, "a draw") if name == "discriminator" and report.balance is not None else None
            kind = name if name in ("gan", "l1", "discriminator") else "other"
            label = loss_label(name)
            panels.append(LossPanel(label, resample_curve(values), report.marks, kind, level=level))
    if panels and report.ages:
        steps, low, mean, high = np.array(report.ages, float).T
        panels.append(LossPanel(ROLLOUT_AGE_LABEL, LossCurve(steps, low, high, mean), report.marks, "other"))
    return panels


def _data_uris(named: Sequence[tuple[Key, np.ndarray]], side: int, budget: int) -> list[tuple[Key, str]]:
    """Return (name, JPEG data URI) of pictures: sides up to ``side`` pixels, files of ``budget`` bytes in total."""
    files: list[bytes] = []
    for quality, scale in JPEG_SETTINGS:
        fitted = [resize(p, *cell_size(p, max(16, round(side * scale)))) for _, p in named]
        sample = [_jpeg(p, quality) for p in fitted[:: max(1, -(-len(fitted) // 8))]]
        if (quality, scale) != JPEG_SETTINGS[-1] and sum(map(len, sample)) * len(fitted) > budget * len(sample):
            continue
        files = [_jpeg(p, quality) for p in fitted]
        if sum(map(len, files)) <= budget:
            break
    uris = (f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}" for data in files)
    return [(name, uri) for (name, _), uri in zip(named, uris, strict=True)]


def _jpeg(rgb: np.ndarray, quality: int) -> bytes:
    """Encode a picture, (H, W, 3) uint8 RGB, as JPEG without chroma subsampling."""
    # Use no chroma subsampling (4:4:4): it would be visible on small pictures with thin lines.
    full_colour = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, *full_colour]
    data: bytes = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)[1].tobytes()
    return data


def _pick_evenly(pictures: Sequence[tuple[int, np.ndarray]], most: int) -> list[tuple[int, np.ndarray]]:
    """Return at most ``most`` evenly spaced items of ``pictures``, with the first and the last."""
    if len(pictures) <= most:
        return list(pictures)
    return [pictures[round(i)] for i in np.linspace(0, len(pictures) - 1, most)]


def _score_names(report: TrainingReport) -> list[str]:
    """Return the names of the scores with values, those in ``SCORE_LABELS`` first."""
    names = {name for _, table in report.scores for name, value in table.items() if is_number(value)} - {"pairs"}
    return [name for name in SCORE_LABELS if name in names] + sorted(names - set(SCORE_LABELS))


def _score_label(name: str) -> Label:
    """Return the label of a score; for a score of a plug-in, a label made of the name."""
    return SCORE_LABELS.get(name) or Label(name.replace("_", " "), "")


def _format_value(value: float | None) -> str:
    """Format a score for the page; "–" if it is unknown."""
    return figure(value) if is_number(value) else "–"
