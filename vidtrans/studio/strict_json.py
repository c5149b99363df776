"""JSON of pages and of files in the project, checked so that it can be sent on to pages.

Python's parser accepts NaN, infinity and halves of surrogate pairs. A browser's parser refuses the first two, and UTF-8
has no code for the last.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from vidtrans.core.files import canonical_json, parse_json, read_small_file
from vidtrans.core.settings import Table


def parse_table(text: str | bytes) -> Table:
    """Parse a JSON object. Raises ValueError for other text."""
    found = parse_json(text)
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    canonical_json(found).encode()  # raises ValueError on what cannot be sent
    return found


def read_table(path: Path) -> Table | None:
    """Return the JSON object in a file; None if the file is missing or damaged."""
    with suppress(OSError, ValueError):
        return parse_table(read_small_file(path))
    return None
