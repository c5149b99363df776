"""Black bars of a clip and what looks like them; exposure that flickers, and what changes for good."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from clips import moving_frames, scene
from flicker import Frames
from hypothesis import given, settings
from hypothesis import strategies as st

from vidtrans.flow.bars import BLEED, NO_BARS, Bars, bars_of, black_bars, opaque_part
from vidtrans.flow.exposure import ExposureMeter, corrected

SIZE = (320, 240)


def brightest(dark: int = 60) -> np.ndarray:
    """Of a clip whose picture fills the frame."""
    return np.maximum(scene(*SIZE, seed=1).max(2), dark)


@settings(max_examples=15)
@given(top=st.integers(6, 60), left=st.integers(0, 60), noise=st.integers(0, 10))
def test_bars_are_found_to_a_few_lines(top: int, left: int, noise: int) -> None:
    picture = np.random.default_rng(top).integers(0, 2 * noise + 1, SIZE[::-1]).astype(np.uint8)
    left = left if left >= 6 else 0
    picture[top:-top, left : SIZE[0] - left] = brightest()[top:-top, left : SIZE[0] - left]
    side = left + BLEED if left else 0
    assert black_bars(picture) == Bars(side, top + BLEED, side, top + BLEED)


def test_a_bar_whose_end_is_lost_in_a_dark_picture_is_as_thick_as_the_other() -> None:
    picture = np.zeros(SIZE[::-1], np.uint8)
    picture[30:-30] = brightest()[30:-30]
    cv2.fillPoly(picture, [np.array([(20, 239), (120, 100), (200, 170), (319, 120), (319, 239)])], 0)  # a crowd
    assert black_bars(picture) == Bars(0, 32, 0, 32)
    assert black_bars(picture[::-1]) == Bars(0, 32, 0, 32)


NOTHING = np.zeros(SIZE[::-1], np.uint8)
# A puppet before a black ground, as bright as it ever is in each place.
FIGURE = cv2.circle(cv2.ellipse(NOTHING.copy(), (160, 150), (90, 60), 0, 0, 360, 200, -1), (150, 80), 40, 220, -1)
# Something straight and black at one side of the picture only.
SHELF = np.where(np.arange(SIZE[1])[:, None] < 40, 5, brightest())
PICTURES = {
    "plain": brightest(),
    "vignette": cv2.circle(NOTHING.copy(), (160, 120), 110, 200, -1),
    "figure": FIGURE,
    "shelf": SHELF,
    "black": NOTHING,
}


@pytest.mark.parametrize("name", PICTURES)
def test_what_is_dark_at_the_border_is_no_bar(name: str) -> None:
    assert black_bars(PICTURES[name]) == NO_BARS


def test_white_bars_are_bars_and_single_pictures_of_several_sizes_share_none() -> None:
    picture = np.full((240, 320, 3), 255, np.uint8)
    picture[30:-30] = scene(320, 180, seed=1)
    assert bars_of([picture]) == Bars(0, 32, 0, 32)
    assert bars_of([picture, picture[:200]]) == NO_BARS
    assert bars_of([picture, np.ascontiguousarray(picture[::-1])]) == Bars(0, 32, 0, 32)


def test_the_opaque_part_of_a_cut_out_has_no_transparent_pixel() -> None:
    alpha = cv2.circle(np.zeros((200, 300), np.uint8), (150, 100), 90, 255, -1)
    rows, columns = opaque_part(alpha)
    assert alpha[rows, columns].min() == 255
    assert alpha[rows, columns].size > 0.4 * (alpha > 0).sum()
    assert alpha[opaque_part(np.zeros((8, 8), np.uint8))].size == 0
    whole = np.full((200, 300), 254, np.uint8)  # nearly opaque counts as opaque
    assert whole[opaque_part(whole)].shape == whole.shape
    whole[180, 150] = 0
    assert whole[opaque_part(whole)].shape == (180, 300)


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
