"""Schemas of commands for forms on a browser page, and command lines from the values of a form.

Values from a page are not trusted: options that can run a program are left out, and paths must stay in the folder.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from vidtrans.commands import COMMANDS
from vidtrans.commands.base import Command, UserArguments, build, command_line_words, parameters_of
from vidtrans.commands.live import Live
from vidtrans.commands.page_server import PageServerCommand
from vidtrans.commands.python_functions import check_ranges, convert
from vidtrans.commands.schema import schema_of
from vidtrans.config.recipe import preset_names
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.events import Report
from vidtrans.core.machine import release_cached_memory
from vidtrans.core.mask_files import parse_mask
from vidtrans.core.options import Group, Names, Parameter
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import Table
from vidtrans.curves.curve import files_in, parse_curve
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.live.app import LivePages

# Commands that a page does not offer, because they print for a terminal or concern the whole machine
TERMINAL_COMMANDS = ("doctor", "plugins", "schema", "bench", "demo", "preset show", "preset list")
# All commands that a page does not offer: also those that change files outside of the page's folder
HIDDEN_COMMANDS = (*TERMINAL_COMMANDS, "cache list", "cache clean")
# Parameters that a page does not offer, by Python name
HIDDEN_PARAMETERS = ("cache_dir", "print_jobs", "chunk", "join", "shard", "executor", "settings", "dry_run")
# Python types of JSON values that a parameter accepts, by the parameter's type; other types accept text
JSON_TYPES: Mapping[Any, tuple[type, ...]] = {bool: (bool,), int: (int,), float: (int, float)}
MASK = "mask"  # Name of the options that take masks
LIVE_COMMAND = "live"  # Name of the command that ``LiveRoomCommand`` offers


class PageCommands:
    """The commands that a page offers. ``check_path``: raises UsageError if a path leads out of the page's folder."""

    def __init__(self, check_path: Callable[[str], None]) -> None:
        self._check_path = check_path

    def names(self) -> list[str]:
        """Return the names of the commands that the page offers."""
        return [
            n
            for n, _ in COMMANDS.working_entries()
            if n not in HIDDEN_COMMANDS and not issubclass(COMMANDS.load(n), PageServerCommand)
        ]

    def schema(self, name: str) -> Table:
        """Return the JSON Schema of a command, without the parameters that a page may not set. Raises UsageError."""
        self._check_name(name)
        schema = schema_of(name)
        if "preset" in schema["properties"]:
            schema["properties"]["preset"] |= {"enum": preset_names()}
        schema["properties"] = {
            key: value
            for key, value in schema["properties"].items()
            if value.get("x-access") != "program" and key not in HIDDEN_PARAMETERS
        }
        return schema

    def words(self, name: str, values: Mapping[str, object]) -> list[str]:
        """Return the words of the command line for a form's values, without ``vidtrans``.

        Raises UsageError if a value is invalid.
        """
        arguments, preset = self.arguments(name, values)
        cls: type[Command] = COMMANDS.load(name)
        known = parameters_of(cls)
        tables: dict[str, Table] = {}
        for key, value in arguments.items():
            if known[key].owner == "recipe":
                tables.setdefault(known[key].table, {})[known[key].key] = value
        places = [p for p in known.values() if p.option.is_argument and p.name in arguments]
        inputs = [str(one) for p in places for one in (arguments[p.name] if p.many else (arguments[p.name],))]
        return [
            *name.split(),
            *map(_as_argument, inputs),
            *command_line_words(cls, UserArguments(arguments, preset, tables)),
        ]

    def arguments(self, name: str, values: Mapping[str, object]) -> tuple[dict[str, Any], str | None]:
        """Convert the JSON values of a form to their parameters' types; return the values and the name of the preset.

        Raises UsageError if a value is invalid.
        """
        self._check_name(name)
        cls: type[Command] = COMMANDS.load(name)
        offered, known = self.schema(name)["properties"], parameters_of(cls)
        values = dict(values)
        preset: Any = values.pop("preset", None)
        if preset is not None and not ("preset" in offered and preset in preset_names()):
            raise unknown_name("preset", str(preset)[:80], preset_names())  # A preset file could run a program.
        arguments: dict[str, Any] = {}
        for key, value in values.items():
            if key not in offered or key not in known:
                raise UsageError(f"{name}: {key}", "a page cannot set it", "leave it out")
            arguments[key] = self._checked(known[key], value)
        check_ranges(known, arguments)
        if missing := [
            n for n, p in known.items() if p.owner == "command" and p.default is MISSING and not arguments.get(n)
        ]:
            raise UsageError(f"{name}: {missing[0]}", "it is not given", "choose one")
        with suppress(MediaError):  # An earlier job may still have to make the dataset.
            build(cls, arguments, preset)  # Raises UsageError if values conflict.
        return arguments, preset

    def _check_name(self, name: str) -> None:
        """Raise UsageError if the page does not offer the command ``name``."""
        if name not in self.names():
            raise unknown_name("command of the page", name, self.names())

    def _checked(self, parameter: Parameter, value: object) -> Any:  # noqa: ANN401  (of any parameter)
        """Check a JSON value, and convert it to its parameter's type. Raises UsageError."""
        several = value if isinstance(value, list) and parameter.many else [value]
        for one in several:
            if not _has_json_type(parameter, one):
                raise _refused_value(parameter.name, one)
            if isinstance(one, str):
                self._check_text(parameter, one)
        return convert(parameter, several if parameter.many else value)

    def _check_text(self, parameter: Parameter, text: str) -> None:
        """Raise UsageError if a text value could run a program or read a file outside of the page's folder."""
        names = parameter.option.choices
        if isinstance(names, Names):
            if text not in names:  # A prefixed name, such as ffmpeg:NAME, could run a program.
                raise unknown_name(names.kind, text, list(names))
        elif parameter.option.moves:
            for file in parse_curve(text, parameter.name).files:
                self._check_path(file)
        elif parameter.access == "path":
            # The text may contain curves, such as shares of looks, or terms of a mask.
            mask = parse_mask(text, named=parameter.many).files if parameter.name == MASK else ()
            behind_name = text.partition(":")[2]  # As in onnx:FOLDER
            for file in (text, *files_in(text), *map(str, mask), *([behind_name] if behind_name else [])):
                self._check_path(file)
        elif "://" in text or "\0" in text:
            raise _refused_value(parameter.name, text)


