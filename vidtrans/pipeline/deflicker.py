"""The filter alone: the flicker is taken out of what any tool has made of a video."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from vidtrans.batch.inputs import counterparts, gathered, items_for, without_results
from vidtrans.batch.jobs import Options, run_batch
from vidtrans.batch.summary import Outcome
from vidtrans.clips.indexing import content_digest, open_clip
from vidtrans.config.programs import tell_programs
from vidtrans.config.recipe import Recipe
from vidtrans.errors import UsageError
from vidtrans.evaluation.scoring import find_guide, with_sound_of
from vidtrans.files import base_name
from vidtrans.models.loaded_model import RenderSettings, find_look
from vidtrans.models.model_file import IDENTITY
from vidtrans.output.target import refuse_link
from vidtrans.rendering.job import RenderJob
from vidtrans.rendering.planning import at_rate, plan_render
from vidtrans.rendering.requested_output import OutputTarget, RequestedOutput, request_digest
from vidtrans.requests import DeflickerRequest
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.video.io.encoding import EncodingSettings
from vidtrans.video.io.pictures import is_picture_sequence, is_picture_source


def deflicker(request: DeflickerRequest, context: Context) -> Table:
    """Filter a clip along the motion of its source; return what is reported of it.

    Frames, timestamps, size and sound stay; sound that it lacks is taken from the source. Raises UsageError,
    MediaError, Interrupted.
    """
    began = time.monotonic()
    processed = request.processed
    if is_picture_source(processed) and not is_picture_sequence(processed):
        raise UsageError(str(processed), "one picture cannot flicker", "give a video or a folder of pictures")
    look = find_look(IDENTITY, context)
    settings = RenderSettings.of(_own(request.recipe), look, context.device)
    settings = settings.resolved(is_picture_source(processed), request.output)
    output = request.output or refuse_link(Path(base_name(processed) + _ending(processed, request.recipe)))
    place = OutputTarget.find(output, settings.encoding)
    digest = _digest(request, settings, place, context)
    order = RequestedOutput(place, digest, [p for p in (processed, request.source) if p], context, began)
    if (held := order.held()) is not None:
        return order.told(held, cached=True)
    clip = at_rate(open_clip(context, processed), settings.rendering.picture_fps)
    if not clip.index.same_size:
        raise UsageError(str(processed), "its pictures are not of one size", "give pictures of one size")
    place.check_holds(clip.index.num_frames)
    guide = None
    if request.source is not None:
        clip, guide = find_guide(clip, request.source, settings.rendering.cuts, request.start, context)
        clip = with_sound_of(clip, guide)
    tell_programs(request.recipe.programs, context, ("encoding",))
    job = RenderJob(plan_render(clip, look, settings, context, pattern=place.pattern, guide=guide), context)
    job.plan.delivery.check_sound(place.output)
    if context.dry_run:
        return order.forecast(job)
    result = job.render(place.output, digest)
    context.trim_cache()
    return order.told(result, cached=False)


def deflicker_batch(
    given: Sequence[Path], request: DeflickerRequest, batch: Options, context: Context
) -> tuple[list[Outcome], Path]:
    """Filter several clips, each along the source of its name, into the request's output folder.

    Raises UsageError, Interrupted.
    """
    found, folder = gathered(given), request.output or Path()
    sources = counterparts(found, request.source, "--source") if request.source else [None] * len(found)
    source_of = dict(zip(found, sources, strict=True))

    def ending(processed: Path) -> str:
        return _ending(processed, request.recipe)

    def work(processed: Path, place: Path) -> partial[Table]:
        return partial(deflicker, replace(request, processed=processed, source=source_of[processed], output=place))

    kept = found if found == list(given) else without_results(found, lambda p: folder / f"{base_name(p)}{ending(p)}")
    items = items_for(kept, folder, [ending(p) for p in kept], work)
    return run_batch(items, "deflicker", folder, batch, context)


def _ending(processed: Path, recipe: Recipe) -> str:
    """The end of the name of a result that has no other."""
    encoding = recipe.settings("encoding", EncodingSettings).resolved(
        pictures=is_picture_source(processed), output=None
    )
    return f".deflickered{encoding.default_suffix(single=False)}"


def _own(recipe: Recipe) -> Recipe:
    """A recipe that names its filter, as nothing else is asked for here; the result is as large as the clip."""
    name, _ = recipe.choice("temporal")
    return recipe.under({"temporal": {"name": name}, "rendering": {"size": "source"}})


def _digest(request: DeflickerRequest, settings: RenderSettings, place: OutputTarget, context: Context) -> str:
    """The digest of all that decides a result. Raises UsageError, MediaError where something cannot be read."""
    own = {
        "command": "deflicker",
        "processed": content_digest(context, request.processed),
        "source": content_digest(context, request.source) if request.source else "",
        "start": str(request.start),
    }
    return request_digest(own, settings, place, stills=is_picture_source(request.processed))
