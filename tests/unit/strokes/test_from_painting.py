"""Strokes found in a painting: their width and length, at any size of its picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidtrans.core.errors import UsageError
from vidtrans.strokes.from_painting import measure_strokes
from vidtrans.strokes.media import load_medium
from vidtrans.strokes.painter import StrokePainter
from vidtrans.strokes.settings import CURVES, StrokesSettings

VALUES = dict.fromkeys(CURVES, 1.0)


def painting(width: float, length: float, size: int = 480) -> np.ndarray:
    """Return a painting in strokes of a width in lines of 480, and a length in widths."""
    oil = load_medium("oil")
    broad = replace(oil.layers[0], width=width, length=length, vary_light=0.16, vary_colour=0.05)
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    scene = 120 + 60 * np.sin(x * 6 / size + 2 * np.sin(y * 5 / size)) + 40 * np.cos(y * 9 / size)
    frame = np.clip(np.dstack([scene, scene * 0.8, 200 - scene * 0.6]), 0, 255).astype(np.uint8)
    painter = StrokePainter(replace(oil, layers=(broad,)), StrokesSettings(), (size, size), 2)
    return painter.paint(0, frame, frame, VALUES, starts_shot=True)


def test_width_and_length_are_found() -> None:
    found = {(width, length): measure_strokes(painting(width, length)) for width, length in ((8, 4), (24, 2))}
    for (width, length), one in found.items():
        assert width / 1.7 < one.width < width * 1.7
        assert length / 1.7 < one.length / one.width < length * 1.7


def test_a_painting_is_a_medium_and_its_own_palette(tmp_path: Path) -> None:
    picture = painting(14, 3, 160)
    for name in ("a.jpg", "b.png"):
        cv2.imwrite(str(tmp_path / name), picture[..., ::-1])
        medium = load_medium(name, tmp_path)
        assert len(medium.layers) == 3
        settings = StrokesSettings(medium=str(tmp_path / name))
        assert settings.pictures == {"palette": tmp_path / name}
        made = StrokePainter(medium, settings, (64, 48)).paint(
            0, *[np.full((48, 64, 3), 99, np.uint8)] * 2, VALUES, starts_shot=True
        )
        assert made.shape == (48, 64, 3)
    for name, shape, why in (("small.jpg", (96, 300, 3), "300x96 pixels"), ("flat.jpg", (300, 300, 3), "one colour")):
        cv2.imwrite(str(tmp_path / name), np.full(shape, 90, np.uint8))
        with pytest.raises(UsageError, match=why):
            load_medium(name, tmp_path)
    cv2.imwrite(str(tmp_path / "brush.png"), np.full((20, 60), 200, np.uint8))
    assert StrokesSettings(medium=str(tmp_path / "brush.png")).pictures == {}
