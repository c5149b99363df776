"""The site as a browser shows it: nothing is clipped, no link is dead, and it can be read and used by everybody."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from built_site import build_site, pages_of
from chromium import chromium
from page_checks import CLIPPED, CONTRAST, FOCUS, KEYBOARD, PICTURES, STRUCTURE, TARGETS
from site_checks import dead_links, ends, moving, name_of, unnamed

SCRIPTS = (CLIPPED, CONTRAST, STRUCTURE, TARGETS, KEYBOARD)
# One page of each kind is looked at in every run of the tests; with EVERY_PAGE=1 (nox -s docs) all, in both palettes.
EVERY = os.environ.get("EVERY_PAGE") == "1"
KINDS = (".", "install", "troubleshooting", "faq", "glossary", "coming-from", "guides/rendering", "guides/notebooks")
KINDS += ("guides/live/controls", "reference/settings", "tutorials/first-look", "extend/pairing", "architecture")
VIEWS = [
    (390, "dark"),
    pytest.param(1280, "light", marks=pytest.mark.thorough),
    *([(1280, "dark"), (390, "light")] if EVERY else []),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


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
def test_nothing_moves_for_readers_who_ask_for_that(browser: Any, site: Path) -> None:
    still = found(browser, site, (PICTURES,), reduced_motion="reduce")
    assert {name: files for name, urls in still.items() if (files := moving(urls))} == {}
    usual = found(browser, site, (PICTURES,))
    assert moving(usual["."])  # the home page, else


@pytest.mark.thorough
def test_the_keyboard_goes_through_a_page_in_its_order(browser: Any, site: Path) -> None:
    page = browser.new_context().new_page()
    page.goto((site / "guides/rendering/index.html").as_uri())
    stops = []
    for _ in range(200):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(FOCUS))
    page.context.close()
    assert stops[0]["href"].startswith("#")  # to the text, past the contents
    [seen] = {stop["ring"] for stop in stops if stop["tag"] == "A" and stop["wide"]}
    assert seen
    assert {"Home", "Guides"} <= {stop["text"] for stop in stops}
    assert any(re.match("Next", stop["text"]) for stop in stops)


@pytest.mark.thorough
def test_a_page_loads_nothing_from_other_hosts(browser: Any, site: Path) -> None:
    page, asked = browser.new_context().new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    for name in (".", "guides/live", "reference/commands"):
        page.goto((site / name / "index.html").as_uri(), wait_until="networkidle")
    page.context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_no_link_of_the_built_site_is_dead(site: Path) -> None:
    assert dead_links(site) == []


def test_every_page_has_a_way_on(site: Path) -> None:
    assert ends(site) == []


def test_every_page_has_a_title_and_a_description_of_its_own(site: Path) -> None:
    assert unnamed(site) == []
