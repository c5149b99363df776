"""A vote over HTTP, as pages and careless people meet it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from vote_server import ServedVote, flat_folders, serving_vote

from vidtrans.voting.vote_log import VoteLog

LEVELS = {"dull": 60, "bright": 160}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedVote]:
    with serving_vote(flat_folders(tmp_path, LEVELS), tmp_path / "v.jsonl") as vote:
        yield vote


def join(served: ServedVote, name: str = "Anna", *, sure: bool = False) -> dict[str, Any]:
    status, state = served.ask("/join", {"name": name, "sure": sure})
    assert status == 200, state
    return state


def vote(served: ServedVote, key: str, trial: int, side: str = "left", **own: Any) -> dict[str, Any]:
    status, state = served.ask("/vote", {"key": key, "trial": trial, "side": side, "answer_s": 1.25, **own})
    assert status == 200, state
    return state


def prefer_bright(served: ServedVote, key: str) -> dict[str, Any]:
    """Give all votes for the brighter picture, by what is shown alone."""
    state = served.ask("/vote", {"key": key, "trial": -1, "side": "left"})[1]
    while not state["finished"]:
        trial = state["trial"]
        left, right = (served.level(key, trial, side) for side in ("left", "right"))
        state = vote(served, key, trial, "left" if left > right else "right")
    return state


def test_whoever_prefers_bright_pictures_is_found_out(served: ServedVote) -> None:
    key = join(served)["key"]
    state = prefer_bright(served, key)
    assert (state["given"], state["total"]) == (7, 7)  # six items, and one of them again
    status, scores = served.ask(f"/scores?key={key}")
    assert status == 200
    assert [row["name"] for row in scores["conditions"]] == ["bright", "dull"]
    assert (scores["conditions"][0]["part"], scores["conditions"][0]["whole"]) == (6, 6)
    assert (scores["repeated"]["part"], scores["repeated"]["whole"]) == (1, 1)
    assert scores["pairs"][0]["more_votes"] == 0
    assert "bright is preferred to dull" in scores["verdict"]
    assert scores["answer_s"] == 1.25


def test_no_condition_is_named_before_the_last_vote(served: ServedVote) -> None:
    key = join(served)["key"]
    paths = ("/study", "/", f"/stimulus?key={key}&trial=0&side=left", f"/scores?key={key}", "/page/vote.js")
    seen = [served.ask(path) for path in paths]
    seen.append(served.ask("/vote", {"key": key, "trial": 0, "side": "left"}))
    seen.append(served.ask("/undo", {"key": key, "trial": 0}))
    assert seen[3][0] == 409
    assert not any(name in str(one) for name in LEVELS for one in seen)


def test_a_vote_that_was_closed_half_way_goes_on_where_it_stopped(tmp_path: Path) -> None:
    folders, log = flat_folders(tmp_path, LEVELS), tmp_path / "v.jsonl"
    with serving_vote(folders, log) as served:
        key = join(served)["key"]
        for trial in range(3):
            vote(served, key, trial)
        seen = [served.level(key, 3, side) for side in ("left", "right")]
    with serving_vote(folders, log) as served:
        assert served.ask("/vote", {"key": key, "trial": 3, "side": "left"})[0] == 409  # a key of the server before
        state = join(served, sure=True)
        assert (state["given"], state["trial"]) == (3, 3)
        assert [served.level(state["key"], 3, side) for side in ("left", "right")] == seen
        prefer_bright(served, state["key"])
    votes = VoteLog.read(log).votes["Anna"]
    assert [one.trial for one in votes] == list(range(7))


def test_real_or_fake_gives_feedback_in_practice_only_and_cannot_be_undone(tmp_path: Path) -> None:
    folders = flat_folders(tmp_path, {"fake": 60, "real": 160})
    with serving_vote(folders, tmp_path / "v.jsonl", is_real=True) as served:
        state = join(served)
        key = state["key"]
        assert (state["practice"], state["given"], state["trials"]) == (4, 0, 11)
        for trial in range(state["trials"]):
            is_right = served.level(key, trial, "left") > served.level(key, trial, "right")
            state = vote(served, key, trial, "left", exposure_s=1.004)
            assert state.get("was_right", "unsaid") == (is_right if trial < 4 else "unsaid")
            assert served.ask("/undo", {"key": key, "trial": trial})[1]["trial"] == trial + 1
        scores = served.ask(f"/scores?key={key}")[1]
    [row] = scores["conditions"]
    assert row["whole"] == scores["votes"] == 6
    assert scores["exposure_s"] == 1.004
    assert "taken for real" in scores["verdict"]


def test_only_the_pictures_of_this_trial_and_the_next_can_be_had(served: ServedVote) -> None:
    key = join(served)["key"]
    for trial, status in ((0, 200), (1, 200), (2, 409), (-1, 409), ("x", 409), ("1" * 99, 409), ("²", 409)):
        assert served.ask(f"/stimulus?key={key}&trial={quote(str(trial))}&side=left")[0] == status, trial
    for query in ("", f"key={key}&trial=0&side=up", f"key={key}&trial=0", "key=x&trial=0&side=left"):
        assert served.ask(f"/stimulus?{query}")[0] == 409


def test_messages_that_do_not_fit_are_answered_and_nothing_is_recorded(served: ServedVote) -> None:
    key = join(served)["key"]
    for body in (b"", b"{", b"[]", b"3", b"[" * 5000, b"\xff", b"x" * 20_000):
        assert served.ask("/vote", body)[0] == 409
    for message in ({}, {"key": key}, {"key": key, "trial": 0, "side": ["left"]}, {"key": []}):
        status, answer = served.ask("/vote", message)
        assert status == 409, message
        assert answer["problem"]
    assert served.ask("/join", {"name": "x" * 41})[0] == 409
    assert served.log.votes == {"Anna": []}
    for strange in (-1, "1", None, True, 1e99, [1]):
        vote(served, key, len(served.log.votes["Anna"]), answer_s=strange)
    assert all(one.answer_s is None for one in served.log.votes["Anna"])


def test_strangers_are_refused(served: ServedVote) -> None:
    for path in ("/", "/study", "/stimulus", "/scores"):
        assert served.ask(path, token="another-token-entirely")[0] == 403
    assert served.ask("/join", {"name": "Eve"}, token="another-token-entirely")[0] == 403
    for path in ("/page/../poll.py", "/page/%2e%2e/poll.py", "/page/"):
        assert served.ask(path)[0] in (400, 403, 404, 405)
    assert served.log.votes == {}


def test_a_vote_that_cannot_be_written_does_not_count(served: ServedVote, monkeypatch: pytest.MonkeyPatch) -> None:
    key = join(served)["key"]

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("vidtrans.voting.vote_log.os.fsync", full)
        status, answer = served.ask("/vote", {"key": key, "trial": 0, "side": "left"})
        assert (status, "No space" in answer["problem"]) == (503, True)
    assert vote(served, key, 0, "right")["trial"] == 1
    assert len(served.log.votes["Anna"]) == 1


def test_whoever_gives_no_name_gets_a_number(served: ServedVote) -> None:
    join(served)
    names = [join(served, name)["name"] for name in ("", " \x00\n", "")]
    assert names == ["Voter 2", "Voter 3", "Voter 4"]
    assert join(served, "<b>Ω</b> \u202e")["name"] == "<b>Ω</b>"
