"""Execute a ``stylize`` request: render one or more models onto a video, from source to result with sound."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from vidtrans.clips.cut_list import AUTO, OFF
from vidtrans.clips.indexing import Clip, content_digest, open_clip, with_picture_fps
from vidtrans.config.recipe import Recipe, warn_about_programs
from vidtrans.core.errors import UsageError
from vidtrans.core.mask_files import MaskFile
from vidtrans.core.settings import Table, to_table
from vidtrans.masking.found_masks import mask_digest, open_mask
from vidtrans.models.at_once import predict_model_from_pictures
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.models.model_chain import load_model_chain
from vidtrans.models.model_file import IDENTITY
from vidtrans.models.render_settings import ResolvedRenderSettings
from vidtrans.output.result import Result, check_foreign, refuse_link
from vidtrans.pipeline.infer import InferSettings
from vidtrans.pipeline.render import PICTURE_STAGES
from vidtrans.rendering.conditions import look_files as named_looks
from vidtrans.rendering.enlarger import note_unused_upscale
from vidtrans.rendering.parts import delete_terms
from vidtrans.rendering.picture_folders import render_pictures
from vidtrans.rendering.plan import RenderPlan, plan_render
from vidtrans.rendering.planned_strokes import strokes_digest
from vidtrans.rendering.regions import RegionLayer, RegionPlans, check_can_paint_region
from vidtrans.rendering.render_job import RenderJob
from vidtrans.rendering.requested_output import OutputTarget, default_output, is_one_picture, request_digest
from vidtrans.session import Context
from vidtrans.strokes.settings import StrokesSettings, medium_of_tables
from vidtrans.stylizing.requests import StylizeRequest, describe
from vidtrans.video.io.picture_paths import is_picture_sequence, is_picture_source


def stylize(request: StylizeRequest, context: Context) -> Table:
    """Render models onto one video, picture or folder, and return the result table.

    Every frame keeps its timestamp, and sound packets are copied unchanged. Raises UsageError, MediaError, ModelError,
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
    for plan in job.regions.looks or (job.plan,):
        note_unused_upscale(plan, request.recipe, context)
    output = result.output
    if request.score:
        from vidtrans.evaluation.score_report import check_scorable, score_path, score_render

        check_scorable(job.plan)
        check_foreign(context.cache, refuse_link(score_path(output)), context.overwrite)
    if context.dry_run:
        return result.forecast(job) | render.at_trained_size(job)
    table = existing or job.render(result)
    delete_terms(context, str(output))
    if request.score:
        table |= {"score": score_render(job, output, result.request, context)}
    if not request.in_batch:
        context.trim_cache()
    return result.report(table, cached=existing is not None)


