"""The base of commands: parameters declared once, the action, and the report as text.

A command is a frozen dataclass in its own module. Its fields annotated with ``Option`` or ``Argument`` are the user's
parameters, from which the command line, the Python function, the schema and the reference are derived. To these are
added the settings that have flags, from the recipe tables in ``TABLES``, and the fields of ``Context`` and
``BatchOptions`` that ``CONTEXT`` and ``BATCH`` name.

Command modules are imported for ``--help``, so heavy imports belong in ``make``.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from vidtrans.batch.batch_options import BatchOptions
from vidtrans.commands.terminal import Terminal
from vidtrans.commands.words import show_batch
from vidtrans.config.recipe import CHOICE_FLAGS, SETTINGS, Recipe, render_recipe
from vidtrans.core.errors import BatchError, UsageError
from vidtrans.core.events import Report, Stop, silent
from vidtrans.core.parameters import Argument, Parameter, Range, declared, flagged
from vidtrans.core.settings import Table, Time, parse_time, value_text
from vidtrans.session import Context
from vidtrans.store.chunking import ClipPart

# Fields of the Context for commands that read clips, for those that also write results, or also fill the cache.
READING = ("cache_dir", "allow_damaged", "dry_run")
WRITING = (*READING, "overwrite")
CACHING = (*WRITING, "cache_limit_gb")


@dataclass(frozen=True)
class Given:
    """The user's arguments, before defaults.

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


NOTHING_GIVEN = Given()


@dataclass(frozen=True)
class Command:
    """A command with its arguments. Frozen and picklable, since workers of a batch receive it.

    The constructor raises UsageError if arguments conflict, without reading files. Field ``recipe`` holds the settings,
    ``batch`` the options for several results, ``given`` the user's arguments.

    Attributes:
        CONTEXT: The fields of ``Context`` that the command reads.
        TABLES: The recipe tables that it reads, each with the settings that have options; None: all with a flag.
        READS: The settings of ``[rendering]`` that it reads; flags for others are refused. Empty: it reads all.
        BATCH: The fields of ``BatchOptions`` that it reads.
        EXCLUSIVE: Pairs of parameters that exclude each other, because both say when to stop.
    """

    CONTEXT: ClassVar[Collection[str]] = ()
    TABLES: ClassVar[Mapping[str, Collection[str] | None]] = {}
    READS: ClassVar[Sequence[str]] = ()
    BATCH: ClassVar[Collection[str]] = ()
    EXCLUSIVE: ClassVar[Collection[tuple[str, str]]] = ()

    def make(self, context: Context) -> Table:
        """Run the command; return the table that ``--json`` prints. Raises VidtransError."""
        raise NotImplementedError

    def describe(self, table: Table) -> str:
        """Return the report on the result, the table from ``make``, as text."""
        raise NotImplementedError

    def show(self, table: Table, terminal: Terminal) -> int:
        """Show the report, or the outcome of a batch, and return the exit status."""
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
        """Return the recipe from ``--preset`` and flags; ``arguments``: all other values. Raises UsageError."""
        return render_recipe(preset, tables, cls.title() if cls.READS else "", cls.READS)

    @classmethod
    def usual_recipe(cls) -> Recipe:
        """Return the recipe whose values the help shows as defaults. Raises UsageError."""
        return cls.recipe_of(None, {}, {})

    @classmethod
    def title(cls) -> str:
        """Return the command's name on the command line, without ``vidtrans``."""
        words = "".join(f"-{c.lower()}" if c.isupper() else c for c in cls.__name__)
        return words.lstrip("-")


def parameters_of(cls: type[Command]) -> dict[str, Parameter]:
    """Return all parameters of a command by Python name, except ``preset`` and ``settings``."""
    found = dict(declared(cls, "command"))  # type: ignore[arg-type]  # mypy takes the objects' hash for the class's
    for table, keys in cls.TABLES.items():
        offered = _flagged(table)
        found |= {p.name: p for key, p in offered.items() if keys is None or key in keys}
    found |= {n: p for n, p in declared(BatchOptions, "batch").items() if n in cls.BATCH}
    return found | {n: p for n, p in declared(Context, "context").items() if n in cls.CONTEXT}


