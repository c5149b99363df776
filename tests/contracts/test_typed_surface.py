"""The files that type checkers read (tests/types) use every function, keyword, class and attribute that is public.

``nox -s types`` runs the checkers on them, which takes longer than a test may.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vidtrans
from vidtrans.commands import FUNCTIONS

TYPES = Path(__file__).resolve().parents[1] / "types"
sys.path.append(str(TYPES))

from run_checkers import Error, differences, marked  # noqa: E402

RIGHT = [ast.parse((TYPES / f"every_{name}.py").read_text(encoding="utf-8")) for name in ("function", "class")]
WRONG = (TYPES / "wrong_calls.py").read_text(encoding="utf-8")
NAMES = sorted({*FUNCTIONS, *vidtrans.LIBRARY})
ALIASES = ("Event", "Report")  # of types
CALLED = [name for name in NAMES if not isinstance(getattr(vidtrans, name), type) and name not in ALIASES]
CLASSES = [name for name in NAMES if isinstance(getattr(vidtrans, name), type)]
# What is made by name rather than by its class.
CONSTRUCTED = ["Deflicker", "Propagator"]


def public(node: ast.AST) -> str:
    """Return NAME of ``vidtrans.NAME``; '' for another node."""
    is_ours = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "vidtrans"
    return node.attr if is_ours and isinstance(node, ast.Attribute) else ""


def calls(*trees: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls of public names."""
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (name := public(node.func)):
                yield name, node


def keywords(name: str) -> set[str]:
    """Return the names of the parameters of a public function or class."""
    return set(inspect.signature(getattr(vidtrans, name)).parameters)


def own_attributes(name: str) -> set[str]:
    """Return the public attributes that a class defines itself."""
    return {attribute for attribute in vars(getattr(vidtrans, name)) if not attribute.startswith("_")}


def used_attributes(name: str) -> set[str]:
    """Return the attributes that are read of arguments annotated ``vidtrans.NAME``."""
    found = set()
    for function in (node for tree in RIGHT for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        given = {
            argument.arg
            for argument in function.args.args
            if argument.annotation and public(argument.annotation) == name
        }
        reads = [
            node for node in ast.walk(function) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        ]
        found |= {node.attr for node in reads if isinstance(node.value, ast.Name) and node.value.id in given}
    return found


def test_every_public_name_is_used() -> None:
    used = {public(node) for tree in RIGHT for node in ast.walk(tree)} - {""}
    assert used == {*NAMES, "__version__"} == {*dir(vidtrans)}


@pytest.mark.parametrize("name", [*CALLED, *CONSTRUCTED])
def test_every_keyword_is_used(name: str) -> None:
    assert {word.arg for used, call in calls(*RIGHT) if used == name for word in call.keywords} == keywords(name)


@pytest.mark.parametrize("name", CLASSES)
def test_every_attribute_is_read(name: str) -> None:
    assert own_attributes(name) <= used_attributes(name)


@pytest.mark.parametrize("name", [*CALLED, *CONSTRUCTED])
def test_a_wrong_keyword_is_tried(name: str) -> None:
    lines = marked(WRONG)
    wrong = [call for used, call in calls(ast.parse(WRONG)) if used == name and call.lineno in lines]
    assert any({word.arg for word in call.keywords} - keywords(name) for call in wrong)


def test_marks_are_compared_with_errors_line_by_line(tmp_path: Path) -> None:
    wrong, other = tmp_path / "wrong.py", tmp_path / "other.py"
    wrong.write_text("first()\nsecond()  # wrong\nthird()  # wrong: because\nfourth()  # wrongly\n")
    assert marked(wrong.read_text()) == {2, 3}
    errors: list[Error] = [(wrong, 2, "a"), (wrong, 3, "b")]
    assert differences(errors, wrong) == []
    assert differences([*errors, (wrong, 1, "c"), (other, 2, "d")], wrong) == [f"{wrong}:1: c", f"{other}:2: d"]
    assert differences(errors[:1], wrong) == [f"{wrong}:3: no error is found here"]
