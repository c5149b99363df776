"""The base class of commands: their parameters, declared once, their action, and their report as text.

A command is a frozen dataclass in its own module. Its fields declared with ``option`` or ``argument`` are the user's
parameters, from which the command line, the Python function, the schema and the reference are derived. Further
parameters are the settings with flags in the recipe tables of ``TABLES``, and the fields of ``Context`` and
``BatchOptions`` that ``CONTEXT`` and ``BATCH`` list.

Command modules are imported for ``--help``, so heavy imports belong in ``make``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from vidtrans.batch.batch_options import BatchOptions
from vidtrans.commands.results import CommandResult
from vidtrans.commands.text_reports import Terminal, show_batch
from vidtrans.config.recipe import CHOICE_OPTIONS, SETTINGS, Recipe, render_recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.options import Parameter, parameters
from vidtrans.core.settings import Table, value_text
from vidtrans.core.system import path_as_stored
from vidtrans.session import Context

# Fields of ``Context`` that become options of commands which read clips
READ_OPTIONS = ("cache_dir", "allow_damaged", "dry_run")
# Fields of ``Context`` that become options of commands which also write results
WRITE_OPTIONS = (*READ_OPTIONS, "overwrite")
# Fields of ``Context`` that become options of commands which also fill the cache
CACHE_OPTIONS = (*WRITE_OPTIONS, "cache_limit_gb")


@dataclass(frozen=True)
class UserArguments:
    """The arguments that the user gave, without defaults.

    Attributes:
        values: The parameters' values, by Python name.
        preset: The value of ``--preset``.
        tables: Settings by table and key, from flags and ``--set``.
        messages: The flags ``--quiet`` and ``--verbose``, if given.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    preset: str | None = None
    tables: Mapping[str, Table] = field(default_factory=dict)
    messages: tuple[str, ...] = ()


NO_ARGUMENTS = UserArguments()  # Default of ``Command.user_arguments``: the user gave no arguments


@dataclass(frozen=True)
class Command:
    """A command with its arguments. Frozen and picklable, since workers of a batch receive it.

    The constructor raises UsageError if arguments conflict, without reading files. Field ``recipe`` has the settings,
    ``batch`` the options for several results, ``user_arguments`` the user's arguments.

    Attributes:
        CONTEXT: The fields of ``Context`` that the command reads.
        TABLES: The recipe tables that the command reads, each with the keys that become options; None: all with a flag.
        READS: The settings of ``[rendering]`` that the command reads; flags for others are refused. Empty: all.
        BATCH: The fields of ``BatchOptions`` that the command reads.
        EXCLUSIVE: Pairs of parameters that exclude each other, because both limit the training.
        RESULT: The class of the Python function's result.
    """

    CONTEXT: ClassVar[Collection[str]] = ()
    TABLES: ClassVar[Mapping[str, Collection[str] | None]] = {}
    READS: ClassVar[Sequence[str]] = ()
    BATCH: ClassVar[Collection[str]] = ()
    EXCLUSIVE: ClassVar[Collection[tuple[str, str]]] = ()
    RESULT: ClassVar[type[CommandResult]] = CommandResult

    def make(self, context: Context) -> Table:
        """Run the command; return its result as the table that ``--json`` prints. Raises VidtransError."""
        raise NotImplementedError

    def describe(self, table: Table) -> str:
        """Return the report on a result, as text for the terminal. ``table``: the result of ``make``."""
        raise NotImplementedError

    def show(self, table: Table, terminal: Terminal) -> int:
        """Show the report on a result, or the outcome of a batch, in the terminal; return the exit status."""
        if "items" in table and "failed" in table:
            return show_batch(terminal, table, self.describe)
        terminal.result(table, self.describe(table))
        return 0

    @classmethod
    def epilog(cls) -> str:
        """Return the text below the options in the help."""
        return ""

    @classmethod
    def recipe_of(cls, preset: str | None, tables: Mapping[str, Table], arguments: Mapping[str, Any]) -> Recipe:
        """Return the recipe that results from the preset (``--preset``) and the flags of settings. Raises UsageError.

        ``tables``: the settings from flags. ``arguments``: the values of all other parameters.
        """
        return render_recipe(preset, tables, cls.title() if cls.READS else "", cls.READS)

    @classmethod
    def usual_recipe(cls) -> Recipe:
        """Return the recipe whose settings the help shows as defaults. Raises UsageError."""
        return cls.recipe_of(None, {}, {})

    @classmethod
    def title(cls) -> str:
        """Return the command's name on the command line, without ``vidtrans``."""
        words = "".join(f"-{c.lower()}" if c.isupper() else c for c in cls.__name__)
        return words.lstrip("-")


