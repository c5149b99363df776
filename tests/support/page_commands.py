"""What the pages of the documentation say to type: shell commands and Python, in the order of a page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^( *)```(sh|python)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)  # set in, within lists
LOOP = re.compile(r"^for .*?^done$", re.DOTALL | re.MULTILINE)
# Lines that only a shell understands: a loop, and variables that are set for one command.
FOR_A_SHELL = re.compile(r"for |eval |[A-Z_]+=")


def steps_of(text: str) -> list[list[str]]:
    """Return what a reader types: the words of each shell line, and each Python block as ``["python-block", code]``.

    Lines joined by ``&&`` are several. What only a shell understands is ``["bash", "-c", LINE]``.
    """
    steps: list[list[str]] = []
    for indent, language, block in BLOCK.findall(text):
        plain = re.sub(f"^{indent}", "", block, flags=re.MULTILINE)
        steps += [["python-block", plain]] if language == "python" else _lines_of(plain)
    return steps


def commands_of(text: str) -> list[list[str]]:
    """Return the words of each shell line, without the file that takes their output."""
    return [_unredirected(words) for words in steps_of(text) if words[0] != "python-block"]


def _unredirected(words: list[str]) -> list[str]:
    return words[: words.index(">")] if ">" in words else words


def _lines_of(block: str) -> list[list[str]]:
    loops: list[str] = LOOP.findall(block)
    lines = LOOP.sub("for \0", block).replace("\\\n", " ").splitlines()
    typed = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return [words for line in typed for words in _words_of(loops.pop(0) if line == "for \0" else line)]


def _words_of(line: str) -> list[list[str]]:
    if FOR_A_SHELL.match(line):
        return [["bash", "-c", line]]
    return [shlex.split(part, comments=True) for part in line.split(" && ")]


def pages() -> list[Path]:
    """Return the pages that say what to type, but for the reference, which is generated."""
    found = [path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "reference"]
    return sorted([*found, ROOT / "README.md", ROOT / "CONTRIBUTING.md"])


def name_of(page: Path) -> str:
    """Return the name of a page: its path below ``docs/``."""
    return page.relative_to(ROOT).as_posix().removeprefix("docs/")
