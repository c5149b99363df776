"""A constant frame rate from any times: what each moment of the grid shows, counted by hand; and where it begins."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import accumulate, chain, pairwise

import av
import numpy as np
import pytest
from av.filter import Graph
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from processes import at_most

from vidtrans.output.delivery import Retiming

repeatable = hypothesis_settings(max_examples=200)

FINEST = 2**31 - 1  # mp4 counts in 32 bits, one of them a sign
RATES = [*map(Fraction, (1, 12, 24, 25, 30, 48, 50, 60, 120, 1000)), Fraction(1, 2), Fraction(25, 2)]
RATES += [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001), Fraction(999_999, 1000)]
BASES = [Fraction(1, n) for n in (25, 100, 600, 1000, 15360, 90000, 1_200_000)]
BASES += [Fraction(1001, 30000), Fraction(1001, 24000), Fraction(2, 25)]
rates, bases = st.sampled_from(RATES), st.sampled_from(BASES)


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[int], list[int], Fraction]:
    """(pts, durations, time base) of frames that may be shown for any length of time, within some ten seconds."""
    base = draw(bases)
    longest = max(1, int(1 / base))
    gaps = draw(st.lists(st.integers(1, longest), min_size=1, max_size=12))
    begin = draw(st.integers(-2 * longest, 2 * longest))
    return list(accumulate(gaps, initial=begin))[:-1], gaps, base


def even(count: int, rate: Fraction | int, begin: int = 0) -> tuple[list[int], list[int], Fraction]:
    """Frames at a constant rate, in its own time base."""
    return list(range(begin, begin + count)), [1] * count, 1 / Fraction(rate)


def shown(made: Retiming, count: int) -> list[int]:
    """Which frame each moment of the result shows."""
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
@given(runs())
def test_without_a_rate_every_frame_keeps_its_time(run: tuple[list[int], list[int], Fraction]) -> None:
    pts, durations, base = run
    made = Retiming(pts, durations, base)
    assert (list(made.timing.pts), list(made.timing.durations), made.timing.time_base) == run
    assert [made.stamps(i) for i in range(len(pts))] == [(p,) for p in pts]
    assert made.num_written == len(pts)


@repeatable
@given(runs(), rates)
def test_the_grid_has_the_rate_and_the_length_of_the_clip(
    run: tuple[list[int], list[int], Fraction], rate: Fraction
) -> None:
    pts, durations, base = run
    made = Retiming(pts, durations, base, rate)
    steps = {b - a for a, b in pairwise(made.timing.pts)} | set(made.timing.durations)
    assert {step * made.timing.time_base for step in steps} == {1 / rate}
    length = (pts[-1] + durations[-1] - pts[0]) * base
    assert abs(made.num_written / rate - length) <= max(1 / (2 * rate), 1 / rate - length)
    assert made.num_written == len(made.timing.pts) == len(made.timing.durations) >= 1


@repeatable
@given(runs(), rates)
def test_every_moment_of_the_grid_is_one_frame_and_in_order(
    run: tuple[list[int], list[int], Fraction], rate: Fraction
) -> None:
    """A dropped frame has no stamp, a held one several, and together they are the grid."""
    made = Retiming(*run, rate)
    assert tuple(chain.from_iterable(made.stamps(i) for i in range(len(run[0])))) == tuple(made.timing.pts)


@hypothesis_settings(repeatable, max_examples=80)
@given(runs(), rates)
def test_every_moment_shows_the_right_frame(run: tuple[list[int], list[int], Fraction], rate: Fraction) -> None:
    pts, _, base = run
    made = Retiming(*run, rate)
    for moment, number in zip(seconds(made), shown(made, len(pts)), strict=True):
        assert number in candidates(pts, base, moment, 1 / (2 * rate))


@repeatable
@given(runs(), rates)
def test_the_start_is_kept_and_the_time_base_is_one_that_an_mp4_holds(
    run: tuple[list[int], list[int], Fraction], rate: Fraction
) -> None:
    made = Retiming(*run, rate)
    base, begin = made.timing.time_base, run[0][0] * run[2]
    assert base.numerator == 1
    assert base.denominator <= FINEST
    # Exactly, wherever there is a time base for it.
    common = begin.denominator * (1 / rate).denominator
    assert seconds(made)[0] == begin if common <= FINEST else abs(seconds(made)[0] - begin) <= Fraction(1, 2000)


@pytest.mark.parametrize("begin", [Fraction(1, 3), Fraction(-23, 44_100), Fraction(1001, 90_000), Fraction(7, 15_360)])
def test_an_offset_from_the_sound_is_kept_exactly(begin: Fraction) -> None:
    base = Fraction(1, 90_000 * 49 * 256)
    pts = [int(begin / base) + i * int(Fraction(1, 30) / base) for i in range(30)]
    made = Retiming(pts, [pts[1] - pts[0]] * 30, base, Fraction(24))
    assert seconds(made)[0] == begin
    assert made.num_written == 24


def test_a_rate_and_a_start_that_share_no_time_base_are_kept_to_half_a_millisecond() -> None:
    base = Fraction(1, 999_983)
    made = Retiming([1, 40_000], [39_999] * 2, base, Fraction(24_000, 1001))
    assert made.timing.time_base.denominator <= FINEST
    assert abs(seconds(made)[0] - base) <= Fraction(1, 2000)


@pytest.mark.parametrize("rate", RATES)
def test_a_clip_that_has_the_rate_is_left_as_it_is(rate: Fraction) -> None:
    made = Retiming(*even(50, rate, begin=3), rate)
    assert shown(made, 50) == list(range(50))
    assert seconds(made) == [(3 + i) / rate for i in range(50)]


def test_twice_the_rate_doubles_every_frame() -> None:
    made = Retiming(*even(30, 30), Fraction(60))
    assert made.num_written == 60
    assert [len(made.stamps(i)) for i in range(30)] == [2] * 30


@pytest.mark.parametrize("begin", [0, 7])
def test_half_the_rate_takes_every_other_frame_at_its_own_time(begin: int) -> None:
    """What begins just half a step later is not nearer: it would come early, and the first frame be lost."""
    made = Retiming(*even(60, 60, begin), Fraction(30))
    assert made.num_written == 30
    assert shown(made, 60) == list(range(0, 60, 2))
    assert [made.stamps(i) for i in range(1, 60, 2)] == [()] * 30


@pytest.mark.parametrize("factor", [2, 3, 4, 5, 8])
def test_a_fraction_of_the_rate_shows_frames_that_have_begun(factor: int) -> None:
    made = Retiming(*even(240, 240), Fraction(240, factor))
    numbers = shown(made, 240)
    assert len(numbers) == 240 // factor
    assert {b - a for a, b in pairwise(numbers)} == {factor}
    assert numbers[0] < factor


@pytest.mark.parametrize(("source", "wanted"), [(25, 24), (30, 25), (60, 24), (24, 25), (30, 12), (50, 30)])
def test_between_rates_no_frame_is_shown_more_than_half_a_step_from_its_time(source: int, wanted: int) -> None:
    made = Retiming(*even(source * 4, source), Fraction(wanted))
    assert made.num_written == wanted * 4
    numbers = shown(made, source * 4)
    for moment, number in zip(seconds(made), numbers, strict=True):
        # It has not ended, and begins within half a step.
        assert Fraction(number, source) - moment <= Fraction(1, 2 * wanted)
        assert moment < Fraction(number + 1, source)
    counts = {numbers.count(i) for i in range(source * 4)}
    assert counts <= ({0, 1} if wanted < source else {1, 2})


def fps_filter(count: int, source: int, wanted: int) -> list[int]:
    """What FFmpeg's own filter shows at each moment: frames are told by their brightness."""
    graph = Graph()
    chain_of = [
        graph.add_buffer(width=2, height=2, format="gray", time_base=Fraction(1, source)),
        graph.add("fps", f"{wanted}:round=near"),
        graph.add("buffersink"),
    ]
    for one, following in pairwise(chain_of):
        one.link_to(following)
    graph.configure()
    found: list[int] = []
    for number in (*range(count), None):
        frame = None
        if number is not None:
            frame = av.VideoFrame.from_ndarray(np.full((2, 2), number, np.uint8), format="gray")
            frame.pts, frame.time_base = number, Fraction(1, source)
        graph.push(frame)
        with suppress(BlockingIOError, EOFError):
            while True:
                found.append(int(graph.vpull().to_ndarray()[0, 0]))
    return found


