"""The small faults that ``run.py`` puts into a file, one at a time.

Left out by rule: annotations, decorators, docstrings, whatever stands in a ``raise``, an f-string or an ``assert``, and
texts with a space in them (messages and help); and ``strict=True`` of zip, which is an assertion.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

BINARY = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd,
}  # fmt: skip
COMPARED = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
NEGATED_BY_SWAP = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
CALLED = {"min": "max", "max": "min", "any": "all", "all": "any"}
SKIPPED_FIELDS = {"annotation", "returns", "decorator_list", "type_comment"}
SKIPPED_NODES = (ast.Raise, ast.Assert, ast.JoinedStr, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal)


@dataclass
class Mutant:
    """``function``: the line of the outermost function around it, 0 if it acts when the module is imported."""

    file: str
    line: int
    column: int
    last_line: int  # of its statement's head
    scope: str
    change: str
    function: int
    tree: ast.Module

    @property
    def name(self) -> str:
        return f"{self.file}:{self.line}:{self.column} {self.scope}: {self.change}"


def mutants(source: str, file: str) -> Iterator[Mutant]:
    """Every mutant of a file. Each must be used before the next is taken: they share one tree."""
    tree = ast.parse(source)
    yield from _inside(tree, tree, file, "", 0, (0, 0))


def _inside(
    tree: ast.Module, node: ast.AST, file: str, scope: str, function: int, lines: tuple[int, int]
) -> Iterator[Mutant]:
    for field, value in ast.iter_fields(node):
        children = value if isinstance(value, list) else [value]
        for index, child in enumerate(children):
            if not isinstance(child, ast.AST) or _is_skipped(node, field, index, child):
                continue
            here = (scope, function, lines)
            if isinstance(child, ast.stmt):
                here = (scope, function, _head(child))
            for text, other in _alternatives(child):
                change = f"{text}: `{_short(child)}` → `{_short(other)}`"
                line, column = getattr(child, "lineno", here[2][0]), getattr(child, "col_offset", index)
                _put(node, field, index, other or ast.Pass())
                yield Mutant(file, line, column, here[2][1], scope, change, function, tree)
                _put(node, field, index, child)
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                inner = f"{scope}.{child.name}".strip(".")
                is_outermost = isinstance(child, ast.FunctionDef) and not function
                here = (inner, _first(child) if is_outermost else function, here[2])
            # Defaults of arguments act when the function is made.
            acts_outside = isinstance(node, ast.FunctionDef) and field == "args" and _first(node) == here[1]
            yield from _inside(tree, child, file, here[0], 0 if acts_outside else here[1], here[2])


def _short(node: ast.AST | None) -> str:
    return "" if node is None else ast.unparse(node).partition("\n")[0][:90]


def _first(node: ast.FunctionDef | ast.ClassDef) -> int:
    return min([node.lineno, *(d.lineno for d in node.decorator_list)])


def _put(node: ast.AST, field: str, index: int, child: ast.AST) -> None:
    value = getattr(node, field)
    if isinstance(value, list):
        value[index] = child
    else:
        setattr(node, field, child)


def _head(statement: ast.stmt) -> tuple[int, int]:
    """Its lines, without those of what it holds."""
    body = getattr(statement, "body", None)
    last = body[0].lineno - 1 if isinstance(body, list) and body else statement.end_lineno or statement.lineno
    return statement.lineno, max(last, statement.lineno)


def _is_skipped(node: ast.AST, field: str, index: int, child: ast.AST) -> bool:
    docstring = field == "body" and isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
    strict = isinstance(child, ast.keyword) and child.arg == "strict"
    return field in SKIPPED_FIELDS or isinstance(child, SKIPPED_NODES) or docstring or strict


def _alternatives(node: ast.AST) -> Iterator[tuple[str, ast.AST | None]]:
    if isinstance(node, ast.BinOp):
        yield "operator", ast.BinOp(node.left, BINARY[type(node.op)](), node.right)
        yield "operand", node.right
    elif isinstance(node, ast.AugAssign):
        yield "operator", ast.AugAssign(node.target, BINARY[type(node.op)](), node.value)
        yield "assigned", ast.Assign([node.target], node.value, lineno=node.lineno)
    elif isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            ops = [*node.ops[:i], COMPARED[type(op)](), *node.ops[i + 1 :]]
            yield "comparison", ast.Compare(node.left, ops, node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield "and, or", ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield "sign", node.operand
    elif isinstance(node, ast.Constant):
        yield from _constants(node)
    elif isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id in CALLED:
            yield "function", ast.Call(ast.Name(CALLED[node.func.id], ast.Load()), node.args, node.keywords)
        for i, keyword in enumerate(node.keywords):
            if keyword.arg not in (None, "strict"):
                yield (
                    f"without {keyword.arg}",
                    ast.Call(node.func, node.args, node.keywords[:i] + node.keywords[i + 1 :]),
                )
    elif isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield "returned", ast.Return(ast.Constant(None))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "deleted", None
    elif isinstance(node, ast.Break):
        yield "break", ast.Continue()
    elif isinstance(node, ast.Continue):
        yield "continue", ast.Break()
    if isinstance(node, ast.If | ast.IfExp | ast.While) and not _negated_otherwise(node.test):
        other = copy.copy(node)
        other.test = ast.UnaryOp(ast.Not(), node.test)
        yield "condition", other
    if isinstance(node, ast.comprehension):
        for i, test in enumerate(node.ifs):
            if not _negated_otherwise(test):
                ifs = [*node.ifs[:i], ast.UnaryOp(ast.Not(), test), *node.ifs[i + 1 :]]
                yield "condition", ast.comprehension(node.target, node.iter, ifs, node.is_async)


def _constants(node: ast.Constant) -> Iterator[tuple[str, ast.AST]]:
    value = node.value
    if isinstance(value, bool):
        yield "constant", ast.Constant(not value)
    elif isinstance(value, int | float):
        yield "constant", ast.Constant(value + 1)
    elif isinstance(value, str) and " " not in value:
        yield "text", ast.Constant("XX" + value)


def _negated_otherwise(test: ast.expr) -> bool:
    """Whether another mutant is its negation."""
    swapped = isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], NEGATED_BY_SWAP)
    return swapped or (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not))


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
