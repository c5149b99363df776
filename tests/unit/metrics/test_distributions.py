"""Distances between sets of pictures that show different things."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from vidtrans.metrics.distributions import DomainDistance, random_patches
from vidtrans.metrics.unpaired_scores import (
    REVERSED,
    cycle_error,
    diversity,
    light_correlation,
    temporal_error,
)

Pictures = list[np.ndarray]


def scenes(first: int, count: int = 8, side: int = 72) -> Pictures:
    """Discs on a ground, other ones in each picture."""
    made = []
    for number in range(first, first + count):
        random = np.random.default_rng(number)
        picture = np.full((side, side + 8, 3), 90, np.uint8)
        for _ in range(14):
            centre = (int(random.integers(side)), int(random.integers(side)))
            colour = [int(v) for v in random.integers(30, 226, 3)]
            cv2.circle(picture, centre, int(random.integers(3, 12)), colour, -1, cv2.LINE_AA)
        made.append(picture)
    return made


def look(picture: np.ndarray) -> np.ndarray:
    """Print an orange picture with lines."""
    grey = picture.mean(2, keepdims=True)
    coloured = np.clip(grey * np.array([1.1, 0.8, 0.4]), 0, 255)
    coloured[::4] *= 0.4
    return coloured.astype(np.uint8)


def blurred(picture: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), 2)


@pytest.fixture(scope="module")
def distance() -> DomainDistance:
    return DomainDistance.between(random_patches(), scenes(0), [look(p) for p in scenes(100)])


def score(distance: DomainDistance, pictures: Pictures) -> float:
    found = distance(pictures)
    assert found is not None
    return found


def test_the_source_is_at_one_the_look_of_other_scenes_near_nothing_and_half_the_way_between(
    distance: DomainDistance,
) -> None:
    looks = [look(p) for p in scenes(50)]
    assert score(distance, scenes(0)) == pytest.approx(1)
    assert abs(score(distance, looks)) < 0.15
    half = [np.rint((p.astype(float) + x) / 2).astype(np.uint8) for p, x in zip(scenes(50), looks, strict=True)]
    assert 0.1 < score(distance, half) < 0.9


@pytest.mark.parametrize("harm", [blurred, lambda p: 255 - p])
def test_harm_is_further_away(harm: object, distance: DomainDistance) -> None:
    made = [look(p) for p in scenes(50)]
    assert score(distance, [harm(p) for p in made]) > score(distance, made) + 0.15  # type: ignore[operator]


def test_domains_that_do_not_differ_have_no_scale() -> None:
    alike = DomainDistance.between(random_patches(), scenes(0), scenes(0))
    assert not alike.tells_apart
    assert alike([blurred(p) for p in scenes(50)]) is None


def test_one_picture_again_and_again_has_no_diversity() -> None:
    assert diversity([scenes(0)[0]] * 6, scenes(20)) == 0
    assert diversity(scenes(0), scenes(20)) == pytest.approx(1, abs=0.35)


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


def test_light_that_becomes_dark_is_found() -> None:
    pictures = scenes(0)
    assert light_correlation(pictures, [look(p) for p in pictures]) == pytest.approx(1, abs=0.2)
    negative = light_correlation(pictures, [255 - p for p in pictures])
    assert negative is not None
    assert negative < REVERSED
    assert light_correlation(pictures, [np.full_like(p, 128) for p in pictures]) is None
    assert light_correlation([], []) is None
