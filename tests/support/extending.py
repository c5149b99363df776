"""Do what the pages of ``docs/extend`` say, in a process of its own: add the parts to their tables, and use them."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "extend"
BLOCK = r".*?\n\n```{}\n(.*?)```$"
TESTED = ("loss",)  # pages whose entry the contract tests are run for: that they take new ones is one way for all


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


class Additions:
    """While vidtrans is imported: modules that are only on pages are found, and tables have the lines of the pages."""

    def __init__(self, pages: Iterable[Page], folder: Path) -> None:
        self.modules: dict[str, Path] = {}
        self.sources: dict[str, str] = {}
        for page in pages:
            for path, code in page.files:
                assert not (ROOT / path).exists()
                file = folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(code, "utf-8")
                self.modules[".".join(Path(path).with_suffix("").parts)] = file
            table, path, line = page.line
            file = ROOT / path
            self.sources[str(file)] = with_line(self.sources.get(str(file), file.read_text("utf-8")), table, line)

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return spec_from_file_location(name, self.modules[name]) if name in self.modules else None

    def install(self) -> None:
        get_code = SourceFileLoader.get_code

        def changed(loader: SourceFileLoader, name: str) -> CodeType | None:
            file = loader.get_filename(name)
            if file not in self.sources:
                return get_code(loader, name)
            made: CodeType = compile(self.sources[file], file, "exec", dont_inherit=True)
            return made

        SourceFileLoader.get_code = changed  # type: ignore[method-assign, assignment]
        sys.meta_path.insert(0, self)  # type: ignore[arg-type]


def with_line(source: str, table: str, line: str) -> str:
    """Return the source of a module with a line at the end of a table."""
    lines = source.splitlines(keepends=True)
    [end] = [
        max(inner.end_lineno or 0 for inner in ast.walk(node) if isinstance(inner, ast.Dict))
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == table
    ]
    assert lines[end - 1].strip(" ,\n") == "}"
    depth = len(lines[end - 1]) - len(lines[end - 1].lstrip()) + 4
    return "".join([*lines[: end - 1], textwrap.indent(line, " " * depth), *lines[end - 1 :]])


def use(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Run the commands of pages, each page's in the folder here of its name, after the code in its ``before.py``.

    Return by page what the commands report ("results") and the traceback of what failed ("error").
    """
    command = [sys.executable, __file__, *names]
    paths = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, dict[str, Any]] = json.loads(Path("pages.json").read_text())
    return found


def _use_page(page: Page) -> list[dict[str, Any]]:
    from documented import check_described

    from vidtrans.cli.main import run

    results = []
    with contextlib.chdir(page.name):
        exec(Path("before.py").read_text(), {})
        for words in page.commands:
            with contextlib.redirect_stdout(io.StringIO()) as said:
                status = run([*words, "--json"])
            assert status == 0, (words, said.getvalue())
            results.append(check_described(tuple(words), json.loads(said.getvalue())))
    return results


def main() -> None:
    import pytest

    pages = [Page(name) for name in sys.argv[1:]]
    Additions(pages, Path("added").resolve()).install()
    sys.path.append(str(ROOT / "docs"))
    from generator.registry_pages import registries_page

    reference, made = registries_page(), {}
    for page in pages:
        made[page.name] = {"results": [], "error": ""}
        try:
            assert f"| `{page.entry}` | " in reference
            made[page.name]["results"] = _use_page(page)
        except Exception:
            made[page.name]["error"] = traceback.format_exc()
    for page in pages:
        if page.name in TESTED:
            files = [str(ROOT / file) for file in page.tests if file.startswith("tests/contracts/")][-1:]
            status = pytest.main(["-n0", "-q", "-p", "no:cacheprovider", "--assert=plain", "-k", page.entry, *files])
            made[page.name]["error"] += "" if status == 0 else f"its contract tests ended with {status!r}"
    Path("pages.json").write_text(json.dumps(made))


if __name__ == "__main__":
    main()
