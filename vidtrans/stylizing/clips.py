"""Render several clips with ``vidtrans stylize``, given on the command line or in a list file (TOML)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from vidtrans.batch.batch_options import BatchOptions
from vidtrans.batch.executors import AUTO, LOCAL
from vidtrans.batch.inputs import (
    Item,
    bytes_of,
    check_folder,
    exclude_results,
    expand_sources,
    mattes_for,
    result_names,
    source_folder,
)
from vidtrans.batch.jobs import Outcome, run_batch, run_divided_item
from vidtrans.config.recipe import TABLES, overlaid, programs_from, render_recipe
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.machine import cores
from vidtrans.core.mask_files import MaskFile, RegionLook, only_mask, parse_regions, parse_rest
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import Table, Time, parse_time, read_toml
from vidtrans.core.system import path_as_stored, path_key
from vidtrans.models.look_pictures import models_named, parse_pictures, replace_picture_paths
from vidtrans.models.model_chain import load_model_chain
from vidtrans.models.model_file import IDENTITY
from vidtrans.output.result import check_place, is_result_folder, refuse_link
from vidtrans.pipeline.render import look_named
from vidtrans.rendering.requested_output import default_ending, default_output, is_one_picture, makes_folder
from vidtrans.session import Context
from vidtrans.store.cache import Cache
from vidtrans.strokes.settings import map_strokes_files
from vidtrans.stylizing.parts import divide
from vidtrans.stylizing.requested_render import stylize
from vidtrans.stylizing.requests import StylizeRequest
from vidtrans.video.io.encoding import EncodingSettings
from vidtrans.video.io.picture_paths import is_picture, is_picture_sequence, is_picture_source

# Limits up to which two clips are rendered at a time on a CPU: bytes of a clip's file, and pixels of a frame (1080p)
MAX_SHORT_BYTES, MAX_SMALL_PIXELS = 32 << 20, 1920 * 1088
NUM_PROBED_CLIPS = 16  # Number of clips whose frame size is read, those with the largest files
# Keys of a table [[clips]] in a list file
CLIP_KEYS = ("source", "output", "model", "preset", "start", "end", "mask", "region", "rest")
LIST_KEYS = ("model", "preset")  # Keys of a list file outside its [[clips]] tables; they apply to all clips
TEXT_KEYS = ("output", "preset")  # Keys of a list file whose value is a text
NAMED_TEXT_KEYS = ("mask", "region")  # Keys of a list file whose value is a text, or a table of texts by name
CHAIN_KEYS = ("model", "rest")  # Keys of a list file whose value is a text, or a list of texts (a model chain)


def requests_for(
    paths: Sequence[Path], template: StylizeRequest, context: Context, folder: Path | None
) -> list[StylizeRequest]:
    """Create a request like ``template`` for each clip that ``paths`` (files, folders and glob patterns) name.

    Earlier results in ``folder`` (None: next to their sources) are left out. Raises UsageError, ModelError for
    problems common to all clips.
    """

    def place_of(request: StylizeRequest) -> Path:
        """Return the default output path of a request, in ``folder`` or next to the source."""
        return (source_folder(request.video) if folder is None else folder) / default_output_of(request)

    template, has_guides = check_template(template, context)
    sources = expand_sources(paths, whole_folders=has_guides)
    if sources != list(paths):  # Otherwise the user named each source
        sources = exclude_results(sources, lambda video: place_of(replace(template, video=video)))
    requests = assign_mattes([replace(template, video=source) for source in sources])
    return requests if folder is not None else [replace(each, output=refuse_link(place_of(each))) for each in requests]


def check_template(template: StylizeRequest, context: Context) -> tuple[StylizeRequest, bool]:
    """Replace models that name styles by these styles; return the request, and whether sources are folders of guides.

    Raises UsageError, ModelError for models that cannot render.
    """
    template, has_guides = template.with_looks(), False
    if template.pictures is None:
        model = load_model_chain(template.models, context, template.recipe.pairing_changes)
        model.check_renders()
        has_guides = bool(model.pairing.guides)
    for region in template.regions:
        if region.models:
            load_model_chain(region.models, context, {}).check_renders()
    return template, has_guides


def assign_mattes(requests: list[StylizeRequest]) -> list[StylizeRequest]:
    """In each request, replace a mask that is a folder of videos by the video for this clip. Raises UsageError."""
    videos = [request.video for request in requests]
    masks = {mask: mask for request in requests[:1] for mask in request.masks}
    paths = {mask: mattes_for(videos, mask.path, "--mask", mask.name) for mask in masks if not mask.terms}

    def own(mask: MaskFile, number: int) -> MaskFile:
        """Return a mask with the file for the clip with the index ``number``."""
        return mask if mask.terms else replace(mask, path=paths[mask][number])

    return [
        replace(
            request,
            mask=request.mask and own(request.mask, number),
            regions=tuple(replace(region, mask=own(region.mask, number)) for region in request.regions),
        )
        for number, request in enumerate(requests)
    ]


def encoding_of(request: StylizeRequest) -> EncodingSettings:
    """Return the encoding settings of a request, with the codec resolved for its source and output."""
    encoding = request.recipe.settings("encoding", EncodingSettings)
    return encoding.resolved(pictures=is_picture_source(request.video), output=request.output)


def default_output_of(request: StylizeRequest) -> Path:
    """Return the default output path of a request, next to its source."""
    return default_output(request.video, request.names, encoding_of(request))


def place_one(request: StylizeRequest, output: str | None, cache: Cache) -> StylizeRequest:
    """Return the request of a single clip with its output path, from ``-o``. Raises UsageError for a link.

    A video's result is written into ``output`` if this path ends in a slash, or is an existing folder that is not a
    result of pictures. The result of a folder of pictures is a folder, so that ``output`` names the result itself.
    """
    if output is None:
        return replace(request, output=None)
    place = Path(output)
    makes_pictures = request.recipe.settings("encoding", EncodingSettings).makes_pictures
    gives_folder = is_picture_sequence(request.video) or makes_pictures
    is_folder = output.endswith(("/", os.sep)) or (place.is_dir() and not is_result_folder(cache, place))
    is_inside = is_folder and not gives_folder
    return replace(request, output=refuse_link(place / default_output_of(request)) if is_inside else place)


def place_results(requests: Sequence[StylizeRequest], folder: Path) -> list[StylizeRequest]:
    """Return the requests with an output path in ``folder`` each, all different. Raises UsageError."""
    check_folder(folder)
    endings = [default_ending(r.video, r.names, encoding_of(r)) for r in requests]
    unnamed = [n for n, request in enumerate(requests) if request.output is None]
    own = iter(result_names([requests[n].video for n in unnamed], [endings[n] for n in unnamed]))
    places = [refuse_link(folder / (request.output or next(own))) for request in requests]
    sources = [request.video for request in requests]
    source_keys = {path_key(place) for s in sources for place in (s, *s.resolve().parents)}
    result_keys: set[str] = set()
    for request, place in zip(requests, places, strict=True):
        if path_key(place) in source_keys:  # A result must not overwrite the source of any clip
            check_place(place, sources, folder=makes_folder(encoding_of(request), place))
        if path_key(place) in result_keys:
            raise UsageError(str(place), "two clips have this output", "give each a different name")
        result_keys.add(path_key(place))
    return [replace(request, output=place) for request, place in zip(requests, places, strict=True)]


def read_clip_list(
    path: Path,
    template: StylizeRequest,
    preset: str | None,
    flags: Mapping[str, Mapping[str, Any]],
    context: Context,
    folder: Path,
) -> list[StylizeRequest]:
    """Read the render requests in a list file. Command-line flags override a clip's values, which override the list's.

    ``template``, ``preset``, ``flags``: the values of the command line; the template may have no models. ``folder``:
    the folder of the results. Sources, masks and pictures of styles are relative to the list's folder. Raises
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
        models = (
            template.models
            or _with_picture_paths(_models(clip), path.parent)
            or ((IDENTITY,) if regions else _models(table))
        )
        in_list = overlaid(*({n: t for n, t in layer.items() if n in TABLES} for layer in (table, clip)))
        in_list = _with_look_paths(in_list, path.parent, has_model=bool(models))
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
            mask=template.mask or (None if regions else only_mask(_as_option_values(clip, "mask"), path.parent)),
            regions=regions,
        )
        clip_requests = requests_for(sources, own, context, folder)
        if "output" in clip:
            if len(clip_requests) > 1:
                why = f"one output for {len(clip_requests)} sources"
                raise UsageError(where, why, "leave out the output, or list each source separately")
            clip_requests = [replace(clip_requests[0], output=Path(clip["output"]))]
        requests += clip_requests
    return requests


