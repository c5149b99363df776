"""The house: where tests are, how long files and functions may be, and that no two things have one name."""

from __future__ import annotations

import ast
import keyword
from collections import Counter
from pathlib import Path

import vidtrans
from vidtrans.commands import FUNCTIONS

TESTS = Path(__file__).resolve().parents[1]
FOLDERS = {"unit", "contracts", "cli", "integration", "docs"}
FILES = [p.relative_to(TESTS) for p in TESTS.rglob("test_*.py")]


def test_every_test_file_lies_in_a_folder_of_its_kind() -> None:
    assert {path.parts[0] for path in FILES} == FOLDERS
    assert [str(p) for p in FILES if len(p.parts) != (3 if p.parts[0] == "unit" else 2)] == []


def test_unit_tests_are_sorted_by_the_rooms_of_the_package() -> None:
    package = Path(vidtrans.__file__).parent
    rooms = {p.parent.name for p in package.glob("*/__init__.py")}
    assert {path.parts[1] for path in FILES if path.parts[0] == "unit"} <= rooms


def test_no_two_test_files_have_one_name() -> None:
    """They are imported by name."""
    assert [name for name, count in Counter(p.name for p in FILES).items() if count > 1] == []


PACKAGE = Path(vidtrans.__file__).parent
MODULES = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}
MOST_FILES, MOST_STATEMENTS = 26, 40
SHARED = {"base", "settings"}  # names that a module of each room may have


def test_no_folder_has_more_files_than_one_sees_at_a_glance() -> None:
    counts = Counter(path.parent.name for path in MODULES if path.parent.name != "commands")
    assert {name: count for name, count in counts.items() if count > MOST_FILES} == {}


def test_no_function_has_more_than_forty_statements() -> None:
    found = []
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = sum(isinstance(one, ast.stmt) for one in ast.walk(node)) - 1
                found += [f"{path.name}: {node.name} has {count}"] if count > MOST_STATEMENTS else []
    assert found == []


def test_a_module_and_a_public_class_have_names_of_their_own() -> None:
    modules = Counter(path.stem for path in MODULES if path.stem not in SHARED | {"__main__"})
    assert [name for name, count in modules.items() if count > 1] == []
    nodes = [node for tree in TREES.values() for node in tree.body if isinstance(node, ast.ClassDef)]
    classes = Counter(node.name for node in nodes if not node.name.startswith("_"))
    assert [name for name, count in classes.items() if count > 1] == []


def test_rooms_and_functions_shadow_neither_each_other_nor_keywords() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} | {path.stem for path in PACKAGE.glob("*.py")}
    assert rooms & FUNCTIONS.keys() == set()
    assert [name for name in (*rooms, *FUNCTIONS, *(p.stem for p in MODULES)) if keyword.iskeyword(name)] == []
