"""What a grade is called, and colours that are brought to those of other pictures."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from vidtrans.grading.learning import describe
from vidtrans.grading.transfer import match_colours

SEEN = np.random.default_rng(0).random((2000, 3)) * 0.6 + 0.2


GRADES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "": lambda c: c,
    "exposure +0.5": lambda c: np.clip(c * 2 ** (0.5 / 2.2), 0, 1),
    "black and white": lambda c: np.repeat(c.mean(-1, keepdims=True), 3, -1),
    "warmer": lambda c: np.clip(c + np.array([0.03, 0.0, -0.03]), 0, 1),
}


@pytest.mark.parametrize("words", GRADES)
def test_a_grade_is_described(words: str) -> None:
    said = describe(GRADES[words], SEEN)
    assert bool(said) == bool(words)
    assert any(text.startswith(words) for text in said) or not words, said


def lab(colours: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(colours.astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0]


def test_what_is_in_a_picture_is_no_grade() -> None:
    """A still full of red things, greys among them neutral, makes nothing red."""
    rng = np.random.default_rng(3)
    greys = np.repeat(rng.random((2000, 1)), 3, axis=1)
    reds = np.clip(rng.normal((0.8, 0.15, 0.1), 0.03, (4000, 3)), 0, 1)
    samples = match_colours(greys, np.concatenate([greys, reds]))
    assert np.abs(lab(samples.after)[:, 1:]).mean() < 3


def test_greys_stay_greyer_than_colours_of_their_lightness() -> None:
    rng = np.random.default_rng(2)
    greys = np.repeat(rng.random((3000, 1)), 3, axis=1)
    blues = np.clip(rng.normal((0.3, 0.4, 0.7), 0.1, (3000, 3)), 0, 1)
    target = np.clip(rng.normal((0.8, 0.4, 0.2), 0.1, (3000, 3)), 0, 1)
    samples = match_colours(np.concatenate([greys, blues]), target)
    was_grey = np.ptp(samples.before, axis=1) < 0.01
    moved = np.linalg.norm(lab(samples.after)[:, 1:] - lab(samples.before)[:, 1:], axis=1)
    assert moved[was_grey].mean() < 0.7 * moved[~was_grey].mean()
