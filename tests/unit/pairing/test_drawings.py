"""Telling a drawing from a photograph."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import pytest
from clips import scene

from vidtrans.pairing.drawings import is_drawing

Kind = Literal["lines", "flats"]
RNG = np.random.default_rng(3)


def line_drawing(width: int = 640, height: int = 480, paper: int = 255, ink: int = 0) -> np.ndarray:
    """A house and a sun in strokes of three pixels."""
    page = np.full((height, width, 3), paper, np.uint8)
    draw = {"color": (ink,) * 3, "thickness": 3, "lineType": cv2.LINE_AA}
    cv2.rectangle(page, (width // 4, height // 2), (width // 2, height - 40), **draw)
    cv2.line(page, (width // 4, height // 2), (3 * width // 8, height // 4), **draw)
    cv2.line(page, (3 * width // 8, height // 4), (width // 2, height // 2), **draw)
    cv2.circle(page, (3 * width // 4, height // 4), height // 10, **draw)
    return page


def poster(width: int = 640, height: int = 480) -> np.ndarray:
    """A few flat colours with anti-aliased borders."""
    page = np.full((height, width, 3), (90, 160, 220), np.uint8)
    cv2.rectangle(page, (0, 2 * height // 3), (width, height), (60, 140, 60), -1)
    cv2.circle(page, (width // 2, height // 2), height // 4, (220, 60, 50), -1, cv2.LINE_AA)
    cv2.circle(page, (width // 4, height // 4), height // 8, (250, 220, 90), -1, cv2.LINE_AA)
    return page


def noisy(picture: np.ndarray, sigma: float) -> np.ndarray:
    return np.clip(picture + RNG.normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)


def photograph() -> np.ndarray:
    return noisy(scene(640, 480, 5), 6)


@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (0, 255), (235, 40), (20, 220)])
@pytest.mark.parametrize("size", [(640, 480), (2000, 1500), (160, 120)])
def test_lines_on_light_or_dark_paper_are_a_drawing(paper: int, ink: int, size: tuple[int, int]) -> None:
    assert is_drawing(line_drawing(*size, paper, ink), "lines")


def test_a_scan_is_a_drawing_in_spite_of_its_noise_and_tint() -> None:
    scan = noisy(line_drawing(paper=230, ink=60), 4)
    assert is_drawing(scan, "lines")
    assert is_drawing(np.clip(scan.astype(int) - (0, 4, 14), 0, 255).astype(np.uint8), "lines")  # yellowed


def test_photographs_and_noise_are_neither() -> None:
    for picture in (photograph(), noisy(np.full((480, 640, 3), 128, np.uint8), 60), scene(640, 480, 2)):
        assert not is_drawing(picture, "lines")
        assert not is_drawing(picture, "flats")


def test_an_empty_page_has_nothing_drawn_on_it() -> None:
    for tone in (255, 0):
        assert not is_drawing(np.full((480, 640, 3), tone, np.uint8), "lines")


def test_a_coloured_ground_is_no_paper_and_a_shaded_one_is() -> None:
    for paper, drawn in (((255, 120, 120), False), ((128, 128, 128), True)):
        page = np.where(line_drawing() < 128, line_drawing(), np.array(paper, np.uint8)).astype(np.uint8)
        assert is_drawing(page, "lines") == drawn


def test_what_is_cut_out_on_white_is_no_stroke() -> None:
    page = np.full((480, 640, 3), 255, np.uint8)
    cv2.ellipse(page, (320, 240), (60, 90), 0, 0, 360, (60, 60, 60), -1)
    assert not is_drawing(page, "lines")


def test_a_poster_is_flat_and_no_line_drawing() -> None:
    assert is_drawing(poster(), "flats")
    assert is_drawing(poster(1920, 1440), "flats")
    assert not is_drawing(poster(), "lines")


def test_a_gradient_is_not_flat() -> None:
    ramp = np.linspace(0, 255, 640).astype(np.uint8)
    page = np.dstack([np.tile(c, (480, 1)) for c in (ramp, ramp[::-1], np.full(640, 90, np.uint8))])
    assert not is_drawing(page, "flats")


def test_a_pairing_that_knows_no_drawings_never_sees_one() -> None:
    assert not is_drawing(line_drawing(), "")
    assert not is_drawing(poster(), "")
