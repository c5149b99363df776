"""Expressions over time, as "1.01 + 0.004*sin(t)": read by a small parser, never by Python's own.

    expression = term {("+" | "-") term}          term  = sign {("*" | "/") sign}
    sign       = ("-" | "+") sign | power         power = atom ["^" sign]
    atom       = number | name | name "(" expression {"," expression} ")" | "(" expression ")"

Several of them, each at a moment, are an animation: "0: 1, 90: 1.01 + 0.004*sin(t)".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction

from vidtrans.errors import UsageError
from vidtrans.keyframes import check_order, neighbours
from vidtrans.settings import Time, parse_time

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
OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "^": math.pow,
}
DEEPEST, LONGEST = 40, 300  # parentheses and signs within each other; parts, as numbers and operators
_TOKEN = re.compile(r"\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([^\W\d]\w*)|(\S))", re.ASCII)


@dataclass(frozen=True)
class Expression:
    """``text`` is one way of writing it, ``names`` are those that it depends on.

    ``value`` of the names' values may raise ArithmeticError or ValueError, and need not be finite.
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


class _Parser:
    """Reads one expression that is a part of ``whole``, from ``first`` to ``stop``."""

    def __init__(self, whole: str, first: int, stop: int, name: str) -> None:
        self.whole, self.name = whole, name
        self.tokens = list(_tokens(whole, first, stop))
        self.at, self.depth = 0, 0
        self.names: set[str] = set()
        if len(self.tokens) > LONGEST:
            raise self._wrong("it is too long", f"write it with at most {LONGEST} parts")

    def parse(self) -> Expression:
        value = self._sum()
        if self._now.kind != "end":
            raise self._wrong(f"'{self._now.text}' is not expected", self._after_a_value())
        text = "".join(repr(float(t.text)) if t.kind == "number" else t.text for t in self.tokens)
        return Expression(text, frozenset(self.names), value)

    @property
    def _now(self) -> _Token:
        return self.tokens[self.at]

    def _takes(self, *signs: str) -> str:
        """The sign that is next, if it is one of these; it is passed."""
        token = self._now
        if token.kind != "sign" or token.text not in signs:
            return ""
        self.at += 1
        return token.text

    def _sum(self) -> Value:
        value = self._product()
        while sign := self._takes("+", "-"):
            value = _joined(OPERATORS[sign], value, self._product())
        return value

    def _product(self) -> Value:
        value = self._signed()
        while sign := self._takes("*", "/"):
            value = _joined(OPERATORS[sign], value, self._signed())
        return value

    def _signed(self) -> Value:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self._wrong("it is nested too deeply", "write it more simply")
        sign = self._takes("-", "+")
        made = self._signed() if sign else self._power()
        self.depth -= 1
        return _negated(made) if sign == "-" else made

    def _power(self) -> Value:
        base = self._atom()
        return _joined(OPERATORS["^"], base, self._signed()) if self._takes("^") else base

    def _atom(self) -> Value:
        token = self._now
        self.at += token.kind != "end"
        if token.kind == "number":
            number = float(token.text)
            return lambda values: number
        if token.kind == "name":
            return self._call(token) if token.text in FUNCTIONS else self._named(token)
        if token.text == "(":
            value = self._sum()
            self._close(token)
            return value
        shown = f"'{token.text}'" if token.text else "the end"
        remedy = "use ^ for powers" if self._is_python_power(token) else "a number, a name or ( belongs there"
        raise self._wrong(f"{shown} is not expected", remedy, token)

    def _is_python_power(self, token: _Token) -> bool:
        return token.text == "*" and self.at > 1 and self.tokens[self.at - 2].text == "*"

    def _named(self, token: _Token) -> Value:
        name = token.text
        if name not in NAMES:
            raise self._unknown(token)
        if name == "pi":
            return lambda values: math.pi
        self.names.add(name)
        return lambda values: values[name]

    def _call(self, token: _Token) -> Value:
        function, least, most = FUNCTIONS[token.text]
        opened = self._now
        if not self._takes("("):
            raise self._wrong(f"'{token.text}' is a function", f"write {token.text}(…)", token)
        given = [self._sum()]
        while self._takes(","):
            given.append(self._sum())
        self._close(opened)
        if not least <= len(given) <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            why = f"'{token.text}' takes {wanted} value{'s' * (most > 1)}, not {len(given)}"
            raise self._wrong(why, "put a comma between values", token)
        return lambda values: function(*[value(values) for value in given])

    def _close(self, opened: _Token) -> None:
        if not self._takes(")"):
            shown = f"'{self._now.text}' is not expected" if self._now.text else "a ) is missing"
            raise self._wrong(shown, f"the ( at character {opened.at + 1} is still open")

    def _unknown(self, token: _Token) -> UsageError:
        known = [*NAMES, *FUNCTIONS]
        near = get_close_matches(token.text.lower(), known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'? " if near else ""
        return self._wrong(f"'{token.text}' is not known", f"{hint}choose from: {', '.join(known)}", token)

    def _after_a_value(self) -> str:
        if self._now.kind == "sign" and self._now.text == ")":
            return "there is no ( for it"
        signs = "an operator (+ - * / ^) belongs there"
        return f"{signs}, as in 2*t" if self._now.kind in ("name", "number") else signs

    def _wrong(self, why: str, remedy: str, token: _Token | None = None) -> UsageError:
        at = (token or self._now).at + 1
        return UsageError(f"{self.name} '{self.whole}'", f"at character {at}: {why}", remedy)


def _tokens(whole: str, first: int, stop: int) -> list[_Token]:
    found: list[_Token] = []
    at = first
    while match := _TOKEN.match(whole, at, stop):
        kind = ("number", "name", "sign")[(match.lastindex or 3) - 1]
        found.append(_Token(kind, match[match.lastindex or 3], match.start(match.lastindex or 3)))
        at = match.end()
    return [*found, _Token("end", "", stop)]


def _joined(operator: Callable[[float, float], float], left: Value, right: Value) -> Value:
    return lambda values: operator(left(values), right(values))


def _negated(value: Value) -> Value:
    return lambda values: -value(values)


@dataclass(frozen=True)
class Animation:
    """One expression (``moments`` is empty), or one at each moment, between which they are mixed in a straight line."""

    expressions: tuple[Expression, ...]
    moments: tuple[Time, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """What it depends on."""
        return frozenset().union(*(e.names for e in self.expressions))

    @property
    def constant(self) -> float | None:
        """The value, where it never changes."""
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
        """The value at each frame, of which there are ``rate`` a second.

        ``values_at(frame)`` are the names' values. Raises UsageError where two keyframes are not in order; what is
        returned does where the value is no number or out of ``bounds``.
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
    """Read an expression, or ``"0: 1, 2.5s: 1 + 0.1*sin(t)"``: a moment, a colon, an expression.

    ``name`` is what errors call it. Raises UsageError, with the position and what would be right.
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
    """A part and where it begins, in words."""
    part = whole[first:stop]
    return f"at character {first + len(part) - len(part.lstrip()) + 1}: '{part.strip()}'"


def _parts(whole: str) -> Sequence[tuple[int, int]]:
    """Where the parts begin and end between which there are commas outside of all parentheses."""
    cuts, depth = [-1], 0
    for at, character in enumerate(whole):
        depth += (character == "(") - (character == ")")
        if character == "," and depth <= 0:
            cuts.append(at)
    return [(a + 1, b) for a, b in zip(cuts, [*cuts[1:], len(whole)], strict=True)]
