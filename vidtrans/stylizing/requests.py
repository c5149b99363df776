"""A request to render models onto one video, and how the request of a result is recorded and restored.

Recorded paths are relative to the parent of the cache folder, so that records stay valid if the working folder moves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from vidtrans.clips.cut_list import AUTO, OFF
from vidtrans.config.recipe import Recipe
from vidtrans.core.mask_files import MaskFile, RegionLook
from vidtrans.core.settings import Table, Time, parse_time
from vidtrans.core.system import as_found
from vidtrans.models.look_pictures import NamedPictures, medium_label, names_pictures, parse_pictures
from vidtrans.models.look_syntax import with_other_paths
from vidtrans.models.model_chain import SEPARATOR
from vidtrans.models.model_file import IDENTITY, find_model, medium_among
from vidtrans.pipeline.settings import look_named, with_files_at
from vidtrans.session import Context
from vidtrans.strokes.settings import medium_named, with_files_of_strokes
from vidtrans.video.io.picture_paths import is_picture


@dataclass(frozen=True)
class StylizeRequest:
    """A request to render models onto one video, picture or folder, each model onto the previous one's output.

    ``models``: none if the look of the recipe names pictures or a medium: the model is made where the clip is rendered.
    ``mask``: white where the models' output is visible. ``regions``: parts of the picture with looks of their own, over
    that of ``models``; frames stay as they are where ``models`` is the identity alone. ``score``: measure flicker and
    save a plot next to the output. ``in_batch``: the batch trims the cache after all of its clips.
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
        """Return the pictures or the medium that the model is made of; None with a model. Raises UsageError."""
        look = look_named(self.recipe.tables)
        return parse_pictures(look) if look and not self.models else None

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the models, those of regions first, and of the medium. Raises UsageError."""
        own = self.models if (pictures := self.pictures) is None else (pictures.name,)
        found = (*dict.fromkeys(filter(None, map(_name_of, self.regions))), *own)
        medium = medium_label(medium_named(self.recipe.tables)) if medium_named(self.recipe.tables) else ""
        return (*found, medium) if medium and medium not in found else found

    @property
    def keeps_rest(self) -> bool:
        """Return whether what is in no region stays as it is."""
        return bool(self.regions) and self.models == (IDENTITY,)

    @property
    def masks(self) -> list[MaskFile]:
        """Return all masks."""
        return [mask for mask in (self.mask, *(region.mask for region in self.regions)) if mask]

    def with_looks(self) -> StylizeRequest:
        """Return the request with looks in the place of models that are names of media, or pictures."""
        look = "" if look_named(self.recipe.tables) else medium_among(self.models)
        look = _look_in(self.models) if self.regions else look
        own = replace(self, regions=tuple(map(_with_look, self.regions)))
        return replace(own, models=(), recipe=self.recipe.under({"rendering": {"look": look}})) if look else own


def _with_look(region: RegionLook) -> RegionLook:
    """Return a region with a look in the place of its model, if that names one."""
    look = "" if region.look else _look_in(region.models)
    return replace(region, models=(), look=look) if look else region


def _look_in(models: tuple[str, ...]) -> str:
    """Return the look that the only model names: a medium, a picture or a mixture; '' if it is a model."""
    if len(models) != 1:
        return ""
    [name] = models
    is_mixture = ":" in name and not as_found(Path(name)).exists() and names_pictures(name)
    return name if medium_among(models) or is_picture(Path(name)) or is_mixture else ""


def _name_of(region: RegionLook) -> str:
    """Return the name of a region's look; '' if it has none."""
    return parse_pictures(region.look).name if region.look and not region.models else SEPARATOR.join(region.models)


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
