"""What was painted over a frame is found by comparing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from clips import scene

from vidtrans.painting.corrections import Correction, change_mask, match_colours, merge

RESULT = scene(160, 90, seed=5)
BOX = (slice(30, 50), slice(70, 100))


def painted(colour: tuple[int, int, int] = (250, 20, 200)) -> np.ndarray:
    picture = RESULT.copy()
    picture[BOX] = colour
    return picture


def test_what_was_painted_is_found_whole_with_a_soft_edge_outside() -> None:
    cover = change_mask(painted(), RESULT)
    assert np.all(cover[BOX] == 1)
    outside = cover.copy()
    outside[26:54, 66:104] = 0
    assert not outside.any()
    assert 0 < cover[40, 67] <= 1


@pytest.mark.parametrize("quality", [60, 95])
def test_a_lossy_file_is_not_taken_for_paint(quality: int) -> None:
    data = cv2.imencode(".jpg", painted()[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    lossy = np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    cover = change_mask(lossy, RESULT, exact=False)
    assert cover[33:47, 73:97].mean() > 0.99
    cover[22:58, 62:108] = 0
    assert cover.mean() < 0.01


def test_of_two_corrections_of_one_frame_the_later_lies_over_the_other() -> None:
    cover = np.zeros((90, 160), np.uint8)
    cover[BOX] = 255
    one, two = (Correction(3, name, painted(c), cover) for name, c in (("a", (9, 9, 9)), ("b", (200, 9, 9))))
    other = Correction(1, "c", RESULT, cover)
    found = merge([one, other, two])
    assert [c.frame for c in found] == [1, 3]
    assert tuple(found[1].rgb[40, 80]) == (200, 9, 9)
    assert found[1].digest not in ("a", "b")


def test_colours_of_another_matrix_are_matched_and_paint_is_found_all_the_same() -> None:
    to_other = np.array([[1.04, 0.0, 0.0], [-0.05, 0.97, -0.04], [0.01, 0.03, 1.04]])
    other = np.clip(np.rint(painted() @ to_other + 2), 0, 255).astype(np.uint8)
    assert change_mask(other, RESULT).mean() > 0.3  # taken as it is
    matched = match_colours(other, RESULT)
    assert matched is not None
    cover = change_mask(matched, RESULT, exact=False)
    assert np.all(cover[33:47, 73:97] == 1)
    cover[22:58, 62:108] = 0
    assert not cover.any()
    assert np.abs(matched[40, 80].astype(int) - (250, 20, 200)).max() <= 10  # where it was clipped


def test_what_is_the_same_or_another_picture_is_not_matched() -> None:
    for other in (RESULT, painted(), 255 - RESULT, RESULT // 2):
        assert match_colours(other, RESULT) is None


def test_single_pixels_are_no_paint_and_paint_of_the_colour_below_leaves_no_hole() -> None:
    speck, picture = RESULT.copy(), painted()
    speck[10, 10] = 255 - speck[10, 10]
    assert not change_mask(speck, RESULT).any()
    picture[38:41, 80:83] = RESULT[38:41, 80:83]
    assert np.all(change_mask(picture, RESULT)[BOX] == 1)
