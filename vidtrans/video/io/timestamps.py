"""Repair the timestamps of a video, and find its frame rate and gaps."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil

from vidtrans.video.io.container import MediaInfo

# A frame is never shown further from its place in the file than a decoder may reorder (H.264 and HEVC: 16).
MAX_REORDER = 16
USUAL_RATES = (
    *(Fraction(rate) for rate in (12, 15, 24, 25, 30, 48, 50, 60, 90, 120, 240)),
    *(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120, 240)),
)


def repair_timestamps(stamps: Sequence[int | None], nominal: int) -> tuple[tuple[int, ...], int]:
    """Return strictly increasing timestamps for frames in order of presentation, and the number of changed ones.

    Increasing timestamps do not change. Stamps in the wrong order (some containers number packets, and decoders
    return frames in another order) are sorted. Missing, repeated and single far too late stamps are put between their
    neighbours, ``nominal`` ticks apart where there is room; after a jump back they continue at the ``nominal`` rate.
    """
    nominal = max(1, nominal)
    known = [s for s in stamps if s is not None]
    if len(known) == len(stamps) and all(a < b for a, b in pairwise(known)):
        return tuple(known), 0
    return _increasing(_sorted(stamps, known) or _without_outliers(stamps, MAX_REORDER * nominal), stamps, nominal)


def continue_timestamps(stamps: Sequence[int | None], nominal: int, far: int) -> tuple[tuple[int, ...], int]:
    """Return strictly increasing timestamps for packets in order, such as sound's, and the number of changed ones.

    As ``repair_timestamps``, but nothing is sorted, and single stamps more than ``far`` ticks too late are replaced.
    """
    return _increasing(_without_outliers(stamps, far), stamps, max(1, nominal))


def _increasing(
    wanted: Sequence[int | None], stamps: Sequence[int | None], nominal: int
) -> tuple[tuple[int, ...], int]:
    """Return ``wanted`` made strictly increasing, and the number of times that differ from ``stamps``."""
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


def without_uneven(stamps: Sequence[int | None]) -> list[int | None]:
    """Return the timestamps of a raw stream; all None if uneven, as FFmpeg's count of its frames is then wrong."""
    known = [s for s in stamps if s is not None]
    even = len(known) == len(stamps) and len({b - a for a, b in pairwise(known)}) <= 1
    return list(stamps) if even else [None] * len(stamps)


def _without_outliers(stamps: Sequence[int | None], far: int) -> list[int | None]:
    """Replace single times more than ``far`` ticks later than their neighbours by None: they would delay the rest."""
    result = list(stamps)
    for i in range(1, len(stamps) - 1):
        before, stamp, after = result[i - 1], stamps[i], stamps[i + 1]
        if before is None or stamp is None or after is None:
            continue
        if before < after < stamp and stamp - after > far:
            result[i] = None
    return result


def _sorted(stamps: Sequence[int | None], known: list[int]) -> list[int | None] | None:
    """Sort the stamps; None if one would move further than decoders reorder, or many repeat (the clock restarted)."""
    order = sorted(range(len(known)), key=lambda i: (known[i], i))
    near = all(abs(place - i) <= MAX_REORDER for place, i in enumerate(order))
    if not near or 10 * len(set(known)) < 9 * len(known):
        return None
    following = iter(known[i] for i in order)
    return [None if s is None else next(following) for s in stamps]


def _before(stamps: Sequence[int | None], nominal: int) -> int:
    """Return the time of the first frame, counted back from the first known time."""
    first = next((i for i, s in enumerate(stamps) if s is not None), None)
    return 0 if first is None else (stamps[first] or 0) - first * nominal


def _next_known(stamps: Sequence[int | None]) -> list[int]:
    """Return for each position the next position with a known time, or the length."""
    later, found = [len(stamps)] * len(stamps), len(stamps)
    for i in reversed(range(len(stamps))):
        later[i] = found
        found = i if stamps[i] is not None else found
    return later


def _step(last: int, at: int, stamps: Sequence[int | None], later: Sequence[int], nominal: int) -> int:
    """Return the ticks from ``last`` to frame ``at``: ``nominal``, or fewer to fit in before the next higher stamp."""
    place = later[at]
    while place < len(stamps) and (stamps[place] or 0) <= last and place - at < MAX_REORDER:
        place = later[place]
    room = (stamps[place] or 0) - last if place < len(stamps) else 0
    return nominal if room <= 0 else max(1, min(nominal, room // (place - at + 1)))


def nominal_step(stamps: Sequence[int | None], info: MediaInfo) -> int:
    """Return the step between frames, in ticks of the time base: the headers' if the times agree, else measured."""
    claimed = 1 / (info.rate * info.time_base)
    known = [s for s in stamps if s is not None]
    gaps = sorted(b - a for a, b in pairwise(known) if b > a)
    usual = gaps[len(gaps) // 2] if gaps else claimed
    return max(1, round(claimed if usual / 2 < claimed < usual * 2 else usual))


def num_holes(pts: Sequence[int]) -> int:
    """Return the number of frames missing between frames of a constant rate; 0 where the rate varies."""
    gaps = [b - a for a, b in pairwise(pts)]
    usual = sorted(gaps)[len(gaps) // 2] if gaps else 0
    constant = sum(abs(gap - usual) <= 1 + usual // 50 for gap in gaps)
    return sum(round(gap / usual) - 1 for gap in gaps if gap > usual) if usual and constant >= 0.95 * len(gaps) else 0


def rounded_rate(pts: Sequence[int], time_base: Fraction, nominal: Fraction) -> Fraction | None:
    """Return the constant rate whose times, rounded to ms or ``time_base``, are ``pts``; None if the rate varies.

    ``pts``: of all frames and of the end. ``nominal`` is tried before the usual rates, or, if it is an average, after
    them. Matroska, FLV and ASF round to milliseconds, and copies of their times in a finer time base remain rounded.
    """
    usual = sorted(USUAL_RATES, key=lambda rate: abs(rate - nominal))[:3]
    millisecond = Fraction(1, 1000) / time_base
    whole = millisecond > 1 and all(abs(p - round(p / millisecond) * millisecond) <= 1 for p in pts[:-1])
    slack = 1 + ceil(millisecond) if whole or millisecond == 1 else 1
    for rate in (nominal, *usual) if nominal.denominator in (1, 1001) else (*usual, nominal):
        step = 1 / (rate * time_base)
        if step > 2 * slack and all(abs(stamp - pts[0] - i * step) <= slack for i, stamp in enumerate(pts)):
            return rate
    return None


def average_rate(pts: Sequence[int], info: MediaInfo) -> Fraction:
    """Return the frame rate from the headers, or the measured one where they differ by a factor of 2 or more."""
    if len(pts) < 2:
        return info.rate
    average = 1 / (Fraction(pts[-1] - pts[0], len(pts) - 1) * info.time_base)
    return info.rate if average / 2 < info.rate < average * 2 else average.limit_denominator(1001)
