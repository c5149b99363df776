"""What is said of a training: how good it is, whether it still improves, and what to try next."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from clips import scene

from vidtrans.training.report.training_words import NextStep, TrainingWords, Trend
from vidtrans.training.report.transfer_advice import advice, likeness

RISING = [20.0, 21.0, 22.0, 23.5, 24.5]


def words(values: list[float], name: str = "psnr", *, is_over: bool = True, **more: Any) -> TrainingWords:
    scores = [(200 * n, {name: value, "pairs": 4, **more}) for n, value in enumerate(values, start=1)]
    step = scores[-1][0] if scores else 50
    return TrainingWords(scores, step, step if is_over else 5000, is_over, 200)


@pytest.mark.parametrize(
    ("values", "trend"),
    [
        ([], Trend.UNKNOWN),
        ([20.0], Trend.UNKNOWN),
        (RISING, Trend.RISING),
        ([20.0, 23.0, 23.9, 24.0, 24.05], Trend.SLOW),
        ([20.0, 24.0, 23.0, 23.5, 23.9], Trend.FLAT),
    ],
)
def test_the_course_of_the_score_has_a_name(values: list[float], trend: Trend) -> None:
    assert words(values).trend is trend
    assert words([1 - value / 100 for value in values], "patch_distance").trend is trend  # lower is better


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (words(RISING), "at 24.5 dB (colours are off by about 6%), still improving."),
        (words([0.8, 0.6], "patch_distance"), "40% of the way to the target"),
        (words([]), "measured at step 200 for the first time"),
        (TrainingWords([], 50, 100, False, None), "judge the pictures by eye"),
        (words([float("nan")]), "for the first time"),
    ],
)
def test_quality_is_said_in_words(found: TrainingWords, text: str) -> None:
    assert text in " ".join(found.quality())


def test_what_to_try_next_follows_from_it() -> None:
    stopped = [20.0, 24.0, 23.0, 23.0, 23.0]
    assert [action for action, _ in words(RISING).next_steps()] == [NextStep.MORE, NextStep.RENDER]
    assert [action for action, _ in words(stopped).next_steps()] == [NextStep.RENDER]
    assert [action for action, _ in words(stopped, is_over=False).next_steps()] == [NextStep.ENOUGH]
    assert words(RISING, is_over=False).next_steps() == []
    assert (
        "by heart"
        in TrainingWords(
            [(200, {"psnr": 24.0, "l1": 0.05}), (400, {"psnr": 23.0, "l1": 0.07})], 400, 400, True, 200
        ).hints()[0]
    )


def test_an_hour_more_is_forecast_from_the_curve() -> None:
    scores = [
        (step, {"psnr": 20 + math.log2(step / 200)}) for step in (100, 200, 400, 600, 800, 1600)
    ]  # 1 dB a doubling
    found = TrainingWords(scores, 1600, 1600, True, 100, seconds=1200)  # an hour more: two doublings
    assert found.forecast() == pytest.approx(2)
    assert "an hour more would bring up to 2.0 dB." in found.next_steps()[0][1]
    lower = [(step, {"patch_distance": 1 - score["psnr"] / 100}) for step, score in scores]
    assert TrainingWords(lower, 1600, 1600, True, 100, seconds=1200).forecast() == pytest.approx(0.02)
    assert TrainingWords(scores[3:], 1600, 1600, True, 100, seconds=1200).forecast() is None  # too few scorings
    assert TrainingWords(scores, 1600, 1600, True, 100).forecast() is None  # of unknown time


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


def test_a_perfect_model_has_all_of_the_picture_a_flat_one_none_and_another_less() -> None:
    target = scene(40, 24, seed=1)
    flat = np.broadcast_to(np.median(target, (0, 1)).astype(np.uint8), target.shape)
    assert likeness([(target, target)]) == 1
    assert likeness([(flat, target)]) == 0
    assert likeness([(255 - target, target)]) < 0
    half = ((target.astype(int) + flat) // 2).astype(np.uint8)
    assert likeness([(half, target), (target, target)]) == pytest.approx(0.75, abs=0.02)
