"""Flow at a size of its own, and from one grid to another."""

from __future__ import annotations

import cv2
import numpy as np
from clips import scene

from vidtrans.flow.estimator import NARROWEST, DISMedium, FlowEstimator, grey
from vidtrans.flow.warping import resize_flow, warp


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
