"""Timestamps put right: what increases is left alone, and whatever comes in, what goes out can be written."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate, pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.video.io.timestamps import (
    MAX_REORDER,
    ClockRepair,
    TrackTimes,
    compute_track_repair,
    repair_timestamps,
    rounded_rate,
)

repeatable = hypothesis_settings(max_examples=25)

maybe = st.one_of(st.none(), st.integers(-1000, 1000))
anything = st.lists(st.one_of(maybe, st.integers(-(2**50), 2**50)), max_size=60)
nominals = st.integers(1, 1000)


@st.composite
def increasing(draw: st.DrawFn, smallest: int = 1, least: int = 0, most: int = 60) -> list[int]:
    """Strictly increasing stamps, at least ``smallest`` apart."""
    gaps = draw(st.lists(st.integers(smallest, smallest + 5000), min_size=least, max_size=most))
    return list(accumulate(gaps, initial=draw(st.integers(-5000, 5000))))[: len(gaps)]


@st.composite
def shuffled(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Stamps in order, and the same in an order in which none moved further than a decoder reorders."""
    stamps = draw(increasing(least=2))
    size = draw(st.integers(2, MAX_REORDER + 1))
    blocks = [draw(st.permutations(stamps[i : i + size])) for i in range(0, len(stamps), size)]
    return stamps, [stamp for block in blocks for stamp in block]


@repeatable
@given(anything, st.integers(-5, 1000))
def test_the_result_always_increases_and_the_changes_are_counted(stamps: list[int | None], nominal: int) -> None:
    result, changed = repair_timestamps(stamps, nominal)
    assert len(result) == len(stamps)
    assert all(a < b for a, b in pairwise(result))
    assert all(type(stamp) is int for stamp in result)
    assert changed == sum(was != now for was, now in zip(stamps, result, strict=True))


@repeatable
@given(shuffled(), nominals)
def test_stamps_in_the_order_of_decoding_are_sorted(both: tuple[list[int], list[int]], nominal: int) -> None:
    in_order, given_order = both
    moved = sum(a != b for a, b in zip(in_order, given_order, strict=True))
    assert repair_timestamps(given_order, nominal) == (tuple(in_order), moved)


def test_repeated_times_are_put_between_their_neighbours() -> None:
    for stamps, nominal, wanted, changed in (
        ([0, 10, 10, 10, 40, 50], 10, (0, 10, 20, 30, 40, 50), 2),
        ([0, 40, 40, 80, 80, 120, 120], 20, (0, 40, 60, 80, 100, 120, 140), 3),
        ([700] * 30, 40, tuple(range(700, 700 + 30 * 40, 40)), 29),  # the same time for every frame is no time
        ([0, 40, 80, 120, 160] * 3, 40, tuple(range(0, 600, 40)), 10),  # three takes, each from 0
        ([None] * 80, 7, tuple(range(0, 560, 7)), 80),
        ([0, None, None, 120, None, 200, 240], 40, tuple(range(0, 280, 40)), 3),  # exactly those that were lost
    ):
        assert repair_timestamps(stamps, nominal) == (wanted, changed)
    # There is less room than the rate would want.
    result, changed = repair_timestamps([0, 10, 10, 10, 19, 29], 10)
    assert (result[:2], result[4:], changed) == ((0, 10), (19, 29), 2)


@pytest.mark.parametrize(
    ("rate", "base", "nominal", "found"),
    [
        (Fraction(30), 1000, Fraction(30), Fraction(30)),
        (Fraction(30_000, 1001), 1000, Fraction(30_000, 1001), Fraction(30_000, 1001)),
        (Fraction(30), 1000, Fraction(30_303, 1010), Fraction(30)),  # an average of rounded times
        (Fraction(30_000, 1001), 600, Fraction(30_000, 1001), Fraction(30_000, 1001)),
    ],
)
def test_rounded_times_have_the_rate_that_they_were_rounded_from(
    rate: Fraction, base: int, nominal: Fraction, found: Fraction
) -> None:
    pts = [round(i / rate * base) for i in range(90)]
    assert rounded_rate(pts, Fraction(1, base), nominal) == found
    in_90_khz = [p * 90 for p in pts]  # milliseconds, copied into a finer time base
    assert base != 1000 or rounded_rate(in_90_khz, Fraction(1, 90_000), nominal) == found
    jitter = [p + 20 * (i % 3) for i, p in enumerate(in_90_khz)]
    assert rounded_rate(jitter, Fraction(1, 90_000), nominal) is None
    assert rounded_rate([*pts, pts[-1] + base], Fraction(1, base), nominal) is None  # the last frame is shown for 1 s


