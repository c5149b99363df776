"""Options, declared once as fields of dataclasses: ``share: float = option(1.0, "share of the style", bounds=(0, 1))``.

The fields that are declared in this way are the parameters of commands, the settings of recipes, networks and plug-ins,
the context and the batch. A field with a group has a flag, and is a parameter of the commands that read it; a field
without a group is a setting of its table. The command line, the Python functions, the schema, the checks of tables and
the reference are derived from these fields. This module has only light imports and does not depend on any command.
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

P = ParamSpec("P")  # Parameters of an option class's constructor


class Group(StrEnum):
    """The sections of a command's help, in order."""

    INPUT = "Input"
    LOOK = "Look"
    STROKES = "Strokes"
    OUTPUT = "Output"
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
    """Features that use a render setting, in addition to the commands that read its whole table.

    RUN: commands that train and render offer its option. VARY: ``try`` compares values of it on one frame, and a marker
    on a timeline can set it. STREAM: it applies to a stream of single frames, as in a live session. LIVE: it is a
    slider of the live page. DEFLICKER, DREAM, RETIME: these commands read it.
    """

    RUN = auto()
    VARY = auto()
    STREAM = auto()
    LIVE = auto()
    DEFLICKER = auto()
    DREAM = auto()
    RETIME = auto()


@dataclass(frozen=True)
class Names(Collection[str]):
    """The valid names of an option: those in the registry ``registry`` (``"module:REGISTRY"``), and ``others``.

    ``kind``: the noun for a name in errors. ``prefix``: values with this prefix are not checked. ``has_address``: an
    address may follow the name, as in NAME://ADDRESS.
    """

    registry: str
    kind: str
    others: tuple[str, ...] = ()
    prefix: str = ""
    has_address: bool = False

    def load(self) -> Mapping[str, Any]:
        """Import and return the registry that has the names."""
        module, _, name = self.registry.partition(":")
        registry: Mapping[str, Any] = getattr(importlib.import_module(module), name)
        return registry

    def packages(self) -> Mapping[str, Package]:
        """Return the packages of plug-ins, by the names that they add."""
        return getattr(self.load(), "packages", {})

    def __contains__(self, name: object) -> bool:
        return name in self.others or name in self.load()

    def __iter__(self) -> Iterator[str]:
        yield from self.others
        yield from self.load()

    def __len__(self) -> int:
        return len(self.others) + len(self.load())


NO_USE = Use(0)  # Default of ``Option.uses``: no additional features use the setting
Bounds = tuple[float | None, float | None]  # Lowest and highest valid number; None: no limit
Form = Literal["", "main", "more"]  # Visibility in small forms: see ``Option.form``
Access = Literal["plain", "path", "program"]  # Reach of a value (nothing, a file, a program): see ``Option.access``
# Class that declares a parameter's field: see ``Parameter.owner``
Owner = Literal["command", "context", "batch", "recipe"]


@dataclass(frozen=True)
class Option:
    """An option: its help, flags and accepted values.

    Attributes:
        help: The effect of the option: a phrase, or a sentence with its full stop.
        group: The section of the help; None for a setting without a flag.
        flags: The flags on the command line; () for the field's name with dashes. A ``/`` separates yes from no.
        metavar: The name of its value in the help.
        bounds: The lowest and the highest number; None for no limit. ``low_open``: the lowest number is excluded.
        moves: The bounds of a value that may change over time: a number, or a curve (``vidtrans.curves``), which may
            name files even if the access is "plain". None: the value is constant.
        choices: The accepted words. A setting whose ``Names`` have a prefix is checked by its own class.
        file: The kind of file: the value is a path, or a name that is searched for.
        uses: The additional users of the setting.
        sets: The value that the flag sets if it is given without a value.
        flag_help: The help of the flag, if it differs from the setting's help.
        default_text: The default in words, if it is not a constant.
        variable: An environment variable shared by all commands; '' for the command's own variable.
        rare: Whether only ``--help-all`` lists it.
        access: The reach of a value: nothing ("plain"), a file ("path"), or a program of the user ("program"). Web
            pages and other programs do not offer "program" options. "": "path" for a file's type, else "plain".
        form: Whether small forms, such as a node or a panel, show it always ("main"), or when unfolded ("more").
        is_argument: Whether it is a positional argument of the command line; an empty ``metavar`` stands for its name
            in capitals.
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
    uses: Use = NO_USE
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
        """The lowest and the highest valid value, of numbers and of curves; infinite without a limit."""
        low, high = self.moves or self.bounds or (None, None)
        return -math.inf if low is None else low, math.inf if high is None else high

    @property
    def sentence(self) -> str:
        """The help of the flag as a sentence, with an initial capital and a full stop."""
        text = self.flag_help or self.help
        return text if text.endswith(".") else f"{text[:1].upper()}{text[1:]}."


def option_factory(kind: Callable[P, Option]) -> Callable[Concatenate[Any, P], Any]:
    """Return a function that declares a dataclass field with an option of the class ``kind``.

    The function takes the field's default, and the arguments of ``kind``.
    """

    def declare(default: Any, /, *args: P.args, **traits: P.kwargs) -> Any:  # noqa: ANN401  (of any field)
        """Declare a field with an option. ``traits``: arguments of the option's class."""
        return dataclasses.field(default=default, metadata={"option": kind(*args, **traits)})

    return declare


