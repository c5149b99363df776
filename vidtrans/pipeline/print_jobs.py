"""``vidtrans stylize --print-jobs``: the commands that render clips on a farm, as its queue reads them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from vidtrans.batch.farm import JOB_FORMATS
from vidtrans.batch.farm.job import ClipTasks, FarmJob
from vidtrans.pipeline.stylize import RequestedRender
from vidtrans.rendering.division import MIN_PART_FRAMES
from vidtrans.rendering.requested_output import is_one_picture
from vidtrans.requests import StylizeRequest
from vidtrans.session import Context
from vidtrans.settings import Table

THREADS = "OMP_NUM_THREADS"


def print_jobs(
    requests: Sequence[StylizeRequest], name: str, command: Sequence[str], most: int | None, context: Context
) -> Table:
    """Return the text of a job that renders clips, in ``format`` NAME; each has a place for its result.

    ``command``: what all clips' commands have in common, up to the source. ``most``: parts of a clip; None: as many as
    are long enough. Every clip is read to its end once. Raises as ``stylize`` does.
    """
    write = JOB_FORMATS.load(name)
    clips: list[ClipTasks] = []
    variables = {key: value for key, value in os.environ.items() if key.startswith("VIDTRANS_")}
    for request in requests:
        parts, threads = _divided(request, most, context)
        if threads:
            variables[THREADS] = threads
        places = (str(request.video), "-o", str(request.output))
        clips.append(ClipTasks(places[0], places[2], parts, (*command, *places)))
    job = FarmJob(f"vidtrans-{Path(clips[0].source).stem}", Path.cwd(), dict(sorted(variables.items())), clips)
    return {"format": name, "clips": len(clips), "parts": sum(clip.parts for clip in clips), "job": write(job)}


def _divided(request: StylizeRequest, most: int | None, context: Context) -> tuple[int, str]:
    """Return in how many parts a clip is rendered, and by how many threads each, where that decides its bytes."""
    render = RequestedRender(request, context, time.monotonic())
    render.requested.check()
    if is_one_picture(request.video):
        return 1, ""
    clip = render.open()
    if not clip.index.same_size:
        return 1, ""
    job = render.job(clip)
    threads = str(job.engine().identity.get("threads", ""))
    if job.plan.draft:
        return 1, threads
    return max(1, min(most or job.plan.num_frames // MIN_PART_FRAMES, len(job.plan.chunks))), threads
