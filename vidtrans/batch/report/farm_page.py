"""The HTML page of the farm report: one self-contained file from the Jinja template ``farm_page.html``."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Template

from vidtrans.batch.report.farm_report import ChunkLine, FarmReport, seconds_by_step
from vidtrans.core.files import write_bytes
from vidtrans.video.report_page import Filter, load_page

WIDTH, LABEL, ROW, GAP = 1160, 150, 18, 12  # of the timeline, in pixels: all, hosts' names, a lane, between hosts
AXIS = 26
MOST_BARS = 5000  # with more chunks, neighbours in a lane are merged
TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


@dataclass(frozen=True)
class Bar:
    """A bar of the timeline for consecutive chunks of a clip: position in pixels, ``hue`` in degrees, tooltip."""

    x: float
    width: float
    y: float
    hue: int
    title: str


def write_page(path: Path, night: FarmReport, title: str) -> None:
    """Write the report ``night`` as an HTML page, atomically. Equal reports give equal bytes."""
    write_bytes(path, render(night, title).encode("utf-8", "replace"))


def render(night: FarmReport, title: str) -> str:
    """Return the report ``night`` as an HTML page. All text is escaped."""
    place, rows = AXIS, list[tuple[str, float]]()
    bars = list[Bar]()
    for share in night.hosts:
        rows.append((share.host, place + ROW * len(share.lanes) / 2))
        for lane in share.lanes:
            bars += _bars(night, lane, place, merge=len(night.chunks) > MOST_BARS)
            place += ROW
        place += GAP
    now, then = night.with_another()
    return _template().render(
        night=night,
        title=title,
        bars=bars,
        rows=rows,
        ticks=_ticks(night),
        height=place,
        width=WIDTH,
        row=ROW,
        axis=AXIS,
        now=now,
        then=then,
    )


@cache
def _template() -> Template:
    filters: dict[str, Filter] = {"px": "{:.1f}".format, "count": "{:,}".format, "clock": clock, "span": span}
    return load_page(Path(__file__).with_suffix(".html"), filters)


def _x(night: FarmReport, moment: float) -> float:
    return LABEL + (WIDTH - LABEL - 8) * (moment - night.began) / max(night.duration_s, 1e-3)


def _bars(night: FarmReport, lane: Sequence[ChunkLine], y: float, *, merge: bool) -> Iterator[Bar]:
    runs: list[list[ChunkLine]] = []
    for chunk in lane:
        if merge and runs and runs[-1][-1].clip == chunk.clip and chunk.chunk == runs[-1][-1].chunk + 1:
            runs[-1].append(chunk)
        else:
            runs.append([chunk])
    for run in runs:
        left, right = _x(night, run[0].began), _x(night, run[-1].ended)
        yield Bar(left, max(right - left - 0.6, 0.6), y, _hue(run[0].clip), _title(run))


def _title(run: Sequence[ChunkLine]) -> str:
    first, last, seconds = run[0], run[-1], seconds_by_step(run)
    steps = ", ".join(f"{step} {value:.1f} s" for step, value in sorted(seconds.items(), key=lambda pair: -pair[1]))
    return f"{first.clip}, frames {first.first} to {last.stop - 1}: {span(last.ended - first.began)} ({steps})"


def _hue(clip: str) -> int:
    """Return a hue in degrees for a clip, the same on each page."""
    return int.from_bytes(hashlib.sha256(clip.encode()).digest()[:2], "big") % 360


def _ticks(night: FarmReport) -> list[tuple[float, str]]:
    step = next((s for s in TICKS if night.duration_s / s <= 12), TICKS[-1])
    first = -(-night.began // step) * step
    count = int(max(0.0, night.ended - first) // step) + 1
    moments = [first + step * number for number in range(min(count, 60))]
    return [(_x(night, moment), clock(moment, seconds=step < 60)) for moment in moments if moment <= night.ended]


def clock(moment: float, *, seconds: bool = False) -> str:
    """Return a time in seconds since the epoch as local time of day."""
    return time.strftime("%H:%M:%S" if seconds else "%H:%M", time.localtime(moment))


def span(seconds: float) -> str:
    """Return a duration as text: ``42.0 s``, ``12 min``, ``3 h 05 min``."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
