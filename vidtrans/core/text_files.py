"""Text and tables in any common encoding and with any separator, as editors and spreadsheets save them.

Also parse JSON of pages and project files, and check that a page can parse it again: Python's parser accepts NaN,
infinity and lone surrogates, while browsers refuse NaN and infinity, and UTF-8 cannot encode lone surrogates.
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
from vidtrans.core.registry import missing_file_remedy
from vidtrans.core.system import path_as_stored

NOT_TEXT = "it is not a text file"  # Reason in the error for a file with binary content
# Separators of a table's cells in order of preference; the comma is last, because it may be a decimal sign
SEPARATORS = "\t;|,"
NUM_SAMPLED_ROWS = 50  # Number of first rows from which the separator of a table's cells is detected
# Byte order marks at the beginning of a file, with Python's names of the encodings
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # It precedes the mark of UTF-16, because it begins with that mark.
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# First line of a table that names its separator, as Excel writes it: sep=;
_SEPARATOR_LINE = re.compile(r'"?sep=(?P<sign>[^\n])"?\n', re.IGNORECASE)
_BINARY = re.compile(r"[\0-\x08\x0e-\x19\x1c-\x1f\x7f]")  # Control characters that text files do not contain
# A number with commas between groups of three digits: 1,234,567.8
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*)?")


def text_encoding(data: bytes) -> str:
    """Return Python's name of a text's encoding, from its first bytes: UTF-8, UTF-16, UTF-32, else Windows-1252."""
    if named := next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), ""):
        return named
    head = data[:4096]
    zeros = head[::2].count(0), head[1::2].count(0)
    if len(head) > 3 and max(zeros) > 0.2 * len(head) and not min(zeros):  # UTF-16 without a byte order mark
        return "utf-16-be" if zeros[0] else "utf-16-le"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)  # The last character may be incomplete.
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def decode_text(data: bytes) -> str:
    """Decode the content of a file, or its first bytes, to text with Unix line ends. Raises ValueError."""
    text = data.decode(text_encoding(data), "replace")
    if _BINARY.search(text):
        raise ValueError(NOT_TEXT)
    return text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def read_text(path: Path, error: type[VidtransError] = UsageError, what: str = "", remedy: str = "") -> str:
    """Return the text in a file of at most 256 MiB.

    Raises ``error`` about ``what``, by default the path, if it cannot be read. ``remedy``: for a file that is not text.
    """
    what, path = what or str(path), path_as_stored(path)
    check_regular_file(path, error)
    try:
        return decode_text(read_small_file(path))
    except FileNotFoundError:
        raise error(what, "no such file", missing_file_remedy(path)) from None
    except IsADirectoryError:
        raise error(what, "it is a folder", "give a file") from None
    except PermissionError:
        raise error(what, "permission denied", "make the file readable") from None
    except OSError as failure:
        raise error(what, (failure.strerror or str(failure)).lower(), "check the file") from None
    except ValueError as failure:
        raise error(what, str(failure), remedy or "save it as text, in UTF-8") from None


class TableRow(NamedTuple):
    """A row of a table: its cells, and the number of its last ``line`` in the file, counted from 1."""

    line: int
    cells: list[str]


def read_rows(text: str) -> Iterator[TableRow]:
    """Yield the rows of a table without empty rows; spaces around cells are removed.

    The separator is given by ``sep=`` in the first line; otherwise it is the tab, ``;``, ``|`` or comma that gives most
    rows the same number of cells. Raises ValueError for a cell of more than 128 KB.
    """
    first = _SEPARATOR_LINE.match(text)
    if first:
        text = text[first.end() :]
    separator = first["sign"] if first else _separator(text)
    for line, cells in _parse_rows(text, separator):
        row = [cell.strip() for cell in cells]
        if separator == ",":
            row = [cell.replace(",", "") if _THOUSANDS.fullmatch(cell) else cell for cell in row]
        if any(row):
            yield TableRow(line + bool(first), row)


def _separator(text: str) -> str:
    """Return the separator of a table's cells: the one that gives most rows the same number of cells."""
    alike = {}
    for separator in SEPARATORS:
        counts = [len(cells) for _, cells in islice(_parse_rows(text, separator), NUM_SAMPLED_ROWS)]
        divided = [count for count in counts if count > 1]
        alike[separator] = max((divided.count(count) for count in set(divided)), default=0)
    return max(alike, key=alike.__getitem__) if any(alike.values()) else ","  # ``max`` prefers the first of equals.


def _parse_rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the last line and the cells of each row. Raises ValueError for a cell that is too long."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        yield from ((reader.line_num, cells) for cells in reader)
    except csv.Error:
        raise ValueError(f"line {reader.line_num}: a cell is too long") from None


def parse_number(text: str) -> float:
    """Parse the number in a cell, whose decimal sign may be a comma. Raises ValueError."""
    plain = text.strip().replace("\u00a0", "").replace("\u202f", "")
    if "," in plain:
        groups, decimal = (".", ",") if plain.rfind(",") > plain.rfind(".") else (",", ".")
        plain = plain.replace(groups, "").replace(decimal, ".")
    return float(plain)


def parse_table(text: str | bytes) -> dict[str, Any]:
    """Parse a JSON object. Raises ValueError for other text."""
    return _checked_object(parse_json(text))


def parse_own_table(text: str | bytes) -> dict[str, Any]:
    """Parse a JSON object that a command wrote; NaN and infinity become None. Raises ValueError."""
    try:
        return _checked_object(json.loads(text, parse_constant=lambda _: None))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_table(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, parsed by ``parse_own_table``; None if the file is missing or damaged."""
    with suppress(OSError, ValueError):
        return parse_own_table(read_small_file(path))
    return None


def _checked_object(value: object) -> dict[str, Any]:
    """Return a JSON object unchanged. Raises ValueError for other values, and for values that a page cannot parse."""
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    canonical_json(value).encode()  # Raises ValueError for values that a page cannot parse.
    return value


def is_count(value: object) -> TypeGuard[int]:
    """Return whether a value is an integer of at least 0 and less than 2^40."""
    return type(value) is int and 0 <= value < 1 << 40
