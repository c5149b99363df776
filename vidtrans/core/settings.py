"""Settings: frozen dataclasses filled from tables of TOML or JSON, and parsers of times, sizes, rates and assignments.

A settings class is a frozen dataclass whose fields, declared as in ``options.py``, are str, int, float, bool, tuples of
these, or one of them ``| None``. Unknown keys and wrong types are refused with a list of the valid ones.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Self, TypeVar

from vidtrans.core.errors import UsageError
from vidtrans.core.options import Names, Option, option_of, type_hints
from vidtrans.core.registry import unknown_name
from vidtrans.core.system import WINDOWS
from vidtrans.core.text_files import read_text

T = TypeVar("T")  # A settings class
LARGEST_INT = 2**63 - 1  # Largest integer that TOML requires parsers to support
MAX_DEPTH = 32  # Maximum depth of nested tables and lists in a TOML file; a list of clips needs 5
# A frame rate: a decimal number, optionally divided by an integer: 23.976, 30000/1001
_RATE = re.compile(r"[0-9]{0,12}(\.[0-9]{0,12})?(/[0-9]{1,12})?", re.ASCII)
Table = dict[str, Any]  # A table of TOML or JSON
SettingFields = dict[str, tuple[dataclasses.Field[Any], Any]]  # Dataclass field and type of each setting, by key


class JoinedSettings:
    """Base class for settings whose table combines the keys of several classes; ``of`` builds one from values."""

    @classmethod
    def table_fields(cls, wanted: Collection[str] = ()) -> SettingFields:
        """Return the dataclass field and the type of each setting of all joined classes, by key.

        Settings of plug-ins are included only if ``wanted`` has their keys. Raises PluginError if one does not load.
        """
        raise NotImplementedError

    @classmethod
    def of(cls, **values: Any) -> Self:  # noqa: ANN401  (of settings)
        """Build the settings from values by key; missing keys get their defaults. Raises ValueError."""
        raise NotImplementedError

    def values(self) -> Table:
        """Return the values of all settings by key."""
        raise NotImplementedError


def setting_fields(cls: Any, wanted: Collection[str] = ()) -> SettingFields:  # noqa: ANN401
    """Return the dataclass field and the type of each setting of a class, by key.

    ``wanted``: the keys of plug-ins to include, see ``JoinedSettings.table_fields``.
    """
    if issubclass(cls, JoinedSettings):
        return cls.table_fields(wanted)
    hints = type_hints(cls)
    return {f.name: (f, hints[f.name]) for f in dataclasses.fields(cls)}


def from_table(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """Build the settings class ``cls`` from a table. ``where``: the table's name in errors ('training')."""
    known = setting_fields(cls, table.keys())
    values: Table = {}
    for key, value in table.items():
        if key not in known:
            raise unknown_name(f"key '{where}.{key}': the table [{where}] has no setting", key, list(known))
        field, hint = known[key]
        values[key] = _coerce(value, hint, f"{where}.{key}")
        _check(values[key], option_of(field), f"{where}.{key}")
    try:
        return cls.of(**values) if issubclass(cls, JoinedSettings) else cls(**values)
    except ValueError as error:
        raise UsageError(f"settings in [{where}] do not fit together", str(error)) from None


def to_table(settings: Any) -> Table:  # noqa: ANN401  (of any settings class)
    """Return all settings, including defaults, as a table for JSON; tuples become lists."""
    if isinstance(settings, JoinedSettings):
        values = settings.values()
    else:
        values = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


def record_table(settings: Any) -> Table:  # noqa: ANN401  (of any settings class)
    """Return settings as a table for records and cache keys.

    The fields that the settings class lists in ``unrecorded`` do not affect results, and are left out.
    """
    unrecorded = getattr(type(settings), "unrecorded", ())
    return {name: value for name, value in to_table(settings).items() if name not in unrecorded}


