"""The score of a render, drawn beside it: how much of the flicker is gone, at what price, and where to look."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from vidtrans.clips.indexing import content_digest, open_clip
from vidtrans.errors import UsageError
from vidtrans.evaluation.reporting import VERSION, score
from vidtrans.evaluation.scoring import Beside
from vidtrans.evaluation.verdicts import verdict
from vidtrans.files import plain_name
from vidtrans.metrics import SCORING_FLOW
from vidtrans.output.target import produce
from vidtrans.rendering.plan import RenderJob
from vidtrans.session import Context
from vidtrans.settings import Table, Time


def score_place(output: Path) -> Path:
    """Where the score of a render is drawn: ``out.mp4`` has ``out.score.png``."""
    return output.with_name(f"{plain_name(output)}.score.png")


def scoring_flow(job: RenderJob) -> str:
    """A flow method that is not the filter's own: what that gets wrong, it would not see."""
    return "brox" if getattr(job.settings.filter_settings, "flow", None) == SCORING_FLOW else SCORING_FLOW


def check_scorable(job: RenderJob) -> None:
    """Raises UsageError where there is nothing that could flicker."""
    if job.single:
        raise UsageError("--score", "one picture cannot flicker", "leave it out")


def score_render(job: RenderJob, output: Path, request: str, context: Context) -> Table:
    """Score a finished render against the model's own pictures, and draw how it went.

    Returns the table of ``vidtrans evaluate`` with its ``verdict``. Raises UsageError, MediaError, Interrupted.
    """

    def make(path: Path) -> Table:
        shown, flow, steps = open_clip(context, output), scoring_flow(job), job.steps
        if steps is None or len(steps) != shown.index.num_frames:  # a graph, or a GIF, has other frames
            seen = Beside.find(job.clip, shown, context, Time(frame=job.first))
            table = score(shown, seen, flow, path, context)
        else:
            with closing(job.per_frame(shown.ground)) as pictures:
                table = score(shown, Beside(job.clip, steps), flow, path, context, per_frame=pictures)
        return table | {"verdict": verdict(table)}

    place = score_place(output)
    made = {"command": "score", "version": VERSION, "render": request, "output": content_digest(context, output)}
    return produce(context, place, made, [job.clip.path, output], make)