# Function that declares a dataclass field as an option: ``option(default, help, group, …)``.
# The default of a required option is MISSING.
option = option_factory(Option)


def argument(metavar: str = "", default: Any = MISSING, **traits: Any) -> Any:  # noqa: ANN401  (of any field)
    """Declare a positional argument of a command. ``metavar``: its name in the help.

    ``traits``: other fields of ``Option``.
    """
    return option(default, "", metavar=metavar, is_argument=True, **traits)


def option_of(field: dataclasses.Field[Any]) -> Option:
    """Return the option that a field declares; for a plain field, an option without help and bounds."""
    given: Option = field.metadata.get("option", _PLAIN)
    return given


_PLAIN = Option("")  # Option of a field that declares none: without help and bounds


def _options_of(cls: Any) -> Mapping[str, Option]:  # noqa: ANN401  (of any dataclass)
    """Return the option of each field of a dataclass, by field name."""
    return {field.name: option_of(field) for field in dataclasses.fields(cls)}


# Cached function that returns the options of a dataclass by field name; live controls call it for each frame
options_of: Callable[[Any], Mapping[str, Option]] = cache(_options_of)


def settings_with_use(cls: type, use: Use) -> tuple[str, ...]:
    """Return the keys of the settings in a class whose ``uses`` include ``use``, in order."""
    return tuple(name for name, given in options_of(cls).items() if use & given.uses)


def settings_over_time(cls: type) -> dict[str, Option]:
    """Return the options of the settings in a class that may be curves over time, by key."""
    return {name: given for name, given in options_of(cls).items() if given.moves}


@dataclass(frozen=True)
class Parameter:
    """An option as a parameter of a command.

    Attributes:
        name: The name of the parameter in Python.
        option: The declaration of the option.
        type: The type of a value, without None.
        many: Whether several values may be given, as a tuple.
        default: The default; MISSING if the parameter is required. The default of a setting is that of its class.
        owner: The class that declares the field: of the command, the context, the batch, or a table of the recipe.
        table, key: The table and the key of a setting in a recipe.
        is_positional: Whether the Python function also takes it as a positional argument.
    """

    name: str
    option: Option
    type: Any
    many: bool
    default: Any
    owner: Owner
    table: str = ""
    key: str = ""
    is_positional: bool = False

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags on the command line, by default the parameter's name with dashes."""
        return self.option.flags or ("--" + self.name.replace("_", "-"),)

    @property
    def access(self) -> Access:
        """The reach of a value: nothing ("plain"), a file ("path") or a program ("program")."""
        return self.option.access or ("path" if self.type is Path or self.option.file else "plain")


# Cached ``typing.get_type_hints``; a moving live control needs the types of its class sixty times a second
type_hints = cache(typing.get_type_hints)


def parameters(cls: Any, owner: Owner, table: str = "") -> dict[str, Parameter]:  # noqa: ANN401  (of any dataclass)
    """Return the parameters that the fields of a dataclass declare, by field name.

    ``owner``: the kind of class that declares the fields. ``table``: the recipe's table, if the class has its settings;
    the parameter of a setting has the name of its flag.
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
    """Return the type in an annotation without ``| None`` (of a tuple: the items' type), and whether it is a tuple."""
    parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kept = [part for part in parts if part is not type(None)]
    if len(kept) == 1 and typing.get_origin(kept[0]) is tuple:
        return typing.get_args(kept[0])[0], True
    return (kept[0] if len(kept) == 1 else kept[0] | kept[1]), False