def _flagged(table: str) -> dict[str, Parameter]:
    if table in SETTINGS:
        return flagged(SETTINGS[table].load(), table)
    flag = CHOICE_FLAGS.get(table)
    if flag is None:
        return {}
    return {"name": Parameter(table, flag.option(), str, False, None, "recipe", table, "name")}


def build(
    cls: type[Command],
    values: Mapping[str, Any],
    preset: str | None = None,
    tables: Mapping[str, Table] | None = None,
    messages: tuple[str, ...] = (),
) -> tuple[Command, dict[str, Any]]:
    """Return a command built from ``values``, and the values for its context. Raises UsageError.

    ``tables``: settings, which override flags. ``messages``: as in ``Given``.
    """
    _check_given(cls, values)
    own, context, batch, merged = Table(), Table(), Table(), dict[str, Table]()
    owners = {"command": own, "context": context, "batch": batch}
    for parameter in parameters_of(cls).values():
        if parameter.name in values and parameter.owner == "recipe":
            merged.setdefault(parameter.table, {})[parameter.key] = values[parameter.name]
        elif parameter.name in values:
            owners[parameter.owner][parameter.name] = values[parameter.name]
    for name, table in (tables or {}).items():
        merged[name] = merged.get(name, {}) | dict(table)
    fields = {field.name for field in dataclasses.fields(cls)}
    if "recipe" in fields:
        own["recipe"] = cls.recipe_of(preset, merged, own)
    if "batch" in fields:
        own["batch"] = BatchOptions(**batch)
    if "given" in fields:
        own["given"] = Given(dict(values), preset, merged, messages)
    return cls(**own), context


def _check_given(cls: type[Command], values: Mapping[str, Any]) -> None:
    """Raise UsageError if arguments exclude each other, or a required one is missing."""
    for one, other in cls.EXCLUSIVE:
        if one in values and other in values:
            raise UsageError(f"--{one} and --{other}", "both say when to stop", "give one of them")
    for parameter in parameters_of(cls).values():
        if parameter.many and parameter.default is MISSING and not values.get(parameter.name):
            raise UsageError(parameter.name, "none was given", "give one or more")


def words_of(cls: type[Command], given: Given, without: Collection[str] = ()) -> list[str]:
    """Return the given options as command-line words, except the parameters in ``without`` and positional ones."""
    words, left = list[str](), {name: dict(table) for name, table in given.tables.items()}
    for parameter in parameters_of(cls).values():
        if parameter.name not in given.values or parameter.name in without or isinstance(parameter.given, Argument):
            continue
        value = given.values[parameter.name]
        if parameter.owner == "recipe":
            if left.get(parameter.table, {}).get(parameter.key) != value or parameter.sets not in ("", str(value)):
                continue  # overridden by a setting, or not the value that the flag sets
            del left[parameter.table][parameter.key]
        flag = next((f for f in parameter.flags if f.startswith("--")), parameter.flags[0])
        if parameter.sets or parameter.type is bool:
            yes, _, no = flag.partition("/")
            words += [yes] if bool(value) != parameter.is_negated else [no] if no else []
            continue
        for one in value if parameter.many else (value,):
            words += [flag, str(one)]
    for table, settings in left.items():
        words += [word for key, value in settings.items() for word in ("--set", f"{table}.{key}={value_text(value)}")]
    return [*words, *(("--preset", given.preset) if given.preset else ()), *given.messages]


def convert(parameter: Parameter, value: Any) -> Any:  # noqa: ANN401  (of any parameter)
    """Convert an argument of the Python function: text to paths and times, a single value to a tuple.

    Raises UsageError.
    """
    if value is None or (value == "" and parameter.type in (Time, ClipPart)):
        return None
    if parameter.many:
        items = [value] if isinstance(value, str | Path) else value
        return tuple(_converted(parameter.type, item) for item in items)
    return _converted(parameter.type, value)


def _converted(kind: Any, value: Any) -> Any:  # noqa: ANN401
    if kind is Path:
        return Path(value)
    if kind is Time and isinstance(value, str):
        return parse_time(value)
    if kind is ClipPart and isinstance(value, str):
        return ClipPart.parse(value)
    return str(value) if kind is str and isinstance(value, Path) else value


