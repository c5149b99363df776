"""Which held-out frames of domains are scored, and what is said of the scores."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from clips import scene

from vidtrans.data.dataset import Pair
from vidtrans.training.domain_scores import DomainScores, choose, remarks
from vidtrans.video.images.picture import write_picture


def held_out(folder: Path, sources: int, targets: int, *, apart: int = 1) -> list[Pair]:
    """Frames of one shot in each domain; those of the source are ``apart`` frames apart."""
    pairs = []
    for domain, count in enumerate((sources, targets)):
        for n in range(count):
            path = folder / f"{domain}-{n:03d}.png"
            picture = scene(64, 48, seed=100 * domain + n // 2)
            write_picture(path, 255 - picture // 2 if domain else picture)
            pairs.append(Pair((path,), path, "val", (domain, 0), n * apart, domain=domain))
    return pairs


def test_frames_of_the_source_are_chosen_with_their_neighbours(tmp_path: Path) -> None:
    chosen = choose(held_out(tmp_path, 40, 30), 8)
    sources = [pair.place for pair in chosen if pair.domain == 0]
    assert len(sources) == 8
    assert sum(b == a + 1 for a, b in itertools.pairwise(sources)) >= 4
    assert max(sources) - min(sources) > 25  # from all over the clip
    assert sum(pair.domain == 1 for pair in chosen) == 8


def test_single_pictures_are_spread_too(tmp_path: Path) -> None:
    places = [pair.place for pair in choose(held_out(tmp_path, 40, 3, apart=5), 8) if pair.domain == 0]
    assert len(places) == 8
    assert max(places) > 100


def test_outputs_are_scored_against_both_sides(tmp_path: Path) -> None:
    pairs = held_out(tmp_path, 6, 6)
    scores = DomainScores(pairs, None)
    inputs = [scene(64, 48, seed=n // 2) for n in range(6)]
    looks = [255 - p // 2 for p in inputs]
    near, far = scores(looks, lambda picture: (255 - picture) * 2), scores(inputs, None)
    assert near["pairs"] == 6
    assert near["patch_distance"] < far["patch_distance"]
    assert near["random_distance"] < far["random_distance"] == pytest.approx(1, abs=0.01)
    assert near["cycle_error"] < 0.01
    assert far["cycle_error"] is None
    assert near["light_correlation"] < -0.9
    assert far["light_correlation"] == pytest.approx(1)
    assert near["temporal_error"] is not None


def test_without_enough_pictures_there_is_no_distance(tmp_path: Path) -> None:
    scores = DomainScores(held_out(tmp_path, 1, 2), None)([np.zeros((48, 64, 3), np.uint8)], None)
    assert scores["patch_distance"] is None
    assert scores["colours_distance"] is None


def test_a_model_that_is_no_better_than_its_colours_is_said_to_be_so(tmp_path: Path) -> None:
    assert remarks({"patch_distance": 0.2, "colours_distance": 0.5, "light_correlation": 0.9}) == []
    [said] = remarks({"patch_distance": 0.6, "colours_distance": 0.5, "light_correlation": 0.9})
    assert "nothing but colours" in said
    [said] = remarks({"patch_distance": 0.2, "colours_distance": None, "light_correlation": -0.6})
    assert "light and dark" in said
    assert remarks({"patch_distance": None, "colours_distance": None, "light_correlation": None}) == []
    by_colours = DomainScores(held_out(tmp_path, 6, 6), lambda p: 255 - p // 2)
    inputs = [scene(64, 48, seed=n // 2) for n in range(6)]
    assert by_colours(inputs, None)["colours_distance"] < by_colours(inputs, None)["patch_distance"]
