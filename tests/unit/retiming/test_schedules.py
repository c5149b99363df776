"""Which moments of a clip the frames of a retimed result show."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidtrans.core.errors import UsageError
from vidtrans.retiming.schedule import MAX_FRAMES, Moment, Schedule, Timeline, TimeMap, speed_map

SPEEDS = st.floats(0.01, 50)
STEPS = st.lists(st.fractions(Fraction(1, 240), Fraction(1, 5)), min_size=2, max_size=12)


def starts(steps: list[Fraction]) -> tuple[Fraction, ...]:
    times = [Fraction(0)]
    for step in steps:
        times.append(times[-1] + step)
    return tuple(times)


def even(count: int, rate: int, *cuts: int) -> Timeline:
    """Frames at a constant rate."""
    times = tuple(Fraction(n, rate) for n in range(count))
    return Timeline(tuple(range(count)), times, frozenset(cuts))


@given(STEPS, st.data())
def test_a_map_of_times_increases_and_its_ways_are_inverse(steps: list[Fraction], data: st.DataObject) -> None:
    *times, end = starts(steps)
    speeds = data.draw(st.lists(SPEEDS, min_size=len(times), max_size=len(times)))
    found = speed_map(lambda n: speeds[n], None, times, end)
    assert found.clip[0] == found.result[0] == 0
    assert all(a < b for a, b in zip(found.result, found.result[1:], strict=False))
    at = data.draw(st.fractions(0, end))
    assert found.clip_time(found.result_time(at)) == at
    slowest, fastest = min(speeds), max(speeds)
    assert float(end) / fastest * 0.999 <= float(found.duration) + 1e-6
    assert float(found.duration) <= float(end) / slowest * 1.2 + 1e-6  # Simpson's rule, over a linear speed


@given(STEPS, st.fractions(Fraction(1, 50), 50))
def test_a_constant_speed_is_exact(steps: list[Fraction], speed: Fraction) -> None:
    *times, end = starts(steps)
    found = TimeMap.constant(speed, end)
    assert found.duration == end / speed
    assert all(found.result_time(time) == time / speed for time in times)


@given(STEPS, st.fractions(Fraction(1, 10), 8), st.sampled_from([12, 24, Fraction(30000, 1001), 60]), st.integers(1, 4))
def test_frames_show_moments_in_order_and_end_with_the_clip(
    steps: list[Fraction], speed: Fraction, rate: Fraction, hold: int
) -> None:
    *times, end = starts(steps)
    timeline = Timeline(tuple(range(len(times))), tuple(times), frozenset())
    schedule = Schedule(timeline, TimeMap.constant(speed, end), Fraction(rate), hold)
    shown = [schedule.moments(n)[0] for n in range(schedule.count)]
    places = [moment.frame + moment.share for moment in shown]
    assert places == sorted(places)
    assert shown[0] == Moment(0, 0)
    assert all(0 <= moment.share < 1 and moment.after - moment.frame == (not moment.is_frame) for moment in shown)
    assert abs(schedule.count / schedule.rate - end / speed) <= Fraction(1, 2) / schedule.rate or schedule.count == 1
    for first in range(0, schedule.count, hold):
        assert len(set(shown[first : first + hold])) == 1


def test_the_clips_own_rate_gives_its_own_frames_and_twice_the_rate_those_between() -> None:
    timeline = even(5, 25)
    own = Schedule(timeline, TimeMap.constant(Fraction(1), Fraction(5, 25)), Fraction(25))
    assert [own.moments(n)[0] for n in range(own.count)] == [Moment(n, n) for n in range(5)]
    twice = Schedule(timeline, TimeMap.constant(Fraction(1), Fraction(5, 25)), Fraction(50))
    shown = [twice.moments(n)[0] for n in range(twice.count)]
    assert shown[:4] == [Moment(0, 0), Moment(0, 1, Fraction(1, 2)), Moment(1, 1), Moment(1, 2, Fraction(1, 2))]
    assert shown[8:] == [Moment(4, 4), Moment(4, 4)]  # there is nothing after the last frame


def test_nothing_is_made_across_a_cut_and_repeated_frames_are_made_anew() -> None:
    shown = [even(6, 10, 3).moment(Fraction(n, 20)) for n in range(4, 8)]
    assert shown == [Moment(2, 2), Moment(2, 2), Moment(3, 3), Moment(3, 4, Fraction(1, 2))]
    on_twos = Timeline((0, 2, 4), tuple(Fraction(n, 24) for n in (0, 2, 4)), frozenset())
    assert on_twos.moment(Fraction(1, 24)) == Moment(0, 2, Fraction(1, 2))


def test_an_open_shutter_sees_moments_from_the_frame_on() -> None:
    timeline = even(4, 10)
    schedule = Schedule(timeline, TimeMap.constant(Fraction(1), Fraction(4, 10)), Fraction(10))
    seen = [moment.frame + moment.share for moment in schedule.moments(1, Fraction(1, 2), 5)]
    assert seen == [1 + Fraction(2 * n + 1, 20) for n in range(5)]


def test_more_frames_than_anyone_wants_are_refused() -> None:
    timeline = even(4, 10)
    with pytest.raises(UsageError, match=f"{MAX_FRAMES:,} at most"):
        Schedule(timeline, TimeMap.constant(Fraction(1, 10**6), Fraction(4, 10)), Fraction(60))
