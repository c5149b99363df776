"""The faults of a built site that its files show: dead links, pages without a way on or a name."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from built_site import pages_of

LINK = re.compile(r'(?:href|src|srcset)="?([^"\s>]+)')
TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)
DESCRIPTION = re.compile(r'<meta name="description" content="(.*?)">', re.DOTALL)
SHORT, LONG = 40, 170  # characters of a description that lists of results show


def name_of(site: Path, page: Path) -> str:
    """Return the address of a page in its site."""
    return page.parent.relative_to(site).as_posix()


def dead_links(site: Path) -> list[tuple[str, str]]:
    """Return the links of the pages to files, and parts of files, that are not there."""
    pages = {page: page.read_text("utf-8") for page in pages_of(site)}
    return [(name_of(site, p), link) for p, text in pages.items() for link in LINK.findall(text) if _is_dead(p, link)]


def _is_dead(page: Path, link: str) -> bool:
    parts = urlsplit(link)
    if parts.scheme or not (parts.path or parts.fragment):
        return False
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    target = target / "index.html" if target.is_dir() else target
    if not target.exists() or not parts.fragment or parts.fragment.startswith("__"):  # of the theme
        return not target.exists()
    return f'id="{unquote(parts.fragment)}"' not in target.read_text("utf-8")


def ends(site: Path) -> list[str]:
    """Return the pages that lead to no other at their end."""
    return [name_of(site, page) for page in pages_of(site) if "md-footer__link" not in page.read_text("utf-8")]


def unnamed(site: Path) -> list[tuple[str, str]]:
    """Return the pages without a title and a description of their own, with what they have."""
    faults, known = [], set()
    for page in pages_of(site):
        text = page.read_text("utf-8")
        title, description = ("".join(pattern.findall(text)) for pattern in (TITLE, DESCRIPTION))
        for words in (title, description):
            if not words or words in known:
                faults.append((name_of(site, page), words))
            known.add(words)
        if not SHORT <= len(description) <= LONG:
            faults.append((name_of(site, page), f"{len(description)} characters: {description}"))
    return faults
