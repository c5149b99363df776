"""Scores of mattes: known values of simple shapes."""

from __future__ import annotations

import numpy as np
import pytest

from vidtrans.metrics.matte_scores import boundary, jitter, region


def box(left: int, top: int = 10, side: int = 20) -> np.ndarray:
    mask = np.zeros((60, 80), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_the_overlap_of_boxes_is_known() -> None:
    assert region(box(10), box(10)) == 1
    assert region(box(10), box(20)) == pytest.approx(1 / 3)
    assert region(box(10), box(40)) == 0
    nothing = np.zeros((60, 80), bool)
    assert region(nothing, nothing) == 1
    assert region(nothing, box(10)) == 0


def test_edges_count_up_to_the_tolerance() -> None:
    for shift, pixels, all_count in ((0, 0, True), (1, 1, False), (1, 1.5, True), (4, 5.6, False), (4, 5.7, True)):
        assert (boundary(box(10 + shift, 10 + shift), box(10, 10), pixels) == 1) == all_count
    nothing = np.zeros((60, 80), bool)
    assert boundary(nothing, nothing) == 1
    assert boundary(nothing, box(10)) == 0
    assert boundary(box(10), box(11)) == 1  # within 0.8 % of the diagonal


def test_jitter_is_the_movement_beyond_the_truths() -> None:
    still, moving = [box(20)] * 4, [box(20 + n) for n in range(4)]
    shaking = [box(20 + 2 * (n % 2), 10 + 2 * (n % 2)) for n in range(4)]
    assert jitter(moving, moving) == 0
    assert jitter(still, still) == 0
    assert jitter(shaking, still) > 1
    assert jitter(still, moving) < 0
    assert jitter([np.zeros((60, 80), bool)] * 2, still[:2]) == 0
