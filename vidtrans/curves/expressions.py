"""Parser of expressions over time, such as "1.01 + 0.004*sin(t)", with signals of sound and pictures.

    expression = term {("+" | "-") term}          term  = sign {("*" | "/") sign}
    sign       = ("-" | "+") sign | power         power = atom ["^" sign]
    atom       = number | name | signal | name "(" expression {"," expression} ")" | "(" expression ")"
    signal     = name | "'" file [":" column] "'" | name "(" [signal] {"," [name "="] number} ")"

Only numbers, known names and these operators, in a checked order, reach Python's own parser, which applies precedence.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import islice, pairwise

from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_of

PI = "pi"  # Name of the number π in expressions
# Time variables in expressions, with their help
TIME_NAMES = {
    "t": "seconds from the first frame",
    "frame": "the frame's number, from 0",
    "shot": "the shot's number, from 0",
    "shot_t": "seconds since the shot began",
    "cut": "seconds to the nearest cut",
}
# Names of sound signals, with their help
SOUND_NAMES = {
    "low": "loudness below 250 Hz",
    "mid": "loudness from 250 to 2000 Hz",
    "high": "loudness above 2000 Hz",
    "loudness": "loudness of the whole sound",
    "onset": "strength of beginning sounds",
    "beat": "number of beats since the first one, with fractions",
    "bar": "number of bars of four beats, with fractions",
}
# Names of picture signals, with their help
PICTURE_NAMES = {
    "motion": "amount of motion",
    "brightness": "mean brightness",
    "mask": "share of the picture that the mask covers",
}
NAMES = {**TIME_NAMES, PI: "3.14159…", **SOUND_NAMES, **PICTURE_NAMES}  # All names in expressions, with their help
RANGE_S = (0.001, 600.0)  # Lowest and highest number of seconds as an argument of a call
SOUND_SIGNALS = {*SOUND_NAMES, "band", "on_beat", "on_onset"}  # Names and calls that are computed from the sound
# Values of an expression's inputs, by time variable, such as t, or by key of a signal (``place_of``)
Values = Mapping[str, float]
Value = Callable[[Values], float]  # Function from the values of the inputs to the value of an expression
MAX_NESTING, MAX_TOKENS = 40, 300  # Most nested brackets and signs, and most tokens
MAX_CALL_NESTING = 8  # Most nested calls of signals, such as smooth(follow(low, 1), 2)
_NUMBER = r"\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?"  # Number without a sign, such as 12, 1.5e3 or .5
# Token of an expression: a number, a name, a quoted file or a sign
_TOKEN = re.compile(rf"(?P<number>{_NUMBER})|(?P<name>[^\W\d]\w*)|(?P<file>'[^']*')|(?P<sign>\S)", re.ASCII)
# Types of nodes of Python's syntax tree that a parsed expression may have
_NODES: tuple[type[ast.AST], ...] = (
    *(ast.Expression, ast.Constant, ast.Name, ast.Load, ast.Call),
    *(ast.UnaryOp, ast.UAdd, ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div),
)


@dataclass(frozen=True)
class SignalCall:
    """A function in expressions that returns a signal, such as ``smooth``.

    ``takes_signal``: whether its first argument is a signal. ``numbers``: the other arguments by name, with lowest,
    highest and default value; a default of None: required.
    """

    help: str
    takes_signal: bool
    numbers: Mapping[str, tuple[float, float, float | None]]


# Functions that return signals, by name
CALLS = {
    "band": SignalCall("loudness from LOW to HIGH Hz", False, {"low": (0, 11025, None), "high": (1, 11025, None)}),
    "on_beat": SignalCall("1 on each beat, then falling to a third in DECAY s", False, {"decay": (*RANGE_S, 0.2)}),
    "on_onset": SignalCall("the same, when a sound begins", False, {"decay": (*RANGE_S, 0.2)}),
    "on_cut": SignalCall("the same, on each cut", False, {"decay": (*RANGE_S, 0.2)}),
    "smooth": SignalCall("a signal averaged over about S seconds, before and after", True, {"s": (*RANGE_S, None)}),
    "follow": SignalCall("a signal that rises at once, then falls to a third in S s", True, {"s": (*RANGE_S, None)}),
}


@dataclass(frozen=True)
class Signal:
    """A signal in an expression: a name of a sound or picture signal, a call of CALLS, or a FILE[:COLUMN].

    ``numbers``: the numbers of a call. ``inner``: the signal that a call takes. ``file``: the FILE[:COLUMN].
    """

    name: str
    numbers: tuple[float, ...] = ()
    inner: Signal | None = None
    file: str = ""

    def __str__(self) -> str:
        if self.file:
            return f"'{self.file}'"
        if self.name not in CALLS:
            return self.name
        inner = [str(self.inner)] if self.inner else []
        return f"{self.name}({','.join([*inner, *map(repr, self.numbers)])})"

    @property
    def source(self) -> Signal:
        """Return the innermost signal of nested calls, such as ``low`` of smooth(low, 1)."""
        return self.inner.source if self.inner else self

    @property
    def is_heard(self) -> bool:
        """Return whether the signal comes from the sound."""
        return self.source.name in SOUND_SIGNALS

    @property
    def is_seen(self) -> bool:
        """Return whether the signal comes from the clip's pictures or from a mask."""
        return self.source.name in PICTURE_NAMES