@dataclass(frozen=True)
class RequestedRender:
    """A request to render, with its model, settings and output path, which are found when they are first needed.

    Raises UsageError, ModelError.

    ``began``: the start of the command, in seconds of ``time.monotonic``.
    """

    request: StylizeRequest
    context: Context
    began: float

    @cached_property
    def model(self) -> LoadedModel:
        """Return the model or model chain, with the user's changes of its pairing."""
        request, changes = self.request, self.recipe.pairing_changes
        if (pictures := request.pictures) is not None:
            return predict_model_from_pictures(pictures, self.context, request.video, changes)
        model = load_model_chain(request.models, self.context, changes)
        model.check_renders()
        return model

    @property
    def recipe(self) -> Recipe:
        """Return the recipe for the picture outside all regions."""
        return identity_recipe(self.request.recipe) if self.request.keeps_source_elsewhere else self.request.recipe

    @cached_property
    def regions(self) -> list[tuple[MaskFile, RequestedRender]]:
        """Return (mask, render of the style) of each region; regions with the same style share a render."""
        renders: dict[tuple[object, ...], RequestedRender] = {}
        found = []
        for region in self.request.regions:
            recipe = self.request.recipe.under({"rendering": {"look": region.look}})
            own = replace(self.request, models=region.models, recipe=recipe, mask=None, regions=())
            is_plain = region.models == (IDENTITY,) and not medium_of_tables(recipe.tables)
            if (is_plain or not region.models) and not region.look:
                own = replace(own, models=(IDENTITY,), recipe=identity_recipe(recipe))
            render = replace(self, request=own)
            check_can_paint_region(render.model)
            found.append((region.mask, renders.setdefault(render._look_key, render)))
        return found

    @property
    def _look_key(self) -> tuple[object, ...]:
        """Return (model, style, strokes) as a key, which is equal for regions with the same style."""
        return str(self.model.for_key()), self.settings.rendering.look, self.settings.strokes

    @property
    def renders(self) -> list[RequestedRender]:
        """Return this render and those of the regions' styles."""
        return [self, *(render for _, render in self.regions)]

    @cached_property
    def with_model(self) -> StylizeRequest:
        """Return the request with the model made from style pictures or a painting medium, and with its settings."""
        if (pictures := self.request.pictures) is None:
            return self.request
        model = str(self.model.path or IDENTITY)
        return replace(self.request, models=(model,), recipe=pictures.with_model(self.request.recipe))

    @cached_property
    def settings(self) -> ResolvedRenderSettings:
        """Return the render settings, with the codec resolved for the source and the output."""
        recipe = self.recipe if self.request.keeps_source_elsewhere else self.with_model.recipe
        settings = ResolvedRenderSettings.of(recipe, self.model, self.context.device)
        return settings.resolved(is_picture_source(self.request.video), self.request.output, self.context.report)

    @property
    def strokes(self) -> list[StrokesSettings]:
        """Return the stroke settings of this render and its regions, if they paint strokes."""
        return [one.settings.strokes for one in self.renders if one.settings.strokes.medium]

    @cached_property
    def target(self) -> OutputTarget:
        """Return the output path, resolved from -o or the default name. Raises UsageError."""
        request, encoding = self.request, self.settings.encoding
        wanted = request.output or refuse_link(default_output(request.video, request.names, encoding))
        return OutputTarget.find(wanted, encoding, one_picture=is_one_picture(request.video))

    @cached_property
    def result(self) -> Result:
        """Return the requested result, with the digest of everything that affects it."""
        request, target = self.request, self.target
        files = [part.path for render in self.renders for part in render.model.parts]
        files += [path for render in self.renders for path in render.look_files]
        files += [path for strokes in self.strokes for path in strokes.files]
        sources = [
            path for path in (request.video, *(file for mask in request.masks for file in mask.files), *files) if path
        ]
        made_of = describe(request.COMMAND, vars(request), self.context)
        return Result(
            target.output, self._digest(), sources, self.context, target.folder, made_of=made_of, began=self.began
        )

    @property
    def look_files(self) -> list[Path]:
        """Return the pictures that ``--look`` names as styles."""
        if (pictures := self.request.pictures) is not None:
            return pictures.files
        return named_looks(self.settings.rendering.look) if any(x.has_codes for x in self.model.parts) else []

    def _digest(self) -> str:
        """Return the digest of everything that affects the result. Raises UsageError, MediaError."""
        request, model, context = self.request, self.model, self.context
        own = {
            "command": "stylize",
            "source": content_digest(context, request.video, model.pairing.guides),
            "model": model.for_key(),
            "mask": mask_digest(context, request.mask) if request.mask else "",
            "span": [str(request.start), str(request.end)],
            "device": "" if all(one.model.is_identity for one in self.renders) else context.device_kind,
            **strokes_digest(self.settings.strokes, context),
        }
        if not request.pictures and (pictures := self.look_files):  # The settings contain only their paths
            own["looks"] = [context.cache.digest(path) for path in pictures]
        stills, masked = is_picture_source(request.video), bool(request.masks)
        if self.regions:
            own["regions"] = [
                [
                    mask_digest(context, mask),
                    render.model.for_key(),
                    [context.cache.digest(path) for path in render.look_files],
                    render.settings.for_key(stills=stills, masked=masked)
                    | strokes_digest(render.settings.strokes, context),
                ]
                for mask, render in self.regions
            ]
        return request_digest(own, self.settings, self.target, stills=stills, masked=masked)

    def open(self) -> Clip:
        """Open the source clip, only up to ``--end`` if no later frame can affect the result. Raises MediaError."""
        video, guides = self.request.video, self.model.pairing.guides
        if self._reads_beyond_end:
            return open_clip(self.context, video, guides)
        clip = open_clip(self.context, video, guides, self.request.end)
        try:
            clip.trim(self.request.start, self.request.end)
        except UsageError:  # The message contains the clip's length, so the clip must be read to its end
            return open_clip(self.context, video, guides)
        return clip

    @property
    def _reads_beyond_end(self) -> bool:
        """Return whether frames after ``--end`` may affect the result.

        The answer depends only on the request, so that all parts of a divided render, and corrections of a result, read
        the same frames.
        """
        request, rendering = self.request, self.settings.rendering
        if request.end is None or request.masks or rendering.source_filter or rendering.look:
            return True
        if any(strokes.palette or strokes.fine for strokes in self.strokes):
            return True
        curves = [curve for settings in (rendering, *self.strokes) for curve in settings.curves().values()]
        return rendering.cuts not in (AUTO, OFF) or any(curve.constant is None for curve in curves)

    def job(self, clip: Clip) -> RenderJob:
        """Create the job that renders the source. Raises UsageError, MediaError."""
        request, target = self.request, self.target
        warn_about_programs(request.recipe.programs, self.context)
        if graph := self.settings.rendering.source_filter:
            from vidtrans.output.delivery import filtered_clip

            clip = filtered_clip(clip, graph, self.context)
        plan = self._plan(clip)
        target.check_holds(len(plan.frames))
        plan.delivery.check_sound(target.output)
        return RenderJob(plan, self.context, regions=self._region_plans(clip, plan))

    def at_trained_size(self, job: RenderJob) -> Table:
        """Estimate the render time at the trained size for a dry run, if the default size differs; else return {}."""
        source = job.plan.source_size
        width, height = self.model.working_size("trained", source)
        if self.settings.rendering.size != "auto" or (width, height) == self.model.working_size("auto", source):
            return {}
        settings = replace(self.settings, rendering=replace(self.settings.rendering, size="trained"))
        smaller = replace(job, plan=replace(job.plan, settings=settings))
        seconds = smaller.estimate()["estimate"]["seconds"]
        return {"trained_size": {"size": [width, height], "seconds": seconds}}

    def _plan(self, clip: Clip, of: RequestedRender | None = None) -> RenderPlan:
        """Return the plan of this render. ``of``: the whole render, if this render is the style of a region in it."""
        request, whole = self.request, of or self
        return plan_render(
            clip,
            self.model,
            self.settings,
            self.context,
            (request.start, request.end),
            mask=request.mask,
            pattern=whole.target.pattern,
            of_region=of is not None,
            from_shot=bool(whole.strokes),
        )

    def _region_plans(self, clip: Clip, rest: RenderPlan) -> RegionPlans:
        """Plan the regions; a region with the same style as the picture outside all regions needs no plan."""
        region_renders = list({id(one): one for _, one in self.regions if one._look_key != self._look_key}.values())
        numbers = {id(render): number for number, render in enumerate(region_renders)}
        layers = [
            RegionLayer(open_mask(file, rest.clip, rest.first, rest.stop, self.context), numbers.get(id(render)))
            for file, render in self.regions
        ]
        return RegionPlans(tuple(render._plan(clip, self) for render in region_renders), tuple(layers))


