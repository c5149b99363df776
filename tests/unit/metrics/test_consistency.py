"""Scores of steadiness, label maps and mattes against values worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from clips import scene
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.flow.warping import warp
from vidtrans.metrics.consistency import Scorer, Scores, masked_error, motion_boundary, stabilised_flicker
from vidtrans.metrics.label_scores import LabelCounts, boundary, jitter, region
from vidtrans.metrics.picture_quality import psnr

Frames = list[np.ndarray]
EVERYWHERE = np.ones((48, 64), bool)


def panned(count: int, step: int = 2, size: tuple[int, int] = (96, 72), seed: int = 3) -> Frames:
    """A texture that moves ``step`` whole pixels to the left in each frame: its motion is known exactly."""
    wide = np.clip(scene(size[0] + count * step, size[1], seed), 40, 200)
    return [np.ascontiguousarray(wide[:, i * step : i * step + size[0]]) for i in range(count)]


def lifted(frames: Sequence[np.ndarray], levels: Sequence[float]) -> Frames:
    return [np.clip(f + np.rint(v), 0, 255).astype(np.uint8) for f, v in zip(frames, levels, strict=True)]


def scored(
    source: Frames, output: Frames, *others: Frames, cuts: Sequence[int] = (), reference: bool = False
) -> Scores:
    scorer = Scorer("dis")
    for i, pictures in enumerate(zip(source, output, *others, strict=True)):
        more = (*pictures[:2], None, *pictures[2:]) if reference else pictures
        scorer.add(*more, starts_shot=i in cuts)
    return scorer.scores()


def floats(seed: int) -> np.ndarray:
    return scene(64, 48, seed).astype(np.float32) / 255


def warping_error(first: np.ndarray, second: np.ndarray, flow: np.ndarray, mask: np.ndarray) -> float | None:
    return masked_error(warp(second, flow), first, mask)


def test_a_motion_boundary_is_where_neighbours_move_differently_by_more_where_the_flow_is_long() -> None:
    """By 0.01 |f|² + 0.002 squared, in either direction."""
    cases = (3.0, 0.0, False), (0.0, 0.05, True), (0.0, 0.04, False), (20.0, 1.9, False), (20.0, 2.3, True)
    for axis, (length, jump, is_boundary) in product((0, 1), cases):
        flow = np.zeros((8, 8, 2), np.float32)
        flow[..., axis] = length
        flow[4:, :, axis] += jump
        wanted = np.zeros((8, 8), bool)
        wanted[3] = is_boundary
        assert np.array_equal(motion_boundary(flow), wanted), (axis, length, jump)


def jittered(levels: Sequence[float]) -> list[np.ndarray]:
    base = floats(2)
    return [base + np.float32(v / 255) for v in levels]


def flicker_of(frames: Sequence[np.ndarray]) -> float:
    triples = zip(frames, frames[1:], frames[2:], strict=False)
    found = [stabilised_flicker(a, b, c, EVERYWHERE) for a, b, c in triples]
    return float(np.sqrt(np.mean(np.square(found))))


def test_flicker_grows_with_what_goes_to_and_fro_and_a_fade_or_slow_pumping_is_hardly_any() -> None:
    to_and_fro = np.array([0.0, 5.0] * 5)
    assert flicker_of(jittered(4 * to_and_fro)) == pytest.approx(4 * flicker_of(jittered(to_and_fro)), rel=1e-2)
    assert flicker_of(jittered(np.linspace(0, 90, 30))) < 0.05
    slow, quick = (flicker_of(jittered(10 * np.sin(2 * np.pi * np.arange(60) / period))) for period in (40, 4))
    assert slow < 0.1 < 5 < quick


def crossing(count: int) -> Frames:
    """A dark square crosses a bright ground, 6 pixels a frame."""
    ground = np.clip(scene(192, 144, 8), 120, 225)
    dark = np.clip(scene(48, 48, 9) // 3, 0, 80)
    frames = [ground.copy() for _ in range(count)]
    for i, frame in enumerate(frames):
        frame[48:96, 16 + 6 * i : 64 + 6 * i] = dark
    return frames


def test_an_old_picture_that_shines_through_is_a_ghost() -> None:
    source = crossing(8)
    trail = [source[0]]
    for i, frame in enumerate(source[1:], 1):  # the past is brought along the motion, and believed everywhere
        back = np.zeros((144, 192, 2), np.float32)
        back[48:96, 16 + 6 * i : 64 + 6 * i, 0] = -6
        trail.append(np.rint(0.6 * warp(trail[-1], back) + 0.4 * frame).astype(np.uint8))
    kept = scored(source, source, source).summary
    assert (kept["ghosting"], kept["error_uncovered"]) == (0, 0)
    assert scored(source, trail, source).summary["ghosting"] > 10
    assert scored(source, trail, source, reference=True).summary["ghosting"] > 10
    dimmed = lifted(source, [6] * 8)  # all of the picture is off alike
    assert abs(scored(source, dimmed, source).summary["ghosting"]) < 0.2


def test_a_clip_that_jitters_by_known_levels_has_the_error_that_follows_from_them() -> None:
    source, levels = panned(10), np.array([0, 9, -3, 4, 11, 0, -6, 7, 2, -5])
    scores = scored(source, lifted(source, levels))
    jumps = (np.diff(levels) / 255) ** 2
    assert scores.pairs == 9
    assert scores.series["warping_error"][0] is None
    assert scores.series["warping_error"][1:] == pytest.approx(list(jumps), rel=0.1, abs=2e-5)
    assert scores.summary["warping_error"] == pytest.approx(jumps.mean(), rel=0.05)
    assert scores.summary["warping_error_source"] < 0.05 * jumps.mean()
    assert scores.summary["warping_error_per_frame"] is scores.summary["ratio"] is scores.compared_with is None


def test_the_per_frame_video_has_all_of_its_flicker_and_the_source_none_of_it() -> None:
    source = panned(8)
    flickering = lifted(source, [0, 12, -9, 5, 0, 14, -3, 8])
    itself, steady = (scored(source, o, flickering).summary for o in (flickering, source))
    assert (itself["ratio"], itself["removed"], itself["psnr"], itself["ssim"]) == (1, 0, 99, pytest.approx(1))
    assert (itself["sharpness"], itself["ghosting"]) == (1, 0)
    assert steady["removed"] == 1
    assert steady["ratio"] < 0.05
    half = lifted(source, [0, 6, -4.5, 2.5, 0, 7, -1.5, 4])
    assert scored(source, half, flickering).summary["ratio"] == pytest.approx(0.25, abs=0.03)


def test_pairs_across_a_cut_are_not_scored() -> None:
    source = panned(5, seed=3) + panned(5, seed=30)
    whole = scored(source, source, source, cuts=(5,))
    assert whole.pairs == 8
    assert [whole.series[k][5] for k in ("warping_error", "warping_error_source", "ghosting")] == [None] * 3
    assert [i for i, v in enumerate(whole.series["flicker"]) if v is None] == [0, 4, 5, 9]
    parts = [scored(source[a:b], source[a:b]).series["warping_error"] for a, b in ((0, 5), (5, 10))]
    assert whole.series["warping_error"] == parts[0] + parts[1]


def test_the_reference_is_what_is_compared_with_and_the_per_frame_video_beside_it() -> None:
    source = panned(6)
    truth = lifted(source, [20] * 6)
    flickering, output = lifted(truth, [0, 10, -10, 10, -10, 5]), lifted(truth, [1, 2, 1, 2, 1, 2])
    scores = scored(source, output, flickering, truth)
    assert scores.compared_with == "reference"
    expected = ("psnr", output, truth), ("psnr_to_per_frame", output, flickering), ("psnr_per_frame", flickering, truth)
    for key, a, b in expected:
        assert scores.summary[key] == pytest.approx(psnr(np.stack(a), np.stack(b)), abs=1e-6), key
    alone = scored(source, output, truth, reference=True)
    assert (alone.compared_with, alone.summary["psnr"]) == ("reference", scores.summary["psnr"])
    assert alone.summary["psnr_to_per_frame"] is alone.summary["ratio"] is None


def test_clips_of_a_few_frames() -> None:
    for count in (1, 2, 3):
        source = panned(count)
        scores = scored(source, source, source)
        assert (scores.frames, scores.pairs) == (count, count - 1)
        assert (scores.summary["warping_error"] is None) == (count < 2)
        assert (scores.summary["flicker"] is None) == (count < 3)
        assert scores.summary["psnr"] == 99
        assert all(len(values) == count for values in scores.series.values())
        assert {"psnr", "ssim", "sharpness"} <= {name.removesuffix("_per_frame") for name in scores.series}
        json.dumps(scores.table(), allow_nan=False)


def test_plain_pictures_divide_nothing_by_zero() -> None:
    for value in (0, 255):
        frames = [np.full((40, 60, 3), value, np.uint8)] * 4
        table = scored(frames, frames, frames, frames).table()
        json.dumps(table, allow_nan=False)
        assert table["warping_error"] == table["warping_error_source"] == table["flicker"] == 0
        assert [table[k] for k in ("ratio", "removed", "sharpness", "ghosting")] == [None] * 4
        assert (table["psnr"], table["ssim"]) == (99, 1)


def test_a_video_that_ends_or_changes_its_size_is_an_error() -> None:
    source, scorer = panned(3), Scorer()
    scorer.add(source[0], source[0], source[0])
    with pytest.raises(ValueError, match="per-frame"):
        scorer.add(source[1], source[1])
    with pytest.raises(ValueError, match="96"):
        scorer.add(source[1], source[1][:40], source[1])
    assert Scorer().scores().frames == 0


def made_up(errors: Sequence[float | None], source: float = 1e-4) -> Scores:
    floor = tuple(None if e is None else source for e in errors)
    series = {"warping_error": tuple(errors), "warping_error_source": floor}
    return Scores(len(errors), len(errors), (96, 72), None, {}, series)


def test_the_worst_moments_are_those_beyond_the_sources_own_and_as_far_apart_as_the_length_asks() -> None:
    for frames, gap, found in ((60, 3, 1), (60, 4, 2), (3000, 29, 1), (3000, 30, 2)):
        errors = [0.0] * frames
        errors[10], errors[10 + gap] = 0.5, 0.4
        assert made_up(errors, source=0.0).worst() == [10, 10 + gap][:found]
    errors = [1e-4] * 60
    errors[20], errors[21], errors[40], errors[50] = 5e-3, 6e-3, 3e-3, 2e-4
    assert made_up([None, *errors]).worst() == [22, 41]  # 21 lies beside 22, 51 is nothing beside them
    assert made_up([None] * 9).worst() == made_up([1e-4] * 9).worst() == []


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
