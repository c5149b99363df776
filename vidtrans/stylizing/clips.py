"""Render several clips with ``vidtrans stylize``, given on the command line or in a list file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from vidtrans.batch.batch_options import BatchOptions
from vidtrans.batch.executors import AUTO, LOCAL
from vidtrans.batch.inputs import (
    Item,
    bytes_of,
    check_folder,
    exclude_results,
    expand_sources,
    folder_of,
    mattes_for,
    result_names,
)
from vidtrans.batch.jobs import run_batch, run_spread
from vidtrans.batch.summary import Outcome
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.machine import cores
from vidtrans.core.mask_files import MaskFile
from vidtrans.core.settings import Table
from vidtrans.core.system import path_key
from vidtrans.models.model_chain import load_models_in_turn
from vidtrans.output.result import check_place, is_result_folder, refuse_link
from vidtrans.rendering.requested_output import default_ending, default_output, is_one_picture, makes_folder
from vidtrans.session import Context
from vidtrans.store.cache import Cache
from vidtrans.stylizing.divided_clip import divide
from vidtrans.stylizing.requested_render import stylize
from vidtrans.stylizing.stylize_request import StylizeRequest
from vidtrans.video.io.encoding import EncodingSettings
from vidtrans.video.io.picture_paths import is_picture_sequence, is_picture_source

# Limits of a clip that is rendered beside another one on a CPU: its file's bytes, and the pixels of a frame (1080p).
SHORT_BYTES, SMALL_PIXELS = 32 << 20, 1920 * 1088
PROBED = 16  # clips, those of the largest files, whose frames' size is looked up


def stylize_batch(
    requests: Sequence[StylizeRequest], folder: Path, options: BatchOptions, context: Context
) -> tuple[list[Outcome], Path]:
    """Render clips into ``folder``; return the outcomes, and the path of the summary file.

    Raises UsageError, Interrupted.
    """
    items = plan(requests, folder)
    jobs = options.jobs or _jobs_for(items, options, context)
    return run_batch(items, "stylize", folder, replace(options, jobs=jobs), context)


def _jobs_for(items: Sequence[Item], options: BatchOptions, context: Context) -> int | None:
    """Return the number of clips at a time where none is requested; None: one on each device.

    While a short clip is indexed, its render starts up or its end is encoded, most of a CPU is idle: on two cores, two
    at a time took 28 to 34 % less time than one (128x128, one second). More would gain little, as a network alone uses
    all cores, and would take memory; so would two large clips. On a GPU, two networks would share its memory.
    """
    is_here = options.executor in (AUTO, LOCAL) and context.device_kind == "cpu" and cores() > 1
    are_short = len(items) > 1 and all(0 < item.size <= SHORT_BYTES for item in items)
    if not (is_here and are_short):
        return None
    largest = sorted(items, key=lambda item: item.size)[-PROBED:]
    return None if any(_is_large(item.source) for item in largest) else 2


def _is_large(source: Path) -> bool:
    """Return whether a video's frames, or the first picture of others, exceed ``SMALL_PIXELS``; False if unreadable."""
    from vidtrans.video.io.pictures import open_reader
    from vidtrans.video.io.reader import ClipReader

    with suppress(MediaError, UsageError, OSError), open_reader(source) as reader:
        if isinstance(reader, ClipReader):
            return reader.info.width * reader.info.height > SMALL_PIXELS
        with closing(reader.frames(0, 1)) as frames:
            return any(frame.rgb.shape[0] * frame.rgb.shape[1] > SMALL_PIXELS for frame in frames)
    return False


def stylize_one(request: StylizeRequest, options: BatchOptions, context: Context) -> Table:
    """Render one clip, split among all devices or the requested number of processes. Raises as ``stylize`` does."""
    if is_one_picture(request.video) or context.dry_run or options.is_inline(context.device):
        return stylize(request, context)
    return run_spread(_item(request, request.output or default_output_of(request)), options, context)


def requests_for(
    paths: Sequence[Path], template: StylizeRequest, context: Context, folder: Path | None
) -> list[StylizeRequest]:
    """Return a request like ``template`` for each clip that files, folders and globs resolve to.

    Results of an earlier run in ``folder`` (None: beside their sources) are left out. Raises UsageError, ModelError for
    problems common to all clips.
    """

    def place_of(request: StylizeRequest) -> Path:
        return (folder_of(request.video) if folder is None else folder) / default_output_of(request)

    template, has_guides = checked(template, context)
    sources = expand_sources(paths, whole_folders=has_guides)
    if sources != list(paths):  # otherwise each source was named
        sources = exclude_results(sources, lambda video: place_of(replace(template, video=video)))
    requests = with_mattes([replace(template, video=source) for source in sources])
    return requests if folder is not None else [replace(each, output=refuse_link(place_of(each))) for each in requests]


