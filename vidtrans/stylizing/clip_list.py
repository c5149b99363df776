"""Lists of clips (TOML): each clip with its models and recipe, as requests to ``stylize``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vidtrans.config.recipe import TABLES, overlaid, programs_from, render_recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.mask_files import RegionLook, only_mask, parse_regions, parse_rest
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import Table, Time, parse_time, read_toml
from vidtrans.core.system import as_found
from vidtrans.models.look_pictures import models_named, parse_pictures
from vidtrans.models.look_syntax import with_other_paths
from vidtrans.models.model_file import IDENTITY
from vidtrans.pipeline.settings import look_named
from vidtrans.session import Context
from vidtrans.strokes.settings import with_files_of_strokes
from vidtrans.stylizing.clips import requests_for
from vidtrans.stylizing.stylize_request import StylizeRequest
from vidtrans.video.io.picture_paths import is_picture

SUFFIX = ".toml"
CLIP_KEYS = ("source", "output", "model", "preset", "start", "end", "mask", "region", "rest")
LIST_KEYS = ("model", "preset")
TEXTS = ("output", "preset")
NAMED = ("mask", "region")  # text, or a table of texts by name
CHAINS = ("model", "rest")


def read_clip_list(
    path: Path,
    template: StylizeRequest,
    preset: str | None,
    flags: Mapping[str, Mapping[str, Any]],
    context: Context,
    folder: Path,
) -> list[StylizeRequest]:
    """Return the requests of a list. Command-line flags override a clip's values, which override the list's.

    ``template``, ``preset``, ``flags``: the values of the command line; the template has no models if none are given.
    ``folder``: of the results. Sources, masks and pictures of looks are relative to the list's folder. Raises
    UsageError, ModelError.
    """
    table = read_toml(path)
    clips = table.pop("clips", None)
    if not isinstance(clips, list) or not clips or not all(isinstance(clip, dict) for clip in clips):
        raise UsageError(str(path), "it contains no clips", 'write [[clips]], and source = "…" below it')
    _check_keys(table, LIST_KEYS, str(path), "clips")
    requests: list[StylizeRequest] = []
    for number, clip in enumerate(clips, 1):
        where = f"clip {number} of {path}"
        _check_keys(clip, CLIP_KEYS, where)
        sources = _sources(clip, where, path.parent)
        regions = _regions(clip, path.parent)
        models = template.models or _beside(_models(clip), path.parent) or ((IDENTITY,) if regions else _models(table))
        in_list = overlaid(*({n: t for n, t in layer.items() if n in TABLES} for layer in (table, clip)))
        in_list = _with_look(in_list, path.parent, has_model=bool(models))
        recipe = render_recipe(preset or clip.get("preset") or table.get("preset"), overlaid(in_list, flags))
        _check_regions(clip, template, look_named(recipe.tables), where)
        programs = programs_from(f"list {path}", in_list, flags)
        models = models_named(models, recipe.tables)
        if not models and not look_named(recipe.tables):
            remedy = 'write model = "…", or rendering.look = "MEDIUM|PICTURE", or give --model'
            raise UsageError(where, "no model", remedy)
        own = replace(
            template,
            models=models,
            recipe=replace(recipe, programs=(*recipe.programs, *programs)),
            start=template.start or _time(clip, "start"),
            end=template.end or _time(clip, "end"),
            mask=template.mask or (None if regions else only_mask(_listed(clip, "mask"), path.parent)),
            regions=regions,
        )
        of_clip = requests_for(sources, own, context, folder)
        if "output" in clip:
            if len(of_clip) > 1:
                why = f"one output for {len(of_clip)} sources"
                raise UsageError(where, why, "leave out the output, or list each source separately")
            of_clip = [replace(of_clip[0], output=Path(clip["output"]))]
        requests += of_clip
    return requests


def _with_look(tables: dict[str, Table], folder: Path, *, has_model: bool) -> dict[str, Table]:
    """Return a list's tables with the paths of looks and strokes from the current folder, not from the list's."""
    if "strokes" in tables:
        in_folder = with_files_of_strokes(tables["strokes"], lambda path: str(as_found(folder / path)))
        tables = {**tables, "strokes": in_folder}
    look = tables.get("rendering", {}).get("look")
    if not look or not isinstance(look, str):
        return tables
    if not has_model:
        parse_pictures(look, folder)  # raises for pictures that are not in the list's folder
    return overlaid(tables, {"rendering": {"look": with_other_paths(look, folder, str)}})


def _models(table: Table) -> tuple[str, ...]:
    """Return the models in the key ``model`` of a clip or list: one, or several to render in sequence; () for none.

    Of a clip with regions, those of the key ``rest``.
    """
    if "region" in table:
        return parse_rest(_texts(table.get("rest") or ()))
    return _texts(table.get("model") or ())


def _texts(given: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _regions(clip: Table, folder: Path) -> tuple[RegionLook, ...]:
    """Return the regions of a clip; () without any. Raises UsageError."""
    if "region" not in clip:
        return ()
    found = parse_regions(_listed(clip, "mask"), _listed(clip, "region"), folder)
    return tuple(replace(region, models=_beside(region.models, folder)) for region in found)


def _beside(models: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """Return models with the pictures among them in the list's folder."""
    found = ((m, as_found(folder / m)) for m in models)
    return tuple(str(path) if is_picture(Path(m)) and path.exists() else m for m, path in found)