def _has_json_type(parameter: Parameter, value: object) -> TypeGuard[object]:
    """Return whether a JSON value has a type that the parameter accepts; text must be shorter than 4096 characters."""
    is_union = isinstance(parameter.type, types.UnionType)
    allowed = JSON_TYPES.get(parameter.type, (str, int, float) if is_union else (str,))
    if isinstance(value, bool) and bool not in allowed:
        return False
    return isinstance(value, allowed) and (not isinstance(value, str) or len(value) < 4096)


def _as_argument(name: str) -> str:
    """Return a file name as a word of a command line that is not parsed as an option: -a.mp4 gives ./-a.mp4."""
    return f"./{name}" if name.startswith("-") else name


def _refused_value(name: str, value: object) -> UsageError:
    """Return the error for a value that the parameter ``name`` does not accept."""
    return UsageError(f"{name}: {str(value)[:80]!r}", "the value is not of this option's kind", "correct it")


class LiveRoomCommand(PageCommands):
    """The only command of the page that opens a live session: 'live'.

    ``folder``: the folder of the session's recordings, models and pictures.
    """

    def __init__(self, check_path: Callable[[str], None], folder: Path) -> None:
        super().__init__(check_path)
        self._folder = folder

    def names(self) -> list[str]:
        """Return the only command that this page offers."""
        return [LIVE_COMMAND]

    def schema(self, name: str = LIVE_COMMAND) -> Table:
        """Return the JSON Schema of the command, without options of the server and the output. Raises UsageError."""
        schema = super().schema(name)
        left_out = (Group.SERVER, Group.OUTPUT)
        offered = schema["properties"].items()
        schema["properties"] = {key: value for key, value in offered if value.get("x-group") not in left_out}
        return schema

    def line(self, values: Mapping[str, object]) -> list[str]:
        """Return the words of the command line of 'live', without ``vidtrans``. Raises UsageError."""
        return self.words(LIVE_COMMAND, values)

    def open(self, values: Mapping[str, object], report: Report) -> LivePages:
        """Load the models and open a live session, which takes seconds; return its pages.

        Raises UsageError, ModelError, MediaError, DeviceError.
        """
        from vidtrans.live.app import LivePages

        arguments, preset = self.arguments(LIVE_COMMAND, values)
        command, options = build(Live, arguments, preset)
        assert isinstance(command, Live)
        context = Context(**options, report=report)
        hub, worker = replace(command, output=self._folder).open(context)

        def release() -> None:
            """Free the memory of the session's models."""
            context.engines.clear()
            release_cached_memory(context.device_kind)  # Jobs in other processes need the memory.

        return LivePages(hub, worker, release)
