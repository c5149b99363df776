"""JSON of pages and of files in the project, checked so that it can be sent on to pages.

Python's parser accepts NaN, infinity and halves of surrogate pairs. A browser's parser refuses the first two, and UTF-8
has no code for the last.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TypeGuard

from vidtrans.core.files import canonical_json, parse_json, read_small_file
from vidtrans.core.settings import Table


def parse_table(text: str | bytes) -> Table:
    """Parse a JSON object. Raises ValueError for other text."""
    return _checked(parse_json(text))


def parse_own_table(text: str | bytes) -> Table:
    """Parse a JSON object that a command wrote; NaN and infinity in it become null. Raises ValueError."""
    try:
        return _checked(json.loads(text, parse_constant=lambda _: None))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_table(path: Path) -> Table | None:
    """Return the JSON object in a file, as ``parse_own_table``; None if the file is missing or damaged."""
    with suppress(OSError, ValueError):
        return parse_own_table(read_small_file(path))
    return None


def _checked(found: object) -> Table:
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    canonical_json(found).encode()  # raises ValueError on what cannot be sent
    return found


def is_count(value: object) -> TypeGuard[int]:
    """Return whether a value is a whole number from 0."""
    return type(value) is int and 0 <= value < 1 << 40
