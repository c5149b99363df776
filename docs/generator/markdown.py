"""Markdown of the generated pages."""

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