def form(call: str) -> str:
    """Return the syntax of a call of CALLS, such as ``smooth(signal, s)``."""
    inner = ["signal"] if CALLS[call].takes_signal else []
    numbers = [
        name if default is None else f"{name}={default:g}" for name, (*_, default) in CALLS[call].numbers.items()
    ]
    return f"{call}({', '.join([*inner, *numbers])})"


# Functions of numbers by name, with the smallest and largest number of arguments
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
    "smoothstep": (lambda low, high, x: _smoothstep(low, high, x), 3, 3),
    "noise": (lambda x: _noise(x), 1, 1),
}
# Names that a compiled expression can use in addition to its inputs
_GLOBALS = {"__builtins__": {}, PI: math.pi, "pow": math.pow} | {n: f for n, (f, *_) in FUNCTIONS.items()}


@dataclass(frozen=True)
class Expression:
    """A parsed expression: its text in a normal form, and the time variables (``names``) and ``signals`` that it uses.

    ``value`` computes it from the values of the names and of the signals, which are keyed by ``place_of``; it may raise
    ArithmeticError or ValueError, or return NaN or infinity.
    """

    text: str
    names: frozenset[str]
    signals: frozenset[Signal]
    value: Value

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class _Token:
    """A token of an expression, with its kind and its position."""

    kind: str  # "number", "name", "file", "signal", "sign" or "end"
    text: str
    at: int  # Position of its first character, from 0
    signal: Signal | None = None

    @property
    def code(self) -> str:
        """Return the text of the token for Python's parser."""
        if self.signal is not None:
            return place_of(self.signal)
        return repr(float(self.text)) if self.kind == "number" else self.text

    @property
    def normal_form(self) -> str:
        """Return the text of the token in the normal form of the expression."""
        return str(self.signal) if self.signal is not None else self.code


def place_of(signal: Signal) -> str:
    """Return the key of a signal in the mapping ``Values`` of an expression's inputs; it is a valid Python name."""
    return f"signal_{digest_of(str(signal))[:16]}"


@dataclass
class _OpenBracket:
    """An open bracket, or a sign before a value, that the check of the syntax has read but not yet closed.

    ``function``: the name before the bracket of a call. ``commas``: the number of commas in the bracket so far.
    """

    token: _Token
    function: _Token | None = None
    commas: int = 0


