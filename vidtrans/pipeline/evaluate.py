"""``vidtrans evaluate``: score the flicker and fidelity of a render."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from vidtrans.batch.inputs import counterparts, expand_sources, make_items
from vidtrans.batch.jobs import run_batch
from vidtrans.batch.options import BatchOptions
from vidtrans.batch.summary import Outcome
from vidtrans.clips.indexing import content_digest, open_clip
from vidtrans.evaluation.dream_scores import VERSION as DREAM_VERSION
from vidtrans.evaluation.dream_scores import score_dream
from vidtrans.evaluation.score_report import VERSION, score
from vidtrans.evaluation.scoring import AlignedSource
from vidtrans.output.target import produce
from vidtrans.requests import SCORE_SUFFIXES, EvaluateRequest, check_suffix
from vidtrans.session import Context
from vidtrans.settings import Table

VIDEOS = ("output", "source", "per_frame", "reference")


def evaluate(request: EvaluateRequest, context: Context) -> Table:
    """Score a render and return what is reported of it. Raises UsageError, MediaError, Interrupted."""
    began = time.monotonic()
    check_suffix(request.result, "a plot or a table of scores", *SCORE_SUFFIXES)
    sources = list(_videos(request).values())
    if request.result is not None:
        key = _for_key(request, request.result, context)
        table = produce(context, request.result, key, sources, partial(_score, request, context))
    else:
        table = {"dry_run": True} if context.dry_run else _score(request, context, None)
        table |= {"output": None, "seconds": round(time.monotonic() - began, 3), "cached": False}
    if context.dry_run:
        frames = [open_clip(context, path).index.num_frames for path in sources]
        return table | {"path": str(request.output), "frames": frames[0]}
    context.trim_cache()
    return table


def evaluate_batch(
    paths: Sequence[Path], request: EvaluateRequest, batch: BatchOptions, context: Context
) -> tuple[list[Outcome], Path]:
    """Score several renders, each beside the clips of its name; ``result`` is a folder of plots.

    Raises UsageError, Interrupted.
    """
    outputs, folder = expand_sources(paths), request.result
    beside: dict[str, dict[Path, Path]] = {}  # by a video's name, of each output its clip
    for name in VIDEOS[1:]:
        if (path := getattr(request, name)) is not None:
            clips = counterparts(outputs, path, f"--{name.replace('_', '-')}")
            beside[name] = dict(zip(outputs, clips, strict=True))

    def work(output: Path, place: Path) -> partial[Table]:
        own: Table = {name: clips[output] for name, clips in beside.items()}
        return partial(evaluate, replace(request, output=output, result=place if folder else None, **own))

    items = make_items(outputs, folder or Path(), [".scores.png"] * len(outputs), work)
    if folder is None:
        items = [replace(item, output=None) for item in items]
    return run_batch(items, "evaluate", folder or Path(), batch, context)


def _videos(request: EvaluateRequest) -> dict[str, Path]:
    """The clips that are read, by their part in it."""
    return {name: path for name in VIDEOS if (path := getattr(request, name)) is not None}


def _for_key(request: EvaluateRequest, result: Path, context: Context) -> Table:
    """All that decides what is written."""
    return {
        "command": "evaluate",
        "version": VERSION,
        "videos": {name: [str(path), content_digest(context, path)] for name, path in _videos(request).items()},
        "flow": request.flow,
        "start": str(request.start or 0),
        **({"end": str(request.end)} if request.end else {}),
        "ending": result.suffix.lower(),
    } | ({"dream": DREAM_VERSION} if request.dream else {})


def _score(request: EvaluateRequest, context: Context, result: Path | None) -> Table:
    """Score, and write what was asked for."""
    clips = {name: open_clip(context, path) for name, path in _videos(request).items()}
    output = clips.pop("output")
    if request.dream:
        return score_dream(output, clips["source"], request.start, result, context)
    aligned = {}
    for name, clip in clips.items():
        # Another render or a reference with as many frames is the same part of the source, wherever that begins.
        is_part = name != "source" and clip.index.num_frames == output.index.num_frames
        span = (None, None) if is_part else (request.start, request.end)
        aligned[name] = AlignedSource.find(clip, output, context, *span)
    return score(output, aligned.pop("source"), request.flow, result, context, **aligned)
