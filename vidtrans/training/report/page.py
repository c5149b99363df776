"""The training report: one HTML file that shows how a run went, with all that it needs inside.

``page.html`` beside this file is the page as a Jinja template; what it shows is prepared here.
"""

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
from jinja2 import Environment, StrictUndefined, Template

from vidtrans.files import write_bytes
from vidtrans.training.report import curves
from vidtrans.training.report.curves import (
    CHAINS,
    LOSSES,
    SCORES,
    LossCurve,
    LossPanel,
    ScoreLabel,
    StepMarks,
    figure,
    thin,
    window_of,
)
from vidtrans.training.report.rollout_summary import HOLDING, RolloutSummary
from vidtrans.video.images.picture import resize
from vidtrans.video.plots.layout import cell_size

# What a report may weigh. Pictures are a third larger as text: 4 MB and the curves' few hundred kB.
FILM_BYTES, SHEET_BYTES, STRIP_BYTES = 1_500_000, 1_500_000, 200_000
MAX_FILM, MAX_SHEETS = 96, 12
FILM_SIDE, SHEET_SIDE = 384, 1400  # pixels on the long side
# (JPEG quality, scale): the first at which pictures are within their budget is taken.
TRIES = ((92, 1.0), (85, 1.0), (75, 1.0), (75, 0.75), (65, 0.6), (55, 0.45), (50, 0.3))

MODEST_ROWS = 12  # a table with more is folded

Key = TypeVar("Key")


@dataclass(frozen=True)
class TrainingReport:
    """What is told of a run. Whatever is empty is left out.

    ``facts``: a table in this order, values as they shall be read; ``columns`` and ``rows``: the losses of every step
    from 1 on; ``balance``: D's loss where it cannot tell one from the other; ``scores``: (step, means over held-out
    pairs), as of ``evaluation.score``; ``best``: the step whose state is kept as the best; ``warnings``: (step, text);
    ``ages``: (step, youngest, mean, oldest) of the chains under way; ``dreamt``: what it makes of its own frames;
    ``sheets``: (step, the preview timeline's picture); ``film``: (step, output) of one pair, with its ``shown`` input
    and its ``target``. Pictures are (H, W, 3) uint8 RGB. Steps ascend.

    Raises ValueError for rows of another length than ``columns``, and other pictures.
    """

    title: str
    facts: Mapping[str, object] = field(default_factory=dict)
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[float]] = ()
    balance: float | None = None
    scores: Sequence[tuple[int, Mapping[str, float | None]]] = ()
    best: int | None = None
    warnings: Sequence[tuple[int, str]] = ()
    ages: Sequence[tuple[int, int, float, int]] = ()
    dreamt: RolloutSummary | None = None
    sheets: Sequence[tuple[int, np.ndarray]] = ()
    film: Sequence[tuple[int, np.ndarray]] = ()
    shown: np.ndarray | None = None
    target: np.ndarray | None = None

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"every row of losses needs {len(self.columns)} values: {', '.join(self.columns)}")
        beside = [picture for picture in (self.shown, self.target) if picture is not None]
        for picture in (*(p for _, p in self.sheets), *(p for _, p in self.film), *beside):
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                raise ValueError(f"a picture is {picture.shape} {picture.dtype}, not (H, W, 3) uint8")

    @property
    def last(self) -> int:
        """The last step that anything is known of."""
        told = (*self.scores, *self.warnings, *self.sheets, *self.film)
        return max([len(self.rows), *(entry[0] for entry in told)])


def film_steps(total: int, count: int = 72) -> list[int]:
    """At which steps of a run a film of its learning is taken: closer together at first, when most happens."""
    return sorted({max(1, round(total * (i / (count - 1)) ** 2.5)) for i in range(count)}) if total > 0 else []


def write_report(path: Path, report: TrainingReport) -> None:
    """Write the page; it has its name only when it is complete. The same report gives the same bytes."""
    write_bytes(path, render(report).encode("utf-8", "replace"))


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"figure": _figure, "short": curves.short, "count": "{:,}".format, "px": "{:.1f}".format}
    return environment.from_string(Path(__file__).with_suffix(".html").read_text("utf-8"))


def render(report: TrainingReport) -> str:
    """Return the page as text. All text is escaped."""
    sheets, strip = _spread(report.sheets, MAX_SHEETS), report.dreamt.strip if report.dreamt else []
    return _template().render(
        report=report,
        film=_film(report),
        rollout=_data_uris(strip, FILM_SIDE, STRIP_BYTES),
        rollout_scores=HOLDING,
        names=_score_names(report),
        words=_words,
        best_values=_best_values(report),
        score_panels=_score_panels(report),
        loss_panels=_loss_panels(report),
        window=window_of(len(report.rows)),
        skipped=sum(1 for row in report.rows if not all(map(math.isfinite, row))),
        sheets=_data_uris(sheets, SHEET_SIDE, SHEET_BYTES),
        modest_rows=MODEST_ROWS,
        chart=curves,
    )


