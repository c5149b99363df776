"""Run the rows of a table, each in an empty folder, and compare what they measure with the right value."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import chdir
from pathlib import Path

from benchmarks import harness

Row = tuple[str, str, Callable[[], object], object]  # its kind, its case, what measures it, and the right value


def measured(row: Callable[[], object]) -> object:
    """Return what a row measures in a folder of its own; a text where the command made nothing."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "in"
        place.mkdir()
        try:
            with chdir(place):
                return row()
        except (OSError, IndexError) as error:
            return f"nothing: {error}"


def run_rows(rows: Sequence[Row], doc: str | None) -> int:
    """Print a table of the rows, or of those that ``--only`` names; return 1 if a value is not the right one."""
    parser = harness.parser(doc)
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows with this in their name")
    only, differs = parser.parse_args().only, 0
    sys.stdout.write("| kind | case | right | measured |\n| --- | --- | --- | --- |\n")
    for kind, name, row, right in rows:
        if only in f"{kind} {name}":
            value = measured(row)
            differs += value != right
            sys.stdout.write(f"| {kind} | {name} | {right} | {value}{'' if value == right else ' **differs**'} |\n")
            sys.stdout.flush()
    return int(differs > 0)
