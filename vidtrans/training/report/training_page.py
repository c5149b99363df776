"""The training report: one self-contained HTML file. ``training_page.html`` is its Jinja template, filled in here."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeGuard, TypeVar

import cv2
import numpy as np
from jinja2 import Template

from vidtrans.core.files import write_bytes
from vidtrans.core.settings import Table
from vidtrans.training import Label
from vidtrans.training.report import score_curves
from vidtrans.training.report.score_curves import SCORE_LABELS, LossCurve, LossPanel, StepMarks
from vidtrans.training.report.training_words import TrainingWords
from vidtrans.video.images.picture import resize
from vidtrans.video.plots import cell_size
from vidtrans.video.report_page import load_page

# Size limits of a report. Pictures are a third larger as text: 4 MB and the curves' few hundred kB.
FILM_BYTES, SHEET_BYTES, STRIP_BYTES, CROP_BYTES = 1_500_000, 1_500_000, 200_000, 1_000_000
MAX_FILM, MAX_SHEETS = 96, 12
FILM_SIDE, SHEET_SIDE, CROP_SIDE = 384, 1400, 384  # pixels on the long side
# (JPEG quality, scale): the first at which pictures are within their budget is taken.
TRIES = ((92, 1.0), (85, 1.0), (75, 1.0), (75, 0.75), (65, 0.6), (55, 0.45), (50, 0.3))
MAX_OPEN_ROWS = 12  # a table with more is folded

Key = TypeVar("Key")


@dataclass(frozen=True)
class RolloutSummary:
    """A rollout's scores (see ``RolloutScorer.score``), and a ``strip`` of (frame number, (H, W, 3) uint8 picture)."""

    scores: Table
    strip: Sequence[tuple[int, np.ndarray]]


@dataclass(frozen=True)
class DeliveredSummary:
    """Delivered pictures of held-out pairs at full size at a ``step``, with their ``scores``, or {} during training.

    ``crops``: the same part of a bicubic resize, of the delivered picture and of the target, (H, W, 3) uint8, at 1:1.
    """

    step: int
    scores: Table
    crops: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class TrainingReport:
    """The content of a report. Empty parts are omitted.

    ``facts``: a table in this order, with formatted values; ``columns`` and ``rows``: the losses of every step from 1
    on; ``balance``: D's loss when it cannot tell fake from real; ``scores``: (step, means over held-out pairs), as of
    ``validation.score``; ``best``: the step of the best saved state; ``warnings``: (step, text); ``words``: the state
    in words; ``ages``: (step, youngest, mean, oldest) of the rollouts in the pool; ``sheets``: (step, a strip of
    outputs); ``film``: (step, output) of one pair, with its ``input`` and ``target``; ``delivered``: of full-size
    pairs. Pictures are (H, W, 3) uint8 RGB. Steps ascend.
    """

    title: str
    facts: Mapping[str, object] = field(default_factory=dict)
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[float]] = ()
    balance: float | None = None
    scores: Sequence[tuple[int, Mapping[str, float | None]]] = ()
    best: int | None = None
    warnings: Sequence[tuple[int, str]] = ()
    words: TrainingWords | None = None
    ages: Sequence[tuple[int, int, float, int]] = ()
    rollout: RolloutSummary | None = None
    sheets: Sequence[tuple[int, np.ndarray]] = ()
    film: Sequence[tuple[int, np.ndarray]] = ()
    input: np.ndarray | None = None
    target: np.ndarray | None = None
    delivered: DeliveredSummary | None = None

    @property
    def last(self) -> int:
        """Return the last step with any data."""
        entries = (*self.scores, *self.warnings, *self.sheets, *self.film)
        return max([len(self.rows), *(entry[0] for entry in entries)])

    @property
    def marks(self) -> StepMarks:
        """Return the marks of all panels: last step, best step and warnings."""
        return StepMarks(self.last, self.best, self.warnings)


def film_steps(total: int, count: int = 72) -> list[int]:
    """Return at most ``count`` steps for a run's film: denser at the start, where the outputs change most."""
    return sorted({max(1, round(total * (i / (count - 1)) ** 2.5)) for i in range(count)}) if total > 0 else []


def write_report(path: Path, report: TrainingReport) -> None:
    """Write the page atomically. The same report gives the same bytes."""
    write_bytes(path, render(report).encode("utf-8", "replace"))


@cache
def _template() -> Template:
    filters = {"figure": _figure, "short": score_curves.short, "count": "{:,}".format, "px": "{:.1f}".format}
    return load_page(Path(__file__).with_suffix(".html"), filters)


def render(report: TrainingReport) -> str:
    """Return the page as HTML text. All text is escaped."""
    sheets, strip = _spread(report.sheets, MAX_SHEETS), report.rollout.strip if report.rollout else []
    return _template().render(
        report=report,
        film=_film(report),
        rollout_strip=_data_uris(strip, FILM_SIDE, STRIP_BYTES),
        rollout_labels=score_curves.ROLLOUT_LABELS,
        names=_score_names(report),
        label=_label,
        best_values=_best_values(report),
        score_panels=_score_panels(report),
        loss_panels=_loss_panels(report),
        window=score_curves.window_of(len(report.rows)),
        skipped=sum(1 for row in report.rows if not all(map(math.isfinite, row))),
        crops=_crops(report.delivered),
        sheets=_data_uris(sheets, SHEET_SIDE, SHEET_BYTES),
        modest_rows=MAX_OPEN_ROWS,
        chart=score_curves,
    )


