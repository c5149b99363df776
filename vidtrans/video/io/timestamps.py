"""Timestamps that can be relied on, made from those that a file has."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

# A frame is never shown further from its place in the file than a decoder may reorder (H.264 and HEVC: 16).
MAX_REORDER = 16


def repair_timestamps(stamps: Sequence[int | None], nominal: int) -> tuple[tuple[int, ...], int]:
    """Strictly increasing timestamps for frames in order of presentation, and how many had to be changed.

    What increases is left alone. Stamps that only stand in the wrong order (some containers number packets, and
    decoders hand frames over in another order) are sorted. Missing and repeated ones are put between their neighbours,
    ``nominal`` apart where there is room, and so are single ones that are far ahead; a clock that jumps back goes on at
    the ``nominal`` rate.
    """
    nominal = max(1, nominal)
    known = [s for s in stamps if s is not None]
    if len(known) == len(stamps) and all(a < b for a, b in pairwise(known)):
        return tuple(known), 0
    wanted = _in_order(stamps, known) or _tamed(stamps, nominal)
    later = _next_known(wanted)
    result: list[int] = []
    for i, stamp in enumerate(wanted):
        if not result:
            result.append(stamp if stamp is not None else _before(wanted, nominal))
        elif stamp is not None and stamp > result[-1]:
            result.append(stamp)
        else:
            result.append(result[-1] + _step(result[-1], i, wanted, later, nominal))
    return tuple(result), sum(a != b for a, b in zip(result, stamps, strict=True))


def _tamed(stamps: Sequence[int | None], nominal: int) -> list[int | None]:
    """Without single times far ahead of those around them, which would push all that follows behind them."""
    tamed = list(stamps)
    for i in range(1, len(stamps) - 1):
        before, stamp, after = tamed[i - 1], stamps[i], stamps[i + 1]
        if before is None or stamp is None or after is None:
            continue
        if before < after < stamp and stamp - after > MAX_REORDER * nominal:
            tamed[i] = None
    return tamed


def _in_order(stamps: Sequence[int | None], known: list[int]) -> list[int | None] | None:
    """Sorted; None if one would move further than decoders reorder, or many are repeated: then the clock began anew."""
    order = sorted(range(len(known)), key=lambda i: (known[i], i))
    near = all(abs(place - i) <= MAX_REORDER for place, i in enumerate(order))
    if not near or 10 * len(set(known)) < 9 * len(known):
        return None
    following = iter(known[i] for i in order)
    return [None if s is None else next(following) for s in stamps]


def _before(stamps: Sequence[int | None], nominal: int) -> int:
    """The first frame's time, counted back from the first one that is known."""
    first = next((i for i, s in enumerate(stamps) if s is not None), None)
    return 0 if first is None else (stamps[first] or 0) - first * nominal


def _next_known(stamps: Sequence[int | None]) -> list[int]:
    """For each place, the first one behind it whose time is known, or the end."""
    later, found = [len(stamps)] * len(stamps), len(stamps)
    for i in reversed(range(len(stamps))):
        later[i] = found
        found = i if stamps[i] is not None else found
    return later


def _step(last: int, at: int, stamps: Sequence[int | None], later: Sequence[int], nominal: int) -> int:
    """How far to go from ``last`` so that what is to be filled in before the next known later stamp fits."""
    place = later[at]
    while place < len(stamps) and (stamps[place] or 0) <= last and place - at < MAX_REORDER:
        place = later[place]
    if place >= len(stamps) or (stamps[place] or 0) <= last:
        return nominal
    return max(1, min(nominal, ((stamps[place] or 0) - last) // (place - at + 1)))