# Tracks of joined recordings, in ticks of 90 kHz: pictures of 3600, sound packets of 2000.

PICTURE, SOUND = 3600, 2000
Part = tuple[int, int, int]  # number of packets, their first time, and their place in the file


def track(index: int, kind: str, step: int, parts: list[Part], container: str = "mpegts") -> TrackTimes:
    made = TrackTimes(SimpleNamespace(index=index, type=kind, time_base=Fraction(1, 90_000)), container)
    for count, first, place in parts:
        for number in range(count):
            time = first + number * step
            made.add(packet(time, step, place + number * step))
    return made


def packet(time: int, duration: int, place: int) -> Any:
    return SimpleNamespace(pts=time, dts=time, duration=duration, pos=place, is_keyframe=True)


def repaired(pictures: list[Part], *sounds: list[Part], container: str = "mpegts") -> ClockRepair:
    tracks = [track(0, "video", PICTURE, pictures, container)]
    tracks += [track(n, "audio", SOUND, parts, container) for n, parts in enumerate(sounds, 1)]
    return compute_track_repair(tracks, 0)


@pytest.mark.parametrize(("extra", "held"), [(0, 0), (1, 1), (2, 2), (4, 3)])
def test_sound_that_is_longer_is_kept_and_pictures_stay_on_their_grid(extra: int, held: int) -> None:
    count = 18 + extra
    found = repaired([(10, 0, 0), (10, 0, 50_000)], [(count, 0, 0), (18, 0, 50_000)])
    assert (found.num_restarts, found.num_rebuilt) == (1, 0)
    assert set(found.ticks[0]) == {0, 36_000 + held * PICTURE}
    assert list(found.ticks[1]) == [0] * count + [36_000 + held * PICTURE] * 18


def test_a_part_without_sound_is_silent_and_later_ones_keep_their_place() -> None:
    pictures = [(10, 0, 0), (10, 0, 50_000), (10, 0, 100_000)]
    found = repaired(pictures, [(18, 0, 0), (18, 0, 100_000)])
    assert found.num_restarts == 2
    assert list(found.ticks[1]) == [0] * 18 + [72_000] * 18


def test_a_jump_of_all_tracks_is_closed_in_a_transport_stream_alone() -> None:
    late = 20 * 90_000
    pictures, sound = [(10, 0, 0), (10, late, 50_000)], [(18, 0, 0), (18, late, 50_000)]
    assert set(repaired(pictures, sound).ticks[0]) == {0, 36_000 - late}
    assert not repaired(pictures, sound, container="matroska,webm").ticks
    assert not repaired([(10, 0, 0), (10, late, 50_000)], [(950, 0, 0)]).ticks  # without a hole in the sound


@pytest.mark.parametrize("wrong", [0, 500_000, 9_000_000])
def test_a_single_wrong_time_is_no_other_clock(wrong: int) -> None:
    found = repaired([(10, 0, 0), (1, wrong, 36_000), (10, 39_600, 39_600)], [(39, 0, 0)])
    assert found == ClockRepair({}, 0, 0)
    heard = repaired([(20, 0, 0)], [(18, 0, 0), (1, wrong, 36_000), (18, 38_000, 38_000)])
    assert (heard.num_restarts, heard.num_rebuilt) == (0, 1)
    assert list(heard.ticks[1]) == [0] * 18 + [36_000 - wrong] + [0] * 18


def test_pictures_that_go_back_under_continuous_sound_have_wrong_times_and_no_other_clock() -> None:
    assert repaired([(10, 0, 0), (10, 10_000, 36_000)], [(36, 0, 0)]).num_restarts == 0


def test_sound_that_goes_back_alone_gets_increasing_times() -> None:
    given = [*range(0, 36_000, SOUND), *range(10_000, 46_000, SOUND)]
    found = repaired([(20, 0, 0)], [(18, 0, 0), (18, 10_000, 36_000)])
    assert (found.num_restarts, set(found.ticks)) == (0, {1})
    times = [time + ticks for time, ticks in zip(given, found.ticks[1], strict=True)]
    assert all(a < b for a, b in pairwise(times))
    assert found.num_rebuilt == sum(ticks != 0 for ticks in found.ticks[1])
