"""Scores of films that a model makes of its own frames, and what fools each of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from clips import scene

from vidtrans.metrics import dreams
from vidtrans.metrics.picture_quality import psnr

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