def checked(template: StylizeRequest, context: Context) -> tuple[StylizeRequest, bool]:
    """Return a request with looks in the place of models that name them, and whether its sources are folders of guides.

    Raises UsageError, ModelError for models that cannot render.
    """
    template, has_guides = template.with_looks(), False
    if template.pictures is None:
        look = load_models_in_turn(template.models, context, template.recipe.pairing_changes)
        look.check_renders()
        has_guides = bool(look.pairing.guides)
    for region in template.regions:
        if region.models:
            load_models_in_turn(region.models, context, {}).check_renders()
    return template, has_guides


def with_mattes(requests: list[StylizeRequest]) -> list[StylizeRequest]:
    """Return requests with the matte of each clip, where a mask is a folder of videos. Raises UsageError."""
    videos = [request.video for request in requests]
    masks = {mask: mask for request in requests[:1] for mask in request.masks}
    paths = {mask: mattes_for(videos, mask.path, "--mask", mask.name) for mask in masks}

    def own(mask: MaskFile, number: int) -> MaskFile:
        return replace(mask, path=paths[mask][number])

    return [
        replace(
            request,
            mask=request.mask and own(request.mask, number),
            regions=tuple(replace(region, mask=own(region.mask, number)) for region in request.regions),
        )
        for number, request in enumerate(requests)
    ]


def encoding_of(request: StylizeRequest) -> EncodingSettings:
    """Return the settings of a request's encoder, for its kind of source."""
    wanted = request.recipe.settings("encoding", EncodingSettings)
    return wanted.resolved(pictures=is_picture_source(request.video), output=request.output)


def default_output_of(request: StylizeRequest) -> Path:
    """Return the default output path of a request."""
    return default_output(request.video, request.names, encoding_of(request))


def place_one(request: StylizeRequest, output: str | None, cache: Cache) -> StylizeRequest:
    """Return the request of the only clip with the output that ``-o`` names. Raises UsageError for a link.

    A video's result is written into ``output`` if that ends in a slash, or is an existing folder that is not itself a
    result of pictures. The result of a folder of pictures is a folder, so there ``output`` names the result itself.
    """
    if output is None:
        return replace(request, output=None)
    place = Path(output)
    makes_pictures = request.recipe.settings("encoding", EncodingSettings).makes_pictures
    gives_folder = is_picture_sequence(request.video) or makes_pictures
    is_folder = output.endswith(("/", os.sep)) or (place.is_dir() and not is_result_folder(cache, place))
    into = is_folder and not gives_folder
    return replace(request, output=refuse_link(place / default_output_of(request)) if into else place)


def plan(requests: Sequence[StylizeRequest], folder: Path) -> list[Item]:
    """Return a job for each request, with a unique output in ``folder``. Raises UsageError."""
    items = []
    for request in place_results(requests, folder):
        assert request.output is not None
        items.append(_item(replace(request, in_batch=True), request.output))
    return items


def place_results(requests: Sequence[StylizeRequest], folder: Path) -> list[StylizeRequest]:
    """Return the requests with a unique output for each in ``folder``. Raises UsageError."""
    check_folder(folder)
    endings = [default_ending(r.video, r.names, encoding_of(r)) for r in requests]
    unnamed = [n for n, request in enumerate(requests) if request.output is None]
    own = iter(result_names([requests[n].video for n in unnamed], [endings[n] for n in unnamed]))
    places = [refuse_link(folder / (request.output or next(own))) for request in requests]
    sources = [request.video for request in requests]
    taken = {path_key(place) for s in sources for place in (s, *s.resolve().parents)}
    seen: set[str] = set()
    for request, place in zip(requests, places, strict=True):
        if path_key(place) in taken:  # no clip's result may be another's source
            check_place(place, sources, folder=makes_folder(encoding_of(request), place))
        if path_key(place) in seen:
            raise UsageError(str(place), "two clips have this output", "give each a different name")
        seen.add(path_key(place))
    return [replace(request, output=place) for request, place in zip(requests, places, strict=True)]


def _item(request: StylizeRequest, place: Path) -> Item:
    return Item(request.video, place, partial(stylize, request), bytes_of(request.video), partial(divide, request))
