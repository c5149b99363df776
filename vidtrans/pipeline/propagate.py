"""``vidtrans propagate``: a clip and a few of its frames, painted over, in; the whole clip painted out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from vidtrans.batch.inputs import exclude_results, expand_sources, make_items
from vidtrans.batch.jobs import run_batch
from vidtrans.batch.options import BatchOptions
from vidtrans.batch.summary import Outcome
from vidtrans.errors import UsageError
from vidtrans.files import base_name, remove
from vidtrans.output.target import check_parents, refuse_link
from vidtrans.painting.proposal import SUFFIX as KEYFRAMES_SUFFIX
from vidtrans.pipeline.painting_job import NAME, PaintingJob
from vidtrans.rendering.render_job import RenderJob
from vidtrans.rendering.requested_output import default_ending
from vidtrans.requests import PropagateRequest
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.video.io.encoding import EncodingSettings

PREVIEW = "preview"  # of the film beside what else training shows


def propagate(request: PropagateRequest, context: Context) -> Table:
    """Carry painted key frames through a clip, and return what is reported of it.

    Stopped, it goes on where it was. Raises UsageError, MediaError, DeviceError, Interrupted.
    """
    with closing(PaintingJob(request, context, time.monotonic())) as job:
        requested = job.requested
        requested.check()
        if (existing := requested.existing()) is not None:
            return requested.report(existing, cached=True)
        job.check()
        job.tell_shots()
        if context.dry_run:
            return requested.report(job.forecast(), cached=False)
        job.maps.find()
        render = painted(job)
        table = render.render(requested.target.output, requested.request)
    context.trim_cache()
    return requested.report(table, cached=False)


def propagate_batch(
    paths: Sequence[Path], request: PropagateRequest, batch: BatchOptions, context: Context
) -> tuple[list[Outcome], Path]:
    """Paint several clips into the request's output folder, each like the key frames in the folder of its name.

    Raises UsageError, Interrupted.
    """
    clips, folder = expand_sources(paths), request.output or Path()
    encoding = request.recipe.settings("encoding", EncodingSettings)

    def ending(video: Path) -> str:
        return default_ending(video, [NAME], encoding)

    def work(video: Path, place: Path) -> partial[Table]:
        own = replace(request, video=video, keyframes=keys[video], output=place)
        return partial(propagate, own)

    if clips != list(paths):  # else each was named
        clips = exclude_results(clips, lambda video: folder / f"{base_name(video)}{ending(video)}")
    keys = {video: _keys_of(video, request.keyframes) for video in clips}
    items = make_items(clips, folder, [ending(video) for video in clips], work)
    return run_batch(items, "propagate", folder, batch, context)


def _keys_of(video: Path, folder: Path) -> Path:
    """Return the folder of a clip's key frames among those of several. Raises UsageError."""
    names = base_name(video), f"{base_name(video)}{KEYFRAMES_SUFFIX}"
    found = next((folder / name for name in names if (folder / name).is_dir()), None)
    if found is None:
        why = f"it has no folder '{names[0]}' or '{names[1]}' for {video.name}"
        raise UsageError(f"--keyframes {folder}", why, "put the key frames of each clip into a folder of its name")
    return found


def painted(job: PaintingJob) -> RenderJob:
    """Return the job that paints the clip, after training."""
    if not job.learns:
        return job.rough()
    if not job.request.preview:
        return job.finished(job.learn())
    film = job.model.with_suffix(".train") / f"{PREVIEW}{job.requested.target.output.suffix}"
    _write_preview(job.rough(), film)
    job.context.note(f"what there is so far: {film}")
    return job.finished(job.learn(lambda model: _write_preview(job.finished(model), film)))


def _write_preview(job: RenderJob, film: Path) -> None:
    """Render a film of what there is so far, in the place of an earlier one."""
    check_parents(refuse_link(film))
    with TemporaryDirectory(prefix="vidtrans-") as temporary:
        aside, made = replace(job.context, cache_dir=Path(temporary) / "cache"), Path(temporary) / film.name
        replace(job, context=aside, made_of={}).render(made, "")
        film.parent.mkdir(parents=True, exist_ok=True)
        remove(film)
        shutil.move(made, film)
