"""Actions: of a table of the user's, and found in a clip without one."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import scene

from vidtrans.core.errors import UsageError
from vidtrans.data.clip_memory import ClipMemory
from vidtrans.dreaming.actions import ClipOf, Origin, actions_of_table, found_actions

CLIPS = [ClipOf("a.one.mp4", Fraction(25)), ClipOf("b.mp4", Fraction(25))]
ORIGINS = [Origin(0, n) for n in (*range(20), *range(100, 110))] + [Origin(1, n) for n in range(7, 17)]


def of_table(text: str) -> dict[str, list[int]]:
    Path("t.csv").write_text(text, "utf-8")
    return {name: sorted(places) for name, places in actions_of_table(Path("t.csv"), CLIPS, ORIGINS).items()}


def test_a_row_holds_until_the_next_one_in_every_clip_or_in_its_own() -> None:
    assert of_table("frame,note\n5,Jump!\n9,\n105,run\n") == {
        "jump": [5, 6, 7, 8, 30, 31],
        "run": list(range(25, 30)),
    }
    assert of_table("frame,note,clip\n2,up and on,a.one\n4,,a.one.mp4\n") == {"up-and-on": [2, 3]}
    assert of_table("Clip,time,jump,crouch\nb.mp4,0.32,1,0\nb.mp4,0.4,x,yes\n") == {
        "jump": list(range(31, 40)),
        "crouch": list(range(33, 40)),
    }


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
