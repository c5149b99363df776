"""Markdown of the generated pages.

The site's search ranks a section by its heading, and the earlier a word is there the higher. So headings of these pages
begin with what they are of ("JSON: matte", "vidtrans.matte"): the guide on mattes comes first.
"""

from __future__ import annotations

NOTE = "<!-- Written by docs/generate.py: change the code, not this page. -->\n\n"


def table(headings: list[str], rows: list[list[str]]) -> str:
    """Return a table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def code(text: str) -> str:
    """Return a text as code in a cell; '' of ''."""
    return "`" + " ".join(text.split()).replace("|", "\\|") + "`" if text else ""


def cell(text: str) -> str:
    """Return a text that may stand in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
