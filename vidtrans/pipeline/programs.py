"""Who may run the user's own ffmpeg, and with what.

A filter graph can read and write any file, and so can some options of encoders. They are taken from flags and
variables, and from a preset or a list that was named on the command line, which is then told; never from a file that
merely lies in the folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from vidtrans.errors import UsageError
from vidtrans.events import Note, Report
from vidtrans.video.encoding import USERS
from vidtrans.video.program import find_program

Tables = Mapping[str, Mapping[str, Any]]
# What gives a program its orders, by table and key, and the flag for it.
FLAGS = {
    ("encoding", "filter"): "--filter",
    ("rendering", "source_filter"): "--filter-source",
    ("encoding", "codec"): "--codec",
    ("encoding", "options"): "--set encoding.options=…",
}


def programs_in(tables: Tables) -> dict[str, str]:
    """Return the settings among ``tables`` that give the user's ffmpeg its orders: 'table.key' → value."""
    found = {}
    for table, key in FLAGS:
        value = tables.get(table, {}).get(key, "")
        if value and (key != "codec" or str(value).startswith(USERS)):
            found[f"{table}.{key}"] = str(value)
    return found


def refuse_programs(tables: Tables, file: str) -> None:
    """Raise UsageError where ``file``, which nobody named on the command line, gives ffmpeg orders."""
    for name in programs_in(tables):
        table, _, key = name.partition(".")
        why = "a file that lies in the folder may not run a program, and ffmpeg can write any file"
        raise UsageError(f"{name} in {file}", why, f"give it with {FLAGS[table, key]}, or in a --preset FILE")


def programs_from(source: str, tables: Tables, merged: Tables) -> tuple[str, ...]:
    """Return a line for each order to ffmpeg that ``source`` gives and that is in force in ``merged``."""
    in_force = programs_in(merged)
    return tuple(f"{source}: {k} = {v!r}" for k, v in programs_in(tables).items() if in_force.get(k) == v)


def tell_programs(lines: Iterable[str], report: Report) -> None:
    """Report which program is run for a preset or a list, each line of ``programs_from`` once."""
    program = Path("ffmpeg")
    with suppress(UsageError):  # there is none: the job itself says so
        program = find_program()
    for line in dict.fromkeys(lines):
        report(Note(f"{line} is run with {program}"))
