"""Scores of outputs that have no picture to be compared with."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from test_distributions import look, scenes

from vidtrans.metrics.unpaired_scores import (
    REVERSED,
    cycle_error,
    diversity,
    light_correlation,
    pairwise_distance,
    temporal_error,
)


def test_one_picture_again_and_again_has_no_diversity() -> None:
    assert diversity([scenes(0)[0]] * 6, scenes(20)) == 0
    assert diversity(scenes(0), scenes(20)) == pytest.approx(1, abs=0.35)


def test_noise_is_no_diversity() -> None:
    random = np.random.default_rng(0)
    targets = [cv2.resize(p, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC) for p in scenes(20)]
    picture = targets[0]
    noisy = [np.clip(picture + random.normal(0, 20, picture.shape), 0, 255).astype(np.uint8) for _ in range(6)]
    found = diversity(noisy, targets)
    assert found is not None
    assert found < 0.15


def test_what_cannot_be_compared_has_no_diversity() -> None:
    assert pairwise_distance(scenes(0)[:1]) is None
    assert pairwise_distance([]) is None
    assert diversity(scenes(0), [scenes(1)[0]] * 3) is None


def test_what_comes_back_is_compared() -> None:
    pictures = scenes(0, 3)
    assert cycle_error(pictures, pictures) == 0
    assert cycle_error(pictures, [255 - p for p in pictures]) == pytest.approx(
        np.mean([np.abs(255.0 - 2.0 * p).mean() / 255 for p in pictures])
    )
    assert cycle_error([], []) is None


def test_outputs_that_move_with_the_source_are_steadier_than_those_that_do_not() -> None:
    wide = scenes(0, 1, side=160)[0]
    frames = [np.ascontiguousarray(wide[20:120, 2 * i : 2 * i + 120]) for i in range(4)]
    pairs = list(pairwise(frames))
    steady = temporal_error(pairs, pairs)
    assert steady is not None
    assert steady < 1  # the flow finds what moved; what is left of it is below one level
    random = np.random.default_rng(1)
    flickering = [np.clip(f * random.uniform(0.7, 1.2), 0, 255).astype(np.uint8) for f in frames]
    unsteady = temporal_error(pairs, list(pairwise(flickering)))
    assert unsteady is not None
    assert unsteady > 3
    assert temporal_error([], []) is None


def test_a_still_source_does_not_divide_by_nothing() -> None:
    frame = scenes(0)[0]
    found = temporal_error([(frame, frame)], [(frame, np.clip(frame.astype(int) + 1, 0, 255).astype(np.uint8))])
    assert found == pytest.approx(1, abs=0.1)


def test_light_that_becomes_dark_is_found() -> None:
    pictures = scenes(0)
    assert light_correlation(pictures, [look(p) for p in pictures]) == pytest.approx(1, abs=0.2)
    negative = light_correlation(pictures, [255 - p for p in pictures])
    assert negative is not None
    assert negative < REVERSED
    assert light_correlation(pictures, [np.full_like(p, 128) for p in pictures]) is None
    assert light_correlation([], []) is None
