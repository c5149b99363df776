"""Requests to render models onto a video, and their records, from which ``fix`` restores the request for a result.

Recorded paths are relative to the parent of the cache folder, so that records stay valid if the working folder moves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from vidtrans.clips.cut_list import AUTO, OFF
from vidtrans.config.recipe import Recipe
from vidtrans.core.mask_files import FILE, MaskFile, MaskTerm, RegionLook, mask_text
from vidtrans.core.settings import Table, Time, parse_time
from vidtrans.core.system import path_as_stored
from vidtrans.models.look_pictures import (
    NamedPictures,
    medium_label,
    names_pictures,
    parse_pictures,
    replace_picture_paths,
)
from vidtrans.models.model_chain import SEPARATOR
from vidtrans.models.model_file import IDENTITY, find_model, sole_medium
from vidtrans.pipeline.render import look_named, with_files_at
from vidtrans.session import Context
from vidtrans.strokes.settings import map_strokes_files, medium_of_tables
from vidtrans.video.io.picture_paths import is_picture


@dataclass(frozen=True)
class StylizeRequest:
    """A request to render a model, or a chain of models, onto one video, picture or folder.

    ``models``: each model is rendered onto the output of the previous one; empty if the recipe's ``look`` names style
    pictures or a painting medium, from which the model is then made. ``mask``: white where the models' output is
    visible. ``regions``: regions with separate styles, over the output of ``models``; if ``models`` is only the
    identity, the source remains outside of the regions. ``score``: measure flicker and save a plot next to the output.
    ``in_batch``: do not trim the cache, because the batch does so after its last clip.
    """

    COMMAND: ClassVar = "stylize"

    video: Path
    models: tuple[str, ...]
    output: Path | None
    recipe: Recipe
    start: Time | None = None
    end: Time | None = None
    mask: MaskFile | None = None
    score: bool = False
    in_batch: bool = False
    regions: tuple[RegionLook, ...] = ()

    @property
    def pictures(self) -> NamedPictures | None:
        """Return the pictures or painting medium from which to make the model; None if models are named.

        Raises UsageError.
        """
        look = look_named(self.recipe.tables)
        return parse_pictures(look) if look and not self.models else None

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of region styles, models and painting medium, for the output's default name.

        Raises UsageError.
        """
        own = self.models if (pictures := self.pictures) is None else (pictures.name,)
        found = (*dict.fromkeys(filter(None, map(_name_of, self.regions))), *own)
        medium = medium_label(medium_of_tables(self.recipe.tables)) if medium_of_tables(self.recipe.tables) else ""
        return (*found, medium) if medium and medium not in found else found

    @property
    def keeps_source_elsewhere(self) -> bool:
        """Return whether the result shows the unchanged source outside of all regions."""
        return bool(self.regions) and self.models == (IDENTITY,)

    @property
    def masks(self) -> list[MaskFile]:
        """Return the masks of the request and of its regions."""
        return [mask for mask in (self.mask, *(region.mask for region in self.regions)) if mask]

    def with_looks(self) -> StylizeRequest:
        """Replace models that name a painting medium or a picture by the style setting ``look``."""
        look = "" if look_named(self.recipe.tables) else sole_medium(self.models)
        look = _look_in(self.models) if self.regions else look
        own = replace(self, regions=tuple(map(_with_look, self.regions)))
        return replace(own, models=(), recipe=self.recipe.under({"rendering": {"look": look}})) if look else own


def _with_look(region: RegionLook) -> RegionLook:
    """Replace the model of a region by a style if the model names one (a painting medium or a picture)."""
    look = "" if region.look else _look_in(region.models)
    return replace(region, models=(), look=look) if look else region


def _look_in(models: tuple[str, ...]) -> str:
    """Return the style that a model name stands for (painting medium, picture or mixture); '' for a model file."""
    if len(models) != 1:
        return ""
    [name] = models
    is_mixture = ":" in name and not path_as_stored(Path(name)).exists() and names_pictures(name)
    return name if sole_medium(models) or is_picture(Path(name)) or is_mixture else ""


def _name_of(region: RegionLook) -> str:
    """Return the name of a region's style or models; '' if the region has none."""
    return parse_pictures(region.look).name if region.look and not region.models else SEPARATOR.join(region.models)


def describe(command: str, request: Mapping[str, Any], context: Context) -> Table:
    """Return the record of a ``command``'s request, with the options that affect its result; ``restore`` reads it."""
    root = context.cache.root.resolve().parent
    values = _move_paths(_fields_to_json(request), lambda path: _relative(path, root), find_model, Path())
    return {"command": command, "request": values, "options": {"seed": context.seed, "device": context.device}}


def restore(made_of: Table, context: Context) -> dict[str, Any]:
    """Restore the fields of a request from a table that ``describe`` returned.

    Raises TypeError, ValueError, KeyError, AttributeError if the table is damaged.
    """
    root, here = context.cache.root.resolve().parent, Path.cwd()
    values = _move_paths(made_of["request"], lambda path: _relative(root / path, here), _recorded_model, root)
    found = {name: _from_json(value) for name, value in values.items()}
    if isinstance(found.get("mask"), Path):
        raise ValueError("its mask is of an earlier version")
    return found


