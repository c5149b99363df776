"""Do what the pages of ``docs/extend`` say, in a copy of the checkout: add the parts, use them, test them."""

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "extend"
BLOCK = r".*?\n\n```{}\n(.*?)```$"

# One process for all pages, as it takes longest to start: their commands, each page's in its folder, the reference, and
# the tests of their entries, without rewriting assertions, which takes ten seconds in a new tree. What went wrong with
# a page is its own: "error" is a traceback, "failed" are tests. Of a test with many cases of an entry, as of all that
# it can be trained with, a few are run: that the entry is in all of them is the registries' doing.
PROGRAM = '''
import contextlib, io, json, os, sys, traceback
from collections import Counter
from pathlib import Path
import pytest
MOST = 3
tree, pages = json.loads(Path("pages.json").read_text())
sys.path[:0] = [f"{tree}/tests/support", f"{tree}/docs"]
from documented import check_described
from vidtrans.cli.main import run
import generate

def use(page):
    exec(page["before"])
    for words in page["commands"]:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            status = run([*words, "--json"])
        assert status == 0, (words, said.getvalue())
        page["results"].append(check_described(tuple(words), json.loads(said.getvalue())))
    entry = page["entry"]
    assert f"| `{entry}` | " in generate.registries_page()

def keys(item, entry):
    """Where an entry is among the parameters of a case."""
    given = item.callspec.params if hasattr(item, "callspec") else {}
    named = [pair for k, v in given.items() for pair in (v.items() if isinstance(v, dict) else [(k, v)])]
    return [k for k, v in named if entry in str(v)] or [""]

class Tests:
    met = Counter()

    def of(self, nodeid):
        file, _, name = nodeid.partition("::")
        return [p for p in pages.values() if file in p["tests"] and p["entry"] in name]

    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if self.is_new(item)]

    def is_new(self, item):
        entries = [page["entry"] for page in self.of(item.nodeid)]
        met = {(entry, item.originalname, key) for entry in entries for key in keys(item, entry)}
        self.met.update(met)
        return any(self.met[place] <= MOST for place in met)

    def pytest_collectreport(self, report):
        for page in pages.values() if report.failed else ():
            page["failed"].append(f"{report.nodeid}: {report.longreprtext}")

    def pytest_runtest_logreport(self, report):
        for page in self.of(report.nodeid):
            if report.failed:
                page["failed"].append(f"{report.nodeid}: {report.longreprtext}")
            elif report.when == "call" and report.passed:
                page["passed"] += 1

folder = os.getcwd()
for name, page in pages.items():
    page.update(results=[], error="", passed=0, failed=[])
    os.chdir(name)
    try:
        use(page)
    except Exception:
        page["error"] = traceback.format_exc()
    os.chdir(folder)
os.chdir(tree)
files = sorted({file for page in pages.values() for file in page["tests"]})
pytest.main(["-n0", "-q", "-p", "no:cacheprovider", "--assert=plain", *files], plugins=[Tests()])
Path(folder, "pages.json").write_text(json.dumps(pages))
'''


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


def use(pages: Sequence[Page], tree: Path, before: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Run the pages' commands, each page's in the folder here of its name, and the tests that they name.

    ``before``: Python code that is run before a page's commands. Return by page what the commands report ("results"),
    the traceback of what failed ("error"), how many tests passed ("passed"), and which did not ("failed").
    """
    given = {
        p.name: {"entry": p.entry, "commands": p.commands, "tests": p.tests, "before": before.get(p.name, "")}
        for p in pages
    }
    Path("pages.json").write_text(json.dumps([str(tree), given]))
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, dict[str, Any]] = json.loads(Path("pages.json").read_text())
    return found
