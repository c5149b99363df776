"""Looks of single clips of a timeline, from the texts of its markers: ``model: ink; strength: .5``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from vidtrans.config.programs import refuse_programs
from vidtrans.core.errors import UsageError
from vidtrans.core.parameters import Use, used
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import Table, parse_value
from vidtrans.models.look_syntax import is_file, with_other_paths
from vidtrans.models.model_file import SUFFIX
from vidtrans.pipeline.settings import RenderingSettings
from vidtrans.strokes.settings import with_files_of_strokes

KEEP = "keep"  # the model of a clip that stays as it is
SETTINGS = tuple(name for name in used(RenderingSettings, Use.VARY) if name != "look")
STROKES = {"strokes": "medium", "palette": "palette"}  # settings of [strokes]
KEYS = ("model", "look", *STROKES, *SETTINGS)
TABLES = ("rendering", "strokes", "temporal", "pairing")
CLOSE = 0.8  # of difflib, from 0 to 1: a key that is this near to another is a slip of the pen
MAX_TEXT = 1000
_PAIR = re.compile(r"\s*([A-Za-z][A-Za-z _-]*(?:\.[A-Za-z][A-Za-z0-9_ -]*)?)\s*[:=]\s*(\S.*?)\s*")


@dataclass(frozen=True)
class ClipMark:
    """The look in the markers of a clip: its model ('' for that of the others), and settings by table and key."""

    model: str = ""
    tables: Mapping[str, Table] = field(default_factory=dict)

    @property
    def keeps(self) -> bool:
        """Return whether the clip stays as it is."""
        return self.model.lower() == KEEP

    @property
    def has_look(self) -> bool:
        """Return whether it names a look instead of a model."""
        return bool(self.tables.get("rendering", {}).get("look"))


def read_marks(texts: Sequence[str], where: str, folder: Path) -> ClipMark:
    """Return what the texts of a clip's markers say; other texts are notes.

    ``where``: the clip, for messages. ``folder``: of the timeline, from which files of models and looks are found.
    Raises UsageError for an unknown key beside a known one, or one that is nearly a known one.
    """
    model, tables = "", dict[str, Table]()
    for text in texts:
        for key, value in _pairs(text, where):
            table, _, name = key.rpartition(".")
            if key == "model":
                model = _model(value, folder)
            elif key == "look":
                tables.setdefault("rendering", {})["look"] = with_other_paths(_small(value), folder, str)
            elif key in STROKES:
                tables.setdefault("strokes", {})[STROKES[key]] = _small(value)
            else:
                tables.setdefault(table or "rendering", {})[name] = parse_value(
                    f"0{value}" if value.startswith(".") else value
                )
    if model and tables.get("rendering", {}).get("look"):
        raise UsageError(where, "its markers name a model and a look", "leave one of them out")
    if "strokes" in tables:
        tables["strokes"] = with_files_of_strokes(tables["strokes"], lambda path: str(folder / path))
    refuse_programs(tables, where)
    return ClipMark(model, tables)


def _pairs(text: str, where: str) -> list[tuple[str, str]]:
    """Return the keys and values of a marker's text; [] for a note."""
    matches = [_PAIR.fullmatch(part) for part in text[:MAX_TEXT].split(";") if part.strip()]
    found = [(_key(match[1]), match[2]) for match in matches if match]
    known = [key for key, _ in found if key in KEYS or key.partition(".")[0] in TABLES]
    for key, _ in found:
        if key not in known and (known or get_close_matches(key, KEYS, 1, CLOSE)):
            raise unknown_name(f"marker '{text[:80]}' of {where}: key", key, [*KEYS, *(f"{t}.KEY" for t in TABLES)])
    if known and len(found) < len(matches):
        raise UsageError(
            f"marker '{text[:80]}' of {where}", "a part of it is not KEY: VALUE", "as in model: ink; mix: .2"
        )
    return found if known else []


def _key(text: str) -> str:
    return re.sub(r"[ -]", "_", text.strip().lower())


def _small(value: str) -> str:
    """Return a name in small letters, if a program has put it in capitals."""
    return value.lower() if value.isupper() and not os.path.exists(value) else value


def _model(value: str, folder: Path) -> str:
    """Return a model by name, or its file in the folder of the timeline."""
    for name in (value, f"{value}{SUFFIX}"):
        if is_file(name, folder):
            return str(folder / name)
    return _small(value)
