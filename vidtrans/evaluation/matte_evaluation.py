"""Scores of a matte beside the true one: J and F as DAVIS defines them, and how much its edge jitters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.masks import Mask, MatteReader, find_ground
from vidtrans.core.errors import MediaError
from vidtrans.core.events import Progress
from vidtrans.core.files import write_json
from vidtrans.core.settings import Table
from vidtrans.evaluation.dream_scores import COMMON_KEYS
from vidtrans.evaluation.scoring import AlignedSource, seconds
from vidtrans.metrics.clip_scores import round_digits
from vidtrans.metrics.matte_scores import boundary, edge_motion, region
from vidtrans.session import Context
from vidtrans.video.images.picture import write_picture
from vidtrans.video.plots.chart import Chart, ChartCurve

VERSION = 2
SHOWN = 4  # of the frames with the lowest J
WIDTH, HEIGHT = 980, 260  # pixels, of the plot
ORANGE, BLUE = (255, 190, 70), (92, 160, 255)


def score_matte(output: Clip, truth: AlignedSource, result: Path | None, context: Context) -> Table:
    """Return the scores of a matte, ``output``, beside the true one, at the truth's size; both as ``Mask`` reads them.

    ``result``: a plot (.png), or all values (.json), to write. Raises UsageError, MediaError, Interrupted.
    """
    index, total = truth.clip.index, output.index.num_frames
    regions, edges, jitters = list[float | None](), list[float | None](), list[float]()
    before: tuple[np.ndarray, np.ndarray] | None = None
    with ExitStack() as stack:
        made, true = (
            stack.enter_context(closing(_mattes(clip, steps, (index.width, index.height), context)))
            for clip, steps in ((output, range(total)), (truth.clip, truth.steps))
        )
        for number in range(total):
            ours, wanted = made(number) >= 128, true(number) >= 128
            if number in truth.missing:
                regions.append(None)
                edges.append(None)
                before = None
            else:
                regions.append(region(ours, wanted))
                edges.append(boundary(ours, wanted))
                if before is not None:
                    beyond = edge_motion(before[0], ours) - edge_motion(before[1], wanted)
                    jitters += [] if math.isnan(beyond) else [beyond]
                before = ours, wanted
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
        "worst": _worst(regions, output),
    }
    if result is not None:
        _write(result, table, regions, edges, output)
    return table


def _mattes(clip: Clip, steps: Sequence[int], size: tuple[int, int], context: Context) -> MatteReader:
    """Return a reader of the mattes of a clip's frames ``steps`` at a (width, height)."""
    mask = Mask(clip, list(steps), 0, ground=find_ground(clip, steps, context))
    return mask.mattes(size, context.decode_threads)


def _worst(regions: list[float | None], output: Clip) -> list[Table]:
    known = sorted((value, number) for number, value in enumerate(regions) if value is not None)
    found = [(number, round_digits(value)) for value, number in known[:SHOWN]]
    return [{"frame": n, "seconds": round(seconds(output, n), 3), "matte_region": value} for n, value in found]


def _write(path: Path, table: Table, regions: list[float | None], edges: list[float | None], output: Clip) -> None:
    """Write all values (.json), or a plot over time (.png)."""
    series = {"matte_region": regions, "matte_boundary": edges}
    if path.suffix.lower() == ".json":
        write_json(path, table | {"series": series}, indent=1)
        return
    times = [seconds(output, n) for n in range(len(regions))]
    curves = [ChartCurve("boundary F", edges, BLUE, 1), ChartCurve("region J", regions, ORANGE, 2)]
    chart = Chart(f"{output.name}, beside the true matte", curves, times, [], [one["frame"] for one in table["worst"]])
    write_picture(path, chart.draw(WIDTH, HEIGHT))
