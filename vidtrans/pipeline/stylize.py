"""The third step: a video and a model in, the stylised video with its sound out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from vidtrans.clips.indexing import Clip, content_digest, open_clip
from vidtrans.concurrency.threads import begin_import
from vidtrans.config.programs import tell_programs
from vidtrans.config.recipe import Recipe
from vidtrans.errors import UsageError
from vidtrans.evaluation.rendered import check_scorable, score_place, score_render
from vidtrans.files import base_name
from vidtrans.models.loaded_model import Look, RenderSettings, find_look
from vidtrans.models.model_file import SUFFIX
from vidtrans.output.target import check_foreign, refuse_link
from vidtrans.pairing.base import pairing_record
from vidtrans.rendering.division import Division, divided, render_part
from vidtrans.rendering.job import RenderJob
from vidtrans.rendering.order import Order, Place, request_digest
from vidtrans.rendering.picture_folders import one_by_one
from vidtrans.rendering.planning import at_rate, plan_render
from vidtrans.session import Context
from vidtrans.settings import Table, Time
from vidtrans.video.io.encoding import EncodingSettings
from vidtrans.video.io.pictures import is_picture_sequence, is_picture_source


def default_output(video: Path, model: str, settings: EncodingSettings) -> Path:
    """``in.x.mp4``; a picture gives a picture, a folder of pictures a folder."""
    name = Path(model).name.removesuffix(SUFFIX)
    return Path(f"{base_name(video)}.{name}{settings.default_suffix(single=is_one_picture(video))}")


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
    asked = _Asked(video, model, output, recipe, context, start, end, mask, time.monotonic())
    order, settings = asked.order, asked.settings
    order.check()
    clip = asked.opened() if is_picture_sequence(video) else None
    if clip is not None and not clip.index.same_size:
        if score:
            raise UsageError("--score", "pictures of several sizes are no film", "leave it out")
        clip = at_rate(clip, settings.rendering.rate)
        one = partial(stylize, model=model, context=context, single=True)
        span, place = clip.trim(start, end), order.place
        table = one_by_one(
            clip, place.output, place.pattern, recipe, settings.encoding, context, one, span=span, mask=mask
        )
        context.trim_cache()
        return table
    held = order.held()
    if held is not None and not score:
        return order.told(held, cached=True)
    if asked.look.path is not None:
        begin_import("torch")  # most of a second, while the clip is looked through
    job = asked.job(clip or asked.opened())
    if score:
        check_scorable(job.plan)
        check_foreign(context.cache, refuse_link(score_place(order.place.output)), context.overwrite)
    if context.dry_run:
        return order.forecast(job)
    result = held or job.render(order.place.output, order.request)
    if score:
        result |= {"score": score_render(job, order.place.output, order.request, context)}
    if not single:
        context.trim_cache()
    return order.told(result, cached=held is not None)


def divide(
    video: Path, model: str, output: Path, recipe: Recipe, context: Context, *, count: int, **options: Any
) -> Division | None:
    """How a render can be divided between ``count`` processes; None where it is not to be, or is there already.

    The rest is as ``stylize`` has it. Raises as that does.
    """
    asked = _Asked.of(video, model, output, recipe, context, options)
    asked.order.check()
    if context.dry_run or (is_picture_source(video) and not is_picture_sequence(video)):
        return None
    clip = asked.opened()
    if not clip.index.same_size or asked.order.held() is not None:
        return None
    return divided(asked.job(clip), count)


def make_part(
    video: Path, model: str, output: Path, recipe: Recipe, context: Context, *, part: tuple[int, int], **options: Any
) -> Table:
    """Make the chunks [first, stop) of a render that was divided."""
    asked = _Asked.of(video, model, output, recipe, context, options)
    return render_part(asked.job(asked.opened()), *part)


@dataclass(frozen=True)
class _Asked:
    """What was asked for, and what follows from it before the source is read. Raises UsageError, ModelError."""

    video: Path
    model: str
    output: Path | None
    recipe: Recipe
    context: Context
    start: Time | None
    end: Time | None
    mask: Path | None
    began: float

    @classmethod
    def of(
        cls, video: Path, model: str, output: Path, recipe: Recipe, context: Context, options: dict[str, Any]
    ) -> _Asked:
        start, end, mask = (options.get(name) for name in ("start", "end", "mask"))
        return cls(video, model, output, recipe, context, start, end, mask, time.monotonic())

    @cached_property
    def look(self) -> Look:
        look = find_look(self.model, self.context, self.recipe.look)
        look.check_renders()
        return look

    @cached_property
    def settings(self) -> RenderSettings:
        made = RenderSettings.of(self.recipe, self.look, self.context.device)
        return made.resolved(is_picture_source(self.video), self.output)

    @cached_property
    def order(self) -> Order:
        wanted = self.output or refuse_link(default_output(self.video, self.model, self.settings.encoding))
        place = Place.find(wanted, self.settings.encoding, one_picture=is_one_picture(self.video))
        span = (self.start, self.end)
        request = _request(self.video, self.look, self.settings, self.context, self.mask, span, place)
        sources = [p for p in (self.video, self.look.path, self.mask) if p]
        return Order(place, request, sources, self.context, self.began)

    def opened(self) -> Clip:
        """Raises MediaError."""
        return open_clip(self.context, self.video, self.look.pairing.guides)

    def job(self, clip: Clip) -> RenderJob:
        """Raises UsageError, MediaError."""
        tell_programs(self.recipe.programs, self.context)
        clip = _prepared(clip, self.settings, self.context)
        place = self.order.place
        plan = plan_render(
            clip,
            self.look,
            self.settings,
            self.context,
            start=self.start,
            end=self.end,
            mask=self.mask,
            pattern=place.pattern,
        )
        place.check_holds(plan.num_frames)
        plan.delivery.check_sound(place.output)
        return RenderJob(plan, self.context)


def _prepared(clip: Clip, settings: RenderSettings, context: Context) -> Clip:
    """The clip as the model is to see it. Raises UsageError, MediaError."""
    if not settings.rendering.source_filter:
        return clip
    from vidtrans.output.filtered_source import filtered_clip

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
        "device": context.device_kind if look.path else "",
    }
    return request_digest(own, settings, place, stills=is_picture_source(video), masked=mask is not None)


def is_one_picture(video: Path) -> bool:
    """Whether a source is a single picture, so that its result is one too."""
    return is_picture_source(video) and not is_picture_sequence(video)
