"""Tables that read as well in a terminal as in markdown, and goals with what became of them."""

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
        """The number and whether it does."""
        return f"{figure(value)} {'met' if self.met(value) else 'NOT MET'}"


def figure(value: float | None) -> str:
    """A number with as many digits as say something."""
    if value is None:
        return "–"
    return f"{value:.2f}" if abs(value) >= 2 else f"{value:.3f}"


@dataclass
class Table:
    """Rows of cells under ``columns``; ``notes`` go below it, one to a line."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """As markdown, its columns aligned."""
        lines = [list(self.columns), *map(list, self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        written = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]
        written.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
        notes = [f"\n{note}" for note in self.notes]
        return "\n".join([f"### {self.title}\n", *written, *notes, ""])
