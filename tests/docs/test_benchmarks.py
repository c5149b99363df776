"""The index of the benchmarks names every one that a person runs, and what they import is there."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("the benchmarks are not part of this distribution", allow_module_level=True)
TREES = {p: ast.parse(p.read_text()) for p in sorted(BENCHMARKS.rglob("*.py")) if p.name != "__init__.py"}


def test_the_index_names_programs_by_their_usage() -> None:
    for name in re.findall(r"^\| `(?!benchmarks)([a-z_.]+)", (BENCHMARKS / "README.md").read_text(), re.MULTILINE):
        usage = ast.get_docstring(TREES[BENCHMARKS / f"{name.replace('.', '/')}.py"]) or ""
        assert f"python -m benchmarks.{name}" in usage, name


def test_what_benchmarks_import_is_there() -> None:
    nodes = [node for tree in TREES.values() for node in ast.walk(tree)]
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    modules |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    neighbours = [ROOT / name.replace(".", "/") for name in modules if name.startswith("benchmarks")]
    assert [p for p in neighbours if not (p.is_dir() or p.with_suffix(".py").is_file())] == []
    assert [name for name in modules if name.startswith("vidtrans") and not importlib.util.find_spec(name)] == []
