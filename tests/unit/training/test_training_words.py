"""What is said of a training: how good it is, whether it still improves, and what to try next."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from vidtrans.training.report.score_curves import SCORE_LABELS
from vidtrans.training.report.training_words import PLOTS, NextStep, TrainingWords, Trend

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


def test_overfitting_counts_as_no_improvement() -> None:
    scores = [(200, {"psnr": 24.0, "l1": 0.05}), (400, {"psnr": 23.0, "l1": 0.07})]
    found = TrainingWords(scores, 400, 400, True, 200)
    assert found.trend is Trend.FLAT
    assert "by heart" in found.hints()[0]
    assert "best.safetensors" in found.hints()[0]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (words(RISING), "Held-out pictures are at 24.5 dB (colours are off by about 6%), still improving."),
        (words([0.2, 0.5], "feature_likeness"), "Held-out pictures are 50% of the way to the picture"),
        (words([0.2, 0.5], "mean_iou"), "Held-out labels agree with the true ones by 50%"),
        (words([0.8, 0.6], "patch_distance"), "Held-out pictures are 40% of the way to the target"),
        (words([20, 24, 23, 23, 23]), "no improvement since step 400."),
        (words([]), "measured at step 200 for the first time"),
        (words([24.0], sharpness=0.5), "softer than their targets: they have 50% of the detail"),
        (words([24.0], sharpness=2.0), "rougher than their targets"),
        (TrainingWords([], 50, 100, False, None), "judge the pictures by eye"),
        (words([float("nan")]), "for the first time"),
    ],
)
def test_quality_is_said_in_words(found: TrainingWords, text: str) -> None:
    assert text in " ".join(found.quality())


def test_what_to_try_next_follows_from_it() -> None:
    assert [action for action, _ in words(RISING).next_steps()] == [NextStep.MORE, NextStep.RENDER]
    assert [action for action, _ in words([20, 24, 23, 23, 23]).next_steps()] == [NextStep.RENDER]
    assert words([20, 24, 23, 23, 23]).hints()
    assert [action for action, _ in words([20, 24, 23, 23, 23], is_over=False).next_steps()] == [NextStep.ENOUGH]
    assert words(RISING, is_over=False).next_steps() == []


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


def test_the_table_is_plain_json_with_a_plot_of_each_score() -> None:
    table = json.loads(json.dumps(words(RISING, sharpness=0.9).table()))
    assert [plot["name"] for plot in table["plots"]] == ["PSNR", "Sharpness"]
    assert table["plots"][0]["points"][0] == [200, 20.0]
    assert table["next"][0]["action"] == "more"
    assert set(PLOTS) <= set(SCORE_LABELS)
