"""The site as a browser shows it: nothing is clipped, no link is dead, and it can be read and used by everybody."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from built_site import build_site, pages_of
from chromium import chromium
from page_checks import CLIPPED, CONTRAST, KEYBOARD, STRUCTURE, TARGETS
from site_checks import dead_links, ends, name_of, unnamed

SCRIPTS = (CLIPPED, CONTRAST, STRUCTURE, TARGETS, KEYBOARD)
# One page of each kind is looked at by the thorough tests; with EVERY_PAGE=1 (nox -s docs) all, in both palettes.
EVERY = os.environ.get("EVERY_PAGE") == "1"
KINDS = (".", "install", "troubleshooting", "faq", "glossary", "coming-from", "guides/rendering", "guides/notebooks")
KINDS += ("guides/live/controls", "reference/settings", "tutorials/first-look", "extend/pairing", "architecture")
SEEN = [(390, "dark"), (1280, "light"), *([(1280, "dark"), (390, "light")] if EVERY else [])]
# What people type into the search, and the page that answers it.
ANSWERS = {
    "how do I remove flicker": "guides/steadiness",
    "use my GPU": "guides/use-a-gpu",
    "clear the cache": "guides/cache",
    "uninstall": "guides/update",
    "update": "guides/update",
    "slow motion": "guides/time",
    "cut out a person": "guides/mattes",
    "render a folder of clips": "guides/folder-of-clips",
    "paint my own frames": "guides/keyframes",
    "live camera": "guides/live",
    "upscaler flicker": "guides/after-an-upscaler",
    "learn a colour grade": "guides/grades",
}
VIEWS = [pytest.param(*view, marks=[] if EVERY else [pytest.mark.thorough]) for view in SEEN]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files, and writes no line for each."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Serve the site: the search has a worker and an index, which a browser does not load from files."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def found(browser: Any, site: Path, scripts: tuple[str, ...], **options: Any) -> dict[str, list[str]]:
    """Run scripts on each page; return what they find, by page."""
    page = browser.new_context(**options).new_page()
    paths = [path for path in pages_of(site) if EVERY or name_of(site, path) in KINDS]
    assert len(paths) >= len(KINDS)
    results = {}
    for path in paths:
        page.goto(path.as_uri())
        results[name_of(site, path)] = [item for script in scripts for item in page.evaluate(script)]
    page.context.close()
    return {name: items for name, items in results.items() if items}


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_everybody_can_read_and_use_what_is_there(browser: Any, site: Path, width: int, scheme: str) -> None:
    assert found(browser, site, SCRIPTS, viewport={"width": width, "height": 900}, color_scheme=scheme) == {}


@pytest.mark.thorough
def test_a_page_loads_nothing_from_other_hosts(browser: Any, site: Path) -> None:
    page, asked = browser.new_context().new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    for name in (".", "guides/live", "reference/commands"):
        page.goto((site / name / "index.html").as_uri(), wait_until="networkidle")
    page.context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.thorough
def test_no_link_is_dead_and_every_page_has_a_way_on_a_title_and_a_description(site: Path) -> None:
    assert dead_links(site) == []
    assert ends(site) == []
    assert unnamed(site) == []


@pytest.mark.thorough
def test_the_search_shows_the_right_guide_among_its_first_five_results(browser: Any, address: str) -> None:
    page, wrong = browser.new_context().new_page(), {}
    page.goto(address)
    page.get_by_role("button", name="Search").first.click()
    box, results = page.get_by_role("combobox"), page.get_by_role("option")
    for words, answer in ANSWERS.items():
        box.fill("")
        results.first.wait_for(state="detached")
        box.fill(words)
        results.first.wait_for()
        links = [link.get_attribute("href") for link in results.all()[:5]]
        pages = [link.removeprefix(address).partition("#")[0].strip("/") for link in links]
        if answer not in pages:
            wrong[words] = pages
    page.context.close()
    assert wrong == {}
