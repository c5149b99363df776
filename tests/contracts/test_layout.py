"""Names that stand once."""

from __future__ import annotations

import ast
import keyword
from collections import Counter
from pathlib import Path

import vidtrans
from vidtrans.commands import FUNCTIONS

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
