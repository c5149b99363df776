"""Options, declared once, as fields of dataclasses: ``share: float = option(1.0, "share of the look", bounds=(0, 1))``.

Parameters of commands, settings of recipes, of networks and of plug-ins, the context and the batch are all declared so.
A field with a group has a flag, and is a parameter of the commands that read it; one without is a setting of its table.
The command line, the Python functions, the schema, the checks of tables and the reference are derived from them. This
module has only light imports and does not depend on any command.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, dataclass
from enum import Flag as Flags
from enum import StrEnum, auto
from functools import cache
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec

from vidtrans.core.registry import Package

P = ParamSpec("P")


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


@dataclass(frozen=True)
class Names(Collection[str]):
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

    def packages(self) -> Mapping[str, Package]:
        """Return the packages of the names that plug-ins add."""
        return getattr(self.load(), "packages", {})

    def __contains__(self, name: object) -> bool:
        return name in self.others or name in self.load()

    def __iter__(self) -> Iterator[str]:
        yield from self.others
        yield from self.load()

    def __len__(self) -> int:
        return len(self.others) + len(self.load())


NOWHERE = Use(0)
Bounds = tuple[float | None, float | None]
Form = Literal["", "main", "more"]
Access = Literal["plain", "path", "program"]
Owner = Literal["command", "context", "batch", "recipe"]


@dataclass(frozen=True)
class Option:
    """An option: its help, flags and accepted values.

    Attributes:
        help: Its effect: a phrase, which becomes a sentence where a flag has it, or a sentence with its full stop.
        group: The section of the help; None for a setting without a flag.
        flags: As written on the command line; () for the field's name with dashes. A ``/`` separates yes from no.
        metavar: The name of its value in the help.
        bounds: The lowest and the highest number; None for no limit. ``low_open``: it is greater than the lowest.
        moves: The bounds within which it may change over time: a number, or a curve (``vidtrans.curves``), which may
            name files, wherever the access is "plain". None: it may not.
        choices: The accepted words. A setting whose ``Names`` have a prefix is checked by its own class.
        file: A file, or the name of such a thing, which is searched for.
        uses: Who else reads the setting.
        sets: The value that the flag sets where it is given without a value.
        flag_help: The help of the flag, where the setting's own does not suit.
        default_text: The default in words, where it is not a constant.
        variable: An environment variable shared by all commands; '' for the command's own variable.
        rare: Listed by ``--help-all`` only.
        access: What a value can reach: nothing ("plain"), a file ("path"), or a program of the user's ("program").
            Web pages and other programs leave "program" options out. "": "path" for a file's type, else "plain".
        form: Whether small forms, as a node's or a panel's, show it always ("main"), or when unfolded ("more").
        is_argument: It is a positional argument of the command line; the ``metavar`` '' is then its name in capitals.
    """

    help: str
    group: Group | None = None
    flags: tuple[str, ...] = ()
    metavar: str = ""
    bounds: Bounds | None = None
    low_open: bool = False
    moves: Bounds | None = None
    choices: Collection[str] | None = None
    file: Literal["", "model", "preset", "look", "medium"] = ""
    uses: Use = NOWHERE
    sets: str = ""
    flag_help: str = ""
    default_text: str = ""
    variable: str = ""
    rare: bool = False
    access: Access | Literal[""] = ""
    form: Form = ""
    is_argument: bool = False

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest value, also over time."""
        low, high = self.moves or self.bounds or (None, None)
        return -math.inf if low is None else low, math.inf if high is None else high

    @property
    def sentence(self) -> str:
        """The help of the flag, with an initial capital and a full stop."""
        text = self.flag_help or self.help
        return text if text.endswith(".") else f"{text[:1].upper()}{text[1:]}."


def declaring(kind: Callable[P, Option]) -> Callable[Concatenate[Any, P], Any]:
    """Return a function that declares a field: its default, then what ``kind``, a class of options, takes."""

    def declare(default: Any, /, *args: P.args, **traits: P.kwargs) -> Any:  # noqa: ANN401  (of any field)
        return dataclasses.field(default=default, metadata={"option": kind(*args, **traits)})

    return declare


