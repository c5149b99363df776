"""The page of a vote's outcome: one self-contained HTML file from the Jinja template ``result_page.html``."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Template

from vidtrans.core.files import write_bytes
from vidtrans.core.settings import Table
from vidtrans.video.images.picture import resize
from vidtrans.video.plots import cell_size, round_values
from vidtrans.video.report_page import load_page
from vidtrans.voting.stimuli import Stimuli, encode_jpeg
from vidtrans.voting.vote_summary import chance_text, more_text

WIDTH, LABEL, ROW, TOP = 760, 170, 34, 8  # of the plot, in pixels: all, the names, a condition, above the first
AXIS = 34
EXAMPLE_PX = 320
WIDEST = 4.0  # strengths: a condition that won all its votes has an interval without a sensible end


@dataclass(frozen=True)
class ScoreBar:
    """A condition's row of the plot, in pixels: its value and interval. ``is_cut``: the interval is longer."""

    name: str
    x: float
    low: float
    high: float
    y: float
    title: str
    is_cut: bool


def write_page(path: Path, table: Table, title: str, examples: Mapping[str, bytes]) -> None:
    """Write the outcome as an HTML page, atomically. ``examples``: a JPEG file of conditions, by name."""
    write_bytes(path, render(table, title, examples).encode("utf-8", "replace"))


def render(table: Table, title: str, examples: Mapping[str, bytes]) -> str:
    """Return the outcome as an HTML page. All text is escaped."""
    rows = [row for row in table["conditions"] if row["value"] is not None]
    is_real = table["question"] == "real"
    low, high = (0.0, 1.0) if is_real else _ends(rows)
    scale = (WIDTH - LABEL - 24) / (high - low)

    def at(value: float) -> float:
        return LABEL + (min(max(value, low), high) - low) * scale

    bars = []
    for n, row in enumerate(rows):
        title_text = chance_text(row) if is_real else f"{row['value']:.2f}, {row['low']:.2f} to {row['high']:.2f}"
        is_cut = not low - 1e-9 <= row["low"] <= row["high"] <= high + 1e-9
        x, left, right = (at(row[name]) for name in ("value", "low", "high"))
        bars.append(ScoreBar(row["name"], x, left, right, TOP + ROW * (n + 0.5), title_text, is_cut))
    ticks = [(at(value), f"{100 * value:.0f} %" if is_real else f"{value:g}") for value in round_values(low, high, 6)]
    height = TOP + ROW * len(rows) + AXIS
    pictures = {name: base64.b64encode(file).decode() for name, file in examples.items()}
    return _template().render(
        table=table,
        title=title,
        is_real=is_real,
        bars=bars,
        ticks=ticks,
        reference=at(0.5 if is_real else 0.0),
        examples=pictures,
        width=WIDTH,
        height=height,
        label=LABEL,
        bottom=height - AXIS,
    )


def _ends(rows: list[Table]) -> tuple[float, float]:
    ends = [min(max(row[name], -WIDEST), WIDEST) for row in rows for name in ("low", "high")]
    ticks = round_values(min(ends, default=-1.0), max(ends, default=1.0), 6, around=True)
    return ticks[0], ticks[-1]


def examples_of(stimuli: Stimuli, names: tuple[str, ...]) -> dict[str, bytes]:
    """Return the middle item of each condition as a small JPEG file, by name."""
    item, found = len(stimuli.items) // 2, dict[str, bytes]()
    for condition, name in enumerate(names):
        [picture] = stimuli.show(condition, item, only_middle=True).frames
        found[name] = encode_jpeg(resize(picture, *cell_size(picture, EXAMPLE_PX)))
    return found


@cache
def _template() -> Template:
    filters = {"px": lambda x: f"{x:.1f}", "percent": lambda x: f"{100 * x:.0f} %", "chance": chance_text}
    return load_page(Path(__file__).with_suffix(".html"), filters | {"more": more_text})
