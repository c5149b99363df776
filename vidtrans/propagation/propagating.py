"""Propagate painted key frames through a whole clip: the ``propagate`` command."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from vidtrans.core.events import Preview
from vidtrans.core.files import copy, write_atomically
from vidtrans.core.settings import Table
from vidtrans.output.places import check_parents, refuse_link
from vidtrans.output.result import Result
from vidtrans.propagation.painting_job import PaintingJob
from vidtrans.propagation.requests import PropagateRequest
from vidtrans.rendering.enlarger import tell_unused_upscale
from vidtrans.rendering.render_job import RenderJob
from vidtrans.rendering.requested_output import makes_folder
from vidtrans.session import Context

PREVIEW = "preview"  # file name of the preview video in the training folder


def propagate(request: PropagateRequest, context: Context) -> Table:
    """Propagate painted key frames through a clip, and return the result table.

    An interrupted run resumes. Raises UsageError, MediaError, DeviceError, Interrupted.
    """
    with closing(PaintingJob(request, context, time.monotonic())) as job:
        result = job.result
        if (existing := result.existing()) is not None:
            return result.report(existing, cached=True)
        job.check()
        job.tell_shots()
        tell_unused_upscale(job.rough().plan, request.recipe, context)
        if context.dry_run:
            return result.report(job.forecast(), cached=False)
        job.maps.find()
        render = painted(job)
        table = render.render(result)
    context.trim_cache()
    return result.report(table, cached=False)


def painted(job: PaintingJob) -> RenderJob:
    """Train the network if requested; return the job that renders the painted clip."""
    if not job.learns:
        return job.rough()
    if not job.request.preview:
        return job.finished(job.learn())
    film = job.model.with_suffix(".train") / f"{PREVIEW}{job.target.output.suffix}"
    _write_preview(job.rough(), film)
    job.context.note(f"preview of the current state: {film}")
    return job.finished(job.learn(lambda model: _write_preview(job.finished(model), film)))


def _write_preview(job: RenderJob, film: Path) -> None:
    """Render a preview video with the current network, replacing an earlier one."""
    check_parents(refuse_link(film))
    with TemporaryDirectory(prefix="vidtrans-") as temporary:
        aside, made = replace(job.context, cache_dir=Path(temporary) / "cache"), Path(temporary) / film.name
        replace(job, context=aside).render(Result(made, "", [], aside, makes_folder(job.plan.settings.encoding, made)))
        with write_atomically(film) as target:
            copy(made, target)
    job.context.report(Preview(film))
