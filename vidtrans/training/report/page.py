"""The training report: one HTML file that shows how a run went, with all that it needs inside.

What is dynamic is drawn here (curves as SVG, pictures as data URIs); ``report.html`` beside this file holds the page
around it: its style, and the script that plays the film.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template
from typing import TypeGuard

import cv2
import numpy as np

from vidtrans.files import write_bytes
from vidtrans.training.report.curves import CHAINS, LOSSES, SCORES, Curve, Marks, Words, figure, panel, thin, window_of
from vidtrans.training.report.rollouts import Dreamt, section
from vidtrans.video.images.picture import resize
from vidtrans.video.plots.layout import cell_size

# What a report may weigh. Pictures are a third larger as text: 4 MB and the curves' few hundred kB.
FILM_BYTES, SHEET_BYTES, STRIP_BYTES = 1_500_000, 1_500_000, 200_000
MAX_FILM, MAX_SHEETS = 96, 12
FILM_SIDE, SHEET_SIDE = 384, 1400  # pixels on the long side
# (JPEG quality, scale): the first at which pictures are within their budget is taken.
TRIES = ((92, 1.0), (85, 1.0), (75, 1.0), (75, 0.75), (65, 0.6), (55, 0.45), (50, 0.3))

MODEST_ROWS = 12  # a table with more is folded


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
    dreamt: Dreamt | None = None
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


def render(report: TrainingReport) -> str:
    """The page as text."""
    page = Template(Path(__file__).with_suffix(".html").read_text("utf-8"))
    sections = (
        _summary(report),
        _warnings(report),
        _film(report),
        _dreamt(report),
        _scores(report),
        _losses(report),
        _sheets(report),
        _facts(report),
    )
    return page.substitute(title=escape(report.title), content="\n".join(s for s in sections if s))


def _summary(report: TrainingReport) -> str:
    """One line, and the scores of the best state (or of the last)."""
    told = [f"{report.last:,} steps" if report.last else "no step yet"]
    if report.scores:
        told.append(f"scored {len(report.scores)} {'time' if len(report.scores) == 1 else 'times'} on held-out pairs")
    if report.best is not None:
        told.append("the last state is the best" if report.best == report.last else f"best at step {report.best:,}")
    line = f'<p class="lead">{escape(" · ".join(told))}</p>'
    known = dict(report.scores)
    if not known:
        return line
    last = max(known)
    at = report.best if report.best in known else last
    cards = []
    for name in _score_names(report):
        words, value = _words(SCORES, name), known[at].get(name)
        if value is None:
            continue
        beside = f"best state; last {_figure(known[last].get(name))}" if at != last else ""
        cards.append(
            f"<div><dt>{escape(words.name)}</dt><dd>{_figure(value)} <small>{escape(words.unit)}</small></dd>"
            f"<dd><small>{beside}</small></dd></div>"
        )
    state = "best" if report.best == at else "last"
    return f'{line}\n<dl class="cards" aria-label="held-out scores of the {state} state">{"".join(cards)}</dl>'


def _warnings(report: TrainingReport) -> str:
    items = "".join(f"<li><b>Step {step:,}</b> {escape(text)}</li>" for step, text in report.warnings)
    return f'<section class="warnings" aria-label="Warnings"><ul>{items}</ul></section>' if items else ""


def _film(report: TrainingReport) -> str:
    """One picture learning: a slider over the outputs, between the input and the target."""
    if not report.film:
        return ""
    film = _spread(report.film, MAX_FILM)
    beside = [(n, p) for n, p in (("input", report.shown), ("target", report.target)) if p is not None]
    # What stays is seen as well as what moves: one scale and one quality for all.
    data = _data_uris([*(p for _, p in film), *(p for _, p in beside)], FILM_SIDE, FILM_BYTES)
    still = {n: f'<img src="{uri}" alt="{n}">' for (n, _), uri in zip(beside, data[len(film) :], strict=True)}
    frames = {"steps": [step for step, _ in film], "pictures": data[: len(film)]}
    last = len(film) - 1
    moving = f'<img id="film" src="{data[last]}" alt="output" decoding="sync">'
    figures = {"input": still.get("input"), "output": moving, "target": still.get("target")}
    cells = "".join(
        f"<figure class={name}>{img}<figcaption>{name}</figcaption></figure>" for name, img in figures.items() if img
    )
    return (
        '<section id="learning"><h2>One picture learning</h2>'
        f'<div class="film">{cells}</div>'
        '<div class="player" hidden><button type="button" id="play">Play</button>'
        f'<input type="range" id="scrub" min="0" max="{last}" value="{last}" step="1" aria-label="step of training">'
        f'<output id="now" for="scrub">step {film[last][0]:,}</output></div>'
        '<p class="hint" hidden>Arrow keys on the slider go picture by picture, the space bar plays. The line in the '
        "curves below goes along; a click on a curve goes to its step.</p>"
        f'<script type="application/json" id="frames">{_script_json(frames)}</script></section>'
    )


def _dreamt(report: TrainingReport) -> str:
    if report.dreamt is None:
        return ""
    return section(report.dreamt, _data_uris([p for _, p in report.dreamt.strip], FILM_SIDE, STRIP_BYTES))


def _scores(report: TrainingReport) -> str:
    """A panel for each score, and the figures as a table."""
    names = _score_names(report)
    if not names:
        return ""
    panels = []
    for name in names:
        points = [(step, value) for step, table in report.scores if _is_number(value := table.get(name))]
        xs, ys = np.array([p[0] for p in points], float), np.array([p[1] for p in points], float)
        level = (1.0, "as sharp") if name == "sharpness" else None
        curve = Curve(xs, ys, ys, ys)
        panels.append(panel(_words(SCORES, name), curve, _marks(report), "score", dots=True, level=level))
    count = report.scores[-1][1].get("pairs")
    told = f"On {f'{count:g} ' if _is_number(count) else ''}pairs that it never learned from. "
    told += (
        "A ring marks the state that is kept as the best; the last dot" if report.best is not None else "The last dot"
    )
    return (
        f"<section><h2>Held-out scores</h2><p>{told} is the last state.</p>"
        f'<div class="panels">{"".join(panels)}</div>{_table(report, names)}</section>'
    )


def _table(report: TrainingReport, names: Sequence[str]) -> str:
    """All scores; in each column the best value is bold."""
    tops = {n: _words(SCORES, n).best([v for _, t in report.scores if _is_number(v := t.get(n))]) for n in names}
    rows = []
    for step, table in report.scores:
        marks = [m for m, here in (("best", step == report.best), ("last", step == report.scores[-1][0])) if here]
        figures = [(_figure(table.get(n)), n in table and table[n] == tops[n]) for n in names]
        cells = "".join(f"<td>{f'<b>{text}</b>' if is_top else text}</td>" for text, is_top in figures)
        told = f"{''.join(f'<i>{m}</i> ' for m in marks)}{step:,}"
        rows.append(f'<tr><th scope="row">{told}</th>{cells}</tr>')
    heads = "".join(f'<th scope="col">{escape(_words(SCORES, n).name)}</th>' for n in names)
    whole = f'<thead><tr><th scope="col">step</th>{heads}</tr></thead><tbody>{"".join(rows)}</tbody>'
    folded = "" if len(rows) > MODEST_ROWS else " open"
    return (
        f"<details{folded}><summary>All {len(rows)} as figures</summary>"
        f'<div class="scroll"><table>{whole}</table></div></details>'
    )


def _losses(report: TrainingReport) -> str:
    """A panel for each loss: a mean over many steps, and an envelope in which every step lies."""
    panels = []
    for at, name in enumerate(report.columns):
        values = np.array([row[at] for row in report.rows], np.float64)
        if np.isfinite(values).any() and values.any():  # a discriminator that there is not has only zeros
            level = (report.balance, "a draw") if name == "discriminator" and report.balance is not None else None
            kind = name if name in ("gan", "l1", "discriminator") else "other"
            panels.append(panel(_words(LOSSES, name), thin(values), _marks(report), kind, level=level))
    if not panels:
        return ""
    if report.ages:
        steps, low, mean, high = np.array(report.ages, float).T
        panels.append(panel(CHAINS, Curve(steps, low, high, mean), _marks(report), "other"))
    lost = sum(1 for row in report.rows if not all(map(math.isfinite, row)))
    told = (
        f"Unweighted, on the training pictures. The line is a mean over {window_of(len(report.rows)):,} steps, "
        "the band reaches from the lowest to the highest single step."
    )
    told += " A red line marks a warning." if report.warnings else ""
    told += f" Left out, for a value that is not a number: {lost:,} of {len(report.rows):,} steps." if lost else ""
    return f'<section><h2>Losses</h2><p>{told}</p><div class="panels">{"".join(panels)}</div></section>'


def _sheets(report: TrainingReport) -> str:
    if not report.sheets:
        return ""
    kept = _spread(report.sheets, MAX_SHEETS)
    figures = "".join(
        f'<figure><button type="button" class="zoom" aria-label="enlarge step {step:,}"><img src="{uri}" '
        f'alt="preview at step {step:,}"></button><figcaption>step {step:,}</figcaption></figure>'
        for (step, _), uri in zip(kept, _data_uris([p for _, p in kept], SHEET_SIDE, SHEET_BYTES), strict=True)
    )
    return f'<section><h2>Previews</h2><div class="sheets">{figures}</div></section>'


def _facts(report: TrainingReport) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(str(value))}</td></tr>'
        for name, value in report.facts.items()
        if value is not None
    )
    return (
        f'<section><h2>The run</h2><div class="scroll"><table class="facts">{rows}</table></div></section>'
        if rows
        else ""
    )


def _data_uris(pictures: Sequence[np.ndarray], side: int, budget: int) -> list[str]:
    """Pictures at most ``side`` pixels long, as data URIs of JPEGs.

    Where all together are over ``budget`` bytes they are coarser, then smaller.
    """
    found: list[bytes] = []
    for quality, scale in TRIES:
        fitted = [resize(p, *cell_size(p, max(16, round(side * scale)))) for p in pictures]
        some = fitted[:: -(-len(fitted) // 8)]
        if (quality, scale) != TRIES[-1] and _weight(some, quality) * len(fitted) > budget * len(some):
            continue
        found = [_jpeg(p, quality) for p in fitted]
        if sum(map(len, found)) <= budget:
            break
    return [f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}" for data in found]


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


def _marks(report: TrainingReport) -> Marks:
    return Marks(report.last, report.best, report.warnings)


def _score_names(report: TrainingReport) -> list[str]:
    """Those that were told, as far as known in the order of ``SCORES``."""
    told = {name for _, table in report.scores for name, value in table.items() if _is_number(value)} - {"pairs"}
    return [name for name in SCORES if name in told] + sorted(told - set(SCORES))


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _words(table: Mapping[str, Words], name: str) -> Words:
    return table.get(name) or Words(name.replace("_", " "), "", "")


def _figure(value: float | None) -> str:
    return figure(value) if _is_number(value) else "–"


def _script_json(value: object) -> str:
    """JSON in which nothing ends a script element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
