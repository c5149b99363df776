"""Where a painted picture lies on its frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from clips import scene

from vidtrans.painting.key_frames import Placement, align, resize_matrix

WIDTH, HEIGHT = 320, 180


def frame() -> np.ndarray:
    picture = scene(WIDTH, HEIGHT, seed=3)
    for n, (x, y) in enumerate(((60, 50), (150, 120), (250, 60), (280, 140))):
        cv2.circle(picture, (x, y), 14 + 4 * n, (40 * n, 250 - 50 * n, 90), -1, cv2.LINE_AA)
        cv2.rectangle(picture, (x + 5, y - 30), (x + 30, y - 12), (250, 250, 240), -1)
    return picture


def painted(rgb: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray((255 - rgb // 64 * 64)[..., ::-1])


def shift_of(placement: Placement) -> np.ndarray:
    return (placement.matrix @ np.array([WIDTH / 2, HEIGHT / 2, 1]))[:2]


def test_a_painting_that_lies_right_is_left_alone_to_the_bit() -> None:
    found = align(painted(frame()), frame())
    assert found.words == ""
    assert found.likeness > 0.5
    placed, seen = found.apply(painted(frame()), (WIDTH, HEIGHT))
    assert np.array_equal(placed, painted(frame()))
    assert seen.all()


@pytest.mark.parametrize("factor", [0.5, 3.3])
def test_another_size_is_scaled_and_16_bits_stay(factor: float) -> None:
    size = round(WIDTH * factor), round(HEIGHT * factor)
    deep = cv2.resize(painted(frame()).astype(np.uint16) * 257, size, interpolation=cv2.INTER_AREA)
    found = align(deep, frame())
    assert found.words == f"{size[0]}x{size[1]}: scaled"
    assert np.allclose(found.matrix, resize_matrix(size, (WIDTH, HEIGHT)))
    assert found.apply(deep, (WIDTH, HEIGHT))[0].dtype == np.uint16


@pytest.mark.parametrize(("dx", "dy", "turn"), [(-11, 3, 0), (3, 5, 2.5), (0, 0, -4)])
def test_a_shifted_or_turned_painting_is_moved_back(dx: float, dy: float, turn: float) -> None:
    move = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), turn, 1.0)
    move[:, 2] += dx, dy
    moved = cv2.warpAffine(painted(frame()), move, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    found = align(moved, frame())
    assert "moved" in found.words
    assert np.abs(found.matrix[:2] - move).max() < 1.5
    assert np.linalg.norm(shift_of(found) - (WIDTH / 2 + dx, HEIGHT / 2 + dy)) < 0.8
    placed, seen = found.apply(moved, (WIDTH, HEIGHT))
    assert np.abs(placed.astype(float) - painted(frame()))[seen].mean() < 12


def test_crops_and_margins_are_told_from_scaling() -> None:
    crop = painted(frame())[10:-10, 40:-40]
    found = align(np.ascontiguousarray(crop), frame())
    assert "cropped or padded" in found.words
    assert np.linalg.norm(shift_of(found) - (WIDTH / 2 - 40, HEIGHT / 2 - 10)) < 1
    _, seen = found.apply(crop, (WIDTH, HEIGHT))
    assert 0.6 < seen.mean() < 0.72
    padded = cv2.copyMakeBorder(painted(frame()), 30, 30, 0, 0, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    found = align(padded, frame())
    placed, seen = found.apply(padded, (WIDTH, HEIGHT))
    assert seen.all()
    assert np.abs(placed.astype(float) - painted(frame())).mean() < 3


def test_what_shows_something_else_is_unlike_and_stays_where_it_is() -> None:
    for other in (np.full((HEIGHT, WIDTH, 3), 90, np.uint8), scene(WIDTH, HEIGHT, seed=99)):
        found = align(other, frame())
        assert found.likeness < 0.3
        assert np.allclose(found.matrix, np.eye(3))


def test_a_drawing_on_white_paper_that_was_shifted_is_moved_back_and_one_that_was_not_stays() -> None:
    paper = np.full((240, 320, 3), 255, np.uint8)
    for n in range(12):
        cv2.circle(paper, (40 + 23 * n, 60 + 37 * n % 150), 8 + 2 * n, (20, 20, 30), 2, cv2.LINE_AA)
    shifted = np.roll(paper, (4, 6), (0, 1))
    assert align(shifted, paper).words
    touched = paper.copy()
    touched[60:140, 40:200] = (200, 40, 30)
    assert not align(touched, paper).words


def test_a_layer_is_scaled_and_never_moved() -> None:
    layer = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    cv2.line(layer, (40, 30), (200, 150), (250, 40, 90), 6)
    alpha = (layer.max(2) > 0).astype(np.uint8) * 255
    assert np.allclose(align(layer, frame(), alpha).matrix, np.eye(3))
    half = align(layer[::2, ::2].copy(), frame(), alpha[::2, ::2].copy())
    assert half.words == f"{WIDTH // 2}x{HEIGHT // 2}: scaled"
