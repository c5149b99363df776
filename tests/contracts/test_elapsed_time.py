"""No test asserts how long something took: it would fail on a slow machine, or beside other work.

Count the work or the waits instead, or end what hangs with ``processes.at_most`` or ``processes.until``.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CLOCKS = {f"{name}{unit}" for name in ("perf_counter", "monotonic", "process_time") for unit in ("", "_ns")}
LENGTHS = {"seconds", "elapsed", "elapsed_s", "duration_s", "fps", "frames_per_second", "pictures_per_second"}
BOUNDS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def name_of(node: ast.AST) -> str:
    """The name of a variable, an attribute, a constant key, or a function that is called."""
    node = node.slice if isinstance(node, ast.Subscript) else node.func if isinstance(node, ast.Call) else node
    return str(getattr(node, "attr", getattr(node, "id", getattr(node, "value", ""))))


def is_clock(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and name_of(node) in CLOCKS


def assertions_on_time(function: ast.AST) -> list[int]:
    """The lines of assertions that bound a time read from a clock in this function, or a length of time from above."""
    nodes = list(ast.walk(function))
    assigned = [n for n in nodes if isinstance(n, ast.Assign) and any(map(is_clock, ast.walk(n.value)))]
    timed = {name_of(t) for n in assigned for t in ast.walk(ast.Tuple(n.targets)) if isinstance(t, ast.Name)}
    lines = set()
    for assertion in (n for n in nodes if isinstance(n, ast.Assert)):
        for compare in (n for n in ast.walk(assertion.test) if isinstance(n, ast.Compare)):
            sides = [compare.left, *compare.comparators]
            reads = any(is_clock(n) or (isinstance(n, ast.Name) and n.id in timed) for n in ast.walk(compare))
            numbers = [s.value for s in sides if isinstance(s, ast.Constant) and isinstance(s.value, int | float)]
            bounds = any(numbers) and any(name_of(s) in LENGTHS for s in sides)  # > 0 bounds nothing
            if (reads or bounds) and any(isinstance(o, BOUNDS) for o in compare.ops):
                lines.add(assertion.lineno)
    return sorted(lines)


def test_no_test_asserts_how_long_something_took() -> None:
    found = []
    for file in sorted(Path(__file__).resolve().parents[1].rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if any(word in text for word in CLOCKS | LENGTHS):
            functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
            found += [f"{file.name}:{line} {f.name}" for f in functions for line in assertions_on_time(f)]
    assert found == []


@pytest.mark.parametrize("line", ["took = perf_counter() - began; assert took < 2", "assert 0 <= t['seconds'] < 60"])
def test_an_assertion_on_time_is_seen(line: str) -> None:
    assert assertions_on_time(ast.parse(line))
