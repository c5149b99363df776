"""Scripts that steer a dream: what they say, what is refused, and what becomes of the controls."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidtrans.core.errors import UsageError
from vidtrans.dreaming.controls import DreamControls
from vidtrans.dreaming.settings import DreamingSettings
from vidtrans.dreaming.steering import ANIMATED, PAN, TURN, ZOOM, parse_steering

RATE = Fraction(25)


def controls(script: str, **others: float | str) -> DreamControls:
    return DreamControls(DreamingSettings(steer=script, **others), RATE)


def test_a_command_lasts_until_the_next_entry() -> None:
    steered = controls("0: left, 30: right+zoom, 2s: stay")
    assert [steered.move(n).pan_x for n in (0, 29, 30, 49, 50)] == [PAN, PAN, -PAN, -PAN, 0]
    assert [steered.move(n).zoom for n in (0, 30, 50)] == [1, ZOOM, 1]


def test_commands_add_to_what_is_animated_and_assignments_replace_it() -> None:
    steered = controls("10: left*2+zoom*2+turn-right, 20: pan_x=-.25+recall=0", pan_x=0.1, recall="0.5")
    assert steered.move(0).pan_x == 0.1
    assert steered.move(10).pan_x == pytest.approx(0.1 + 2 * PAN)
    assert steered.move(10).zoom == pytest.approx(ZOOM**2)
    assert steered.move(10).rotate == -TURN
    assert (steered.move(20).pan_x, steered.recall(20), steered.recall(19)) == (-0.25, 0.0, 0.5)


def test_goals_are_shots_and_actions() -> None:
    steered = controls("0: goto 2, 10: jump+left, 20: stay")
    assert [steered.goal(n) for n in (0, 10, 20)] == [2, "jump", None]
    assert parse_steering("0: dance+left").entries[0].goal == "dance"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("0: left,, 30: right", "entry 2 is empty"),
        ("0: left, right", r"entry 2 \('right'\) has no moment"),
        ("0: ", "has no command"),
        ("0: left 3", r"has a number — write left\*3"),
        ("0: goto", "names no shot"),
        ("0: left*99", "out of bounds"),
        ("0: zoom=9", "out of bounds"),
        ("0: gain=1", "'gain' is no control"),
        ("0: run*2", "no command"),
        ("0: run+jump", "it goes to 'run' and to 'jump'"),
        ("there-is-no-such-file", "no such file"),
        ("0: goto 9999999", "is no command"),
        ("30: left, 2: right", "2 does not come after 30"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(script: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as refused:
        controls(script)
    assert "\n" not in str(refused.value)


def test_nothing_is_steered_beyond_the_end() -> None:
    steered = controls("0: left, 400: right")
    steered.check(401)
    with pytest.raises(UsageError, match="it steers at 400, and the dream has 300 frames"):
        steered.check(300)


def test_a_file_has_an_entry_a_line_and_comments() -> None:
    Path("a.keys").write_text("\ufeff# played on model abc\n\n0: left  # first\n30: right, 40: stay,\n", "utf-8")
    read = parse_steering("a.keys")
    assert read.text == parse_steering("0: left, 30: right, 40: stay").text
    assert read.played_on == "abc"
    Path("b.keys").write_bytes(b"PK\3\4: left")
    with pytest.raises(UsageError, match="not a text file"):
        parse_steering("b.keys")
    Path("c.keys").write_text("# nothing\n")
    with pytest.raises(UsageError, match="there is no command"):
        parse_steering("c.keys")


bounds = {name: (max(low, -50), min(high, 50)) for name, (low, high) in ANIMATED.items() if name != "blend_amount"}


@given(st.text(max_size=40))
def test_any_text_is_a_script_or_refused(text: str) -> None:
    with suppress(UsageError):
        assert parse_steering(text + ":").entries
