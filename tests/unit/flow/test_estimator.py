"""Flow at a size of its own, and from one grid to another."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
from clips import scene
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.flow.estimator import NARROWEST, DISMedium, FlowEstimator, grey
from vidtrans.flow.warping import resize_flow, warp

repeatable = hypothesis_settings(max_examples=20)
sides = st.integers(4, 40)
rates = st.floats(-0.5, 0.5)


def linear_motion(height: int, width: int, matrix: np.ndarray, shift: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """A zoom, rotation or shear, told in a picture of 1 × 1 with its corner at 0, on the grid of a (width, height)."""
    size = np.array([width, height])
    ys, xs = np.mgrid[0:height, 0:width]
    places = (np.dstack([xs, ys]) + 0.5) / size * unit
    return ((places @ matrix.T + shift) / unit * size).astype(np.float32)


@repeatable
@given(sides, sides, sides, sides, st.tuples(rates, rates, rates, rates), st.tuples(rates, rates))
def test_a_resized_flow_is_the_same_motion_on_another_grid(
    w: int, h: int, to_w: int, to_h: int, rate: tuple[float, ...], shift: tuple[float, ...]
) -> None:
    """Enlarging or shrinking both ways, by any ratio: centres of pixels lie at halves, and corners stay corners."""
    if (to_w - w) * (to_h - h) < 0:
        to_w = to_h = max(to_w, to_h, w, h)
    motion = np.array(rate).reshape(2, 2) / 10, np.array(shift), np.array([1.0, h / w])
    found = resize_flow(linear_motion(h, w, *motion), to_w, to_h)
    expected = linear_motion(to_h, to_w, *motion)
    assert found.shape == (to_h, to_w, 2)
    assert found.dtype == np.float32
    # What a pixel's flow may be off by: half of a pixel of the coarser grid, at the border, where nothing lies beyond.
    coarser = max(to_w / w, to_h / h, 1.0)
    steps = [np.abs(np.diff(expected, axis=a)).max(initial=0) for a in (0, 1)]
    assert np.abs(found - expected).max() <= 0.51 * coarser * sum(steps) + 1e-4
    rim = int(np.ceil(coarser))
    inner, wanted = (f[rim:-rim, rim:-rim] for f in (found, expected))
    assert np.abs(inner - wanted).max(initial=0) <= 0.26 * sum(steps) + 1e-4
    is_exact = to_w % w == to_h % h == 0  # interpolation of what is linear is
    assert not is_exact or np.abs(inner - wanted).max(initial=0) <= 1e-4 * (1 + np.abs(wanted).max(initial=0))


# The estimator


def test_pictures_are_prepared_once_at_the_working_size() -> None:
    frame = scene(160, 90, 1)
    assert FlowEstimator("dis", 45).prepare(frame).shape == (45, 80)
    assert FlowEstimator("dis", 400).prepare(frame).shape == (90, 160)  # never enlarged
    whole = FlowEstimator("dis").prepare(frame)
    assert whole.dtype == np.uint8
    assert np.array_equal(whole, grey(frame))
    deep = FlowEstimator("dis", 45).prepare(frame.astype(np.uint16) * 257)
    assert deep.dtype == np.uint8
    assert np.abs(deep.astype(int) - FlowEstimator("dis", 45).prepare(frame)).max() <= 1


def test_what_stands_still_has_no_flow_at_all() -> None:
    estimator = FlowEstimator("dis")
    for picture in (estimator.prepare(scene(64, 48, 1)), scene(64, 48, 1)):
        there, back = estimator.estimate_both(picture, picture.copy())
        assert there.shape == back.shape == (48, 64, 2)
        assert not there.any()
        assert not back.any()
        assert there is not back


def test_flow_at_a_working_size_is_the_flow_at_full_size_once_it_is_resized() -> None:
    big = scene(420, 330, seed=8)
    first, second = big[40:280, 40:360], big[34:274, 52:372]
    for short_side in (None, 101):
        estimator = FlowEstimator("dis", short_side)
        there, back = estimator.estimate_both(estimator.prepare(first), estimator.prepare(second))
        assert min(there.shape[:2]) == (short_side or 240)
        for flow, sign in ((there, 1), (back, -1)):
            off = np.abs(resize_flow(flow, 320, 240) - np.float32((-12 * sign, 6 * sign)))[30:-30, 30:-30]
            assert off.max() < 0.5
            assert off.mean() < 0.1
    found = warp(second, resize_flow(there, 320, 240))
    assert np.abs(found.astype(int) - first)[30:-30, 30:-30].mean() < 1


def test_a_small_picture_is_one_corner_of_what_is_searched() -> None:
    method, size, width, height = DISMedium(), NARROWEST, 40, 9
    small = [cv2.cvtColor(scene(width, height, seed), cv2.COLOR_RGB2GRAY) for seed in (0, 1)]
    wide = [np.pad(p, ((0, size - height), (0, size - width)), mode="edge") for p in small]
    assert np.array_equal(method(*small), method(*wide)[:height, :width])


def test_flow_on_pictures_loads_no_torch() -> None:
    code = """
import sys; from vidtrans.flow.estimator import FlowEstimator; import vidtrans.flow.warping
FlowEstimator('dis'); FlowEstimator('brox'); assert 'torch' not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
