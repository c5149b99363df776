"""The house: where tests are and what they draw, how long files and functions may be, and names that stand once."""

from __future__ import annotations

import ast
import importlib
import keyword
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def test_property_tests_draw_the_same_examples_in_every_run_and_new_ones_in_thorough_ones(
    request: pytest.FixtureRequest,
) -> None:
    if request.config.getoption("--hypothesis-profile"):
        pytest.skip("another profile was chosen")
    wanted = not request.config.getoption("--thorough")
    functions = {item.nodeid: getattr(item, "obj", None) for item in request.session.items}
    found = {name: getattr(one, "_hypothesis_internal_use_settings", None) for name, one in functions.items()}
    assert settings.default is not None
    assert settings.default.derandomize == wanted
    assert [
        name for name, own in found.items() if own and (own.derandomize != wanted or own.database is not None)
    ] == []


def test_examples_do_not_depend_on_what_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not settings().derandomize:
        pytest.skip("new examples are drawn in each run")

    def drawn() -> list[str]:
        found = list[str]()

        @settings(max_examples=60)
        @given(st.integers(), st.floats(), st.text())
        def draw(whole: int, real: float, text: str) -> None:
            found.append(repr((whole, real, text)))

        draw()
        return found

    before = drawn()
    (tmp_path / "constants_of_another_module.py").write_text(
        f"VALUES = {[(n * 7919, n / 7, 'x' * n) for n in range(99)]}"
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("constants_of_another_module")
    assert drawn() == before


PACKAGE = Path(vidtrans.__file__).parent
MODULES = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}


def test_a_public_class_has_a_name_of_its_own() -> None:
    nodes = [node for tree in TREES.values() for node in tree.body if isinstance(node, ast.ClassDef)]
    classes = Counter(node.name for node in nodes if not node.name.startswith("_"))
    assert [name for name, count in classes.items() if count > 1] == []


def test_rooms_and_functions_shadow_neither_each_other_nor_keywords() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} | {path.stem for path in PACKAGE.glob("*.py")}
    assert rooms & FUNCTIONS.keys() == set()
    assert [name for name in (*rooms, *FUNCTIONS, *(p.stem for p in MODULES)) if keyword.iskeyword(name)] == []
