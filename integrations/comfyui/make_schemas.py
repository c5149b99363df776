"""Write nodes/schemas.json: what the nodes show of vidtrans' commands. With --check, only compare.

For the makers of the pack: run it where vidtrans is installed, whenever one of the options changes.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "nodes" / "schemas.json"
KEPT = ("type", "enum", "anyOf", "minimum", "exclusiveMinimum", "maximum", "default", "description", "format")


def offered() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return the table of the nodes' widgets, without importing ComfyUI."""
    tree = ast.parse((FILE.parent / "widgets.py").read_text(encoding="utf-8"))
    found = next(n for n in tree.body if isinstance(n, ast.AnnAssign) and ast.unparse(n.target) == "OFFERED")
    assert found.value is not None
    table: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = ast.literal_eval(found.value)
    return table


def current() -> str:
    """Return the content of the file for the vidtrans that is installed."""
    from vidtrans.commands.page_commands import PageCommands
    from vidtrans.strokes.media import medium_names

    commands = PageCommands(lambda text: None)
    tables: dict[str, Any] = {}
    for command, (shown, advanced) in offered().items():
        properties = commands.schema(command)["properties"]
        tables[command] = {
            name: {key: value for key, value in properties[name].items() if key in KEPT} for name in (*shown, *advanced)
        }
    return json.dumps({"commands": tables, "media": medium_names()}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    text = current()
    if "--check" in sys.argv:
        sys.exit(0 if FILE.read_text(encoding="utf-8") == text else f"{FILE}: it is out of date — run {__file__}")
    FILE.write_text(text, encoding="utf-8")
