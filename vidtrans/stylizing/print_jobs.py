"""The farm job that renders clips, in the format of the farm's queue."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from vidtrans.batch.batch_options import BatchOptions
from vidtrans.batch.farm import JOB_FORMATS
from vidtrans.batch.farm.job import ClipTasks, FarmJob
from vidtrans.batch.inputs import parse_shard, shard_of
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.rendering.parts import MIN_PART_FRAMES
from vidtrans.rendering.requested_output import is_one_picture
from vidtrans.session import Context
from vidtrans.stylizing.clips import place_results
from vidtrans.stylizing.requested_render import RequestedRender
from vidtrans.stylizing.stylize_request import StylizeRequest

THREADS = "OMP_NUM_THREADS"


def print_batch(
    requests: Sequence[StylizeRequest],
    name: str,
    command: Sequence[str],
    folder: Path,
    options: BatchOptions,
    context: Context,
) -> Table:
    """Return the table of a farm job that renders one clip, or one that renders clips into ``folder``.

    Raises UsageError if the shard of ``options`` is empty; else as ``print_jobs``, which explains the parameters.
    """
    placed = list(requests) if all(request.output for request in requests) else place_results(requests, folder)
    if options.shard:
        placed = shard_of(placed, parse_shard(options.shard))
    if not placed:
        raise UsageError(f"--shard {options.shard}", "there is no clip in it", "make fewer parts")
    return print_jobs(placed, name, command, options.jobs, context)


def print_jobs(
    requests: Sequence[StylizeRequest],
    name: str,
    command: Sequence[str],
    most: int | None,
    context: Context,
) -> Table:
    """Return the table of a farm job that renders clips; ``job`` is its text in format ``name``. Requests have outputs.

    ``command``: the common start of all commands, up to the source. ``most``: the maximum number of parts of a clip;
    None: as many as are long enough. Every clip is read to its end once. Raises as ``stylize`` does.
    """
    clips: list[ClipTasks] = []
    for request in requests:
        source, output = (plain_path(path) for path in (request.video, request.output) if path is not None)
        own = (*command, source, "-o", output)
        clips.append(ClipTasks(source, output, _parts(request, most, context), own, ("--score",) * request.score))
    return farm_table(clips, name, context)


def farm_table(clips: Sequence[ClipTasks], name: str, context: Context) -> Table:
    """Return the table of a farm job of these clips; ``job`` is its text in format ``name``. Raises UsageError."""
    write = JOB_FORMATS.load(name)
    variables = {THREADS: threads} if (threads := _threads(context)) else {}
    job = FarmJob(f"vidtrans-{Path(clips[0].source).stem}", Path.cwd(), variables, clips)
    return {"format": name, "clips": len(clips), "parts": sum(clip.parts for clip in clips), "job": write(job)}


def _parts(request: StylizeRequest, most: int | None, context: Context) -> int:
    """Return the number of parts that a clip is split into. Raises as ``stylize`` does."""
    render = RequestedRender(request, context, time.monotonic())
    render.result.existing()  # raises if another file is in the output's place
    if is_one_picture(request.video):
        return 1
    clip = render.open()
    if not clip.index.same_size:
        return 1
    job = render.job(clip)
    plan = job.plan
    if job.draft:
        return 1
    return max(1, min(most or plan.num_frames // MIN_PART_FRAMES, len(plan.chunks)))


def _threads(context: Context) -> str:
    """Return the number of threads that all workers must use, if it affects the result; else ''."""
    if context.device_kind != "cpu":
        return ""
    import torch

    return str(torch.get_num_threads())


def plain_path(path: Path) -> str:
    """Return a path that no command mistakes for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)
