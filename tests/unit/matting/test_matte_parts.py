"""The parts of a matte: examples, gate, edges, colours, confidence, and which frames are followed from where."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from things import moving_thing, overlap, with_strokes

from vidtrans.masking.matte_edges import finish_edge, move_edge, refine_edge
from vidtrans.matting.matte_job import lost_ranges, suggest_frames
from vidtrans.matting.matte_request import OFF, ON
from vidtrans.matting.network import Box, CropWindow
from vidtrans.matting.object_mattes import LOST, Signals, confidence, limit_to_reach, sweeps
from vidtrans.matting.stroke_masks import grow_mask

FRAMES, MATTES = moving_thing(2)


def test_what_the_motion_does_not_reach_fades_and_crumbs_go() -> None:
    carried = np.zeros((100, 100), np.float32)
    carried[30:70, 30:70] = 1
    matte = carried.copy()
    matte[45:50, 75:78] = 1  # a crumb nearby
    matte[5:10, 5:10] = 1  # far away
    kept = limit_to_reach(matte, carried)
    assert np.array_equal(kept >= 0.5, carried >= 0.5)
    assert limit_to_reach(matte, np.zeros_like(matte)) is matte


def test_strokes_grow_to_the_thing() -> None:
    frame, matte = FRAMES[0], MATTES[0]
    painted = with_strokes(frame, matte)
    touched, green = (painted != frame).any(2), (painted == (0, 255, 0)).all(2)
    labels = np.where(green, ON, np.where(touched, OFF, 0)).astype(np.uint8)
    assert overlap(np.rint(255 * grow_mask(frame, labels)), matte) > 0.8
    assert np.array_equal(grow_mask(frame, labels), grow_mask(frame, labels))


def test_the_edge_follows_the_picture_at_its_own_size() -> None:
    frames, mattes = moving_thing(1, size=(640, 480))
    small = cv2.resize(frames[0], (160, 120), interpolation=cv2.INTER_AREA)
    matte = cv2.resize(mattes[0].astype(np.float32), (160, 120), interpolation=cv2.INTER_AREA)
    plain = cv2.resize(matte, (640, 480), interpolation=cv2.INTER_LINEAR)
    errors = [float(np.abs(made - mattes[0]).mean()) for made in (refine_edge(matte, small, frames[0]), plain)]
    assert errors[0] < 0.6 * errors[1]


@given(st.floats(-6, 6))
def test_an_edge_moves_by_pixels(pixels: float) -> None:
    matte = np.zeros((60, 60), np.float32)
    matte[:, 30:] = 1
    moved = move_edge(matte, pixels)
    assert moved[30].sum() == pytest.approx(30 + pixels, abs=1e-3)
    assert finish_edge(matte, 0, 0) is matte
    assert 0 < finish_edge(matte, 0, 4)[30, 30] < 1


def test_parts_where_a_thing_is_lost_are_named_and_doubtful_frames_suggested() -> None:
    sure = dict.fromkeys(range(100), 0.9) | dict.fromkeys((40, 41, 42, 80), 0.2)
    assert lost_ranges(sure) == [[40, 42], [80, 80]]
    assert suggest_frames(sure, [0], 1)[0] in (40, 41, 42)
    assert 0 not in suggest_frames({0: 0.1, 1: 0.9}, [0], 5)
    assert suggest_frames({0: 0.1, 1: 0.9}, [0], 5) == [1]
    assert suggest_frames(sure, [0], 0) == []
    assert suggest_frames(dict.fromkeys(range(50_000), 0.5), [], 1)  # in memory that grows with the clip, no faster


def test_every_frame_of_a_painted_shot_is_reached_and_none_over_a_cut() -> None:
    found = [(sweep.key, list(sweep.frames)) for sweep in sweeps([3, 9, 30], [range(12), range(12, 29), range(29, 33)])]
    between = [4, 5, 6, 7, 8]
    assert found == [(3, [2, 1, 0]), (3, between), (9, between[::-1]), (9, [10, 11]), (30, [29]), (30, [31, 32])]


def test_confidence_rises_with_the_signals() -> None:
    assert confidence(Signals(0.2, 0.2, 0.2, 0.2)) < LOST < confidence(Signals(0.95, 0.95, 0.9, 1.0))


@pytest.mark.parametrize("box", [Box(10, 20, 60, 90), Box(200, 0, 320, 40)], ids=str)
def test_a_thing_lies_in_its_window_at_its_place(box: Box) -> None:
    window, matte = CropWindow.around(box, (320, 180), 96), np.zeros((180, 320), np.float32)
    matte[box.top : box.bottom, box.left : box.right] = 1
    taken = window.crop(matte, border=0)
    assert taken.sum() / window.scale**2 == pytest.approx(matte.sum(), rel=0.1)
    assert np.abs(window.paste(taken, (320, 180)) - matte).sum() < 0.2 * matte.sum()


def test_a_box_is_a_stroke_around_the_thing() -> None:
    frame, matte = FRAMES[0], MATTES[0]
    rows, columns = np.nonzero(matte)
    labels = np.zeros(matte.shape, np.uint8)
    corner, other = (int(columns.min()) - 6, int(rows.min()) - 6), (int(columns.max()) + 6, int(rows.max()) + 6)
    cv2.rectangle(labels, corner, other, ON, 2)
    assert overlap(np.rint(255 * grow_mask(frame, labels)), matte) > 0.8
