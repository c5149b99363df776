"""A constant frame rate from any times: what each moment of the grid shows, counted by hand; and where it begins."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, chain, pairwise

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.output.delivery import Retiming

repeatable = hypothesis_settings(max_examples=20)

FINEST = 2**31 - 1  # mp4 counts in 32 bits, one of them a sign
RATES = [*map(Fraction, (1, 12, 24, 25, 30, 48, 50, 60, 120, 1000)), Fraction(1, 2), Fraction(25, 2)]
RATES += [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001), Fraction(999_999, 1000)]
BASES = [Fraction(1, n) for n in (25, 100, 600, 1000, 15360, 90000, 1_200_000)]
BASES += [Fraction(1001, 30000), Fraction(1001, 24000), Fraction(2, 25)]
rates, bases = st.sampled_from(RATES), st.sampled_from(BASES)


Run = tuple[list[int], list[int], Fraction]


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """(pts, durations, time base) of frames that may be shown for any length of time, within some ten seconds."""
    base = draw(bases)
    longest = max(1, int(1 / base))
    gaps = draw(st.lists(st.integers(1, longest), min_size=1, max_size=12))
    begin = draw(st.integers(-2 * longest, 2 * longest))
    return list(accumulate(gaps, initial=begin))[:-1], gaps, base


def even(count: int, rate: Fraction | int, begin: int = 0) -> Run:
    return list(range(begin, begin + count)), [1] * count, 1 / Fraction(rate)


def shown(made: Retiming, count: int) -> list[int]:
    numbers = {stamp: n for n in range(count) for stamp in made.stamps(n)}
    return [numbers[stamp] for stamp in made.timing.pts]


def seconds(made: Retiming) -> list[Fraction]:
    return [stamp * made.timing.time_base for stamp in made.timing.pts]


def candidates(pts: Sequence[int], base: Fraction, moment: Fraction, half: Fraction) -> set[int]:
    """The last frame that has begun by then or begins within half a step; on the edge of it either will do."""
    last = [
        max((i for i, p in enumerate(pts) if within(p * base)), default=0)
        for within in (lambda t: t < moment + half, lambda t: t <= moment + half)
    ]
    return set(last)


@repeatable
@given(runs(), rates)
def test_the_grid_has_the_rate_and_the_length_of_the_clip_and_each_moment_the_right_frame(
    run: Run, rate: Fraction
) -> None:
    pts, durations, base = run
    made = Retiming(pts, durations, base, rate)
    steps = {b - a for a, b in pairwise(made.timing.pts)} | set(made.timing.durations)
    assert {step * made.timing.time_base for step in steps} == {1 / rate}
    length = (pts[-1] + durations[-1] - pts[0]) * base
    assert abs(made.num_written / rate - length) <= max(1 / (2 * rate), 1 / rate - length)
    assert made.num_written == len(made.timing.pts) == len(made.timing.durations) >= 1
    assert tuple(chain.from_iterable(made.stamps(i) for i in range(len(pts)))) == tuple(made.timing.pts)
    for moment, number in list(zip(seconds(made), shown(made, len(pts)), strict=True))[:: 1 + made.num_written // 200]:
        assert number in candidates(pts, base, moment, 1 / (2 * rate))


@repeatable
@given(runs(), rates)
def test_the_start_is_kept_and_the_time_base_is_one_that_an_mp4_holds(run: Run, rate: Fraction) -> None:
    made = Retiming(*run, rate)
    base, begin = made.timing.time_base, run[0][0] * run[2]
    assert base.numerator == 1
    assert base.denominator <= FINEST
    # Exactly, wherever there is a time base for it.
    common = begin.denominator * (1 / rate).denominator
    assert seconds(made)[0] == begin if common <= FINEST else abs(seconds(made)[0] - begin) <= Fraction(1, 2000)


@pytest.mark.parametrize("begin", [0, 7])
def test_half_the_rate_takes_every_other_frame_at_its_own_time_and_twice_the_rate_doubles_each(begin: int) -> None:
    """What begins just half a step later is not nearer: it would come early, and the first frame be lost."""
    made = Retiming(*even(60, 60, begin), Fraction(30))
    assert made.num_written == 30
    assert shown(made, 60) == list(range(0, 60, 2))
    assert [made.stamps(i) for i in range(1, 60, 2)] == [()] * 30
    assert [len(Retiming(*even(30, 30, begin), Fraction(60)).stamps(i)) for i in range(30)] == [2] * 30
