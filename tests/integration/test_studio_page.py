"""The studio's page in a real browser, as somebody works who never opens a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from clips import moving_frames, write_clip
from live_page import page_at
from page_checks import CONTRAST, STRUCTURE
from processes import until
from studio_server import RunningStudio, studio

from vidtrans.video.images.picture import write_picture

ROOMS = ("wishes", "viewer", "easel", "training", "live", "command")
VIEWER = "document.querySelector('studio-viewer')"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningStudio]:
    folder = tmp_path / "project"
    folder.mkdir()
    with studio(folder) as server:
        yield server


@contextmanager
def page_of(browser: Any, running: RunningStudio, *, is_calm: bool = True, language: str = "en") -> Iterator[Any]:
    with page_at(browser, running.link(lang=language), camera=False, is_calm=is_calm, language=language) as page:
        page.wait_for_selector(".wish")
        yield page


def add(running: RunningStudio, name: str, num_frames: int = 10) -> Path:
    return write_clip(running.root / name, moving_frames(num_frames), sound=True)


def ready(page: Any, layers: str = "a") -> None:
    page.wait_for_function(f"(layers) => [...layers].every((layer) => {VIEWER}[layer].facts)", arg=layers)


def test_a_dropped_clip_becomes_a_result_in_a_few_clicks(browser: Any, running: RunningStudio, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "my clip.mp4", moving_frames(4))
    with page_of(browser, running) as page:
        page.set_input_files("studio-shelf input[type=file]", str(clip))
        page.wait_for_selector("studio-shelf li[data-name='my clip.mp4']")
        page.click("[data-wish=flicker]")
        page.wait_for_function("() => document.querySelector('studio-wishes .line').textContent.startsWith('vidtrans')")
        line = page.text_content("studio-wishes .line")
        assert line.startswith("vidtrans deflicker 'my clip.mp4'")
        page.click("studio-wishes button[type=submit]")
        page.wait_for_selector("studio-viewer:not([hidden])")
        ready(page, "ab")
        assert page.get_attribute(".stage", "data-mode") == "wipe"
        assert page.inner_text("studio-viewer .line") == line
        assert "clip, " in page.inner_text("studio-shelf li[data-name='my clip.deflickered.mp4']")


def test_forms_offer_masks_that_need_no_file_and_take_others(browser: Any, running: RunningStudio) -> None:
    masks = ["person", "not person", "face", "not face", "key"]
    build = """async (command) => {
      window.form = document.createElement("command-form");
      document.body.append(window.form);
      await window.form.build(command);
      const { input } = window.form.fields.get("mask");
      input.dispatchEvent(new Event("focus"));
      const list = document.getElementById(input.getAttribute("list")) ?? input.parentElement.querySelector("select");
      return [...list.options].map((one) => one.value).filter(Boolean);
    }"""
    type_mask = """() => {
      window.form.fields.get("mask").input.value = "person - face";
      return window.form.values().mask;
    }"""
    with page_of(browser, running) as page:
        for command, read in (("deflicker", "person - face"), ("stylize", ["person - face"])):
            assert page.evaluate(build, command) == masks
            assert page.evaluate(type_mask) == read
        page.evaluate(build, "stylize")
        page.evaluate("""() => {
          const { input } = window.form.fields.get("mask"), picker = input.parentElement.querySelector("select");
          picker.value = "not person";
          picker.dispatchEvent(new Event("change"));
        }""")
        assert page.evaluate("() => window.form.values().mask") == ["not person"]


def test_the_page_speaks_the_readers_language(browser: Any, running: RunningStudio) -> None:
    add(running, "Make.mp4")
    with page_of(browser, running, language="de") as page:
        assert page.inner_text("#to-wishes") == "Erstellen"
        assert page.get_attribute("html", "lang") == "de"
        page.click("[data-wish=time]")
        page.wait_for_function("() => document.querySelector('studio-wishes .line').textContent.startsWith('vidtrans')")
        assert page.inner_text("label[for=question-clip]") == "Clip"
        assert page.inner_text(".go button[type=submit]") == "Erstellen"
        page.locator("studio-shelf .open").click()
        ready(page)
        until(lambda: page.inner_text("studio-viewer [role=status]").startswith("Frame 0 von 10"))
        assert page.inner_text("studio-shelf .name").replace("\n", "") == "Make.mp4"  # Names of files are kept


@pytest.mark.thorough
def test_the_viewer_steps_marks_and_compares(browser: Any, running: RunningStudio) -> None:
    add(running, "a.mp4")
    add(running, "b.mp4")
    with page_of(browser, running) as page:
        page.get_by_role("button", name="Open a.mp4").click()
        ready(page)
        page.locator("studio-timeline").focus()
        for key, frame in (("ArrowRight", 1), ("ArrowRight", 2), ("End", 9), ("ArrowLeft", 8), ("Home", 0)):
            page.keyboard.press(key)
            page.wait_for_function(f"(n) => {VIEWER}.frame === n", arg=frame)
        until(lambda: page.inner_text("studio-viewer [role=status]").startswith("frame 0 of 10, 0.00 s, 64×48"))
        page.keyboard.press("ArrowRight")
        page.keyboard.press("i")
        page.keyboard.press("End")
        page.keyboard.press("o")
        assert page.evaluate(f"() => {VIEWER}.range()") == {"start": 1, "end": 10}
        page.click("#to-command")
        page.fill("studio-command [id$=-stylize-look]", "oil")
        page.get_by_role("button", name="Only the range of the viewer").click()
        page.wait_for_function("() => document.querySelector('studio-command .line').textContent.includes('--start')")
        page.locator("studio-shelf li[data-name='b.mp4'] summary").click()
        page.get_by_role("button", name="Compare with what is open").last.click()
        ready(page, "ab")
        page.select_option("studio-viewer [aria-label=Comparison]", "difference")
        page.keyboard.press("Escape")
        page.locator("studio-timeline").focus()
        page.keyboard.press(" ")
        page.wait_for_function(f"() => !{VIEWER}.a.element.paused && {VIEWER}.frame > 2")
        page.keyboard.press(" ")
        apart = f"() => Math.abs({VIEWER}.a.element.currentTime - {VIEWER}.b.element.currentTime)"
        page.wait_for_function(f"() => {VIEWER}.a.element.paused")
        until(lambda: page.evaluate(apart) < 0.01)


def test_files_are_renamed_deleted_and_restored(browser: Any, running: RunningStudio) -> None:
    add(running, "a.mp4")
    with page_of(browser, running, is_calm=False) as page:  # a thumbnail may be asked for under the old name
        page.on("dialog", lambda dialog: dialog.accept("new/b.mp4"))
        page.locator("studio-shelf .menu summary").click()
        page.get_by_role("button", name="Rename").click()
        page.wait_for_selector("studio-shelf li[data-name='new/b.mp4']")
        page.locator("studio-shelf .menu summary").click()
        page.get_by_role("button", name="Move to the bin").click()
        page.wait_for_selector("studio-shelf li:not([data-name])")
        assert not (running.root / "new" / "b.mp4").exists()
        page.get_by_text("Bin (1)").click()
        page.get_by_role("button", name="Restore").click()
        page.wait_for_selector("studio-shelf li[data-name='new/b.mp4']")


@pytest.mark.thorough
def test_jobs_and_files_are_managed_and_a_second_page_follows(browser: Any, running: RunningStudio) -> None:
    add(running, "a.mp4", 200)
    # A thumbnail may be asked for under the old name.
    with page_of(browser, running, is_calm=False) as one, page_of(browser, running, is_calm=False) as other:
        one.click("#to-command")
        one.wait_for_selector("studio-command [id$=-stylize-video]")
        one.fill("studio-command [id$=-stylize-video]", "a.mp4")
        one.fill("studio-command [id$=-stylize-look]", "oil")
        one.get_by_role("button", name="Run", exact=True).click()
        for page in (one, other):
            page.click("#to-queue")
        other.wait_for_selector("li[data-state=running]")
        other.click("[data-action=pause]")
        one.wait_for_selector("li[data-state=paused]")
        one.click("[data-action=resume]")
        other.wait_for_selector("li[data-state=running]")
        one.click("[data-action=cancel]")
        other.wait_for_selector("li[data-state=cancelled]")
        other.click("[data-action=remove]")
        one.wait_for_selector("studio-queue .jobs li:not([data-state])")
        one.on("dialog", lambda dialog: dialog.accept("new/b.mp4"))
        one.locator("studio-shelf .menu summary").click()
        one.get_by_role("button", name="Rename").click()
        other.wait_for_selector("studio-shelf li[data-name='new/b.mp4']")
        one.locator("studio-shelf .menu summary").click()
        one.get_by_role("button", name="Move to the bin").click()
        other.wait_for_selector("studio-shelf li:not([data-name])")
        one.get_by_text("Bin (1)").click()
        one.get_by_role("button", name="Restore").click()
        other.wait_for_selector("studio-shelf li[data-name='new/b.mp4']")


@pytest.mark.thorough
def test_all_is_done_by_keyboard_has_a_name_and_fits_every_width(browser: Any, running: RunningStudio) -> None:
    add(running, "a.mp4")
    write_picture(running.root / "p.png", moving_frames(1)[0])
    with page_of(browser, running) as page:
        page.keyboard.press("Tab")
        for room in (*ROOMS[1:], ROOMS[0]):
            page.focus("#rooms [aria-selected=true]")
            page.keyboard.press("ArrowRight")
            assert page.is_visible(f"#{room}")
            assert page.evaluate("() => document.activeElement.id") == f"to-{room}"
        page.focus("[data-wish=grade]")
        page.keyboard.press("Enter")
        assert page.evaluate("() => document.activeElement.id") == "question-before"
        page.get_by_role("button", name="Open a.mp4").focus()
        page.keyboard.press("Enter")
        ready(page)
        for scheme in ("dark", "light"):
            page.evaluate("(name) => { document.documentElement.dataset.theme = name; }", scheme)
            for width in (390, 1280, 2560):
                page.set_viewport_size({"width": width, "height": 900})
                for room in ROOMS:
                    page.click(f"#to-{room}")
                    assert page.evaluate("document.documentElement.scrollWidth") <= width, (room, width)
                    if width == 1280:
                        faults = [
                            f for f in page.evaluate(STRUCTURE) if "not one h1" not in f and "no controls" not in f
                        ]
                        assert (faults, page.evaluate(CONTRAST)) == ([], []), (room, scheme)
