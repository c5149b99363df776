"""Render a timeline in parts, by several processes or hosts with one cache; print the jobs for a farm's queue."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vidtrans.batch.batch_options import BatchOptions
from vidtrans.batch.farm.job import ClipTasks
from vidtrans.batch.summary import Outcome
from vidtrans.core.errors import VidtransError
from vidtrans.core.settings import Table
from vidtrans.core.system import path_key
from vidtrans.session import Context
from vidtrans.store.chunking import ClipPart
from vidtrans.stylizing.clips import place_results, stylize_batch
from vidtrans.stylizing.clips import plan as items_of
from vidtrans.stylizing.print_jobs import farm_table, plain_path
from vidtrans.stylizing.requested_render import RequestedRender
from vidtrans.stylizing.stylize_request import StylizeRequest
from vidtrans.stylizing.timeline_render import (
    TimelineJob,
    TimelinePlan,
    plan_timeline,
    stylize_timeline,
    write_timeline,
)


def make_timeline(
    job: TimelineJob,
    template: StylizeRequest,
    options: BatchOptions,
    divided: tuple[ClipPart | None, bool] | None,
    context: Context,
) -> tuple[list[Outcome], Path, Table]:
    """Render a timeline, or a part of it; ``divided``: the part, and whether to join. Returns and raises as both do."""
    if divided is None:
        return stylize_timeline(job, template, options, context)
    return stylize_timeline_part(job, template, divided[0], context, join=divided[1])


def stylize_timeline_part(
    job: TimelineJob, template: StylizeRequest, part: ClipPart | None, context: Context, *, join: bool
) -> tuple[list[Outcome], Path, Table]:
    """Render a part of the media of a timeline; ``join``: also write the new timeline if no render is missing.

    Part I of N has every N-th render. ``part`` None: only join; missing renders are then an error. Returns what
    ``stylize_timeline`` returns. Raises as it does, and VidtransError.
    """
    plan = plan_timeline(job, template, context)
    requests = [one.request for one in plan.ranges]
    outcomes, summary = list[Outcome](), plan.folder / "none"
    shards = [f"{number}/{part.count}" for number in range(part.first, part.last + 1)] if part else []
    for shard in shards:
        options = BatchOptions(executor="inline", shard=shard)
        some, summary = stylize_batch(requests, plan.folder, options, context)
        outcomes += some
    if not join or (context.dry_run and part):
        return outcomes, summary, plan.facts
    done = _finished(plan, context)
    left = f"renders are missing ({len(requests) - len(done)} of {len(requests)})"
    if len(done) < len(requests):
        if part is None:
            remedy = "render these parts with --chunk, then --join again"
            raise VidtransError(str(plan.output), left, remedy)
        context.note(f"{plan.output}: not written yet, as {left}")
        return outcomes, summary, plan.facts
    if part is None:
        items = items_of(requests, plan.folder)
        outcomes = [Outcome(item, "done", done[path_key(item.output)]) for item in items if item.output is not None]
    return outcomes, summary, plan.facts if context.dry_run else write_timeline(plan, done, context)


def _finished(plan: TimelinePlan, context: Context) -> dict[str, Table]:
    """Return the reports of the renders that exist, by their keys. Raises UsageError if others are in their places."""
    found = {}
    for request in place_results([one.request for one in plan.ranges], plan.folder):
        result = RequestedRender(replace(request, in_batch=True), context, time.monotonic()).result
        table = result.existing()
        if table is not None:
            found[path_key(result.output)] = result.report(table, cached=True)
    return found


def print_timeline(
    job: TimelineJob, template: StylizeRequest, name: str, command: Sequence[str], most: int | None, context: Context
) -> Table:
    """Return the table of a farm job: a task for each render of a timeline, and one that writes the new timeline.

    ``job`` is its text in format ``name``. ``command``: the common start of all commands, up to the timeline. ``most``:
    the maximum number of tasks that render. Raises as ``stylize_timeline`` does.
    """
    plan = plan_timeline(job, template, context)
    parts = min(len(plan.ranges), most or len(plan.ranges))
    source = plain_path(job.path)
    own = (*command, *("--score",) * template.score, source, "-o", job.output or ".")
    return farm_table([ClipTasks(source, str(plan.output), parts, own)], name, context)