def identity_recipe(recipe: Recipe) -> Recipe:
    """Return a recipe that leaves frames unchanged, but encodes them as ``recipe`` does."""
    tables = {**recipe.tables, "temporal": {"name": "off"}, "strokes": {}}
    plain = replace(recipe, tables=tables, pairing_changes={})
    defaults = to_table(InferSettings())
    for stage in PICTURE_STAGES:
        defaults |= to_table(stage.Settings())
    return plain.under({"rendering": defaults | {"size": "source", "drawing": "no"}})


def _stylize_pictures(clip: Clip, render: RequestedRender) -> Table:
    """Render a folder with pictures of several sizes, one picture at a time; return the result table."""
    request, context = render.with_model, render.context
    if request.regions:
        why = "pictures of several sizes are rendered one by one, each with one mask"
        raise UsageError("--region", why, "render each look with its own --mask, one over the other")
    if request.score:
        raise UsageError("--score", "flicker is not measured on pictures of several sizes", "leave out --score")
    clip = with_picture_fps(clip, render.settings.rendering.picture_fps)

    def render_one(picture: Path, output: Path, recipe: Recipe, mask: MaskFile | None) -> Table:
        """Render one picture of the folder to ``output``; return its result table."""
        own = replace(request, video=picture, output=output, recipe=recipe, mask=mask, start=None, end=None)
        return stylize(replace(own, in_batch=True), context)

    span = clip.trim(request.start, request.end)
    table = render_pictures(clip, render.target, request.recipe, context, render_one, span, request.mask)
    context.trim_cache()
    return table
