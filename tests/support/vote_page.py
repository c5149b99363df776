"""The page of a vote in a browser: open it, see what it shows, and answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

WAIT_MS = 120_000
OPEN = "() => !document.getElementById('choose-left').disabled || !document.getElementById('done').hidden"
LEVELS = """() => ['left', 'right'].map((id) => { const c = document.getElementById(id);
  if (c.classList.contains('blank')) return null;
  return c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data[0]; })"""
SOON_MS = 350  # a key sooner than 300 ms after the pictures is one that was pressed twice


@contextmanager
def vote_page(context: Any, link: str, *, is_calm: bool = True) -> Iterator[Any]:
    """Open the page in a browser's context; nothing may go wrong in it, and nothing be asked of other servers."""
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    problems: list[str] = []
    addresses: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.on("request", lambda request: addresses.append(request.url))
    page.goto(link)
    yield page
    page.close()
    origin = link.partition("/?")[0]
    assert [a for a in addresses if not a.startswith((origin, "blob:", "data:"))] == []
    assert not is_calm or problems == []


def begin(page: Any, name: str) -> None:
    """Join by the keyboard alone, and begin."""
    page.wait_for_selector("#name:focus")
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    page.wait_for_selector("#go:focus")
    page.keyboard.press("Space")


def wait_for_answer(page: Any) -> bool:
    """Wait until the page takes an answer; return whether it does, rather than thank."""
    page.wait_for_function(OPEN)
    if page.locator("#done").is_visible():
        return False
    page.wait_for_timeout(SOON_MS)
    return True


def progress(page: Any) -> str:
    """Return what the page says of its progress."""
    return str(page.locator("#progress").text_content())


def answer(page: Any, side: str) -> None:
    """Answer by a key, and wait until the page has gone on."""
    before = progress(page)
    page.keyboard.press("ArrowLeft" if side == "left" else "ArrowRight")
    changed = """(before) => document.getElementById('progress').textContent !== before
      || document.getElementById('trial').hidden"""
    page.wait_for_function(changed, arg=before)
