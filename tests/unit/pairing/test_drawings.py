"""Telling a drawing from a photograph."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from clips import scene

from vidtrans.pairing.base import DrawingKind
from vidtrans.pairing.drawings import is_drawing


def line_drawing(width: int = 640, height: int = 480, paper: int = 255, ink: int = 0) -> np.ndarray:
    page = np.full((height, width, 3), paper, np.uint8)
    draw = {"color": (ink,) * 3, "thickness": 3, "lineType": cv2.LINE_AA}
    cv2.rectangle(page, (width // 4, height // 2), (width // 2, height - 40), **draw)
    cv2.line(page, (width // 4, height // 2), (3 * width // 8, height // 4), **draw)
    cv2.line(page, (3 * width // 8, height // 4), (width // 2, height // 2), **draw)
    cv2.circle(page, (3 * width // 4, height // 4), height // 10, **draw)
    return page


def poster(width: int = 640, height: int = 480) -> np.ndarray:
    page = np.full((height, width, 3), (90, 160, 220), np.uint8)
    cv2.rectangle(page, (0, 2 * height // 3), (width, height), (60, 140, 60), -1)
    cv2.circle(page, (width // 2, height // 2), height // 4, (220, 60, 50), -1, cv2.LINE_AA)
    cv2.circle(page, (width // 4, height // 4), height // 8, (250, 220, 90), -1, cv2.LINE_AA)
    return page


def noisy(picture: np.ndarray, sigma: float) -> np.ndarray:
    return np.clip(picture + np.random.default_rng(3).normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)


PICTURES = {
    "lines on white": (line_drawing(), "lines"),
    "white on black": (line_drawing(640, 480, 0, 255), "lines"),
    "a coloured ground": (np.minimum(line_drawing(), np.array((255, 120, 120), np.uint8)), "flats"),
    "a poster": (poster(), "flats"),
    "a photograph": (noisy(scene(640, 480, 5), 6), ""),
    "noise": (noisy(np.full((480, 640, 3), 128, np.uint8), 60), ""),
    "a white page": (np.full((480, 640, 3), 255, np.uint8), "flats"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_drawings_in_lines_and_in_flat_colours_are_told_from_pictures(name: str) -> None:
    picture, kind = PICTURES[name]
    assert is_drawing(picture, "lines") == (kind == "lines")
    assert is_drawing(picture, "flats") == (kind == "flats") or kind == "lines"  # which have few colours, too
    none: DrawingKind = ""
    assert not is_drawing(picture, none)
