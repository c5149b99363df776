"""Pictures between two frames: near the truth, in step with the motion, and one at cuts and edges of the picture."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from clips import scene

from vidtrans.flow.estimator import FlowEstimator
from vidtrans.retiming.between import Guide, Motion, between, measure_motion, project

pytestmark = pytest.mark.usefixtures("one_thread")
ESTIMATOR = FlowEstimator("dis-fine", 384)
WIDTH, HEIGHT = 160, 112


def at(x: float, y: float, disc: float) -> np.ndarray:
    """A scene seen from (x, y), with a disc at another place in it."""
    ground = scene(240, 180, 4)
    move = np.array([[1, 0, -x], [0, 1, -y]], np.float32)
    seen = cv2.warpAffine(ground, move, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    fine = 4
    centre = (round((60 + disc) * 2**fine), round(56 * 2**fine))
    return np.asarray(cv2.circle(seen, centre, 16 * 2**fine, (240, 240, 40), -1, cv2.LINE_AA, fine))


def motion(first: np.ndarray, second: np.ndarray) -> Motion:
    return measure_motion(Guide(first, ESTIMATOR), Guide(second, ESTIMATOR), ESTIMATOR)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.square(a.astype(float) - b).mean(), 1e-9)))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_a_moving_scene_is_much_nearer_to_the_truth_than_a_blend(share: float) -> None:
    first, second = at(0, 0, 0), at(6, 3, 9)
    made, certainty = between(first, second, share, motion(first, second))
    truth = at(6 * share, 3 * share, 9 * share)
    blend = (1 - share) * first.astype(float) + share * second
    assert psnr(made, truth) > psnr(blend, truth) + 6
    assert certainty > 0.8


def test_a_motion_that_slows_down_is_curved_in_time() -> None:
    places = [0.0, 10.0, 16.0, 18.0]  # x = 12 t − 2 t² − …: the second differences are −4
    frames = [at(x, 0, 0) for x in places]
    steps = [motion(a, b) for a, b in pairwise(frames)]
    truth = at(13.5, 0, 0)  # on the parabola through the last three and the first three
    linear, _ = between(frames[1], frames[2], 0.5, steps[1])
    curved, _ = between(frames[1], frames[2], 0.5, steps[1], steps[0], steps[2])
    assert psnr(curved, truth) > psnr(linear, truth) + 1


def test_frames_that_show_different_things_are_uncertain() -> None:
    first, second = scene(WIDTH, HEIGHT, 1), scene(WIDTH, HEIGHT, 2)
    _, certainty = between(first, second, 0.5, motion(first, second))
    assert certainty < 0.6


def test_sixteen_bits_keep_their_range_and_a_still_scene_stays() -> None:
    first = at(0, 0, 0).astype(np.uint16) * 257
    made, certainty = between(first, first, 0.5, motion(first, first))
    assert made.dtype == np.uint16
    assert np.abs(made.astype(int) - first).max() <= 257
    assert certainty == 1


def test_values_are_carried_to_where_their_pixels_go_and_holes_are_filled() -> None:
    values = np.zeros((12, 16, 1), np.float32)
    values[:, 4:8] = 1
    moved = np.zeros((12, 16, 2), np.float32)
    moved[:, 4:8, 0] = 3
    found, covered = project(moved, values, np.where(values[..., 0] > 0, 1, 0.01).astype(np.float32))
    assert np.allclose(found[:, 8:11, 0], 1, atol=0.05)  # they weigh more than what was there
    assert (covered[:, 4:7] == 0).all()
    assert np.isfinite(found).all()
    assert found[:, 4:7].max() <= 1