def _sources(clip: Table, where: str, folder: Path) -> list[Path]:
    """Return the source paths (files, folders, patterns) of a clip in a list file. Raises UsageError without any."""
    source = clip.get("source")
    texts: list[object] = source if isinstance(source, list) else [source]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise UsageError(where, "no source", 'write source = "…": a file, a folder or a pattern, or a list of them')
    return [path_as_stored(folder / str(text)) for text in texts]


def _models(table: Table) -> tuple[str, ...]:
    """Return the model chain in a table of a list file: the value of ``model``, or of ``rest`` if it has regions."""
    if "region" in table:
        return parse_rest(_texts(table.get("rest") or ()))
    return _texts(table.get("model") or ())


def _texts(value: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Return a text or a list of texts as a tuple."""
    return (value,) if isinstance(value, str) else tuple(value)


def _regions(clip: Table, folder: Path) -> tuple[RegionLook, ...]:
    """Return the regions of a clip in a list file, with their masks and models. Raises UsageError."""
    if "region" not in clip:
        return ()
    found = parse_regions(_as_option_values(clip, "mask"), _as_option_values(clip, "region"), folder)
    return tuple(replace(region, models=_with_picture_paths(region.models, folder)) for region in found)


def _with_picture_paths(models: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """Return the models; names of pictures in the list file's ``folder`` are replaced by the pictures' paths."""
    found = ((m, path_as_stored(folder / m)) for m in models)
    return tuple(str(path) if is_picture(Path(m)) and path.exists() else m for m, path in found)


def _as_option_values(clip: Table, key: str) -> list[str]:
    """Return the value of ``key``, a text or a table of texts by name, as option values: "TEXT" or "NAME=TEXT"."""
    value = clip.get(key, [])
    if isinstance(value, dict):
        return [f"{name}={text}" for name, texts in value.items() for text in _texts(texts)]
    return [value] if isinstance(value, str) else []


def _time(clip: Table, key: str) -> Time | None:
    """Parse the time in a clip's ``key``; return None if the clip has no such key. Raises UsageError."""
    return parse_time(str(clip[key])) if key in clip else None


def _with_look_paths(tables: dict[str, Table], folder: Path, *, has_model: bool) -> dict[str, Table]:
    """Make the paths of style pictures and stroke files in a list's tables relative to the current folder."""
    if "strokes" in tables:
        in_folder = map_strokes_files(tables["strokes"], lambda path: str(path_as_stored(folder / path)))
        tables = {**tables, "strokes": in_folder}
    look = tables.get("rendering", {}).get("look")
    if not look or not isinstance(look, str):
        return tables
    if not has_model:
        parse_pictures(look, folder)  # Raises for pictures that are not in the list's folder
    return overlaid(tables, {"rendering": {"look": replace_picture_paths(look, folder, str)}})


def _check_regions(clip: Table, template: StylizeRequest, look: str, where: str) -> None:
    """Raise UsageError if a clip has regions together with a model, style or mask, or ``rest`` without regions."""
    if "region" not in clip:
        if "rest" in clip:
            raise UsageError(f"'rest' in {where}", "it has no region", "write region, or the model as model")
        return
    values = (("model", "model" in clip or template.models), ("look", look), ("--mask", template.mask))
    if twice := next((name for name, value in values if value), ""):
        why = "each of its regions names its own look and mask"
        raise UsageError(f"{twice}, for {where}", why, "leave it out, or write the look of all else as rest")


def _check_keys(table: Table, own: Sequence[str], where: str, *more: str) -> None:
    """Raise UsageError if a key is neither in ``own`` nor the name of a recipe table, or has a value of a wrong type.

    ``where``: the table's name in the message. ``more``: further valid keys in the message.
    """
    for key, value in table.items():
        if key not in (*own, *TABLES):
            raise unknown_name(f"'{key}' in {where}: key", key, [*own, *more, *TABLES])
        is_named = isinstance(value, dict) and all(map(_is_chain, value.values()))
        kinds = (
            (TABLES, isinstance(value, dict), "a table", f"{key}.KEY = VALUE"),
            (TEXT_KEYS, isinstance(value, str), "text", f'{key} = "…"'),
            (CHAIN_KEYS, _is_chain(value), "text, or a list of texts", f'{key} = "…", or {key} = ["…", "…"]'),
            (
                NAMED_TEXT_KEYS,
                is_named or isinstance(value, str),
                "text, or a table of texts",
                f'{key} = {{ man = "…" }}',
            ),
        )
        for keys, is_valid, kind, example in kinds:
            if key in keys and not is_valid:
                raise UsageError(f"'{key}' in {where}", f"it must be {kind}", f"write {example}")


def _is_chain(value: object) -> bool:
    """Return whether a value is a text or a list of texts."""
    return all(isinstance(one, str) for one in (value if isinstance(value, list) else [value]))


def stylize_one(request: StylizeRequest, options: BatchOptions, context: Context) -> Table:
    """Render one clip, split among all devices or the requested number of processes. Raises as ``stylize`` does."""
    if is_one_picture(request.video) or context.dry_run or options.is_inline(context.device):
        return stylize(request, context)
    return run_divided_item(_item(request, request.output or default_output_of(request)), options, context)


def stylize_batch(
    requests: Sequence[StylizeRequest], folder: Path, options: BatchOptions, context: Context
) -> tuple[list[Outcome], Path]:
    """Render clips into ``folder``; return the outcomes, and the path of the summary file.

    Raises UsageError, Interrupted.
    """
    items = batch_items(requests, folder)
    jobs = options.jobs or _jobs_for(items, options, context)
    return run_batch(items, "stylize", folder, replace(options, jobs=jobs), context)


def batch_items(requests: Sequence[StylizeRequest], folder: Path) -> list[Item]:
    """Create a batch item for each request, with a unique output in ``folder``. Raises UsageError."""
    items = []
    for request in place_results(requests, folder):
        assert request.output is not None
        items.append(_item(replace(request, in_batch=True), request.output))
    return items


def _item(request: StylizeRequest, place: Path) -> Item:
    """Return the batch item of a request, whose result has the path ``place``."""
    return Item(request.video, place, partial(stylize, request), bytes_of(request.video), partial(divide, request))


def _jobs_for(items: Sequence[Item], options: BatchOptions, context: Context) -> int | None:
    """Return the default number of clips rendered at the same time; None: one on each device.

    Most of a CPU is idle while a short clip is indexed, while its render starts, and while its end is encoded: on two
    cores, two clips at a time took 28 to 34 % less time than one at a time (128x128, one second). More clips would gain
    little, because one network uses all cores, and would take memory, as two large clips would. On a GPU, two networks
    would share its memory.
    """
    is_here = options.executor in (AUTO, LOCAL) and context.device_kind == "cpu" and cores() > 1
    are_short = len(items) > 1 and all(0 < item.size <= MAX_SHORT_BYTES for item in items)
    if not (is_here and are_short):
        return None
    largest = sorted(items, key=lambda item: item.size)[-NUM_PROBED_CLIPS:]
    return None if any(_is_large(item.source) for item in largest) else 2


def _is_large(source: Path) -> bool:
    """Return whether the first frame of a source exceeds ``MAX_SMALL_PIXELS``; False if it cannot be read."""
    from vidtrans.video.io.pictures import open_reader
    from vidtrans.video.io.reader import ClipReader

    with suppress(MediaError, UsageError, OSError), open_reader(source) as reader:
        if isinstance(reader, ClipReader):
            return reader.info.width * reader.info.height > MAX_SMALL_PIXELS
        with closing(reader.frames(0, 1)) as frames:
            return any(frame.rgb.shape[0] * frame.rgb.shape[1] > MAX_SMALL_PIXELS for frame in frames)
    return False