def _coerce(value: Any, hint: Any, name: str) -> Any:  # noqa: ANN401  (types of TOML values)
    """Convert a TOML value to the type ``hint``. ``name``: the setting's name in errors. Raises UsageError."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        if option is type(None):
            if value is None or value == "none":
                return None
        elif typing.get_origin(option) is tuple:
            if isinstance(value, list | tuple):
                return tuple(_coerce(v, typing.get_args(option)[0], name) for v in value)
        elif option is float and type(value) in (int, float):
            if abs(value) <= sys.float_info.max:  # False for NaN, infinity, and integers that are too large.
                return float(value)
        elif option is str and type(value) is int:
            return str(value)  # such as size = 256
        elif type(value) is option:
            return value
    type_names: dict[Any, str] = {
        bool: "true or false",
        int: "a whole number",
        float: "a finite number",
        str: "text",
        types.NoneType: '"none"',
    }
    expected = " or ".join(type_names.get(o, "a list" if typing.get_origin(o) is tuple else str(o)) for o in options)
    raise UsageError(f"{name} = {_quote(value)}", f"it must be {expected}", "see 'vidtrans preset show'")


def _quote(value: object) -> str:
    """Return a value as Python text for messages; a description if it is a huge number or deeply nested."""
    try:
        return repr(value)
    except ValueError:
        return "a number of thousands of digits"
    except RecursionError:
        return "a deeply nested value"


def _check(value: Any, option: Option, name: str) -> None:  # noqa: ANN401  (a coerced value)
    """Raise UsageError if a setting's value is out of bounds or not a valid choice. ``name``: as ``table.key``."""
    (low, high), choices = option.bounds or (None, None), option.choices
    for one in value if isinstance(value, tuple) else () if value is None else (value,):
        if type(one) is int and abs(one) > LARGEST_INT:
            raise UsageError(f"{name} = {_quote(one)}", "out of bounds", "choose a smaller number")
        if choices is not None and one not in choices and not (isinstance(choices, Names) and choices.prefix):
            raise UsageError(f"{name} = {one!r}", "", f"choose from: {', '.join(map(str, choices))}")
        if (low is not None and one < low) or (high is not None and one > high):
            ends = [f"at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None)
            bounds = f"from {low} to {high}" if len(ends) == 2 else f"of {ends[0]}"
            raise UsageError(f"{name} = {one!r}", "out of bounds", f"choose a value {bounds}")


def parse_assignment(text: str) -> tuple[str, str, Any]:
    """Parse ``'training.lr=0.001'`` to ``('training', 'lr', 0.001)``, and ``'lr=0.001'`` to ``('', 'lr', 0.001)``.

    A value that is not valid TOML is text. Raises UsageError.
    """
    key, equals, value = text.partition("=")
    found = parse_key(key)
    if not equals or found is None:
        raise UsageError(f"--set {text}", "it is not of the form table.key=value", "as in training.lr=0.0004")
    return *found, parse_value(value.strip())


def parse_key(text: str) -> tuple[str, str] | None:
    """Parse ``'training.lr'`` to ``('training', 'lr')`` and ``'lr'`` to ``('', 'lr')``; None for an invalid key."""
    match = re.fullmatch(r"(?:([a-z_]+)\.)?([a-z0-9_]+)", text.strip())
    return (match[1] or "", match[2]) if match else None


def read_toml(path: Path) -> Table:
    """Read a TOML file. Raises UsageError."""
    text = read_text(path)
    try:
        return _parse_toml(text)
    except ValueError as error:
        remedy = "write paths in 'single quotes', or with /" if "\\" in str(error) else "correct it"
        raise UsageError(str(path), f"not valid TOML ({error})", remedy) from None


def _parse_toml(text: str) -> Table:
    """Parse TOML. Raises tomllib.TOMLDecodeError, and ValueError for values that no setting accepts."""
    import tomllib

    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None
    except ValueError as error:
        if isinstance(error, tomllib.TOMLDecodeError):
            raise
        raise ValueError("a number in it has too many digits") from None
    found: list[tuple[Any, int]] = [(table, 0)]
    while found:
        value, depth = found.pop()
        if depth > MAX_DEPTH:  # tomllib accepts any number of dotted keys, and readers of the table recurse.
            raise ValueError("its tables are nested too deeply")
        if isinstance(value, dict | list):
            found += [(v, depth + 1) for v in (value.values() if isinstance(value, dict) else value)]
        elif type(value) is int and abs(value) > LARGEST_INT:
            raise ValueError("a number in it is too large")
    return table


# A Windows path in quotes ("C:\new"), which is valid TOML only if its backslashes are doubled: \n is a line break
_WINDOWS_PATH = re.compile(r'"((?:[A-Za-z]:\\|\\\\)[^"]*)"')


def parse_value(text: str) -> Any:  # noqa: ANN401  (a TOML value)
    """Parse the text of a TOML value; text that is not TOML is returned unchanged.

    Raises UsageError for values that no setting accepts, such as numbers with thousands of digits.
    """
    import tomllib

    path = _WINDOWS_PATH.fullmatch(text) if WINDOWS else None
    if path and "\\\\" not in path[1][2:]:
        return path[1]
    try:
        return _parse_toml(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text
    except ValueError as error:
        raise UsageError(f"the value {text}", str(error), "give a shorter one") from None


def value_text(value: Any) -> str:  # noqa: ANN401  (a TOML value)
    """Format a setting's value as text that ``parse_value`` converts back to the value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z_][\w./-]*", value) and parse_value(value) == value
        return value if plain else _quoted(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_quoted(item) if isinstance(item, str) else value_text(item) for item in value)}]"
    return str(value)


def _quoted(text: str) -> str:
    """Return a text in double quotes, as TOML and JSON write it."""
    return json.dumps(text, ensure_ascii=False)


def parse_rate(text: str) -> Fraction:
    """Parse a frame rate such as ``24``, ``23.976`` or ``30000/1001``. Raises ValueError, ZeroDivisionError.

    The number of digits is limited, and exponents, which Fraction accepts, are refused: they could fill the memory.
    """
    if not _RATE.fullmatch(text):
        raise ValueError("it is not a frame rate")
    number, _, divisor = text.partition("/")
    return Fraction(number) / Fraction(divisor or 1)


@dataclass(frozen=True)
class Time:
    """A position in a clip: a frame number counted from 0, or seconds from the first frame."""

    frame: int | None = None
    seconds: Fraction | None = None

    def __str__(self) -> str:
        # Format a Decimal, because ``parse_time`` reads no exponent.
        return f"{self.frame}" if self.frame is not None else f"{Decimal(repr(float(self.seconds or 0))):f}s"


MAX_TIME_CHARS = 40  # Maximum length of a time as text, in characters


def parse_time(text: str) -> Time:
    """Parse ``HH:MM:SS.mmm`` (or ``MM:SS``), ``12.5s`` or a frame number. Raises UsageError."""
    text = text.strip()
    if len(text) > MAX_TIME_CHARS:
        raise UsageError(f"time '{text}'", "it is too long", "use HH:MM:SS.mmm, 12.5s or a frame number from 0")
    if re.fullmatch(r"\d+", text, re.ASCII):
        return Time(frame=int(text))
    if match := re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)s", text, re.ASCII):
        return Time(seconds=Fraction(match[1]))
    if match := re.fullmatch(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)", text, re.ASCII):
        hours, minutes, seconds = int(match[1] or 0), int(match[2]), Fraction(match[3])
        if seconds < 60 and (minutes < 60 or not match[1]):
            return Time(seconds=hours * 3600 + minutes * 60 + seconds)
    raise UsageError(f"time '{text}'", "it is not a time", "use HH:MM:SS.mmm, 12.5s or a frame number from 0")


@dataclass(frozen=True)
class Size:
    """A working size: the maximum of the short side, or exactly width × height, or (both None) the source's size.

    ``least``: the minimum of the short side; 0 enlarges nothing. All in pixels.
    """

    short: int | None = None
    exact: tuple[int, int] | None = None
    least: int = 0

    def of(self, width: int, height: int) -> tuple[int, int]:
        """Return the working size (width, height) for a source of ``width`` × ``height``, all in pixels."""
        if self.exact:
            return self.exact
        side = min(width, height)
        short = max(side if self.short is None else min(side, self.short), self.least)
        if short == side:
            return width, height
        scale = Fraction(short, side)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def __str__(self) -> str:
        if self.exact:
            return f"{self.exact[0]}x{self.exact[1]}"
        return "source" if self.short is None else str(self.short)


SOURCE_SIZE = Size()  # Working size equal to the source's size
SMALLEST_SIDE, LARGEST_SIDE = 16, 8192  # Smallest and largest valid side of a working size, in pixels


def parse_size(text: str | int) -> Size:
    """Parse a working size: ``256`` (short side), ``640x360`` or ``source``. Raises UsageError."""
    text = str(text).strip().lower()
    if text == "source":
        return Size()
    if match := re.fullmatch(r"(\d{1,5})(?:[x×](\d{1,5}))?", text, re.ASCII):
        numbers = [int(n) for n in match.groups() if n]
        if all(SMALLEST_SIDE <= n <= LARGEST_SIDE for n in numbers):
            return Size(short=numbers[0]) if len(numbers) == 1 else Size(exact=(numbers[0], numbers[1]))
    raise UsageError(
        f"size '{text}'",
        f"it is not a size of {SMALLEST_SIDE} to {LARGEST_SIDE} pixels a side",
        "use 256 (the short side), 640x360 or source",
    )
