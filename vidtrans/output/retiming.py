"""When each rendered frame is shown: at its own time, or on the grid of a constant rate."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction
from math import gcd

from vidtrans.video.io.join import Timing

# The finest time base that an MP4 holds.
FINEST = 2**31 - 1


class Retiming:
    """The timestamps at which each of a run of frames is written: none where it is dropped, several where it repeats.

    ``pts`` and ``durations`` are those of the run, in ``time_base`` units; frames are counted from its first. ``rate``:
    constant frames a second; None keeps every frame and its own time. On the grid a moment shows the last frame that
    has begun by then, or begins within half a step.
    """

    def __init__(
        self, pts: Sequence[int], durations: Sequence[int], time_base: Fraction, rate: Fraction | None = None
    ) -> None:
        self.rate = rate
        self._stamps: list[list[int]] = []
        if rate is None:
            self.timing = Timing(pts, durations, time_base)
            return
        begin = pts[0] * time_base
        base = _common(begin, 1 / rate)
        step = int(1 / rate / base)
        count = max(1, round((pts[-1] + durations[-1] - pts[0]) * time_base * rate))
        half = 1 / (2 * rate * time_base)
        grid = [round(begin / base) + k * step for k in range(count)]
        self._stamps = [[] for _ in pts]
        for stamp in grid:
            shown = bisect_left(pts, stamp * base / time_base + half) - 1
            self._stamps[max(0, shown)].append(stamp)
        self.timing = Timing(tuple(grid), (step,) * count, base)

    def stamps(self, number: int) -> tuple[int, ...]:
        """Return when frame ``number`` of the run is shown."""
        return (self.timing.pts[number],) if self.rate is None else tuple(self._stamps[number])

    @property
    def num_written(self) -> int:
        """Return how many frames are written."""
        return len(self.timing.pts)


def _common(a: Fraction, b: Fraction) -> Fraction:
    """The coarsest time base that holds both moments exactly; where it would be too fine, that of ``b`` in 1000ths."""
    numerator = gcd(a.numerator * b.denominator, b.numerator * a.denominator)
    base = Fraction(numerator, a.denominator * b.denominator)
    # An MP4's time base is one over a whole number.
    base = Fraction(1, base.denominator)
    return base if base.denominator <= FINEST else Fraction(1, b.denominator * 1000)
