"""Likeness of strokes, on textures whose strokes are drawn here."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from vidtrans.metrics.stroke_scores import SMALLEST_SIDE, Brushwork

SIDE = 192
PALETTE = ((200, 60, 40), (40, 80, 170), (230, 200, 90), (30, 30, 40))


def strokes(
    length: int, width: int, seed: int = 0, angle: float = 0.6, palette: Sequence[Sequence[int]] = PALETTE
) -> np.ndarray:
    """A picture covered with strokes of one size, about one direction, (SIDE, SIDE, 3) uint8."""
    rng = np.random.default_rng(seed)
    picture = np.full((SIDE, SIDE, 3), 128, np.uint8)
    for _ in range(12 * SIDE * SIDE // (length * width)):
        x, y = rng.integers(0, SIDE, 2)
        turn = angle + 0.3 * rng.standard_normal()
        end = int(x + length * np.cos(turn)), int(y + length * np.sin(turn))
        cv2.line(picture, (int(x), int(y)), end, palette[rng.integers(len(palette))], width, cv2.LINE_AA)
    return picture


def alike(picture: np.ndarray, painting: np.ndarray) -> float:
    return Brushwork.of(picture).likeness(Brushwork.of(painting))


PAINTING = strokes(24, 6)
SAME = strokes(24, 6, seed=1)


def test_equal_pictures_are_alike_and_no_others_are_as_much() -> None:
    assert alike(PAINTING, PAINTING) == 1
    assert 0.5 < alike(SAME, PAINTING) < 1
    assert alike(SAME, PAINTING) == pytest.approx(alike(PAINTING, SAME))


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("texture", strokes(10, 2, seed=1)),
        ("colours", strokes(24, 6, seed=1, palette=[(250, 250, 250), (90, 160, 90)])),
        ("grouping", cv2.GaussianBlur(SAME, (0, 0), 3)),
    ],
)
def test_other_strokes_are_less_alike_and_the_part_says_why(part: str, other: np.ndarray) -> None:
    painting, same = Brushwork.of(PAINTING), Brushwork.of(SAME)
    assert alike(other, PAINTING) < alike(SAME, PAINTING) - 0.1
    assert Brushwork.of(other).distances(painting)[part] > 2 * same.distances(painting)[part]


def test_small_odd_and_plain_pictures_have_a_finite_distance_and_too_small_ones_are_refused() -> None:
    for size in ((SMALLEST_SIDE, SMALLEST_SIDE), (SMALLEST_SIDE, 301)):
        plain = np.full((*size, 3), 77, np.uint8)
        assert alike(plain, plain) == 1
        assert 0 < alike(plain, PAINTING) < 0.5
    with pytest.raises(ValueError, match="16 pixels a side, not 8x40"):
        Brushwork.of(np.zeros((40, 8, 3), np.uint8))
