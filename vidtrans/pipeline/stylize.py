"""The third step: a video and a model in, the stylised video with its sound out."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from vidtrans.clips.indexing import Clip, content_digest, open_clip
from vidtrans.concurrency.threads import begin_import
from vidtrans.config.programs import tell_programs
from vidtrans.config.recipe import Recipe
from vidtrans.errors import UsageError
from vidtrans.evaluation.rendered import check_scorable, score_path, score_render
from vidtrans.models.loaded_model import Look, RenderSettings, find_look
from vidtrans.output.target import check_foreign, refuse_link
from vidtrans.pairing.base import pairing_record
from vidtrans.rendering.job import RenderJob
from vidtrans.rendering.picture_folders import one_by_one
from vidtrans.rendering.planning import at_rate, plan_render
from vidtrans.rendering.requested_output import (
    OutputTarget,
    RequestedOutput,
    default_output,
    is_one_picture,
    request_digest,
)
from vidtrans.requests import StylizeRequest
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.video.io.pictures import is_picture_sequence, is_picture_source


def stylize(request: StylizeRequest, context: Context) -> Table:
    """Render a model onto one video, picture or folder, and return what is reported of it.

    Every frame keeps its timestamp, sound is copied packet for packet. Raises UsageError, MediaError, ModelError,
    DeviceError, Interrupted.
    """
    render = Render(request, context, time.monotonic())
    order = render.order
    order.check()
    clip = render.open() if is_picture_sequence(request.video) else None
    if clip is not None and not clip.index.same_size:
        return _stylize_pictures(clip, render)
    held = order.held()
    if held is not None and not request.score:
        return order.told(held, cached=True)
    if render.look.path is not None:
        begin_import("torch")  # most of a second, while the clip is looked through
    job = render.job(clip or render.open())
    if request.score:
        check_scorable(job.plan)
        check_foreign(context.cache, refuse_link(score_path(order.place.output)), context.overwrite)
    if context.dry_run:
        return order.forecast(job)
    result = held or job.render(order.place.output, order.request)
    if request.score:
        result |= {"score": score_render(job, order.place.output, order.request, context)}
    if not request.in_batch:
        context.trim_cache()
    return order.told(result, cached=held is not None)


@dataclass(frozen=True)
class Render:
    """A request, and what follows from it before the source is read. Raises UsageError, ModelError."""

    request: StylizeRequest
    context: Context
    began: float

    @cached_property
    def look(self) -> Look:
        look = find_look(self.request.model, self.context, self.request.recipe.pairing_changes)
        look.check_renders()
        return look

    @cached_property
    def settings(self) -> RenderSettings:
        made = RenderSettings.of(self.request.recipe, self.look, self.context.device)
        return made.resolved(is_picture_source(self.request.video), self.request.output)

    @cached_property
    def order(self) -> RequestedOutput:
        request, encoding = self.request, self.settings.encoding
        wanted = request.output or refuse_link(default_output(request.video, request.model, encoding))
        place = OutputTarget.find(wanted, encoding, one_picture=is_one_picture(request.video))
        sources = [p for p in (request.video, self.look.path, request.mask) if p]
        return RequestedOutput(place, self._digest(place), sources, self.context, self.began)

    def _digest(self, place: OutputTarget) -> str:
        """The digest of all that decides a result. Raises UsageError, MediaError where something cannot be read."""
        request, look, context = self.request, self.look, self.context
        own = {
            "command": "stylize",
            "source": content_digest(context, request.video, look.pairing.guides),
            "model": look.digest,
            "pairing": pairing_record(look.pairing),
            "mask": content_digest(context, request.mask) if request.mask else "",
            "span": [str(request.start), str(request.end)],
            "device": context.device_kind if look.path else "",
        }
        return request_digest(
            own, self.settings, place, stills=is_picture_source(request.video), masked=request.mask is not None
        )

    def open(self) -> Clip:
        """Raises MediaError."""
        return open_clip(self.context, self.request.video, self.look.pairing.guides)

    def job(self, clip: Clip) -> RenderJob:
        """Raises UsageError, MediaError."""
        request, place = self.request, self.order.place
        tell_programs(request.recipe.programs, self.context)
        if graph := self.settings.rendering.source_filter:
            from vidtrans.output.filtered_source import filtered_clip

            clip = filtered_clip(clip, graph, self.context)
        plan = plan_render(
            clip,
            self.look,
            self.settings,
            self.context,
            start=request.start,
            end=request.end,
            mask=request.mask,
            pattern=place.pattern,
        )
        place.check_holds(plan.num_frames)
        plan.delivery.check_sound(place.output)
        return RenderJob(plan, self.context)


def _stylize_pictures(clip: Clip, render: Render) -> Table:
    """Render each picture of a folder whose pictures are of several sizes."""
    request, context = render.request, render.context
    if request.score:
        raise UsageError("--score", "pictures of several sizes are no film", "leave it out")
    clip = at_rate(clip, render.settings.rendering.picture_fps)

    def one(picture: Path, output: Path, recipe: Recipe, mask: Path | None) -> Table:
        own = replace(request, video=picture, output=output, recipe=recipe, mask=mask, start=None, end=None)
        return stylize(replace(own, in_batch=True), context)

    span = clip.trim(request.start, request.end)
    table = one_by_one(clip, render.order.place, request.recipe, context, one, span, request.mask)
    context.trim_cache()
    return table
