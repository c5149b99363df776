"""Parameters of commands, declared once, on a dataclass field, as ``Annotated[type, Option(...)]``.

The command line, the Python functions, the schema and the reference are derived from them. This module has only light
imports and does not depend on any command.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, dataclass
from enum import Flag as Flags
from enum import StrEnum, auto
from functools import cache
from typing import Any, Literal

from vidtrans.core.registry import Package


class Group(StrEnum):
    """The sections of a command's help, in their order."""

    INPUT = "Input"
    OUTPUT = "Output"
    LOOK = "Look"
    STROKES = "Strokes"
    CAMERA = "Camera and clock"
    TRAINING = "Training"
    TIME = "Time and shots"
    SERVER = "Server"
    SPEED = "Speed and device"
    BATCH = "Several clips"
    FARM = "Farms"
    SETTINGS = "Settings"
    CACHE = "Cache"
    MESSAGES = "Messages"


@dataclass(frozen=True)
class Names:
    """Values that are names in a registry, ``"module:REGISTRY"``, or in ``others``.

    ``kind``: the noun for a name in errors. ``prefix``: values with this prefix are not checked. ``has_address``: an
    address may follow, as in NAME://ADDRESS.
    """

    registry: str
    kind: str
    others: tuple[str, ...] = ()
    prefix: str = ""
    has_address: bool = False

    def load(self) -> Mapping[str, Any]:
        """Import and return the registry."""
        module, _, name = self.registry.partition(":")
        found: Mapping[str, Any] = getattr(importlib.import_module(module), name)
        return found

    def all(self) -> list[str]:
        """Return all names; this imports the registry's module."""
        return [*self.others, *self.load()]

    def packages(self) -> Mapping[str, Package]:
        """Return the packages of the names that plug-ins add."""
        return getattr(self.load(), "packages", {})

    def __contains__(self, name: object) -> bool:
        return name in self.others or name in self.load()

    def __iter__(self) -> Iterator[str]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self.all())


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, None for no limit. ``low_open``: greater than ``low``."""

    low: float | None = None
    high: float | None = None
    low_open: bool = False


@dataclass(frozen=True)
class Choices:
    """A fixed list of words as values."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class FileName:
    """A file, or the name of a model, a preset or a medium, which is searched for."""

    kind: Literal["model", "preset", "look", "medium"]


@dataclass(frozen=True)
class Moving:
    """A value that may change over time, from ``low`` to ``high``: a number or a curve (``vidtrans.curves``).

    None: no limit. A curve may name files, wherever the access of its parameter is "plain".
    """

    low: float | None = None
    high: float | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest value."""
        return -math.inf if self.low is None else self.low, math.inf if self.high is None else self.high


class Use(Flags):
    """Who else reads a setting of a render, besides the commands that read all of its table.

    RUN: commands that train and render offer its option. VARY: ``try`` shows several values of it on one frame, and a
    marker on a timeline sets it. STREAM: it acts on frames that come one by one, as in a live session. LIVE: it is a
    slider of the live page. DEFLICKER, DREAM: these commands read it.
    """

    RUN = auto()
    VARY = auto()
    STREAM = auto()
    LIVE = auto()
    DEFLICKER = auto()
    DREAM = auto()


NOWHERE = Use(0)
Form = Literal["", "main", "more"]
Values = Names | Range | Choices | FileName | Moving | None
Access = Literal["plain", "path", "program"]
Owner = Literal["command", "context", "batch", "recipe"]


@dataclass(frozen=True)
class Option:
    """An option: its help, flags and accepted values.

    Attributes:
        help: Its effect; an initial capital and a full stop.
        group: The section of the help.
        flags: As written on the command line; () for the parameter's name with dashes. A ``/`` separates yes from no.
        metavar: The name of its value in the help.
        values: The accepted values, besides the type.
        default: The default in words, where it is not a constant.
        variable: An environment variable shared by all commands; '' for the command's own variable.
        rare: Listed by ``--help-all`` only.
        access: What a value can reach: nothing ("plain"), a file ("path"), or a program of the user's ("program").
            Web pages and other programs leave "program" options out. "": "path" for a file's type, else "plain".
        form: Whether small forms, as a node's or a panel's, show it always ("main"), or when unfolded ("more").
    """

    help: str
    group: Group
    flags: tuple[str, ...] = ()
    metavar: str = ""
    values: Values = None
    default: str = ""
    variable: str = ""
    rare: bool = False
    access: Access | Literal[""] = ""
    form: Form = ""


@dataclass(frozen=True)
class Argument:
    """A positional parameter; fields as in ``Option``. ``metavar`` '': its name in capitals."""

    metavar: str = ""
    values: Values = None
    access: Access | Literal[""] = ""


@dataclass(frozen=True)
class Flag:
    """The option of a command for a setting of a recipe; fields as in ``Option``.

    ``help``: '' for the setting's own. ``sets``: the value to set where the flag is given without a value.
    """

    group: Group
    flags: tuple[str, ...] = ()
    metavar: str = ""
    values: Values = None
    default: str = ""
    help: str = ""
    rare: bool = False
    access: Access | Literal[""] = ""
    sets: str = ""
    form: Form = ""

    def option(self, help: str = "", values: Values = None) -> Option:
        """Return the option; ``help`` and ``values``, those of the setting, are used where the flag has none."""
        words = self.help or sentence(help)
        taken = values if self.values is None else self.values
        return Option(
            *(words, self.group, self.flags, self.metavar, taken, self.default),
            rare=self.rare,
            access=self.access,
            form=self.form,
        )


@dataclass(frozen=True)
class Parameter:
    """A parameter of a command.

    Attributes:
        name: Its name in Python.
        given: Its declaration, as an option or a positional argument.
        type: Its type, without Annotated and None.
        many: Whether several values may be given, as a tuple.
        default: Its default; MISSING where it is required, and the settings' own default for a setting.
        owner: The class that it is a field of: the command, the context, the batch, or a recipe's setting.
        table, key: The table and the key of a setting in a recipe.
        sets: The value that the flag gives the setting, if the flag takes no value; else ''.
        by_place: Whether the Python function also takes it as a positional argument.
        uses: Who else reads the setting.
    """

    name: str
    given: Option | Argument
    type: Any
    many: bool
    default: Any
    owner: Owner
    table: str = ""
    key: str = ""
    sets: str = ""
    by_place: bool = False
    uses: Use = NOWHERE

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags of an option."""
        return getattr(self.given, "flags", ()) or ("--" + self.name.replace("_", "-"),)

    @property
    def is_negated(self) -> bool:
        """Whether the flag, and its environment variable, set the value to false, as ``--no-shared-disk`` does."""
        return self.type is bool and self.default is True and self.flags[0].startswith("--no-")

    @property
    def access(self) -> Access:
        """What a value can reach: nothing ("plain"), a file ("path") or a program ("program")."""
        from pathlib import Path

        reaches_file = self.type is Path or isinstance(self.given.values, FileName)
        return self.given.access or ("path" if reaches_file else "plain")


