"""The site as a browser shows it: nothing is clipped, no link is dead, and it can be read and used by everybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from built_site import ROOT, build_site, pages_of
from chromium import chromium
from page_checks import CLIPPED, CONTRAST, FOCUS, STRUCTURE

MOST_WORDS = 1200


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


def faults(browser: Any, site: Path, scripts: tuple[str, ...], **options: Any) -> dict[str, list[str]]:
    """Run scripts on each page; return what they find, by page."""
    page = browser.new_context(**options).new_page()
    found = {}
    for path in pages_of(site):
        page.goto(path.as_uri())
        name = path.parent.relative_to(site).as_posix()
        found[name] = [fault for script in scripts for fault in page.evaluate(script)]
    page.context.close()
    return {name: said for name, said in found.items() if said}


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_nothing_is_clipped_and_all_can_read_and_name_what_is_there(
    browser: Any, site: Path, width: int, scheme: str
) -> None:
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    assert faults(browser, site, (CLIPPED, CONTRAST, STRUCTURE), **options) == {}


def test_a_page_can_be_used_with_the_keyboard(browser: Any, site: Path) -> None:
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


def test_a_page_loads_nothing_from_other_hosts(browser: Any, site: Path) -> None:
    page, asked = browser.new_context().new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    for name in (".", "guides/live", "reference/commands"):
        page.goto((site / name / "index.html").as_uri(), wait_until="networkidle")
    page.context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_no_link_of_the_built_site_is_dead(site: Path) -> None:
    dead = []
    for page in pages_of(site):
        text = page.read_text(encoding="utf-8")
        for link in re.findall(r'(?:href|src|srcset)="?([^"\s>]+)', text):
            parts = urlsplit(link)
            if parts.scheme or not (parts.path or parts.fragment):
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            known = target.exists() and (
                not parts.fragment
                or parts.fragment.startswith("__")  # of the theme
                or f'id="{unquote(parts.fragment)}"' in target.read_text(encoding="utf-8")
            )
            if not known:
                dead.append((page.parent.relative_to(site).as_posix(), link))
    assert dead == []


def test_every_page_has_a_way_on(site: Path) -> None:
    ends = [
        p.parent.relative_to(site).as_posix() for p in pages_of(site) if "md-footer__link" not in p.read_text("utf-8")
    ]
    assert ends == []


def test_every_guide_is_short_and_has_a_picture() -> None:
    guides = sorted((ROOT / "docs/guides").rglob("*.md"))
    assert len(guides) > 30
    texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in guides}
    prose = {name: re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE) for name, text in texts.items()}
    assert {name: n for name, text in prose.items() if (n := len(text.split())) > MOST_WORDS} == {}
    assert [name for name, text in prose.items() if "![" not in text] == []


def test_comments_stand_above_the_commands() -> None:
    beside = []
    for path in sorted((ROOT / "docs").rglob("*.md")):
        for block in re.findall(r"^```(?:sh|toml)\n(.*?)^```", path.read_text("utf-8"), re.DOTALL | re.MULTILINE):
            beside += [(path.name, line) for line in block.splitlines() if re.search(r"\S\s+# ", line)]
    assert beside == []
