"""Render one or more models onto a video: the ``stylize`` request, from source to stylised video with sound."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from vidtrans.clips.cut_list import AUTO, OFF
from vidtrans.clips.indexing import Clip, content_digest, open_clip, with_picture_fps
from vidtrans.config.programs import warn_about_programs
from vidtrans.config.recipe import Recipe
from vidtrans.config.rendering_settings import look_named
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table, Time
from vidtrans.models.at_once import model_at_once
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.models.look_pictures import NamedPictures, parse_pictures
from vidtrans.models.model_chain import load_models_in_turn
from vidtrans.models.model_file import look_among
from vidtrans.models.render_settings import ResolvedRenderSettings
from vidtrans.output.places import refuse_link
from vidtrans.output.records import check_foreign
from vidtrans.output.result import Result
from vidtrans.rendering.chunk_manifest import forget_terms
from vidtrans.rendering.conditions import look_files as named_looks
from vidtrans.rendering.enlarger import tell_unused_upscale
from vidtrans.rendering.picture_folders import render_pictures
from vidtrans.rendering.plan import plan_render
from vidtrans.rendering.render_job import RenderJob
from vidtrans.rendering.requested_output import (
    OutputTarget,
    default_output,
    is_one_picture,
    request_digest,
)
from vidtrans.session import Context
from vidtrans.stylizing.made_of import describe
from vidtrans.video.io.picture_paths import is_picture_sequence, is_picture_source


@dataclass(frozen=True)
class StylizeRequest:
    """A request to render models onto one video, picture or folder, each model onto the previous one's output.

    ``models``: none if the look of the recipe names pictures, of which the model is made where the clip is rendered.
    ``mask``: a file, white where the model's output is visible. ``score``: measure flicker and save a plot next to the
    output. ``in_batch``: the batch trims the cache after all of its clips.
    """

    COMMAND: ClassVar = "stylize"

    video: Path
    models: tuple[str, ...]
    output: Path | None
    recipe: Recipe
    start: Time | None = None
    end: Time | None = None
    mask: Path | None = None
    score: bool = False
    in_batch: bool = False

    @property
    def pictures(self) -> NamedPictures | None:
        """Return the pictures that the model is made of; None with a model. Raises UsageError."""
        look = look_named(self.recipe.tables)
        return parse_pictures(look) if look and not self.models else None

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the models. Raises UsageError."""
        return self.models if (pictures := self.pictures) is None else (pictures.name,)

    def with_shipped_look(self) -> StylizeRequest:
        """Return the request with a look in the place of its model, if that is the name of a look that ships."""
        look = "" if look_named(self.recipe.tables) else look_among(self.models)
        return replace(self, models=(), recipe=self.recipe.under({"rendering": {"look": look}})) if look else self


def stylize(request: StylizeRequest, context: Context) -> Table:
    """Render models onto one video, picture or folder, and return the result table.

    Every frame keeps its timestamp, and sound packets are copied. Raises UsageError, MediaError, ModelError,
    DeviceError, Interrupted.
    """
    render = RequestedRender(request, context, time.monotonic())
    result = render.result
    result.check()
    clip = render.open() if is_picture_sequence(request.video) else None
    if clip is not None and not clip.index.same_size:
        return _stylize_pictures(clip, render)
    existing = result.existing()
    if existing is not None and not request.score:
        return result.report(existing, cached=True)
    job = render.job(clip or render.open())
    tell_unused_upscale(job.plan, request.recipe, context)
    output = result.output
    if request.score:
        from vidtrans.evaluation.score_report import check_scorable, score_path, score_render

        check_scorable(job.plan)
        check_foreign(context.cache, refuse_link(score_path(output)), context.overwrite)
    if context.dry_run:
        return result.forecast(job)
    table = existing or job.render(result)
    forget_terms(context, str(output))
    if request.score:
        table |= {"score": score_render(job, output, result.request, context)}
    if not request.in_batch:
        context.trim_cache()
    return result.report(table, cached=existing is not None)


