"""Tests of windows over stored frames, of how they move, and of the views that a network receives."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import torch
from clips import scene
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.data.augment import Geometry
from vidtrans.data.loading import to_signed
from vidtrans.data.moving_windows import Windows, draw_windows, frame_coverage, normalised, render, render_into_frame
from vidtrans.networks.frame_memory import sample_view

few = hypothesis_settings(max_examples=15)
FRAME, SIZE = (96, 64), (48, 32)
INNER = slice(6, -6), slice(6, -6)


def smooth(seed: int = 0) -> np.ndarray:
    return cv2.GaussianBlur(scene(*FRAME, seed=seed), (0, 0), 2)


def drawn(seed: int, *, moving: bool = True) -> Windows:
    return draw_windows(np.random.default_rng(seed), SIZE, FRAME, 3, moving=moving)


@few
@given(st.integers(0, 10**6))
def test_what_was_seen_before_lies_right_over_what_is_seen_now(seed: int) -> None:
    windows, frame = drawn(seed), smooth()
    for back in (1, 2):
        now, before = windows.render_target(frame).astype(int), windows.render_past(frame, back).astype(int)
        assert np.abs(now - before)[INNER].mean() < 3
    assert np.array_equal(windows.stationary().render_past(frame, 2), windows.render_target(frame))


def geometries() -> list[Geometry]:
    whole = [
        Geometry(FRAME, x, y, SIZE, mirrored) for (x, y), mirrored in itertools.product([(0, 0), (48, 17)], [0, 1])
    ]
    scaled = Geometry((120, 80), 30, 11, SIZE, mirrored=False)
    return [*whole, scaled, *(Geometry(FRAME, 0, 0, SIZE, False, windows=drawn(seed)) for seed in range(6))]


def test_what_a_network_is_told_of_an_example_is_what_it_shows() -> None:
    frame = smooth(3)
    whole = torch.from_numpy(to_signed(frame))[None]
    for geometry in geometries():
        view = torch.tensor(geometry.view(FRAME)).reshape(1, 2, 3)
        shown = torch.from_numpy(to_signed(geometry.apply(frame)))
        assert (sample_view(whole, view, SIZE[1], SIZE[0])[0] - shown).abs()[:, 4:-4, 4:-4].mean() < 0.02


@few
@given(st.integers(0, 10**6))
def test_a_picture_is_placed_where_its_window_lies(seed: int) -> None:
    view, frame = drawn(seed).view(), smooth(5).astype(np.float32) / 127.5 - 1
    back = np.linalg.inv(normalised(view, SIZE, FRAME))
    placed, covered = render_into_frame(render(frame, view, SIZE), back, FRAME), frame_coverage(back, FRAME)
    assert set(np.unique(covered)) <= {0.0, 1.0}
    inside = cv2.erode(covered, np.ones((9, 9))) > 0
    assert covered.mean() > 0.15
    if inside.any():
        assert np.abs(placed - frame)[inside].mean() < 0.05


@given(st.integers(0, 10**6))
def test_windows_that_go_on_stay_near_the_frame_and_move_as_before_or_as_they_may(seed: int) -> None:
    rng, windows = np.random.default_rng(seed), drawn(seed)
    for _ in range(60):
        following = windows.advance(rng, FRAME)
        assert following.rows[:-1] == windows.rows[1:]
        windows = following
    assert (np.abs(windows.view()[:2, 2]) <= 0.66 * np.array(FRAME)).all()