def _relative(path: Path, root: Path) -> str:
    """Return a path relative to the folder ``root``; an absolute path if there is no relative one."""
    try:
        return os.path.relpath(path.absolute(), root)
    except ValueError:  # On Windows, the path is on another drive
        return str(path.absolute())


def _recorded_model(name: str) -> Path | None:
    """Return the file of a model in a record, where models are named by their paths; None for the identity."""
    return None if name == IDENTITY else Path(name)


def _fields_to_json(request: Mapping[str, Any]) -> Table:
    """Convert the fields of a request to JSON values; a value that JSON lacks becomes a table {kind: content}."""
    return {name: _to_json(value) for name, value in request.items()}


def _to_json(value: object) -> Any:  # noqa: ANN401  (a JSON value)
    """Convert a value of a request's field to a JSON value; see ``_fields_to_json``."""
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, Time):
        return {"time": str(value)}
    if isinstance(value, MaskFile) and value.terms:
        return {"found": [[list(astuple(term)) for term in value.terms], value.inverted, value.name]}
    if isinstance(value, MaskFile):
        return {"mask": [str(value.path), value.inverted, value.name, value.sequence and str(value.sequence)]}
    if isinstance(value, RegionLook):
        return {"region": [_to_json(value.mask), list(value.models), value.look]}
    if isinstance(value, Recipe):
        tables, from_preset = ({n: dict(table) for n, table in t.items()} for t in (value.tables, value.from_preset))
        recipe = {"preset": value.preset, "tables": tables, "from_preset": from_preset}
        return {"recipe": recipe | {"pairing_changes": dict(value.pairing_changes)}}
    return [_to_json(one) for one in value] if isinstance(value, tuple) else value


def _from_json(value: Any) -> Any:  # noqa: ANN401
    """Convert a JSON value back to the value of a request's field."""
    if isinstance(value, list):
        return tuple(map(_from_json, value))
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "path":
        return Path(content)
    if kind == "time":
        return parse_time(content)
    if kind == "mask":
        file, inverted, name, sequence = content
        return MaskFile(Path(file), inverted, name, Path(sequence) if sequence else None)
    if kind == "found":
        terms, inverted, name = content
        mask = MaskFile(Path(), inverted, name, terms=tuple(MaskTerm(*term) for term in terms))
        return replace(mask, path=Path(mask_text(mask)))
    if kind == "region":
        mask, models, look = content
        return RegionLook(_from_json(mask), tuple(models), look)
    return Recipe(**content)


def _move_paths(
    fields: Table, move: Callable[[Path], str], find: Callable[[str], Path | None], folder: Path
) -> dict[str, Any]:
    """Return a request's JSON ``fields`` with each path replaced by ``move(path)``, and each model by its moved file.

    ``find``: returns a model's file by name, None for the identity. ``folder``: contains the pictures of styles.
    """

    def models(names: Sequence[str]) -> list[str]:
        """Return the paths of the models' files, changed by ``move``."""
        return [IDENTITY if (file := find(name)) is None else move(file) for name in map(str, names)]

    def move_value(value: Any) -> Any:  # noqa: ANN401
        """Return a JSON value in which ``move`` has changed each path."""
        if isinstance(value, list):
            return list(map(move_value, value))
        if not isinstance(value, dict):
            return value
        ((kind, content),) = value.items()
        if kind == "path":
            content = move(Path(content))
        elif kind == "mask":
            file, inverted, name, sequence = content
            content = [move(Path(file)), inverted, name, sequence and move(Path(sequence))]
        elif kind == "found":
            terms, *rest = content
            terms = [[own, move(Path(text)) if own == FILE else text, *traits] for own, text, *traits in terms]
            content = [terms, *rest]
        elif kind == "region":
            mask, names, look = content
            content = [move_value(mask), models(names), replace_picture_paths(look, folder, move) if look else ""]
        elif kind == "recipe":
            tables = {name: _move_files(content[name], move, folder) for name in ("tables", "from_preset")}
            content = content | tables
        return {kind: content}

    return {name: models(value) if name == "models" else move_value(value) for name, value in fields.items()}


def _move_files(tables: Mapping[str, Table], move: Callable[[Path], str], folder: Path) -> dict[str, Table]:
    """Return a recipe's ``tables`` with paths (cuts, style pictures, curves, strokes) replaced by ``move(path)``."""
    found = dict(tables)
    if (strokes := found.get("strokes")) is not None:
        found["strokes"] = map_strokes_files(strokes, move)
    if "rendering" in found:
        rendering = found["rendering"] = with_files_at(found["rendering"], move)
        if (cuts := rendering.get("cuts", AUTO)) not in (AUTO, OFF):
            rendering["cuts"] = move(Path(str(cuts)))
        if look := look_named(found):
            rendering["look"] = replace_picture_paths(look, folder, move)
    return found
