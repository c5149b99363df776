"""Black bars of a clip, and what looks like them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from clips import scene
from hypothesis import given, settings
from hypothesis import strategies as st

from vidtrans.flow.bars import BLEED, NO_BARS, Bars, bars_of, black_bars, opaque_part

SIZE = (320, 240)


def brightest(dark: int = 60) -> np.ndarray:
    """Of a clip whose picture fills the frame."""
    return np.maximum(scene(*SIZE, seed=1).max(2), dark)


@settings(max_examples=15)
@given(top=st.integers(6, 60), left=st.integers(0, 60), noise=st.integers(0, 10))
def test_bars_are_found_to_a_few_lines(top: int, left: int, noise: int) -> None:
    picture = np.random.default_rng(top).integers(0, 2 * noise + 1, SIZE[::-1]).astype(np.uint8)
    left = left if left >= 6 else 0
    picture[top:-top, left : SIZE[0] - left] = brightest()[top:-top, left : SIZE[0] - left]
    side = left + BLEED if left else 0
    assert black_bars(picture) == Bars(side, top + BLEED, side, top + BLEED)


def test_a_bar_whose_end_is_lost_in_a_dark_picture_is_as_thick_as_the_other() -> None:
    picture = np.zeros(SIZE[::-1], np.uint8)
    picture[30:-30] = brightest()[30:-30]
    cv2.fillPoly(picture, [np.array([(20, 239), (120, 100), (200, 170), (319, 120), (319, 239)])], 0)  # a crowd
    assert black_bars(picture) == Bars(0, 32, 0, 32)
    assert black_bars(picture[::-1]) == Bars(0, 32, 0, 32)


NOTHING = np.zeros(SIZE[::-1], np.uint8)
# A puppet before a black ground, as bright as it ever is in each place.
FIGURE = cv2.circle(cv2.ellipse(NOTHING.copy(), (160, 150), (90, 60), 0, 0, 360, 200, -1), (150, 80), 40, 220, -1)
# Something straight and black at one side of the picture only.
SHELF = np.where(np.arange(SIZE[1])[:, None] < 40, 5, brightest())
PICTURES = {
    "plain": brightest(),
    "vignette": cv2.circle(NOTHING.copy(), (160, 120), 110, 200, -1),
    "figure": FIGURE,
    "shelf": SHELF,
    "black": NOTHING,
}


@pytest.mark.parametrize("name", PICTURES)
def test_what_is_dark_at_the_border_is_no_bar(name: str) -> None:
    assert black_bars(PICTURES[name]) == NO_BARS


def test_white_bars_are_bars_and_single_pictures_of_several_sizes_share_none() -> None:
    picture = np.full((240, 320, 3), 255, np.uint8)
    picture[30:-30] = scene(320, 180, seed=1)
    assert bars_of([picture]) == Bars(0, 32, 0, 32)
    assert bars_of([picture, picture[:200]]) == NO_BARS
    assert bars_of([picture, np.ascontiguousarray(picture[::-1])]) == Bars(0, 32, 0, 32)


def test_the_opaque_part_of_a_cut_out_has_no_transparent_pixel() -> None:
    alpha = cv2.circle(np.zeros((200, 300), np.uint8), (150, 100), 90, 255, -1)
    rows, columns = opaque_part(alpha)
    assert alpha[rows, columns].min() == 255
    assert alpha[rows, columns].size > 0.4 * (alpha > 0).sum()
    assert alpha[opaque_part(np.zeros((8, 8), np.uint8))].size == 0
    whole = np.full((200, 300), 254, np.uint8)  # nearly opaque counts as opaque
    assert whole[opaque_part(whole)].shape == whole.shape
    whole[180, 150] = 0
    assert whole[opaque_part(whole)].shape == (180, 300)
