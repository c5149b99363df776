"""A real browser, for tests of pages: the Chromium that is installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
REQUIRED = "REQUIRE_CHROMIUM"  # a variable: where it is set, a missing browser is a failure
MISSING = "no Chromium is installed: the tests of the live page are skipped (Debian: apt install chromium)"
FLAGS = ["--no-sandbox", "--use-fake-device-for-media-stream=fps=10", "--disable-gpu", "--mute-audio"]


def find_chromium() -> str:
    """Return the program; without one the test is skipped, or fails where ``REQUIRED`` is set."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None and os.environ.get(REQUIRED):
        pytest.fail("no Chromium is installed, and it is required here")
    if found is None:
        pytest.skip(MISSING)
    return found


@contextmanager
def chromium(*flags: str, camera: Path | None = None) -> Iterator[Any]:
    """Give a browser. Its camera shows a moving pattern, or the frames of a ``.y4m`` or ``.mjpeg`` file."""
    from playwright.sync_api import sync_playwright

    program = find_chromium()
    own = [f"--use-file-for-fake-video-capture={camera}"] if camera else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*FLAGS, *own, *flags])
        try:
            yield browser
        finally:
            browser.close()
