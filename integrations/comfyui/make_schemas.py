"""Write nodes/schemas.json: what the nodes show of vidtrans' commands.

For the makers of the pack: run it where vidtrans is installed, whenever one of the options changes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "nodes" / "schemas.json"
KEPT = ("type", "enum", "anyOf", "minimum", "exclusiveMinimum", "maximum", "default", "description", "format", "x-form")
NODES = ("stylize", "deflicker", "keyframes", "propagate", "fix", "matte", "look", "grade", "make-dataset", "train")
NODES += ("dream", "retime", "evaluate")


def current() -> str:
    from vidtrans import medium_names, shipped_looks
    from vidtrans.commands.page_commands import PageCommands

    commands = PageCommands(lambda text: None)
    tables: dict[str, dict[str, Any]] = {command: {} for command in NODES}
    for command in NODES:
        for name, table in commands.schema(command)["properties"].items():
            if "x-form" in table:
                tables[command][name] = {key: value for key, value in table.items() if key in KEPT}
    return (
        json.dumps(
            {"commands": tables, "media": medium_names(), "looks": shipped_looks()}, indent=1, ensure_ascii=False
        )
        + "\n"
    )


if __name__ == "__main__":
    FILE.write_text(current(), encoding="utf-8")
