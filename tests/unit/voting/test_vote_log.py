"""The log of votes: what was written is there whatever happened after, and nothing else counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from vote_server import make_study

from vidtrans.core.errors import MediaError, UsageError
from vidtrans.voting.vote_log import OpenLog, VoteLog, read_votes_on

STUDY = make_study("a", "b")


def line(voter: str, trial: int, **own: Any) -> dict[str, Any]:
    vote = {"item": "001", "left": "a", "right": "b", "chosen": "a", "is_practice": False, "is_repeat": False}
    return {"voter": voter, "trial": trial, **vote, "answer_s": 1.5, "exposure_s": None, **own}


def written(path: Path, *lines: dict[str, Any]) -> VoteLog:
    log = OpenLog(path, STUDY)
    try:
        for one in lines:
            log.write(one)
    finally:
        log.close()
    return VoteLog.read(path)


ANNA = {"voter": "Anna", "number": 0}


def test_votes_come_back_and_an_undone_one_is_gone(tmp_path: Path) -> None:
    lines = (ANNA, line("Anna", 0), line("Anna", 1, chosen="b"), {"voter": "Anna", "undo": 1}, line("Anna", 1))
    log = written(tmp_path / "v.jsonl", *lines)
    assert [vote.chosen for vote in log.votes["Anna"]] == ["a", "a"]
    assert (log.study, log.skipped, log.numbers) == (STUDY, 0, {"Anna": 0})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.jsonl"]


@pytest.mark.parametrize("cut", [1, 30, 59])
def test_a_torn_last_line_is_no_loss_and_the_vote_can_be_given_again(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "v.jsonl"
    written(path, ANNA, line("Anna", 0), line("Anna", 1))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert len(VoteLog.read(path).votes["Anna"]) == 1
    assert len(written(path, line("Anna", 1)).votes["Anna"]) == 2
    assert path.read_bytes() == whole


def test_damaged_and_strange_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    written(path, ANNA, line("Anna", 0), line("Anna", 1))
    strange: list[Any] = [
        *(line("Anna", 2, chosen="c"), line("Anna", 2, left="c"), line("Anna", 7), line("Ben", 0)),
        *({"voter": "Anna", "undo": 0}, {"voter": "Ben", "undo": 0}, {}, [], 3, None, line("Anna", 2, answer_s="x")),
        {"voter": "Anna", "trial": 2},
    ]
    with open(path, "ab") as stream:
        for one in strange:
            stream.write(json.dumps(one).encode() + b"\n")
        stream.write(b"\xff\xfe nonsense\n" + b"[" * 100_000 + b"\n" + json.dumps(line("Anna", 2)).encode() + b"\n")
    log = VoteLog.read(path)
    assert len(log.votes["Anna"]) == 3
    assert log.skipped == len(strange) + 2


def test_votes_on_something_else_are_neither_counted_nor_replaced(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    written(path, ANNA, line("Anna", 0))
    before = path.read_bytes()
    others = {
        "other conditions (a, b)": make_study("a", "c"),
        "another content of b": make_study("a", "b", items=24),
        "--trials 40": make_study("a", "b", trials=20),
        "--seconds 1": make_study("a", "b", seconds=2.0),
        "--seed 0": make_study("a", "b", seed=5),
        "another question": make_study("a", "b", is_real=True),
        "stills": make_study("a", "b", is_motion=True),
        "other items": make_study("a", "b", items=3),
    }
    changed = vars(others["another content of b"]) | {"digests": ("digest of a", "another")}
    others["another content of b"] = type(STUDY)(**changed)
    for change, study in others.items():
        with pytest.raises(UsageError) as caught:
            OpenLog(path, study)
        assert change in str(caught.value)
        with pytest.raises(UsageError):
            read_votes_on(study, path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_log_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    for content in (b"somebody's notes\n", b"notes", b"{}\n", b'{"study": 3}\n', b"[]\n", b'{"study": {}}\n'):
        path.write_bytes(content)
        with pytest.raises(MediaError, match="no readable log"):
            OpenLog(path, STUDY)
        assert path.read_bytes() == content


def test_one_vote_at_a_time_has_a_log_open(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    log = OpenLog(path, STUDY)
    with pytest.raises(UsageError, match="another vote has it open"):
        OpenLog(path, STUDY)
    log.close()
    OpenLog(path, STUDY).close()


def test_logs_of_one_vote_are_counted_together_and_names_kept_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        written(tmp_path / f"{name}.jsonl", ANNA, line("Anna", 0))
    whole = VoteLog.merged([tmp_path / "one.jsonl", tmp_path / "two.jsonl"])
    assert [len(votes) for votes in whole.votes.values()] == [1, 1]
    other = OpenLog(tmp_path / "other.jsonl", make_study("a", "c"))
    other.write({"voter": "Ben", "number": 0})
    other.close()
    with pytest.raises(MediaError, match="other conditions"):
        VoteLog.merged([tmp_path / "one.jsonl", tmp_path / "other.jsonl"])
