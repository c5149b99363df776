"""Tables of results, which read as well in a terminal as in Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Goal:
    """A number that must lie between two others."""

    words: str
    least: float = -math.inf
    most: float = math.inf

    def met(self, value: float) -> bool:
        return self.least <= value <= self.most

    def verdict(self, value: float) -> str:
        """Return the number and whether it reaches the goal."""
        return f"{figure(value)} {'met' if self.met(value) else 'NOT MET'}"


def figure(value: float | None) -> str:
    """Return a number with as many digits as say something."""
    if value is None:
        return "–"
    return f"{value:.2f}" if abs(value) >= 2 else f"{value:.3f}"


def head(*columns: str) -> None:
    """Print the head of a table whose rows come one by one."""
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|", flush=True)


def row(*cells: object) -> None:
    """Print a row: floats with the digits that say something, bars escaped."""
    words = [figure(c) if isinstance(c, float) or c is None else str(c).replace("|", "\\|") for c in cells]
    print(f"| {' | '.join(words)} |", flush=True)


@dataclass
class Table:
    """Rows of cells under ``columns``; ``notes`` go below it, one to a line."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return it as Markdown, its columns aligned."""
        lines = [list(self.columns), *map(list, self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        written = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]
        written.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
        notes = [f"\n{note}" for note in self.notes]
        return "\n".join([f"### {self.title}\n", *written, *notes, ""])
