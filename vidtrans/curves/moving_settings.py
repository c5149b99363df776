"""Settings of which some may change over the frames of a clip. Imports are light, as commands list settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vidtrans.core.options import moving, options_of
from vidtrans.core.settings import Table
from vidtrans.curves.curve import Curve, parse_curve, with_other_files


@dataclass(frozen=True)
class MovingSettings:
    """Base of settings classes with curves: those settings that ``option(moves=…)`` gives bounds.

    The constructor raises UsageError for a curve that cannot be parsed.
    """

    table: ClassVar[str]  # of the recipe

    def __post_init__(self) -> None:
        self.curves()

    def curve(self, name: str) -> Curve:
        """Return the value of one setting over time. Raises UsageError."""
        return parse_curve(getattr(self, name), shown_name(type(self), name), *moving(type(self))[name].ends)

    def curves(self) -> dict[str, Curve]:
        """Return the curves, by name. Raises UsageError."""
        return {name: self.curve(name) for name in moving(type(self))}

    def curve_files(self) -> list[Path]:
        """Return the files that curves read. Raises UsageError."""
        return [Path(file) for file in dict.fromkeys(f for curve in self.curves().values() for f in curve.files)]


def shown_name(cls: type[MovingSettings], name: str) -> str:
    """Return the name of a setting in errors: ``--strength``, or ``strokes.size`` where no option has its name."""
    own, given = f"--{name.replace('_', '-')}", options_of(cls)[name]
    return own if given.group and own in (given.flags or (own,)) else f"{cls.table}.{name}"


def with_curve_files_at(cls: type[MovingSettings], table: Table, change: Callable[[Path], str]) -> Table:
    """Return a table with ``change(path)`` in place of each file that the curves in it read."""
    return table | {
        name: with_other_files(table[name], change) for name in moving(cls) if isinstance(table.get(name), str)
    }
