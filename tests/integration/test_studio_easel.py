"""The easel in a real browser: layers, a history on disk, onion skins, own programs, and paint in motion."""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import moving_frames, write_clip
from live_page import page_at
from processes import until
from studio_server import RunningStudio, studio

from vidtrans.core.system import MACOS, WINDOWS
from vidtrans.studio.easel_store import EaselStore
from vidtrans.video.images.picture import read_picture, write_picture

EASEL = "document.querySelector('studio-easel')"
RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", moving_frames(12))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudio]:
    folder = tmp_path_factory.mktemp("studio") / "project"
    folder.mkdir()
    with studio(folder) as server:
        yield server


@pytest.fixture
def name(request: pytest.FixtureRequest, running: RunningStudio, clip: Path) -> str:
    """A clip of the test's own in the project."""
    own = f"{request.node.name[5:25]}.mp4"
    shutil.copy(clip, running.root / own)
    return own


@contextmanager
def easel_at(browser: Any, running: RunningStudio, name: str, frame: int = 1, *, is_calm: bool = True) -> Iterator[Any]:
    with page_at(browser, running.link(), camera=False, is_calm=is_calm) as page:
        page.wait_for_selector(".wish")
        show(page, name, frame)
        page.locator("studio-easel").get_by_label("size", exact=True).fill("10")
        page.locator("studio-easel").get_by_label("hardness").fill("1")
        yield page


def show(page: Any, name: str, frame: int) -> None:
    """Open a frame on the easel, and wait until it is there."""
    page.evaluate("([name, frame]) => window.studio.tell('paint', { name, frame })", [name, frame])
    page.wait_for_function(f"(text) => {EASEL}.heading.textContent === text", arg=f"{name}, frame {frame}")


def again(page: Any, name: str, frame: int = 1) -> None:
    """Load the page again, and open the frame."""
    page.reload()
    page.wait_for_selector(".wish")
    show(page, name, frame)


def stroke(page: Any, start: tuple[float, float], end: tuple[float, float], colour: tuple[int, ...] = RED) -> None:
    """Draw, from and to places in shares of the frame."""
    page.locator("studio-easel").get_by_label("Colour", exact=True).fill("#" + bytes(colour).hex())
    box = page.locator("studio-easel .sheet canvas").first.bounding_box()
    page.mouse.move(box["x"] + start[0] * box["width"], box["y"] + start[1] * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + end[0] * box["width"], box["y"] + end[1] * box["height"], steps=6)
    page.mouse.up()


def seen(page: Any) -> np.ndarray:
    """Return the picture that the easel shows, (H, W, 4) uint8."""
    data = page.evaluate(
        f"() => {{ const c = {EASEL}.paint; return [c.width, c.height, "
        "[...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]; }"
    )
    return np.array(data[2], np.uint8).reshape(data[1], data[0], 4)


def stored(page: Any) -> None:
    """Wait until all that was painted is on the disk."""
    page.wait_for_function(f"() => !{EASEL}.history.isPending && !{EASEL}.history.isBusy")


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)
        stored(page)


def saved(page: Any) -> None:
    page.keyboard.press("Control+s")
    page.wait_for_function(f"() => !{EASEL}.isChanged && !{EASEL}.history.isSaving")


def painted_file(running: RunningStudio, name: str, frame: int = 1) -> Path:
    return running.root / f"{Path(name).stem}.keyframes" / f"{frame:06d}.png"


def source_of(running: RunningStudio, name: str, number: int = 1) -> np.ndarray:
    place = running.root.parent / "frame.png"
    place.write_bytes(running.ask("/frame", name=name, frame=number, kind="png")[1])
    return read_picture(place)


