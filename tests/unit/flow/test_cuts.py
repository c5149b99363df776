"""Where one shot ends, black bars of a clip, and exposure that flickers; what only looks like them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import moving_frames, scene
from flicker import Frames
from hypothesis import given, settings
from hypothesis import strategies as st

from vidtrans.core.settings import Size
from vidtrans.flow.bars import BLEED, NO_BARS, Bars, bars_of, black_bars, opaque_rectangle
from vidtrans.flow.cuts import ANALYSIS_SHORT_SIDE, MAX_FLASH_FRAMES, REACH, CutDetector
from vidtrans.flow.exposure import ExposureMeter, corrected
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.reader import ClipReader

SIZE = (160, 128)


def shots_of(frames: Frames) -> list[int]:
    detector = CutDetector()
    for frame in frames:
        detector.add(frame)
    return list(detector.shots())


def panning(count: int, step: int, seed: int) -> Frames:
    """A texture that moves by ``step`` pixels a frame."""
    big = scene(SIZE[0] + step * count, SIZE[1], seed)
    return [np.ascontiguousarray(big[:, i * step : i * step + SIZE[0]]) for i in range(count)]


def scaled(frames: Frames, mean: float | None) -> Frames:
    """The frames darkened to a mean in grey levels; as they are for None."""
    if mean is None:
        return frames
    gain = mean / float(np.mean(frames))
    return [np.rint(frame * gain).astype(np.uint8) for frame in frames]


def noisy(frames: Frames, sigma: float = 2.0) -> Frames:
    rng = np.random.default_rng(3)
    return [np.clip(np.rint(f + rng.normal(0, sigma, f.shape)), 0, 255).astype(np.uint8) for f in frames]


def mixed(first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
    return np.rint((1 - weight) * first.astype(np.float32) + weight * second).astype(np.uint8)


def barred(frames: Frames, across: float, down: float = 0.0, level: int = 0) -> Frames:
    """The frames with bars that take these shares of their width and height."""
    x, y = round(SIZE[0] * across / 2), round(SIZE[1] * down / 2)
    made = [np.full_like(frame, level) for frame in frames]
    for bars, frame in zip(made, frames, strict=True):
        bars[y : SIZE[1] - y, x : SIZE[0] - x] = frame[y : SIZE[1] - y, x : SIZE[0] - x]
    return made


def lit(frames: Frames, gain: float, level: float = 0.0) -> Frames:
    return [np.clip(frame.astype(np.float32) * gain + level, 0, 255).astype(np.uint8) for frame in frames]


def plain(colour: Sequence[int], count: int = 10) -> Frames:
    return [np.full((SIZE[1], SIZE[0], 3), colour, np.uint8)] * count


def title(words: str, at: tuple[int, int] = (12, 60)) -> Frames:
    picture = BLACK[0].copy()
    cv2.putText(picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255,) * 3, 2)
    return [picture] * 10


ONE, TWO, THREE = (panning(9, 2, seed) for seed in (4, 5, 6))
LONG = panning(16, 2, 4)
BLACK = [np.zeros((SIZE[1], SIZE[0], 3), np.uint8)]


COLOURS = [(200, 0, 0), (0, 0, 200), (240, 240, 240), (0, 0, 0), (90, 90, 90)]
PLAIN = [frame // 12 for colour in COLOURS for frame in plain(colour, 6)]
SMALL = [cv2.resize(f, (96, 128)) for f in moving_frames(12, SIZE, shots=(0, 7))]
THREE_SHOTS = panning(14, 3, 4) + moving_frames(10, SIZE) + panning(9, 5, 6)
TITLES = [*panning(10, 2, 4), *title("Meanwhile"), *title("Chapter 1", (20, 100)), *panning(10, 2, 4)]
DARKNESS = [*moving_frames(6, SIZE), *BLACK * (MAX_FLASH_FRAMES + 1), *moving_frames(6, SIZE)]
FADE = [frame for level in range(200, 0, -12) for frame in plain([level] * 3, 1)]
CUTS: dict[str, tuple[Frames, list[int]]] = {
    "dark and noisy": (noisy(scaled(THREE_SHOTS, 10), 1.5), [0, 14, 24]),
    "in bars all round, dark": (barred(scaled(ONE + TWO, 15), 0.6, 0.6), [0, 9]),
    "plain colours, dark and noisy": (noisy(PLAIN, 3.0), [0, 6, 12, 18, 24]),
    "titles": (TITLES, [0, 10, 20, 30]),
    "at the second and at the last frame": (moving_frames(12, SIZE, shots=(0, 1, 11)), [0, 1, 11]),
    "of several shapes": ([*ONE, *barred(TWO + THREE, 0.7), *ONE], [0, 9, 18, 27]),
    "of another size": (moving_frames(3, SIZE) + SMALL + moving_frames(4, SIZE), [0, 3, 10, 15]),
    "nothing in common": ([scene(*SIZE, seed) for seed in range(6)], [*range(6)]),
    "dark to bright": (lit(ONE, 1 / 6) + lit(TWO, 1 / 3, 170), [0, 9]),
    "to black and back": (scaled(DARKNESS, 10), [0, 6, 7 + MAX_FLASH_FRAMES]),
    "fast motion": (scaled(panning(12, 12, 4) + panning(5, 12, 5), 12), [0, 12]),
    "no frame": ([], []),
    "one frame": (moving_frames(1, SIZE), [0]),
    "what moves in bars": (barred(panning(20, 5, 4), 0.6), [0]),
    "a plain fade": ([*plain([200] * 3), *FADE, *plain([0] * 3)], [0]),
    "a lamp that wavers": ([lit([scene(*SIZE, 3)], gain)[0] for gain in (1, 1.05, 1.1, 1.0, 0.95)], [0]),
    "much noise": (noisy(plain([30] * 3, 12), 30.0), [0]),
}


@pytest.mark.parametrize("name", CUTS)
def test_every_cut_is_found_at_its_frame_and_nothing_else(name: str) -> None:
    frames, shots = CUTS[name]
    assert shots_of(frames) == shots


def test_a_frame_that_mixes_two_shots_belongs_to_the_nearer_one() -> None:
    for weight, found, mean in ((0.3, 10, None), (0.42, 10, 12), (0.58, 9, None), (0.7, 9, 12)):
        assert shots_of(scaled([*ONE, mixed(ONE[-1], TWO[0], weight), *TWO], mean)) == [0, found]


@pytest.mark.parametrize("mean", [None, 12])
def test_flashes_and_frames_that_drop_to_black_are_no_cuts(mean: float | None) -> None:
    frames = scaled(LONG, mean)
    for length in (1, MAX_FLASH_FRAMES):
        flash = lit(frames[8 : 8 + length], 2, 120)
        assert shots_of([*frames[:8], *flash, *frames[8 + length :]]) == [0], length
        assert shots_of([*frames[:8], *BLACK * length, *frames[8 + length :]]) == [0], length


@pytest.mark.parametrize(("gain", "mean", "down"), [(0.5, None, 0), (2.2, 60, 0.12)])
def test_a_lamp_switched_on_or_off_is_no_cut_within_bars_either(gain: float, mean: float | None, down: float) -> None:
    frames = scaled(LONG, mean)
    assert shots_of(barred(frames[:8] + lit(frames[8:], gain), 0, down)) == [0]
    assert shots_of(barred(lit(frames[:8], gain) + frames[8:], 0, down)) == [0]


@pytest.mark.parametrize(("length", "mean"), [(6, 12), (24, None)])
def test_fades_and_dissolves_are_no_cuts(length: int, mean: float | None) -> None:
    first, second = panning(length + 6, 1, 4), panning(length + 6, 1, 5)
    dissolve = [mixed(first[6 + i], second[i], (i + 1) / (length + 1)) for i in range(length)]
    assert shots_of(scaled([*first[:6], *dissolve, *second[length:]], mean)) == [0]
    out = [mixed(frame, BLACK[0], (i + 1) / length) for i, frame in enumerate(first[6:])]
    back = [mixed(BLACK[0], frame, (i + 1) / length) for i, frame in enumerate(second[:length])]
    assert shots_of(scaled([*first[:6], *out, *back, *second[length:]], mean)) == [0]


def test_a_long_clip_is_not_held_in_memory() -> None:
    detector = CutDetector()
    for frame in panning(3 * REACH + 6, 2, 4):
        detector.add(frame)
    assert len(detector._frames) <= 2 * REACH + 3


def analysed(path: Path) -> Frames:
    with ClipReader(path, FrameFormat(Size(short=ANALYSIS_SHORT_SIDE))) as reader, closing(reader.frames()) as frames:
        return [frame.rgb for frame in frames]


BIKES = [30, 76, 137, 187, 242]


@pytest.mark.parametrize(
    ("name", "cuts", "mean"),
    [
        ("bikes_5cuts.mp4", BIKES, 10),
        pytest.param("bikes_5cuts.mp4", BIKES, None, marks=pytest.mark.thorough),
        pytest.param("bbb_0_30.webm", [283, 376, 551], None, marks=pytest.mark.thorough),
    ],
)
def test_real_cuts_are_found(real_data: Callable[[str], Path], name: str, cuts: list[int], mean: float | None) -> None:
    assert shots_of(scaled(analysed(real_data(f"video/{name}")), mean)) == [0, *cuts]


WHOLE = (320, 240)


def brightest(dark: int = 60) -> np.ndarray:
    """Of a clip whose picture fills the frame."""
    return np.maximum(scene(*WHOLE, seed=1).max(2), dark)


@settings(max_examples=15)
@given(top=st.integers(6, 60), left=st.integers(0, 60), noise=st.integers(0, 10))
def test_bars_are_found_to_a_few_lines(top: int, left: int, noise: int) -> None:
    picture = np.random.default_rng(top).integers(0, 2 * noise + 1, WHOLE[::-1]).astype(np.uint8)
    left = left if left >= 6 else 0
    picture[top:-top, left : WHOLE[0] - left] = brightest()[top:-top, left : WHOLE[0] - left]
    side = left + BLEED if left else 0
    assert black_bars(picture) == Bars(side, top + BLEED, side, top + BLEED)


def test_a_bar_whose_end_is_lost_in_a_dark_picture_is_as_thick_as_the_other() -> None:
    picture = np.zeros(WHOLE[::-1], np.uint8)
    picture[30:-30] = brightest()[30:-30]
    cv2.fillPoly(picture, [np.array([(20, 239), (120, 100), (200, 170), (319, 120), (319, 239)])], 0)  # a crowd
    assert black_bars(picture) == Bars(0, 32, 0, 32)
    assert black_bars(picture[::-1]) == Bars(0, 32, 0, 32)


NOTHING = np.zeros(WHOLE[::-1], np.uint8)
# A puppet before a black ground, as bright as it ever is in each place.
FIGURE = cv2.circle(cv2.ellipse(NOTHING.copy(), (160, 150), (90, 60), 0, 0, 360, 200, -1), (150, 80), 40, 220, -1)
# Something straight and black at one side of the picture only.
SHELF = np.where(np.arange(WHOLE[1])[:, None] < 40, 5, brightest())
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
    rows, columns = opaque_rectangle(alpha)
    assert alpha[rows, columns].min() == 255
    assert alpha[rows, columns].size > 0.4 * (alpha > 0).sum()
    assert alpha[opaque_rectangle(np.zeros((8, 8), np.uint8))].size == 0
    whole = np.full((200, 300), 254, np.uint8)  # nearly opaque counts as opaque
    assert whole[opaque_rectangle(whole)].shape == whole.shape
    whole[180, 150] = 0
    assert whole[opaque_rectangle(whole)].shape == (180, 300)


COUNT = 40
SUNSET = np.linspace(0.9, 0.5, COUNT)  # a sunset
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
    return [np.rint(f * fade).astype(np.uint8) for f, fade in zip(frames, SUNSET, strict=True)]


def unsteady(frames: Frames, light: Callable[[np.random.Generator, np.ndarray], np.ndarray]) -> Frames:
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
    given = unsteady(steady, FLICKER[kind])
    meter = ExposureMeter()
    for frame in given:
        meter.add(frame)
    corrections = meter.corrections((0, 25))
    made = [corrected(f, c) for f, c in zip(given, corrections, strict=True)]
    before, after, own = (second_difference(frames) for frames in (given, made, unsteady(steady, FLICKER["none"])))
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
