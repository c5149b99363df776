"""The live page in a browser: open it, and wait for what it shows."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from live_server import Running, pixels

WAIT_MS = 120_000
OUTPUT = "document.getElementById('output').toDataURL('image/png')"
SHOWS = "(want) => document.getElementById('connection')?.textContent === want"


@contextmanager
def page_at(
    browser: Any,
    link: str,
    *,
    width: int = 1280,
    camera: bool = True,
    microphone: bool = False,
    script: str = "",
    is_calm: bool = True,
    language: str = "en",
) -> Iterator[Any]:
    """Open a page; nothing may go wrong in it, and nothing be asked of other servers."""
    context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
    context.set_default_timeout(WAIT_MS)
    if camera or microphone:
        context.grant_permissions([*(["camera"] if camera else []), *(["microphone"] if microphone else [])])
    if script:
        context.add_init_script(script)
    page = context.new_page()
    problems: list[str] = []
    addresses: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.on("request", lambda request: addresses.append(request.url))
    page.goto(link)
    if "/output" not in link and language == "en":
        page.wait_for_function(SHOWS, arg="connected")
    try:
        yield page
    finally:
        context.close()
    origin = re.match(r"https?://[^/]+/", link)
    assert origin
    assert [a for a in addresses if not a.startswith((origin[0], "blob:", "data:"))] == []
    assert problems == [] or not is_calm, problems


def shown(page: Any) -> np.ndarray:
    """Return the picture on the output's canvas, (H, W, 3) uint8."""
    return pixels(base64.b64decode(page.evaluate(OUTPUT).partition(",")[2]))


def wait_until(page: Any, is_right: Callable[[np.ndarray], bool]) -> np.ndarray:
    """Wait until the output's picture is right, and return it."""
    for _ in range(WAIT_MS // 100):
        if is_right(picture := shown(page)):
            return picture
        page.wait_for_timeout(100)
    raise AssertionError("the output never came")


def settled(page: Any, running: Running, **controls: object) -> np.ndarray:
    """Wait until controls have arrived and nothing changes any more, and return the output's picture."""
    running.until(lambda: controls.items() <= vars(running.hub.state.controls).items())
    painted, last = -1, shown(page)
    while True:
        page.wait_for_timeout(250)
        picture = shown(page)
        is_changing = running.worker._stage is None or running.worker._stage.is_changing or running.worker._is_dirty
        if not is_changing and painted == running.worker.num_painted and np.array_equal(picture, last):
            return picture
        painted, last = running.worker.num_painted, picture
