"""A first look at a clip: which frames repeat or are blurred, what a dataset leaves out; what shows the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chain import TINY, refuse
from clips import moving_frames, scene, write_clip
from panorama import panorama as world

import vidtrans as api
from vidtrans.data.dataset import Dataset, open_dataset
from vidtrans.flow.matching import ENOUGH, Matcher, bring, clip_similarity, outlines
from vidtrans.flow.survey import SAME_PATCH, Survey, Surveyor, find_blurred, largest_change

NOISE = np.random.default_rng(7)


def survey_of(frames: list[np.ndarray]) -> Survey:
    surveyor = Surveyor()
    for frame in frames:
        surveyor.add(frame)
    return surveyor.survey()


def noisy(frame: np.ndarray, sigma: float = 2.0) -> np.ndarray:
    return np.clip(frame + NOISE.normal(0, sigma, frame.shape), 0, 255).astype(np.uint8)


def resting(moving: int, still: int) -> list[np.ndarray]:
    """Frames of which those after the first ``moving`` repeat the last, but for the sensor's noise."""
    frames = moving_frames(moving)
    return [*frames, *[noisy(frames[-1]) for _ in range(still)]]


def with_blur(count: int, at: set[int]) -> list[np.ndarray]:
    frames = moving_frames(count)
    return [cv2.GaussianBlur(f, (0, 0), 5) if i in at else f for i, f in enumerate(frames)]


def test_a_stretch_without_motion_looks_like_its_first_frame() -> None:
    survey = survey_of([*resting(6, 8), *moving_frames(12)[7:]])
    assert survey.looks == (*range(6), *[5] * 8, *range(14, 19))
    assert survey.shots == (0,)


def test_something_small_that_moves_is_no_repeat() -> None:
    still = scene(128, 96, seed=0)
    moved = still.copy()
    moved[40:48, 60:68] = 255 - moved[40:48, 60:68]
    assert np.abs(moved.astype(int) - still).mean() < SAME_PATCH  # over the whole picture it is nothing
    assert largest_change(still, moved) > SAME_PATCH
    assert survey_of([still, noisy(still), moved]).looks == (0, 0, 2)


