"""The list of all files: a table for each room, of the first lines of docstrings."""

from __future__ import annotations

import ast

from generator import PACKAGE
from generator.markdown import NOTE, cell, code, table

ABOUT = """# Files

Every file of the package, room by room. [Architecture](../architecture.md) says what each room is for, and what to open
for what.

"""


def files_page() -> str:
    """Return the page."""
    return f"{NOTE}{ABOUT}{rooms()}".rstrip() + "\n"


def rooms() -> str:
    """Return a table for each room: its modules and the first line of each one's docstring."""
    text = ""
    for room in [*sorted(p for p in PACKAGE.iterdir() if (p / "__init__.py").is_file()), PACKAGE]:
        inside = room.glob("*.py") if room == PACKAGE else room.rglob("*.py")
        rows = []
        for path in sorted(inside):
            line = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]
            if path.name != "__init__.py" or (line and path.parent != room):
                rows.append([code(path.relative_to(PACKAGE).as_posix()), cell(line.replace("``", "`"))])
        about = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
        title = "Single files" if room == PACKAGE else f"vidtrans/{room.name}/"
        about = "" if room == PACKAGE else f"{about.split(chr(10))[0].replace('``', '`')}\n\n"
        text += f"## {title}\n\n{about if about.strip() else ''}" + table(["file", "what it does"], rows) + "\n"
    return text
