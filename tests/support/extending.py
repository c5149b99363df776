"""Do what a page of ``docs/extend`` says, in a copy of the checkout: add the part, use it, test it."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "extend"
BLOCK = r".*?\n\n```{}\n(.*?)```$"

# One process for all, as it takes longest to start: the page's commands, the reference, the tests of the entry.
PROGRAM = """
import contextlib, io, json, os, sys
import pytest
tree, entry, commands, tests, before = json.loads(sys.argv[1])
sys.path[:0] = [f"{tree}/tests/support", f"{tree}/docs"]
from documented import check_described
from vidtrans.cli.main import run
exec(before)
results = []
for words in commands:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        status = run([*words, "--json"])
    assert status == 0, (words, said.getvalue())
    results.append(check_described(tuple(words), json.loads(said.getvalue())))
with open("results.json", "w") as file:
    json.dump(results, file)
import generate
assert f"| `{entry}` | " in generate.registries_page()
os.chdir(tree)
sys.exit(pytest.main(["-n0", "-q", "-p", "no:cacheprovider", "-k", entry, *tests]))
"""


@dataclass(frozen=True)
class Page:
    """A page of ``docs/extend`` that adds a part: one file, or none, and one line of a table."""

    name: str

    @cached_property
    def text(self) -> str:
        return (PAGES / f"{self.name}.md").read_text("utf-8")

    def _blocks(self, before: str, language: str) -> list[tuple[str, ...]]:
        return re.findall(before + BLOCK.format(language), self.text, re.DOTALL | re.MULTILINE)

    @property
    def files(self) -> list[tuple[str, ...]]:
        """The paths of the added files and their code."""
        return self._blocks(r"^`(vidtrans/\S+\.py)`:", "python")

    @property
    def line(self) -> tuple[str, ...]:
        """The name of the table, the file that it is in, and the line that is added."""
        [line] = self._blocks(r"^A line in the table `(\w+)` of `(vidtrans/\S+\.py)`", "python")
        return line

    @property
    def entry(self) -> str:
        """The name of the part."""
        return self.line[2].split('"')[1]

    @property
    def commands(self) -> list[list[str]]:
        """The commands that use the part, without ``vidtrans``."""
        lines = "".join(re.findall(r"^```sh\n(.*?)```$", self.text, re.DOTALL | re.MULTILINE)).splitlines()
        return [shlex.split(line)[1:] for line in lines if line.startswith("vidtrans ")]

    @property
    def tests(self) -> list[str]:
        """The files of tests that the page names."""
        return re.findall(r"`(tests/\S+\.py)`", self.text)


def copy_checkout(tree: Path) -> Path:
    """Copy what the package and its tests need to a new folder; return the folder."""
    for name in ("vidtrans", "presets", "docs", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("*.jpg", ".pytest_cache"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    return tree


def add(page: Page, tree: Path) -> None:
    """Write the page's file into the tree, and its line at the end of its table."""
    for path, code in page.files:
        assert not (tree / path).exists()
        (tree / path).write_text(code, "utf-8")
    table, path, line = page.line
    lines = (tree / path).read_text("utf-8").splitlines(keepends=True)
    [end] = [
        max(inner.end_lineno or 0 for inner in ast.walk(node) if isinstance(inner, ast.Dict))
        for node in ast.parse("".join(lines)).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == table
    ]
    assert lines[end - 1].strip(" ,\n") == "}"
    depth = len(lines[end - 1]) - len(lines[end - 1].lstrip()) + 4
    lines.insert(end - 1, textwrap.indent(line, " " * depth))
    (tree / path).write_text("".join(lines), "utf-8")


def use(page: Page, tree: Path, before: str = "") -> list[dict[str, Any]]:
    """Run the page's commands in this folder, and the tests that it names; return what the commands report.

    ``before``: Python code that is run before the commands.
    """
    given = json.dumps([str(tree), page.entry, page.commands, page.tests, before])
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, given], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results: list[dict[str, Any]] = json.loads(Path("results.json").read_text())
    return results
