"""The reference of JSON keys."""

from __future__ import annotations

import tomllib
from typing import Any

from generator import DOCS
from generator.markdown import NOTE, cell, code, table


def json_keys() -> dict[str, Any]:
    """Return the descriptions of JSON keys: ``commands`` (groups of each) and ``groups`` (keys and their words)."""
    return tomllib.loads((DOCS / "json_keys.toml").read_text(encoding="utf-8"))


def json_page() -> str:
    """Return the page with every key that ``--json`` prints."""
    described = json_keys()
    text = f"{NOTE}# JSON\n\n{described['intro'].strip()}\n\n"
    text += table(
        ["command", "groups of keys"],
        [[code(c), ", ".join(f"[{g}](#json-{g})" for g in groups)] for c, groups in described["commands"].items()],
    )
    for name, group in described["groups"].items():
        rows = [[code(key), cell(words)] for key, words in group["keys"].items()]
        text += f"\n## JSON: {name}\n\n{group['about']}\n\n" + table(["key", "what it is"], rows)
    return text
