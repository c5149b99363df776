"""Key frames: their order, the two around a moment, easings between them, and key frames of names."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from fractions import Fraction

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Time, parse_time

# How a value comes from the key frame before: the share of the way, by the share of the time; both from 0 to 1.
EASINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda x: x,
    "ease": lambda x: (1 - math.cos(math.pi * x)) / 2,
    "ease-in": lambda x: x * x,
    "ease-out": lambda x: x * (2 - x),
    "hold": lambda x: math.floor(x),
}


def check_order(keys: Sequence[Fraction], name: str) -> None:
    """Raise UsageError if ``keys``, the moments of key frames, decrease. ``name``: what they are of."""
    if any(b < a for a, b in itertools.pairwise(keys)):
        raise UsageError(name, "its keyframes are not in order", "sort the keyframes by time")


def neighbours(keys: Sequence[Fraction], moment: int | Fraction) -> tuple[int, int, float]:
    """Return the indexes of the two key frames around a moment, and the share of their interval before it, 0 to 1.

    Both indexes are equal before the first and after the last key frame, and 0 for an empty sequence.
    """
    at = bisect_right(keys, moment)
    if at in (0, len(keys)):
        only = max(0, min(at, len(keys) - 1))
        return only, only, 0.0
    return at - 1, at, float((moment - keys[at - 1]) / (keys[at] - keys[at - 1]))


def parse_names(text: str, name: str) -> tuple[list[str], list[Time]]:
    """Parse ``look`` or ``"0: look, 120: other"`` to names and their moments; a single name has no moment.

    ``name``: the option's name in errors. Raises UsageError.
    """
    remedy = f'give a name, or keyframes such as {name} "0: look, 120: other"'
    parts = [part.strip() for part in text.rstrip().removesuffix(",").split(",")]
    if len(parts) == 1 and ":" not in text:
        return parts, []
    names, moments = [], []
    for part in parts:
        # A colon before a space ends a moment, as in "0: D:\\a.jpg"; else the last one does.
        moment, colon, value = part.partition(": ") if ": " in part else part.rpartition(":")
        if not colon:
            raise UsageError(f"{name} '{text}'", f"'{part}' has no moment before its value", remedy)
        try:
            moments.append(parse_time(moment))
        except UsageError:
            raise UsageError(f"{name} '{text}'", f"'{moment.strip()}' is not a moment", remedy) from None
        names.append(value.strip())
    if not all(names):
        raise UsageError(f"{name} '{text}'", "a name is missing", remedy)
    return names, moments
