"""Scripts that steer a dream, and actions: of a table of the user's, and found in a clip without one."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import scene
from hypothesis import given
from hypothesis import strategies as st

from vidtrans.core.errors import UsageError
from vidtrans.data.clip_memory import ClipMemory
from vidtrans.dreaming.actions import ClipOf, Origin, actions_of_table, found_actions
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
        ("0: left 3", r"has a number — write left\*3"),
        ("0: goto", "names no shot"),
        ("0: left*99", "out of bounds"),
        ("0: gain=1", "'gain' is no control"),
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


CLIPS = [ClipOf("a.one.mp4", Fraction(25)), ClipOf("b.mp4", Fraction(25))]
ORIGINS = [Origin(0, n) for n in (*range(20), *range(100, 110))] + [Origin(1, n) for n in range(7, 17)]


def of_table(text: str) -> dict[str, list[int]]:
    Path("t.csv").write_text(text, "utf-8")
    return {name: sorted(places) for name, places in actions_of_table(Path("t.csv"), CLIPS, ORIGINS).items()}


def test_a_row_holds_until_the_next_one_in_every_clip_or_in_its_own() -> None:
    assert of_table("frame,note\n5,Jump!\n9,\n105,run\n") == {"jump": [*range(5, 9), 30, 31], "run": [*range(25, 30)]}
    assert of_table("frame,note,clip\n2,up and on,a.one\n4,,a.one.mp4\n") == {"up-and-on": [2, 3]}
    both = of_table("Clip,time,jump,crouch\nb.mp4,0.32,1,0\nb.mp4,0.4,x,yes\n")
    assert both == {"jump": [*range(31, 40)], "crouch": [*range(33, 40)]}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no column 'frame' or 'time', or no rows"),
        ("frame,note\nx,jump\n", "'x' is no moment"),
        ("frame,note\n9,jump\n3,run\n", "not in order"),
        ("frame,note\n9,left\n", "a command already"),
        ("frame,note\n9,7\n", "cannot be a name"),
        ("frame,note\n5000,jump\n", "names nothing at any frame that the model keeps"),
        ("frame,note,clip\n3,jump,c.mp4\n", "the model learned no clip 'c.mp4' — choose from: a.one.mp4, b.mp4"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as refused:
        of_table(text)
    assert "\n" not in str(refused.value)


def test_a_table_that_is_not_there_or_no_text_is_refused() -> None:
    with pytest.raises(UsageError, match="no such file"):
        actions_of_table(Path("none.csv"), CLIPS, ORIGINS)
    Path("u.csv").write_bytes(b"PK\3\4frame")
    with pytest.raises(UsageError, match="not a text file"):
        actions_of_table(Path("u.csv"), CLIPS, ORIGINS)


def test_what_moves_otherwise_is_another_action() -> None:
    wide = scene(200, 48, seed=2)
    at = [40 + n for n in range(25)] + [65] * 25 + [65 - n for n in range(1, 26)]
    memory = ClipMemory(np.stack([wide[:, x : x + 64] for x in at]), (75,))
    found = found_actions(memory)
    assert 2 < len(found) <= 4
    assert list(found)[:2] == ["a1", "a2"]
    assert sum(map(len, found.values())) <= len(memory.places)
    by_place = {place: name for name, places in found.items() for place in places}
    kinds = [{by_place.get(place) for place in span} for span in (range(5, 20), range(30, 45), range(55, 70))]
    assert all(kinds)
    assert sum(map(len, kinds)) == len(set.union(*kinds))  # no action is of two of them


@pytest.mark.parametrize("length", [3, 30])
def test_a_still_or_a_short_clip_has_none(length: int) -> None:
    assert found_actions(ClipMemory(np.stack([scene(48, 32, seed=1)] * length), (length,))) == {}
