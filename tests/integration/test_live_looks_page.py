"""The palette of looks in a real browser: pictures are chosen and dropped, and the stage changes to their looks."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import chromium
from live_page import page_at, settled, wait_until
from live_server import Running, serving
from style_pictures import write_style_pictures

from vidtrans.video.images.picture import resize

pytestmark = pytest.mark.usefixtures("one_thread")
DROP = """([name, type, text]) => { const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const carried = new DataTransfer(); carried.items.add(new File([bytes], name, { type }));
  const options = { dataTransfer: carried, bubbles: true, cancelable: true };
  const at = (kind) => document.body.dispatchEvent(new DragEvent(kind, options));
  at('dragover'); window.wasMarked = document.body.classList.contains('dropping'); at('drop'); }"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def running() -> Iterator[Running]:
    with serving() as server:
        yield server


def drop(page: Any, path: Path, kind: str = "image/png") -> None:
    """Drop a file on the page, as a person who drags it there from a folder."""
    page.evaluate(DROP, [path.name, kind, base64.b64encode(path.read_bytes()).decode()])


@pytest.mark.thorough
def test_pictures_are_chosen_and_dropped_and_the_camera_is_painted_in_their_looks(
    browser: Any, running: Running, tmp_path: Path
) -> None:
    stripes, chequers = write_style_pictures(tmp_path)
    with page_at(browser, running.link()) as page, page_at(browser, running.link()) as other:
        page.click("[data-source=camera]")
        wait_until(page, lambda p: p.std() > 10)
        page.click("#freeze")
        plain = settled(page, running, freeze=True)
        assert page.is_hidden("#control-strokes_size")
        page.select_option("#control-medium", "pencil")
        drawn = settled(page, running, medium="pencil").astype(int)
        assert np.abs(drawn - plain).mean() > 10
        page.fill("#control-strokes_size", "1000")  # the end of the slider
        assert np.abs(settled(page, running, strokes_size=4.0).astype(int) - drawn).mean() > 2
        page.select_option("#control-medium", "")
        page.set_input_files("#look-picture", stripes)
        page.wait_for_selector("[data-model=stripes][aria-pressed=true]")
        assert running.hub.state.controls.model == "stripes"
        assert page.evaluate("document.querySelector('[data-model=stripes] img').complete")
        assert page.is_visible("#control-fade")  # with a cross-fade
        one = settled(page, running, model="stripes").astype(int)
        assert np.abs(one - resize(plain, one.shape[1], one.shape[0])).mean() > 10
        drop(page, chequers)
        page.wait_for_selector("[data-model=chequers][aria-pressed=true]")
        assert page.evaluate("window.wasMarked && !document.body.classList.contains('dropping')")
        assert np.abs(settled(page, running, model="chequers").astype(int) - one).mean() > 10
        other.wait_for_selector("[data-model=chequers][aria-pressed=true] img")
        other.keyboard.press("2")  # by its key
        page.wait_for_selector("[data-model=stripes][aria-pressed=true]")
        assert page.locator("#problem").is_hidden()
        page.select_option("#control-second", "chequers")
        running.until(lambda: running.hub.state.controls.second == "chequers")
        other.click("[aria-label='Remove stripes']")
        page.wait_for_selector("[data-model=stripes]", state="detached")
        page.wait_for_selector("[data-model=identity][aria-pressed=true]")
        assert page.locator("[aria-label='Remove identity']").count() == 0
