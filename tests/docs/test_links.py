"""Every link in the documents leads somewhere, and the site's contents name every page."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("README.md")])
INCLUDE = '--8<-- "'


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as Python-Markdown makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower() for heading in headings]
    return {re.sub(r"[-\s]+", "-", heading) for heading in plain}


def links(page: Path) -> list[str]:
    """Return the links of a page, but for those to other sites."""
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"\]\((?!https://|mailto:)([^)\s]+)\)", prose)


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    broken = []
    for page, link in [(p, link) for p in PAGES for link in links(p)]:
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append((page.name, link))
    assert broken == []


def test_the_contents_of_the_site_name_every_page() -> None:
    named = set(re.findall(r":\s+([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert named == {p.relative_to(ROOT / "docs").as_posix() for p in PAGES if p.is_relative_to(ROOT / "docs")}


def test_what_pages_include_is_there() -> None:
    included = [re.findall(rf'{INCLUDE}(.+?)"', p.read_text(encoding="utf-8")) for p in PAGES]
    assert [name for names in included for name in names if not (ROOT / name).is_file()] == []
