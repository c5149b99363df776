"""The stream of windows, and what every filter keeps to: sizes, depths, clips in which nothing happens."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import pytest
from clips import scene
from flicker import Make, alike, busy, causal, drifting, flickering, run, samples, unsteadiness, window
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.temporal import FILTERS
from vidtrans.temporal.stream import Filter, Sample, Window, filter_samples

repeatable = hypothesis_settings(max_examples=25)
MAKE: dict[str, Make] = {"window": window, "causal": causal}


@dataclass
class Recorder:
    """A filter that notes what it was shown."""

    radius: int

    def __post_init__(self) -> None:
        self.seen: list[tuple[int, list[int]]] = []
        self.expected: list[tuple[int, int]] = []

    def expect(self, before: Sample, after: Sample) -> None:
        self.expected.append((before.index, after.index))

    def __call__(self, window: Window) -> np.ndarray:
        self.seen.append((window.samples[window.centre].index, [s.index for s in window.samples]))
        return window.samples[window.centre].output


def blank(count: int, cuts: set[int]) -> list[Sample]:
    picture = np.zeros((2, 2, 3), np.uint8)
    return [Sample(i, i, picture, picture, i == 0 or i in cuts) for i in range(count)]


def around(count: int, cuts: set[int], radius: int) -> list[tuple[int, list[int]]]:
    """Each frame with those of its shot that are no more than ``radius`` away."""
    bounds = [0, *sorted(c for c in cuts if c < count), count]
    return [
        (i, list(range(max(first, i - radius), min(stop, i + radius + 1))))
        for first, stop in pairwise(bounds)
        for i in range(first, stop)
    ]


@repeatable
@given(st.integers(0, 6), st.integers(0, 30), st.sets(st.integers(1, 29)), st.integers(0, 29))
def test_each_window_is_the_shot_around_its_frame(radius: int, count: int, cuts: set[int], first: int) -> None:
    method = Recorder(radius)
    assert [s.index for s, _ in filter_samples(blank(count, cuts), method)] == list(range(count))
    assert method.seen == around(count, cuts, radius)
    assert method.expected == [(i - 1, i) for i in range(1, count) if i not in cuts]
    some, wanted = Recorder(radius), range(first, first + 8)
    assert all(s.index in wanted for s, _ in filter_samples(blank(count, cuts), some, wanted))
    assert some.seen == [entry for entry in method.seen if entry[0] in wanted]


@pytest.mark.parametrize(("radius", "lag"), [(0, 0), (3, 4)])
def test_frames_come_out_as_soon_as_their_window_is_full_and_the_next_is_begun(radius: int, lag: int) -> None:
    read: list[int] = []

    def source() -> object:
        for sample in samples(drifting(12)):
            read.append(sample.index)
            yield sample

    for sample, _ in filter_samples(source(), Recorder(radius)):  # type: ignore[arg-type]
        assert read[-1] == min(sample.index + lag, 11)


@pytest.fixture(params=list(FILTERS))
def method(request: pytest.FixtureRequest) -> Filter:
    cls = FILTERS.load(request.param)
    made: Filter = cls(cls.Settings())
    return made


# Among them those at which a grid has one row, one column, or one place.
@pytest.mark.parametrize("size", [(1, 1), (64, 1)], ids=str)
def test_any_size_and_number_of_frames_is_filtered_in_8_bits_and_in_16(method: Filter, size: tuple[int, int]) -> None:
    for count in (1, 5):
        guides = [cv2.resize(f, size).reshape(size[1], size[0], 3) for f in drifting(count)]
        outputs = flickering(guides)
        before = [o.copy() for o in outputs]
        made = run(method, samples(guides, outputs))
        deep = run(method, samples(guides, [o.astype(np.uint16) * 257 for o in outputs]))
        assert {(m.shape, m.dtype) for m in made} == {((size[1], size[0], 3), np.dtype(np.uint8))}
        assert {(m.shape, m.dtype) for m in deep} == {((size[1], size[0], 3), np.dtype(np.uint16))}
        assert max(np.abs(d / 257 - m).max() for d, m in zip(deep, made, strict=True)) <= 1
        assert alike(outputs, before)


def test_16_bits_are_filtered_finer_than_8() -> None:
    """Not by way of 8 bits: a slow ramp keeps its steps."""
    ramp = np.broadcast_to(np.linspace(20000, 22000, 64).astype(np.uint16)[None, :, None], (48, 64, 3))
    guides = [(ramp // 257).astype(np.uint8)] * 5
    for make in MAKE.values():
        made = run(make(), samples(guides, [np.ascontiguousarray(ramp + 40 * (i % 2)) for i in range(5)]))
        assert len(np.unique(made[2])) > 20
        assert np.abs(made[3].astype(float) - ramp - 20).mean() < 15


def test_where_nothing_happens_nothing_changes(method: Filter) -> None:
    for shown, level in ((0, 90), (0, 255), (255, 0), (255, 90)):
        guides, outputs = ([np.full((24, 32, 3), value, np.uint8)] * 6 for value in (shown, level))
        assert alike(run(method, samples(guides, outputs)), outputs)
    still = [scene(32, 24, 3)] * 6
    assert alike(run(method, samples(still)), still)


@pytest.mark.parametrize("name", MAKE)
def test_flicker_over_a_plain_source_is_taken_out(name: str) -> None:
    """Black, or white: there is no texture that a flow could hold on to, and no change that explains any."""
    wanted = [np.full((32, 48, 3), 120, np.uint8)] * 30
    outputs = flickering(wanted)
    for shown in (0, 255):
        guides = [np.full((32, 48, 3), shown, np.uint8)] * 30
        made = run(MAKE[name](), samples(guides, outputs))
        assert unsteadiness(made[8:], wanted[8:]) < 0.2 * unsteadiness(outputs[8:], wanted[8:])


def test_what_does_not_match_is_not_mixed_in(method: Filter) -> None:
    """The neighbours show another picture, though no cut was marked: colour and flow both refuse it."""
    a, b = scene(64, 48, 3), scene(64, 48, 2)
    made = run(method, samples([b, b, b, a, b, b, b]))[3]
    assert np.abs(made.astype(int) - a).mean() < 4
    assert np.abs(b.astype(int) - a).mean() > 40


def test_of_a_clip_that_is_done_no_more_than_the_last_frame_is_held(method: Filter) -> None:
    given = samples(*busy(12))
    held = [weakref.ref(s) for s in given]
    run(method, given)
    del given
    gc.collect()
    assert [i for i, sample in enumerate(held) if sample() is not None] in ([], [11])
