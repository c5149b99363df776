"""Parameters of commands, written once: on a field of a dataclass, as ``Annotated[type, Option(...)]``.

The command line, the Python functions, the schema and the reference are derived from them. This module imports nothing
heavy, and knows nothing of any command.
"""

from __future__ import annotations

import dataclasses
import importlib
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Literal


class Group(StrEnum):
    """The sections of a command's help, in their order."""

    INPUT = "Input"
    OUTPUT = "Output"
    LOOK = "Look"
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
    """Values that are names of a registry, ``"module:REGISTRY"``, or of ``others``.

    ``prefix``: what begins with it is taken as it is. ``has_address``: an address may follow, as in NAME://ADDRESS.
    """

    registry: str
    kind: str
    others: tuple[str, ...] = ()
    prefix: str = ""
    has_address: bool = False

    def all(self) -> list[str]:
        """Return the names, for which the registry's module is imported."""
        module, _, name = self.registry.partition(":")
        return [*self.others, *getattr(importlib.import_module(module), name)]


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``; None: without an end. ``low_open``: greater than ``low``."""

    low: float | None = None
    high: float | None = None
    low_open: bool = False


@dataclass(frozen=True)
class Choices:
    """One of these words."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class FileName:
    """A file, or a name that is looked for: of a model, or of a preset."""

    kind: Literal["model", "preset"]


Values = Names | Range | Choices | FileName | None
Access = Literal["plain", "path", "program"]
Owner = Literal["command", "context", "batch", "recipe"]


@dataclass(frozen=True)
class Option:
    """How a parameter is given, and what it is for.

    Attributes:
        help: What it does; an initial capital and a full stop.
        group: The section of the help.
        flags: As written on the command line; () for the parameter's name with dashes. A ``/`` parts yes from no.
        metavar: What the help calls its value.
        values: What it may be, besides its type.
        default: The default in words, where it is no constant.
        variable: An environment variable of all commands; '' for one of the command's own.
        rare: Listed by ``--help-all`` only.
        access: What a value can reach: nothing ("plain"), a file ("path"), or a program of the user's ("program").
            Pages and other programs leave the last out. "" follows from the type.
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


@dataclass(frozen=True)
class Argument:
    """A parameter that is given by its place; fields as of ``Option``. ``metavar`` '': its name in capitals."""

    metavar: str = ""
    values: Values = None
    access: Access | Literal[""] = ""


@dataclass(frozen=True)
class Flag:
    """How a setting of a recipe is given as an option of a command: fields as of ``Option``.

    ``help``: '' for the setting's own. ``sets``: the value that it sets, where it is given without one.
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

    def option(self, help: str = "", values: Values = None) -> Option:
        """Return the option, with the setting's own help and values where the flag has none."""
        words = self.help or sentence(help)
        taken = self.values or values
        return Option(
            words, self.group, self.flags, self.metavar, taken, self.default, rare=self.rare, access=self.access
        )


@dataclass(frozen=True)
class Parameter:
    """A parameter of a command.

    Attributes:
        name: In Python.
        given: How it is given.
        type: Its type, without Annotated and None.
        many: Whether several values may be given, as a tuple.
        default: Its default; MISSING where it has to be given, and the settings' own for a setting.
        owner: Whose field it is: the command's, the context's, the batch's, or a setting's of a recipe.
        table, key: The place of a setting in a recipe.
        sets: The value that a setting gets where its flag is given, which takes none then.
        by_place: Whether the Python function takes it by its place, too.
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

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags of an option."""
        return getattr(self.given, "flags", ()) or ("--" + self.name.replace("_", "-"),)

    @property
    def is_negated(self) -> bool:
        """Whether the flag, and its variable, say that the value is false: ``--no-shared-disk``."""
        return self.type is bool and self.default is True and self.flags[0].startswith("--no-")

    @property
    def access(self) -> Access:
        """What a value can reach."""
        from pathlib import Path

        reaches_file = self.type is Path or isinstance(self.given.values, FileName)
        return self.given.access or ("path" if reaches_file else "plain")


@cache
def declared(cls: type, owner: Owner) -> dict[str, Parameter]:
    """Return the parameters that fields of a dataclass declare, by their names, in the order of the fields."""
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
    """Return the settings of a class that have a flag, by their keys. ``table``: their table in a recipe."""
    hints = typing.get_type_hints(cls)
    found = {}
    for field in dataclasses.fields(cls):
        if flag := field.metadata.get("flag"):
            kind, many = plain_type(hints[field.name])
            given = flag.option(field.metadata["help"], _bounds(field.metadata))
            name = given.flags[0].strip("-").replace("-", "_") if given.flags else field.name
            found[field.name] = Parameter(
                name, given, kind, many, field.default, "recipe", table, field.name, flag.sets
            )
    return found


def _bounds(checks: Mapping[str, Any]) -> Values:
    if "choices" in checks:
        return Choices(tuple(checks["choices"]))
    return Range(checks.get("low"), checks.get("high")) if {"low", "high"} & checks.keys() else None


def sentence(text: str) -> str:
    """Return a text with an initial capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def plain_type(hint: Any) -> tuple[Any, bool]:  # noqa: ANN401  (an annotation)
    """Return a type without ``| None``, of a tuple that of its items, and whether it is a tuple."""
    parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kept = [part for part in parts if part is not type(None)]
    if len(kept) == 1 and typing.get_origin(kept[0]) is tuple:
        return typing.get_args(kept[0])[0], True
    return (kept[0] if len(kept) == 1 else kept[0] | kept[1]), False


def in_groups(parameters: Collection[Parameter]) -> Iterator[tuple[Group, list[Parameter]]]:
    """Yield the groups that have options, each with these."""
    for group in Group:
        members = [p for p in parameters if isinstance(p.given, Option) and p.given.group is group]
        if members:
            yield group, members
