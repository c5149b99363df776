"""The report's curves: where a value lies, what the axes are, and what is told of a model that dreams."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vidtrans.training.report import curves
from vidtrans.training.report.curves import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Axis,
    Curve,
    Marks,
    Words,
    axis_for,
    figure,
    panel,
    thin,
    window_of,
)
from vidtrans.training.report.rollouts import HOLDING, Dreamt, section


def curve(*values: float) -> Curve:
    found = np.array(values)
    return Curve(np.arange(1.0, len(found) + 1), found, found, found)


@pytest.mark.parametrize(
    ("aim", "best"), [(math.inf, 3.0), (-math.inf, -2.0), (1.0, 0.5), (0.0, 0.5), (2.8, 3.0), (None, None)]
)
def test_the_best_is_nearest_to_what_is_aimed_at(aim: float | None, best: float | None) -> None:
    words = Words("a", "b", "c", aim)
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
    run = Marks(last=4, best=2, warnings=[(2, "<slow>")])
    drawn = panel(Words("A", "u", "h"), curve(1.0, 2.0, 3.0, 4.0), run, "k", level=(5.0, "draw"))
    half = (LEFT + RIGHT) / 2
    assert f'class="warned" d="M{half:.1f} {TOP}V{BOTTOM}"' in drawn
    assert "step 2: &lt;slow&gt;" in drawn
    axis = axis_for(curve(1.0, 2.0, 3.0, 4.0), 5.0, from_zero=True)
    ys = axis.place(np.array([1.0, 2.0, 3.0, 4.0]))
    xs = [LEFT + (RIGHT - LEFT) * step / 4 for step in (1, 2, 3, 4)]
    points = [f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True)]
    assert f'class="mean" d="M{"L".join(points)}"' in drawn
    assert f'class="band" d="M{"L".join([*points, *points[::-1]])}Z"' in drawn
    level = axis.place(np.array(5.0))
    assert f'class="level" d="M{LEFT} {level:.1f}H{RIGHT}"' in drawn
    assert ">draw</text>" in drawn
    assert "<circle" not in drawn
    assert f"from {1.0:.4g} to {4.0:.4g}, over 4 steps" in drawn


def test_a_panel_tells_its_unit_and_its_scale_where_there_is_one() -> None:
    plain = panel(Words("a", "", "c"), curve(1.0, 2.0), Marks(20), "loss")
    assert "<small></small>" in plain
    assert plain.count('class="note"') == 1  # "steps"
    told = panel(Words("a", "dB", "c"), curve(1.0, 2000.0), Marks(20), "loss")
    assert "<small>log scale</small>" in told
    assert told.count('class="note"') == 2
    assert ">dB</text>" in told


def test_the_last_step_is_written_to_the_left_of_the_end() -> None:
    drawn = panel(Words("a", "", "c"), curve(1.0, 2.0), Marks(20), "loss")
    anchors = re.findall(rf'<text x="([0-9.]+)" y="{BOTTOM + 17}" text-anchor="(\w+)">(\w+)</text>', drawn)
    assert [anchor for _, anchor, _ in anchors] == ["middle"] * (len(anchors) - 1) + ["end"]
    assert [int(step) for *_, step in anchors] == [0, 5, 10, 15, 20]


def test_a_curve_of_one_score_before_the_first_step_is_drawn() -> None:
    before = np.zeros(1)
    drawn = panel(Words("a", "", "c"), Curve(before, before, before, before), Marks(0), "score", dots=True)
    assert 'data-last="1"' in drawn


@pytest.mark.parametrize(
    ("value", "text"), [(2.0, "2.00"), (-2.5, "-2.50"), (1.99999, "2.0000"), (0.12345, "0.1235"), (31.416, "31.42")]
)
def test_a_score_has_two_decimals_from_2_on_and_four_below(value: float, text: str) -> None:
    assert figure(value) == text


def test_dots_mark_the_best_and_the_last() -> None:
    drawn = panel(Words("A", "", "h"), curve(1.0, 2.0, 3.0, 4.0), Marks(last=4, best=2, warnings=[]), "k", dots=True)
    assert re.findall(r'<circle class="(\w+)"', drawn) == ["dot", "best", "dot", "dot", "dot"]
    assert re.findall(r'class="dot"[^>]* r="([\d.]+)"', drawn) == ["2.2", "4", "2.2", "4"]
    assert re.findall(r"<title>(.*?)</title>", drawn) == [
        "step 1: 1",
        "step 2, best: 2",
        "step 3: 3",
        "step 4, last: 4",
    ]
    ticks = re.findall(r'<text x="([\d.]+)" y="\d+" text-anchor="(\w+)">([\d,.k]+)</text>', drawn)
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
    assert curves._short(step) == text


DREAM = {"frames": 90, "nn": 21.0, "drift": 3.0, "sharpness": 0.8, "m1": 1.1, "m4": 0.9, "uniq": 12, "uniq_real": 40}


def test_what_a_model_dreams_is_told_with_its_frames_and_scores() -> None:
    dreamt = Dreamt(DREAM, [(1, np.zeros((2, 2, 3), np.uint8)), (90, np.zeros((2, 2, 3), np.uint8))])
    told = section(dreamt, ["data:a", "data:b"])
    assert re.findall(r'src="(.*?)" alt="(.*?)"', told) == [("data:a", "frame 1"), ("data:b", "frame 90")]
    assert "90 frames, each made of the ones before it" in told
    assert re.findall(r"<dd>(\S+(?: of \d+)?) <small>", told)[-1] == "12 of 40"
    assert all(words.name in told for words in HOLDING.values())
    assert "of 40" not in told.partition("Different frames")[0]
    assert "frames on" not in told
    assert told.endswith("</dl></section>")


def test_what_truly_followed_is_told_where_it_is_known() -> None:
    known = {"horizons": {1: 30.0, 10: 20.5}, "copy_last": {1: 25.0, 10: 18.25}}
    told = section(Dreamt(DREAM | known, []), [])
    rows = re.findall(r"<tr>(.*?)</tr>", told)
    cells = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row) for row in rows]
    assert cells[0] == ["frames on", "1", "10"]
    assert [row[0] for row in cells[1:]] == ["the model", "the last frame, copied"]
    assert [float(cell) for cell in cells[1][1:]] == pytest.approx([30, 20.5], abs=0.1)
    assert [float(cell) for cell in cells[2][1:]] == pytest.approx([25, 18.25], abs=0.1)