@pytest.mark.parametrize("wanted", [12, 15, 20, 24, 25, 30, 48, 50, 60])
@pytest.mark.parametrize("source", [24, 25, 30, 50, 60])
def test_the_frames_are_those_that_ffmpegs_filter_would_choose(source: int, wanted: int) -> None:
    count = source * 2
    numbers, theirs = shown(Retiming(*even(count, source), Fraction(wanted)), count), fps_filter(count, source, wanted)
    known = len(theirs) - wanted // source - 1  # it is not told how long the last frame lasts
    assert numbers[:known] == theirs[:known]
    assert len(numbers) >= known


def test_25_to_24_drops_one_frame_a_second() -> None:
    made = Retiming(*even(250, 25), Fraction(24))
    dropped = [i for i in range(250) if not made.stamps(i)]
    assert len(dropped) == 10
    assert {b - a for a, b in pairwise(dropped)} == {25}


@pytest.mark.parametrize("rate", [Fraction(1, 2), Fraction(24), Fraction(30000, 1001)])
@pytest.mark.parametrize("duration", [1, 512, 15_360 * 3])
def test_a_single_frame_is_shown_as_long_as_before_and_at_least_once(rate: Fraction, duration: int) -> None:
    made = Retiming([77], [duration], Fraction(1, 15_360), rate)
    assert made.num_written == max(1, round(Fraction(duration, 15_360) * rate))
    assert made.stamps(0) == made.timing.pts
    assert seconds(made)[0] == Fraction(77, 15_360)


def test_a_long_hold_is_held_and_what_follows_is_in_time() -> None:
    """A slide show: 2 s, a flash of 1/60 s, then 3 s."""
    base = Fraction(1, 60)
    made = Retiming([0, 120, 121], [120, 1, 180], base, Fraction(10))
    numbers = shown(made, 3)
    assert numbers[:19] == [0] * 19
    assert numbers[21:] == [2] * (len(numbers) - 21)
    assert made.num_written == 50


def test_an_hour_does_not_drift() -> None:
    count = 3600 * 24
    made = Retiming(*even(count, Fraction(24000, 1001)), Fraction(25))
    length = count * Fraction(1001, 24000)
    assert abs(Fraction(made.num_written, 25) - length) <= Fraction(1, 50)
    assert made.stamps(count - 1)[-1] == made.timing.pts[-1]


@pytest.mark.parametrize("minutes", [1, 20])
def test_a_picture_that_is_held_for_long_takes_no_longer_than_many_frames(minutes: int) -> None:
    with at_most():  # 0.1 s; if it went through all for each, an hour
        made = Retiming([0, minutes * 1500], [minutes * 1500, 1], Fraction(1, 25), Fraction(60))
    assert len(made.stamps(0)) == minutes * 3600
