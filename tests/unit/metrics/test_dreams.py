"""Scores of films that a model makes of its own frames, and distances between sets of other pictures."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from clips import scene

from vidtrans.metrics import dreams
from vidtrans.metrics.picture_quality import psnr
from vidtrans.metrics.unpaired_scores import (
    REVERSED,
    DomainDistance,
    cycle_error,
    diversity,
    light_correlation,
    random_patches,
    temporal_error,
)

LENGTH = 60


def pan(count: int, first: int = 0) -> list[np.ndarray]:
    """A window of 48×32 that moves over a large picture by a pixel a frame."""
    wide = scene(48 + LENGTH, 32, seed=5)
    return [np.ascontiguousarray(wide[:, i : i + 48]) for i in range(first, first + count)]


def to_and_fro(clip: list[np.ndarray], count: int = 300) -> list[np.ndarray]:
    places = 2 * (len(clip) - 1)
    return [clip[min(i % places, -i % places)] for i in range(count)]


def noisy(pictures: list[np.ndarray], sigma: float) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [np.clip(p + rng.normal(0, sigma, p.shape), 0, 255).astype(np.uint8) for p in pictures]


CLIP = pan(LENGTH)
REAL = to_and_fro(CLIP)
FROZEN = [CLIP[20]] * 300
NOISE = noisy([np.full((32, 48, 3), 128, np.uint8)] * 300, 60)


def test_horizons_are_psnr_after_so_many_frames_as_far_as_both_reach() -> None:
    film, truth = noisy(CLIP[:12], 8), CLIP[:40]
    found = dreams.horizons(film, truth)
    assert list(found) == [1, 5, 10]
    assert all(found[h] == psnr(film[h - 1], truth[h - 1]) for h in found)
    assert dreams.horizons(CLIP, CLIP)[30] == 99  # equal pictures, and still a number


def test_nn_tells_memory_from_noise_and_rewards_a_frozen_frame() -> None:
    soft = [cv2.GaussianBlur(f, (0, 0), 2) for f in REAL]
    # The trap: it has frozen, and is as near as can be.
    assert dreams.nearest_psnr(FROZEN, CLIP) == dreams.nearest_psnr(REAL, CLIP) == 99
    assert 20 < dreams.nearest_psnr(soft, CLIP) < 40
    assert dreams.nearest_psnr(NOISE, CLIP) < 15
    ahead = pan(30, first=30)
    assert dreams.nearest_psnr(ahead, CLIP[:20]) < 30  # the other: these are true frames, past what was learned


def test_drift_is_how_far_colours_leave_those_of_the_clip() -> None:
    grey = [np.full((8, 8, 3), level, np.uint8) for level in range(100, 120)]
    for blue, off in ((110, 0), (126, 7), (91, 9)):
        film = [np.full((8, 8, 3), (110, 110, blue), np.uint8)] * 300
        assert dreams.drift(film, grey) == off
        assert dreams.drift(film, [*grey, film[0]]) == 0


def test_sharpness_is_relative_to_the_clip() -> None:
    soft = [cv2.GaussianBlur(f, (0, 0), 2) for f in REAL]
    assert dreams.relative_sharpness(CLIP, CLIP[-30:]) == 1
    assert dreams.relative_sharpness(soft, CLIP) < 0.8
    assert dreams.relative_sharpness(noisy(REAL, 20), CLIP) > 1.2


def test_flicker_passes_for_motion_over_one_frame_and_not_over_four() -> None:
    flicker = [CLIP[20 + i % 2] for i in range(300)]
    assert dreams.motion(flicker, 1) > 0.8 * dreams.motion(CLIP, 1)
    assert dreams.motion(flicker, 4) == 0
    assert dreams.motion(FROZEN, 1) == dreams.motion(FROZEN, 4) == 0
    assert dreams.motion(REAL, 4) == pytest.approx(dreams.motion(CLIP, 4), rel=0.15)
    assert dreams.motion(CLIP[:3], 4) == 0


def test_uniq_counts_the_different_frames_of_the_later_film() -> None:
    assert dreams.num_distinct(REAL, CLIP) == LENGTH
    assert dreams.num_distinct(FROZEN, CLIP) == 1
    assert dreams.num_distinct([*REAL[:150], *FROZEN[:150]], CLIP) == 1
    assert dreams.num_distinct(NOISE, CLIP) < LENGTH / 2
    assert dreams.num_distinct(REAL[:100], CLIP) == 0  # it never came so far


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


def printed(picture: np.ndarray) -> np.ndarray:
    """Print an orange picture with lines."""
    grey = picture.mean(2, keepdims=True)
    coloured = np.clip(grey * np.array([1.1, 0.8, 0.4]), 0, 255)
    coloured[::4] *= 0.4
    return coloured.astype(np.uint8)


def blurred(picture: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), 2)


@pytest.fixture(scope="module")
def distance() -> DomainDistance:
    return DomainDistance.between(random_patches(), scenes(0), [printed(p) for p in scenes(100)])


def score(distance: DomainDistance, pictures: Pictures) -> float:
    found = distance(pictures)
    assert found is not None
    return found


def test_the_source_is_at_one_the_look_of_other_scenes_near_nothing_and_half_between(distance: DomainDistance) -> None:
    looks = [printed(p) for p in scenes(50)]
    assert score(distance, scenes(0)) == pytest.approx(1)
    assert abs(score(distance, looks)) < 0.15
    half = [np.rint((p.astype(float) + x) / 2).astype(np.uint8) for p, x in zip(scenes(50), looks, strict=True)]
    assert 0.1 < score(distance, half) < 0.9


@pytest.mark.parametrize("harm", [blurred, lambda p: 255 - p])
def test_harm_is_further_away(harm: object, distance: DomainDistance) -> None:
    made = [printed(p) for p in scenes(50)]
    assert score(distance, [harm(p) for p in made]) > score(distance, made) + 0.15  # type: ignore[operator]


def test_domains_that_do_not_differ_have_no_scale() -> None:
    alike = DomainDistance.between(random_patches(), scenes(0), scenes(0))
    assert not alike.distinguishes_domains
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
    assert light_correlation(pictures, [printed(p) for p in pictures]) == pytest.approx(1, abs=0.2)
    negative = light_correlation(pictures, [255 - p for p in pictures])
    assert negative is not None
    assert negative < REVERSED
    assert light_correlation(pictures, [np.full_like(p, 128) for p in pictures]) is None
    assert light_correlation([], []) is None