# Declares a field: ``option(default, help, group, …)``. The default is MISSING for an option that has to be given.
option = declaring(Option)


def argument(metavar: str = "", default: Any = MISSING, **traits: Any) -> Any:  # noqa: ANN401  (of any field)
    """Declare a positional argument of a command; ``traits``: fields of ``Option``."""
    return option(default, "", metavar=metavar, is_argument=True, **traits)


def option_of(field: dataclasses.Field[Any]) -> Option:
    """Return the option that a field declares; for a plain field one without help and bounds."""
    given: Option = field.metadata.get("option", _PLAIN)
    return given


_PLAIN = Option("")


def options_of(cls: Any) -> dict[str, Option]:  # noqa: ANN401  (of any dataclass)
    """Return the options of the fields of a dataclass, by field."""
    return {field.name: option_of(field) for field in dataclasses.fields(cls)}


def used(cls: type, use: Use) -> tuple[str, ...]:
    """Return the settings of a class that have a use, in order."""
    return tuple(name for name, given in options_of(cls).items() if use & given.uses)


def moving(cls: type) -> dict[str, Option]:
    """Return those settings of a class that may change over time, by key."""
    return {name: given for name, given in options_of(cls).items() if given.moves}


@dataclass(frozen=True)
class Parameter:
    """An option as a parameter of a command.

    Attributes:
        name: Its name in Python.
        option: Its declaration.
        type: Its type, without None.
        many: Whether several values may be given, as a tuple.
        default: Its default; MISSING where it is required, and the settings' own default for a setting.
        owner: The class that it is a field of: the command, the context, the batch, or a recipe's setting.
        table, key: The table and the key of a setting in a recipe.
        by_place: Whether the Python function also takes it as a positional argument.
    """

    name: str
    option: Option
    type: Any
    many: bool
    default: Any
    owner: Owner
    table: str = ""
    key: str = ""
    by_place: bool = False

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags of an option."""
        return self.option.flags or ("--" + self.name.replace("_", "-"),)

    @property
    def is_negated(self) -> bool:
        """Whether the flag, and its environment variable, set the value to false, as ``--no-shared-disk`` does."""
        return self.type is bool and self.default is True and self.flags[0].startswith("--no-")

    @property
    def access(self) -> Access:
        """What a value can reach: nothing ("plain"), a file ("path") or a program ("program")."""
        return self.option.access or ("path" if self.type is Path or self.option.file else "plain")


# A live control that moves asks for the types of its class sixty times a second.
type_hints = cache(typing.get_type_hints)


def parameters(cls: Any, owner: Owner, table: str = "") -> dict[str, Parameter]:  # noqa: ANN401  (of any dataclass)
    """Return the parameters that the fields of a dataclass declare, by field; ``table``: of the recipe, for settings.

    A setting has the name of its flag.
    """
    hints, found = type_hints(cls), {}
    for field in dataclasses.fields(cls):
        given = option_of(field)
        if not (given.group or given.is_argument):
            continue
        kind, many = plain_type(hints[field.name])
        name = given.flags[0].strip("-").replace("-", "_") if table and given.flags else field.name
        in_order = owner == "command" and not field.kw_only
        found[field.name] = Parameter(name, given, kind, many, field.default, owner, table, field.name, in_order)
    return found


def plain_type(hint: Any) -> tuple[Any, bool]:  # noqa: ANN401  (an annotation)
    """Return the type of an annotation without ``| None``, or that of a tuple's items; and whether it is a tuple."""
    parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kept = [part for part in parts if part is not type(None)]
    if len(kept) == 1 and typing.get_origin(kept[0]) is tuple:
        return typing.get_args(kept[0])[0], True
    return (kept[0] if len(kept) == 1 else kept[0] | kept[1]), False
