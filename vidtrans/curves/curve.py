"""A value over time: a number, an expression, key frames of expressions with easings, or a file of values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Time, parse_time
from vidtrans.curves.expressions import Expression, Parser
from vidtrans.curves.key_moments import EASINGS, check_order, neighbours
from vidtrans.curves.signals import Signal

if TYPE_CHECKING:
    from vidtrans.curves.clock import CurveClock  # imports NumPy, which commands do not need to be read

SUFFIXES = (".csv", ".json", ".mid", ".midi")  # of files of values
LONGEST = 20_000  # characters of a curve
_NAME = rf"[^']*(?:{'|'.join(map(re.escape, SUFFIXES))})"  # of a file of values
_FILE = re.compile(rf"{_NAME}(?::[^:/\\']*)?", re.IGNORECASE)
_QUOTED = re.compile(rf"'({_NAME}(?::[^']*)?)'", re.IGNORECASE)
_EASED = re.compile(rf"(?s:(.*\S))\s+({'|'.join(EASINGS)})\s*")


@dataclass(frozen=True)
class Curve:
    """A value over time.

    Attributes:
        expressions: The values of the key frames; one, without moments, for all frames.
        moments: The moments of the key frames.
        easings: How each key frame is reached from the one before, a name of ``EASINGS`` each.
    """

    expressions: tuple[Expression, ...]
    moments: tuple[Time, ...] = ()
    easings: tuple[str, ...] = ()

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of time that the expressions depend on."""
        return frozenset().union(*(e.names for e in self.expressions))

    @cached_property
    def signals(self) -> frozenset[Signal]:
        """The signals that the expressions depend on."""
        return frozenset().union(*(e.signals for e in self.expressions))

    @cached_property
    def constant(self) -> float | None:
        """The value of a curve that never changes; None for others."""
        if self.names or self.signals or len({str(e) for e in self.expressions}) > 1:
            return None
        with suppress(ArithmeticError, ValueError):
            return self.expressions[0].value({})
        return None

    @property
    def is_drawn(self) -> bool:
        """Return whether it is a number, or key frames of numbers, without names."""
        return not self.names and not self.signals

    @property
    def files(self) -> list[str]:
        """The files that it reads, each once."""
        return list(dict.fromkeys(file_of(s.source.file)[0] for s in sorted(self.signals, key=str) if s.source.file))

    def __str__(self) -> str:
        if not self.moments:
            return _shown(self.expressions[0])
        eased = [f" {easing}" if easing != "linear" else "" for easing in self.easings]
        parts = zip(self.moments, self.expressions, eased, strict=True)
        return ", ".join(f"{moment}: {_shown(value)}{easing}" for moment, value, easing in parts)

    def over(self, clock: CurveClock, name: str, low: float, high: float) -> Callable[[int], float]:
        """Return a function from a frame's number to the curve's value.

        ``name``: the option's name in errors. Raises UsageError where key frames are not in order; the function raises
        it where a value is not a number, or is not from ``low`` to ``high``.
        """
        keys = [clock.moment(moment) for moment in self.moments]
        check_order(keys, f"{name} {_quoted(str(self))}")
        constant = self.constant
        if constant is not None and low <= constant <= high:
            return lambda frame: constant
        values_at = clock.values_of(self.names, self.signals)
        ways = [EASINGS[easing] for easing in self.easings]

        def value(frame: int) -> float:
            values = values_at(frame)
            try:
                before, after, share = neighbours(keys, clock.place(frame))
                found = self.expressions[before].value(values)
                if after != before:
                    found += ways[after](share) * (self.expressions[after].value(values) - found)
            except (ArithmeticError, ValueError):
                found = math.nan
            if not low <= found <= high:
                shown = f"{found:.6g}" if math.isfinite(found) else "no number"
                remedy = f"keep it from {low:g} to {high:g}, as with clamp(…, {low:g}, {high:g})"
                raise UsageError(f"{name} {_quoted(str(self))}", f"at frame {frame} it is {shown}", remedy)
            return found

        return value


