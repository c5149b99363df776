"""Scores of held-out pairs and domains, when they are taken, which state is the best, and when a run has enough."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from clips import scene
from hypothesis import given
from hypothesis import strategies as st

from vidtrans.data.dataset import Pair
from vidtrans.training.stopping import advice, best_of, is_enough
from vidtrans.training.unpaired.domain_scores import DomainScores, remarks
from vidtrans.training.validation import score
from vidtrans.video.images.picture import write_picture


def pairs_of(*pictures: np.ndarray) -> list[Pair]:
    """Pairs whose input is their target."""
    paths = [Path(f"{i}.png").absolute() for i in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        write_picture(path, picture)
    return [Pair((path,), path, "val", (0, 0), i) for i, path in enumerate(paths)]


def pairing(agreement: Any = lambda shown, output: None) -> Any:
    return SimpleNamespace(
        training_input=lambda frames, rng: frames[0],
        offsets=(0,),
        finishes=False,
        has_target=True,
        class_colours=None,
        agreement=agreement,
    )


def flat(value: int, side: int = 16) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


def test_scores_are_means_over_the_pairs() -> None:
    perfect = score(lambda shown, deep: shown, pairing(), pairs_of(*(scene(24, 16, seed) for seed in range(2))))
    assert perfect == {"pairs": 2, "l1": 0.0, "psnr": 99.0, "ssim": 1.0, "sharpness": 1.0}
    by = iter((51, 102))
    found = score(lambda shown, deep: shown + np.uint8(next(by)), pairing(), pairs_of(flat(0), flat(50)))
    assert found["l1"] == pytest.approx((0.2 + 0.4) / 2, abs=1e-4)
    assert found["psnr"] == pytest.approx(-10 * (np.log10(0.04) + np.log10(0.16)) / 2, abs=1e-3)
    agreed = iter((0.25, 0.75))  # what is read back from the output, where the pairing can
    read = score(lambda shown, deep: shown, pairing(lambda shown, output: next(agreed)), pairs_of(flat(0), flat(9)))
    assert read["segmentation"] == 0.5


values = st.one_of(st.none(), st.floats(0, 50))


@given(st.lists(values, min_size=1), st.sampled_from(["l1", "psnr", "ssim", "patch_distance"]))
def test_the_best_is_better_than_all_before_and_no_worse_than_any(found: list[float | None], name: str) -> None:
    scores = [(10 * i, {name: value}) for i, value in enumerate(found, 1)]
    best = best_of(scores, name)
    known = [v for v in found if v is not None]
    value = (min if name in ("l1", "patch_distance") else max)(known, default="there is none")
    assert best == next((step for step, table in scores if table[name] == value), None)


@pytest.mark.parametrize(
    ("found", "patience", "enough"),
    [
        ([3.0, 2.0, 2.5, 2.6], 2, True),
        ([3.0, 2.0, 2.5, 1.9], 2, False),
        ([3.0, 2.0, 2.0, 2.0], 2, True),  # as good is not better
        ([3.0, 4.0, 5.0, 6.0], 0, False),
        ([None, None], 1, False),
    ],
)
def test_patience(found: list[float | None], patience: int, enough: bool) -> None:
    assert is_enough([(i, {"l1": v}) for i, v in enumerate(found, 1)], "l1", patience) is enough


def test_only_a_run_that_got_worse_is_told_so() -> None:
    assert advice([]) == ""
    rising = [(step, {"feature_likeness": value}) for step, value in ((200, 0.2), (600, 0.4), (800, 0.5))]
    assert "still rising" in advice(rising)
    assert advice([*rising, (1200, {"feature_likeness": 0.51})]) == ""
    assert advice([(1, {"l1": 0.2}), (2, {"l1": 0.201})]) == ""
    told = advice([(1, {"l1": 0.3}), (2, {"l1": 0.2}), (3, {"l1": 0.25})])
    assert "step 2 (0.2)" in told


def held_out(folder: Path, sources: int, targets: int) -> list[Pair]:
    """Frames of one shot in each domain."""
    pairs = []
    for domain, count in enumerate((sources, targets)):
        for n in range(count):
            path = folder / f"{domain}-{n:03d}.png"
            picture = scene(64, 48, seed=100 * domain + n // 2)
            write_picture(path, 255 - picture // 2 if domain else picture)
            pairs.append(Pair((path,), path, "val", (domain, 0), n, domain=domain))
    return pairs


def test_outputs_are_scored_against_both_sides(tmp_path: Path) -> None:
    pairs = held_out(tmp_path / "a", 6, 6)
    inputs = [scene(64, 48, seed=n // 2) for n in range(6)]
    looks, scores = [255 - p // 2 for p in inputs], DomainScores(pairs, lambda p: 255 - p // 2)
    near, far = scores(looks, lambda picture: (255 - picture) * 2), scores(inputs, None)
    assert near["pairs"] == 6
    assert near["patch_distance"] < far["patch_distance"]
    assert near["random_distance"] < far["random_distance"] == pytest.approx(1, abs=0.01)
    assert near["cycle_error"] < 0.01
    assert far["cycle_error"] is None
    assert near["light_correlation"] < -0.9
    assert far["light_correlation"] == pytest.approx(1)
    assert near["temporal_error"] is not None
    few = DomainScores(held_out(tmp_path / "b", 1, 2), None)([flat(0, 64)[:48]], None)
    assert few["patch_distance"] is few["colours_distance"] is None  # too few pictures for a distance
    assert far["colours_distance"] < far["patch_distance"]


def test_a_model_that_is_no_better_than_its_colours_is_said_to_be_so() -> None:
    def said(patch: float | None, colours: float | None, light: float | None) -> list[str]:
        return remarks({"patch_distance": patch, "colours_distance": colours, "light_correlation": light})

    assert said(0.2, 0.5, 0.9) == said(None, None, None) == []
    assert "only colours were" in " ".join(said(0.6, 0.5, 0.9))
    assert "light and dark" in " ".join(said(0.2, None, -0.6))
