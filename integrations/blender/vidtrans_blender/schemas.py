"""Turn the JSON Schema of a command into the fields of the panel, and their values into a command line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUNDLED = Path(__file__).with_name("interface.json")
SET_BY_ADDON = {"video", "processed", "output", "beside", "start", "end", "score", "dry_run", "overwrite", "cache_dir"}
SET_BY_ADDON |= {"first_number", "preview", "preset", "settings", "fps", "model", "jobs", "chunk", "join"}
SINGLE = {"mask"}
INPUTS = {"source", "keyframes", "mask"}  # as far as they are not set by the add-on
HIDDEN_GROUPS = {"Farms", "Several clips"}
CURVE = "vidtrans-curve"  # the format of values that may change over a clip
UNSET = {"int": -1, "float": -1.0}  # of a number without a default: the option is left out


@dataclass(frozen=True)
class Field:
    """An option of a command as a property of Blender.

    Attributes:
        name: The name of the parameter.
        kind: ``bool``, ``int``, ``float``, ``enum``, ``text``, ``file`` or ``folder``.
        flag: What precedes its value on the command line.
        default: None where the program decides.
        low, high: Bounds of a number; None if it has none.
        choices: The words of an enum.
        is_main: True for the options that are always visible.
        flag_sets: The value that the flag alone sets; None if a value follows it.
        setting: The key of ``--set`` for other values of such a flag.
        is_curve: True if its value may change over the clip: it may be a file of values.
    """

    name: str
    kind: str
    flag: str
    help: str
    group: str
    default: Any = None
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    is_main: bool = False
    flag_sets: float | None = None
    setting: str = ""
    is_curve: bool = False

    @property
    def title(self) -> str:
        """Return the label, as Blender writes labels."""
        return self.name.replace("_", " ").title()


def fields_of(schema: Mapping[str, Any]) -> list[Field]:
    """Return the fields of a command's schema: first the main ones, which files of inputs are, too.

    Parameters are left out that can start a program (``x-access`` is ``program``), that several clips or farms need,
    and those that the add-on sets.
    """
    found = []
    for name, table in schema.get("properties", {}).items():
        flags, access = table.get("x-flags") or [], table.get("x-access")
        is_hidden = name in SET_BY_ADDON or table.get("x-group") in HIDDEN_GROUPS or access == "program"
        if name in SINGLE and table.get("type") == "array":  # one is enough here
            table = {**table, "type": "string"}
        if is_hidden or not flags or table.get("type") in ("array", "object"):
            continue
        found.append(_field(name, table, flags[-1], is_main=name in INPUTS or table.get("x-form") == "main"))
    return sorted(found, key=lambda field: not field.is_main)


def _field(name: str, table: Mapping[str, Any], flag: str, *, is_main: bool) -> Field:
    kind, choices = _kind(name, table)
    low, high = table.get("minimum", table.get("exclusiveMinimum")), table.get("maximum")
    default = table.get("default")
    if kind in UNSET and default is None:
        low = UNSET[kind]
    words = {"help": str(table.get("description", "")), "group": str(table.get("x-group", "")), "flag": flag}
    sets = table.get("x-flag-sets")
    sets = None if sets is None else float(sets)
    more = {"is_main": is_main, "flag_sets": sets, "setting": str(table.get("x-setting", ""))}
    more["is_curve"] = table.get("format") == CURVE and kind == "float"
    return Field(name, kind, **words, default=default, low=low, high=high, choices=choices, **more)


def _kind(name: str, table: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    enums = [table.get("enum"), *(one.get("enum") for one in table.get("anyOf", []))]
    if choices := next((tuple(map(str, words)) for words in enums if words), ()):
        return "enum", choices
    kinds = table.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if "boolean" in kinds:
        return "bool", ()
    if "number" in kinds:
        return "float", ()
    if "integer" in kinds:
        return "int", ()
    if table.get("x-access") == "path" and not {"default", "format"} & table.keys():
        return ("folder" if name == "keyframes" else "file"), ()
    return "text", ()


def option_words(fields: list[Field], values: Mapping[str, Any]) -> list[str]:
    """Return the words of a command line for the values that differ from the defaults.

    A value that is left alone is not named, so that ``vidtrans.toml`` and the defaults of the program hold.
    """
    words = []
    for field in fields:
        value = values.get(field.name)
        if value is None or _is_default(field, value):
            continue
        if field.kind == "bool" or (field.flag_sets is not None and value == field.flag_sets):
            words.append(field.flag)
        elif field.setting:
            words.append(f"--set={field.setting}={_written(value)}")
        else:
            words.append(f"{field.flag}={_written(value)}")
    return words


def curve_value(field: Field, value: float) -> float:
    """Return a value of a curve within the bounds of its option, in as many digits as Blender stores."""
    low, high = field.low if field.low is not None else -math.inf, field.high if field.high is not None else math.inf
    return float(f"{min(max(value, low), high):.6g}")


def _is_default(field: Field, value: Any) -> bool:  # noqa: ANN401  (as JSON has it)
    if isinstance(value, str) and field.kind in UNSET:  # a file of values
        return False
    if field.kind in UNSET and field.default is None:
        return bool(value < 0)
    if field.kind == "float":
        return math.isclose(value, field.default, rel_tol=1e-6, abs_tol=1e-7)  # Blender stores 32 bits
    if field.kind in ("text", "file", "folder", "enum"):
        return value in ("", "UNSET", field.default)
    return bool(value == field.default)


def _written(value: Any) -> str:  # noqa: ANN401  (as JSON has it)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def read_interface(cached: Path | None) -> dict[str, Any]:
    """Return the interface of the program that was found last, or the one of the add-on's release."""
    for path in (cached, BUNDLED):
        if path is None:
            continue
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(found, dict) and isinstance(found.get("commands"), dict) and isinstance(found.get("media"), list):
            return found
    return {"commands": {}, "media": []}
