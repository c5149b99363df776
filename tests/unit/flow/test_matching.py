"""What shows the same is found by edges, whatever its light, its colours and its texture."""

from __future__ import annotations

import numpy as np
from panorama import panorama as world

from vidtrans.flow.matching import ENOUGH, Matcher, agreement, bring, outlines

SIZE = (160, 128)


def seen(picture: np.ndarray, at: int) -> np.ndarray:
    return np.ascontiguousarray(picture[:, at : at + SIZE[0]])


def other_manner(frame: np.ndarray) -> np.ndarray:
    """The negative, with less contrast, warm, and with grain."""
    grain = np.random.default_rng(0).normal(0, 6, frame.shape)
    return np.clip((255 - frame) * np.array([0.9, 0.7, 0.4]) + 20 + grain, 0, 255).astype(np.uint8)


def test_the_frame_that_shows_the_same_is_found_in_another_manner() -> None:
    picture = world(0)
    match = Matcher([outlines(seen(picture, at)) for at in range(0, 480, 12)])
    for at in (3, 100, 250, 413):
        found = match(outlines(other_manner(seen(picture, at))))
        assert abs(12 * found.number - at) <= 12
        assert found.share > 2 * ENOUGH


def test_little_is_found_of_what_shows_something_else() -> None:
    match = Matcher([outlines(seen(world(0), at)) for at in range(0, 480, 12)])
    for seed, at in ((1, 6), (1, 186), (2, 66), (2, 366), (3, 426)):
        assert match(outlines(other_manner(seen(world(seed), at)))).share < ENOUGH


def test_a_frame_is_brought_to_where_the_other_shows_the_same() -> None:
    picture = world(0)
    there = seen(picture, 106)
    brought = bring(seen(picture, 100), other_manner(there))

    def apart(frame: np.ndarray) -> float:
        return float(np.abs(frame.astype(float) - there)[8:-8, 8:-8].mean())

    assert apart(brought) < 0.35 * apart(seen(picture, 100))


def test_a_clip_agrees_with_its_renders_and_not_with_another_clip() -> None:
    clips = [[seen(world(seed), at) for at in range(0, 480, 80)] for seed in range(3)]
    for number, clip in enumerate(clips):
        for render in (other_manner, lambda f: f // 64 * 64, lambda f: f[::4, ::4].repeat(4, 0).repeat(4, 1)):
            made = [render(frame) for frame in clip]
            found = [agreement(zip(other, made, strict=True)) for other in clips]
            assert all(value is not None and (value > 1) == (n == number) for n, value in enumerate(found))
            assert sorted(found, key=float)[-2] < 0.35  # type: ignore[arg-type]
    assert agreement([(clips[0][0], np.full_like(clips[0][0], 90))]) is None
