"""Sliders of the live page that move, by a sound that the browser hears; in a real browser with a made microphone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from chromium import chromium
from live_page import page_at
from live_server import Running, serving
from made_music import song

pytestmark = pytest.mark.usefixtures("one_thread")
MARK = """() => Number(document.querySelector('.way:has(#control-strength) .mark').style.getPropertyValue('--at'))"""
SLOW_CAMERA = """const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wish) => {
  await new Promise((begin) => { window.beginCamera = begin; });
  return real(wish);
};
const later = setTimeout;  // on a slow machine, ten seconds are soon over
window.setTimeout = (act, ms, ...rest) => later(act, ms === 10000 ? 1e9 : ms, ...rest);"""
MOVED = f"(from) => Math.abs(({MARK})() - from) > 0.02"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    music = song(120, 12, seed=70).write(tmp_path_factory.mktemp("music") / "song.wav")
    with chromium("--use-fake-ui-for-media-stream", f"--use-file-for-fake-audio-capture={music}") as opened:
        yield opened


@pytest.fixture
def running() -> Iterator[Running]:
    with serving() as server:
        yield server


def curve(running: Running, name: str = "strength") -> str:
    return running.hub.state.curve_texts().get(name, "")


def choose(page: Any, start: str) -> None:
    page.get_by_role("button", name="Let a curve move Strength").click()
    page.select_option("[aria-label='How Strength moves: start with']", start)


def test_a_microphone_moves_a_slider_until_a_hand_takes_over(browser: Any, running: Running) -> None:
    with page_at(browser, running.link(), microphone=True) as page:
        page.click("[data-source=camera]")
        choose(page, "with the bass")
        running.until(lambda: curve(running) == "follow(low, 0.2)")
        page.wait_for_selector(".moving #control-strength")
        assert page.evaluate(MARK) == 0
        page.click("[data-sound=microphone]")
        page.wait_for_function(MOVED, arg=0)
        place = page.evaluate(MARK)
        page.wait_for_function(MOVED, arg=place)
        page.locator("#control-strength").fill("250")
        running.until(lambda: not curve(running) and running.hub.state.controls.strength == 0.5)
        page.wait_for_selector(".control:not(.moving) #control-strength")


@pytest.mark.thorough
def test_another_page_takes_over_the_sound(browser: Any, running: Running) -> None:
    with (
        page_at(browser, running.link(), microphone=True) as page,
        page_at(browser, running.link(), microphone=True) as other,
    ):
        page.click("[data-sound=microphone]")
        page.wait_for_function("() => document.getElementById('sound-level').value > 0.02")
        other.click("[data-sound=microphone]")
        page.wait_for_selector("[data-sound=microphone][aria-pressed=false]")
        assert "Another page" in page.inner_text("#news")
        other.click("[data-sound=microphone]")
        running.until(lambda: running.hub.sound.holder == 0)
        assert other.evaluate("vidtrans.sound.context") is None


@pytest.mark.thorough
def test_curves_are_written_by_keyboard_refused_in_a_line_and_stopped(browser: Any, running: Running) -> None:
    with page_at(browser, running.link(), script=SLOW_CAMERA) as page:
        page.click("[data-source=camera]")
        page.focus("#control-strength")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.keyboard.type("1 + lwo")
        page.keyboard.press("Enter")
        page.wait_for_function("() => document.getElementById('problem').textContent.includes(\"did you mean 'low'\")")
        page.evaluate("window.beginCamera()")
        running.until(lambda: running.hub.source == "camera")
        assert "did you mean 'low'" in page.inner_text("#problem")  # the camera takes back problems of its own alone
        assert page.input_value("#moves-strength") == "1 + lwo"  # to correct it
        page.fill("#moves-strength", "1 + sin(3*t)")
        page.keyboard.press("Enter")
        running.until(lambda: curve(running) == "1 + sin(3*t)")
        page.wait_for_function(MOVED, arg=0.5)
        assert page.get_attribute("#control-strength", "aria-valuetext") == "moves: 1 + sin(3*t)"
        page.focus("#moves-strength")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        running.until(lambda: curve(running) == "")
        assert 0 <= running.hub.state.controls.strength <= 2
        page.fill("#moves-strength", "7")  # a number is where it stays
        page.keyboard.press("Enter")
        running.until(lambda: running.hub.state.controls.strength == 2)
