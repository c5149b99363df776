"""Where tests are: a test of one module is found by the module's room, and no two files have one name."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import vidtrans

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
