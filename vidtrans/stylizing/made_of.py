"""Serialise the request of a result for its record, and restore it.

Paths are relative to the parent of the cache folder, so that records stay valid if the working folder moves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vidtrans.clips.cut_list import AUTO, OFF
from vidtrans.config.recipe import Recipe
from vidtrans.core.mask_files import MaskFile, RegionLook
from vidtrans.core.settings import Table, Time, parse_time
from vidtrans.models.look_pictures import with_other_paths
from vidtrans.models.model_file import IDENTITY, find_model
from vidtrans.pipeline.render import look_named, with_files_at
from vidtrans.session import Context
from vidtrans.strokes.settings import with_files_of_strokes


def describe(command: str, request: Mapping[str, Any], context: Context) -> Table:
    """Return a ``command``'s request and the options that affect its result as a table, for ``restore``."""
    root = root_of(context)
    values = {name: _plain(value, root) for name, value in request.items()}
    if "models" in values:
        values["models"] = _files(request["models"], root)
    return {"command": command, "request": values, "options": {"seed": context.seed, "device": context.device}}


def restore(made_of: Table, context: Context) -> dict[str, Any]:
    """Return the fields of a request from its table.

    Raises TypeError, ValueError, KeyError, AttributeError if the table is damaged.
    """
    root = root_of(context)
    values: dict[str, Any] = {name: _restored(given, root) for name, given in made_of["request"].items()}
    if "models" in values:
        values["models"] = _names(values["models"], root)
    if isinstance(values.get("mask"), Path):
        raise ValueError("its mask is of an earlier version")
    return values


def _files(models: Sequence[str], root: Path) -> list[str]:
    files = [find_model(name) for name in models]
    return [IDENTITY if file is None else _relative(file, root) for file in files]


def _names(files: Sequence[str], root: Path) -> tuple[str, ...]:
    return tuple(name if name == IDENTITY else os.path.relpath(root / name) for name in map(str, files))


def root_of(context: Context) -> Path:
    """Return the folder that recorded paths are relative to."""
    return context.cache.root.resolve().parent


def _relative(path: Path, root: Path) -> str:
    try:
        return os.path.relpath(path.absolute(), root)
    except ValueError:  # Windows: another drive
        return str(path.absolute())


def _plain(value: object, root: Path) -> Any:  # noqa: ANN401  (a JSON value)
    if isinstance(value, Path):
        return {"path": _relative(value, root)}
    if isinstance(value, Time):
        return {"time": str(value)}
    if isinstance(value, MaskFile):
        sequence = value.sequence and _relative(value.sequence, root)
        return {"mask": [_relative(value.path, root), value.inverted, value.name, sequence]}
    if isinstance(value, RegionLook):
        look = with_other_paths(value.look, Path(), lambda path: _relative(path, root)) if value.look else ""
        return {"region": [_plain(value.mask, root), _files(value.models, root), look]}
    if isinstance(value, tuple):
        return [_plain(one, root) for one in value]
    if isinstance(value, Recipe):
        return _plain_recipe(value, root)
    return value


def _restored(value: Any, root: Path) -> object:  # noqa: ANN401
    if isinstance(value, list):
        return tuple(_restored(one, root) for one in value)
    if not isinstance(value, dict):
        return value
    ((kind, given),) = value.items()
    if kind == "path":
        return Path(_relative(root / given, Path.cwd()))
    if kind == "time":
        return parse_time(given)
    if kind == "mask":
        file, inverted, name, sequence = given
        here = Path.cwd()
        whole = Path(_relative(root / sequence, here)) if sequence else None
        return MaskFile(Path(_relative(root / file, here)), inverted, name, whole)
    if kind == "region":
        mask, models, look = given
        here = Path.cwd()
        look = with_other_paths(look, root, lambda path: _relative(path, here)) if look else ""
        return RegionLook(_restored(mask, root), _names(models, root), look)  # type: ignore[arg-type]
    return _restored_recipe(given, root)


def _plain_recipe(value: Recipe, root: Path) -> Table:
    def moved(path: Path) -> str:
        return _relative(path, root)

    tables, from_preset = ({name: dict(table) for name, table in t.items()} for t in (value.tables, value.from_preset))
    for found in (tables, from_preset):
        _move_files(found, Path(), moved)
    recipe = {"preset": value.preset, "tables": tables, "from_preset": from_preset}
    return {"recipe": recipe | {"pairing_changes": dict(value.pairing_changes)}}


def _restored_recipe(given: Table, root: Path) -> Recipe:
    here = Path.cwd()
    for found in (given["tables"], given["from_preset"]):
        _move_files(found, root, lambda path: _relative(root / path, here))
    return Recipe(**given)


def _move_files(tables: dict[str, Table], root: Path, moved: Callable[[Path], str]) -> None:
    """Change the files in tables of a recipe, of paths relative to ``root``: cuts, looks, curves, those of strokes."""
    if (strokes := tables.get("strokes")) is not None:
        tables["strokes"] = with_files_of_strokes(strokes, moved)
    if (rendering := tables.get("rendering")) is None:
        return
    rendering = tables["rendering"] = with_files_at(rendering, moved)
    if (cuts := _cut_list(tables)) is not None:
        rendering["cuts"] = moved(Path(cuts))
    if look := look_named(tables):
        rendering["look"] = with_other_paths(look, root, moved)


def _cut_list(tables: Mapping[str, Table]) -> str | None:
    """Return the cuts file that a recipe names; None if it names none."""
    cuts = tables.get("rendering", {}).get("cuts", AUTO)
    return None if cuts in (AUTO, OFF) else str(cuts)
