"""Values that change over a clip: a number, or keyframes with linear interpolation."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Time, parse_time

HINT = 'use a number, or keyframes such as "0: 0.2, 120: 1" (frames, or times as in "0s: 0, 2.5s: 1")'


@dataclass(frozen=True)
class KeyframeCurve:
    """A value over time: one number (``moments`` is empty), or one number at each moment."""

    values: tuple[float, ...]
    moments: tuple[Time, ...] = ()

    @property
    def constant(self) -> float | None:
        """The value of a curve that never changes; None for other curves."""
        return self.values[0] if len(set(self.values)) == 1 else None

    def __str__(self) -> str:
        values = [repr(v).removesuffix(".0") for v in self.values]  # every digit: cache keys are made of it
        if not self.moments:
            return values[0]
        return ", ".join(f"{m}: {v}" for m, v in zip(self.moments, values, strict=True))

    def over(self, pts: Sequence[int], pts_of: Callable[[Time], Fraction], name: str) -> Callable[[int], float]:
        """Return a function from a frame number to the curve's value, for a clip with timestamps ``pts``.

        ``pts_of`` converts a moment to a timestamp, which may lie past the clip's end. Raises UsageError, with the
        option's ``name``, if keyframes are not in order.
        """
        if not self.moments:
            return lambda frame: self.values[0]
        keys = [pts_of(m) for m in self.moments]
        check_order(keys, f"{name} '{self}'")

        def value(frame: int) -> float:
            before, after, share = neighbours(keys, pts[frame])
            return self.values[before] + share * (self.values[after] - self.values[before])

        return value


def check_order(keys: Sequence[Fraction], name: str) -> None:
    """Raise UsageError if ``keys``, the moments of keyframes, decrease. ``name``: the keyframes' name in the error."""
    if any(b < a for a, b in itertools.pairwise(keys)):
        raise UsageError(name, "its keyframes are not in order", "sort the keyframes by time")


def neighbours(keys: Sequence[Fraction], moment: int) -> tuple[int, int, float]:
    """Return the indexes of the two keyframes around a moment, and the share of their interval before it, 0 to 1.

    Both indexes are equal before the first and after the last keyframe, and 0 for an empty sequence.
    """
    at = bisect_right(keys, moment)
    if at in (0, len(keys)):
        only = max(0, min(at, len(keys) - 1))
        return only, only, 0.0
    return at - 1, at, float((moment - keys[at - 1]) / (keys[at] - keys[at - 1]))


def parse_curve(text: str | float, name: str, low: float, high: float) -> KeyframeCurve:
    """Parse ``0.5`` or ``"0: 0.2, 120: 1"``: a moment (a frame from 0, ``2.5s`` or ``00:01:02``), a colon, a value.

    ``name``: the option's name in errors; values are from ``low`` to ``high``. Raises UsageError.
    """
    values, moments = _split(str(text), name, HINT)
    return KeyframeCurve(tuple(_number(value, name, low, high) for value in values), tuple(moments))


def parse_names(text: str, name: str) -> tuple[list[str], list[Time]]:
    """Parse ``look`` or ``"0: look, 120: other"`` to names and their moments; a single name has no moment.

    ``name``: the option's name in errors. Raises UsageError.
    """
    remedy = f'give a name, or keyframes such as {name} "0: look, 120: other"'
    names, moments = _split(text, name, remedy)
    if not all(names):
        raise UsageError(f"{name} '{text}'", "a name is missing", remedy)
    return names, moments


def _split(text: str, name: str, remedy: str) -> tuple[list[str], list[Time]]:
    """Return the values of keyframes and their moments; a single value has no moment. Raises UsageError."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) == 1 and ":" not in text:
        return parts, []
    values, moments = [], []
    for part in parts:
        # A colon before a space ends a moment, as in "0: D:\\a.jpg"; else the last one does.
        moment, colon, value = part.partition(": ") if ": " in part else part.rpartition(":")
        if not colon:
            raise UsageError(f"{name} '{text}'", f"'{part}' has no moment before its value", remedy)
        try:
            moments.append(parse_time(moment))
        except UsageError:
            raise UsageError(f"{name} '{text}'", f"'{moment.strip()}' is not a moment", remedy) from None
        values.append(value.strip())
    return values, moments


def _number(text: str, name: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"{name} '{text.strip()}'", "it is not a number", HINT) from None
    if not low <= value <= high:
        raise UsageError(f"{name} {value:g}", "out of bounds", f"choose a value from {low:g} to {high:g}")
    return value
