"""``vidtrans schema``: print the parameters of commands as JSON Schema, for pages, node editors and other programs."""

from __future__ import annotations

import json
import types
import typing
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

from vidtrans.commands import COMMANDS
from vidtrans.commands.base import Command, parameters_of
from vidtrans.config.recipe import Recipe
from vidtrans.core.options import Names, Parameter, Use, argument
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import Table
from vidtrans.session import Context

DIALECT = "https://json-schema.org/draft/2020-12/schema"  # Value of ``$schema``: the version of JSON Schema
# JSON Schema types by Python type; other types are "string"
JSON_TYPE_NAMES = {int: "integer", float: "number", bool: "boolean"}


@dataclass(frozen=True)
class Schema(Command):
    """Print the parameters of COMMAND as JSON Schema, or of all commands.

    Each parameter has its purpose, values, default in this folder, flags and section of the help. The schema marks
    rarely used parameters, and parameters that ``try`` varies. Small forms show a parameter always ("main") or when
    unfolded ("more"). The schema also shows what a value can reach: nothing ("plain"), a file or folder ("path"), or a
    program on your machine ("program"). Programs that accept untrusted values must not offer parameters of the kind
    "program". A parameter that accepts names can have one pattern with a wider reach: ffmpeg:NAME of --codec runs a
    program.
    """

    command: tuple[str, ...] = argument("[COMMAND]", default=())

    def __post_init__(self) -> None:
        name = " ".join(self.command)
        if name and name not in COMMANDS:
            raise unknown_name("command", name, COMMANDS)

    def make(self, context: Context) -> Table:
        """Return the JSON Schema of a command, or of all commands by name. Raises UsageError."""
        if name := " ".join(self.command):
            return schema_of(name)
        return {"commands": {name: schema_of(name) for name, _ in COMMANDS.working_entries()}}

    def describe(self, table: Table) -> str:
        """Return the schema as JSON text. ``table``: the result of ``make``."""
        return json.dumps(table, indent=2, ensure_ascii=False)


def schema_of(name: str) -> Table:
    """Return the JSON Schema of a command's Python arguments. Raises UsageError if ``vidtrans.toml`` is invalid."""
    cls: type[Command] = COMMANDS.load(name)
    parameters = parameters_of(cls)
    recipe = cls.usual_recipe() if cls.TABLES else None
    properties = {p.name: _property(p, recipe) for p in parameters.values()}
    if cls.TABLES:
        properties["preset"] = {"type": "string", "description": "A whole recipe.", "x-access": "path"}
        properties["settings"] = {
            "type": "object",
            "description": "Settings of a preset, by table and key.",
            "properties": {table: {"type": "object"} for table in cls.TABLES},
            "additionalProperties": False,
            "x-access": "program",  # Some settings are filter graphs.
        }
    needed = [p.name for p in parameters.values() if p.owner == "command" and p.default is MISSING]
    return {
        "$schema": DIALECT,
        "title": f"vidtrans {name}",
        "description": " ".join((cls.__doc__ or "").split()),
        "type": "object",
        "properties": properties,
        "required": needed,
        "additionalProperties": False,
    }


def _property(parameter: Parameter, recipe: Recipe | None) -> Table:
    """Return the JSON Schema of a parameter. ``recipe``: has the defaults of settings."""
    declared = parameter.option
    one = {"type": _type(parameter.type)} | _values(parameter)
    found: Table = {"type": "array", "items": one} if parameter.many else one
    if not declared.is_argument:
        found["description"] = declared.sentence
        found |= {"x-flags": list(parameter.flags), "x-group": str(declared.group), "x-rare": declared.rare}
        found |= {"x-form": declared.form} if declared.form else {}
        found |= {"x-vary": True} if Use.VARY in declared.uses else {}
        if declared.sets:
            found |= {"x-flag-sets": declared.sets, "x-setting": f"{parameter.table}.{parameter.key}"}
    if (default := _default(parameter, recipe)) is not None:
        found["default"] = default
    return found | {"x-access": "plain" if isinstance(declared.choices, Names) else parameter.access}


def _type(kind: Any) -> str | list[str]:  # noqa: ANN401  (an annotation)
    """Return the JSON Schema type of a Python type; for a union, the list of types."""
    if isinstance(kind, types.UnionType):
        return [JSON_TYPE_NAMES.get(one, "string") for one in typing.get_args(kind)]
    return JSON_TYPE_NAMES.get(kind, "string")


def _values(parameter: Parameter) -> Table:
    """Return the part of a parameter's JSON Schema that limits its values: names, range or format."""
    declared = parameter.option
    if isinstance(declared.choices, Names):
        names = list(declared.choices)
        more: list[Table] = [{"pattern": "://"}] if declared.choices.has_address else []
        if prefix := declared.choices.prefix:
            reaches = "path" if parameter.access == "plain" else parameter.access
            more.append({"pattern": f"^{prefix}", "x-access": reaches})
        return {"anyOf": [{"enum": names}, *more]} if more else {"enum": names}
    if declared.choices is not None:
        return {"enum": list(declared.choices)}
    if declared.file:
        return {"format": f"vidtrans-{declared.file}"}
    (low, high), least = (
        declared.moves or declared.bounds or (None, None),
        "exclusiveMinimum" if declared.low_open else "minimum",
    )
    limits = {key: end for key, end in ((least, low), ("maximum", high)) if end is not None}
    return {"format": "vidtrans-curve"} | limits if declared.moves else limits


def _default(parameter: Parameter, recipe: Recipe | None) -> Any:  # noqa: ANN401  (as JSON has it)
    """Return a parameter's default as a JSON value; None if it has none. ``recipe``: has the defaults of settings."""
    if parameter.owner == "recipe":
        assert recipe is not None
        value = recipe.value(parameter.table, parameter.key)
    else:
        value = parameter.default
    if value is MISSING or value in (None, (), ""):
        return None
    if isinstance(value, tuple):
        return [str(one) if isinstance(one, Path) else one for one in value]
    return value if isinstance(value, str | int | float) else str(value)
