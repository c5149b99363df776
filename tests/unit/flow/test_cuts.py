"""Where one shot ends: found in bright, dark, flat and noisy footage; flashes, fades and dissolves are no cuts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from chain import TINY
from clips import moving_frames, scene, write_clip
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import vidtrans as api
from vidtrans.data.dataset import open_dataset
from vidtrans.flow.cuts import ANALYSIS_SHORT_SIDE, LONGEST_FLASH, REACH, CutDetector
from vidtrans.settings import Size
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.reader import ClipReader

Frames = list[np.ndarray]
SIZE = (160, 128)
LEVELS = (None, 50, 30, 20, 15, 10)


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


def flattened(frames: Frames) -> Frames:
    """A fifth of the contrast, around 200."""
    mean = float(np.mean(frames))
    return [np.rint((frame - mean) / 5 + 200).astype(np.uint8) for frame in frames]


def noisy(frames: Frames, sigma: float = 2.0) -> Frames:
    rng = np.random.default_rng(3)
    return [np.clip(np.rint(f + rng.normal(0, sigma, f.shape)), 0, 255).astype(np.uint8) for f in frames]


def mixed(first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
    return np.rint((1 - weight) * first.astype(np.float32) + weight * second).astype(np.uint8)


def black(count: int) -> Frames:
    return [np.zeros((SIZE[1], SIZE[0], 3), np.uint8)] * count


def barred(frames: Frames, across: float, down: float = 0.0, level: int = 0) -> Frames:
    """The frames with bars that take these shares of their width and height."""
    x, y = round(SIZE[0] * across / 2), round(SIZE[1] * down / 2)
    made = [np.full_like(frame, level) for frame in frames]
    for bars, frame in zip(made, frames, strict=True):
        bars[y : SIZE[1] - y, x : SIZE[0] - x] = frame[y : SIZE[1] - y, x : SIZE[0] - x]
    return made


def plain(colour: Sequence[int], count: int = 10) -> Frames:
    return [np.full((SIZE[1], SIZE[0], 3), colour, np.uint8)] * count


def title(words: str, ground: int, at: tuple[int, int] = (12, 60)) -> Frames:
    picture = plain([ground] * 3)[0].copy()
    cv2.putText(picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255 - ground,) * 3, 2)
    return [picture] * 10


# Cuts in footage of every kind


def test_a_cut_is_found_at_its_frame_and_nowhere_else() -> None:
    assert shots_of(moving_frames(30, SIZE, shots=(0, 13, 14, 22))) == [0, 13, 14, 22]
    assert shots_of(moving_frames(30, SIZE)) == [0]


@pytest.mark.parametrize("noise", [0.0, 1.5])
@pytest.mark.parametrize("mean", LEVELS)
def test_a_cut_is_found_however_dark_the_footage_is(mean: float | None, noise: float) -> None:
    frames = noisy(scaled(panning(14, 3, 4) + moving_frames(10, SIZE) + panning(9, 5, 6), mean), noise)
    assert shots_of(frames) == [0, 14, 24]


@pytest.mark.parametrize("noise", [0.0, 1.5])
def test_a_cut_is_found_in_flat_footage(noise: float) -> None:
    assert shots_of(noisy(flattened(panning(14, 3, 4) + moving_frames(10, SIZE)), noise)) == [0, 14]


@pytest.mark.parametrize("crf", ["18", "38"])
def test_a_cut_is_found_in_dark_footage_that_is_thinly_coded(crf: str, tmp_path: Path) -> None:
    frames = scaled(panning(20, 3, 4) + panning(20, 2, 5), 12)
    path = write_clip(tmp_path / "c.mp4", frames, options={"crf": crf, "preset": "veryfast"})
    assert shots_of_file(path) == [0, 20]


@pytest.mark.parametrize(("across", "down"), [(0.7, 0.0), (0.45, 0.0), (0.0, 0.5), (0.6, 0.6)])
@pytest.mark.parametrize(("mean", "noise"), [(None, 0.0), (None, 2.0), (15, 0.0)])
def test_bars_hide_no_cut(across: float, down: float, mean: float | None, noise: float) -> None:
    frames = scaled(panning(9, 2, 4) + panning(9, 2, 5), mean)
    assert shots_of(noisy(barred(frames, across, down), noise)) == [0, 9]


def test_white_bars_and_those_of_a_film_of_several_shapes_hide_no_cut() -> None:
    one, two, three = panning(9, 2, 4), panning(9, 2, 5), panning(9, 2, 6)
    assert shots_of(barred(one + two, 0.7, level=255)) == [0, 9]
    assert shots_of([*one, *barred(two + three, 0.7), *one]) == [0, 9, 18, 27]


def test_motion_within_bars_is_no_cut() -> None:
    assert shots_of(barred(panning(20, 5, 4), 0.6)) == [0]


@pytest.mark.parametrize("noise", [0.0, 3.0])
@pytest.mark.parametrize("gain", [1, 12])
def test_a_cut_between_plain_colours_is_found(gain: int, noise: float) -> None:
    colours = [(200, 0, 0), (0, 0, 200), (240, 240, 240), (0, 0, 0), (90, 90, 90)]
    frames = [frame // gain for colour in colours for frame in plain(colour)]
    assert shots_of(noisy(frames, noise)) == [0, 10, 20, 30, 40]
    assert shots_of(noisy(plain((120, 90, 60), 30), noise)) == [0]


@pytest.mark.parametrize("ground", [0, 255])
def test_titles_are_shots(ground: int) -> None:
    shot = panning(10, 2, 4)
    frames = [*shot, *title("Meanwhile", ground), *title("Chapter 1", ground, (20, 100)), *shot]
    assert shots_of(frames) == [0, 10, 20, 30]


def test_a_fade_of_a_plain_colour_is_no_cut() -> None:
    frames = [frame for level in range(200, 0, -12) for frame in plain([level] * 3, 1)]
    assert shots_of([*plain([200] * 3), *frames, *plain([0] * 3)]) == [0]


@pytest.mark.parametrize("down", [0.12, 0.4])
@pytest.mark.parametrize("gain", [1.6, 2.2])
def test_a_lamp_is_no_cut_within_bars_either_switched_on_or_off(gain: float, down: float) -> None:
    dim = scaled(panning(16, 2, 4), 60)
    lit = [np.clip(frame * gain, 0, 255).astype(np.uint8) for frame in dim]
    assert shots_of(barred(dim[:8] + lit[8:], 0, down)) == [0]
    assert shots_of(barred(lit[:8] + dim[8:], 0, down)) == [0]


@pytest.mark.parametrize("step", [1, 5, 12])
@pytest.mark.parametrize("mean", [None, 12])
def test_fast_motion_is_no_cut(step: int, mean: float | None) -> None:
    frames = panning(12, step, 4)
    assert shots_of(scaled(frames, mean)) == [0]
    assert shots_of(scaled(frames + panning(5, step, 5), mean)) == [0, 12]


@pytest.mark.parametrize("sigma", [1.0, 4.0, 30.0])
def test_noise_alone_is_no_cut(sigma: float) -> None:
    assert shots_of(noisy([np.full((128, 160, 3), 30, np.uint8)] * 12, sigma)) == [0]


def test_pictures_that_have_nothing_in_common_are_shots_of_one_frame() -> None:
    assert shots_of([scene(*SIZE, seed) for seed in range(6)]) == [*range(6)]


def test_a_frame_that_mixes_two_shots_belongs_to_the_nearer_one() -> None:
    first, second = panning(9, 2, 4), panning(9, 2, 5)
    for weight, found in ((0.3, 10), (0.42, 10), (0.58, 9), (0.7, 9)):
        for mean in (None, 12):
            frames = scaled([*first, mixed(first[-1], second[0], weight), *second], mean)
            assert shots_of(frames) == [0, found]


def test_after_a_mixed_frame_the_next_cut_is_found_too() -> None:
    shots = [panning(3, 2, seed) for seed in (4, 5, 6)]
    frames = [*shots[0], mixed(shots[0][-1], shots[1][0], 0.55), *shots[1], *shots[2]]
    assert shots_of(frames) == [0, 3, 7]


def test_a_frame_that_is_something_else_is_no_mixture() -> None:
    first, second = panning(9, 2, 4), panning(9, 2, 5)
    assert shots_of([*first, scene(*SIZE, 6), *second]) == [0, 9, 10]


def test_a_short_bright_shot_between_two_dark_ones_that_differ_is_no_flash() -> None:
    first, between, second = panning(8, 2, 4), panning(3, 2, 5), panning(8, 2, 6)
    assert shots_of([*first, *between, *second]) == [0, 8, 11]


def test_another_size_starts_a_shot_and_what_comes_after_it_is_judged_anew() -> None:
    small = [cv2.resize(f, (96, 128)) for f in moving_frames(12, SIZE, shots=(0, 7))]
    assert shots_of(moving_frames(3, SIZE) + small + moving_frames(4, SIZE)) == [0, 3, 10, 15]


def test_a_cut_at_the_second_and_at_the_last_frame_is_found() -> None:
    assert shots_of(moving_frames(12, SIZE, shots=(0, 1, 11))) == [0, 1, 11]


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_the_shortest_clips_have_one_shot(count: int) -> None:
    assert shots_of(moving_frames(count, SIZE)) == [0][:count]


def test_a_cut_to_black_and_back_is_two_cuts() -> None:
    gap = LONGEST_FLASH + 1
    assert shots_of([*moving_frames(6, SIZE), *black(gap), *moving_frames(6, SIZE)]) == [0, 6, 6 + gap]
    assert shots_of(scaled([*moving_frames(6, SIZE), *black(gap), *moving_frames(6, SIZE)], 10)) == [0, 6, 6 + gap]
    for frames in (noisy(moving_frames(6, SIZE) + black(gap) + moving_frames(6, SIZE), sigma) for sigma in (1, 2, 3)):
        assert shots_of(frames) == [0, 6, 6 + gap]


# What is no cut


@pytest.mark.parametrize("mean", [None, 12])
@pytest.mark.parametrize("length", range(1, LONGEST_FLASH + 1))
def test_a_flash_is_no_cut(length: int, mean: float | None) -> None:
    frames = scaled(panning(16, 2, 4), mean)
    for i in range(8, 8 + length):
        frames[i] = np.clip(frames[i].astype(np.float32) * 2 + 120, 0, 255).astype(np.uint8)
    assert shots_of(frames) == [0]


@pytest.mark.parametrize("length", range(1, LONGEST_FLASH + 1))
def test_frames_that_drop_to_black_are_no_cut(length: int) -> None:
    frames = panning(16, 2, 4)
    frames[8 : 8 + length] = black(length)
    assert shots_of(frames) == [0]


@pytest.mark.parametrize("gain", [0.5, 1.6])
@pytest.mark.parametrize("mean", [None, 20])
def test_a_lamp_that_is_switched_on_or_off_is_no_cut(gain: float, mean: float | None) -> None:
    frames = scaled(panning(16, 2, 4), mean)
    frames[8:] = [np.clip(frame * gain, 0, 255).astype(np.uint8) for frame in frames[8:]]
    assert shots_of(frames) == [0]


@pytest.mark.parametrize("gain", [2.2, 1 / 2.2])
def test_a_lamp_that_leaves_half_of_the_picture_white_is_no_cut(gain: float) -> None:
    frames = [np.clip(frame * 1.4, 0, 255).astype(np.uint8) for frame in panning(16, 6, 4)]
    lit = slice(8, None) if gain > 1 else slice(0, 8)
    frames[lit] = [np.clip(frame * max(gain, 1 / gain), 0, 255).astype(np.uint8) for frame in frames[lit]]
    assert (frames[12 if gain > 1 else 4] == 255).mean() > 0.5
    assert shots_of(frames) == [0]


def test_a_cut_from_a_dark_shot_to_a_bright_one_is_a_cut() -> None:
    dark = [frame // 6 for frame in panning(8, 2, 4)]
    bright = [255 - (255 - frame) // 3 for frame in panning(8, 2, 5)]
    assert shots_of(dark + bright) == [0, 8]
    assert shots_of(bright + dark) == [0, 8]


@pytest.mark.parametrize("length", [6, 12, 24])
@pytest.mark.parametrize("mean", [None, 12])
def test_a_fade_to_black_and_back_is_no_cut(length: int, mean: float | None) -> None:
    out, back = panning(length + 4, 1, 4), panning(length + 4, 1, 5)
    out[4:] = [mixed(frame, black(1)[0], (i + 1) / length) for i, frame in enumerate(out[4:])]
    back[:length] = [mixed(black(1)[0], frame, (i + 1) / length) for i, frame in enumerate(back[:length])]
    assert shots_of(scaled(out + back, mean)) == [0]


@pytest.mark.parametrize("length", [6, 12, 24])
@pytest.mark.parametrize("mean", [None, 12])
def test_a_dissolve_is_no_cut(length: int, mean: float | None) -> None:
    first, second = panning(length + 6, 1, 4), panning(length + 6, 1, 5)
    frames = [mixed(first[6 + i], second[i], (i + 1) / (length + 1)) for i in range(length)]
    assert shots_of(scaled([*first[:6], *frames, *second[length:]], mean)) == [0]


def test_changes_of_exposure_are_no_cuts() -> None:
    still = scene(*SIZE, 3).astype(np.float32)
    assert shots_of([np.clip(still * g, 0, 255).astype(np.uint8) for g in (1, 1.05, 1.1, 1.0, 0.95)]) == [0]


def test_next_frame_learns_no_pair_across_a_cut_in_a_dark_clip(tmp_path: Path) -> None:
    frames = scaled(panning(14, 3, 4) + panning(12, 2, 5), 12)
    write_clip(Path("dark.mp4"), frames, options={"crf": "20", "preset": "veryfast"})
    every_frame = {**TINY["dataset"], "drop_duplicates": False, "min_sharpness": 0, "val_fraction": 0}
    api.make_dataset("dark.mp4", pairing="next-frame", settings={"dataset": every_frame})
    pairs = [[int(p.stem) for p in (*pair.inputs, pair.target)] for pair in open_dataset(Path("dark.dataset")).pairs]
    assert pairs == [[n, n + 1, n + 2] for n in (*range(12), *range(14, 24))]


# The detector itself


@hypothesis_settings(max_examples=25)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_shots_rise_from_the_first_frame_and_begin_where_the_content_does(lengths: list[int]) -> None:
    firsts = np.cumsum([0, *lengths])
    frames = moving_frames(int(firsts[-1]), (96, 80), shots=[int(f) for f in firsts[:-1]])
    assert shots_of(frames) == [int(f) for f in firsts[:-1]]


def test_a_long_clip_is_not_held_in_memory() -> None:
    detector = CutDetector()
    for frame in panning(60, 2, 4):
        detector.add(frame)
    assert len(detector._frames) <= 2 * REACH + 3


def shots_of_file(path: Path) -> list[int]:
    with ClipReader(path, FrameFormat(Size(short=ANALYSIS_SHORT_SIDE))) as reader, closing(reader.frames()) as frames:
        return shots_of([frame.rgb for frame in frames])


@pytest.mark.parametrize("mean", [None, 10])
@pytest.mark.parametrize(
    ("name", "cuts"), [("video/bikes_5cuts.mp4", [30, 76, 137, 187, 242]), ("video/bbb_0_30.webm", [283, 376, 551])]
)
def test_the_cuts_of_real_clips_are_found(
    real_data: Callable[[str], Path], name: str, cuts: list[int], mean: float | None
) -> None:
    path = real_data(name)
    with ClipReader(path, FrameFormat(Size(short=ANALYSIS_SHORT_SIDE))) as reader, closing(reader.frames()) as frames:
        assert shots_of(scaled([frame.rgb for frame in frames], mean)) == [0, *cuts]
