"""Options of the commands: fields of the panel from their JSON Schemas, and command lines from the fields' values.

Command lines are lists of words: no shell reads them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import UserError

BUNDLED = Path(__file__).with_name("interface.json")
SET_BY_ADDON = {"output", "beside", "start", "end", "score", "dry_run", "overwrite", "cache_dir"}
SET_BY_ADDON |= {"first_number", "preview", "fps"}
INPUTS = {"source", "keyframes", "mask"}  # always visible, although pages have other controls for them
HIDDEN_GROUPS = {"Farms", "Several clips"}
CURVE = "vidtrans-curve"  # the format of values that may change over a clip
UNSET = {"int": -1, "float": -1.0}  # of a number without a default: the option is left out
FILE = "FILE"  # the choice in the list of looks that stands for a file
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}
ENDINGS = {"prores": ".mov", "prores4444": ".mov", "dnxhr": ".mov", "ffv1": ".mkv"}


@dataclass(frozen=True)
class Field:
    """An option of a command as a property of Blender."""

    name: str  # of the parameter
    kind: str  # bool, int, float, enum, text, file or folder
    flag: str  # precedes its value on the command line
    help: str
    group: str
    default: Any = None  # None where the program decides
    low: float | None = None  # bounds of a number; None if it has none
    high: float | None = None
    choices: tuple[str, ...] = ()  # the words of an enum
    is_main: bool = False  # always visible
    flag_sets: float | None = None  # the value that the flag alone sets; None if a value follows it
    setting: str = ""  # the key of --set for other values of such a flag
    is_curve: bool = False  # its value may change over the clip: it may be a file of values

    @property
    def title(self) -> str:
        return self.name.replace("_", " ").title()


def read_interface(cached: Path) -> dict[str, Any]:
    """Return the schemas and looks of the program that was found last, or else those of the add-on's release."""
    for path in (cached, BUNDLED):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(found, dict) and isinstance(found.get("commands"), dict) and isinstance(found.get("looks"), list):
            return found
    return {"commands": {}, "looks": []}


def fields_of(schema: Mapping[str, Any]) -> list[Field]:
    """Return the fields of a command's schema: first the main ones, which files of inputs are, too.

    Parameters are left out that can start a program (``x-access`` is ``program``), that several clips or farms need,
    and those that the add-on sets.
    """
    found = []
    for name, table in schema.get("properties", {}).items():
        if name == "mask" and table.get("type") == "array":  # the panel takes one
            table = {**table, "type": "string"}
        is_hidden = name in SET_BY_ADDON or table.get("x-group") in HIDDEN_GROUPS or table.get("x-access") == "program"
        if is_hidden or not table.get("x-flags") or table.get("type") in ("array", "object"):
            continue
        kind, choices = _kind(name, table)
        default, sets = table.get("default"), table.get("x-flag-sets")
        low = table.get("minimum", table.get("exclusiveMinimum"))
        found.append(
            Field(
                name=name,
                kind=kind,
                flag=table["x-flags"][-1],
                help=str(table.get("description", "")),
                group=str(table.get("x-group", "")),
                default=default,
                low=UNSET[kind] if kind in UNSET and default is None else low,
                high=table.get("maximum"),
                choices=choices,
                is_main=name in INPUTS or table.get("x-form") == "main",
                flag_sets=None if sets is None else float(sets),
                setting=str(table.get("x-setting", "")),
                is_curve=table.get("format") == CURVE and kind == "float",
            )
        )
    return sorted(found, key=lambda field: not field.is_main)


def _kind(name: str, table: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    enums = [table.get("enum"), *(one.get("enum") for one in table.get("anyOf", []))]
    if choices := next((tuple(map(str, words)) for words in enums if words), ()):
        return "enum", choices
    types = table.get("type")
    types = types if isinstance(types, list) else [types]
    for one, kind in (("boolean", "bool"), ("number", "float"), ("integer", "int")):
        if one in types:
            return kind, ()
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
        text = f"{value:.6g}" if isinstance(value, float) else str(value)
        if field.kind == "bool" or (field.flag_sets is not None and value == field.flag_sets):
            words.append(field.flag)
        else:
            words.append(f"--set={field.setting}={text}" if field.setting else f"{field.flag}={text}")
    return words


def _is_default(field: Field, value: Any) -> bool:
    if isinstance(value, str):  # of a number: a file of values
        return field.kind not in UNSET and value in ("", "UNSET", field.default)
    if field.kind in UNSET and field.default is None:
        return bool(value < 0)
    if field.kind == "float":
        return math.isclose(value, field.default, rel_tol=1e-6, abs_tol=1e-7)  # Blender stores 32 bits
    return bool(value == field.default)


def model_words(look: str, file: str) -> list[str]:
    """Return ``--model`` or ``--look``: of a look that ships, ``identity``, or ``FILE``, a model file or a picture."""
    if look != FILE:
        return ["--model=identity"] if look == "identity" else [f"--look={look}"]
    if not file:
        raise UserError("no model is chosen — choose a file under Model File, or a look")
    if not Path(file).is_file():
        raise UserError(f"{file}: this model is not there — choose another file under Model File")
    return [f"--look={file}"] if Path(file).suffix.lower() in PICTURES else [f"--model={file}"]


def words_of(command: str, fields: list[Field], values: Mapping[str, Any], look: str, file: str) -> list[str]:
    words = [] if command != "stylize" else model_words(look, file)
    if any(word.startswith("--look=") for word in words):
        values = {**values, "look": ""}
    if command == "propagate" and not values.get("keyframes"):
        raise UserError("no painted frames are chosen — choose their folder under Keyframes")
    return [*words, *option_words(fields, values)]


def command_line(program: Path, command: str, words: Sequence[str], source: Path, output: Path) -> tuple[str, ...]:
    return (str(program), command, *words, f"--output={output}", "--", str(source))


def movie_ending(codec: str) -> str:
    return ENDINGS.get(codec, ".mp4")


def codec_words(codec: str) -> list[str]:
    """Return ``--codec`` of a movie; nothing for the usual one."""
    return [] if codec == "h264" else [f"--codec={codec}"]


def model_input(pairing: str, chosen: str = "AUTO") -> str:
    """Return what of a rendered scene a model reads: ``COLOUR``, ``GUIDES`` or ``LABELS``.

    ``AUTO`` follows the name of the model's pairing, which is empty for looks and other kinds of models.
    """
    return {"stack": "GUIDES", "labels": "LABELS"}.get(pairing, "COLOUR") if chosen == "AUTO" else chosen
