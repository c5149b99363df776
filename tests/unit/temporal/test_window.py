"""The window filter, bit by bit: it may be cut anywhere, and what it lets go of it makes again the same."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from flicker import WIDTHS, Frames, alike, busy, flickering, rms, run, samples, window
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.store.chunking import cut_into_chunks, read_ranges
from vidtrans.temporal import fine_detail, flow_tracking
from vidtrans.temporal import window as temporal_window
from vidtrans.temporal.stream import HeldFrames, Sample, Window, filter_samples
from vidtrans.temporal.window import WindowFilter

repeatable = hypothesis_settings(max_examples=4)
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


def by_hand(method: WindowFilter, given: list[Sample], frame: int, shot: range) -> np.ndarray:
    """A frame of a window that was cut out of samples."""
    lo, hi = max(shot.start, frame - method.radius), min(shot.stop, frame + method.radius + 1)
    return method(Window(tuple(given[lo:hi]), frame - lo))


# Cut anywhere


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


@pytest.mark.parametrize("hold", [2, 3, 20])
def test_held_drawings_stay_still_however_the_clip_is_cut(hold: int) -> None:
    """Windows of equal frames differ, for one of them is nearer to the next drawing."""
    drawings, outputs = shown(COUNT // hold + 1, set(), seed=2)
    guides, outputs = ([f for f in some for _ in range(hold)][:COUNT] for some in (drawings, outputs))
    numbers = frozenset(i for i in range(COUNT) if i % hold)
    unheld = run(window(radius=3), samples(guides, outputs))
    whole = run(window(radius=3), samples(guides, outputs), held=HeldFrames(numbers))
    for first in range(0, COUNT, hold):
        assert alike(whole[first : first + hold], [unheld[first]] * len(whole[first : first + hold]))
    assert not alike(whole, unheld)
    for chunk in cut_into_chunks(0, COUNT, [0], 6, numbers):
        assert chunk.first % hold == 0
        lo, hi = max(0, chunk.first - 3), min(COUNT, chunk.stop + 3)
        wanted = range(chunk.first, chunk.stop)
        made = run(window(radius=3), samples(guides, outputs)[lo:hi], wanted, held=HeldFrames(numbers))
        assert alike(made, whole[chunk.first : chunk.stop])


def test_only_pictures_that_repeat_are_held() -> None:
    guides, outputs = shown(COUNT, set(), seed=2)
    every, plain = frozenset(range(COUNT)), run(window(radius=1), samples(guides, outputs))
    assert alike(run(window(radius=1), samples(guides, outputs), held=HeldFrames(every)), plain)
    still = [guides[0]] * COUNT  # a look that changes over a still picture; the flicker of a tool over one
    plain = run(window(radius=1), samples(still, outputs))
    assert alike(run(window(radius=1), samples(still, outputs), held=HeldFrames(every)), plain)
    frozen = run(window(radius=1), samples(still, outputs), held=HeldFrames(every, guide_decides=True))
    assert alike(frozen, plain[:1] * COUNT)


def test_within_a_shot_the_whole_window_has_a_say() -> None:
    """Or the tests above would pass for a filter that looks at nothing."""
    guides, outputs = shown(COUNT, set(), seed=3)
    for radius in WIDTHS[:4]:
        [whole] = run(window(radius=radius), samples(guides, outputs), range(20, 21))
        for far in (20 - radius, 20 + radius):
            brighter = outputs.copy()
            brighter[far] = np.clip(outputs[far].astype(int) + 60, 0, 255).astype(np.uint8)
            [made] = run(window(radius=radius), samples(guides, brighter), range(20, 21))
            assert not np.array_equal(made, whole)


def test_a_radius_that_there_is_not_is_the_next_lower_one() -> None:
    acts = {0: 0, 1: 1, 2: 1, 3: 3, 5: 3, 8: 7, 15: 15, 30: 15, 31: 31}
    assert {asked: window(radius=asked).radius for asked in acts} == acts
    guides, outputs = busy(6, (24, 16))
    assert alike(*(run(window(radius=r), samples(guides, outputs)) for r in (5, 3)))
    assert alike(run(window(radius=0), samples(guides, outputs)), outputs)


# What is let go of


@hypothesis_settings(repeatable, max_examples=3)
@given(radii, st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=8, unique=True))
def test_windows_may_come_in_any_order_and_with_gaps(radius: int, frames: list[int]) -> None:
    guides, outputs = shown(COUNT, set(), seed=2)
    whole = run(window(radius=radius), samples(guides, outputs))
    one, another = window(radius=radius), window(radius=radius)
    shared = samples(guides, outputs)
    for frame in frames:
        assert alike([by_hand(one, samples(guides, outputs), frame, range(COUNT))], [whole[frame]])
    for frame in sorted(frames):
        assert alike([by_hand(another, shared, frame, range(COUNT))], [whole[frame]])


def kind_of(key: Any) -> str:
    return str(key[0] if isinstance(key, tuple) else key)


class Watched:
    """A window filter; what is kept with the samples of its windows, by kind, and how much is made."""

    def __init__(self, method: WindowFilter, monkeypatch: pytest.MonkeyPatch) -> None:
        self.method, self.radius, self.expect = method, method.radius, method.expect
        self.made: Counter[str] = Counter()
        self.most: Counter[str] = Counter()  # at once
        for module in (temporal_window, flow_tracking):
            monkeypatch.setattr(module, "compute_once", self._compute_once)
        make_bands = fine_detail.FrameBands.of

        def bands_of(sample: Sample) -> fine_detail.FrameBands:
            self.made["bands"] += 1
            return make_bands(sample)

        monkeypatch.setattr(fine_detail.FrameBands, "of", bands_of)

    def _compute_once(self, sample: Sample, key: Any, make: Any) -> Any:
        if key not in sample.derived:
            self.made[kind_of(key)] += 1
            sample.derived[key] = make()
        return sample.derived[key]

    def __call__(self, window: Window) -> np.ndarray:
        made = self.method(window)
        self.most |= Counter(kind_of(key) for sample in window.samples for key in sample.derived)
        return made


RADII = (1, 3, 7, 15)
# By radius, of a clip of 3 radii and 12 frames: the most things of a kind that are kept at once, and how many are made.
KEPT = {
    "bands": ((3, 15), (5, 21), (5, 33), (5, 57)),
    "done": ((0, 0), (6, 0), (14, 0), (30, 0)),
    "done at full size": ((2, 0), (6, 0), (14, 0), (22, 0)),
    "guide": ((2, 15), (5, 21), (11, 33), (23, 57)),
    "level": ((2, 30), (6, 63), (14, 99), (14, 171)),
    "low": ((2, 30), (7, 63), (19, 132), (43, 285)),
    "pair": ((2, 0), (5, 0), (8, 0), (16, 0)),
    "path": ((0, 0), (0, 38), (12, 120), (48, 314)),
    "prepared": ((1, 15), (1, 21), (1, 33), (1, 57)),
    "share": ((0, 15), (4, 42), (12, 99), (28, 228)),
    "trust": ((0, 28), (4, 78), (20, 184), (68, 426)),
}


@pytest.mark.parametrize("radius", RADII)
def test_no_more_is_made_or_kept_than_is_needed(radius: int, monkeypatch: pytest.MonkeyPatch) -> None:
    method = Watched(window(radius=radius), monkeypatch)
    list(filter_samples(samples(*busy(3 * radius + 12, (24, 16))), method))
    wanted = {kind: counts[RADII.index(radius)] for kind, counts in KEPT.items()}
    assert {kind: (method.most[kind], method.made[kind]) for kind in {*KEPT, *method.made, *method.most}} == wanted


@pytest.mark.parametrize(("radius", "strength", "begun"), [(3, 1.0, True), (3, 0.0, False), (0, 1.0, False)])
def test_no_flow_is_begun_where_none_is_needed(radius: int, strength: float, begun: bool) -> None:
    given = samples(*busy(2, (24, 16)))
    window(radius=radius, strength=strength).expect(*given)
    assert any(sample.derived for sample in given) == begun


def test_a_clip_played_backwards_is_filtered_alike() -> None:
    """The window looks both ways in the same manner. Flow is estimated forwards: it differs at edges that move."""
    guides, outputs = busy(9)
    there = run(window(radius=3), samples(guides, outputs))
    back = run(window(radius=3), samples(guides[::-1], outputs[::-1]))[::-1]
    assert rms(there, back) < 0.2 * rms(there, outputs)
    assert not alike(there, flickering(outputs))
