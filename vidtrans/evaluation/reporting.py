"""Scores of a clip as a table, a plot or a JSON file."""

from __future__ import annotations

from pathlib import Path

from vidtrans.clips.indexing import Clip
from vidtrans.evaluation.scoring import AlignedSource, Pictures, score_clips, seconds
from vidtrans.files import write_json
from vidtrans.metrics.clip_scores import Scores, round_digits
from vidtrans.session import Context
from vidtrans.settings import Table

VERSION = 2


def score(
    shown: Clip,
    seen: AlignedSource,
    flow: str,
    result: Path | None,
    context: Context,
    *,
    per_frame: Pictures | None = None,
    reference: Pictures | None = None,
) -> Table:
    """Score a render that is ``shown``, and write a plot (.png) or all values (.json) if there is a ``result``.

    Raises UsageError, MediaError, Interrupted.
    """
    scores = score_clips(shown, seen, context, per_frame=per_frame, reference=reference, flow=flow)
    table = {"path": str(shown.path), "flow": flow} | score_table(scores, shown)
    if result is not None and result.suffix.lower() == ".json":
        write_json(result, table | {"series": series_table(scores, shown)}, indent=1)
    elif result is not None:
        from vidtrans.evaluation.plots import write_sheet

        write_sheet(result, scores, table, shown, seen, flow, context)
    return table


def score_table(scores: Scores, clip: Clip) -> Table:
    """Return the measures of a clip, as in the JSON; ``worst`` lists the moments to look at."""
    errors, floor = scores.series["warping_error"], scores.series["warping_error_source"]
    worst = [
        {
            "frame": n,
            "seconds": round(seconds(clip, n), 3),
            "warping_error": round_digits(errors[n]),
            "warping_error_source": round_digits(floor[n]),
        }
        for n in scores.worst()
    ]
    return {"frames": scores.frames, **scores.table(), "worst": worst}


def series_table(scores: Scores, clip: Clip) -> Table:
    """Return a column for each measure, a value (or null) for each frame. A pair's is at its second frame."""
    numbers = range(scores.frames)
    columns = {name: [round_digits(v) for v in values] for name, values in scores.series.items()}
    return {"frame": list(numbers), "seconds": [round(seconds(clip, n), 3) for n in numbers]} | columns
