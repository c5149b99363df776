"""Washes of watercolour, bare margins of paper, and what a painter does to tones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vidtrans.strokes.media import load_medium
from vidtrans.strokes.painter import StrokePainter
from vidtrans.strokes.settings import StrokesSettings

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
