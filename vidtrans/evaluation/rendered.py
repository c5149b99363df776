"""Score a render, and write the plot beside it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from vidtrans.clips.indexing import content_digest, open_clip
from vidtrans.core.errors import UsageError
from vidtrans.core.files import base_name
from vidtrans.core.settings import Table, Time
from vidtrans.evaluation.score_report import VERSION, score, verdict
from vidtrans.evaluation.scoring import AlignedSource
from vidtrans.metrics import SCORING_FLOW
from vidtrans.output.result import produce
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.render_job import RenderJob
from vidtrans.session import Context


def score_path(output: Path) -> Path:
    """Return the path of a render's score: ``out.mp4`` has ``out.score.png``."""
    return output.with_name(f"{base_name(output)}.score.png")


def _scoring_flow(plan: RenderPlan) -> str:
    """Return a flow method other than the filter's, which would not see its own errors."""
    return "brox" if getattr(plan.settings.filter_settings, "flow", None) == SCORING_FLOW else SCORING_FLOW


def check_scorable(plan: RenderPlan) -> None:
    """Raise UsageError for a single picture, which cannot flicker."""
    if plan.num_frames == 1:
        raise UsageError("--score", "one picture cannot flicker", "leave it out")


def score_render(job: RenderJob, output: Path, request: str, context: Context) -> Table:
    """Score a finished render against the unfiltered outputs and draw a plot; return ``evaluate``'s table and verdict.

    Raises UsageError, MediaError, Interrupted.
    """
    plan = job.plan

    def make(path: Path) -> Table:
        clip, flow, steps = open_clip(context, output), _scoring_flow(plan), plan.source_frames
        if steps is None or len(steps) != clip.index.num_frames:  # a graph, or a GIF, has other frames
            source = AlignedSource.find(plan.clip, clip, context, Time(frame=plan.first))
            table = score(clip, source, flow, path, context)
        else:
            with closing(job.unfiltered(clip.default_background)) as pictures:
                table = score(clip, AlignedSource(plan.clip, steps), flow, path, context, per_frame=pictures)
        return table | {"verdict": verdict(table)}

    place = score_path(output)
    key = {"command": "score", "version": VERSION, "render": request, "output": content_digest(context, output)}
    return produce(context, place, key, [plan.clip.path, output], lambda: make)