def parse_curve(text: str | float, name: str, low: float = -math.inf, high: float = math.inf) -> Curve:
    """Parse a number, an expression, ``"0: 1, 2.5s: 1 + 0.1*sin(t) ease"``, or ``FILE[:COLUMN]``.

    ``name``: the option's name in errors. Values without names must be from ``low`` to ``high``, where given. Raises
    UsageError with the position of the error and a correction.
    """
    whole = str(text)
    if len(whole) > LONGEST:
        raise UsageError(name, f"it has more than {LONGEST:,} characters", "put the values in a file: FILE.csv")
    if _FILE.fullmatch(whole.strip()):
        whole = f"'{whole.strip()}'"
    parts = _parts(whole)
    expressions: list[Expression] = []
    moments: list[Time] = []
    easings: list[str] = []
    if len(parts) == 1 and ":" not in re.sub("'[^']*'", "", whole):
        expressions.append(Parser(whole, 0, len(whole), name).parse())
        parts = ()
    for first, stop in parts:
        colon = _colon(whole, first, stop)
        if colon < 0:
            why = f"{_place(whole, first, stop)} has no moment before it"
            raise UsageError(f"{name} '{whole}'", why, 'write keyframes as "0: 1, 90: 1.01 + 0.004*sin(t)"')
        moments.append(_moment(whole, first, colon, name))
        eased = _EASED.fullmatch(whole, colon + 1, stop)
        easings.append(eased[2] if eased else "linear")
        expressions.append(Parser(whole, colon + 1, eased.end(1) if eased else stop, name).parse())
    curve = Curve(tuple(expressions), tuple(moments), tuple(easings))
    if curve.is_drawn and math.isfinite(high - low):
        _check_bounds(curve, name, low, high)
    return curve


def file_of(signal: str) -> tuple[str, str]:
    """Return the file and the column of ``FILE[:COLUMN]``; the column is '' where none is given."""
    name, colon, column = signal.rpartition(":")
    if colon and name.lower().endswith(SUFFIXES):
        return name, column.strip()
    return signal, ""


def files_in(text: str) -> list[str]:
    """Return the files that are named in quotes in a text, which may hold several curves, as shares of looks do."""
    return list(dict.fromkeys(file_of(found)[0] for found in _QUOTED.findall(text)))


def with_other_files(text: str, change: Callable[[Path], str]) -> str:
    """Return a text of curves with ``change(path)`` in place of each file that is named in it."""
    if _FILE.fullmatch(text.strip()):
        text = f"'{text.strip()}'"

    def changed(found: re.Match[str]) -> str:
        file, column = file_of(found[1])
        return f"'{change(Path(file))}{':' if column else ''}{column}'"

    return _QUOTED.sub(changed, text)


def _check_bounds(curve: Curve, name: str, low: float, high: float) -> None:
    for expression in curve.expressions:
        try:
            value = expression.value({})
        except (ArithmeticError, ValueError):
            value = math.nan
        if not low <= value <= high:
            shown = f"{value:g}" if math.isfinite(value) else f"'{curve}'"
            raise UsageError(f"{name} {shown}", "out of bounds", f"choose a value from {low:g} to {high:g}")


def _quoted(text: str) -> str:
    """Return a curve's text in quotes; one that is the name of a file has some already."""
    return text if re.fullmatch("'[^']*'", text) else f"'{text}'"


def _shown(expression: Expression) -> str:
    """Return an expression in its normal form, a number without '.0'."""
    return str(expression).removesuffix(".0") if re.fullmatch(r"-?[0-9]+\.0", str(expression)) else str(expression)


def _moment(whole: str, first: int, stop: int, name: str) -> Time:
    try:
        return parse_time(whole[first:stop])
    except UsageError as error:
        raise UsageError(f"{name} '{whole}'", f"{_place(whole, first, stop)} is not a moment", error.remedy) from None


def _place(whole: str, first: int, stop: int) -> str:
    """Return the text ``at character N: 'PART'`` for the characters [first, stop); N counts from 1."""
    part = whole[first:stop]
    return f"at character {first + len(part) - len(part.lstrip()) + 1}: '{part.strip()}'"


def _colon(whole: str, first: int, stop: int) -> int:
    """Return the place of the last colon in [first, stop) that is outside quotes; -1 without one."""
    quoted, found = False, -1
    for at in range(first, stop):
        quoted ^= whole[at] == "'"
        if whole[at] == ":" and not quoted:
            found = at
    return found


def _parts(whole: str) -> Sequence[tuple[int, int]]:
    """Return the (start, end) of the parts between commas that are outside parentheses and quotes.

    A comma may follow the last part: programs that write schedules put one behind each key frame.
    """
    cuts, depth, quoted = [-1], 0, False
    for at, character in enumerate(whole):
        quoted ^= character == "'"
        if quoted:
            continue
        depth += (character == "(") - (character == ")")
        if character == "," and depth <= 0:
            cuts.append(at)
    if len(cuts) > 1 and not whole[cuts[-1] + 1 :].strip():
        whole = whole[: cuts.pop()]
    return [(a + 1, b) for a, b in zip(cuts, [*cuts[1:], len(whole)], strict=True)]
