"""Scores of label maps and of mattes: their definitions written out, and the odd cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.metrics.label_scores import LabelCounts
from vidtrans.metrics.matte_scores import boundary, jitter, region


def maps(seed: int, classes: int, ignore: float = 0.1, wrong: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    """A result and its reference, (H, W) int16, some of the reference without a class."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 24, 2))
    reference = rng.integers(0, classes, shape).astype(np.int16)
    found = np.where(rng.random(shape) < wrong, rng.integers(-1, classes, shape), reference).astype(np.int16)
    reference[rng.random(shape) < ignore] = -1
    return found, reference


@given(seed=st.integers(0, 10**6), classes=st.integers(1, 9))
@hypothesis_settings(max_examples=40)
def test_scores_are_those_of_their_definitions(seed: int, classes: int) -> None:
    found, reference = maps(seed, classes)
    counts, known = LabelCounts.of(found, reference, classes), reference >= 0
    for number in range(classes):
        is_found, is_there = (found == number) & known, reference == number
        union = (is_found | is_there).sum()
        assert counts.ious[number] == (pytest.approx((is_found & is_there).sum() / union) if union else None)
        there = is_there.sum()
        share = (is_found & is_there).sum() / there if there else None
        assert counts.accuracies[number] == (pytest.approx(share) if there else None)
    right = (found == reference)[known]
    assert counts.pixel_accuracy == (pytest.approx(right.mean()) if right.size else None)


def test_a_perfect_map_scores_one_and_pixels_without_a_class_do_not_count() -> None:
    _, reference = maps(1, 5)
    counts = LabelCounts.of(reference, reference, 5)
    assert (counts.pixel_accuracy, counts.class_accuracy, counts.mean_iou) == (1.0, 1.0, 1.0)
    other = np.where(reference < 0, 3, reference)  # what was found there is ignored
    assert (LabelCounts.of(other, reference, 5).table == counts.table).all()
    nothing = LabelCounts.of(reference, np.full_like(reference, -1), 5)
    assert (nothing.pixel_accuracy, nothing.class_accuracy, nothing.mean_iou) == (None, None, None)
    assert LabelCounts.of(np.full_like(reference, -1), reference, 5).mean_iou == 0.0


def test_permuted_labels_are_found_and_mere_mistakes_are_not() -> None:
    found, reference = maps(3, 4, wrong=0.1)
    order = np.array([2, 0, 1, 3])
    permuted = np.where(found < 0, -1, order[found])
    assert LabelCounts.of(permuted, reference, 4).permutation == order.tolist()
    assert LabelCounts.of(found, reference, 4).permutation is None
    assert LabelCounts.of(reference, reference, 4).permutation is None


def test_maps_of_other_sizes_and_labels_beyond_the_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        LabelCounts.of(np.zeros((2, 3), int), np.zeros((3, 2), int), 2)
    for found, reference in ((4, 0), (0, 4)):
        with pytest.raises(ValueError, match="label 4 is beyond the 4 classes"):
            LabelCounts.of(np.full((2, 2), found), np.full((2, 2), reference), 4)


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
