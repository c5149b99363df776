"""Decide which settings may run the user's own ffmpeg, and report each such run.

A filter graph can read and write any file, and so can some encoder options. They are accepted from flags and
variables, and, with a warning, from a preset or a list named on the command line; never from a file that
was found in the current folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidtrans.core.errors import UsageError

if TYPE_CHECKING:
    from vidtrans.session import Context

Tables = Mapping[str, Mapping[str, Any]]
# What gives a program its orders, by table and key, and the flag for it.
RUNS = "a file in the folder may not run a program, as ffmpeg can write any file"
FLAGS = {
    ("encoding", "filter"): "--filter",
    ("rendering", "source_filter"): "--filter-source",
    ("encoding", "codec"): "--codec",
    ("encoding", "options"): "--set encoding.options=…",
}


def programs_in(tables: Tables) -> dict[str, str]:
    """Return the settings in ``tables`` that the user's ffmpeg runs with: 'table.key' → value."""
    from vidtrans.video.io.encoding import FFMPEG_PREFIX  # it imports av

    found = {}
    for table, key in FLAGS:
        value = tables.get(table, {}).get(key, "")
        if value and isinstance(value, str | int) and (key != "codec" or str(value).startswith(FFMPEG_PREFIX)):
            found[f"{table}.{key}"] = str(value)
    return found


def refuse_programs(tables: Tables, file: str) -> None:
    """Raise UsageError if ``file``, which was not named on the command line, has settings that control ffmpeg."""
    for name in programs_in(tables):
        table, _, key = name.partition(".")
        raise UsageError(
            f"{name} in {file}",
            RUNS,
            f"take it out: 'vidtrans stylize' takes it as {FLAGS[table, key]}, or in a --preset FILE",
        )


@dataclass(frozen=True)
class ProgramSetting:
    """A setting ``table.key`` that controls ffmpeg, and the preset or list (``source``) that contains it."""

    source: str
    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.source}: {self.name} = {self.value!r}"


def programs_from(source: str, tables: Tables, above: Tables) -> tuple[ProgramSetting, ...]:
    """Return the settings in ``source`` that control ffmpeg and are not overridden by the tables ``above``."""
    given = {f"{table}.{key}" for table, values in above.items() for key in values}
    return tuple(ProgramSetting(source, k, v) for k, v in programs_in(tables).items() if k not in given)


def warn_about_programs(
    settings: Iterable[ProgramSetting], context: Context, tables: Sequence[str] = ("encoding", "rendering")
) -> None:
    """Warn, once for each setting of a preset or a list, which program it runs. Call it just before the run.

    ``tables``: the tables that the command reads.
    """
    from vidtrans.video.ffmpeg import find_program

    program = Path("ffmpeg")
    with suppress(UsageError):  # there is none: the job itself raises
        program = find_program()
    for setting in settings:
        if setting.name.partition(".")[0] in tables:
            context.warn_once(f"{setting} is run with {program}")
