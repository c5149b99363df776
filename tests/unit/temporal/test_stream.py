"""Windows and states of the filters, bit by bit, and what every filter keeps to: sizes, depths, still clips."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import pytest
from clips import scene
from flicker import WIDTHS, Frames, Make, alike, busy, causal, drifting, flickering, run, samples, unsteadiness, window
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.core.events import ignore_event
from vidtrans.store.cache import Cache
from vidtrans.store.chunking import cut_into_chunks, read_ranges
from vidtrans.store.chunks import StateStore
from vidtrans.temporal import FILTERS
from vidtrans.temporal.stream import Filter, HeldFrames, RecursiveFilter, Sample, Window, filter_samples

repeatable = hypothesis_settings(max_examples=25)
MAKE: dict[str, Make] = {"window": window, "causal": causal}


@dataclass
class Recorder:
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


rarely = hypothesis_settings(max_examples=2)
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


@rarely
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


def test_held_drawings_stay_still_however_the_clip_is_cut() -> None:
    """Windows of equal frames differ, for one of them is nearer to the next drawing."""
    hold = 3
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
    for radius in (1, 7):
        [whole] = run(window(radius=radius), samples(guides, outputs), range(20, 21))
        for far in (20 - radius, 20 + radius):
            brighter = outputs.copy()
            brighter[far] = np.clip(outputs[far].astype(int) + 60, 0, 255).astype(np.uint8)
            [made] = run(window(radius=radius), samples(guides, brighter), range(20, 21))
            assert not np.array_equal(made, whole)


# What is let go of


few = hypothesis_settings(max_examples=3)
FRAMES, CUT = 16, 7


def two_shots(deep: bool = False) -> tuple[Frames, Frames]:
    first, second = busy(CUT, seed=1), busy(FRAMES - CUT, seed=2)
    guides, outputs = first[0] + second[0], first[1] + second[1]
    return guides, [o.astype(np.uint16) * 257 + 7 for o in outputs] if deep else outputs


def fresh(deep: bool = False) -> list[Sample]:
    return samples(*two_shots(deep), (0, CUT))


def test_nothing_before_a_cut_is_looked_at_and_all_of_the_shot_is() -> None:
    whole = run(causal(), fresh())
    for changed in (CUT - 1, CUT):
        guides, outputs = two_shots()
        outputs[changed] = np.clip(outputs[changed].astype(int) + 60, 0, 255).astype(np.uint8)
        made = run(causal(), samples(guides, outputs, (0, CUT)))
        same = [np.array_equal(a, b) for a, b in zip(made, whole, strict=True)]
        assert same == ([i != changed for i in range(FRAMES)] if changed < CUT else [i < CUT for i in range(FRAMES)])


@few
@given(st.integers(0, FRAMES), st.booleans(), st.sampled_from([1, 3, 12, 64]))
def test_from_its_state_at_any_frame_it_goes_on_exactly(frame: int, deep: bool, history: int) -> None:
    method = causal(history=history)
    assert isinstance(method, RecursiveFilter)
    assert method.state() == {}  # before its first frame
    whole = run(causal(history=history), fresh(deep))
    assert alike(run(method, fresh(deep)[:frame]), whole[:frame])
    state = {name: value.copy() for name, value in method.state().items()}
    kept = method.state()
    assert alike(run(method, fresh(deep)[frame:]), whole[frame:])
    assert {n: v.tobytes() for n, v in kept.items()} == {n: v.tobytes() for n, v in state.items()}  # not written into
    other = causal(history=history)
    run(other, samples(*busy(3, (48, 32))))  # it was somewhere else before
    other.resume(state)
    assert alike(run(other, fresh(deep)[frame:]), whole[frame:])


def state_of(frames: int) -> Mapping[str, np.ndarray]:
    method = causal()
    run(method, fresh()[:frames])
    return method.state()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateStore]:
    entry = Cache(tmp_path_factory.mktemp("cache"), ignore_event).entry("render", "k")
    with entry.locked():
        yield StateStore(entry)


def test_a_state_is_read_as_it_was_written_and_the_one_before_it_is_gone(stored: StateStore) -> None:
    stored.clear()
    assert stored.load(0) is None
    for number in range(3):
        stored.save(number, state_of(number + 2))
    read, wanted = stored.load(2), state_of(4)
    assert read is not None
    assert {n: (v.dtype, v.tobytes()) for n, v in read.items()} == {
        n: (v.dtype, v.tobytes()) for n, v in wanted.items()
    }
    assert stored.load(0) is stored.load(1) is None
    assert {p.name for p in stored.entry.folder.glob("state*")} == {"state-000002.npz", "state-000002.json"}
    stored.clear()
    assert not list(stored.entry.folder.glob("state*"))


@hypothesis_settings(few, max_examples=30)
@given(st.integers(0, 10**6), st.integers(0, 255), st.sampled_from([".npz", ".json"]))
def test_a_state_that_is_damaged_anywhere_is_none(stored: StateStore, at: int, flip: int, suffix: str) -> None:
    """``flip`` 0: cut off there."""
    whole = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    stored.clear()
    stored.save(0, {"mean": whole, "count": np.ones((1, 2), np.float32)})
    (path,) = stored.entry.folder.glob(f"state*{suffix}")
    data = bytearray(path.read_bytes())
    at %= len(data)
    if flip:
        data[at] ^= flip
    path.write_bytes(data if flip else data[:at])
    read = stored.load(0)
    # The other bytes of the JSON are only its form.
    assert read is None or (suffix == ".json" and np.array_equal(read["mean"], whole))
