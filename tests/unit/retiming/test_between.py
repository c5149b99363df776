"""Pictures between two frames: near the truth, in step with the motion, and one at cuts and edges of the picture."""

from __future__ import annotations

from contextlib import closing
from itertools import pairwise

import cv2
import numpy as np
import pytest
from clips import scene

from vidtrans.retiming import between
from vidtrans.retiming.between import Mixer, Motion, project

pytestmark = pytest.mark.usefixtures("one_thread")
MIXER = Mixer(1)
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
    return MIXER.motion(MIXER.guide(first), MIXER.guide(second))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.square(a.astype(float) - b).mean(), 1e-9)))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_a_moving_scene_is_much_nearer_to_the_truth_than_a_blend(share: float) -> None:
    first, second = at(0, 0, 0), at(6, 3, 9)
    made, certainty = MIXER(first, second, share, motion(first, second))
    truth = at(6 * share, 3 * share, 9 * share)
    blend = (1 - share) * first.astype(float) + share * second
    assert psnr(made, truth) > psnr(blend, truth) + 6
    assert certainty > 0.8


def test_a_motion_that_slows_down_is_curved_in_time() -> None:
    places = [0.0, 10.0, 16.0, 18.0]  # x = 12 t − 2 t² − …: the second differences are −4
    frames = [at(x, 0, 0) for x in places]
    steps = [motion(a, b) for a, b in pairwise(frames)]
    truth = at(13.5, 0, 0)  # on the parabola through the last three and the first three
    linear, _ = MIXER(frames[1], frames[2], 0.5, steps[1])
    curved, _ = MIXER(frames[1], frames[2], 0.5, steps[1], steps[0], steps[2])
    assert psnr(curved, truth) > psnr(linear, truth) + 1


def test_frames_that_show_different_things_are_uncertain() -> None:
    first, second = scene(WIDTH, HEIGHT, 1), scene(WIDTH, HEIGHT, 2)
    _, certainty = MIXER(first, second, 0.5, motion(first, second))
    assert certainty < 0.6


def test_sixteen_bits_keep_their_range_and_a_still_scene_stays() -> None:
    first = at(0, 0, 0).astype(np.uint16) * 257
    made, certainty = MIXER(first, first, 0.5, motion(first, first))
    assert made.dtype == np.uint16
    assert np.abs(made.astype(int) - first).max() <= 257
    assert certainty == 1


def test_values_are_carried_to_where_their_pixels_go() -> None:
    flow = np.zeros((12, 16, 2), np.float32)
    flow[:, 4:8, 0] = 3
    weights = np.where(flow[..., 0] > 0, 1, 0.01).astype(np.float32)
    sums = np.zeros((12, 16, 6), np.float32)
    project(flow, 2 * flow, weights, sums)
    assert (sums[:, 4:7, 5] == 0).all()  # uncovered
    assert (sums[:, 8:11, 5] == 2).all()  # what was there, and what came
    assert np.allclose(sums[:, 8:11, 0] / sums[:, 8:11, 4], 3, atol=0.05)  # which weighs more
    assert np.allclose(sums[..., 2], 2 * sums[..., 0])
    out = np.full((12, 16, 2), 100, np.float32)
    project(out, out, weights, sums)  # outside of the picture nothing lands
    assert sums[..., 5].sum() == 12 * 16


def test_pictures_do_not_depend_on_the_number_of_threads_and_may_be_larger_than_the_flow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(between, "FLOW_SHORT_SIDE", 100)
    first, second = (np.asarray(cv2.resize(at(x, 0, x), (301, 211))) for x in (0, 5))
    made = []
    for threads in (1, 3):
        with closing(Mixer(threads)) as several:
            flows = several.motion(several.guide(first), several.guide(second))
            made.append(several(first, second, 0.3, flows)[0])
    assert flows.forth.shape[0] == 100
    assert np.array_equal(*made)
    truth = np.asarray(cv2.resize(at(1.5, 0, 1.5), (301, 211)))
    assert psnr(made[0], truth) > psnr(0.7 * first + 0.3 * second, truth) + 3


def drawn(*middles: float) -> np.ndarray:
    """Circles in thin lines on white."""
    page = np.full((192, 256, 3), 255, np.uint8)
    for n, x in enumerate(middles):
        cv2.circle(page, (round(x * 16), (80 + 40 * n) * 16), 30 * 16, (20, 20, 20), 2, cv2.LINE_AA, 4)
    return page


def test_thin_lines_that_move_further_than_their_width_stay_whole_or_are_uncertain() -> None:
    def make(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, float]:
        """The picture midway between two drawings, and how certain it is."""
        guides = [MIXER.guide(page, drawn=True) for page in (first, second)]
        return MIXER(first, second, 0.5, MIXER.motion(*guides))

    made, certainty = make(drawn(80), drawn(102))
    assert psnr(made, drawn(91)) > 32
    assert certainty > 0.9
    other = np.full((192, 256, 3), 255, np.uint8)
    for x in range(20, 250, 45):
        cv2.line(other, (x, 20), (270 - x, 170), (20, 20, 20), 2, cv2.LINE_AA)
    _, certainty = make(drawn(80), other)
    assert certainty < 0.9
