"""Exposure flicker: taken out of clips with motion, while what changes for good, or only in places, is kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from clips import moving_frames
from flicker import Frames

from vidtrans.flow.exposure import ExposureMeter, corrected

COUNT = 40
FADE = np.linspace(0.9, 0.5, COUNT)  # a sunset
FLICKER = {
    "aperture": lambda rng, f: f * np.exp(rng.normal(0, 0.12)),
    "offset": lambda rng, f: f + rng.normal(0, 14),
    "tone curve": lambda rng, f: 255 * (f / 255) ** np.exp(rng.normal(0, 0.15)),
    "white balance": lambda rng, f: f * np.exp(rng.normal(0, 0.08, 3)),
    "none": lambda rng, f: f,
}


def clean() -> Frames:
    """Two shots that grow darker, with a disc that moves."""
    frames = moving_frames(COUNT, (96, 64), shots=(0, 25))
    return [np.rint(f * fade).astype(np.uint8) for f, fade in zip(frames, FADE, strict=True)]


def noisy(frames: Frames, light: Callable[[np.random.Generator, np.ndarray], np.ndarray]) -> Frames:
    rng = np.random.default_rng(4)  # its own: tests run in any order
    lit = (light(rng, f.astype(float)) + rng.normal(0, 2, f.shape) for f in frames)
    return [np.clip(np.rint(f), 0, 255).astype(np.uint8) for f in lit]


def second_difference(frames: Frames, shots: tuple[int, int] = (0, 25)) -> float:
    """Of the brightness, within the shots, in grey levels."""
    means = [f.mean() for f in frames]
    return float(np.mean([np.abs(np.diff(part, 2)).mean() for part in (means[: shots[1]], means[shots[1] :])]))


@pytest.mark.parametrize("kind", FLICKER)
def test_flicker_of_the_exposure_is_taken_out(kind: str) -> None:
    steady = clean()
    given = noisy(steady, FLICKER[kind])
    meter = ExposureMeter()
    for frame in given:
        meter.add(frame)
    corrections = meter.corrections((0, 25))
    made = [corrected(f, c) for f, c in zip(given, corrections, strict=True)]
    before, after, own = (second_difference(frames) for frames in (given, made, noisy(steady, FLICKER["none"])))
    assert before > 7 or kind == "none"
    assert after < own + 0.05 * before
    # The sunset stays: only a tone curve for each shot as a whole is open.
    assert abs(np.mean([f.mean() for f in made[:8]]) - np.mean([f.mean() for f in steady[:8]])) < 6
    if kind == "none":
        assert np.abs(corrections - [1, 0]).max() < 0.05
        assert max(np.abs(m.astype(int) - g).mean() for m, g in zip(made, given, strict=True)) < 1


def test_pictures_without_light_and_single_frames_stay() -> None:
    black, odd = np.zeros((48, 64, 3), np.uint8), moving_frames(1)[0]
    meter = ExposureMeter()
    for frame in (odd, black, odd):
        meter.add(frame)
    assert np.allclose(meter.corrections((0, 1, 2)), [1, 0])
    assert np.array_equal(corrected(odd, np.tile([1.0, 0.0], (3, 1))), odd)
    deep = odd.astype(np.uint16) * 257
    assert np.array_equal(corrected(deep, np.tile([0.5, 0.25], (3, 1))), np.rint(deep * 0.5 + 0.25 * 65535))