def _film(report: TrainingReport) -> dict[str, object]:
    """Return the film's steps and pictures, and the last output with input and target; {} without a film."""
    if not report.film:
        return {}
    film = _spread(report.film, MAX_FILM)
    pair = [(n, p) for n, p in (("input", report.input), ("target", report.target)) if p is not None]
    # One scale and one quality for all, so that they can be compared.
    named = _data_uris([*((str(step), p) for step, p in film), *pair], FILM_SIDE, FILM_BYTES)
    pictures = [uri for _, uri in named[: len(film)]]
    known = dict(named[len(film) :]) | {"output": pictures[-1]}
    figures = [(name, known[name]) for name in ("input", "output", "target") if name in known]
    return {"steps": [step for step, _ in film], "pictures": pictures, "figures": figures}


def _crops(delivered: DeliveredSummary | None) -> list[list[tuple[str, str]]]:
    """Return the rows of the delivered crops: (caption, data URI), at 1:1."""
    names = ("bicubic resize", "delivered", "target")
    rows = delivered.crops if delivered else []
    uris = iter(
        _data_uris([(name, p) for row in rows for name, p in zip(names, row, strict=True)], CROP_SIDE, CROP_BYTES)
    )
    return [[next(uris) for _ in names] for _ in rows]


def _score_panels(report: TrainingReport) -> list[LossPanel]:
    panels = []
    for name in _score_names(report):
        points = [(step, value) for step, table in report.scores if _is_number(value := table.get(name))]
        xs, ys = np.array(points, float).T
        curve, level = LossCurve(xs, ys, ys, ys), (1.0, "as sharp") if name == "sharpness" else None
        panels.append(LossPanel(_label(name), curve, report.marks, "score", dots=True, level=level))
    return panels


def _best_values(report: TrainingReport) -> dict[str, float | None]:
    """Return the best value of each score; None where no direction is better."""
    return {
        name: _label(name).best([v for _, table in report.scores if _is_number(v := table.get(name))])
        for name in _score_names(report)
    }


def _loss_panels(report: TrainingReport) -> list[LossPanel]:
    """Return a panel for each loss: its running mean, and an envelope of all steps."""
    panels = []
    for at, name in enumerate(report.columns):
        values = np.array([row[at] for row in report.rows], np.float64)
        if np.isfinite(values).any() and values.any():  # without a discriminator its column is all zeros
            level = (report.balance, "a draw") if name == "discriminator" and report.balance is not None else None
            kind = name if name in ("gan", "l1", "discriminator") else "other"
            label = score_curves.loss_label(name)
            panels.append(LossPanel(label, score_curves.thin(values), report.marks, kind, level=level))
    if panels and report.ages:
        steps, low, mean, high = np.array(report.ages, float).T
        panels.append(
            LossPanel(score_curves.ROLLOUT_AGE_LABEL, LossCurve(steps, low, high, mean), report.marks, "other")
        )
    return panels


def _data_uris(named: Sequence[tuple[Key, np.ndarray]], side: int, budget: int) -> list[tuple[Key, str]]:
    """Return JPEG data URIs of pictures at most ``side`` pixels long; quality, then size, drops to fit ``budget``."""
    files: list[bytes] = []
    for quality, scale in TRIES:
        fitted = [resize(p, *cell_size(p, max(16, round(side * scale)))) for _, p in named]
        sample = [_jpeg(p, quality) for p in fitted[:: max(1, -(-len(fitted) // 8))]]
        if (quality, scale) != TRIES[-1] and sum(map(len, sample)) * len(fitted) > budget * len(sample):
            continue
        files = [_jpeg(p, quality) for p in fitted]
        if sum(map(len, files)) <= budget:
            break
    uris = (f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}" for data in files)
    return [(name, uri) for (name, _), uri in zip(named, uris, strict=True)]


def _jpeg(rgb: np.ndarray, quality: int) -> bytes:
    # Without chroma subsampling, which is visible on small pictures with thin lines.
    full_colour = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, *full_colour]
    data: bytes = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)[1].tobytes()
    return data


def _spread(pictures: Sequence[tuple[int, np.ndarray]], most: int) -> list[tuple[int, np.ndarray]]:
    if len(pictures) <= most:
        return list(pictures)
    return [pictures[round(i)] for i in np.linspace(0, len(pictures) - 1, most)]


def _score_names(report: TrainingReport) -> list[str]:
    names = {name for _, table in report.scores for name, value in table.items() if _is_number(value)} - {"pairs"}
    return [name for name in SCORE_LABELS if name in names] + sorted(names - set(SCORE_LABELS))


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _label(name: str) -> Label:
    return SCORE_LABELS.get(name) or Label(name.replace("_", " "), "")


def _figure(value: float | None) -> str:
    return score_curves.figure(value) if _is_number(value) else "–"
