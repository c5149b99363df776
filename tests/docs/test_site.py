"""The site as a browser shows it: nothing is clipped, no link is dead, and it can be read and used by everybody."""

from __future__ import annotations

import os
from collections.abc import Iterator
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
VIEWS = [pytest.param(*view, marks=[] if EVERY else [pytest.mark.thorough]) for view in SEEN]


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