def test_a_slow_fade_is_compared_with_what_was_kept_not_with_the_frame_before() -> None:
    frames = [np.full((48, 64, 3), 100 + i // 2, np.uint8) for i in range(16)]
    looks = survey_of(frames).looks
    assert looks == (0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12)


def test_the_first_frame_of_a_shot_is_never_a_repeat() -> None:
    black = [np.zeros((48, 64, 3), np.uint8)] * 3
    survey = survey_of([*black, *[scene(64, 48, 1)] * 5, *black])
    assert survey.shots == (0, 3, 8)
    assert survey.looks == (0, 0, 0, 3, 3, 3, 3, 3, 8, 8, 8)


def test_a_blurred_frame_is_less_sharp_than_those_around_it() -> None:
    survey = survey_of(with_blur(20, {4, 11, 12}))
    assert find_blurred(survey.sharpness, list(range(20)), 0.5) == {4, 11, 12}
    assert find_blurred(survey.sharpness, [n for n in range(20) if n != 4], 0.5) == {11, 12}


def test_what_is_soft_as_a_whole_or_becomes_so_slowly_is_not_blurred() -> None:
    for frames in (with_blur(20, set(range(20))), [np.zeros((48, 64, 3), np.uint8)] * 20):
        assert find_blurred(survey_of(frames).sharpness, list(range(20)), 0.5) == set()
    falling = tuple(20.0 * 0.95**i for i in range(60))  # to a twentieth
    assert find_blurred(falling, list(range(60)), 0.5) == set()


def make(frames: list[np.ndarray], pairing: str = "edges", **dataset: Any) -> tuple[dict[str, Any], Dataset]:
    clip = write_clip(Path("c.mp4"), frames)
    made = api.make_dataset(clip, pairing=pairing, settings={"dataset": {**TINY["dataset"], **dataset}}, overwrite=True)
    return made, open_dataset(Path("c.dataset"))


def numbers(dataset: Dataset, *roles: str) -> list[int]:
    return [r.index for r in dataset.records if r.role in roles]


def test_repeats_and_blurred_frames_are_on_record_and_not_stored() -> None:
    made, dataset = make([*with_blur(14, {9}), *[moving_frames(14)[-1]] * 6])
    assert numbers(dataset, "dropped") == [9, *range(14, 20)]
    assert (made["frames"], made["left_out"]) == (13, 7)
    assert len(dataset.records) == 20
    stored = sorted(int(p.stem) for p in Path("c.dataset/c").iterdir())
    assert stored == [n for n in range(20) if n not in numbers(dataset, "dropped")]
    assert dataset.num_missing == 0
    assert {int(p.target.stem) for p in dataset.pairs} <= set(stored)


def test_a_thinned_frame_is_not_missing_and_restoring_brings_back_no_more_than_was_there() -> None:
    _, dataset = make([*moving_frames(10), *[moving_frames(10)[-1]] * 4])
    Path("c.dataset/c/000002.png").unlink()
    table = api.make_dataset("c.mp4", pairing="edges", settings={"dataset": TINY["dataset"]}, restore=True)
    assert (table["frames"], table["left_out"]) == (10, 4)
    assert len(list(Path("c.dataset/c").iterdir())) == 10
    assert open_dataset(Path("c.dataset")).files() == dataset.files()


def test_next_frame_pairs_never_span_a_thinned_frame() -> None:
    still = moving_frames(8)[-1]
    frames = [*moving_frames(8), still, still, *moving_frames(16)[8:]]
    made, dataset = make(frames, "next-frame", val_fraction=0, min_sharpness=0)
    assert numbers(dataset, "dropped") == [8, 9]
    pairs = [tuple(int(path.stem) for path in (*p.inputs, p.target)) for p in dataset.pairs]
    assert pairs == [(n, n + 1, n + 2) for n in (*range(6), *range(10, 16))]
    assert made["pairs"] == len(pairs)


def test_where_all_is_thinned_next_frame_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(Path("still.mp4"), [scene(64, 48, 3)] * 12)
    told = refuse(capsys, 3, "make-dataset", "still.mp4", "--pairing", "next-frame")
    assert "needs 3 frames in a row" in told
    assert "11 frames are flat or blurred, or look just like others" in told
    remedy = told.split("keep all with ")[1].split()
    assert remedy == ["--set", "dataset.drop_duplicates=false", "--set", "dataset.min_sharpness=0"]
    settings = {**TINY["dataset"], "drop_duplicates": False, "min_sharpness": 0}
    assert api.make_dataset("still.mp4", pairing="next-frame", settings={"dataset": settings})["pairs"] > 0


def test_what_has_a_target_of_its_own_is_never_thinned() -> None:
    write_clip(Path("still.mp4"), [scene(64, 48, 3)] * 12)
    write_clip(Path("moves.mp4"), moving_frames(12))
    made = api.make_dataset("still.mp4", pairing="aligned", target="moves.mp4", settings={"dataset": TINY["dataset"]})
    assert (made["frames"], made["left_out"]) == (12, 0)


SIZE = (160, 128)


def seen(picture: np.ndarray, at: int) -> np.ndarray:
    return np.ascontiguousarray(picture[:, at : at + SIZE[0]])


def in_another_style(frame: np.ndarray) -> np.ndarray:
    """The negative, with less contrast, warm, and with grain."""
    grain = np.random.default_rng(0).normal(0, 6, frame.shape)
    return np.clip((255 - frame) * np.array([0.9, 0.7, 0.4]) + 20 + grain, 0, 255).astype(np.uint8)


def test_the_frame_that_shows_the_same_is_found_in_anin_another_style() -> None:
    picture = world(0)
    match = Matcher([outlines(seen(picture, at)) for at in range(0, 480, 12)])
    for at in (3, 100, 250, 413):
        found = match(outlines(in_another_style(seen(picture, at))))
        assert abs(12 * found.number - at) <= 12
        assert found.share > 2 * ENOUGH


def test_little_is_found_of_what_shows_something_else() -> None:
    match = Matcher([outlines(seen(world(0), at)) for at in range(0, 480, 12)])
    for seed, at in ((1, 6), (2, 366), (3, 426)):
        assert match(outlines(in_another_style(seen(world(seed), at)))).share < ENOUGH


def test_a_frame_is_brought_to_where_the_other_shows_the_same() -> None:
    picture = world(0)
    there = seen(picture, 106)
    brought = bring(seen(picture, 100), in_another_style(there))

    def apart(frame: np.ndarray) -> float:
        return float(np.abs(frame.astype(float) - there)[8:-8, 8:-8].mean())

    assert apart(brought) < 0.35 * apart(seen(picture, 100))


def test_a_clip_agrees_with_its_renders_and_not_with_another_clip() -> None:
    clips = [[seen(world(seed), at) for at in range(0, 480, 80)] for seed in range(3)]
    for number, clip in enumerate(clips):
        for render in (in_another_style, lambda f: f // 64 * 64, lambda f: f[::4, ::4].repeat(4, 0).repeat(4, 1)):
            made = [render(frame) for frame in clip]
            found = [clip_similarity(zip(other, made, strict=True)) for other in clips]
            assert all(value is not None and (value > 1) == (n == number) for n, value in enumerate(found))
            assert sorted(found, key=float)[-2] < 0.35  # type: ignore[arg-type]
    assert clip_similarity([(clips[0][0], np.full_like(clips[0][0], 90))]) is None
