"""The page of a vote in a real browser: by keys alone, reloaded, doubled, paused, on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clips import moving_frames, write_clip
from vote_page import LEVELS, answer, begin, progress, vote_page, wait_for_answer
from vote_server import ServedVote, flat_folders, serving_vote

BRIGHT = {"dull": 60, "bright": 160}


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    opened = browser.new_context(viewport={"width": 1000, "height": 700})
    yield opened
    opened.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedVote]:
    with serving_vote(flat_folders(tmp_path, BRIGHT, items=4), tmp_path / "v.jsonl", trials=4) as vote:
        yield vote


def votes(served: ServedVote, name: str = "Anna") -> list[str]:
    return [vote.chosen for vote in served.log.votes.get(name, [])]


def test_a_vote_by_keys_alone_ends_in_the_scores(context: Any, served: ServedVote) -> None:
    with vote_page(context, served.link()) as page:
        begin(page, "Anna")
        while wait_for_answer(page):
            left, right = page.evaluate(LEVELS)
            answer(page, "left" if left > right else "right")
        assert page.locator("#thanks").text_content() == "Thank you, Anna: 4 votes."
        assert "bright" not in page.content()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector("#scores tbody tr")
        rows = page.locator("#scores tbody tr").all_text_contents()
        assert rows[0].startswith("bright100 %")
        assert "not distinguished yet" in page.locator("#verdict").text_content()
    assert votes(served) == ["bright"] * 4


@pytest.mark.thorough
def test_a_key_that_is_held_gives_one_vote_which_can_be_taken_back(context: Any, served: ServedVote) -> None:
    with vote_page(context, served.link()) as page:
        begin(page, "Anna")
        assert wait_for_answer(page)
        seen = page.evaluate(LEVELS)
        for _ in range(20):
            page.keyboard.down("ArrowLeft")  # the repetition of a key that is held
        page.keyboard.up("ArrowLeft")
        page.wait_for_function("() => document.getElementById('progress').textContent === '2 of 4'")
        assert wait_for_answer(page)
        assert len(votes(served)) == 1
        page.keyboard.press("Backspace")
        page.wait_for_function("() => document.getElementById('progress').textContent === '1 of 4'")
        assert wait_for_answer(page)
        assert page.evaluate(LEVELS) == seen
    assert votes(served) == []


@pytest.mark.thorough
def test_a_reload_goes_on_where_it_was_and_a_second_window_follows(context: Any, served: ServedVote) -> None:
    with vote_page(context, served.link()) as page:
        begin(page, "Anna")
        assert wait_for_answer(page)
        answer(page, "left")
        page.reload()
        page.wait_for_selector("#go:focus")
        page.keyboard.press("Space")
        assert wait_for_answer(page)
        assert progress(page) == "2 of 4"
        with vote_page(context, served.link()) as other:
            other.wait_for_selector("#name:focus")
            other.keyboard.type("anna")
            other.keyboard.press("Enter")
            other.wait_for_selector("#resume:focus")
            assert other.locator("#taken-text").text_content() == "Anna has given 1 of 4 votes. Is that you?"
            other.keyboard.press("Enter")
            other.wait_for_selector("#go:focus")
            other.keyboard.press("Space")
            assert wait_for_answer(other)
            answer(other, "left")
        answer(page, "left")  # for a trial that is over: the page goes on to the next
        assert wait_for_answer(page)
        assert progress(page) == "3 of 4"
    assert len(votes(served)) == 2


@pytest.mark.thorough
def test_real_or_fake_shows_one_after_the_other_and_again_what_was_hidden(context: Any, tmp_path: Path) -> None:
    hide = """(is) => { Object.defineProperty(document, 'hidden', { value: is, configurable: true });
      document.dispatchEvent(new Event('visibilitychange')); }"""
    is_shown = "(id) => !document.getElementById(id).classList.contains('blank')"
    folders = flat_folders(tmp_path, {"fake": 60, "real": 160}, items=4)
    with serving_vote(folders, tmp_path / "v.jsonl", is_real=True, trials=4, seconds=0.5) as served:
        with vote_page(context, served.link()) as page:
            begin(page, "Anna")
            page.wait_for_function(is_shown, arg="left", polling=20)
            page.evaluate(hide, True)
            page.wait_for_selector("#go:focus")
            page.evaluate(hide, False)
            page.keyboard.press("Space")
            for side, name in enumerate(("left", "right")):
                page.wait_for_function(is_shown, arg=name, polling=20)
                levels = page.evaluate(LEVELS)
                assert levels[1 - side] is None
                page.keyboard.press("ArrowLeft")  # too soon: it is not taken
            assert wait_for_answer(page)
            assert page.evaluate(LEVELS) == [None, None]
            page.keyboard.press("ArrowLeft")
            was = "Right, that one was real." if levels[1] < 100 else "No, the other one was real."
            page.wait_for_function("(was) => document.getElementById('cue').textContent === was", arg=was, polling=20)
            for _ in range(7):
                assert wait_for_answer(page)
                answer(page, "right")
            page.wait_for_selector("#done:not([hidden])")
        given = served.log.votes["Anna"]
    assert [vote.is_practice for vote in given] == [True] * 4 + [False] * 4
    assert all(vote.exposure_s is not None and vote.exposure_s >= 0.48 for vote in given)


@pytest.mark.thorough
def test_a_server_that_ended_is_waited_for_and_no_vote_is_lost(context: Any, tmp_path: Path) -> None:
    folders, log = flat_folders(tmp_path, BRIGHT, items=4), tmp_path / "v.jsonl"
    with serving_vote(folders, log, trials=4) as served:
        port = served.server.port
        page_of = vote_page(context, served.link(), is_calm=False)
        page = page_of.__enter__()
        begin(page, "Anna")
        assert wait_for_answer(page)
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("#problem:not([hidden])")
    assert "tries again" in page.locator("#problem").text_content()
    with serving_vote(folders, log, trials=4, port=port) as served:
        page.wait_for_selector("#problem", state="hidden")
        assert wait_for_answer(page)
        answer(page, "left")
        page_of.__exit__(None, None, None)
        assert len(votes(served)) >= 1


def test_clips_play_in_step_and_stand_still_for_whoever_wants_no_motion(browser: Any, tmp_path: Path) -> None:
    clips = [write_clip(tmp_path / f"{name}.mp4", moving_frames(30, (96, 64))) for name in "ab"]
    frame = "() => ['left', 'right'].map((id) => document.getElementById(id).toDataURL())"
    with serving_vote(clips, tmp_path / "v.jsonl", trials=1, repeats=0.0, seconds=0.4) as served:
        for motion in ("no-preference", "reduce"):
            context = browser.new_context(reduced_motion=motion)
            with vote_page(context, served.link()) as page:
                begin(page, motion)
                assert wait_for_answer(page)
                seen: set[str] = set()
                for turn in range(400):  # a busy machine may miss what is played once
                    left, right = page.evaluate(frame)
                    assert left == right
                    seen.add(left)
                    if len(seen) > 2:
                        break
                    page.wait_for_timeout(20)
                    if motion == "reduce" and turn % 25 == 24:
                        page.locator("#again").click()
                assert len(seen) > 2
                page.wait_for_timeout(500 if motion == "reduce" else 0)
                assert page.locator("#again").is_visible() == (motion == "reduce")
                later = {page.evaluate(frame)[0] for _ in range(4) if page.wait_for_timeout(70) is None}
                assert (len(later) > 1) == (motion == "no-preference")
            context.close()
