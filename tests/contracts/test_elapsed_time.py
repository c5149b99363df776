"""No test asserts how long something took: it would fail on a slow machine, or beside other work.

Count the work or the waits instead, or end what hangs with ``processes.at_most`` or ``processes.until``.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CLOCKS = {
    f"{name}{unit}" for name in ("perf_counter", "monotonic", "process_time", "thread_time") for unit in ("", "_ns")
}
LENGTHS = {"seconds", "elapsed", "elapsed_s", "duration_s", "fps", "frames_per_second", "pictures_per_second"}
BOUNDS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
# File: why it may.
ALLOWED: dict[str, str] = {}


def is_clock(node: ast.AST) -> bool:
    """Return whether an expression reads a clock of elapsed time."""
    return isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in CLOCKS


def name_of(node: ast.AST) -> str:
    """The name of a variable, an attribute or a constant key."""
    key = node.slice if isinstance(node, ast.Subscript) else node
    return str(getattr(key, "attr", getattr(key, "id", getattr(key, "value", ""))))


def assertions_on_time(function: ast.AST) -> list[int]:
    """The lines of assertions that bound a time read from a clock in this function, or a length of time from above."""
    assigned = [n for n in ast.walk(function) if isinstance(n, ast.Assign) and any(map(is_clock, ast.walk(n.value)))]
    timed = {name_of(t) for n in assigned for t in ast.walk(ast.Tuple(n.targets)) if isinstance(t, ast.Name)}
    lines = []
    for assertion in (n for n in ast.walk(function) if isinstance(n, ast.Assert)):
        for compare in (n for n in ast.walk(assertion.test) if isinstance(n, ast.Compare)):
            sides = [compare.left, *compare.comparators]
            reads = [n for n in ast.walk(compare) if is_clock(n) or (isinstance(n, ast.Name) and n.id in timed)]
            numbers = [s.value for s in sides if isinstance(s, ast.Constant) and isinstance(s.value, int | float)]
            bounds = any(numbers) and any(name_of(s) in LENGTHS for s in sides)  # > 0 bounds nothing
            if any(isinstance(o, BOUNDS) for o in compare.ops) and (reads or bounds):
                lines.append(assertion.lineno)
    return sorted(set(lines))


def found_in(file: Path, root: Path) -> list[str]:
    functions = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.FunctionDef)]
    place = file.relative_to(root).as_posix()
    return [f"{place}:{line} {f.name}" for f in functions for line in assertions_on_time(f)]


def test_no_test_asserts_how_long_something_took() -> None:
    root = Path(__file__).resolve().parents[1]
    found = {line for file in sorted(root.rglob("*.py")) for line in found_in(file, root)}
    assert {line for line in found if line.replace(":", " ").split()[0] not in ALLOWED} == set()


@pytest.mark.parametrize(
    ("lines", "is_refused"),
    [
        ("began = time.monotonic(); assert time.monotonic() - began < 2", True),
        ("took = perf_counter() - began; assert took < 2", True),
        ("found[0] = time.process_time_ns(); assert process_time_ns() < 3", True),
        ("assert all(o.seconds <= 90 for o in outcomes)", True),
        ("assert 0 <= table['seconds'] < 60", True),
        ("assert table['fps'] > 25", True),
        ("assert table['estimate']['seconds'] > 0", False),
        ("assert table['seconds'] == 1.5", False),
        ("assert at_most(300)", False),
        ("end = time.monotonic() + 300\nwhile time.monotonic() < end: pass\nassert done", False),
    ],
)
def test_it_is_seen(lines: str, is_refused: bool) -> None:
    assert bool(assertions_on_time(ast.parse(lines))) == is_refused