def test_a_frame_is_painted_corrected_and_saved(browser: Any, running: RunningStudio, name: str) -> None:
    with easel_at(browser, running, name) as page:
        stroke(page, (0.2, 0.5), (0.8, 0.5))
        stroke(page, (0.5, 0.1), (0.5, 0.2))
        press(page, "Control+z")  # the second stroke
        page.keyboard.press("e")
        stroke(page, (0.8, 0.5), (0.9, 0.5))
        saved(page)
        picture, source = read_picture(painted_file(running, name)), source_of(running, name)
        assert picture.shape == (48, 64, 3)
        assert tuple(picture[24, 20]) == RED
        assert tuple(picture[7, 32]) == tuple(source[7, 32])
        assert np.abs(picture[24, 56].astype(int) - source[24, 56]).max() <= 1
        easel = page.locator("studio-easel")
        easel.get_by_label("Frame", exact=True).fill("5")
        page.keyboard.press("Enter")
        until(lambda: np.array_equal(seen(page)[..., :3], source_of(running, name, 5)))
        easel.get_by_role("button", name="1", exact=True).click()  # what was painted is there again
        until(lambda: np.array_equal(seen(page)[..., :3], picture))


@pytest.mark.thorough
def test_strokes_and_their_undo_outlive_the_page_and_the_server(browser: Any, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    shutil.copy(clip, tmp_path / "project" / "a.mp4")
    with studio(tmp_path / "project") as first, easel_at(browser, first, "a.mp4") as page:
        before = seen(page)
        stroke(page, (0.2, 0.3), (0.8, 0.3))
        stored(page)
        one = seen(page)
        stroke(page, (0.2, 0.7), (0.8, 0.7), BLUE)
        stroke(page, (0.5, 0.1), (0.5, 0.9), BLUE)
        press(page, "Control+z")
        two = seen(page)
        again(page, "a.mp4")  # without saving
        assert np.array_equal(seen(page), two)
        assert page.evaluate(f"() => {EASEL}.isChanged")
        assert not painted_file(first, "a.mp4").exists()
        saved(page)
    with studio(tmp_path / "project") as second, easel_at(browser, second, "a.mp4") as page:
        assert np.array_equal(seen(page), two)
        assert not page.evaluate(f"() => {EASEL}.isChanged")
        press(page, "Control+y")
        assert tuple(seen(page)[5, 32, :3]) == BLUE
        for expected in (two, one, before, before):  # one more than there is
            press(page, "Control+z")
            assert np.array_equal(seen(page), expected)


@pytest.mark.thorough
def test_a_purpose_is_shown_at_once_and_no_paint_gets_into_the_folder_of_another(
    browser: Any, running: RunningStudio, name: str
) -> None:
    with easel_at(browser, running, name) as page:
        purpose, panel = page.get_by_label("What it is for"), page.locator("easel-layers")
        go = page.locator("studio-easel button.first")
        purpose.select_option("quick")
        panel.get_by_label("New layer").click()
        assert go.text_content() == "Make the clip"
        assert page.evaluate(f"() => {EASEL}.stack.layers.length") == 2
        saved(page)
        waiting: list[Any] = []
        page.route("**/api/folder*", lambda route: route.continue_() if waiting else waiting.append(route))
        purpose.select_option("fix")
        assert page.evaluate(f"() => {EASEL}.work.inert")  # no layer, no stroke and no button until the sheet is there
        page.keyboard.press("n")
        while not waiting:
            page.wait_for_timeout(20)
        waiting[0].continue_()
        page.wait_for_function(f"() => {EASEL}.file.includes('.corrections/')")
        assert go.text_content() == "Correct the result"
        assert page.evaluate(f"() => {EASEL}.stack.layers.length") == 1
        stroke(page, (0.2, 0.5), (0.8, 0.5))
        stored(page)
        saved(page)
        assert (running.root / f"{Path(name).stem}.corrections" / "000001.png").is_file()


@pytest.mark.thorough
def test_a_stroke_that_could_not_be_stored_is_sent_again(browser: Any, running: RunningStudio, name: str) -> None:
    with easel_at(browser, running, name, is_calm=False) as page:
        page.route("**/api/easel/change*", lambda route: route.abort(), times=1)
        stroke(page, (0.2, 0.5), (0.8, 0.5))
        page.wait_for_selector("#problem:not([hidden])")
        assert "sent again" in page.inner_text("#problem")
        stored(page)
    assert EaselStore(running.session.folder, lambda path: {}).table(
        f"{Path(name).stem}.keyframes/000001.png"
    )["sheet"]["position"] == 1  # fmt: skip


@pytest.mark.thorough
def test_layers_are_flattened_to_the_pixels_that_are_seen_and_come_back(
    browser: Any, running: RunningStudio, name: str
) -> None:
    with easel_at(browser, running, name) as page:
        source = seen(page)
        panel = page.locator("easel-layers")
        press(page, "n")
        stroke(page, (0.2, 0.5), (0.8, 0.5))
        panel.get_by_label("Opacity of the layer").fill("0.5")
        press(page, "n")
        stroke(page, (0.5, 0.1), (0.5, 0.9), BLUE)
        stored(page)
        saved(page)
        both = seen(page)
        assert np.array_equal(read_picture(painted_file(running, name)), both[..., :3])
        half = (source[24, 20, :3].astype(float) + RED) / 2
        assert np.abs(both[24, 20, :3] - half).max() <= 1
        assert tuple(both[24, 32, :3]) == BLUE
        panel.get_by_label("Show Layer 2").uncheck()
        stored(page)
        saved(page)
        assert np.array_equal(read_picture(painted_file(running, name)), seen(page)[..., :3])
        assert np.array_equal(seen(page)[5, 32], source[5, 32])
        again(page, name)
        layers = page.evaluate(f"() => {EASEL}.stack.layers.map((one) => [one.name, one.visible, one.opacity])")
        assert layers == [["The frame", True, 1], ["Layer 1", True, 0.5], ["Layer 2", False, 1]]
        panel.get_by_label("Show Layer 2").check()
        assert np.array_equal(seen(page), both)


@pytest.mark.thorough
@pytest.mark.skipif(WINDOWS or MACOS, reason="the program that opens files is xdg-open")
def test_what_an_own_program_saves_is_taken_back_and_nothing_is_lost(
    browser: Any, running: RunningStudio, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "xdg-open"
    program.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":7")
    file = painted_file(running, name)
    with easel_at(browser, running, name, is_calm=False) as page:  # the last request is refused
        press(page, "n")
        stroke(page, (0.2, 0.5), (0.8, 0.5))
        page.get_by_role("button", name="Open in my program").click()
        until(lambda: (tmp_path / "opened").exists() and (tmp_path / "opened").read_text().strip() == str(file))
        stroke(page, (0.2, 0.2), (0.8, 0.2), BLUE)  # not saved when the program writes
        stored(page)
        mine = seen(page)
        theirs = np.full((48, 64, 3), (7, 77, 177), np.uint8)
        write_picture(file, theirs)
        until(lambda: np.array_equal(seen(page)[..., :3], theirs))
        until(lambda: "Undo brings back your layers" in page.inner_text("#news"))
        page.wait_for_function(f"() => !{EASEL}.isChanged")
        assert np.array_equal(read_picture(file), theirs)
        press(page, "Control+z")
        assert np.array_equal(seen(page), mine)
        program.unlink()
        monkeypatch.setenv("PATH", str(tmp_path))
        page.get_by_role("button", name="Open in my program").click()
        page.wait_for_selector("#problem:not([hidden])")
        assert "the program xdg-open is not installed" in page.inner_text("#problem")


def test_only_a_page_of_this_machine_starts_programs(running: RunningStudio, name: str) -> None:
    for path, file in (("/api/easel/open", f"{Path(name).stem}.keyframes/000001.png"), ("/api/reveal", name)):
        headers = {"content-type": "application/json", "x-forwarded-for": "192.0.2.7"}  # as a proxy here passes it on
        body = json.dumps({"name": file}).encode()
        status, answer = running.send(urllib.request.Request(running.link(path), body, headers))
        assert (status, "only for a page on the same machine" in answer["error"]) == (400, True)
    for header in ("x-forwarded-for", "forwarded", "via", "x-real-ip"):
        for client in ("127.0.0.1", ""):
            request = urllib.request.Request(running.link("/easel/here"), headers={header: client})
            assert running.send(request) == (200, {"here": False})
    assert running.ask("/easel/here") == (200, {"here": True})
