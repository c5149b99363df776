"""``vidtrans fix``: a result and frames of it, painted over, in; the result with these corrections out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from vidtrans.clips.indexing import open_clip
from vidtrans.clips.sampling import read_clip_frames
from vidtrans.errors import UsageError
from vidtrans.files import digest_of, finish_replacing, link_target
from vidtrans.output.target import refuse_link, replaces_own, up_to_date
from vidtrans.painting.composing import Paint, Reliance
from vidtrans.painting.corrections import Correction, find_correction, merge
from vidtrans.painting.key_frames import key_frame_files, numbers_of
from vidtrans.painting.maps import KeyMaps
from vidtrans.pipeline.painting_job import PaintingJob
from vidtrans.pipeline.propagate import painted
from vidtrans.pipeline.remaking import describe, remake
from vidtrans.pipeline.stylize import RequestedRender
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.render_job import RenderJob
from vidtrans.requests import FixRequest, PropagateRequest, StylizeRequest
from vidtrans.session import Context
from vidtrans.settings import Table

FIXED = "fixed"  # of the result, where nobody names it: clip.painted.fixed.mp4


def fix(request: FixRequest, context: Context) -> Table:
    """Carry corrections, painted over frames of a result, through its clip; return what is reported of that.

    What they do not reach stays as it is, to the bit where the codec keeps bits. Take a picture away, and the same
    command makes the result without it. Raises UsageError, MediaError, Interrupted.
    """
    began = time.monotonic()
    output, folder = _output(request), request.render.is_dir()
    lineage = digest_of(["fix", str(request.render.absolute())])
    overwrite = context.overwrite or replaces_own(context.cache, output, lineage)
    with ExitStack() as stack:
        job = _fixed(request, output, replace(context, overwrite=overwrite), stack)
        plan = job.plan
        made = plan.corrections.for_key() if plan.corrections else plan.paint.for_key() if plan.paint else {}
        digest = digest_of({"command": "fix", "of": job.lineage, "corrections": made, "model": plan.model.digest})
        sources = [request.render, plan.clip.path, *key_frame_files(request.painted, "--painted")]
        if not context.dry_run:
            finish_replacing(link_target(output))
        existing = up_to_date(context.cache, output, digest, sources, overwrite, folder=folder)
        if existing is not None:
            table = existing
        elif context.dry_run:
            table = job.summary(output) | job.facts | {"dry_run": True} | job.estimate()
        else:
            if plan.corrections is not None:
                plan.corrections.maps.find()
            own = replace(job, context=context, lineage=lineage, made_of=describe(request, context))
            table = own.render(output, digest)
    context.trim_cache()
    seconds = round(time.monotonic() - began, 3)
    return table | {"output": str(output), "seconds": seconds, "cached": existing is not None}


def _output(request: FixRequest) -> Path:
    """Return where the result goes. Raises UsageError."""
    render = request.render
    if render.is_dir():
        return request.output or refuse_link(render.with_name(f"{render.name}.{FIXED}"))
    output = request.output or refuse_link(render.with_name(f"{render.stem}.{FIXED}{render.suffix}"))
    if output.suffix.lower() != render.suffix.lower():
        remedy = f"use -o {output.with_suffix(render.suffix)}"
        raise UsageError(str(output), f"'{render.name}' is written anew in its own format", remedy)
    return output


def _fixed(request: FixRequest, output: Path, context: Context, stack: ExitStack) -> RenderJob:
    """Return the job that makes a result with corrections, at ``output``; what it was made of is its ``lineage``."""
    job = _made(request.render, replace(context, overwrite=False), stack)
    plan, files = job.plan, key_frame_files(request.painted, "--painted")
    found = _corrections(request.render, files, plan, context)
    if request.relearn:
        return _relearned(request.render, output, job, found, context, stack)
    earlier = plan.corrections.sources if plan.corrections else []
    merged = merge([*(one for one in earlier if isinstance(one, Correction)), *found])
    keys = [one.frame for one in merged]
    maps = stack.enter_context(closing(KeyMaps(plan.clip, (plan.first, plan.stop), keys, context, always=keys)))
    facts = job.facts | {"corrections": keys}
    return replace(job, plan=replace(plan, corrections=Paint(merged, maps, Reliance())), facts=facts)


def _made(render: Path, context: Context, stack: ExitStack) -> RenderJob:
    """Return the job that has made a result. Raises UsageError where that cannot be made again."""
    request, options, digest = remake(render, context)
    own = replace(context, **options)
    if isinstance(request, FixRequest):
        return replace(_fixed(request, render, own, stack), lineage=digest)
    if isinstance(request, StylizeRequest):
        asked = RequestedRender(request, own, time.monotonic())
        _check_same(render, digest, asked.requested.request)
        job = asked.job(asked.open())
    else:
        painting = stack.enter_context(closing(PaintingJob(replace(request, preview=False), own, time.monotonic())))
        _check_same(render, digest, painting.requested.request)
        painting.maps.find()
        job = painted(painting)
    return replace(job, lineage=digest)


def _check_same(render: Path, digest: str, again: str) -> None:
    """Raise UsageError where a result would not be made as it was."""
    if again != digest:
        why = "what it was made of has changed since: its clip, model, key frames or settings"
        raise UsageError(str(render), why, "make it anew first")


def _relearned(
    render: Path, output: Path, job: RenderJob, found: Sequence[Correction], context: Context, stack: ExitStack
) -> RenderJob:
    """Return the job that paints a clip anew, with a network that has learned corrected frames of it, too."""
    request, options, _ = remake(render, context)
    if not isinstance(request, PropagateRequest) or job.plan.model.path is None:
        raise UsageError("--relearn", f"'{render.name}' was not made by a network of 'propagate'", "leave it out")
    again = replace(request, output=output, preview=False)
    frames = tuple(replace(one, cover=np.full_like(one.cover, 255), is_whole=True) for one in found)
    own = PaintingJob(again, replace(context, **options), time.monotonic(), frames, job.plan.model.path)
    painting = stack.enter_context(closing(own))
    painting.maps.find()
    made = painted(painting)
    return replace(made, facts=made.facts | {"corrections": [one.frame for one in found]}, lineage=job.lineage)


def _corrections(render: Path, files: Sequence[Path], plan: RenderPlan, context: Context) -> list[Correction]:
    """Return what was painted over frames of a result. Raises UsageError, MediaError."""
    numbers, result = plan.source_frames, open_clip(context, render)
    if numbers is None or not result.index.same_size:
        raise UsageError(str(render), "its frames cannot be told apart", "fix what was made without a filter graph")
    named = numbers_of(files, result, context)
    found = []
    form = plan.form((plan.picture.width, plan.picture.height))
    for path, frame in zip(named, read_clip_frames(result, list(named.values()), form, context), strict=True):
        digest = digest_of([context.cache.digest(path), result.digest, frame.index])
        correction, words = find_correction(path, frame.rgb, numbers[frame.index], digest)
        if words:
            context.note(f"{path.name}: {words}")
        found.append(correction)
    return found