def _check_regions(clip: Table, template: StylizeRequest, look: str, where: str) -> None:
    """Raise UsageError for what a clip with regions cannot have, and for a rest without regions."""
    if "region" not in clip:
        if "rest" in clip:
            raise UsageError(f"'rest' in {where}", "it has no region", "write region, or the model as model")
        return
    given = (("model", "model" in clip or template.models), ("look", look), ("--mask", template.mask))
    if twice := next((name for name, value in given if value), ""):
        why = "each of its regions names its own look and mask"
        raise UsageError(f"{twice}, for {where}", why, "leave it out, or write the look of all else as rest")


def _listed(clip: Table, key: str) -> list[str]:
    """Return what a text, or a table of texts by name, says, as the command line writes it."""
    given = clip.get(key, [])
    if isinstance(given, dict):
        return [f"{name}={text}" for name, texts in given.items() for text in _texts(texts)]
    return [given] if isinstance(given, str) else []


def _time(clip: Table, key: str) -> Time | None:
    return parse_time(str(clip[key])) if key in clip else None


def _check_keys(table: Table, own: Sequence[str], where: str, *more: str) -> None:
    """Raise UsageError if a key is neither in ``own`` nor the name of a recipe table, or a value has a wrong type.

    ``where``: the table's name in the message. ``more``: other valid keys to list in the message.
    """
    for key, value in table.items():
        if key not in (*own, *TABLES):
            raise unknown_name(f"'{key}' in {where}: key", key, [*own, *more, *TABLES])
        if key in TABLES and not isinstance(value, dict):
            raise UsageError(f"'{key}' in {where}", "it must be a table", f"write {key}.KEY = VALUE")
        if key in TEXTS and not isinstance(value, str):
            raise UsageError(f"'{key}' in {where}", "it must be text", f'write {key} = "…"')
        if key in CHAINS and not _is_chain(value):
            why = "it must be text, or a list of texts"
            raise UsageError(f"'{key}' in {where}", why, f'write {key} = "…", or {key} = ["…", "…"]')
        if key in NAMED and not (
            isinstance(value, str) or (isinstance(value, dict) and all(map(_is_chain, value.values())))
        ):
            why = "it must be text, or a table of texts"
            raise UsageError(f"'{key}' in {where}", why, f'write {key} = {{ man = "…" }}')


def _is_chain(value: object) -> bool:
    return all(isinstance(one, str) for one in (value if isinstance(value, list) else [value]))


def _sources(clip: Table, where: str, folder: Path) -> list[Path]:
    source = clip.get("source")
    texts: list[object] = source if isinstance(source, list) else [source]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise UsageError(where, "no source", 'write source = "…": a file, a folder or a pattern, or a list of them')
    return [as_found(folder / str(text)) for text in texts]
