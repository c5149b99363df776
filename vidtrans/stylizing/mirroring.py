"""A render on a machine that does not see our files: which of them it reads, and where they lie there.

There they lie below a folder as they do here below ``/``, and a part is rendered in the counterpart of the working
folder. So every path of the request is made relative. Keys of the cache are of contents, and the same there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from vidtrans.clips.cut_list import AUTO, OFF
from vidtrans.clips.indexing import Clip, index_entry
from vidtrans.models.formats import format_of, load_format
from vidtrans.models.model_file import IDENTITY
from vidtrans.rendering.render_job import RenderJob
from vidtrans.store.cache_entry import META, CacheEntry
from vidtrans.stylizing.requested_render import RequestedRender, StylizeRequest
from vidtrans.video.io.pictures import media_files


def files_of(render: RequestedRender, job: RenderJob) -> list[Path]:
    """Return the files that a render of one part reads, absolute: sources, networks, and what the cache knows of them.

    Raises MediaError.
    """
    found = dict.fromkeys(path for source in _sources(render) for path in source)
    return [*found, *_cached(render, job.plan.clip)]


def _sources(render: RequestedRender) -> Iterator[Iterator[Path]]:
    request, look = render.request, render.look
    yield (_absolute(path) for _, path in media_files(request.video, look.pairing.guides))
    if request.mask:
        yield (_absolute(path) for _, path in media_files(request.mask))
    named = [*render.look_files, *([Path(cuts)] if (cuts := _cuts_file(render)) else [])]
    yield map(_absolute, named)
    for part in (*look.parts, *([look.extractor] if look.extractor else [])):
        if part.path is not None:
            yield map(_absolute, load_format(format_of(part.path)).files(part.path))


def _cached(render: RequestedRender, clip: Clip) -> Iterator[Path]:
    """Yield the index of the source, which takes long to make, and a source that was filtered by the user's program."""
    for source in (clip, clip.origin):
        if source is not None:
            yield index_entry(render.context, source.digest, source.guides).folder / META
    if clip.pin is not None:
        yield from _files_in(clip.pin.entry)


def _files_in(entry: CacheEntry) -> Iterator[Path]:
    return (path for path in sorted(entry.folder.iterdir()) if path.is_file() and not path.name.startswith("."))


def for_mirror(render: RequestedRender) -> StylizeRequest:
    """Return the request with relative paths, and its models by their files."""
    request = render.request
    models = tuple(IDENTITY if part.path is None else str(_relative(part.path)) for part in render.look.parts)
    mask = request.mask and _relative(request.mask)
    output = _relative(render.target.output / render.target.pattern)
    recipe, extractor = request.recipe, render.look.extractor
    if cuts := _cuts_file(render):
        recipe = recipe.under({"rendering": {"cuts": str(_relative(Path(cuts)))}})
    if extractor and extractor.path and extractor.path not in [part.path for part in render.look.parts]:
        recipe = replace(recipe, pairing_changes={**recipe.pairing_changes, "model": str(_relative(extractor.path))})
    return replace(request, video=_relative(request.video), mask=mask, models=models, output=output, recipe=recipe)


def _cuts_file(render: RequestedRender) -> str:
    """Return the file that says where shots begin; '' where there is none."""
    cuts = render.settings.rendering.cuts
    return "" if cuts in (AUTO, OFF) else cuts


def _absolute(path: Path) -> Path:
    """Return the path as it is written, where that can be: what a link leads to is sent by the link's name."""
    if ".." in path.parts:  # after a link that is not the folder before it
        return path.resolve() if path.name == ".." else path.parent.resolve() / path.name
    return path.absolute()


def _relative(path: Path) -> Path:
    return Path(os.path.relpath(_absolute(path), Path.cwd()))
