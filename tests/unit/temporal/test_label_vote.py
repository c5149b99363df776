"""The vote over label maps: what flickers is outvoted, what moves is followed, and no new colour appears."""

from __future__ import annotations

import numpy as np
import pytest
from flicker import Frames, drifting, run, samples
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.temporal.label_vote import VoteFilter
from vidtrans.temporal.settings import VoteSettings

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


def test_a_frame_depends_only_on_those_within_the_radius() -> None:
    guides, maps = drifting(9), speckled(half_and_half(9), 0.2)
    settings = VoteSettings(radius=2)
    whole = run(VoteFilter(settings), samples(guides, maps))
    part = samples(guides, maps)[2:7]
    part[0].starts_shot = True
    assert (run(VoteFilter(settings), part)[2] == whole[4]).all()