class Parser:
    """A parser of an expression: the characters [first, stop) of the text ``whole``.

    ``name``: the name of the option in errors.
    """

    def __init__(self, whole: str, first: int, stop: int, name: str) -> None:
        self.whole, self.name = whole, name
        matches = islice(_TOKEN.finditer(whole, first, stop), MAX_TOKENS)
        self.tokens = [_Token(str(m.lastgroup), m[m.lastgroup or 0], m.start(m.lastgroup or 0)) for m in matches]
        self.tokens.append(_Token("end", "", stop))
        if len(self.tokens) > MAX_TOKENS:
            raise self._error(self.tokens[0], "it is too long", f"write it with at most {MAX_TOKENS} parts")

    def parse(self) -> Expression:
        """Parse the expression. Raises UsageError with the position of the error and a correction."""
        self.tokens = list(self._merge_signal_tokens())
        self._check_syntax()
        # A number that is too large for a float becomes "inf", which Python would parse as a name, so 1e999 is written.
        text = "".join("1e999" if t.code == "inf" else t.code.replace("^", "**") for t in self.tokens)
        tree = _Powers().visit(ast.parse(text, mode="eval"))
        if not all(isinstance(node, _NODES) for node in ast.walk(tree)):
            raise AssertionError(f"a token became something else than a number, a name or an operation: {text}")
        code = compile(ast.fix_missing_locations(tree), "expression", "eval")
        names = frozenset(t.text for t in self.tokens if t.text in TIME_NAMES)
        signals = frozenset(t.signal for t in self.tokens if t.signal is not None)
        normal_form = "".join(t.normal_form for t in self.tokens)
        return Expression(normal_form, names, signals, lambda values: eval(code, _GLOBALS, values))

    def _merge_signal_tokens(self) -> Iterator[_Token]:
        """Yield the tokens, where all tokens of a signal are merged into one. Raises UsageError for an invalid call."""
        at = 0
        while at < len(self.tokens):
            token = self.tokens[at]
            if token.kind == "file" or token.text in (*SOUND_NAMES, *PICTURE_NAMES, *CALLS):
                signal, at = self._parse_signal(at)
                yield replace(token, kind="signal", signal=signal)
            else:
                yield token
                at += 1

    def _parse_signal(self, at: int, depth: int = 0) -> tuple[Signal, int]:
        """Return the signal that begins at token index ``at``, and the index of the token after it.

        Raises UsageError.
        """
        token = self.tokens[at]
        if token.kind == "file":
            if not (file := token.text[1:-1].strip()):
                raise self._error(token, "a file's name is missing", "write 'FILE' or 'FILE:COLUMN'")
            return Signal("file", file=file), at + 1
        if token.text in (*SOUND_NAMES, *PICTURE_NAMES):
            return Signal(token.text), at + 1
        if token.text not in CALLS:
            names = ", ".join([*SOUND_NAMES, *PICTURE_NAMES, *CALLS])
            raise self._error(token, f"{token.text or 'the end'!r} is not a signal", f"choose from: {names}")
        if depth == MAX_CALL_NESTING:
            raise self._error(token, "it is nested too deeply", "write it more simply")
        if self.tokens[at + 1].text != "(":
            raise self._error(token, f"'{token.text}' is a function", f"write {form(token.text)}")
        inner, at = self._parse_signal(at + 2, depth + 1) if CALLS[token.text].takes_signal else (None, at + 2)
        numbers, at = self._parse_numbers(token, at, is_first=inner is None)
        return Signal(token.text, numbers, inner), at

    def _parse_numbers(self, call: _Token, at: int, *, is_first: bool) -> tuple[tuple[float, ...], int]:
        """Return the numbers of a ``call`` up to its ``)``, and the index of the token after it. Raises UsageError.

        ``is_first``: no argument comes before them.
        """
        parameters, arguments = CALLS[call.text].numbers, dict[str, float]()
        while self.tokens[at].text != ")":
            if not is_first:
                if self.tokens[at].text != ",":
                    raise self._error(self.tokens[at], "a comma or a ) is missing", f"write {form(call.text)}")
                at += 1
            is_first = False
            name = next((name for name in parameters if name not in arguments), "")
            if self.tokens[at].kind == "name" and self.tokens[at + 1].text == "=":
                name, at = self.tokens[at].text, at + 2
            token = self.tokens[at]
            if token.kind != "number" or name not in parameters or name in arguments:
                raise self._error(token, f"{token.text or 'the end'!r} is not expected", f"write {form(call.text)}")
            low, high, _ = parameters[name]
            if not low <= float(token.text) <= high:
                raise self._error(token, f"{name} is out of bounds", f"choose {low:g} to {high:g}")
            arguments[name] = float(token.text)
            at += 1
        for name, (_, _, default) in parameters.items():
            if arguments.setdefault(name, math.nan if default is None else default) != arguments[name]:
                raise self._error(call, f"{name} is missing", f"write {form(call.text)}")
        if call.text == "band" and arguments["low"] >= arguments["high"]:
            raise self._error(call, "low is not below high", f"write {form(call.text)}")
        return tuple(arguments[name] for name in parameters), at + 1

    def _check_syntax(self) -> None:
        """Raise UsageError unless values and operators alternate, brackets match, and all names are known."""
        open_brackets: list[_OpenBracket] = []
        for before, token in pairwise([_Token("sign", "", 0), *self.tokens]):
            if before.text in FUNCTIONS and token.text != "(":
                raise self._error(before, f"'{before.text}' is a function", f"write {before.text}(…)")
            if before.kind in ("number", "signal") or before.text in (*TIME_NAMES, PI, ")"):
                while open_brackets and open_brackets[-1].token.text != "(":  # Signs before a value end with the value
                    open_brackets.pop()
                self._check_operator(token, open_brackets)
            else:
                self._check_value(before, token, open_brackets)

    def _check_value(self, before: _Token, token: _Token, open_brackets: list[_OpenBracket]) -> None:
        """Raise UsageError if ``token``, which follows ``before``, cannot start a value; store a bracket or a sign."""
        if len(open_brackets) == MAX_NESTING:
            raise self._error(token, "it is nested too deeply", "write it more simply")
        if token.kind == "name" and token.text not in (*NAMES, *FUNCTIONS):
            names = [*NAMES, *FUNCTIONS, *CALLS]
            near = get_close_matches(token.text.lower(), names, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise self._error(token, f"'{token.text}' is not known", f"{hint}choose from: {', '.join(names)}")
        if token.text in ("(", "+", "-"):
            open_brackets.append(_OpenBracket(token, before if before.text in FUNCTIONS else None))
        elif token.kind not in ("name", "number", "signal"):
            text = f"'{token.text}'" if token.text else "the end"
            is_python_power = token.text == before.text == "*"
            remedy = "use ^ for powers" if is_python_power else "a number, a name or ( belongs there"
            raise self._error(token, f"{text} is not expected", remedy)

    def _check_operator(self, token: _Token, open_brackets: list[_OpenBracket]) -> None:
        """Raise UsageError if ``token`` cannot follow a value; a closed bracket is removed from ``open_brackets``."""
        inside = open_brackets[-1] if open_brackets else None
        if token.text in ("+", "-", "*", "/", "^") or (token.kind == "end" and not inside):
            return
        if inside and token.text == ")":
            open_brackets.pop()
            if inside.function:
                self._check_count(inside.function, inside.commas + 1)
        elif inside and inside.function and token.text == ",":
            inside.commas += 1
        elif inside:
            why = f"'{token.text}' is not expected" if token.text else "a ) is missing"
            raise self._error(token, why, f"the ( at character {inside.token.at + 1} is still open")
        else:
            remedy = "an operator (+ - * / ^) belongs there"
            if token.text == "%":
                percentage = re.search(r"[\d.]+\s*$", self.whole[: token.at])
                remedy = (
                    f"write {float(percentage[0]) / 100:g} for {percentage[0]}%" if percentage else "write 0.5 for 50%"
                )
            elif token.text == ")":
                remedy = "there is no ( for it"
            elif token.kind != "sign":
                remedy += ", as in 2*t"
            raise self._error(token, f"'{token.text}' is not expected", remedy)

    def _check_count(self, function: _Token, count: int) -> None:
        """Raise UsageError if ``count`` arguments are too few or too many for a function."""
        _, least, most = FUNCTIONS[function.text]
        if not least <= count <= most:
            counts = f"{least}" if least == most else f"{least} to {most}"
            why = f"'{function.text}' takes {counts} value{'s' * (most > 1)}, not {count}"
            raise self._error(function, why, "put a comma between values")

    def _error(self, token: _Token, why: str, remedy: str) -> UsageError:
        """Return a UsageError with the position of a token."""
        return UsageError(f"{self.name} '{self.whole}'", f"at character {token.at + 1}: {why}", remedy)


class _Powers(ast.NodeTransformer):
    """A replacement of powers by calls of ``math.pow``: Python's ``**`` returns complex numbers for negative bases."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Return a call of ``pow`` for a power; other operations unchanged."""
        self.generic_visit(node)
        if not isinstance(node.op, ast.Pow):
            return node
        return ast.Call(ast.Name("pow", ast.Load()), [node.left, node.right], [])


def _smoothstep(low: float, high: float, x: float) -> float:
    """Return 0 below ``low``, 1 above ``high``, and a smooth transition between them (3x² − 2x³)."""
    share = max(0.0, min(1.0, (x - low) / (high - low)))
    return share * share * (3 - 2 * share)


def _noise(x: float) -> float:
    """Return smooth noise from -1 to 1, with about one swing per unit of ``x``; it is equal on all machines."""
    first = math.floor(x)
    share = _smoothstep(0.0, 1.0, x - first)
    one, other = (_hash(first + n) for n in (0, 1))
    return one + share * (other - one)


def _hash(number: int) -> float:
    """Return a pseudo-random number from -1 to 1 for an integer (the finaliser of MurmurHash3)."""
    mixed = (number + 0x9E3779B9) & 0xFFFFFFFF  # The finaliser maps 0 to 0
    for factor, shift in ((0x85EBCA6B, 16), (0xC2B2AE35, 13)):
        mixed = ((mixed ^ (mixed >> shift)) * factor) & 0xFFFFFFFF
    return (mixed ^ (mixed >> 16)) / 0x7FFFFFFF - 1
