"""Names with commas and colons among names, shares and moments of a ``--look``."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidtrans.core.errors import UsageError
from vidtrans.models.look_pictures import parse_look_parts, replace_picture_paths, split_names

KNOWN = ("a", "b", "a, b.jpg", "take 2: c.jpg", "D:\\d.jpg", "shots, day 2/1,000: e.jpg")


@pytest.mark.parametrize(
    ("look", "parts"),
    [
        ("a", [("a", "", "")]),
        ("a, b.jpg: .6, b: 0.4", [("a, b.jpg", ".6", ""), ("b", "0.4", "")]),
        ("take 2: c.jpg: 1, a, b.jpg: 2", [("take 2: c.jpg", "1", ""), ("a, b.jpg", "2", "")]),
        ("0: a, b.jpg, 5s: a", [("a, b.jpg", "", "0"), ("a", "", "5.0s")]),
        ("00:01: take 2: c.jpg, 1:30: D:\\d.jpg", [("take 2: c.jpg", "", "1.0s"), ("D:\\d.jpg", "", "90.0s")]),
        ("0: a,\n 7: b,\n", [("a", "", "0"), ("b", "", "7")]),
        ("a: 1,, b: 2", []),
        ("shots, day 2/1,000: e.jpg: 2, a: 1", [("shots, day 2/1,000: e.jpg", "2", ""), ("a", "1", "")]),
        ("a, b", []),
        ("", []),
        (",".join("a" * 100_000), []),
    ],
)
def test_names_that_are_known_win_over_commas_and_colons(look: str, parts: list[tuple[str, str, str]]) -> None:
    found = parse_look_parts(look, KNOWN.__contains__)
    assert [(part.name, part.share, part.moment) for part in found] == parts


@pytest.mark.parametrize(
    ("look", "known"),
    [
        ("a: 1, b: 2, c: 1", ("a", "b", "c", "a: 1, b")),
        ("0:01: a", ("a", "01: a")),
        ("a: 1, b: 2, c: 3, d: 4", ("a", "b", "c", "d", "a: 1, b", "c: 3, d", "b: 2, c")),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(look: str, known: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"it can be read as '.*' or as '.*' — rename a picture"):
        parse_look_parts(look, known.__contains__)


def test_values_are_separated_by_commas_outside_of_known_names() -> None:
    known = KNOWN.__contains__
    assert split_names("a, b", known) == ["a", "b"]
    assert split_names("a, b.jpg, b,a, b.jpg", known) == ["a, b.jpg", "b", "a, b.jpg"]
    assert split_names("mine, a, b.jpg", known) == ["mine", "a, b.jpg"]
    assert split_names("0.5,1", known) == ["0.5", "1"]
    assert split_names("a,,b", known) == ["a", "", "b"]
    with pytest.raises(UsageError, match=r"--look 'a, b': it can be read as"):
        split_names("a, b", {"a", "b", "a, b"}.__contains__)


def test_paths_of_pictures_are_changed_wherever_they_stand(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c, d.png"):
        (tmp_path / name).touch()
    for look, wanted in (
        ("a.png", "<a.png>"),
        ("c, d.png", "<c, d.png>"),
        ("a.png: 0.6,clip:0.4", "<a.png>: 0.6, clip: 0.4"),
        ("0: a.png, 2.5s: b.png", "0: <a.png>, 2.5s: <b.png>"),
        ("c, d.png: 1, oil: 2", "<c, d.png>: 1, oil: 2"),
        ("0: 7, 5s: c, d.png", "0: 7, 5.0s: <c, d.png>"),
        ("0: ink, 5: 7", "0: ink, 5: 7"),
        ("shots:7", "shots:7"),
        ("", ""),
    ):
        assert replace_picture_paths(look, tmp_path, lambda path: f"<{path.name}>") == wanted
