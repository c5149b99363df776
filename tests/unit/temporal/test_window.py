"""The window filter, bit by bit: it may be cut anywhere, and what it lets go of it makes again the same."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from flicker import WIDTHS, Frames, alike, busy, flickering, run, samples, window
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.store.chunking import cut_into_chunks, read_ranges
from vidtrans.temporal import fine_detail
from vidtrans.temporal import window as temporal_window
from vidtrans.temporal.stream import Sample, Window
from vidtrans.temporal.window import WindowFilter, filter_samples

repeatable = hypothesis_settings(max_examples=8)
radii = st.sampled_from(WIDTHS)
COUNT = 40


def shots(cuts: set[int], count: int = COUNT) -> list[range]:
    bounds = [0, *sorted(cuts), count]
    return [range(a, b) for a, b in pairwise(bounds)]


def shown(count: int, cuts: set[int], seed: int) -> tuple[Frames, Frames]:
    guides, outputs = [], []
    for number, shot in enumerate(shots(cuts, count)):
        more = busy(len(shot), (24, 16), seed + number)
        guides += more[0]
        outputs += more[1]
    return guides, outputs


def noise(frames: Frames, kept: range) -> Frames:
    rng = np.random.default_rng(9)
    return [f if i in kept else rng.integers(0, 256, f.shape, dtype=np.uint8) for i, f in enumerate(frames)]


def by_hand(method: WindowFilter, given: list[Sample], frame: int, shot: range) -> np.ndarray:
    """A frame of a window that was cut out of samples."""
    lo, hi = max(shot.start, frame - method.radius), min(shot.stop, frame + method.radius + 1)
    return method(Window(tuple(given[lo:hi]), frame - lo))


# Cut anywhere


@repeatable
@given(radii, st.sets(st.integers(1, COUNT - 1), max_size=2), st.integers(0, COUNT - 1), st.integers(1, 12))
def test_any_part_is_filtered_from_the_frames_around_it_alone(
    radius: int, cuts: set[int], first: int, length: int
) -> None:
    guides, outputs = shown(COUNT, cuts, seed=radius)
    starts = {0, *cuts}
    whole = run(window(radius=radius), samples(guides, outputs, starts))
    wanted = range(first, min(COUNT, first + length))
    shot = {i: shot for shot in shots(cuts) for i in shot}
    lo, hi = max(shot[first].start, first - radius), min(shot[wanted[-1]].stop, wanted.stop + radius)
    part = samples(noise(guides, range(lo, hi)), noise(outputs, range(lo, hi)), starts)
    assert alike(run(window(radius=radius), part[lo:hi], wanted), whole[wanted.start : wanted.stop])
    frame = wanted[len(wanted) // 2]
    assert alike([by_hand(window(radius=radius), samples(guides, outputs), frame, shot[frame])], [whole[frame]])


@repeatable
@given(radii, st.sets(st.integers(1, COUNT - 1), max_size=2), st.integers(1, 15), st.data())
def test_missing_chunks_are_made_again_the_same(radius: int, cuts: set[int], length: int, data: st.DataObject) -> None:
    """As a render does it that goes on after a crash."""
    guides, outputs = shown(COUNT, cuts, seed=7)
    whole = run(window(radius=radius), samples(guides, outputs, {0, *cuts}))
    chunks = cut_into_chunks(0, COUNT, [0, *sorted(cuts)], length)
    missing = sorted(data.draw(st.sets(st.sampled_from(range(len(chunks))), min_size=1)))
    method = window(radius=radius)
    for run_of, lo, hi in read_ranges(chunks, missing, method.radius):
        wanted = range(run_of[0].first, run_of[-1].stop)
        made = run(method, samples(guides, outputs, {0, *cuts})[lo:hi], wanted)
        assert alike(made, whole[wanted.start : wanted.stop])


@pytest.mark.parametrize("radius", WIDTHS)
def test_nothing_is_borrowed_across_a_cut(radius: int) -> None:
    guides, outputs = shown(COUNT, {13, 27}, seed=3)
    whole = run(window(radius=radius), samples(guides, outputs, {0, 13, 27}))
    for shot in shots({13, 27}):
        junk = samples(noise(guides, shot), noise(outputs, shot), {0, 13, 27})
        assert alike(run(window(radius=radius), junk, shot), whole[shot.start : shot.stop])


def test_within_a_shot_the_whole_window_has_a_say() -> None:
    """Or the tests above would pass for a filter that looks at nothing."""
    guides, outputs = shown(COUNT, set(), seed=3)
    for radius in WIDTHS[:4]:
        whole = run(window(radius=radius), samples(guides, outputs))[20]
        for far in (20 - radius, 20 + radius):
            brighter = [
                np.clip(o.astype(int) + 60 * (i == far), 0, 255).astype(np.uint8) for i, o in enumerate(outputs)
            ]
            assert not np.array_equal(run(window(radius=radius), samples(guides, brighter))[20], whole)


@pytest.mark.parametrize(
    ("asked", "acts"), [(0, 0), (1, 1), (2, 1), (3, 3), (5, 3), (8, 7), (15, 15), (30, 15), (31, 31)]
)
def test_a_radius_that_there_is_not_is_the_next_lower_one(asked: int, acts: int) -> None:
    assert window(radius=asked).radius == acts
    guides, outputs = shown(12, set(), seed=5)
    made = [run(window(radius=r), samples(guides, outputs)) for r in (asked, acts)]
    assert alike(*made)


# What is let go of


@hypothesis_settings(repeatable, max_examples=4)
@given(radii, st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=12, unique=True))
def test_windows_may_come_in_any_order_and_with_gaps(radius: int, frames: list[int]) -> None:
    guides, outputs = shown(COUNT, set(), seed=2)
    whole = run(window(radius=radius), samples(guides, outputs))
    one, another = window(radius=radius), window(radius=radius)
    shared = samples(guides, outputs)
    for frame in frames:
        assert alike([by_hand(one, samples(guides, outputs), frame, range(COUNT))], [whole[frame]])
    for frame in sorted(frames):
        assert alike([by_hand(another, shared, frame, range(COUNT))], [whole[frame]])


@dataclass
class Weighed:
    """A window filter; after each frame, what is kept with the samples of its window."""

    method: WindowFilter
    num_bytes: list[int] = field(default_factory=list)
    num_full: list[int] = field(default_factory=list)  # arrays of the picture's size, in 32 bits

    def __post_init__(self) -> None:
        self.radius = self.method.radius

    def expect(self, before: Sample, after: Sample) -> None:
        self.method.expect(before, after)

    def __call__(self, window: Window) -> np.ndarray:
        made = self.method(window)
        held: dict[int, np.ndarray] = {}
        for sample in window.samples:
            if isinstance(pair := sample.extras.get("pair"), Future):
                pair.result()  # or it would depend on how far the worker has come
        for sample in window.samples:
            for array in arrays(list(sample.extras.values())):
                held[id(array)] = array
        self.num_bytes.append(sum(a.nbytes for a in held.values()))
        size = made.shape[:2]
        self.num_full.append(sum(a.shape[:2] == size and a.dtype.itemsize >= 4 for a in held.values()))
        return made


def arrays(value: Any) -> list[np.ndarray]:
    """All that are in a value, and what they are views of."""
    if isinstance(value, np.ndarray):
        return arrays(value.base) if isinstance(value.base, np.ndarray) else [value]
    if isinstance(value, Future):
        return arrays(value.result())
    if isinstance(value, list | tuple):
        return [a for item in value for a in arrays(item)]
    return [a for item in vars(value).values() for a in arrays(item)] if hasattr(value, "__dict__") else []


@pytest.mark.parametrize("radius", WIDTHS)
def test_what_is_kept_of_a_long_clip_does_not_grow(radius: int) -> None:
    guides, outputs = busy(4 * radius + 24, (24, 16))
    method = Weighed(window(radius=radius))
    list(filter_samples(samples(guides, outputs), method))
    full = 2 * radius + 1
    assert max(method.num_bytes[full:]) <= max(method.num_bytes[:full])
    steady = method.num_bytes[full : -radius - 1]
    assert max(steady) == min(steady) > 0
    assert max(method.num_full) <= 18 + radius
    assert max(method.num_bytes) <= (8 + 7 * radius) * 24 * 16 * 16  # so many pictures of 4 channels in 32 bits


def kind_of(key: Any) -> str:
    return str(key[0] if isinstance(key, tuple) else key)


class Count:
    """A window filter; the most things that were kept at once, by kind, and how often each was made."""

    def __init__(self, method: WindowFilter, monkeypatch: pytest.MonkeyPatch) -> None:
        self.method, self.radius, self.expect = method, method.radius, method.expect
        self.made: Counter[tuple[int, Any]] = Counter()
        self.most: Counter[str] = Counter()
        for module in (temporal_window, fine_detail):
            monkeypatch.setattr(module, "compute_once", self._compute_once)
        make_bands = fine_detail.FrameBands.of

        def bands_of(sample: Sample) -> fine_detail.FrameBands:
            self.made[sample.index, "bands"] += 1
            return make_bands(sample)

        monkeypatch.setattr(fine_detail.FrameBands, "of", bands_of)

    def _compute_once(self, sample: Sample, key: Any, make: Any) -> Any:
        if key not in sample.extras:
            self.made[sample.index, key] += 1
            sample.extras[key] = make()
        return sample.extras[key]

    def __call__(self, window: Window) -> np.ndarray:
        made = self.method(window)
        self.most |= Counter(kind_of(key) for sample in window.samples for key in sample.extras)
        return made


# By radius, of a clip of 3 radii and 12 frames: the most things of a kind that are kept at once, and how many are made.
# Averages at full size are made again for some frames; that costs less than to keep them.
KEPT: dict[int, dict[str, tuple[int, int]]] = {
    1: {
        "bands": (3, 15),
        "guide": (2, 15),
        "level": (2, 30),
        "low": (1, 0),
        "done": (2, 0),
        "pair": (3, 0),
        "share": (0, 15),
        "prepared": (1, 15),
        "trust": (0, 28),
    },
    3: {
        "bands": (5, 21),
        "guide": (5, 21),
        "level": (6, 63),
        "low": (3, 0),
        "done": (6, 0),
        "pair": (6, 0),
        "share": (4, 42),
        "prepared": (1, 21),
        "trust": (4, 78),
        "path": (0, 38),
    },
    7: {
        "bands": (5, 33),
        "guide": (11, 33),
        "level": (14, 132),
        "low": (7, 0),
        "done": (14, 0),
        "pair": (10, 0),
        "share": (12, 99),
        "prepared": (1, 33),
        "trust": (20, 184),
        "path": (12, 120),
    },
    15: {
        "bands": (5, 57),
        "fine": (8, 0),
        "guide": (23, 57),
        "level": (14, 228),
        "low": (31, 57),
        "done": (30, 0),
        "pair": (10, 0),
        "share": (28, 228),
        "prepared": (1, 57),
        "trust": (20, 426),
        "path": (36, 314),
    },
}


@pytest.mark.parametrize("radius", KEPT)
def test_no_more_is_made_or_kept_than_is_needed(radius: int, monkeypatch: pytest.MonkeyPatch) -> None:
    guides, outputs = busy(3 * radius + 12, (24, 16))
    method = Count(window(radius=radius), monkeypatch)
    list(filter_samples(samples(guides, outputs), method))
    made: Counter[str] = Counter()
    for (_, key), times in method.made.items():
        made[kind_of(key)] += times
    assert {kind: (method.most[kind], made[kind]) for kind in {*made, *method.most}} == KEPT[radius]


@pytest.mark.parametrize(("radius", "strength", "begun"), [(3, 1.0, True), (3, 0.0, False), (0, 1.0, False)])
def test_no_flow_is_begun_where_none_is_needed(radius: int, strength: float, begun: bool) -> None:
    given = samples(*busy(2, (24, 16)))
    window(radius=radius, strength=strength).expect(*given)
    assert any(sample.extras for sample in given) == begun


def test_a_clip_played_backwards_is_filtered_alike() -> None:
    """The window looks both ways in the same manner: no direction of time is preferred."""
    guides, outputs = busy(9)
    there = run(window(radius=3), samples(guides, outputs))
    back = run(window(radius=3), samples(guides[::-1], outputs[::-1]))[::-1]
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(there, back, strict=True)) <= 1
    assert not alike(there, flickering(outputs))
