"""Expressions over time: what they are worth, and what is said of slips."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection
from fractions import Fraction

import numpy as np
import pytest

from vidtrans.core.errors import UsageError
from vidtrans.curves.curve import EASINGS, CurveClock, parse_curve
from vidtrans.curves.expressions import MAX_TOKENS, Signal

NOISE = [0.146795, 0.176788, 0.408267]  # of noise(0), noise(1), noise(2)
WIDE = (-1e9, 1e9)
HEARD = {"low": 0.1, "mid": 0.2, "high": 0.3, "loudness": 0.4, "beat": 2.25}


class Known:
    """Signals with one value each."""

    def values(self, signals: Collection[Signal], times: np.ndarray) -> dict[Signal, np.ndarray]:
        return {signal: np.full(len(times), HEARD.get(signal.source.name, 0.5)) for signal in signals}


def value(text: str, frame: int = 0, rate: int = 20, bounds: tuple[float, float] = WIDE) -> float:
    clock = CurveClock.of_rate(Fraction(rate), frame + 1, Known())
    return parse_curve(text, "--zoom").over(clock, "--zoom", *bounds)(frame)


def slip(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_curve(text, "--zoom")
    assert caught.value.remedy
    return str(caught.value)


def test_signs_bind_as_in_mathematics() -> None:
    known = {"-2^2": -4, "2^3^2": 512, "2^-1": 0.5, "8/4/2": 1, "7-4-2": 1, "1 + 2*3": 7, "--3": 3, ".5e1": 5}
    known |= {"mod(-1, 4)": 3, "floor(-0.5)": -1, "clamp(7, 0, 1)": 1, "min(3, 1, 2)": 1, "sqrt(abs(-16)) + exp(0)": 5}
    assert {text: value(text) for text in known} == pytest.approx(known)
    assert value("1 + 2*low - smooth(mid, 1)/2") == pytest.approx(1.1)


def test_between_keyframes_both_expressions_are_mixed() -> None:
    text = "0: 1.0, 90: 1.01 + 0.004*sin(t)"
    for frame in (0, 30, 45, 89, 90, 200):
        share = min(frame / 90, 1)
        later = 1.01 + 0.004 * math.sin(frame / 20)
        assert value(text, frame) == pytest.approx(1 + share * (later - 1), abs=1e-12)


def test_moments_are_frames_or_times_and_commas_in_parentheses_part_nothing() -> None:
    assert value("0s: 0, 00:01: min(8, 9)", 10) == pytest.approx(4)
    assert value("0: 0, 20: 8, 1s: 1", 20) == 1  # two at one moment are a jump
    assert value("5: 3", 0) == value("5: 3", 9) == 3
    with pytest.raises(UsageError, match="not in order — sort the keyframes by time"):
        value("2s: 1, 5: 2")


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("1 + sn(t)", 5, "did you mean 'sin'"),
        ("2t", 2, "as in 2*t"),
        ("1 2", 3, "operator"),
        ("(1 + 2", 7, "the ( at character 1 is still open"),
        ("1)", 2, "there is no ( for it"),
        ("", 1, "a number, a name or ( belongs there"),
        ("2**3", 3, "use ^"),
        ("sin", 1, "write sin(…)"),
        ("1 + clamp(t)", 5, "takes 3 values, not 1"),
        ("t, 3", 1, "write keyframes as"),
        ("0: 1, soon: 2", 7, "is not a moment"),
        ("0: 1,, 3: 2", 6, "write keyframes as"),
        ("0: 1, 30: 2 +* 3", 14, "belongs there"),
        ("__import__('os')", 1, "'__import__' is not known"),
        ("(" * 60 + "1" + ")" * 60, 41, "write it more simply"),
        ("+".join(["1"] * MAX_TOKENS), 1, "at most"),
    ],
)
def test_a_slip_names_its_place_and_what_would_be_right(text: str, position: int, says: str) -> None:
    told = slip(text)
    assert told.startswith(f"--zoom '{' '.join(text.split())}" if text.split() else "--zoom ''")
    assert f"at character {position}: " in told
    assert says in told


def test_what_is_no_number_or_out_of_bounds_names_the_frame() -> None:
    overflows = ("9^9^9^9^9", "9e99^9e99", "1e400", "exp(1000)", "1e9*2", "-2e9")
    for text in (*overflows, "(-8)^0.5", "(-8)^0.5*0", "1/t", "sqrt(-1)", "mod(1, 0)"):
        with pytest.raises(UsageError, match=r"at frame 0 it is .* — keep it from"):
            value(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("band(80)", "high is missing"),
        ("band(200, 80)", "low is not below high"),
        ("band(80, 99999)", "out of bounds"),
        ("band(t, 80)", "write band(low, high)"),
        ("on_beat(0.1, 0.2)", "write on_beat(decay=0.2)"),
        ("smooth(low)", "s is missing"),
        ("smooth(1 + low, 1)", "'1' is not a signal"),
        ("smooth(low", "write smooth(signal, s)"),
        ("follow(" * 20 + "low" + ", 1)" * 20, "nested too deeply"),
        ("''", "a file's name is missing"),
        ("low.__class__", "operator"),
    ],
)
def test_a_wrong_signal_names_what_would_be_right(text: str, says: str) -> None:
    assert says in slip(text)


def test_easings_begin_and_end_where_key_frames_are() -> None:
    for name in EASINGS:
        assert value(f"0: 1, 10: 3 {name}", 0) == 1
        assert value(f"0: 1, 10: 3 {name}", 10) == 3
    middle = {name: value(f"0: 0, 10: 1 {name}", 5) for name in EASINGS}
    assert middle == pytest.approx({"linear": 0.5, "ease": 0.5, "ease-in": 0.25, "ease-out": 0.75, "hold": 0.0})
    assert value("0: 0, 10: 1 hold", 9) == 0
    with pytest.raises(UsageError, match="operator"):
        parse_curve("0: 0, 10: 1 bouncy", "--zoom")


def test_noise_is_smooth_and_the_same_everywhere() -> None:
    found = [value(f"noise({n / 8})") for n in range(-80, 80)]
    assert max(map(abs, found)) <= 1
    assert max(abs(b - a) for a, b in itertools.pairwise(found)) < 0.4
    assert np.std(found) > 0.3
    assert [round(value(f"noise({n})"), 6) for n in range(3)] == NOISE