def parameters_of(cls: type[Command]) -> dict[str, Parameter]:
    """Return the parameters of a command by Python name, except ``preset`` and ``settings``."""
    found = dict(parameters(cls, "command"))
    for table, keys in cls.TABLES.items():
        offered = parameters(SETTINGS[table].load(), "recipe", table) if table in SETTINGS else {}
        if table in CHOICE_OPTIONS:
            offered = {"name": Parameter(table, CHOICE_OPTIONS[table], str, False, None, "recipe", table, "name")}
        found |= {p.name: p for key, p in offered.items() if keys is None or key in keys}
    found |= {n: p for n, p in parameters(BatchOptions, "batch").items() if n in cls.BATCH}
    return found | {n: p for n, p in parameters(Context, "context").items() if n in cls.CONTEXT}


def build(
    cls: type[Command],
    values: Mapping[str, Any],
    preset: str | None = None,
    tables: Mapping[str, Table] | None = None,
    messages: tuple[str, ...] = (),
) -> tuple[Command, dict[str, Any]]:
    """Build a command from parameter values; return it, and the fields for its ``Context``. Raises UsageError.

    ``messages``: the flags ``--quiet`` and ``--verbose``, if given. ``values``: parameter values by Python name.
    ``tables``: settings by table and key, which override flags.
    """
    _check_given(cls, values)
    known = parameters_of(cls)
    values = {name: _as_stored(known.get(name), value) for name, value in values.items()}
    command_fields, context, batch, merged = Table(), Table(), Table(), dict[str, Table]()
    owners = {"command": command_fields, "context": context, "batch": batch}
    for parameter in known.values():
        if parameter.name in values and parameter.owner == "recipe":
            merged.setdefault(parameter.table, {})[parameter.key] = values[parameter.name]
        elif parameter.name in values:
            owners[parameter.owner][parameter.name] = values[parameter.name]
    for name, table in (tables or {}).items():
        merged[name] = merged.get(name, {}) | dict(table)
    fields = {field.name for field in dataclasses.fields(cls)}
    if "recipe" in fields:
        command_fields["recipe"] = cls.recipe_of(preset, merged, command_fields)
    if "batch" in fields:
        command_fields["batch"] = BatchOptions(**batch)
    if "user_arguments" in fields:
        command_fields["user_arguments"] = UserArguments(dict(values), preset, merged, messages)
    return cls(**command_fields), context


def _check_given(cls: type[Command], values: Mapping[str, Any]) -> None:
    """Raise UsageError if two parameters in ``values`` exclude each other, or a required one is missing."""
    for one, other in cls.EXCLUSIVE:
        if one in values and other in values:
            raise UsageError(f"--{one} and --{other}", "both say when to stop", "give one of them")
    for parameter in parameters_of(cls).values():
        if parameter.many and parameter.default is MISSING and not values.get(parameter.name):
            raise UsageError(parameter.name, "none was given", "give one or more")


def _as_stored(parameter: Parameter | None, value: Any) -> Any:  # noqa: ANN401  (of any parameter)
    """Return a parameter's value, with paths in the file system's Unicode normalisation (``system.path_as_stored``)."""
    if parameter is None or parameter.access != "path":
        return value
    if isinstance(value, tuple):
        return tuple(_as_stored(parameter, one) for one in value)
    if isinstance(value, str):  # The text may contain more than a path, and end in a slash.
        found = path_as_stored(Path(value))
        return value if found == Path(value) else f"{found}{'/' * value.endswith('/')}"
    return path_as_stored(value) if isinstance(value, Path) else value


def command_line_words(cls: type[Command], arguments: UserArguments, excluded: Collection[str] = ()) -> list[str]:
    """Return the user's options as words of a command line.

    Positional arguments, and the options named in ``excluded``, are left out.
    """
    words, remaining = list[str](), {name: dict(table) for name, table in arguments.tables.items()}
    for parameter in parameters_of(cls).values():
        if parameter.name not in arguments.values or parameter.name in excluded or parameter.option.is_argument:
            continue
        value = arguments.values[parameter.name]
        if parameter.owner == "recipe":
            if remaining.get(parameter.table, {}).get(parameter.key) != value or parameter.option.sets not in (
                "",
                str(value),
            ):
                continue  # A setting overrides the flag, or the flag sets another value.
            del remaining[parameter.table][parameter.key]
        flag = next((f for f in parameter.flags if f.startswith("--")), parameter.flags[0])
        if parameter.option.sets or parameter.type is bool:
            yes, _, no = flag.partition("/")
            words += [yes] if value else [no] if no else []
            continue
        for one in value if parameter.many else (value,):
            words += [flag, str(one)]
    for table, settings in remaining.items():
        words += [word for key, value in settings.items() for word in ("--set", f"{table}.{key}={value_text(value)}")]
    return [*words, *(("--preset", arguments.preset) if arguments.preset else ()), *arguments.messages]
