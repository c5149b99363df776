"""Rough drawing → clean lines: what is traced, drawn, roughened and stored."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from clips import scene

from vidtrans.pairing.pairing_records import make_pairing

SIZE = (150, 200)
FAULTS = {"strokes": 1, "wobble": 0.0, "breaks": 0.0, "overshoot": 0.0, "construction": 0, "grain": 0.0}


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed))


def drawing() -> np.ndarray:
    page = np.full((*SIZE, 3), 255, np.uint8)
    cv2.rectangle(page, (20, 60), (90, 130), (0, 0, 0), 2)
    cv2.line(page, (20, 60), (55, 20), (0, 0, 0), 2)
    cv2.circle(page, (145, 75), 35, (0, 0, 0), 2)
    return page


def lines_of(page: np.ndarray) -> np.ndarray:
    return np.asarray(page.reshape(page.shape[0], page.shape[1], -1)[..., 0] < 128)


def near(lines: np.ndarray, others: np.ndarray, pixels: int) -> float:
    """Share of ``lines``, (H, W) bool, that lies within ``pixels`` of ``others``."""
    box = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return float((cv2.dilate(others.astype(np.uint8), box) > 0)[lines].mean())


@pytest.mark.parametrize(
    ("fault", "amount", "pixels"), [("wobble", 8.0, 2), ("overshoot", 60.0, 2), ("construction", 12, 2)]
)
def test_each_fault_takes_strokes_off_the_lines(fault: str, amount: float, pixels: int) -> None:
    page = drawing()
    tidy, rough = (
        [make_pairing("simplify", FAULTS | own).training_input([page], generator(s)) < 160 for s in range(8)]
        for own in ({}, {fault: amount})
    )
    on_lines = [np.mean([near(lines[..., 0], lines_of(page), pixels) for lines in some]) for some in (tidy, rough)]
    assert on_lines[0] > 0.99
    assert on_lines[1] < on_lines[0] - 0.02


def test_a_render_takes_any_picture_as_a_rough_drawing_and_an_empty_page_stays_empty() -> None:
    pairing = make_pairing("simplify", {})
    page = drawing()
    assert np.array_equal(pairing.input([page]), pairing.drawing_input(page))
    assert np.array_equal(lines_of(pairing.input([page])), lines_of(page))
    empty = np.full((64, 80, 3), 255, np.uint8)
    assert (pairing.stored(empty) == 255).all()
    assert (pairing.training_input([empty], generator()) > 200).all()
    assert pairing.stored(scene(40, 30, seed=1)).shape == (30, 40, 3)


def test_breaks_leave_gaps() -> None:
    page, covered = drawing(), []
    for share in (0.0, 1.0):
        pairing = make_pairing("simplify", FAULTS | {"breaks": share})
        drawn = [pairing.training_input([page], generator(seed))[..., 0] < 230 for seed in range(8)]
        covered.append(np.mean([near(lines_of(page), lines, 1) for lines in drawn]))
    assert covered[1] < covered[0] - 0.02
