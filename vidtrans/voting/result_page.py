"""The report of a vote: its outcome as a table and as an HTML page.

The page is one self-contained HTML file, from the Jinja template ``result_page.html``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.files import write_bytes
from vidtrans.core.settings import Table
from vidtrans.video.images.picture import encode_jpeg, resize
from vidtrans.video.plots import cell_size, round_values
from vidtrans.video.report_page import load_page
from vidtrans.voting.ballot import Study
from vidtrans.voting.stimuli import JPEG_QUALITY, Stimuli
from vidtrans.voting.vote_log import VoteLog
from vidtrans.voting.vote_summary import chance_text, more_text, set_against_critic, summarise

# Widths of the plot and of its labels, height of the row of a condition, and top margin, in pixels.
PLOT_WIDTH_PX, LABEL_WIDTH_PX, ROW_HEIGHT_PX, TOP_PX = 760, 170, 34, 8
AXIS_HEIGHT_PX = 34  # Height of the axis below the rows of the plot
EXAMPLE_PX = 320  # Longest side of the example picture of a condition
MAX_STRENGTH = 4.0  # Largest plotted strength, in log-odds: the interval of a condition that won all votes is very long
VERSION = 1  # Version of the page, part of the key of its record


@dataclass(frozen=True)
class Material:
    """Further content of the page of a vote, in addition to the votes.

    Attributes:
        examples: A JPEG file of each condition, by name.
        distances: The critic's distances, by (condition, item); None: there is no critic.
        measured: The name of the critic's measure.
    """

    examples: Mapping[str, bytes] = field(default_factory=dict)
    distances: Mapping[tuple[int, int], float] | None = None
    measured: str = ""


def check_left_out(log: VoteLog, names: Sequence[str]) -> None:
    """Raise UsageError if a person whose votes are to be left out has not voted."""
    if unknown := [name for name in names if name not in log.votes]:
        remedy = f"give one of {', '.join(log.votes)}" if log.votes else "leave it out"
        raise UsageError(f"--leave-out {unknown[0]}", "nobody of this name has voted", remedy)


def outcome(log: VoteLog, left_out: Sequence[str], material: Material) -> Table:
    """Return the outcome of a log without the votes of the people in ``left_out``, compared with the critic's.

    Raises UsageError if a name of ``left_out`` has no votes.
    """
    check_left_out(log, left_out)
    table = summarise(log, left_out)
    if material.distances is None:
        return table
    return set_against_critic(table, log, left_out, material.distances, material.measured)


def write_page(path: Path, table: Table, study: Study, examples: Mapping[str, bytes]) -> None:
    """Write the page of an outcome; ``examples``: a JPEG file of each condition, by name. Raises OSError."""
    names = study.conditions[:-1] if study.is_real else study.conditions
    page = render(table, f"Vote: {', '.join(names)}", examples)
    write_bytes(path, page.encode("utf-8", "replace"))


@dataclass(frozen=True)
class ScoreBar:
    """The row of a condition in the plot, in pixels: its value and its interval.

    ``x``, ``low``, ``high``: horizontal positions of the value and of the ends of its interval. ``y``: the vertical
    position. ``is_cut``: the interval is longer than the axis. ``title``: the tooltip.
    """

    name: str
    x: float
    low: float
    high: float
    y: float
    title: str
    is_cut: bool


def render(table: Table, title: str, examples: Mapping[str, bytes]) -> str:
    """Return the outcome of a vote as an HTML page; all text is escaped.

    ``table``: the outcome. ``examples``: a JPEG file of each condition, by name.
    """
    rows = [row for row in table["conditions"] if row["value"] is not None]
    is_real = table["question"] == "real"
    low, high = (0.0, 1.0) if is_real else _axis_range(rows)
    scale = (PLOT_WIDTH_PX - LABEL_WIDTH_PX - 24) / (high - low)

    def to_x(value: float) -> float:
        """Return the horizontal position of a value in the plot, in pixels, limited to the axis."""
        return LABEL_WIDTH_PX + (min(max(value, low), high) - low) * scale

    bars = []
    for n, row in enumerate(rows):
        title_text = chance_text(row) if is_real else f"{row['value']:.2f}, {row['low']:.2f} to {row['high']:.2f}"
        is_cut = not low - 1e-9 <= row["low"] <= row["high"] <= high + 1e-9
        x, left, right = (to_x(row[name]) for name in ("value", "low", "high"))
        bars.append(ScoreBar(row["name"], x, left, right, TOP_PX + ROW_HEIGHT_PX * (n + 0.5), title_text, is_cut))
    ticks = [(to_x(value), _percent(value) if is_real else f"{value:g}") for value in round_values(low, high, 6)]
    height = TOP_PX + ROW_HEIGHT_PX * len(rows) + AXIS_HEIGHT_PX
    pictures = {name: base64.b64encode(file).decode() for name, file in examples.items()}
    page = load_page(Path(__file__).with_suffix(".html"), percent=_percent, chance=chance_text, more=more_text)
    return page.render(
        table=table,
        title=title,
        is_real=is_real,
        bars=bars,
        ticks=ticks,
        reference=to_x(0.5 if is_real else 0.0),
        examples=pictures,
        width=PLOT_WIDTH_PX,
        height=height,
        label=LABEL_WIDTH_PX,
        bottom=height - AXIS_HEIGHT_PX,
    )


def _percent(share: float) -> str:
    """Format a share, 0 to 1, as ``42 %``."""
    return f"{100 * share:.0f} %"


def _axis_range(rows: list[Table]) -> tuple[float, float]:
    """Return the lowest and highest tick of an axis for the strengths of conditions and their intervals."""
    ends = [min(max(row[name], -MAX_STRENGTH), MAX_STRENGTH) for row in rows for name in ("low", "high")]
    ticks = round_values(min(ends, default=-1.0), max(ends, default=1.0), 6, around=True)
    return ticks[0], ticks[-1]


def examples_of(stimuli: Stimuli, names: tuple[str, ...]) -> dict[str, bytes]:
    """Return a small JPEG file of the middle item of each condition, by condition name."""
    item, examples = len(stimuli.items) // 2, dict[str, bytes]()
    for condition, name in enumerate(names):
        [picture] = stimuli.show(condition, item, only_middle=True).frames
        examples[name] = encode_jpeg(resize(picture, *cell_size(picture, EXAMPLE_PX)), JPEG_QUALITY)
    return examples
