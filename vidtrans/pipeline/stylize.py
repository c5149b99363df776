"""The third step: a video and a model in, the stylised video with its sound out."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from vidtrans.errors import UsageError
from vidtrans.files import plain_name
from vidtrans.model import SUFFIX
from vidtrans.pairing.base import pairing_record
from vidtrans.pipeline.context import Clip, Context, content_digest, open_clip
from vidtrans.pipeline.look import Look, RenderSettings, find_look
from vidtrans.pipeline.order import Order, Place, request_digest
from vidtrans.pipeline.outputs import check_foreign
from vidtrans.pipeline.photos import one_by_one
from vidtrans.pipeline.recipe import Recipe
from vidtrans.pipeline.render_job import RenderJob, at_rate
from vidtrans.pipeline.scored import check_scorable, score_place, score_render
from vidtrans.settings import Table, Time
from vidtrans.video.encoding import EncodingSettings
from vidtrans.video.pictures import holds_several, is_stills


def default_output(video: Path, model: str, settings: EncodingSettings) -> Path:
    """``in.x.mp4``; a picture gives a picture, a folder of pictures a folder."""
    name = Path(model).name.removesuffix(SUFFIX)
    return Path(f"{plain_name(video)}.{name}{settings.default_suffix(single=is_one_picture(video))}")


def stylize(
    video: Path,
    model: str,
    output: Path | None,
    recipe: Recipe,
    context: Context,
    *,
    start: Time | None = None,
    end: Time | None = None,
    mask: Path | None = None,
    single: bool = False,
    score: bool = False,
) -> Table:
    """Render a model onto one video, picture or folder, and return what is reported of it.

    Every frame keeps its timestamp, sound is copied packet for packet. ``mask`` says where the look is. ``single``:
    it is one of many, the cache is trimmed when all are done. ``score``: how steady it is, is drawn beside it. Raises
    UsageError, MediaError, ModelError, DeviceError, Interrupted.
    """
    began = time.monotonic()
    look = find_look(model, context, recipe.look)
    look.check_renders()
    settings = RenderSettings.of(recipe, look, context.device).resolved(is_stills(video), output)
    wanted = output or default_output(video, model, settings.encoding)
    place = Place.find(wanted, settings.encoding, one_picture=is_one_picture(video))
    request = _request(video, look, settings, context, mask, (start, end), place)
    order = Order(place, request, [p for p in (video, look.path, mask) if p], context, began)
    order.check()
    clip = open_clip(context, video, look.pairing.guides) if holds_several(video) else None
    if clip is not None and not clip.index.same_size:
        if score:
            raise UsageError("--score", "pictures of several sizes are no film", "leave it out")
        clip = at_rate(clip, settings.rendering.rate)
        one = partial(stylize, model=model, context=context, single=True)
        span = clip.trim(start, end)
        table = one_by_one(
            clip, place.output, place.pattern, recipe, settings.encoding, context, one, span=span, mask=mask
        )
        context.cache.trim("infer", int(context.cache_limit_gb * 1e9))
        return table
    held = order.held()
    if held is not None and not score:
        return order.told(held, cached=True)
    clip = _prepared(clip or open_clip(context, video, look.pairing.guides), settings, context)
    job = RenderJob(clip, look, settings, context, start, end, mask, place.pattern)
    place.check_holds(job.stop - job.first)
    job.delivery.check_sound(place.output)
    if score:
        check_scorable(job)
        check_foreign(context.cache, score_place(place.output), context.overwrite)
    if context.dry_run:
        return order.forecast(job)
    result = held or job.render(place.output, request)
    if score:
        result |= {"score": score_render(job, place.output, request, context)}
    if not single:
        context.cache.trim("infer", int(context.cache_limit_gb * 1e9))
    return order.told(result, cached=held is not None)


def _prepared(clip: Clip, settings: RenderSettings, context: Context) -> Clip:
    """The clip as the model is to see it. Raises UsageError, MediaError."""
    if not settings.rendering.source_filter:
        return clip
    from vidtrans.pipeline.filtered import filtered_clip

    return filtered_clip(clip, settings.rendering.source_filter, context)


def _request(
    video: Path,
    look: Look,
    settings: RenderSettings,
    context: Context,
    mask: Path | None,
    span: tuple[Time | None, Time | None],
    place: Place,
) -> str:
    """The digest of all that decides a result. Raises UsageError, MediaError where something cannot be read."""
    own = {
        "command": "stylize",
        "source": content_digest(context, video, look.pairing.guides),
        "model": look.digest,
        "pairing": pairing_record(look.pairing),
        "mask": content_digest(context, mask) if mask else "",
        "span": [str(moment) for moment in span],
        "device": context.device if look.path else "",
    }
    return request_digest(own, settings, place, stills=is_stills(video), masked=mask is not None)


def is_one_picture(video: Path) -> bool:
    """Whether a source is a single picture, so that its result is one too."""
    return is_stills(video) and not holds_several(video)
