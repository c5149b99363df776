"""Renders that copy the frames of a range as they are, quickly, with the timecode that a render keeps."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from numbered_media import VARIABLE, numbers_in, times_in, write_numbered, write_timed

from vidtrans.batch.jobs import Outcome
from vidtrans.session import Context
from vidtrans.stylizing import clips
from vidtrans.stylizing.requests import StylizeRequest
from vidtrans.video.io.container import probe
from vidtrans.video.io.picture_paths import picture_files
from vidtrans.video.io.timestamps import advance_timecode


def copy_range(request: StylizeRequest, output: Path) -> int:
    """Write the frames of a request to ``output`` as they are, as a render does; return their number."""
    first = request.start.frame or 0 if request.start else 0
    stop = request.end.frame if request.end else None
    files = picture_files(request.video)
    if len(files) > 1:
        output.mkdir(parents=True)
        for path in files[first:stop]:
            shutil.copy(path, output / path.name)
        return len(files[first:stop])
    if request.video.suffix == ".png":
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(request.video, output)
        return 1
    info = probe(request.video)
    rate = info.average_rate or Fraction(25)
    numbers = numbers_in(request.video)[first:stop]
    if VARIABLE in request.video.name:
        pts = [round(time * 6000) for time in times_in(request.video)[first:stop]]
        write_timed(output, numbers, [time - pts[0] for time in pts], Fraction(1, 6000))
        return len(numbers)
    made = output.with_suffix(".mov")
    write_numbered(made, numbers, rate, advance_timecode(info.timecode, first, rate) if info.timecode else "")
    made.rename(output)
    return len(numbers)


def fake_batch(
    requests: Sequence[StylizeRequest], folder: Path, _: Any, context: Context
) -> tuple[list[Outcome], Path]:
    """Copy the frames of clips in the place of rendering them; a dry run only names them."""
    outcomes = []
    for item, request in zip(clips.batch_items(requests, folder), requests, strict=True):
        assert item.output is not None
        frames = 0 if context.dry_run else copy_range(request, item.output)
        table = {"source": str(item.source), "output": str(item.output), "frames": frames}
        outcomes.append(Outcome(item, "done", table))
    return outcomes, folder / "none.json"
