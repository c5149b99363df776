"""Render a clip in parts: with ``--chunk`` and ``--join`` by several hosts with one cache, or by a batch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from vidtrans.batch.batch_options import BatchOptions
from vidtrans.batch.farm import JOB_FORMATS, ClipTasks, FarmJob
from vidtrans.clips.indexing import Clip
from vidtrans.core.errors import Interrupted, UsageError, VidtransError
from vidtrans.core.settings import Table
from vidtrans.output.result import Result
from vidtrans.rendering.chain import log_failure
from vidtrans.rendering.parts import MIN_PART_FRAMES, ChunkManifest, DividedRender, Division, describe_ranges
from vidtrans.rendering.requested_output import is_one_picture
from vidtrans.session import Context
from vidtrans.store.chunking import ClipPart
from vidtrans.stylizing.requested_render import RequestedRender, stylize
from vidtrans.stylizing.requests import StylizeRequest


def stylize_part(request: StylizeRequest, part: ClipPart | None, context: Context, *, join: bool) -> Table:
    """Render a part of a clip into the cache. ``join``: also write the result if no chunk is missing.

    ``part`` None: only join; missing chunks are then an error. Failures are written to the cache's log. Raises the
    errors of ``stylize``, UsageError if this worker differs from others that render the clip, and VidtransError.
    """
    try:
        return _stylize_part(request, part, context, join=join)
    except (VidtransError, OSError) as error:
        if not context.dry_run and not isinstance(error, Interrupted):
            log_failure(context, request.video, str(part or "join"), error)
        raise


def _stylize_part(request: StylizeRequest, part: ClipPart | None, context: Context, *, join: bool) -> Table:
    """Render a part of a clip, join the chunks, or both, as ``stylize_part`` does, without logging failures."""
    render = RequestedRender(request, context, time.monotonic())
    target = render.result
    target.check()
    if request.score and not join:
        raise UsageError("--score", "flicker is measured over the whole clip", "give --score with --join")
    given = " and ".join(["--chunk"] * (part is not None) + ["--join"] * join)
    if is_one_picture(request.video):
        raise UsageError(f"{given}: {request.video}", "one picture has no parts", f"leave out {given}")
    clip = render.open()
    if not clip.index.same_size:
        why = "pictures of several sizes are rendered one by one"
        raise UsageError(f"{given}: {request.video}", why, f"leave out {given}")
    existing = target.existing()
    part_entry: Table = {} if part is None else {"part": str(part)}
    if existing is not None:
        if request.score and join:
            return stylize(request, context)
        return target.report(existing | part_entry, cached=True)
    divided = DividedRender(render.job(clip))
    manifest = ChunkManifest(divided.job, target.request, str(target.output))
    if context.dry_run:
        manifest.check()
        if part is None:
            _check_whole(divided, target)
            return target.forecast(divided.job) | {"cached": False}
        return divided.job.summary(target.output) | part_entry | divided.forecast(part)
    manifest.join()
    table: Table = {}
    if part is not None:
        table = part_entry | divided.render(divided.chunks_of(part))
        missing = divided.missing(verify=False)
        table["chunks_missing"] = len(missing)
        if missing or not join:
            return target.report(table, cached=table["frames_encoded"] == 0)
    else:
        _check_whole(divided, target)
    result = stylize(request, context)
    counts = {key: result.get(key, 0) + table[key] for key in table if key.startswith("frames_")}
    return target.report(result | part_entry | counts, cached=result["cached"])


def _check_whole(divided: DividedRender, target: Result) -> None:
    """Raise VidtransError if chunks of a divided render are missing; ``target``: the result, for the message."""
    if missing := divided.missing(verify=True):
        why = f"{describe_ranges(missing)} of {divided.job.plan.num_frames} are not rendered"
        raise VidtransError(str(target.output), why, "render these parts with --chunk, then --join again")


def divide(request: StylizeRequest, context: Context, count: int) -> Division | None:
    """Split a render among ``count`` processes; return None if this is impossible, needless, or the result exists.

    Raises the errors of ``stylize``.
    """
    render = RequestedRender(request, context, time.monotonic())
    render.result.check()
    if context.dry_run or (clip := _open(render)) is None or render.result.existing() is not None:
        return None
    job = render.job(clip)
    return None if job.draft else DividedRender(job).divide(partial(make_part, request, is_locked=True), count)


def _open(render: RequestedRender) -> Clip | None:
    """Open the source; return None for one picture or pictures of several sizes, which are not rendered in parts."""
    clip = None if is_one_picture(render.request.video) else render.open()
    return clip if clip is not None and clip.index.same_size else None


def make_part(request: StylizeRequest, context: Context, part: tuple[int, int], *, is_locked: bool = False) -> Table:
    """Render the chunks of a divided render with the numbers ``part``, [first, stop).

    ``is_locked``: as for ``DividedRender.render``.
    """
    render = RequestedRender(request, context, time.monotonic())
    job = render.job(render.open())
    return DividedRender(job).render(job.plan.chunks[slice(*part)], is_locked=is_locked)


def print_jobs(
    requests: Sequence[StylizeRequest], name: str, command: Sequence[str], options: BatchOptions, context: Context
) -> Table:
    """Create a farm job that renders clips; return its table, with the job's text in format ``name`` as ``job``.

    ``requests``: all have output paths. ``command``: the common start of all commands, up to the source. ``options``: a
    shard, and the maximum number of parts of a clip; by default, as many parts as are long enough. Each clip is read to
    its end once. Raises UsageError if the shard is empty, and the errors of ``stylize``.
    """
    if options.shard and not (requests := options.share_of(requests)):
        raise UsageError(f"--shard {options.shard}", "there is no clip in it", "make fewer parts")
    clips: list[ClipTasks] = []
    for request in requests:
        source, output = (plain_path(path) for path in (request.video, request.output) if path is not None)
        own = (*command, source, "-o", output)
        parts = _num_parts(request, options.jobs, context)
        clips.append(ClipTasks(source, output, parts, own, ("--score",) * request.score))
    return farm_table(clips, name, context)


def farm_table(clips: Sequence[ClipTasks], name: str, context: Context) -> Table:
    """Return the table of a farm job, with the job's text in format ``name`` as ``job``. Raises UsageError."""
    variables = {}
    if context.device_kind == "cpu":  # The number of threads affects the result, so all workers must use the same
        import torch

        variables["OMP_NUM_THREADS"] = str(torch.get_num_threads())
    job = FarmJob(f"vidtrans-{Path(clips[0].source).stem}", Path.cwd(), variables, clips)
    parts = sum(clip.parts for clip in clips)
    return {"format": name, "clips": len(clips), "parts": parts, "job": JOB_FORMATS.load(name)(job)}


def _num_parts(request: StylizeRequest, max_parts: int | None, context: Context) -> int:
    """Return the number of parts in which a farm renders a clip; 1 if the clip cannot be split."""
    render = RequestedRender(request, context, time.monotonic())
    render.result.existing()  # Raises if the output is another file
    if (clip := _open(render)) is None or (job := render.job(clip)).draft:
        return 1
    return max(1, min(max_parts or job.plan.num_frames // MIN_PART_FRAMES, len(job.plan.chunks)))


def plain_path(path: Path) -> str:
    """Return a path as text that no command can take for an option, even if it begins with "-"."""
    return f"./{path}" if str(path).startswith("-") else str(path)
