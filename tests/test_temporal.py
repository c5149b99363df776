"""The filters: less flicker, nothing borrowed across a cut, detail that stays the frame's own."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import pytest
from clips import scene
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.temporal.off import NoFilter, OffSettings
from vidtrans.temporal.stream import Sample, Window, filtered
from vidtrans.temporal.window import WindowFilter, WindowSettings

repeatable = hypothesis_settings(derandomize=True, database=None, deadline=None, max_examples=60)


def samples(
    guides: list[np.ndarray], outputs: list[np.ndarray] | None = None, cuts: tuple[int, ...] = (0,)
) -> list[Sample]:
    shown = outputs or guides
    return [Sample(i, i * 512, g, o, i in cuts) for i, (g, o) in enumerate(zip(guides, shown, strict=True))]


def drifting(count: int, step: int = 1, seed: int = 0, size: tuple[int, int] = (64, 48)) -> list[np.ndarray]:
    """A texture that moves by ``step`` pixels a frame to the left."""
    big = scene(size[0] + step * count, size[1], seed)
    return [np.ascontiguousarray(big[:, i * step : i * step + size[0]]) for i in range(count)]


def flickering(frames: list[np.ndarray], levels: int = 20, seed: int = 1) -> list[np.ndarray]:
    """Each frame brighter or darker as a whole, at random."""
    rng = np.random.default_rng(seed)
    return [np.clip(f.astype(np.int16) + rng.integers(-levels, levels + 1), 0, 255).astype(np.uint8) for f in frames]


def run(method: object, given_samples: list[Sample]) -> list[np.ndarray]:
    return [picture for _, picture in filtered(given_samples, method)]


# The stream of windows


@dataclass
class Recorder:
    """A filter that notes what it was shown."""

    radius: int

    def __post_init__(self) -> None:
        self.seen: list[tuple[int, list[int]]] = []

    def __call__(self, window: Window) -> np.ndarray:
        self.seen.append((window.samples[window.centre].index, [s.index for s in window.samples]))
        return window.samples[window.centre].output


@repeatable
@given(st.integers(0, 6), st.integers(0, 30), st.sets(st.integers(1, 29)))
def test_each_window_is_the_shot_around_its_frame(radius: int, count: int, cuts: set[int]) -> None:
    blank = np.zeros((2, 2, 3), np.uint8)
    method = Recorder(radius)
    given_samples = [Sample(i, i, blank, blank, i == 0 or i in cuts) for i in range(count)]
    made = [s.index for s, _ in filtered(given_samples, method)]
    assert made == list(range(count))
    bounds = [0, *sorted(c for c in cuts if c < count), count]
    expected = []
    for first, stop in pairwise(bounds):
        for i in range(first, stop):
            expected.append((i, list(range(max(first, i - radius), min(stop, i + radius + 1)))))
    assert method.seen == expected


def test_frames_come_out_as_soon_as_their_window_is_full() -> None:
    read: list[int] = []

    def source() -> object:
        for sample in samples(drifting(12)):
            read.append(sample.index)
            yield sample

    for sample, _ in filtered(source(), Recorder(3)):
        assert read[-1] == min(sample.index + 3, 11)


# The filters


def test_off_returns_the_models_own_output() -> None:
    outputs = flickering(drifting(4))
    assert all(
        np.array_equal(a, b) for a, b in zip(run(NoFilter(OffSettings()), samples(outputs)), outputs, strict=True)
    )


@pytest.mark.parametrize("step", [0, 1, 3])
def test_the_window_takes_most_of_a_flicker_out(step: int) -> None:
    """Measured along the motion: how far a pixel's brightness strays from its mean over the clip."""
    guides = drifting(15, step)
    outputs = flickering(guides)
    made = run(WindowFilter(WindowSettings()), samples(guides, outputs))

    def flicker(frames: list[np.ndarray]) -> float:
        inner = [f[8:-8, 8:-8].astype(float) - g[8:-8, 8:-8] for f, g in zip(frames, guides, strict=True)]
        return float(np.std([d.mean() for d in inner[4:-4]]))

    assert flicker(made) < flicker(outputs) / 2


def test_an_output_without_flicker_is_left_nearly_as_it_is() -> None:
    guides = drifting(11, 2)
    made = run(WindowFilter(WindowSettings()), samples(guides))
    error = [np.abs(m[8:-8, 8:-8].astype(int) - g[8:-8, 8:-8]).mean() for m, g in zip(made, guides, strict=True)]
    assert max(error) < 1.5