def check_ranges(parameters: Mapping[str, Parameter], values: Mapping[str, Any]) -> None:
    """Raise UsageError if a number is out of range; the recipe checks the ranges of settings."""
    for name, value in values.items():
        bounds = parameters[name].given.values if name in parameters else None
        if isinstance(bounds, Range) and parameters[name].owner != "recipe" and value is not None:
            low = bounds.low is None or (value > bounds.low if bounds.low_open else value >= bounds.low)
            if not low or (bounds.high is not None and value > bounds.high):
                raise UsageError(f"{parameters[name].flags[-1]} {value}", "out of bounds", f"choose {in_words(bounds)}")


def in_words(bounds: Range) -> str:
    """Return a range as text: 'at least 1 and at most 9'."""
    least = (
        f"more than {bounds.low:g}" if bounds.low_open else f"at least {bounds.low:g}" if bounds.low is not None else ""
    )
    most = f"at most {bounds.high:g}" if bounds.high is not None else ""
    return " and ".join(filter(None, (least, most)))


def function_of(cls: type[Command], name: str) -> Callable[..., Table]:
    """Return the command as a Python function, which also accepts paths and times as text."""
    known = parameters_of(cls)
    signature = _signature(cls)

    def call(*args: Any, **kwargs: Any) -> Table:  # noqa: ANN401  (the signature names them)
        given = signature.bind(*args, **kwargs).arguments
        report, stop = given.pop("report", silent), given.pop("stop", None)
        preset, settings = given.pop("preset", None), given.pop("settings", None)
        values = {n: convert(known[n], value) for n, value in given.items() if n in known}
        check_ranges(known, values)
        command, options = build(cls, {n: v for n, v in values.items() if v is not None}, preset, settings)
        table = command.make(Context(**options, report=report, stop=stop or Stop()))
        if failed := table.get("failed"):
            errors = "; ".join(f"{what}: {error}" for what, error in failed.items())
            total = len(failed) + sum(len(table.get(key, ())) for key in ("items", "rows", "pending"))
            raise BatchError(f"{len(failed)} of {total} failed", errors)
        return table

    call.__name__ = call.__qualname__ = name
    call.__doc__ = cls.__doc__
    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


def _signature(cls: type[Command]) -> inspect.Signature:
    """Return the function's signature: arguments and ``output`` positional, all others keyword-only."""
    by_name: list[inspect.Parameter] = []
    by_place: list[inspect.Parameter] = []
    for parameter in parameters_of(cls).values():
        is_own = parameter.owner == "command"
        default = inspect.Parameter.empty if is_own and parameter.default is MISSING else parameter.default
        if parameter.owner == "recipe":
            default = None
        place = parameter.by_place
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD if place else inspect.Parameter.KEYWORD_ONLY
        one = inspect.Parameter(parameter.name, kind, default=default, annotation=annotation_of(parameter))
        (by_place if place else by_name).append(one)
    extra: list[tuple[str, Any, Any]] = []
    if cls.TABLES:
        extra += [("preset", str | None, None), ("settings", Mapping[str, Mapping[str, Any]] | None, None)]
    extra += [("report", Report, silent), ("stop", Stop | None, None)]
    keyword = inspect.Parameter.KEYWORD_ONLY
    by_name += [inspect.Parameter(n, keyword, default=d, annotation=a) for n, a, d in extra]
    return inspect.Signature([*by_place, *by_name], return_annotation=Table)


def annotation_of(parameter: Parameter) -> Any:  # noqa: ANN401  (a type)
    """Return the type annotation of a parameter of the Python function."""
    kind = {Path: str | Path, Time: str | Time, ClipPart: str}.get(parameter.type, parameter.type)
    if parameter.type is str and parameter.access == "path":
        kind = str | Path
    if parameter.many:
        kind = kind | Sequence[kind]  # type: ignore[valid-type]
    optional = parameter.owner == "recipe" or parameter.default is None
    return typing.Optional[kind] if optional else kind  # noqa: UP045  (a type that is only known here)
