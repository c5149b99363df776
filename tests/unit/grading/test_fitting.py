"""Lattices of colours: what lies between nodes, and how they are fitted to samples."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from vidtrans.grading.lattice import ColourSamples
from vidtrans.grading.learning import Operators, describe, fit_grade
from vidtrans.grading.transfer import match_colours

Grade = Callable[[np.ndarray], np.ndarray]


def delta_e(made: np.ndarray, grade: Grade, colours: np.ndarray) -> np.ndarray:
    """How far ``made`` is from what a grade makes of colours."""
    wanted = np.clip(grade(colours), 0, 1)
    found: np.ndarray = deltaE_ciede2000(rgb2lab(made[None]), rgb2lab(wanted[None]))[0]
    return found


def samples_of(before: np.ndarray, grade: Grade) -> ColourSamples:
    return ColourSamples(before, np.clip(grade(before), 0, 1), np.ones(len(before)))


GRADES: dict[str, Grade] = {
    "curves": lambda c: c ** np.array([0.8, 1.0, 1.3]),
    "black and white": lambda c: np.repeat(c @ np.array([[0.3], [0.6], [0.1]]), 3, axis=-1),
}


@pytest.mark.parametrize("name", GRADES)
def test_a_smooth_grade_is_met_at_colours_that_were_not_samples(name: str) -> None:
    rng = np.random.default_rng(1)
    around = 0.15 + 0.7 * rng.random((12, 3))  # the colours of a scene: a few, and what is near to them
    colours = np.clip(around[rng.integers(0, 12, 3000)] + 0.06 * rng.normal(size=(3000, 3)), 0, 1)
    fitted = fit_grade(samples_of(colours[:1500], GRADES[name]), 13)
    apart = delta_e(fitted.lattice(colours[1500:]), GRADES[name], colours[1500:])
    assert np.median(apart) < 0.6
    assert np.quantile(apart, 0.95) < 2.5


def test_outliers_do_not_count() -> None:
    rng = np.random.default_rng(2)
    colours = rng.random((4000, 3))
    samples = samples_of(colours, GRADES["curves"])
    samples.after[::8] = rng.random((500, 3))
    fitted = fit_grade(samples, 9)
    assert np.median(delta_e(fitted.lattice(colours), GRADES["curves"], colours)) < 1.0


def test_colours_that_were_not_seen_get_what_the_operators_make_of_them() -> None:
    rng = np.random.default_rng(3)
    dark = 0.45 * rng.random((4000, 3))
    brighter = Operators(exposure=0.5, warmth=0.3)
    fitted = fit_grade(samples_of(dark, brighter), 9)
    bright = 0.6 + 0.2 * rng.random((500, 3))
    assert not fitted.is_determined(bright).any()
    assert fitted.is_determined(dark).mean() > 0.9
    assert np.median(delta_e(fitted.lattice(bright), brighter, bright)) < 4


SEEN = np.random.default_rng(0).random((2000, 3)) * 0.6 + 0.2


NAMED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "": lambda c: c,
    "exposure +0.5": lambda c: np.clip(c * 2 ** (0.5 / 2.2), 0, 1),
    "black and white": lambda c: np.repeat(c.mean(-1, keepdims=True), 3, -1),
    "warmer": lambda c: np.clip(c + np.array([0.03, 0.0, -0.03]), 0, 1),
}


@pytest.mark.parametrize("words", NAMED)
def test_a_grade_is_described(words: str) -> None:
    said = describe(NAMED[words], SEEN)
    assert bool(said) == bool(words)
    assert any(text.startswith(words) for text in said) or not words, said


def lab(colours: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(colours.astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0]


def test_what_is_in_a_picture_is_no_grade() -> None:
    rng = np.random.default_rng(3)
    greys = np.repeat(rng.random((2000, 1)), 3, axis=1)
    reds = np.clip(rng.normal((0.8, 0.15, 0.1), 0.03, (4000, 3)), 0, 1)
    samples = match_colours(greys, np.concatenate([greys, reds]))
    assert np.abs(lab(samples.after)[:, 1:]).mean() < 3
