"""How steady a render is, how near to what it should be, and when it is worst."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vidtrans.batch.inputs import counterparts, gathered, items_for
from vidtrans.batch.jobs import Options, run_batch
from vidtrans.batch.summary import Outcome
from vidtrans.clips.indexing import Clip, content_digest, open_clip
from vidtrans.errors import UsageError
from vidtrans.evaluation.dream_scores import VERSION as DREAM_VERSION
from vidtrans.evaluation.dream_scores import score_dream
from vidtrans.evaluation.reporting import VERSION, score
from vidtrans.evaluation.scoring import AlignedSource
from vidtrans.flow import GREY_FLOWS
from vidtrans.metrics import SCORING_FLOW
from vidtrans.output.target import produce
from vidtrans.session import Context
from vidtrans.settings import Table, Time

ENDINGS = (".png", ".json")


def evaluate(
    output: Path,
    source: Path,
    context: Context,
    *,
    per_frame: Path | None = None,
    reference: Path | None = None,
    result: Path | None = None,
    flow: str = SCORING_FLOW,
    start: Time | None = None,
    dream: bool = False,
) -> Table:
    """Score a render and return what is reported of it; ``result`` is a plot (.png) or all values (.json) to write.

    ``source`` is what was rendered, from ``start`` on; ``per_frame`` the same render without a temporal filter;
    ``reference`` what it should be; these two begin at ``start`` as well, or are as long as the render.
    ``dream``: it is the film of a model that learned ``source``, see ``score_dream``.

    Raises UsageError, MediaError, Interrupted.
    """
    began = time.monotonic()
    GREY_FLOWS[flow]  # scores follow grey pictures: another method is an error
    if dream and (per_frame or reference or flow != SCORING_FLOW):
        given_too = "--per-frame" if per_frame else "--reference" if reference else "--flow"
        raise UsageError(given_too, "a dream is compared with nothing but --source", "leave it out, or --dream")
    if result is not None and result.suffix.lower() not in ENDINGS:
        raise UsageError(str(result), "scores are a picture or a table", "use -o NAME.png or -o NAME.json")
    given = {"output": output, "source": source, "per_frame": per_frame, "reference": reference}
    job = _Job({name: path for name, path in given.items() if path is not None}, flow, start, context, dream)
    sources = list(job.videos.values())
    if result is not None:
        table = produce(context, result, job.request(result), sources, job.run)
    else:
        table = {"dry_run": True} if context.dry_run else job.run(None)
        table |= {"output": None, "seconds": round(time.monotonic() - began, 3), "cached": False}
    if context.dry_run:
        frames = [open_clip(context, path).index.num_frames for path in sources]
        return table | {"path": str(output), "frames": frames[0]}
    context.trim_cache()
    return table


def evaluate_batch(
    given: Sequence[Path],
    videos: Mapping[str, Path | None],
    folder: Path | None,
    context: Context,
    batch: Options,
    **options: Any,
) -> tuple[list[Outcome], Path]:
    """Score several renders, each beside the clips of its name. ``videos``: "source", and what else ``evaluate`` has.

    With a ``folder`` a plot of each is written there. Raises UsageError, Interrupted.
    """
    found = gathered(given)
    beside = {name: counterparts(found, path, _flag(name)) for name, path in videos.items() if path is not None}
    number = {path: n for n, path in enumerate(found)}

    def arguments(output: Path, place: Path) -> Table:
        own = {name: paths[number[output]] for name, paths in beside.items()}
        return {"output": output, "result": place if folder else None, **own, **options}

    items = items_for(found, folder or Path(), [".scores.png"] * len(found), arguments)
    if folder is None:
        items = [replace(item, output=None) for item in items]
    return run_batch(items, "vidtrans.pipeline.evaluate:evaluate", folder or Path(), batch, context)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True)
class _Job:
    """What is scored, by its part in it, and how."""

    videos: dict[str, Path]
    flow: str
    start: Time | None
    context: Context
    dream: bool = False

    def request(self, result: Path) -> Table:
        """All that decides what is written."""
        return {
            "command": "evaluate",
            "version": VERSION,
            "videos": {name: [str(path), content_digest(self.context, path)] for name, path in self.videos.items()},
            "flow": self.flow,
            "start": str(self.start or 0),
            "ending": result.suffix.lower(),
        } | ({"dream": DREAM_VERSION} if self.dream else {})

    def run(self, result: Path | None) -> Table:
        """Score, and write what was asked for."""
        clips = {name: open_clip(self.context, path) for name, path in self.videos.items()}
        shown = clips.pop("output")
        if self.dream:
            return score_dream(shown, clips["source"], self.start, result, self.context)
        found = {name: self._beside(clip, name, shown) for name, clip in clips.items()}
        return score(shown, found.pop("source"), self.flow, result, self.context, **found)

    def _beside(self, clip: Clip, name: str, shown: Clip) -> AlignedSource:
        """In step; what another render or a reference has as many frames of is the same part, wherever it begins."""
        as_long = name != "source" and clip.index.num_frames == shown.index.num_frames
        return AlignedSource.find(clip, shown, self.context, None if as_long else self.start)