@cache
def declared(cls: type, owner: Owner) -> dict[str, Parameter]:
    """Return the parameters declared by the fields of a dataclass, by name, in the order of the fields."""
    hints = typing.get_type_hints(cls, include_extras=True)
    found = {}
    for field in dataclasses.fields(cls):
        given = next(
            (m for m in getattr(hints[field.name], "__metadata__", ()) if isinstance(m, Option | Argument)), None
        )
        if given is not None:
            kind, many = plain_type(hints[field.name].__origin__)
            default = field.default if field.default_factory is MISSING else field.default_factory()
            found[field.name] = Parameter(
                field.name, given, kind, many, default, owner, by_place=owner == "command" and not field.kw_only
            )
    return found


@cache
def flagged(cls: type, table: str) -> dict[str, Parameter]:
    """Return those settings of ``cls`` that have a command-line flag, by key. ``table``: their table of the recipe."""
    hints = typing.get_type_hints(cls)
    found = {}
    for field in dataclasses.fields(cls):
        if flag := field.metadata.get("flag"):
            kind, many = plain_type(hints[field.name])
            given = flag.option(field.metadata["help"], field.metadata.get("moves") or _bounds(field.metadata))
            name = given.flags[0].strip("-").replace("-", "_") if given.flags else field.name
            uses = field.metadata.get("uses", NOWHERE)
            found[field.name] = Parameter(
                name, given, kind, many, field.default, "recipe", table, field.name, flag.sets, uses=uses
            )
    return found


def used(cls: Any, use: Use) -> tuple[str, ...]:  # noqa: ANN401  (mypy finds no hash of a class)
    """Return the settings of a class that have a use, in order."""
    return tuple(name for name, metadata in _metadata(cls).items() if use & metadata.get("uses", NOWHERE))


def moving(cls: Any) -> dict[str, Moving]:  # noqa: ANN401
    """Return the bounds of those settings of a class that may change over time, by key."""
    return {name: metadata["moves"] for name, metadata in _metadata(cls).items() if "moves" in metadata}


@cache
def _metadata(cls: Any) -> dict[str, Mapping[str, Any]]:  # noqa: ANN401
    return {field.name: field.metadata for field in dataclasses.fields(cls)}


def _bounds(checks: Mapping[str, Any]) -> Values:
    if isinstance(checks.get("choices"), Names):
        return checks["choices"]
    if "choices" in checks:
        return Choices(tuple(checks["choices"]))
    return Range(checks.get("low"), checks.get("high")) if {"low", "high"} & checks.keys() else None


def sentence(text: str) -> str:
    """Return a text with an initial capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def plain_type(hint: Any) -> tuple[Any, bool]:  # noqa: ANN401  (an annotation)
    """Return the type of an annotation without ``| None``, or that of a tuple's items; and whether it is a tuple."""
    parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kept = [part for part in parts if part is not type(None)]
    if len(kept) == 1 and typing.get_origin(kept[0]) is tuple:
        return typing.get_args(kept[0])[0], True
    return (kept[0] if len(kept) == 1 else kept[0] | kept[1]), False


def in_groups(parameters: Collection[Parameter]) -> Iterator[tuple[Group, list[Parameter]]]:
    """Yield the sections of a command's help that have options, in order, each with its options."""
    for group in Group:
        members = [p for p in parameters if isinstance(p.given, Option) and p.given.group is group]
        if members:
            yield group, members
