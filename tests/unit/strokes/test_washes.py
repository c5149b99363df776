"""Washes of watercolour, bare margins of paper, and what a painter does to tones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidtrans.strokes.media import Medium, MediumPicture, Screen, load_medium
from vidtrans.strokes.painter import StrokePainter
from vidtrans.strokes.settings import CURVES, StrokesSettings

WIDTH, HEIGHT = 160, 120
VALUES = dict.fromkeys(("size", "density", "looseness", "light", "paper"), 1.0)
WASH = 'kind = "wash"\nbrush = "wash"\nwidth = 90\nspacing = 0.4\nwhere = "dark"\nlevel = 0.6\ninside = 1\n'


def dark_and_light() -> np.ndarray:
    """A picture whose left half is dark, and its right half white."""
    picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    picture[:, : WIDTH // 2] = (90, 60, 50)
    return picture


def painted(folder: Path, text: str, picture: np.ndarray, scale: int = 1) -> np.ndarray:
    """Return a picture painted in the medium of a TOML text, times ``scale`` in size."""
    (folder / "medium.toml").write_text(text)
    size = (picture.shape[1] * scale, picture.shape[0] * scale)
    painter = StrokePainter(load_medium("medium.toml", folder), StrokesSettings(), size, threads=1)
    return painter.paint(0, picture, picture, VALUES, starts_shot=True)


def test_a_wash_leaves_the_paper_white_and_dries_dark_at_its_edge(tmp_path: Path) -> None:
    text = f'[ground]\ncolour = "#ffffff"\n[[layer]]\n{WASH}rim = 2\nrim_width = 8\nopacity = 0.6\n'
    made = painted(tmp_path, text, dark_and_light(), scale=2)
    assert np.all(made[:, WIDTH + 8 :] == 255)
    rows = made[20:-20].mean((0, 2))
    inside, rim = rows[20 : WIDTH - 30].mean(), rows[WIDTH - 8 : WIDTH].min()
    assert rim < inside - 5
    assert 90 < inside < 200  # the paper shines through: the picture is darker


PLAIN = load_medium("pencil")


@pytest.mark.parametrize("carried", [True, False])
def test_lines_move_with_the_film_only_if_they_are_carried(carried: bool) -> None:
    screen = Screen(shape="lines", angle=0, pitch=20, red=0.3, green=0.6, blue=0.1, carried=carried)
    medium: Medium = replace(PLAIN, layers=(), screens=(screen,), picture=MediumPicture())
    rough = np.random.default_rng(0).random((140, 128, 3)).astype(np.float32)
    ground = (90 + 80 * cv2.normalize(cv2.GaussianBlur(rough, (0, 0), 3), None, -1, 1, cv2.NORM_MINMAX)).astype(
        np.uint8
    )
    painter = StrokePainter(medium, StrokesSettings(), (128, 128), threads=1)
    values = dict.fromkeys(CURVES, 1.0)

    made = []
    for k in range(4):
        frame = np.ascontiguousarray(ground[8 - 2 * k : 136 - 2 * k])
        made.append(painter.paint(k, frame, frame, values, starts_shot=k == 0).astype(np.float32))

    along = np.abs(made[3][32:100] - made[2][30:98]).mean()
    fixed = np.abs(made[3][32:100] - made[2][32:100]).mean()
    assert (along < 0.5 * fixed) == carried
