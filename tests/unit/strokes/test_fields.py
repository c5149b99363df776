"""What a painter sees: tones behind a filter and brought nearer to each other, and lines that the film carries."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from vidtrans.strokes.media import Medium, MediumPicture, Screen, load_medium
from vidtrans.strokes.painter import StrokePainter
from vidtrans.strokes.settings import CURVES, StrokesSettings

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
