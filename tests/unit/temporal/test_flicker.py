"""What the filters take out, and what they leave: measured on shots whose flicker is known; and the vote of labels."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import cv2
import numpy as np
import pytest
from clips import scene
from flicker import (
    Frames,
    Make,
    added,
    causal,
    drifting,
    flickering,
    grainy,
    look,
    rms,
    run,
    samples,
    sharpness,
    textured,
    unsteadiness,
    window,
)
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.temporal import along_motion
from vidtrans.temporal.label_vote import VoteFilter
from vidtrans.temporal.settings import VoteSettings

SIZE = (96, 64)
MIDDLE = slice(8, 16)
both = pytest.mark.parametrize("make", [window, causal])


def looks_of(guides: Frames) -> Frames:
    return [look(g) for g in guides]


def test_the_causal_filter_takes_flicker_out_once_it_has_seen_enough() -> None:
    wanted = drifting(40, 3)
    outputs = flickering(wanted)
    left = [unsteadiness(run(causal(history=h), samples(wanted, outputs))[12:], wanted[12:]) for h in (1, 4, 12)]
    before = unsteadiness(outputs[12:], wanted[12:])
    assert before > 1.5 * left[0] > 2 * left[1] > 2.5 * left[2]
    assert left[2] < 0.2 * before


@both
def test_flicker_is_followed_along_a_motion_that_bends(make: Make) -> None:
    """The picture turns: a flow that is added up without following its path would miss."""
    big = scene(160, 160, 4)
    turned = [cv2.warpAffine(big, cv2.getRotationMatrix2D((80, 80), 8 * i, 1), (160, 160)) for i in range(20)]
    wanted = [np.ascontiguousarray(t[40:-40, 40:-40]) for t in turned]
    outputs = flickering(wanted)
    made = run(make(), samples(wanted, outputs))
    assert unsteadiness(made[8:-8], wanted[8:-8]) < 0.15 * unsteadiness(outputs[8:-8], wanted[8:-8])
    inner = [np.pad(np.ones((48, 48), bool), 16)] * 4
    # The causal filter knows only the past: its brightness is off by more.
    assert rms(made[8:-8], wanted[8:-8], inner) < (3.5 if make is window else 11)


@both
@pytest.mark.parametrize(("step", "grain"), [(0, False), (3, True)])
def test_a_look_that_does_not_flicker_is_left_as_it_is(make: Make, step: int, grain: bool) -> None:
    """The window filter within 45 dB, which is 1.43 grey levels; the causal one knows half as much."""
    guides = drifting(20, step, grain=grain)
    looks = looks_of(guides)
    made = run(make(), samples(guides, looks))
    errors = [rms([m], [x]) for m, x in zip(made, looks, strict=True)]
    assert max(errors) < (1.43 if make is window else 3)
    assert np.mean(errors) < (1.43 if make is window else 2)


@pytest.mark.parametrize(("make", "least"), [(window, 0.95), (causal, 0.82)])
def test_motion_by_parts_of_a_pixel_costs_little_sharpness(make: Make, least: float) -> None:
    """With nothing given back: bilinear sampling would cost a tenth in the window and a third where it goes on."""
    big = textured(84, 48)
    shifts = [np.float32([[1, 0, -0.3 * i], [0, 1, 0]]) for i in range(40)]  # type: ignore[arg-type]
    guides = [cv2.warpAffine(big, s, (64, 48), flags=cv2.INTER_LANCZOS4) for s in shifts]
    looks = looks_of(guides)
    made = run(make(texture_gain=0), samples(guides, flickering(looks, 6)))
    assert least < sharpness(made[20:32]) / sharpness(looks[20:32]) < 1.03


def restlessness(frames: Frames) -> float:
    """How much a picture that drifts by two pixels changes along its motion, in grey levels."""
    moved = [(b[8:-8, 8:-10], a[8:-8, 10:-8]) for a, b in pairwise(frames)]
    return rms([b for b, _ in moved], [a for _, a in moved])


@both
def test_a_boiling_grain_is_averaged_and_kept_where_texture_is_to_be_left(make: Make) -> None:
    guides = drifting(24, 2, size=SIZE, grain=True)
    looks = looks_of(guides)
    outputs, noise = grainy(looks)
    assert restlessness(looks) == 0
    made, half, kept = (run(make(texture_strength=b), samples(guides, outputs)) for b in (1.0, 0.5, 0.0))
    own = restlessness(outputs[8:])
    assert restlessness(made[8:]) < 0.2 * own
    assert 0.4 * own < restlessness(half[8:]) < 0.65 * own
    share = [np.mean((k - x.astype(float)) * n) / np.mean(n**2) for k, x, n in zip(kept, looks, noise, strict=True)]
    assert min(share) > 0.9


def jittering(count: int) -> tuple[Frames, Frames]:
    """A still picture; over it a grain that is laid anew in each frame, up to a pixel off."""
    rng = np.random.default_rng(4)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (SIZE[1] + 1, SIZE[0] + 1)), (0, 0), 0.9)[..., None]
    laid = [(y, x) for y, x in rng.integers(0, 2, (count, 2))]
    noise = [20 / grain.std() * grain[y : y + SIZE[1], x : x + SIZE[0]] for y, x in laid]
    guides = [scene(*SIZE, 3)] * count
    return guides, added(looks_of(guides), noise)


@both
def test_the_contrast_that_averaging_takes_is_given_back(make: Make) -> None:
    guides, outputs = jittering(24)
    own = sharpness(outputs[MIDDLE])
    pale, given_back, more = (sharpness(run(make(texture_gain=c), samples(guides, outputs))[MIDDLE]) for c in (0, 1, 2))
    assert pale < 0.8 * own
    assert 1.1 * pale < given_back < own
    assert given_back < more < 1.1 * own


def test_flicker_of_the_source_is_kept() -> None:
    still = textured(*SIZE, 3)
    guides = [np.clip(np.rint(still * (1 + 0.15 * np.sin(1.3 * i))), 0, 255).astype(np.uint8) for i in range(24)]
    looks = looks_of(guides)
    made, unfollowed = (run(window(keep_source_changes=f), samples(guides, looks))[8:-8] for f in (1.0, 0.0))
    assert rms(made, looks[8:-8]) < 4
    assert rms(made, looks[8:-8]) < 0.65 * rms(unfollowed, looks[8:-8])


@cache
def passing(count: int = 24) -> tuple[Frames, list[np.ndarray], list[np.ndarray]]:
    """A disc that crosses a still picture; masks of what was uncovered since the last frame, and of what is far."""
    frames, uncovered, far = [], [], []
    last = np.zeros((96, 128), np.uint8)
    for i in range(count):
        frame = textured(128, 96, 3)
        cv2.circle(frame, (10 + 3 * i, 48), 14, (240, 40, 30), -1, cv2.LINE_AA)
        disc = cv2.circle(np.zeros_like(last), (10 + 3 * i, 48), 15, 1, -1)
        frames.append(frame)
        uncovered.append((last > 0) & (disc == 0))
        far.append(cv2.dilate(last | disc, np.ones((25, 25))) == 0)
        last = disc
    return frames, uncovered, far


def test_what_passes_leaves_no_ghost() -> None:
    guides, uncovered, far = passing()
    looks = looks_of(guides)
    before = looks[MIDDLE.start - 1 : MIDDLE.stop - 1]
    assert rms(before, looks[MIDDLE], uncovered[MIDDLE]) > 60  # as much as a ghost could be
    made = run(window(), samples(guides, looks))
    assert rms(made[MIDDLE], looks[MIDDLE], uncovered[MIDDLE]) < 8
    assert rms(made[MIDDLE], looks[MIDDLE], far[MIDDLE]) < 0.7


SIDE, COUNT, STEP, RADIUS = 96, 12, 6, 16


def spots(count: int, seed: int, sigma: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    blurred = cv2.GaussianBlur(rng.normal(0, 1, (SIDE, count, 3)).astype(np.float32), (0, 0), sigma)
    spotted: np.ndarray = np.clip(150 + 35 * blurred / blurred.std(), 60, 240)
    return spotted


def quick_ball() -> tuple[Frames, Frames, Frames]:
    """Return frames of a ball that crosses still ground, looks with its inked outline and grain, masks without ink."""
    ground, skin = spots(SIDE, 3, 3), spots(SIDE, 4, 2)
    guides, looks, clear = [], [], []
    for t in range(COUNT):
        centre = (16 + STEP * t, SIDE // 2)
        ball, ink = (
            cv2.circle(np.zeros((SIDE, SIDE), np.uint8), centre, RADIUS, 255, thick, cv2.LINE_AA) for thick in (-1, 2)
        )
        cover = ball[..., None] / 255
        guides.append(ground * (1 - cover) + np.roll(skin, STEP * t, 1) * cover)
        looks.append(guides[-1] * (1 - ink[..., None] / 255))
        clear.append(cv2.dilate(ink, np.ones((7, 7))) == 0)
    rng = np.random.default_rng(5)
    return added(guides, [0.0] * COUNT), added(looks, [rng.normal(0, 6, (SIDE, SIDE, 3)) for _ in looks]), clear


@pytest.mark.parametrize("make", [window, causal])
def test_less_of_an_outline_is_left_where_it_passed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    guides, looks, clear = quick_ball()

    def ink_outside_the_outline() -> int:
        pictures = run(make(), samples(guides, looks))
        darker = (look.mean(2) - made.mean(2) for look, made in zip(looks, pictures, strict=True))
        return sum(int((by[where] > 25).sum()) for by, where in zip(darker, clear, strict=True))

    found = ink_outside_the_outline()
    monkeypatch.setattr(along_motion, "HALF_TRUST_GRADIENT", 1e9)
    assert 0 < found < 0.7 * ink_outside_the_outline()


A, B, C = (10, 20, 30), (200, 0, 0), (0, 90, 255)


def half_and_half(count: int, step: int = 0, size: tuple[int, int] = (64, 48)) -> Frames:
    """Label maps: B on the left of a border that moves by ``step`` pixels a frame, A on the right."""
    maps = []
    for n in range(count):
        labels = np.full((size[1], size[0], 3), A, np.uint8)
        labels[:, : 24 + n * step] = B
        maps.append(labels)
    return maps


def speckled(maps: Frames, share: float, seed: int = 0) -> Frames:
    """The maps with a share of the pixels, others in each frame, of class C."""
    rng = np.random.default_rng(seed)
    spoilt = [labels.copy() for labels in maps]
    for labels in spoilt:
        labels[rng.random(labels.shape[:2]) < share] = C
    return spoilt


def wrong(found: Frames, wanted: Frames) -> float:
    return float(np.mean([(a != b).any(axis=2).mean() for a, b in zip(found, wanted, strict=True)]))


@pytest.mark.parametrize("step", [0, 1])
def test_flicker_is_outvoted_along_the_motion(step: int) -> None:
    guides = drifting(11, step=step)
    # The content of ``drifting`` moves to the left; so does the border.
    truth = half_and_half(11, -step)
    spoilt = speckled(truth, 0.2)
    voted = run(VoteFilter(VoteSettings()), samples(guides, spoilt))
    assert wrong(spoilt, truth) > 0.15
    assert wrong(voted[3:-3], truth[3:-3]) < 0.25 * wrong(spoilt, truth)


@given(seed=st.integers(0, 1000), radius=st.integers(0, 3), deep=st.booleans())
@hypothesis_settings(max_examples=8)
def test_no_colour_appears_that_no_frame_has(seed: int, radius: int, deep: bool) -> None:
    guides, maps = drifting(5, seed=seed, size=(32, 24)), speckled(half_and_half(5, 2, (32, 24)), 0.3, seed)
    given = [m.astype(np.uint16) * 257 for m in maps] if deep else maps
    voted = run(VoteFilter(VoteSettings(radius=radius)), samples(guides, given))
    scale = 257 if deep else 1
    for labels in voted:
        assert labels.dtype == given[0].dtype
        assert {tuple(c) for c in np.unique(labels.reshape(-1, 3) // scale, axis=0).tolist()} <= {A, B, C}
    if radius == 0:
        assert all((a == b).all() for a, b in zip(voted, given, strict=True))


def test_nothing_crosses_a_cut() -> None:
    guides = drifting(3) + drifting(3, seed=9)
    first, second = np.full((48, 64, 3), A, np.uint8), np.full((48, 64, 3), B, np.uint8)
    voted = run(VoteFilter(VoteSettings()), samples(guides, [first] * 3 + [second] * 3, cuts=(0, 3)))
    assert all((labels == A).all() for labels in voted[:3])
    assert all((labels == B).all() for labels in voted[3:])
