"""The window filter, bit by bit: it may be cut anywhere, and what it lets go of it makes again the same."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from flicker import WIDTHS, Frames, alike, busy, run, samples, window
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.store.chunking import cut_into_chunks, read_ranges
from vidtrans.temporal.stream import HeldFrames

repeatable = hypothesis_settings(max_examples=2)
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
