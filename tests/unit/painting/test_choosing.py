"""Which frames to paint."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from clips import scene
from hypothesis import given, settings
from hypothesis import strategies as st

from vidtrans.painting.choosing import BEST_DB, Choice, ShotChooser, distribute_key_frames, mean_psnr
from vidtrans.painting.maps import Guide, Step, track_both_ways


def turning(count: int) -> list[np.ndarray]:
    """Frames that show one scene and then, from a third of them on, another that comes from the right."""
    first, second = scene(96, 64, 1), scene(96, 64, 8)
    wide = np.hstack([first, second])
    moves = [0] * (count // 3) + [round(96 * min(1, n / (count / 3))) for n in range(count - count // 3)]
    return [np.ascontiguousarray(wide[:, x : x + 96]) for x in moves]


def test_each_half_of_a_clip_that_shows_two_things_gets_its_key_frame() -> None:
    chooser = ShotChooser(range(12), turning(12))
    alone, both = chooser.best(1), chooser.best(2)
    assert both.psnr > alone.psnr + 3
    assert both.keys[0] < 5
    assert both.keys[1] >= 7
    assert chooser.candidates == list(range(12))
    for pair in itertools.combinations(range(12), 2):
        assert both.psnr >= chooser._psnr(pair)


class Steps:
    def __init__(self, first: int, psnr: list[float]) -> None:
        self.first, self.psnr, self.max_count = first, psnr, len(psnr)

    def best(self, count: int) -> Choice:
        return Choice(tuple(range(self.first, self.first + count)), self.psnr[count - 1])


@settings(max_examples=15)
@given(st.lists(st.lists(st.floats(1, BEST_DB), min_size=1, max_size=5), min_size=1, max_size=5), st.integers(1, 30))
def test_every_shot_has_a_key_frame_and_no_more_are_given_than_asked_for(psnr: list[list[float]], count: int) -> None:
    shots = [Steps(100 * n, sorted(values)) for n, values in enumerate(psnr)]
    found = distribute_key_frames(shots, [10] * len(shots), count)  # type: ignore[arg-type]
    assert all(choice.keys for choice in found)
    given_out = sum(len(choice.keys) for choice in found)
    assert given_out == min(max(count, len(shots)), sum(shot.max_count for shot in shots))
    assert mean_psnr(found, [10] * len(shots)) > 0


def test_a_key_frame_goes_where_it_helps_most() -> None:
    shots = [Steps(0, [20, 20.5, 21]), Steps(50, [20, 27, 27.5])]
    assert [len(c.keys) for c in distribute_key_frames(shots, [10, 10], 3)] == [1, 2]  # type: ignore[list-item]
    assert [len(c.keys) for c in distribute_key_frames(shots, [1000, 10], 3)] == [2, 1]  # type: ignore[list-item]


def test_carrying_finds_a_motion_over_many_frames_on_both_sides() -> None:
    wide = scene(200, 96, 3)
    guides = [Guide.of(np.ascontiguousarray(wide[:, 4 * n : 4 * n + 128])) for n in range(12)]
    carried = dict(track_both_ways(5, guides, [Step.between(*both) for both in itertools.pairwise(guides)]))
    for frame, moved in ((11, 24), (0, -20)):
        assert np.median(carried[frame].flow[12:-12, 30:90, 0]) == pytest.approx(moved, abs=1)
