"""The filter alone: the flicker is taken out of what any tool has made of a video."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from vidtrans.batch.inputs import counterparts, gathered, items_for, without_results
from vidtrans.batch.jobs import Options, run_batch
from vidtrans.batch.summary import Outcome
from vidtrans.clips.aligned_clip import AlignedClip, with_shots_of
from vidtrans.clips.cut_list import with_cuts
from vidtrans.clips.indexing import Clip, content_digest, open_clip
from vidtrans.config.programs import tell_programs
from vidtrans.config.recipe import Recipe, check_read, render_recipe
from vidtrans.errors import UsageError
from vidtrans.evaluation.scoring import Beside
from vidtrans.files import base_name
from vidtrans.models.loaded_model import RenderSettings, find_look
from vidtrans.models.model_file import IDENTITY
from vidtrans.output.target import refuse_link
from vidtrans.rendering.job import RenderJob
from vidtrans.rendering.order import Order, Place, request_digest
from vidtrans.rendering.planning import at_rate, plan_render
from vidtrans.session import Context
from vidtrans.settings import Table, Time
from vidtrans.video.io.container import probe
from vidtrans.video.io.encoding import EncodingSettings
from vidtrans.video.io.pictures import is_picture_sequence, is_picture_source

# Of the table [rendering]: there is no model and no mask, and a result is as large as what is processed.
READ = ("strength", "mix", "keep_colour", "rate", "cuts", "chunk_frames")


def steady(
    processed: Path,
    source: Path | None,
    output: Path | None,
    recipe: Recipe,
    context: Context,
    *,
    start: Time | None = None,
) -> Table:
    """Filter ``processed`` along the motion of the ``source`` that it was made from; return what is reported of it.

    ``start`` is where in the source it begins. Without a source it is its own guide. Frames, timestamps, size and
    sound stay; sound that it lacks is taken from the source. Raises UsageError, MediaError, Interrupted.
    """
    began = time.monotonic()
    if is_picture_source(processed) and not is_picture_sequence(processed):
        raise UsageError(str(processed), "one picture cannot flicker", "give a video or a folder of pictures")
    look = find_look(IDENTITY, context)
    settings = RenderSettings.of(_own(recipe), look, context.device).resolved(is_picture_source(processed), output)
    ending = settings.encoding.default_suffix(single=False)
    output = output or refuse_link(Path(f"{base_name(processed)}.steady{ending}"))
    place = Place.find(output, settings.encoding)
    request = _request(processed, source, settings, context, start, place)
    order = Order(place, request, [p for p in (processed, source) if p], context, began)
    if (held := order.held()) is not None:
        return order.told(held, cached=True)
    clip = at_rate(open_clip(context, processed), settings.rendering.rate)
    if not clip.index.same_size:
        raise UsageError(str(processed), "its pictures are not of one size", "give pictures of one size")
    place.check_holds(clip.index.num_frames)
    guide = _guide(clip, source, settings, context, start)
    if guide is not None:
        clip = _sounding(with_shots_of(clip, guide), guide)
    tell_programs(recipe.programs, context, ("encoding",))
    job = RenderJob(plan_render(clip, look, settings, context, pattern=place.pattern, guide=guide), context)
    job.plan.delivery.check_sound(place.output)
    if context.dry_run:
        return order.forecast(job)
    result = job.render(place.output, request)
    context.trim_cache()
    return order.told(result, cached=False)


def steady_batch(
    given: Sequence[Path],
    source: Path | None,
    folder: Path,
    recipe: Recipe,
    context: Context,
    batch: Options,
    *,
    start: Time | None = None,
) -> tuple[list[Outcome], Path]:
    """Filter several, each along the source of its name. Raises UsageError, Interrupted."""
    found = gathered(given)
    sources = counterparts(found, source, "--source") if source else [None] * len(found)
    guides = dict(zip(found, sources, strict=True))
    wanted = recipe.settings("encoding", EncodingSettings)

    def ending(processed: Path) -> str:
        made = wanted.resolved(pictures=is_picture_source(processed), output=None)
        return f".steady{made.default_suffix(single=False)}"

    def arguments(processed: Path, place: Path) -> Table:
        own = {"processed": processed, "source": guides[processed], "output": place}
        return {**own, "recipe": recipe, "start": start}

    kept = found if found == list(given) else without_results(found, lambda p: folder / f"{base_name(p)}{ending(p)}")
    items = items_for(kept, folder, [ending(p) for p in kept], arguments)
    return run_batch(items, "vidtrans.pipeline.deflicker:steady", folder, batch, context)


def steady_recipe(preset: str | None, flags: Mapping[str, Mapping[str, Any]]) -> Recipe:
    """The recipe for ``steady``. Raises UsageError where a flag is none, or would do nothing."""
    recipe = render_recipe(preset, flags)
    check_read(flags, "steady", READ)
    return recipe


def _own(recipe: Recipe) -> Recipe:
    """A recipe that names its filter, as nothing else is asked for here, and says nothing that is not read."""
    name, table = recipe.choice("temporal")
    rendering = {k: v for k, v in recipe.tables.get("rendering", {}).items() if k in READ}
    own = {"temporal": {"name": name, **table}, "rendering": {**rendering, "size": "source"}}
    return replace(recipe, tables={**recipe.tables, **own})


def _guide(
    clip: Clip, source: Path | None, settings: RenderSettings, context: Context, start: Time | None
) -> AlignedClip | None:
    if source is None:
        if start is not None:
            raise UsageError(f"--start {start}", "there is no source that it could be in", "give it with --source")
        return None
    opened = with_cuts(open_clip(context, source), settings.rendering.cuts)
    beside = Beside.find(opened, clip, context, start)
    guide = AlignedClip(opened, tuple(_within(beside.steps, opened, clip)))
    guide.warn_mismatch(clip, context)
    return guide


def _within(steps: Sequence[int], guide: Clip, clip: Clip) -> list[int | None]:
    """The steps, but None where the guide has ended and its last frame would stand for a moving picture."""
    last, index = guide.index.num_frames - 1, clip.index
    if last == 0 or steps[-1] < last or list(steps).count(last) == 1:
        return list(steps)
    first = list(steps).index(last)
    times = [(p - index.pts[first]) * index.time_base for p in index.pts]
    shown = Fraction(0) if guide.is_pictures or clip.is_pictures else guide.index.last_duration * guide.index.time_base
    # Containers round times: what is due at its end, or a blink before, is after it.
    ends = shown - min(b - a for a, b in pairwise(times)) / 4
    return [
        step if i <= first or time < ends else None for i, (step, time) in enumerate(zip(steps, times, strict=True))
    ]


def _sounding(clip: Clip, guide: AlignedClip) -> Clip:
    """Sound that a processed video lacks is its source's."""
    source, first = guide.clip, guide.steps[0]
    if clip.is_pictures or source.is_pictures or first is None or probe(clip.path).audio:
        return clip
    later = clip.index.pts[0] * clip.index.time_base - source.index.pts[first] * source.index.time_base
    is_part = first > 0 or source.index.num_frames != clip.index.num_frames
    return replace(clip, origin=source, offset_s=Fraction(later), is_part=is_part)


def _request(
    processed: Path,
    source: Path | None,
    settings: RenderSettings,
    context: Context,
    start: Time | None,
    place: Place,
) -> str:
    """The digest of all that decides a result. Raises UsageError, MediaError where something cannot be read."""
    own = {
        "command": "steady",
        "processed": content_digest(context, processed),
        "source": content_digest(context, source) if source else "",
        "start": str(start),
    }
    return request_digest(own, settings, place, stills=is_picture_source(processed))
