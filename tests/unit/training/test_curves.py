"""The report's curves: where a value lies, what the axes are, and what is told of a model that dreams."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vidtrans.training import Label
from vidtrans.training.report import page
from vidtrans.training.report.curves import (
    BOTTOM,
    LEFT,
    RIGHT,
    ROLLOUT_LABELS,
    TOP,
    Axis,
    LossCurve,
    LossPanel,
    StepMarks,
    axis_for,
    figure,
    short,
    thin,
    window_of,
)
from vidtrans.training.report.page import RolloutSummary, TrainingReport, render


def curve(*values: float) -> LossCurve:
    found = np.array(values)
    return LossCurve(np.arange(1.0, len(found) + 1), found, found, found)


def drawn(panel: LossPanel) -> str:
    """The panel as the page shows it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "_loss_panels", lambda report: [panel])
        [found] = re.findall(r'<figure class="panel.*?</figure>', render(TrainingReport("t")), re.DOTALL)
    return str(found)


@pytest.mark.parametrize(
    ("aim", "best"), [(math.inf, 3.0), (-math.inf, -2.0), (1.0, 0.5), (0.0, 0.5), (2.8, 3.0), (None, None)]
)
def test_the_best_is_nearest_to_what_is_aimed_at(aim: float | None, best: float | None) -> None:
    words = Label("a", "c", "b", aim)
    assert words.best([3.0, -2.0, 0.5]) == best
    assert words.best([]) is None


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1, 100, [1, 2, 5, 10, 20, 50, 100]),
        (0.3, 4, [0.5, 1, 2]),
        (1e-3, 2, [1e-3, 1e-2, 1e-1, 1]),
        (1e-9, 1, [1e-9, 1e-7, 1e-5, 1e-3, 1e-1]),
        (1e-10, 1, [1e-10, 1e-7, 1e-4, 1e-1]),
        (1e-4, 0.9, [1e-4, 1e-3, 1e-2, 1e-1]),
    ],
)
def test_a_logarithmic_axis_has_round_ticks_and_few(low: float, high: float, ticks: list[float]) -> None:
    assert Axis(low, high, log=True).ticks() == pytest.approx(ticks)


@given(st.floats(-1e3, 1e3), st.floats(1e-2, 1e3))
def test_the_ticks_of_an_axis_are_even_round_and_within_it(low: float, span: float) -> None:
    ticks = Axis(low, low + span, log=False).ticks()
    assert 1 <= len(ticks) <= 6
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in ticks)
    assume(len(ticks) > 1)
    step = ticks[1] - ticks[0]
    assert np.allclose(np.diff(ticks), step, rtol=1e-6)
    digits = step / 10.0 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(digits - m) for m in (1, 2, 5, 10)) < 1e-6
    assert ticks[0] - low < step * (1 + 1e-6)
    assert low + span - ticks[-1] < step * (1 + 1e-6)


def test_axes_leave_a_little_room_but_not_below_zero() -> None:
    assert axis_for(curve(2.0, 4.0)) == pytest.approx(Axis(1.88, 4.12, False))
    assert axis_for(curve(2.0, 4.0), from_zero=True) == pytest.approx(Axis(0.0, 4.24, False))
    assert axis_for(curve(-1.0, 4.0), from_zero=True) == pytest.approx(Axis(-1.3, 4.3, False))
    assert axis_for(curve(2.0, 4.0), level=7.0) == pytest.approx(Axis(1.7, 7.3, False))
    assert axis_for(curve(5.0, 5.0)) == pytest.approx(Axis(4.75, 5.25, False))
    assert axis_for(curve(0.1, 0.1, 1000.0), from_zero=True) == pytest.approx(Axis(0.1 / 1.1, 1100.0, True))


@pytest.mark.parametrize(("axis", "middle"), [(Axis(1.0, 3.0, False), 2.0), (Axis(1.0, 100.0, True), 10.0)])
def test_values_lie_between_the_bottom_and_the_top(axis: Axis, middle: float) -> None:
    places = axis.place(np.array([axis.low, middle, axis.high]))
    assert places == pytest.approx([BOTTOM, (BOTTOM + TOP) / 2, TOP])


def test_a_panel_draws_its_line_band_dots_level_and_warnings_where_they_are() -> None:
    run = StepMarks(last=4, best=2, warnings=[(2, "<slow>")])
    text = drawn(LossPanel(Label("A", "h", "u"), curve(1.0, 2.0, 3.0, 4.0), run, "k", level=(5.0, "draw")))
    half = (LEFT + RIGHT) / 2
    assert f'class="warned" d="M{half:.1f} {TOP}V{BOTTOM}"' in text
    assert "step 2: &lt;slow&gt;" in text
    axis = axis_for(curve(1.0, 2.0, 3.0, 4.0), 5.0, from_zero=True)
    ys = axis.place(np.array([1.0, 2.0, 3.0, 4.0]))
    xs = [LEFT + (RIGHT - LEFT) * step / 4 for step in (1, 2, 3, 4)]
    points = [f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True)]
    assert f'class="mean" d="M{"L".join(points)}"' in text
    assert f'class="band" d="M{"L".join([*points, *points[::-1]])}Z"' in text
    level = axis.place(np.array(5.0))
    assert f'class="level" d="M{LEFT} {level:.1f}H{RIGHT}"' in text
    assert ">draw</text>" in text
    assert "<circle" not in text
    assert 'aria-label="A: 1 at first, 4 at last, from 1 to 4, over 4 steps"' in text


