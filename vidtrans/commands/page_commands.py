"""The commands as a page offers them: forms from their schemas, and command lines from what was filled in.

Values from a page are not trusted: an option that can run a program is left out, and a path stays in the folder.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from vidtrans.commands import COMMANDS
from vidtrans.commands.base import Command, Given, build, parameters_of, words_of
from vidtrans.commands.live import Live
from vidtrans.commands.python_functions import check_ranges, convert
from vidtrans.commands.schema import schema_of
from vidtrans.commands.served import ServedPage
from vidtrans.config.recipe import preset_names
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.events import Report
from vidtrans.core.machine import release_cached_memory
from vidtrans.core.options import Group, Names, Parameter
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import Table
from vidtrans.curves.curve import files_in, parse_curve
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.live.app import LivePages

# Not for a page: they serve one, print for a terminal, belong to the machine, or write outside of the folder.
PRINTING = ("doctor", "plugins", "schema", "bench", "demo", "preset show", "preset list")
LEFT_OUT = (*PRINTING, "cache list", "cache clean", "model add")
LEFT_OUT_PARAMETERS = ("cache_dir", "print_jobs", "chunk", "join", "shard", "executor", "settings", "dry_run")
PLAIN_TYPES: Mapping[Any, tuple[type, ...]] = {bool: (bool,), int: (int,), float: (int, float)}
NAME = "live"


class PageCommands:
    """The commands of a page. ``check_path``: raises UsageError for a text that reaches out of the folder."""

    def __init__(self, check_path: Callable[[str], None]) -> None:
        self._check_path = check_path

    def names(self) -> list[str]:
        """Return the names of the commands that a page offers."""
        return [n for n, _ in COMMANDS.working() if n not in LEFT_OUT and not issubclass(COMMANDS.load(n), ServedPage)]

    def schema(self, name: str) -> Table:
        """Return the JSON Schema of a command without what a page may not set. Raises UsageError."""
        self._check_name(name)
        schema = schema_of(name)
        if "preset" in schema["properties"]:
            schema["properties"]["preset"] |= {"enum": preset_names()}
        schema["properties"] = {
            key: value
            for key, value in schema["properties"].items()
            if value.get("x-access") != "program" and key not in LEFT_OUT_PARAMETERS
        }
        return schema

    def words(self, name: str, values: Mapping[str, object]) -> list[str]:
        """Return the words of a command line, without ``vidtrans``. Raises UsageError if a value is refused."""
        given, preset = self.given(name, values)
        cls: type[Command] = COMMANDS.load(name)
        known = parameters_of(cls)
        tables: dict[str, Table] = {}
        for key, value in given.items():
            if known[key].owner == "recipe":
                tables.setdefault(known[key].table, {})[known[key].key] = value
        places = [p for p in known.values() if p.option.is_argument and p.name in given]
        inputs = [str(one) for p in places for one in (given[p.name] if p.many else (given[p.name],))]
        return [*name.split(), *map(_as_input, inputs), *words_of(cls, Given(given, preset, tables))]

    def given(self, name: str, values: Mapping[str, object]) -> tuple[dict[str, Any], str | None]:
        """Return the values of a page in their parameters' types, and the preset. Raises UsageError."""
        self._check_name(name)
        cls: type[Command] = COMMANDS.load(name)
        offered, known = self.schema(name)["properties"], parameters_of(cls)
        values = dict(values)
        preset: Any = values.pop("preset", None)
        if preset is not None and not ("preset" in offered and preset in preset_names()):
            raise unknown_name("preset", str(preset)[:80], preset_names())  # one of a file might run a program
        given: dict[str, Any] = {}
        for key, value in values.items():
            if key not in offered or key not in known:
                raise UsageError(f"{name}: {key}", "a page cannot set it", "leave it out")
            given[key] = self._checked(known[key], value)
        check_ranges(known, given)
        if missing := [
            n for n, p in known.items() if p.owner == "command" and p.default is MISSING and not given.get(n)
        ]:
            raise UsageError(f"{name}: {missing[0]}", "it is not given", "choose one")
        with suppress(MediaError):  # a dataset that an earlier job will make
            build(cls, given, preset)  # raises where values conflict
        return given, preset

    def _check_name(self, name: str) -> None:
        if name not in self.names():
            raise unknown_name("command of the page", name, self.names())

    def _checked(self, parameter: Parameter, value: object) -> Any:  # noqa: ANN401  (of any parameter)
        """Return a value in its parameter's type. Raises UsageError."""
        several = value if isinstance(value, list) and parameter.many else [value]
        for one in several:
            if not _fits(parameter, one):
                raise _refused(parameter.name, one)
            if isinstance(one, str):
                self._check_text(parameter, one)
        return convert(parameter, several if parameter.many else value)

    def _check_text(self, parameter: Parameter, text: str) -> None:
        names = parameter.option.choices
        if isinstance(names, Names):
            if text not in names:  # such as ffmpeg:NAME, which runs a program
                raise unknown_name(names.kind, text, list(names))
        elif parameter.option.moves:
            for file in parse_curve(text, parameter.name).files:
                self._check_path(file)
        elif parameter.access == "path":
            self._check_path(text)
            for file in files_in(text):  # of curves in it, as in shares of looks
                self._check_path(file)
        elif "://" in text or "\0" in text:
            raise _refused(parameter.name, text)


def _fits(parameter: Parameter, value: object) -> TypeGuard[object]:
    """Return whether a value from JSON may be converted to a parameter's type."""
    is_union = isinstance(parameter.type, types.UnionType)
    allowed = PLAIN_TYPES.get(parameter.type, (str, int, float) if is_union else (str,))
    if isinstance(value, bool) and bool not in allowed:
        return False
    return isinstance(value, allowed) and (not isinstance(value, str) or len(value) < 4096)


def _as_input(name: str) -> str:
    """Return a file's name as a word that is not taken for an option."""
    return f"./{name}" if name.startswith("-") else name


def _refused(name: str, value: object) -> UsageError:
    return UsageError(f"{name}: {str(value)[:80]!r}", "the value is not of this option's kind", "correct it")


class PageLive(PageCommands):
    """The command of the page's live room. ``folder``: where recordings go; models and pictures are read from it."""

    def __init__(self, check_path: Callable[[str], None], folder: Path) -> None:
        super().__init__(check_path)
        self._folder = folder

    def names(self) -> list[str]:
        """Return the name of the command, the only one."""
        return [NAME]

    def schema(self, name: str = NAME) -> Table:
        """Return the JSON Schema of the command without the options of its server and its output. Raises UsageError."""
        schema = super().schema(name)
        left_out = (Group.SERVER, Group.OUTPUT)
        offered = schema["properties"].items()
        schema["properties"] = {key: value for key, value in offered if value.get("x-group") not in left_out}
        return schema

    def line(self, values: Mapping[str, object]) -> list[str]:
        """Return the words of the command line, without ``vidtrans``. Raises UsageError."""
        return self.words(NAME, values)

    def open(self, values: Mapping[str, object], report: Report) -> LivePages:
        """Open a session. Takes seconds. Raises UsageError, ModelError, MediaError, DeviceError."""
        from vidtrans.live.app import LivePages

        given, preset = self.given(NAME, values)
        command, options = build(Live, given, preset)
        assert isinstance(command, Live)
        context = Context(**options, report=report)
        hub, worker = replace(command, output=self._folder).open(context)

        def release() -> None:
            context.engines.clear()
            release_cached_memory(context.device_kind)  # for the jobs, which are other processes

        return LivePages(hub, worker, release)
