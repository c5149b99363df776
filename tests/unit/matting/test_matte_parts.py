"""The parts of a matte: examples, gate, edges, colours, confidence, and which frames are followed from where."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from things import moving_thing, overlap, with_strokes

from vidtrans.matting.confidence import lost_parts, suggested
from vidtrans.matting.examples import ExampleMaker, PaintedThing
from vidtrans.matting.marks import OFF, ON
from vidtrans.matting.matte_edges import finished, moved_edge, refined
from vidtrans.matting.stroke_masks import grown
from vidtrans.matting.swept_mattes import BLOCK, sweeps
from vidtrans.matting.tracking import LOST, Signals, confidence, within_reach
from vidtrans.matting.windows import MULTIPLE, Box, CropWindow, box_of

FRAMES, MATTES = moving_thing(2)
PAINTED = PaintedThing(FRAMES[0], MATTES[0].astype(np.float32))


def test_examples_show_the_thing_where_their_matte_says() -> None:
    maker, orange = ExampleMaker(PAINTED, 96), 0
    for seed in range(20):
        example = maker.draw(np.random.default_rng(seed))
        assert example.picture.shape == (96, 96, 3)
        assert 0 <= example.picture.min() <= example.picture.max() <= 1
        inside, outside = example.matte > 0.95, example.matte < 0.05
        warm = example.picture[..., 0] - example.picture[..., 2]
        orange += bool(inside.any()) and warm[inside].mean() > warm[outside].mean() + 0.2
    assert orange >= 18
    same = [maker.draw(np.random.default_rng(7)).picture for _ in range(2)]
    assert np.array_equal(*same)


def test_some_examples_have_no_guide_and_others_a_wrong_one() -> None:
    maker = ExampleMaker(PAINTED, 96)
    drawn = [maker.draw(np.random.default_rng(seed)) for seed in range(40)]
    guides = [(one.guide, one.matte) for one in drawn]
    assert 1 <= sum(guide is None for guide, _ in guides) <= 15
    apart = [float(np.abs(guide - matte).mean()) for guide, matte in guides if guide is not None]
    assert min(apart) > 0


def test_what_the_motion_does_not_reach_fades_and_crumbs_go() -> None:
    carried = np.zeros((100, 100), np.float32)
    carried[30:70, 30:70] = 1
    matte = carried.copy()
    matte[45:50, 75:78] = 1  # a crumb nearby
    matte[5:10, 5:10] = 1  # far away
    kept = within_reach(matte, carried)
    assert np.array_equal(kept >= 0.5, carried >= 0.5)
    assert within_reach(matte, np.zeros_like(matte)) is matte


def test_strokes_grow_to_the_thing() -> None:
    frame, matte = FRAMES[0], MATTES[0]
    painted = with_strokes(frame, matte)
    touched, green = (painted != frame).any(2), (painted == (0, 255, 0)).all(2)
    labels = np.where(green, ON, np.where(touched, OFF, 0)).astype(np.uint8)
    assert overlap(np.rint(255 * grown(frame, labels)), matte) > 0.8
    assert np.array_equal(grown(frame, labels), grown(frame, labels))


def test_the_edge_follows_the_picture_at_its_own_size() -> None:
    frames, mattes = moving_thing(1, size=(640, 480))
    small = cv2.resize(frames[0], (160, 120), interpolation=cv2.INTER_AREA)
    matte = cv2.resize(mattes[0].astype(np.float32), (160, 120), interpolation=cv2.INTER_AREA)
    plain = cv2.resize(matte, (640, 480), interpolation=cv2.INTER_LINEAR)
    errors = [float(np.abs(made - mattes[0]).mean()) for made in (refined(matte, small, frames[0]), plain)]
    assert errors[0] < 0.6 * errors[1]


@given(st.floats(-6, 6))
def test_an_edge_moves_by_pixels(pixels: float) -> None:
    matte = np.zeros((60, 60), np.float32)
    matte[:, 30:] = 1
    moved = moved_edge(matte, pixels)
    assert moved[30].sum() == pytest.approx(30 + pixels, abs=1e-3)
    assert finished(matte, 0, 0) is matte
    assert 0 < finished(matte, 0, 4)[30, 30] < 1


def test_confidence_rises_with_every_signal() -> None:
    low = confidence(Signals(0.2, 0.2, 0.2, 0.2))
    assert 0 < low < LOST < confidence(Signals(0.95, 0.95, 0.9, 1.0)) < 1
    for k in range(4):
        better = [0.2] * 4
        better[k] = 0.9
        assert confidence(Signals(*better)) > low


def test_parts_where_a_thing_is_lost_are_named_and_doubtful_frames_suggested() -> None:
    sure = dict.fromkeys(range(100), 0.9) | dict.fromkeys((40, 41, 42, 80), 0.2)
    assert lost_parts(sure) == [[40, 42], [80, 80]]
    assert suggested(sure, [0], 1)[0] in (40, 41, 42)
    assert 0 not in suggested({0: 0.1, 1: 0.9}, [0], 5)
    assert suggested({0: 0.1, 1: 0.9}, [0], 5) == [1]
    assert suggested(sure, [0], 0) == []
    assert suggested(dict.fromkeys(range(50_000), 0.5), [], 1)  # in memory that grows with the clip, no faster


@st.composite
def painted_shots(draw: st.DrawFn) -> tuple[list[int], list[range]]:
    edges = sorted({0, *draw(st.lists(st.integers(1, 80), max_size=3)), 90})
    shots = [range(a, b) for a, b in itertools.pairwise(edges)]
    return sorted(draw(st.sets(st.integers(0, 89), max_size=5))), shots


@given(painted_shots())
def test_every_frame_of_a_painted_shot_is_reached_and_none_over_a_cut(
    given_: tuple[list[int], list[range]],
) -> None:
    keys, shots = given_
    found = sweeps(keys, shots)
    reached = {frame for sweep in found for frame in sweep.frames}
    bare = {frame for shot in shots if not set(keys) & set(shot) for frame in shot}
    assert reached == set(range(90)) - set(keys) - bare
    for sweep in found:
        [shot] = [shot for shot in shots if sweep.key in shot]
        assert all(frame in shot for frame in (*sweep.frames, *sweep.learned))
        assert abs(sweep.frames[0] - sweep.key) == 1
        assert [frame for block in sweep.blocks for frame in block] == list(sweep.frames)
        assert all(len(block) <= BLOCK for block in sweep.blocks)
    if keys:  # another painted frame changes only the two parts beside it
        more = sweeps(sorted({*keys, 45}), shots)
        changed = {frame for sweep in set(more) ^ set(found) for frame in sweep.frames}
        before, after = max([k for k in keys if k < 45], default=-1), min([k for k in keys if k > 45], default=90)
        assert all(before <= frame <= after for frame in changed)


FRAME = (320, 180)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    left, top = draw(st.integers(0, FRAME[0] - 2)), draw(st.integers(0, FRAME[1] - 2))
    # A line of one pixel may fall between the pixels of a smaller window.
    return Box(left, top, draw(st.integers(left + 2, FRAME[0])), draw(st.integers(top + 2, FRAME[1])))


@given(boxes(), st.sampled_from([96, 320]))
def test_a_thing_lies_in_its_window_at_its_place(box: Box, side: int) -> None:
    window = CropWindow.around(box, FRAME, side)
    assert all(length % MULTIPLE == 0 for length in window.size)
    matte = np.zeros(FRAME[::-1], np.float32)
    matte[box.top : box.bottom, box.left : box.right] = 1
    taken = window.take(matte, border=0)
    assert taken.sum() / window.scale**2 >= 0.6 * matte.sum() - 4
    again = window.place(taken, FRAME)
    assert np.abs(again - matte).sum() <= 0.7 * 4 * sum(box.sides) / min(1.0, window.scale) + 8


def test_the_box_of_nothing_is_none() -> None:
    assert box_of(np.full((4, 4), 0.49, np.float32)) is None
    assert box_of(np.eye(4, dtype=np.float32)) == (0, 0, 4, 4)