def test_fine_detail_stays_the_frames_own() -> None:
    """Noise of single pixels is not averaged away: the window corrects low frequencies only."""
    guides = [scene(64, 48, 0)] * 9
    rng = np.random.default_rng(2)
    noise = [np.where(rng.random((48, 64, 1)) < 0.5, 12, -12) for _ in guides]
    outputs = [np.clip(g.astype(np.int16) + n, 0, 255).astype(np.uint8) for g, n in zip(guides, noise, strict=True)]
    made = run(WindowFilter(WindowSettings(detail=8.0)), samples(guides, outputs))[4]
    kept = np.mean((made.astype(float) - guides[4]) * noise[4]) / np.mean(
        (outputs[4].astype(float) - guides[4]) * noise[4]
    )
    assert kept > 0.85


@pytest.mark.parametrize("settings", [WindowSettings(radius=0), WindowSettings(strength=0.0)])
def test_no_radius_or_no_strength_changes_nothing(settings: WindowSettings) -> None:
    guides = drifting(5)
    outputs = flickering(guides)
    made = run(WindowFilter(settings), samples(guides, outputs))
    assert all(np.array_equal(a, b) for a, b in zip(made, outputs, strict=True))


def test_half_the_strength_is_half_the_correction() -> None:
    guides = drifting(9)
    outputs = flickering(guides)
    full, half = (run(WindowFilter(WindowSettings(strength=s)), samples(guides, outputs))[4] for s in (1.0, 0.5))
    before = outputs[4].astype(float)
    inside = (full > 0) & (full < 255) & (half > 0) & (half < 255)
    assert np.abs((half - before) - (full - before) / 2)[inside].max() <= 1


def test_far_neighbours_are_found_along_a_motion_that_bends() -> None:
    """The picture turns: a flow added up without following its path would miss."""
    big = scene(128, 128, 4)
    turned = [cv2.warpAffine(big, cv2.getRotationMatrix2D((64, 64), 10 * i, 1), (128, 128)) for i in range(9)]
    guides = [np.ascontiguousarray(t[24:-24, 24:-24]) for t in turned]
    outputs = list(guides)
    outputs[4] = np.clip(guides[4].astype(int) + 20, 0, 255).astype(np.uint8)
    made = run(WindowFilter(WindowSettings(radius=4)), samples(guides, outputs))[4]
    assert np.abs(made.astype(int) - guides[4])[16:-16, 16:-16].mean() < 3


def test_what_does_not_match_is_not_mixed_in() -> None:
    """The neighbours show another picture, though no cut was marked: colour and flow both refuse it."""
    a, b = scene(64, 48, 3), scene(64, 48, 2)
    guides = [b, b, b, a, b, b, b]
    alone = run(WindowFilter(WindowSettings(radius=3)), samples(guides))[3]
    assert np.abs(alone.astype(int) - a).mean() < 3


def test_a_lone_frame_between_two_cuts_is_its_own() -> None:
    frames = flickering([scene(64, 48, k) for k in range(3)])
    made = run(WindowFilter(WindowSettings()), samples(frames, cuts=(0, 1, 2)))
    assert all(np.array_equal(a, b) for a, b in zip(made, frames, strict=True))


@pytest.mark.parametrize("size", [(16, 16), (33, 17), (17, 90)])
def test_small_and_odd_frames_are_filtered(size: tuple[int, int]) -> None:
    guides = drifting(5, size=size)
    made = run(WindowFilter(WindowSettings()), samples(guides, flickering(guides)))
    assert {m.shape for m in made} == {(size[1], size[0], 3)}
    assert all(m.dtype == np.uint8 for m in made)


def test_a_clip_played_backwards_is_filtered_alike() -> None:
    """The window looks both ways in the same manner: no direction of time is preferred."""
    guides = drifting(9)
    outputs = flickering(guides)
    there = run(WindowFilter(WindowSettings(radius=2)), samples(guides, outputs))
    back = run(WindowFilter(WindowSettings(radius=2)), samples(guides[::-1], outputs[::-1]))[::-1]
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(there, back, strict=True)) <= 1


def test_the_same_clip_gives_the_same_bits_twice() -> None:
    guides = drifting(7)
    outputs = flickering(guides)
    before = [o.copy() for o in outputs]
    method = WindowFilter(WindowSettings())
    first, second = (run(m, samples(guides, outputs)) for m in (method, method))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(outputs, before, strict=True))
