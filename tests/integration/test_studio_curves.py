"""Curves and flicker in the studio's page, in a real browser: drawn, moved by keys, and measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from clips import moving_frames, write_clip
from live_page import page_at
from page_checks import CONTRAST
from studio_server import RunningStudio, studio

EDITOR = "document.querySelector('curve-editor')"


@pytest.fixture
def page(browser: Any, running: RunningStudio) -> Iterator[Any]:
    with page_at(browser, running.link(), camera=False) as opened:
        opened.wait_for_selector(".wish")
        yield opened


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudio]:
    folder = tmp_path_factory.mktemp("project")
    write_clip(folder / "a.mp4", moving_frames(12), sound=True)
    with studio(folder) as server:
        yield server


def open_editor(page: Any) -> Any:
    page.click("#to-command")
    page.select_option("studio-command select", "stylize")
    page.locator("studio-command [id$=-stylize-video]").wait_for()
    page.fill("studio-command [id$=-stylize-video]", "a.mp4")
    page.fill("studio-command [id$=-stylize-look]", "pencil")
    page.locator("summary[aria-label='Draw strength over time']").click()
    page.wait_for_function(f"() => {EDITOR}?.values?.length === 12")
    return page.locator("curve-editor canvas")


def test_a_curve_is_drawn_with_the_pointer_and_stands_in_the_line(page: Any) -> None:
    canvas = open_editor(page)
    box = canvas.bounding_box()
    assert page.evaluate(f"() => {EDITOR}.values") == [1] * 12
    for x, y in ((8, 142), (box["width"] - 8, 8)):  # from nothing at the first frame to twice the look at the last
        canvas.click(position={"x": x, "y": y})
    field = page.locator("studio-command [id$=-stylize-strength]")
    page.wait_for_function(f"() => {EDITOR}.values?.at(-1) === 2")
    page.wait_for_function("() => document.querySelector('studio-command .line').textContent.includes('11: 2')")
    assert field.input_value().endswith("11: 2")


@pytest.mark.thorough
def test_a_curve_is_moved_by_keys_an_expression_is_drawn_and_a_slip_is_said(page: Any) -> None:
    canvas = open_editor(page)
    canvas.focus()
    for key in ("Home", "Enter", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowUp"):
        page.keyboard.press(key)
    field = page.locator("studio-command [id$=-stylize-strength]")
    assert field.input_value() == "0: 1, 11: 1.22"
    page.keyboard.press("Delete")
    assert field.input_value() == "0: 1"
    page.select_option("curve-editor [aria-label='Begin with']", "With the bass")
    assert field.input_value() == "follow(low, 0.3)"
    page.wait_for_function(f"() => {EDITOR}.values && Math.max(...{EDITOR}.values) <= 1 && {EDITOR}.points === null")
    field.fill("sn(t)")
    page.wait_for_function(f"() => {EDITOR}.where.textContent.includes(\"did you mean 'sin'\")")
    assert page.evaluate(CONTRAST) == []


@pytest.mark.thorough
def test_a_cut_is_marked_and_taken_by_a_command(page: Any, running: RunningStudio) -> None:
    page.get_by_role("button", name="Open a.mp4").click()
    page.wait_for_function("() => document.querySelector('studio-viewer').a.isProxy")
    page.locator("studio-timeline").focus()
    page.evaluate("() => document.querySelector('studio-viewer').go(3)")
    page.get_by_role("button", name="Begin a shot at this frame").click()
    page.wait_for_function("() => document.querySelector('studio-viewer').a.facts.shots.includes(3)")
    assert (running.root / "a.cuts.txt").read_text() == "0\n3\n"
    page.click("#to-command")
    page.fill("studio-command [id$=-stylize-look]", "pencil")
    page.get_by_role("button", name="The cuts of the viewer").click()
    page.wait_for_function(
        "() => document.querySelector('studio-command .line').textContent.includes('--cuts a.cuts.txt')"
    )
    for clip, cuts in (("../a.mp4", [1]), ("gone.mp4", [1]), ("a.mp4", [-1]), ("a.mp4", ["1"]), ("a.mp4", 3)):
        assert running.ask("/api/cuts", {"clip": clip, "cuts": cuts})[0] == 400
