"""Write nodes/schemas.json: what the nodes show of vidtrans' commands. With --check, only compare.

For the makers of the pack: run it where vidtrans is installed, whenever one of the options changes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "nodes" / "schemas.json"
KEPT = ("type", "enum", "anyOf", "minimum", "exclusiveMinimum", "maximum", "default", "description", "format", "x-form")
NODES = (
    *("stylize", "deflicker", "keyframes", "propagate", "fix", "matte"),
    *("look", "grade", "make-dataset", "train", "dream", "evaluate"),
)


def current() -> str:
    """Return the content of the file for the vidtrans that is installed."""
    from vidtrans.commands.page_commands import PageCommands
    from vidtrans.strokes.media import medium_names

    commands = PageCommands(lambda text: None)
    tables: dict[str, Any] = {}
    for command in NODES:
        tables[command] = {
            name: {key: value for key, value in table.items() if key in KEPT}
            for name, table in commands.schema(command)["properties"].items()
            if "x-form" in table
        }
    return json.dumps({"commands": tables, "media": medium_names()}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    text = current()
    if "--check" in sys.argv:
        sys.exit(0 if FILE.read_text(encoding="utf-8") == text else f"{FILE}: it is out of date — run {__file__}")
    FILE.write_text(text, encoding="utf-8")
