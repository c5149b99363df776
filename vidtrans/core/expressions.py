"""Parse expressions over time, as "1.01 + 0.004*sin(t)".

    expression = term {("+" | "-") term}          term  = sign {("*" | "/") sign}
    sign       = ("-" | "+") sign | power         power = atom ["^" sign]
    atom       = number | name | name "(" expression {"," expression} ")" | "(" expression ")"

Only numbers, known names and these operators, in a checked order, reach Python's own parser, which applies precedence.
Several expressions, each at a moment, form an animation: "0: 1, 90: 1.01 + 0.004*sin(t)".
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from itertools import islice, pairwise

from vidtrans.core.curves import check_order, neighbours
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Time, parse_time

Values = Mapping[str, float]
Value = Callable[[Values], float]

BANDS = ("low", "mid", "high", "loud")  # of a sound, each from 0 to 1
NAMES = ("t", "f", "pi", *BANDS)
# How many arguments each takes: at least, at most.
FUNCTIONS: dict[str, tuple[Callable[..., float], int, int]] = {
    "sin": (math.sin, 1, 1),
    "cos": (math.cos, 1, 1),
    "abs": (abs, 1, 1),
    "sqrt": (math.sqrt, 1, 1),
    "exp": (math.exp, 1, 1),
    "floor": (lambda x: float(math.floor(x)), 1, 1),
    "mod": (lambda x, y: x - y * math.floor(x / y), 2, 2),
    "min": (min, 2, 9),
    "max": (max, 2, 9),
    "clamp": (lambda x, low, high: max(low, min(high, x)), 3, 3),
}
DEEPEST, LONGEST = 40, 300  # brackets and signs inside each other; tokens of one expression
_NUMBER = r"\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?"
_TOKEN = re.compile(rf"(?P<number>{_NUMBER})|(?P<name>[^\W\d]\w*)|(?P<sign>\S)", re.ASCII)
_GLOBALS = {"__builtins__": {}, "pi": math.pi, "pow": math.pow} | {n: f for n, (f, *_) in FUNCTIONS.items()}
_NODES: tuple[type[ast.AST], ...] = (
    *(ast.Expression, ast.Constant, ast.Name, ast.Load, ast.Call),
    *(ast.UnaryOp, ast.UAdd, ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div),
)


@dataclass(frozen=True)
class Expression:
    """A parsed expression: ``text`` in a normal form, and the ``names`` that it depends on.

    ``value`` computes it from the names' values; it may raise ArithmeticError or ValueError, or return NaN or infinity.
    """

    text: str
    names: frozenset[str]
    value: Value

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class _Token:
    kind: str  # "number", "name", "sign" or "end"
    text: str
    at: int  # of its first character, from 0


@dataclass
class _Open:
    """An open bracket, after a ``function`` or none, with the number of ``commas`` since; or a sign before a value."""

    token: _Token
    function: _Token | None = None
    commas: int = 0


class _Parser:
    """A parser of the characters [first, stop) of the text ``whole``. ``name``: the option's name in errors."""

    def __init__(self, whole: str, first: int, stop: int, name: str) -> None:
        self.whole, self.name = whole, name
        found = islice(_TOKEN.finditer(whole, first, stop), LONGEST)
        self.tokens = [_Token(str(m.lastgroup), m[m.lastgroup or 0], m.start(m.lastgroup or 0)) for m in found]
        self.tokens.append(_Token("end", "", stop))
        if len(self.tokens) > LONGEST:
            raise self._wrong(self.tokens[0], "it is too long", f"write it with at most {LONGEST} parts")

    def parse(self) -> Expression:
        self._check()
        text = "".join(repr(float(t.text)) if t.kind == "number" else t.text for t in self.tokens)
        # A number that is too large for a float is written "inf", which Python reads as a name.
        tree = _Powers().visit(ast.parse(text.replace("^", "**").replace("inf", "1e999"), mode="eval"))
        if not all(isinstance(node, _NODES) for node in ast.walk(tree)):
            raise AssertionError(f"a token became something else than a number, a name or an operation: {text}")
        code = compile(ast.fix_missing_locations(tree), "expression", "eval")
        names = {t.text for t in self.tokens} & {*NAMES} - {"pi"}
        return Expression(text, frozenset(names), lambda values: eval(code, _GLOBALS, values))

    def _check(self) -> None:
        """Raise UsageError unless values and operators alternate, brackets are closed, and all names are known."""
        opened: list[_Open] = []
        for before, token in pairwise([_Token("sign", "", 0), *self.tokens]):
            if before.text in FUNCTIONS and token.text != "(":
                raise self._wrong(before, f"'{before.text}' is a function", f"write {before.text}(…)")
            if before.kind == "number" or before.text in (*NAMES, ")"):
                while opened and opened[-1].token.text != "(":  # the signs before a value end with it
                    opened.pop()
                self._check_operator(token, opened)
            else:
                self._check_value(before, token, opened)

    def _check_value(self, before: _Token, token: _Token, opened: list[_Open]) -> None:
        """Raise UsageError if a token cannot start a value; add an open bracket or a sign to ``opened``."""
        if len(opened) == DEEPEST:
            raise self._wrong(token, "it is nested too deeply", "write it more simply")
        if token.kind == "name" and token.text not in (*NAMES, *FUNCTIONS):
            known = [*NAMES, *FUNCTIONS]
            near = get_close_matches(token.text.lower(), known, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise self._wrong(token, f"'{token.text}' is not known", f"{hint}choose from: {', '.join(known)}")
        if token.text in ("(", "+", "-"):
            opened.append(_Open(token, before if before.text in FUNCTIONS else None))
        elif token.kind not in ("name", "number"):
            shown = f"'{token.text}'" if token.text else "the end"
            is_python_power = token.text == before.text == "*"
            remedy = "use ^ for powers" if is_python_power else "a number, a name or ( belongs there"
            raise self._wrong(token, f"{shown} is not expected", remedy)

    def _check_operator(self, token: _Token, opened: list[_Open]) -> None:
        """Raise UsageError if a token cannot follow a value, as operators, commas, closing brackets and the end can."""
        inside = opened[-1] if opened else None
        if token.text in ("+", "-", "*", "/", "^") or (token.kind == "end" and not inside):
            return
        if inside and token.text == ")":
            opened.pop()
            if inside.function:
                self._check_count(inside.function, inside.commas + 1)
        elif inside and inside.function and token.text == ",":
            inside.commas += 1
        elif inside:
            shown = f"'{token.text}' is not expected" if token.text else "a ) is missing"
            raise self._wrong(token, shown, f"the ( at character {inside.token.at + 1} is still open")
        else:
            remedy = "an operator (+ - * / ^) belongs there"
            if token.text == ")":
                remedy = "there is no ( for it"
            elif token.kind != "sign":
                remedy += ", as in 2*t"
            raise self._wrong(token, f"'{token.text}' is not expected", remedy)

    def _check_count(self, function: _Token, count: int) -> None:
        _, least, most = FUNCTIONS[function.text]
        if not least <= count <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            why = f"'{function.text}' takes {wanted} value{'s' * (most > 1)}, not {count}"
            raise self._wrong(function, why, "put a comma between values")

    def _wrong(self, token: _Token, why: str, remedy: str) -> UsageError:
        return UsageError(f"{self.name} '{self.whole}'", f"at character {token.at + 1}: {why}", remedy)


class _Powers(ast.NodeTransformer):
    """Replace powers by calls of ``math.pow``, because Python's ``**`` returns complex numbers for negative bases."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Pow):
            return node
        return ast.Call(ast.Name("pow", ast.Load()), [node.left, node.right], [])


@dataclass(frozen=True)
class Animation:
    """One expression (``moments`` is empty), or one at each moment with linear interpolation between them."""

    expressions: tuple[Expression, ...]
    moments: tuple[Time, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The names that the expressions depend on."""
        return frozenset().union(*(e.names for e in self.expressions))

    @property
    def constant(self) -> float | None:
        """The value of an animation that never changes; None for others."""
        if self.names or len({str(e) for e in self.expressions}) > 1:
            return None
        with suppress(ArithmeticError, ValueError):
            return self.expressions[0].value({})
        return None

    def __str__(self) -> str:
        if not self.moments:
            return str(self.expressions[0])
        return ",".join(f"{m}:{e}" for m, e in zip(self.moments, self.expressions, strict=True))

    def over(
        self, rate: Fraction, name: str, bounds: tuple[float, float], values_at: Callable[[int], Values]
    ) -> Callable[[int], float]:
        """Return a function from a frame number to the animation's value, at ``rate`` frames per second.

        ``values_at(frame)`` returns the names' values. Raises UsageError where keyframes are not in order; the function
        raises it where a value is not a number or is outside ``bounds``.
        """
        keys = [Fraction(m.frame) if m.frame is not None else (m.seconds or Fraction(0)) * rate for m in self.moments]
        check_order(keys, f"{name} '{self}'")

        def value(frame: int) -> float:
            values = values_at(frame)
            try:
                before, after, share = neighbours(keys, frame)
                found = self.expressions[before].value(values)
                if after != before:
                    found += share * (self.expressions[after].value(values) - found)
            except (ArithmeticError, ValueError):
                found = math.nan
            if not bounds[0] <= found <= bounds[1]:
                shown = f"{found:.6g}" if math.isfinite(found) else "no number"
                remedy = f"keep it from {bounds[0]:g} to {bounds[1]:g}, as with clamp(…, {bounds[0]:g}, {bounds[1]:g})"
                raise UsageError(f"{name} '{self}'", f"at frame {frame} it is {shown}", remedy)
            return found

        constant = self.constant
        if constant is not None and bounds[0] <= constant <= bounds[1]:
            return lambda frame: constant
        return value


def parse_animation(text: str | float, name: str) -> Animation:
    """Parse an expression, or ``"0: 1, 2.5s: 1 + 0.1*sin(t)"``: a moment, a colon, an expression.

    ``name``: the option's name in errors. Raises UsageError with the position of the error and a correction.
    """
    whole = str(text)
    parts = _parts(whole)
    if len(parts) == 1 and ":" not in whole:
        return Animation((_Parser(whole, 0, len(whole), name).parse(),))
    expressions: list[Expression] = []
    moments: list[Time] = []
    for first, stop in parts:
        colon = whole.rfind(":", first, stop)
        if colon < 0:
            why = f"{_place(whole, first, stop)} has no moment before it"
            raise UsageError(f"{name} '{whole}'", why, 'write keyframes as "0: 1, 90: 1.01 + 0.004*sin(t)"')
        moments.append(_moment(whole, first, colon, name))
        expressions.append(_Parser(whole, colon + 1, stop, name).parse())
    return Animation(tuple(expressions), tuple(moments))


def _moment(whole: str, first: int, stop: int, name: str) -> Time:
    try:
        return parse_time(whole[first:stop])
    except UsageError as error:
        raise UsageError(f"{name} '{whole}'", f"{_place(whole, first, stop)} is not a moment", error.remedy) from None


def _place(whole: str, first: int, stop: int) -> str:
    """Return the text ``at character N: 'PART'`` for the characters [first, stop); N counts from 1."""
    part = whole[first:stop]
    return f"at character {first + len(part) - len(part.lstrip()) + 1}: '{part.strip()}'"


def _parts(whole: str) -> Sequence[tuple[int, int]]:
    """Return the (start, end) of the parts between commas that are outside all parentheses."""
    cuts, depth = [-1], 0
    for at, character in enumerate(whole):
        depth += (character == "(") - (character == ")")
        if character == "," and depth <= 0:
            cuts.append(at)
    return [(a + 1, b) for a, b in zip(cuts, [*cuts[1:], len(whole)], strict=True)]
