"""``vidtrans vote`` as a person starts, ends and continues it, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chain import refuse, said, said_json, vidtrans_json
from clips import moving_frames, write_clip
from vote_server import flat_folders, make_study, serving_vote

from vidtrans.voting.vote_log import OpenLog

Capsys = pytest.CaptureFixture[str]


def give_votes(log: Path, names: tuple[str, ...] = ("a", "b"), *, lost: int = 2, **own: Any) -> None:
    """Write a log in which Anna prefers the first of two conditions in all trials but ``lost``."""
    with serving_vote([Path(name) for name in names], log, **own) as served:
        key = served.ask("/join", {"name": "Anna"})[1]["key"]
        state: dict[str, Any] = {"finished": False, "trial": 0}
        while not state["finished"]:
            n = state["trial"]
            left, right = (served.level(key, n, side) for side in ("left", "right"))
            wins = (left > right) == (n >= lost)
            state = served.ask("/vote", {"key": key, "trial": n, "side": "left" if wins else "right"})[1]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.chdir(tmp_path)
    return [path.relative_to(tmp_path) for path in flat_folders(tmp_path, {"a": 160, "b": 60}, items=12)]


def test_the_outcome_of_a_log_is_reported_and_written(folders: list[Path], capsys: Capsys) -> None:
    give_votes(Path("v.jsonl"))
    table = said_json(capsys, "vote", "--results", "v.jsonl", "-o", "page.html")
    assert (table["output"], table["question"], table["votes"]) == ("page.html", "preferred", 9)
    best, worst = table["conditions"]
    assert (best["name"], best["part"], best["whole"], worst["part"]) == ("a", 7, 9, 2)
    assert best["low"] < best["value"] < best["high"]
    assert table["pairs"][0]["first"] == "a"
    assert "a and b are not distinguished yet" in Path("page.html").read_text("utf-8")
    assert said_json(capsys, "vote", "--results", "v.jsonl", "-o", "page.html")["cached"]
    text = said(capsys, 0, "vote", "--results", "v.jsonl", "--results", "v.jsonl")
    assert "2 people, 18 votes; 2 of 2 repetitions answered alike" in text
    assert "78 %" in text
    assert said_json(capsys, "vote", "--results", "v.jsonl", "--leave-out", "Anna")["votes"] == 0
    assert "one of Anna" in refuse(capsys, 2, "vote", "--results", "v.jsonl", "--leave-out", "Ben")


def test_a_dry_run_says_how_long_it_takes_and_changes_nothing(folders: list[Path], capsys: Capsys) -> None:
    before = sorted(Path().rglob("*.jsonl"))
    table = vidtrans_json("vote", "a", "b", "--dry-run")
    assert (table["output"], table["log"], table["trials"], table["items"]) == ("a.vote.html", "a.vote.jsonl", 16, 12)
    assert "would ask 16 trials a person" in said(capsys, 0, "vote", "a", "b", "--dry-run")
    assert "12 items of 2 conditions give 16 trials a person, not 40" in said(capsys, 0, "vote", "a", "b", "--dry-run")
    twice = said(capsys, 0, "vote", "a", "a", "--label", "x", "--label", "y", "--dry-run")
    assert "y has the same content as x" in twice
    real = vidtrans_json("vote", "b", "--real", "a", "--seconds", "0.5", "--dry-run")
    assert real["forced_s"] == pytest.approx(20 * 1.6 + 4 * 0.9)
    assert sorted(Path().rglob("*.jsonl")) == before


def test_mistakes_are_refused_in_a_line(folders: list[Path], capsys: Capsys) -> None:
    write_clip(Path("clip.mp4"), moving_frames(12))
    Path("empty").mkdir()
    Path("notes.html").write_text("mine")
    Path("notes.jsonl").write_text("mine\n")
    Path("other.jsonl").write_text("mine\n")
    for words, status, why in (
        (("a",), 2, "at least two"),
        ((), 2, "at least two"),
        (("--real", "a"), 2, "at least one"),
        (("a", "gone"), 3, "no such file"),
        (("a", "b", "--real", "gone.mp4"), 3, "no such file"),
        (("a", "empty"), 3, "no pictures in this folder"),
        (("a", "clip.mp4"), 2, "is a clip, and a consists of pictures"),
        (("a", "b", "--label", "b"), 2, "two conditions have this name"),
        (("a", "--label", "real", "--real", "b"), 2, "'real'"),
        (("a", "b", *("--label", "x") * 3), 2, "3 labels for 2 clips"),
        (("a", "b", "-o", "page.png"), 2, ".html file"),
        (("a", "b", "-o", "notes.html"), 2, "notes.html"),
        (("a", "b", "-o", "other.html"), 3, "no readable log of votes"),
        (("--results", "gone.jsonl"), 3, "no readable log of votes"),
        (("a", "b", "--seconds", "2"), 2, "stills are shown until the answer"),
        (("--results", "gone.jsonl", "--critic", "a"), 2, "name the clips too"),
        (("a", "b", "--host", "0.0.0.0"), 2, "--allow-network"),
    ):
        assert why in refuse(capsys, status, "vote", *words)


def test_votes_on_other_conditions_are_neither_counted_nor_replaced(folders: list[Path], capsys: Capsys) -> None:
    log = OpenLog(Path("a.vote.jsonl"), make_study("a", "c"))
    log.write({"voter": "Anna", "number": 0})
    log.close()
    assert "it holds votes on other conditions (a, c)" in refuse(capsys, 2, "vote", "a", "b")
    assert "its votes are on other conditions" in refuse(capsys, 2, "vote", "a", "b", "--results", "a.vote.jsonl")
