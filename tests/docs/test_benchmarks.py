"""The index of the benchmarks names every one that a person runs, and each can be imported as it is named."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("the benchmarks are not part of this distribution", allow_module_level=True)
FILES = sorted(path for path in BENCHMARKS.rglob("*.py") if path.name != "__init__.py")
CHILDREN = {
    "classic",
    "growth",
    "hand",
    "look",
    "make",
    "opponent_run",
    "peers",
    "pixels",
}  # processes that other benchmarks start
PROGRAMS = [p for p in FILES if "__main__" in p.read_text() and p.stem not in CHILDREN]


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_the_index_names_every_program() -> None:
    named = re.findall(r"^\| `(?!benchmarks)([a-z_.]+)", (BENCHMARKS / "README.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(dotted(p).removeprefix("benchmarks.") for p in PROGRAMS)


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_what_a_benchmark_imports_of_its_neighbours_is_there(path: Path) -> None:
    tree = ast.parse(path.read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    local = {file.stem for file in FILES} - set(sys.stdlib_module_names)
    assert modules & local == set(), "import it as benchmarks.…"
    neighbours = [ROOT / name.replace(".", "/") for name in modules if name.startswith("benchmarks")]
    assert [p for p in neighbours if not (p.is_dir() or p.with_suffix(".py").is_file())] == []
    assert [name for name in modules if name.startswith("vidtrans") and not importlib.util.find_spec(name)] == []


def test_the_usage_of_each_program_is_how_it_is_run() -> None:
    for path in PROGRAMS:
        assert f"python -m {dotted(path)}" in (ast.get_docstring(ast.parse(path.read_text())) or ""), path
