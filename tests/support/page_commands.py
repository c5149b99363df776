"""The commands on the pages of the documentation: what a reader types."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def shell_lines(text: str) -> list[str]:
    """Return the lines of a page's shell blocks, without comments; a line that goes on with a backslash is one."""
    blocks = re.findall(r"^( *)```sh\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE)  # set in, within lists
    lines = "".join(block for _, block in blocks).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def commands_of(text: str) -> list[list[str]]:
    """Return the words of each line, those joined by ``&&`` one by one, without the file that takes their output."""
    words = [shlex.split(part, comments=True) for line in shell_lines(text) for part in line.split(" && ")]
    return [line[: line.index(">")] if ">" in line else line for line in words]


def pages() -> list[Path]:
    """Return the pages whose commands a reader types: not the reference, and not those of a contributor."""
    apart = ("reference", "extend")
    found = [path for path in (ROOT / "docs").rglob("*.md") if path.parent.name not in apart]
    return sorted(path for path in found if path.stem not in ("contributing", "changelog", "architecture", "faults"))