@dataclass(frozen=True)
class RequestedRender:
    """A request with its lazily resolved model, settings and output. Raises UsageError, ModelError.

    ``began``: the start of the command, of ``time.monotonic``.
    """

    request: StylizeRequest
    context: Context
    began: float

    @cached_property
    def look(self) -> LoadedModel:
        """Return the model, or the chain of models, with the changes to its pairing."""
        request, changes = self.request, self.request.recipe.pairing_changes
        if (pictures := request.pictures) is not None:
            return model_at_once(pictures, self.context, request.video, changes)
        look = load_models_in_turn(request.models, self.context, changes)
        look.check_renders()
        return look

    @cached_property
    def with_model(self) -> StylizeRequest:
        """Return the request with the file of the model that was made of pictures, if one was, and its looks' names."""
        if (pictures := self.request.pictures) is None:
            return self.request
        recipe = self.request.recipe.under({"rendering": {"look": pictures.value}})
        return replace(self.request, models=(str(self.look.path),), recipe=recipe)

    @cached_property
    def settings(self) -> ResolvedRenderSettings:
        """Return the settings, with the codec resolved from the source and the output."""
        settings = ResolvedRenderSettings.of(self.with_model.recipe, self.look, self.context.device)
        return settings.resolved(is_picture_source(self.request.video), self.request.output, self.context.report)

    @cached_property
    def target(self) -> OutputTarget:
        """Return the resolved output path and format."""
        request, encoding = self.request, self.settings.encoding
        wanted = request.output or refuse_link(default_output(request.video, request.names, encoding))
        return OutputTarget.find(wanted, encoding, one_picture=is_one_picture(request.video))

    @cached_property
    def result(self) -> Result:
        """Return the result, with the digest of everything that affects it."""
        request, target = self.request, self.target
        files = (request.video, *(part.path for part in self.look.parts), request.mask, *self.look_files)
        sources = [path for path in files if path]
        made_of = describe(request.COMMAND, vars(request), self.context)
        return Result(
            target.output, self._digest(), sources, self.context, target.folder, made_of=made_of, began=self.began
        )

    @property
    def look_files(self) -> list[Path]:
        """Return the pictures that ``--look`` names as styles."""
        if (pictures := self.request.pictures) is not None:
            return pictures.files
        return named_looks(self.settings.rendering.look) if any(x.has_codes for x in self.look.parts) else []

    def _digest(self) -> str:
        """Return the digest of the request. Raises UsageError, MediaError if a file cannot be read."""
        request, look, context = self.request, self.look, self.context
        own = {
            "command": "stylize",
            "source": content_digest(context, request.video, look.pairing.guides),
            "model": look.for_key(),
            "mask": content_digest(context, request.mask) if request.mask else "",
            "span": [str(request.start), str(request.end)],
            "device": "" if look.is_identity else context.device_kind,
        }
        if not request.pictures and (pictures := self.look_files):  # the settings contain only their paths
            own["looks"] = [context.cache.digest(path) for path in pictures]
        stills, masked = is_picture_source(request.video), request.mask is not None
        return request_digest(own, self.settings, self.target, stills=stills, masked=masked)

    def open(self) -> Clip:
        """Return the source, read up to ``--end`` if nothing behind it has a part in the result. Raises MediaError."""
        video, guides = self.request.video, self.look.pairing.guides
        if self._looks_beyond_end:
            return open_clip(self.context, video, guides)
        clip = open_clip(self.context, video, guides, self.request.end)
        try:
            clip.trim(self.request.start, self.request.end)
        except UsageError:  # which says how long the clip is
            return open_clip(self.context, video, guides)
        return clip

    @property
    def _looks_beyond_end(self) -> bool:
        """Whether what is behind ``--end`` may have a part in the result.

        The answer follows from the request alone, so that all parts of a divided render, and corrections of a finished
        one, read alike.
        """
        request, rendering = self.request, self.settings.rendering
        if request.end is None or request.mask or rendering.source_filter or rendering.look:
            return True
        curves = {**rendering.curves(), "stroke size": rendering.stroke_curve()}
        return rendering.cuts not in (AUTO, OFF) or any(curve.constant is None for curve in curves.values())

    def job(self, clip: Clip) -> RenderJob:
        """Return the job that renders the source. Raises UsageError, MediaError."""
        request, target = self.request, self.target
        warn_about_programs(request.recipe.programs, self.context)
        if graph := self.settings.rendering.source_filter:
            from vidtrans.output.filtered_source import filtered_clip

            clip = filtered_clip(clip, graph, self.context)
        span, pattern = (request.start, request.end), target.pattern
        plan = plan_render(clip, self.look, self.settings, self.context, span, mask=request.mask, pattern=pattern)
        target.check_holds(plan.num_frames)
        plan.delivery.check_sound(target.output)
        return RenderJob(plan, self.context)


def _stylize_pictures(clip: Clip, render: RequestedRender) -> Table:
    """Render each picture of a folder whose pictures have several sizes."""
    request, context = render.with_model, render.context
    if request.score:
        raise UsageError("--score", "flicker is not measured on pictures of several sizes", "leave out --score")
    clip = with_picture_fps(clip, render.settings.rendering.picture_fps)

    def render_one(picture: Path, output: Path, recipe: Recipe, mask: Path | None) -> Table:
        own = replace(request, video=picture, output=output, recipe=recipe, mask=mask, start=None, end=None)
        return stylize(replace(own, in_batch=True), context)

    span = clip.trim(request.start, request.end)
    target = render.target
    table = render_pictures(clip, target, request.recipe, context, render_one, span, request.mask)
    context.trim_cache()
    return table
