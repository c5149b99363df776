"""Widgets of the nodes, from the schemas of the commands.

``schemas.json`` is a copy of what vidtrans offers a page, written by ``make_schemas.py``: the nodes load in
milliseconds, and before vidtrans is installed. vidtrans itself checks the values when a node runs.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from comfy_api.latest import io

FOLDER_CODECS = ("png", "exr")  # a node's result is one file
DEFAULTS = {("keyframes", "count"): 4, ("dream", "frames"): 120}  # of parameters that have none
MEDIUM = "vidtrans-medium"  # the format of a medium's name; those of your own are written as options
LARGEST = 2**31 - 1  # of a whole number in a widget


@cache
def schemas() -> dict[str, Any]:
    """Return the schemas of the offered parameters by command and name, and the names of the media."""
    table: dict[str, Any] = json.loads(Path(__file__).with_name("schemas.json").read_text(encoding="utf-8"))
    return table


def parameters(command: str) -> dict[str, Any]:
    found: dict[str, Any] = schemas()["commands"][command]
    return found


def widgets(command: str, result: str) -> list[io.Input]:
    """Return the inputs of a command: those always shown, the result's name with its default, the advanced ones.

    All are optional: a workflow of an earlier version of the pack, which knows fewer of them, still loads.
    """
    forms: dict[str, list[io.Input]] = {"main": [], "more": []}
    for name, table in parameters(command).items():
        forms[table["x-form"]].append(_widget(command, name))
    for one in forms["main"]:
        one.optional = True
    hint = "Folder and name of the result; what follows them is the same for the same inputs."
    named = io.String.Input("name", default=result, optional=True, tooltip=hint)
    return [*forms["main"], named, *map(advanced, forms["more"])]


def advanced(one: io.Input) -> io.Input:
    """Show an input only with the advanced ones. Versions of ComfyUI differ in the argument, not in this table."""
    one.optional, one.extra_dict["advanced"] = True, True
    return one


def _widget(command: str, name: str) -> io.Input:
    table = parameters(command)[name]
    words: dict[str, Any] = {"tooltip": table.get("description", ""), "default": default_of(command, name)}
    if choices := table.get("enum") or next((o["enum"] for o in table.get("anyOf", ()) if "enum" in o), None):
        options = [one for one in choices if name != "codec" or one not in FOLDER_CODECS]
        return io.Combo.Input(name, options=options if words["default"] in options else ["", *options], **words)
    kind = table["type"]
    if table.get("format") == MEDIUM:
        return io.Combo.Input(name, options=["", *schemas()["media"]], **words)
    if kind == "boolean":
        return io.Boolean.Input(name, **words)
    if kind == "string" or words["default"] == "":  # also a number that vidtrans chooses unless one is written
        return io.String.Input(name, **words)
    low, high = table.get("minimum", table.get("exclusiveMinimum", 0)), table.get("maximum", LARGEST)
    if kind == "integer":
        return io.Int.Input(name, min=low, max=min(high, LARGEST), **words)
    # The type "number", or a list of types: a number or a curve. Curves are written as options.
    return io.Float.Input(name, min=low, max=high, step=0.01 if high <= 4 else 0.5, **words)


def default_of(command: str, name: str) -> Any:  # noqa: ANN401  (of any parameter)
    return DEFAULTS.get((command, name), parameters(command)[name].get("default", ""))


def values_of(command: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a command's widgets that differ from its defaults, in the schema's types."""
    found: dict[str, Any] = {}
    for name, table in parameters(command).items():
        value = inputs.get(name, DEFAULTS.get((command, name)))
        if value is None or value in ("", table.get("default")):
            continue
        if isinstance(value, str) and table["type"] in ("integer", "number"):
            try:
                value = int(value) if table["type"] == "integer" else float(value)
            except ValueError:
                raise ValueError(f"{name}: {value[:80]!r} is no number — write one, or nothing") from None
        found[name] = value
    return found
