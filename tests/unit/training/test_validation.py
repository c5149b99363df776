"""Scores of held-out pairs, against pictures whose scores are known."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from clips import scene

from vidtrans.data.dataset import Pair
from vidtrans.metrics.picture_quality import sharpness, ssim
from vidtrans.training.validation import MAX_SCORED, evenly, score
from vidtrans.video.images.picture import write_picture


def pairs_of(*pictures: np.ndarray) -> list[Pair]:
    """Pairs whose input is their target."""
    paths = [Path(f"{i}.png").absolute() for i in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        write_picture(path, picture)
    return [Pair((path,), path, "val", (0, 0), i) for i, path in enumerate(paths)]


def pairing(agreement: Any = lambda shown, output: None) -> Any:
    return SimpleNamespace(
        training_input=lambda frames, rng: frames[0], offsets=(0,), finishes=False, has_target=True, agreement=agreement
    )


def flat(value: int, side: int = 16) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


def lifted(by: int) -> Any:
    return lambda shown: np.clip(shown.astype(int) + by, 0, 255).astype(np.uint8)


def test_a_perfect_model_has_perfect_scores() -> None:
    pictures = [scene(24, 16, seed) for seed in range(2)]
    found = score(lambda shown, deep: shown, pairing(), pairs_of(*pictures))
    assert found == {"pairs": 2, "l1": 0.0, "psnr": 99.0, "ssim": 1.0, "sharpness": 1.0}


def test_scores_are_means_over_the_pairs() -> None:
    by = iter((51, 102))
    found = score(lambda shown, deep: lifted(next(by))(shown), pairing(), pairs_of(flat(0), flat(50)))
    assert found["l1"] == pytest.approx((0.2 + 0.4) / 2, abs=1e-4)
    assert found["psnr"] == pytest.approx(-10 * (np.log10(0.04) + np.log10(0.16)) / 2, abs=1e-3)
    assert found["pairs"] == 2


def test_sharpness_is_that_of_the_output_over_that_of_the_target() -> None:
    picture = scene(32, 32, 3)
    soft = (picture // 2 + 64).astype(np.uint8)
    found = score(lambda shown, deep: soft[None], pairing(), pairs_of(picture))
    assert found["sharpness"] == pytest.approx(sharpness(soft) / sharpness(picture), abs=1e-4)
    assert found["ssim"] == pytest.approx(ssim(soft, picture), abs=1e-4)
    assert score(lambda shown, deep: shown, pairing(), pairs_of(flat(7)))["sharpness"] == 0  # of nothing sharp


@pytest.mark.parametrize(("side", "is_known"), [(10, False), (11, True)])
def test_ssim_is_unknown_for_pictures_smaller_than_its_window(side: int, is_known: bool) -> None:
    found = score(lambda shown, deep: shown, pairing(), pairs_of(scene(32, 32, 0), scene(40, side, 1)))
    assert found["ssim"] == (1.0 if is_known else None)


def test_what_is_read_back_from_the_output_is_scored_where_the_pairing_can() -> None:
    agreed = iter((0.25, 0.75))
    found = score(lambda shown, deep: shown, pairing(lambda shown, output: next(agreed)), pairs_of(flat(0), flat(9)))
    assert found["segmentation"] == 0.5


@pytest.mark.parametrize("count", [1, MAX_SCORED, MAX_SCORED + 1, 10 * MAX_SCORED])
def test_a_long_clips_pairs_are_spread_over_all_of_it(count: int) -> None:
    pairs: list[Any] = list(range(count))
    found = evenly(pairs, MAX_SCORED)
    assert len(found) == min(count, MAX_SCORED) == len(set(found))
    assert found == sorted(found)
    assert max(np.diff([-1, *found, count])) <= 2 * -(-count // MAX_SCORED)
