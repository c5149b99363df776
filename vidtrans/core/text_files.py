"""Read text and tables as editors and spreadsheets save them: in any common encoding, with any separator.

Also JSON of pages and of files in the project, checked so that it can be sent on to pages: Python's parser accepts NaN,
infinity and halves of surrogate pairs. A browser's parser refuses the first two, and UTF-8 has no code for the last.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from vidtrans.core.errors import UsageError, VidtransError
from vidtrans.core.files import canonical_json, check_regular_file, parse_json, read_small_file
from vidtrans.core.registry import name_check
from vidtrans.core.system import as_found

NO_TEXT = "it is not a text file"
SEPARATORS = "\t;|,"  # in the order of preference: a comma may be a decimal sign too
SAMPLED_ROWS = 50  # of a table, by which its separator is found
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before that of UTF-16, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATOR_LINE = re.compile(r'"?sep=(?P<sign>[^\n])"?\n', re.IGNORECASE)  # written and read by Excel
_BINARY = re.compile(r"[\0-\x08\x0e-\x19\x1c-\x1f\x7f]")
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*)?")


def text_encoding(data: bytes) -> str:
    """Return the codec of a text, which ``data`` begins: UTF-8, 16 or 32, else Windows' for Latin letters."""
    if named := next((name for mark, name in _MARKS if data.startswith(mark)), ""):
        return named
    head = data[:4096]
    zeros = head[::2].count(0), head[1::2].count(0)
    if len(head) > 3 and max(zeros) > 0.2 * len(head) and not min(zeros):  # UTF-16 without a mark
        return "utf-16-be" if zeros[0] else "utf-16-le"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)  # its last letter may be cut
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def decode_text(data: bytes) -> str:
    """Return the text in the content of a file, or in its beginning, with Unix line ends. Raises ValueError."""
    text = data.decode(text_encoding(data), "replace")
    if _BINARY.search(text):
        raise ValueError(NO_TEXT)
    return text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def read_text(path: Path, error: type[VidtransError] = UsageError, what: str = "", remedy: str = "") -> str:
    """Return the text in a file of at most 256 MiB.

    Raises ``error`` about ``what``, by default the path, where it cannot be read; ``remedy``: for a file without text.
    """
    what, path = what or str(path), as_found(path)
    check_regular_file(path, error)
    try:
        return decode_text(read_small_file(path))
    except FileNotFoundError:
        raise error(what, "no such file", name_check(path)) from None
    except IsADirectoryError:
        raise error(what, "it is a folder", "give a file") from None
    except PermissionError:
        raise error(what, "permission denied", "make the file readable") from None
    except OSError as failure:
        raise error(what, (failure.strerror or str(failure)).lower(), "check the file") from None
    except ValueError as failure:
        raise error(what, str(failure), remedy or "save it as text, in UTF-8") from None


class TableRow(NamedTuple):
    """A row of a table: its last ``line`` in the file, counted from 1, and its cells."""

    line: int
    cells: list[str]


def read_rows(text: str) -> Iterator[TableRow]:
    """Yield the rows of a table, without empty ones; cells have no spaces around them.

    Cells are separated by what ``sep=`` in the first line names, else by the tab, ``;``, ``|`` or comma that divides
    most rows alike. Raises ValueError for a cell of more than 128 KB.
    """
    first = _SEPARATOR_LINE.match(text)
    if first:
        text = text[first.end() :]
    separator = first["sign"] if first else _separator(text)
    for line, cells in _parsed(text, separator):
        row = [cell.strip() for cell in cells]
        if separator == ",":
            row = [cell.replace(",", "") if _THOUSANDS.fullmatch(cell) else cell for cell in row]
        if any(row):
            yield TableRow(line + bool(first), row)


def _separator(text: str) -> str:
    """Return the separator that gives most rows the same number of cells."""
    alike = {}
    for separator in SEPARATORS:
        counts = [len(cells) for _, cells in islice(_parsed(text, separator), SAMPLED_ROWS)]
        divided = [count for count in counts if count > 1]
        alike[separator] = max((divided.count(count) for count in set(divided)), default=0)
    return max(alike, key=alike.__getitem__) if any(alike.values()) else ","  # of equals the first


def _parsed(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        yield from ((reader.line_num, cells) for cells in reader)
    except csv.Error:
        raise ValueError(f"line {reader.line_num}: a cell is too long") from None


def parse_number(text: str) -> float:
    """Return the number in a cell, whose decimal sign may be a comma. Raises ValueError."""
    plain = text.strip().replace("\u00a0", "").replace("\u202f", "")
    if "," in plain:
        groups, decimal = (".", ",") if plain.rfind(",") > plain.rfind(".") else (",", ".")
        plain = plain.replace(groups, "").replace(decimal, ".")
    return float(plain)


def parse_table(text: str | bytes) -> dict[str, Any]:
    """Parse a JSON object. Raises ValueError for other text."""
    return _checked_object(parse_json(text))


def parse_own_table(text: str | bytes) -> dict[str, Any]:
    """Parse a JSON object that a command wrote; NaN and infinity in it become null. Raises ValueError."""
    try:
        return _checked_object(json.loads(text, parse_constant=lambda _: None))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_table(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, as ``parse_own_table``; None if the file is missing or damaged."""
    with suppress(OSError, ValueError):
        return parse_own_table(read_small_file(path))
    return None


def _checked_object(found: object) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    canonical_json(found).encode()  # raises ValueError on what cannot be sent
    return found


def is_count(value: object) -> TypeGuard[int]:
    """Return whether a value is a whole number from 0."""
    return type(value) is int and 0 <= value < 1 << 40
