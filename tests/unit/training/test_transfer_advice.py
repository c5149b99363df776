"""Advice for training from another model: the four cases, and the two measures that tell them apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clips import scene

from vidtrans.data.dataset import Pair
from vidtrans.training.report.transfer_advice import advice, effective_number, likeness
from vidtrans.video.images.picture import write_picture

FIRST = ["stem", "down"]


@pytest.mark.parametrize(
    ("distinct", "alike", "frozen", "lr", "steps"),
    [(3, 0.9, FIRST, 1e-4, 250), (50, 0.9, None, 1e-4, 500), (3, -0.2, None, None, 500), (50, -0.2, None, None, 1000)],
)
def test_each_of_the_four_cases_has_its_own_advice(
    distinct: float, alike: float, frozen: list[str] | None, lr: float | None, steps: int
) -> None:
    found = advice(distinct, alike, FIRST, 2e-4, 1000)
    assert found["settings"].get("training.freeze") == frozen
    assert found["settings"].get("training.lr") == lr
    assert found["steps"] == steps


def test_a_generator_without_first_layers_by_name_is_trained_whole() -> None:
    assert advice(3, 0.9, [], 2e-4, 1)["settings"] == {"training.lr": 1e-4}


def test_a_perfect_model_has_all_of_the_picture_a_flat_one_none_and_another_less() -> None:
    target = scene(40, 24, seed=1)
    flat = np.broadcast_to(np.median(target, (0, 1)).astype(np.uint8), target.shape)
    assert likeness([(target, target)]) == 1
    assert likeness([(flat, target)]) == 0
    assert likeness([(255 - target, target)]) < 0
    half = ((target.astype(int) + flat) // 2).astype(np.uint8)
    assert likeness([(half, target), (target, target)]) == pytest.approx(0.75, abs=0.02)


def test_the_same_picture_counts_once_and_different_ones_each(tmp_path: Path) -> None:
    def pairs(seeds: list[int]) -> list[Pair]:
        made = []
        for number, seed in enumerate(seeds):
            path = tmp_path / f"{number}.{seed}.png"
            write_picture(path, scene(48, 32, seed=seed))
            made.append(Pair((path,), path, "train"))
        return made

    assert effective_number(pairs([1] * 6)) == pytest.approx(1, abs=0.01)
    assert effective_number(pairs([1, 2, 3, 4])) == pytest.approx(4, abs=0.3)
    assert effective_number(pairs([1, 1, 1, 2, 2, 2])) == pytest.approx(2, abs=0.2)