def test_a_panel_tells_its_unit_and_its_scale_where_there_is_one() -> None:
    plain = drawn(LossPanel(Label("a", "c", ""), curve(1.0, 2.0), StepMarks(20), "loss"))
    assert "<small></small>" in plain
    assert plain.count('class="note"') == 1  # "steps"
    told = drawn(LossPanel(Label("a", "c", "dB"), curve(1.0, 2000.0), StepMarks(20), "loss"))
    assert "<small>log scale</small>" in told
    assert told.count('class="note"') == 2
    assert ">dB</text>" in told


def test_the_last_step_is_written_to_the_left_of_the_end() -> None:
    text = drawn(LossPanel(Label("a", "c", ""), curve(1.0, 2.0), StepMarks(20), "loss"))
    anchors = re.findall(rf'<text x="([0-9.]+)" y="{BOTTOM + 17}" text-anchor="(\w+)">(\w+)</text>', text)
    assert [anchor for _, anchor, _ in anchors] == ["middle"] * (len(anchors) - 1) + ["end"]
    assert [int(step) for *_, step in anchors] == [0, 5, 10, 15, 20]


def test_a_curve_of_one_score_before_the_first_step_is_drawn() -> None:
    before = np.zeros(1)
    text = drawn(
        LossPanel(Label("a", "c", ""), LossCurve(before, before, before, before), StepMarks(0), "score", dots=True)
    )
    assert 'data-last="1"' in text


@pytest.mark.parametrize(
    ("value", "text"), [(2.0, "2.00"), (-2.5, "-2.50"), (1.99999, "2.0000"), (0.12345, "0.1235"), (31.416, "31.42")]
)
def test_a_score_has_two_decimals_from_2_on_and_four_below(value: float, text: str) -> None:
    assert figure(value) == text


def test_dots_mark_the_best_and_the_last() -> None:
    text = drawn(LossPanel(Label("A", "h", ""), curve(1.0, 2.0, 3.0, 4.0), StepMarks(last=4, best=2), "k", dots=True))
    assert 'class="band"' not in text
    assert re.findall(r'<circle class="(\w+)"', text) == ["dot", "best", "dot", "dot", "dot"]
    assert re.findall(r'class="dot"[^>]* r="([\d.]+)"', text) == ["2.2", "4", "2.2", "4"]
    assert re.findall(r"<title>(.*?)</title>", text) == [
        "step 1: 1",
        "step 2, best: 2",
        "step 3: 3",
        "step 4, last: 4",
    ]
    ticks = re.findall(r'<text x="([\d.]+)" y="\d+" text-anchor="(\w+)">([\d,.k]+)</text>', text)
    assert [(float(x), word) for x, _, word in ticks if word in "01234"] == [
        (LEFT + (RIGHT - LEFT) * step / 4, str(step)) for step in range(5)
    ]


def test_a_thinned_curve_is_a_running_mean_between_the_extremes() -> None:
    values = np.arange(1.0, 11.0)
    values[3] = np.nan
    found = thin(values, most=3)
    assert found.steps.tolist() == [2.0, 6.0, 9.0]
    assert found.low.tolist() == [1.0, 5.0, 8.0]
    assert found.high.tolist() == [3.0, 7.0, 10.0]
    whole = thin(values)
    assert whole.mean.tolist() == [v for v in values if math.isfinite(v)]
    assert [len(part) for part in thin(np.full(4, np.nan))] == [0, 0, 0, 0]
    spike = np.zeros(2000)
    spike[1000] = 1
    width = window_of(2000) // 2 * 2 + 1  # as many steps on either side
    assert thin(spike, most=2000).mean.tolist() == [
        pytest.approx(1 / width if abs(i - 1000) <= width // 2 else 0) for i in range(2000)
    ]


@pytest.mark.parametrize(("step", "text"), [(50_000, "50k"), (12_500, "12.5k"), (9_999, "9,999"), (500, "500")])
def test_steps_are_told_shortly(step: float, text: str) -> None:
    assert short(step) == text


DREAM = {"frames": 90, "nn": 21.0, "drift": 3.0, "sharpness": 0.8, "m1": 1.1, "m4": 0.9, "uniq": 12, "uniq_real": 40}


def rollout(scores: dict[str, Any], *numbers: int) -> str:
    """The part of a report that shows a rollout."""
    dreamt = RolloutSummary(scores, [(number, np.zeros((2, 2, 3), np.uint8)) for number in numbers])
    [found] = re.findall(r'<section id="dream">.*?</section>', render(TrainingReport("t", rollout=dreamt)), re.DOTALL)
    return str(found)


def test_a_rollout_is_shown_with_its_frames_and_scores() -> None:
    told = rollout(DREAM, 1, 90)
    assert re.findall(r'src="data:.*?" alt="(.*?)"', told) == ["frame 1", "frame 90"]
    assert "90 frames, each predicted from the model's own frames before it" in told
    values = re.findall(r"<dt>(.*?)</dt><dd>(.*?) <small>(.*?)</small>", told)
    assert [name for name, *_ in values] == [words.name for words in ROLLOUT_LABELS.values()]
    assert [value for _, value, _ in values] == ["21.00", "3.00", "0.8000", "1.1000", "0.9000", "12 of 40"]
    assert values[0][2] == "dB"
    assert "frames ahead" not in told


def test_a_rollout_is_compared_with_the_frames_that_really_follow_where_these_are_known() -> None:
    told = rollout(DREAM | {"horizons": {1: 30.0, 10: 20.5}, "copy_last": {1: 25.0, 10: 18.25}})
    rows = re.findall(r"<tr>(.*?)</tr>", told)
    cells = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row) for row in rows]
    assert cells == [
        ["frames ahead", "1", "10"],
        ["the model", "30.00", "20.50"],
        ["the last frame, copied", "25.00", "18.25"],
    ]