def _film(report: TrainingReport) -> dict[str, object]:
    """Return the film's steps and pictures, and the last one between input and target; {} without a film."""
    if not report.film:
        return {}
    film = _spread(report.film, MAX_FILM)
    beside = [(n, p) for n, p in (("input", report.shown), ("target", report.target)) if p is not None]
    # What stays is seen as well as what moves: one scale and one quality for all.
    named = _data_uris([*((str(step), p) for step, p in film), *beside], FILM_SIDE, FILM_BYTES)
    pictures = [uri for _, uri in named[: len(film)]]
    known = dict(named[len(film) :]) | {"output": pictures[-1]}
    figures = [(name, known[name]) for name in ("input", "output", "target") if name in known]
    return {"steps": [step for step, _ in film], "pictures": pictures, "figures": figures}


def _score_panels(report: TrainingReport) -> list[LossPanel]:
    panels = []
    for name in _score_names(report):
        points = [(step, value) for step, table in report.scores if _is_number(value := table.get(name))]
        xs, ys = np.array(points, float).T
        level = (1.0, "as sharp") if name == "sharpness" else None
        panels.append(
            LossPanel(_words(name), LossCurve(xs, ys, ys, ys), _marks(report), "score", dots=True, level=level)
        )
    return panels


def _best_values(report: TrainingReport) -> dict[str, float | None]:
    """Return the best value of each score; None where no direction is better."""
    return {
        name: _words(name).best([v for _, table in report.scores if _is_number(v := table.get(name))])
        for name in _score_names(report)
    }


def _loss_panels(report: TrainingReport) -> list[LossPanel]:
    """Return a panel for each loss: the mean over many steps, and an envelope of all steps."""
    panels = []
    for at, name in enumerate(report.columns):
        values = np.array([row[at] for row in report.rows], np.float64)
        if np.isfinite(values).any() and values.any():  # a discriminator that there is not has only zeros
            level = (report.balance, "a draw") if name == "discriminator" and report.balance is not None else None
            kind = name if name in ("gan", "l1", "discriminator") else "other"
            panels.append(LossPanel(_words(name, LOSSES), thin(values), _marks(report), kind, level=level))
    if panels and report.ages:
        steps, low, mean, high = np.array(report.ages, float).T
        panels.append(LossPanel(CHAINS, LossCurve(steps, low, high, mean), _marks(report), "other"))
    return panels


def _data_uris(named: Sequence[tuple[Key, np.ndarray]], side: int, budget: int) -> list[tuple[Key, str]]:
    """Pictures at most ``side`` pixels long, as data URIs of JPEGs.

    Where all together are over ``budget`` bytes they are coarser, then smaller.
    """
    pictures = [picture for _, picture in named]
    found: list[bytes] = []
    for quality, scale in TRIES:
        fitted = [resize(p, *cell_size(p, max(16, round(side * scale)))) for p in pictures]
        some = fitted[:: max(1, -(-len(fitted) // 8))]
        if (quality, scale) != TRIES[-1] and _weight(some, quality) * len(fitted) > budget * len(some):
            continue
        found = [_jpeg(p, quality) for p in fitted]
        if sum(map(len, found)) <= budget:
            break
    uris = [f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}" for data in found]
    return [(name, uri) for (name, _), uri in zip(named, uris, strict=True)]


def _weight(pictures: Sequence[np.ndarray], quality: int) -> int:
    return sum(len(_jpeg(p, quality)) for p in pictures)


def _jpeg(rgb: np.ndarray, quality: int) -> bytes:
    # Colour in full: half its resolution shows on small pictures with thin lines.
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    data: bytes = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)[1].tobytes()
    return data


def _spread(pictures: Sequence[tuple[int, np.ndarray]], most: int) -> list[tuple[int, np.ndarray]]:
    """At most ``most`` of them, the first and the last among these."""
    if len(pictures) <= most:
        return list(pictures)
    return [pictures[round(i)] for i in np.linspace(0, len(pictures) - 1, most)]


def _marks(report: TrainingReport) -> StepMarks:
    return StepMarks(report.last, report.best, report.warnings)


def _score_names(report: TrainingReport) -> list[str]:
    """Those that were told, as far as known in the order of ``SCORES``."""
    told = {name for _, table in report.scores for name, value in table.items() if _is_number(value)} - {"pairs"}
    return [name for name in SCORES if name in told] + sorted(told - set(SCORES))


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _words(name: str, table: Mapping[str, ScoreLabel] = SCORES) -> ScoreLabel:
    return table.get(name) or ScoreLabel(name.replace("_", " "), "", "")


def _figure(value: float | None) -> str:
    return figure(value) if _is_number(value) else "–"
