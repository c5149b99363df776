"""Score a matte against the true matte: DAVIS's region similarity J, boundary accuracy F, and jitter of the edge."""

from __future__ import annotations

import math
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.masks import Mask, find_ground
from vidtrans.core.errors import MediaError
from vidtrans.core.events import Progress
from vidtrans.core.settings import Table
from vidtrans.evaluation.scoring import COMMON_KEYS, AlignedSource, seconds, worst_frames, write_scores
from vidtrans.metrics.consistency import round_digits
from vidtrans.metrics.label_scores import boundary, edge_motion, region
from vidtrans.session import Context
from vidtrans.video.plots import Chart, ChartCurve

VERSION = 2  # Version of the matte scores, for digests
WIDTH_PX, HEIGHT_PX = 980, 260  # Size of the plot, in pixels
ORANGE, BLUE = (255, 190, 70), (92, 160, 255)  # RGB colours of the plot's curves


def score_matte(output: Clip, truth: AlignedSource, result: Path | None, context: Context) -> Table:
    """Return the scores of a matte, ``output``, against the true matte, at the true matte's size.

    ``result``: a plot (.png), or all values (.json), to write. Raises UsageError, MediaError, Interrupted.
    """
    index, total = truth.clip.index, output.index.num_frames
    regions, edges, jitters = list[float | None](), list[float | None](), list[float]()
    before: tuple[np.ndarray, np.ndarray] | None = None
    with ExitStack() as stack:
        readers = []
        for clip, steps in ((output, range(total)), (truth.clip, truth.steps)):
            mask = Mask(clip, list(steps), 0, ground=find_ground(clip, steps, context))
            mattes = mask.mattes((index.width, index.height), context.decode_threads)
            readers.append(stack.enter_context(closing(mattes)))
        outputs, truths = readers
        for number in range(total):
            ours, theirs = outputs(number) >= 128, truths(number) >= 128
            if number in truth.missing:
                regions.append(None)
                edges.append(None)
                before = None
            else:
                regions.append(region(ours, theirs))
                edges.append(boundary(ours, theirs))
                if before is not None:
                    excess_px = edge_motion(before[0], ours) - edge_motion(before[1], theirs)
                    jitters += [] if math.isnan(excess_px) else [excess_px]
                before = ours, theirs
            context.stop.check()
            context.report(Progress(f"scoring {output.name}", number + 1, total))
    known = [value for value in regions if value is not None]
    if not known:
        raise MediaError(
            str(truth.clip.path), "none of its frames is one of the matte's", "give the matte of this clip"
        )
    table: Table = {
        "path": str(output.path),
        "frames": total,
        **dict.fromkeys(COMMON_KEYS),
        "matte_region": round_digits(float(np.mean(known))),
        "matte_boundary": round_digits(float(np.mean([value for value in edges if value is not None]))),
        "matte_jitter": round_digits(float(np.mean(jitters))) if jitters else None,
        "worst": worst_frames(regions, "matte_region", output),
    }

    def draw() -> np.ndarray:
        """Draw J and F over time with marks at the worst frames."""
        times = [seconds(output, n) for n in range(total)]
        curves = [ChartCurve("boundary F", edges, BLUE, 1), ChartCurve("region J", regions, ORANGE, 2)]
        marks = [one["frame"] for one in table["worst"]]
        return Chart(f"{output.name}, beside the true matte", curves, times, [], marks).draw(WIDTH_PX, HEIGHT_PX)

    write_scores(result, table, {"matte_region": regions, "matte_boundary": edges}, draw)
    return table
