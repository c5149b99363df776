"""``vidtrans deflicker``: filter the flicker out of the result of any tool."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from vidtrans.batch.inputs import counterparts, exclude_results, expand_sources, make_items
from vidtrans.batch.jobs import run_batch
from vidtrans.batch.options import BatchOptions
from vidtrans.batch.summary import Outcome
from vidtrans.clips.indexing import content_digest, open_clip
from vidtrans.config.programs import warn_about_programs
from vidtrans.errors import UsageError
from vidtrans.evaluation.scoring import find_guide, with_sound_of
from vidtrans.files import base_name
from vidtrans.models.loaded_model import ResolvedRenderSettings, load_model
from vidtrans.models.model_file import IDENTITY
from vidtrans.output.target import refuse_link
from vidtrans.rendering.render_job import RenderJob
from vidtrans.rendering.render_planning import plan_render, with_picture_fps
from vidtrans.rendering.requested_output import (
    OutputTarget,
    RequestedOutput,
    default_ending,
    default_output,
    request_digest,
)
from vidtrans.requests import DeflickerRequest
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.video.io.encoding import EncodingSettings
from vidtrans.video.io.pictures import is_picture_sequence, is_picture_source

NAME = "deflickered"  # of the result, where nobody names it: clip.deflickered.mp4


def deflicker(request: DeflickerRequest, context: Context) -> Table:
    """Filter a clip along the motion of its source; return what is reported of it.

    Frames, timestamps, size and sound stay; sound that it lacks is taken from the source. Raises UsageError,
    MediaError, Interrupted.
    """
    began = time.monotonic()
    processed = request.processed
    if is_picture_source(processed) and not is_picture_sequence(processed):
        raise UsageError(str(processed), "one picture cannot flicker", "give a video or a folder of pictures")
    look = load_model(IDENTITY, context)
    # The recipe names its filter, as nothing else is asked for here; the result is as large as the clip.
    temporal = {"name": request.recipe.choice("temporal")[0]}
    recipe = request.recipe.under({"temporal": temporal, "rendering": {"size": "source"}})
    settings = ResolvedRenderSettings.of(recipe, look, context.device)
    settings = settings.resolved(is_picture_source(processed), request.output, context.report)
    output = request.output or refuse_link(default_output(processed, [NAME], settings.encoding))
    target = OutputTarget.find(output, settings.encoding)
    own = {
        "command": "deflicker",
        "processed": content_digest(context, processed),
        "source": content_digest(context, request.source) if request.source else "",
        "start": str(request.start),
    }
    digest = request_digest(own, settings, target, stills=is_picture_source(processed))
    requested = RequestedOutput(target, digest, [p for p in (processed, request.source) if p], context, began)
    if (table := requested.existing()) is not None:
        return requested.report(table, cached=True)
    clip = with_picture_fps(open_clip(context, processed), settings.rendering.picture_fps)
    if not clip.index.same_size:
        raise UsageError(str(processed), "its pictures are not of one size", "give pictures of one size")
    target.check_holds(clip.index.num_frames)
    guide = None
    if request.source is not None:
        clip, guide = find_guide(clip, request.source, settings.rendering.cuts, request.start, context)
        clip = with_sound_of(clip, guide)
    warn_about_programs(request.recipe.programs, context, ("encoding",))
    job = RenderJob(plan_render(clip, look, settings, context, pattern=target.pattern, guide=guide), context)
    job.plan.delivery.check_sound(target.output)
    if context.dry_run:
        return requested.forecast(job)
    table = job.render(target.output, digest)
    context.trim_cache()
    return requested.report(table, cached=False)


def deflicker_batch(
    paths: Sequence[Path], request: DeflickerRequest, batch: BatchOptions, context: Context
) -> tuple[list[Outcome], Path]:
    """Filter several clips, each along the source of its name, into the request's output folder.

    Raises UsageError, Interrupted.
    """
    clips, folder = expand_sources(paths), request.output or Path()
    sources = counterparts(clips, request.source, "--source") if request.source else [None] * len(clips)
    source_of = dict(zip(clips, sources, strict=True))

    def ending(processed: Path) -> str:
        return default_ending(processed, [NAME], request.recipe.settings("encoding", EncodingSettings))

    def work(processed: Path, place: Path) -> partial[Table]:
        return partial(deflicker, replace(request, processed=processed, source=source_of[processed], output=place))

    if clips != list(paths):  # else each was named
        clips = exclude_results(clips, lambda p: folder / f"{base_name(p)}{ending(p)}")
    items = make_items(clips, folder, [ending(p) for p in clips], work)
    return run_batch(items, "deflicker", folder, batch, context)
