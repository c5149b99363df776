"""Load painting media, such as oil or pencil, from TOML files; a new medium needs only a file and no code."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from vidtrans.core.errors import UsageError
from vidtrans.core.files import PACKAGE, check_regular_file, digest_file, digest_of
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import Table, from_table, read_toml, to_table
from vidtrans.core.system import path_as_stored
from vidtrans.strokes.medium import (
    BRUSHES,
    Finish,
    Ground,
    Medium,
    MediumLayer,
    MediumPicture,
    Screen,
    angle_of,
    parse_ink,
)
from vidtrans.strokes.settings import MEDIUM_FILES, is_painting

FOLDER = PACKAGE / "assets" / "media"  # Folder of the built-in media, one TOML file each
# Tables of a medium's TOML file: by table name, the class of its settings, and whether the table may occur repeatedly
TABLES: dict[str, tuple[type, bool]] = {
    "picture": (MediumPicture, False),
    "ground": (Ground, False),
    "layer": (MediumLayer, True),
    "screen": (Screen, True),
    "finish": (Finish, False),
}


@cache
def medium_names() -> tuple[str, ...]:
    """Return the names of the built-in painting media, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def medium_picture(name: str) -> Path | None:
    """Return the path of a built-in medium's sample picture, a JPEG file; None if there is none of this name."""
    path = FOLDER / f"{name}.jpg"
    return path if path.is_file() else None


def load_medium(name: str, folder: Path = Path()) -> Medium:
    """Load a medium by name, or from a file relative to ``folder``: TOML, a brush or a painting. Raises UsageError."""
    suffix = Path(name).suffix.lower()
    if suffix not in MEDIUM_FILES:
        if name not in medium_names():
            raise unknown_name("medium", name, medium_names())
        return _read(FOLDER / f"{name}.toml")
    path = path_as_stored(folder / name)
    check_regular_file(path, UsageError)
    if not path.is_file():
        raise UsageError(f"medium '{name}'", "no such file", f"choose from: {', '.join(medium_names())}")
    if suffix == ".toml":
        return _read(path)
    if is_painting(path):
        from vidtrans.strokes.from_painting import medium_of_painting

        return medium_of_painting(path, _read(FOLDER / "oil.toml"))
    table = read_toml(FOLDER / "oil.toml")
    table["layer"] = [layer | {"brush": path.name} for layer in table["layer"]]
    return _medium(path.stem, table, path)


def _read(path: Path) -> Medium:
    """Read a medium from its TOML file. Raises UsageError."""
    return _medium(path.stem, read_toml(path), path)


def _medium(name: str, table: Table, path: Path) -> Medium:
    """Build a medium from a parsed file at ``path``, whose folder also holds its brushes. Raises UsageError."""
    known = ("summary", *TABLES)
    if wrong := next((key for key in table if key not in known), None):
        raise unknown_name(f"'{wrong}' in {path}: table", wrong, known)
    given: dict[str, Any] = {key: table.get(key, [] if is_list else {}) for key, (_, is_list) in TABLES.items()}
    for key in ("picture", "ground", "finish"):
        if not isinstance(given[key], dict):
            raise UsageError(f"'{key}' in {path}", "it must be a table", f"write [{key}]")
    for key in ("layer", "screen"):
        if not isinstance(given[key], list) or not all(isinstance(value, dict) for value in given[key]):
            raise UsageError(f"'{key}' in {path}", "it must be tables", f"write [[{key}]]")
    if not given["layer"] and not given["screen"]:
        raise UsageError(str(path), "a medium without strokes", "add a table [[layer]] or [[screen]]")
    layers = tuple(from_table(MediumLayer, one, f"layer {n}") for n, one in enumerate(given["layer"], 1))
    screens = tuple(from_table(Screen, one, f"screen {n}") for n, one in enumerate(given["screen"], 1))
    seen, ground = from_table(MediumPicture, given["picture"], "picture"), from_table(Ground, given["ground"], "ground")
    finish = from_table(Finish, given["finish"], "finish")
    brushes = {one.brush: _brush(path, one.brush) for one in layers if one.brush not in BRUSHES}
    for colour in (ground.colour, *(c for one in layers for c in (one.colour, one.joint)), *(s.ink for s in screens)):
        parse_ink(colour)
    for one in layers:
        angle_of(one)
    settings = {
        "layers": [to_table(one) for one in layers],
        "screens": [to_table(one) for one in screens],
        "picture": to_table(seen),
        "ground": to_table(ground),
        "finish": to_table(finish),
        "brushes": {key: digest_file(file) for key, file in brushes.items()},
    }
    summary = table.get("summary", "")
    return Medium(name, digest_of(settings), str(summary), seen, ground, layers, screens, finish, brushes)


def _brush(medium: Path, name: str) -> Path:
    """Return the path of a brush picture in the folder of a medium's file. Raises UsageError if missing or black."""
    from vidtrans.strokes.brushes import read_brush

    path = path_as_stored(medium.parent / name)
    check_regular_file(path, UsageError)
    if not path.is_file():
        raise UsageError(f"brush '{name}'", f"no such file beside {medium.name}", f"or one of {', '.join(BRUSHES)}")
    read_brush(path)
    return path
