"""The checks of the site find what they are for: a page without faults passes, and each fault alone is found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import chromium
from page_checks import CLIPPED, CONTRAST, KEYBOARD, STRUCTURE, TARGETS
from site_checks import dead_links, ends, moving, unnamed

SCRIPTS = {"clipped": CLIPPED, "contrast": CONTRAST, "structure": STRUCTURE, "targets": TARGETS, "keyboard": KEYBOARD}
DESCRIPTION = "A page that is as it should be, which all checks of the site let pass."
GOOD = f"""<!doctype html><html lang="en"><head><title>A page</title><meta name="description" content="{DESCRIPTION}">
<style>
  body {{ margin: 8px; background: #fff; color: #222; }}
  pre {{ white-space: pre-wrap; overflow: auto; background: #f4f4f4; }}
  a:focus, button:focus {{ outline: 2px solid blue; }}
  button {{ min-width: 32px; min-height: 32px; margin: 8px; }}
</style></head><body>
<nav><a href="#text">Skip to the text</a></nav>
<article id="text"><h1>A page</h1>
<p>Some text with <a href="#text">a link</a>.</p><h2>A part</h2>
<pre><code>vidtrans stylize clip.mp4 <span>--look ink</span></code></pre>
<img src="data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7" alt="A picture">
<video controls aria-label="A film"></video>
<button>One</button><button>Two</button>
</article><a class="md-footer__link" href="#text">Next</a></body></html>"""
FAULTS = {  # what is changed, into what, and what is found
    "a line of code that is cut off": ("pre-wrap; overflow: auto", "pre; width: 90px; overflow: hidden", "px in 90"),
    "a picture wider than the screen": ("alt=", 'style="width: 2000px" alt=', "beyond the screen"),
    "a page that scrolls sideways": ("<nav>", '<nav style="width: 2000px">', "scrolls sideways"),
    "pale text": ("color: #222", "color: #999", r"2\.\d+ rgb\(153"),
    "a pale word in code": ("<span>", '<span style="color: #aaa">', r"2\.\d+ rgb\(170.*SPAN"),
    "no language": (' lang="en"', "", "no language"),
    "no title": ("<title>A page</title>", "", "no title"),
    "a picture without a text": (' alt="A picture"', "", "no text: data:"),
    "a film without a name": (' aria-label="A film"', "", "no text"),
    "a film without controls": ("<video controls", "<video", "no controls"),
    "two titles": ("<h2>A part</h2>", "<h1>A part</h1>", "not one h1"),
    "a level that is left out": ("<h2>A part</h2>", "<h3>A part</h3>", "h3 follows h1"),
    "a button without a name": (">One<", "><", "no name: <button"),
    "a name for two places": ("<pre>", '<pre id="x"></pre><pre id="x">', "twice: x"),
    "small buttons in a pile": ("min-height: 32px; margin: 8px", "height: 12px; margin: 0; display: block", "12 px: "),
    "a link that Tab leaves out": ('<a href="#text">a', '<a tabindex="-1" href="#text">a', "not reached: a link"),
    "a link out of its order": ('<a href="#text">a', '<a tabindex="3" href="#text">a', "out of order: a link"),
    "a focus that is not seen": ("2px solid blue", "none", "focus is not seen: a link"),
    "no way past the contents": ("Skip to the text</a>", "Skip</a>", "no way past"),
}


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with chromium() as browser:
        yield browser.new_context(viewport={"width": 390, "height": 800}).new_page()


def faults(page: Any, html: str) -> list[str]:
    page.set_content(html)
    return [fault for script in SCRIPTS.values() for fault in page.evaluate(script)]


def test_a_page_without_faults_passes(page: Any) -> None:
    assert faults(page, GOOD) == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(page: Any, name: str) -> None:
    before, after, message = FAULTS[name]
    assert before in GOOD
    html = GOOD.replace(before, after, 1)
    if name == "no way past the contents":
        html = html.replace('<nav><a href="#text">', '<nav><a href="other.html">')
    found = faults(page, html)
    assert any(re.search(message, fault) for fault in found), found


def test_faults_of_files_are_found(tmp_path: Path) -> None:
    for name, title in (("a", "One"), ("b", "Two")):
        (tmp_path / name).mkdir()
        text = GOOD.replace("A page</title>", f"{title}</title>").replace(DESCRIPTION, f"{DESCRIPTION} It is {title}.")
        (tmp_path / name / "index.html").write_text(text)
    assert (dead_links(tmp_path), ends(tmp_path), unnamed(tmp_path)) == ([], [], [])
    other = tmp_path / "b/index.html"
    whole = other.read_text()
    other.write_text(whole.replace('href="#text">a', 'href="../c/">a').replace('href="#text">Next', 'href="#no">Next'))
    assert dead_links(tmp_path) == [("b", "../c/"), ("b", "#no")]
    other.write_text(whole.replace("md-footer__link", "none"))
    assert ends(tmp_path) == ["b"]
    other.write_text(whole.replace("Two</title>", "One</title>"))
    assert unnamed(tmp_path) == [("b", "One")]
    other.write_text(re.sub('content=".*"', 'content="Short."', whole))
    assert unnamed(tmp_path) == [("b", "6 characters: Short.")]


def test_moving_pictures_are_told_from_still_ones(tmp_path: Path) -> None:
    frame = b"\x21\xf9\x04" + bytes(8)
    for name, content in (("still.gif", frame), ("moving.gif", 2 * frame), ("film.mp4", b""), ("photo.jpg", b"")):
        (tmp_path / name).write_bytes(content)
    moved = moving([path.as_uri() for path in sorted(tmp_path.iterdir())])
    assert moved == [(tmp_path / name).as_uri() for name in ("film.mp4", "moving.gif")]
