"""The filter alone: the flicker is taken out of what any tool has made of a video."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from vidtrans.errors import UsageError
from vidtrans.files import digest_of, finish_replacing, plain_name
from vidtrans.flow.survey import VERSION as SURVEY_VERSION
from vidtrans.model import IDENTITY
from vidtrans.pipeline.assemble import VERSION as ASSEMBLY_VERSION
from vidtrans.pipeline.context import Clip, Context, content_digest, open_clip
from vidtrans.pipeline.cuts import with_cuts
from vidtrans.pipeline.estimate import after
from vidtrans.pipeline.guide import Guide, guided_by
from vidtrans.pipeline.look import RenderSettings, find_look
from vidtrans.pipeline.outputs import check_place, up_to_date
from vidtrans.pipeline.recipe import Recipe
from vidtrans.pipeline.render_job import RenderJob, at_rate, makes_folder
from vidtrans.pipeline.scoring import Beside
from vidtrans.pipeline.stages import InferStage, RenderStage
from vidtrans.settings import Table, Time
from vidtrans.video.container import probe
from vidtrans.video.encoding import split_pattern
from vidtrans.video.pictures import holds_several, is_stills


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
    if is_stills(processed) and not holds_several(processed):
        raise UsageError(str(processed), "one picture cannot flicker", "give a video or a folder of pictures")
    look = find_look(IDENTITY, context)
    settings = RenderSettings.of(_named(recipe), look).resolved(is_stills(processed), output)
    settings = replace(settings, rendering=replace(settings.rendering, size="source"))
    ending = settings.encoding.default_suffix(single=False)
    output, pattern = split_pattern(output or Path(f"{plain_name(processed)}.steady{ending}"))
    folder = bool(pattern) or makes_folder(settings.encoding, output)
    settings.encoding.check_container(output / pattern, single=not folder or bool(pattern))
    sources = [p for p in (processed, source) if p]
    check_place(output, sources, folder=folder)
    request = _request(processed, source, settings, context, start, pattern)
    if not context.dry_run:
        finish_replacing(output)
    held = up_to_date(context.cache, output, request, sources, context.overwrite, folder=folder)
    if held is not None:
        return held | {"output": str(output), "seconds": round(time.monotonic() - began, 3), "cached": True}
    clip = at_rate(open_clip(context, processed), settings.rendering.rate)
    if not clip.index.same_size:
        raise UsageError(str(processed), "its pictures are not of one size", "give pictures of one size")
    guide = _guide(clip, source, settings, context, start)
    if guide is not None:
        clip = _sounding(guided_by(clip, guide), guide)
    job = RenderJob(clip, look, settings, context, None, None, pattern=pattern, guide=guide)
    job.delivery.check_sound(output)
    if context.dry_run:
        return job.summary(output) | {"dry_run": True} | after(time.monotonic() - began, job.estimate())
    return job.render(output, request) | {"seconds": round(time.monotonic() - began, 3), "cached": False}


def _named(recipe: Recipe) -> Recipe:
    """A recipe that names its filter: nothing else is asked for here."""
    name, table = recipe.choice("temporal")
    return replace(recipe, tables={**recipe.tables, "temporal": {"name": name, **table}})


def _guide(
    clip: Clip, source: Path | None, settings: RenderSettings, context: Context, start: Time | None
) -> Guide | None:
    if source is None:
        if start is not None:
            raise UsageError(f"--start {start}", "there is no source that it could be in", "give it with --source")
        return None
    opened = with_cuts(open_clip(context, source), settings.rendering.cuts)
    beside = Beside.find(opened, clip, context, start)
    guide = Guide(opened, tuple(_within(beside.steps, opened, clip)))
    guide.tell(clip, context)
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


def _sounding(clip: Clip, guide: Guide) -> Clip:
    """Sound that a processed video lacks is its source's."""
    source, first = guide.clip, guide.steps[0]
    if clip.is_pictures or source.is_pictures or first is None or probe(clip.path).audio:
        return clip
    later = clip.index.pts[0] * clip.index.time_base - source.index.pts[first] * source.index.time_base
    is_part = source.index.num_frames != clip.index.num_frames
    return replace(clip, origin=source, later_s=Fraction(later), is_part=is_part)


def _request(
    processed: Path,
    source: Path | None,
    settings: RenderSettings,
    context: Context,
    start: Time | None,
    pattern: str,
) -> str:
    """The digest of all that decides a result."""
    return digest_of(
        {
            "command": "steady",
            "processed": content_digest(context, processed),
            "source": content_digest(context, source) if source else "",
            "start": str(start),
            "settings": settings.for_key(stills=is_stills(processed), masked=False),
            "pattern": pattern,
            "versions": [SURVEY_VERSION, ASSEMBLY_VERSION],
            "stages": [InferStage.id(), RenderStage.id()],
        }
    )
