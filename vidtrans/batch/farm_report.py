"""The farm report: chunks by host and time, failures, and the estimated time with more workers, as an HTML page.

Its data are the chunk log of a cache and the summaries of batches. The page is one self-contained file from the Jinja
template ``farm_report.html``.
"""

from __future__ import annotations

import hashlib
import heapq
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from jinja2 import Template

from vidtrans.core.files import write_bytes
from vidtrans.core.settings import Table
from vidtrans.video.report_page import Filter, load_page

SLOWEST = 12  # number of listed chunks
ROUNDED_S = 2e-3  # tolerance for overlaps, because times are rounded
LATEST = 32_500_000_000.0  # seconds since the epoch, in the year 2999: dates that every system supports
MOST = 1 << 53  # limit of counts in a line
WIDTH, LABEL, ROW, GAP = 1160, 150, 18, 12  # of the timeline, in pixels: all, hosts' names, a lane, between hosts
AXIS = 26
MOST_BARS = 5000  # with more chunks, neighbours in a lane are merged
TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


@dataclass(frozen=True)
class ChunkLine:
    """A line of the chunk log: the frames [first, stop) of a ``clip``, with the ``seconds`` of each step.

    ``began``, ``ended``: seconds since the epoch. ``process``: its ID. ``bytes``: the size of the encoded chunk.
    """

    clip: str
    chunk: int
    first: int
    stop: int
    host: str
    process: int
    device: str
    began: float
    ended: float
    seconds: Table
    bytes: int

    @classmethod
    def of(cls, line: Table) -> ChunkLine:
        """Parse a line. Raises KeyError, TypeError, ValueError, OverflowError if it is not valid."""
        first, stop = map(int, line["frames"])
        number, process, size = (int(line[key]) for key in ("chunk", "process", "bytes"))
        device = f"{line['device']}: {line['processor']}" if line["processor"] else str(line["device"])
        began, ended = float(line["began"]), float(line["ended"])
        seconds = {str(step): float(value) for step, value in line["seconds"].items()}
        is_possible = (
            0 <= first < stop
            and 0 <= began <= ended <= LATEST
            and all(0 <= count <= MOST for count in (stop, number, process, size))
            and all(0 <= value <= LATEST for value in seconds.values())
        )
        if not is_possible:
            raise ValueError(line)
        clip, host = str(line["clip"]), str(line["host"])
        return cls(clip, number, first, stop, host, process, device, began, ended, seconds, size)

    @property
    def duration_s(self) -> float:
        """Return the duration in seconds."""
        return self.ended - self.began

    @property
    def frames(self) -> int:
        """Return the number of frames."""
        return self.stop - self.first


@dataclass(frozen=True)
class Failure:
    """A clip, or a ``part`` of it, that failed, and why. ``at``: seconds since the epoch, None if unknown."""

    clip: str
    why: str
    part: str = ""
    host: str = ""
    at: float | None = None


class _Rendered:
    """Totals over ``chunks``."""

    chunks: Sequence[ChunkLine]

    @property
    def frames(self) -> int:
        """Return the number of rendered frames."""
        return sum(chunk.frames for chunk in self.chunks)

    @property
    def busy_s(self) -> float:
        """Return the total seconds of all chunks."""
        return sum(chunk.duration_s for chunk in self.chunks)

    @property
    def seconds(self) -> dict[str, float]:
        """Return the total seconds of each step."""
        return seconds_by_step(self.chunks)


@dataclass(frozen=True)
class HostShare(_Rendered):
    """The ``chunks`` that one host rendered; ``lanes`` groups them into rows without overlap in time."""

    host: str
    chunks: Sequence[ChunkLine]

    @cached_property
    def lanes(self) -> list[list[ChunkLine]]:
        """Return the chunks of each lane of the timeline, in order of their start."""
        return _lanes(self.chunks)

    @property
    def devices(self) -> list[str]:
        """Return the devices that the host rendered on."""
        return sorted({chunk.device for chunk in self.chunks})


@dataclass(frozen=True)
class FarmReport(_Rendered):
    """The chunks of one or more batches, in order of their start, and the failures."""

    chunks: Sequence[ChunkLine]
    failures: Sequence[Failure] = ()
    clips: Sequence[str] = ()

    @classmethod
    def of(cls, lines: Iterable[Table], failures: Sequence[Failure] = (), clips: Sequence[str] = ()) -> FarmReport:
        """Return the report of log lines; ``clips``: the names of the clips to include, all if empty."""
        wanted, chunks, failed = set(clips), list[ChunkLine](), list(failures)
        for line in lines:
            try:
                if wanted and line["clip"] not in wanted:
                    continue
                if "failed" in line:
                    names = str(line["clip"]), str(line["failed"]), str(line["part"]), str(line["host"])
                    ended = float(line["ended"])
                    failed.append(Failure(*names, ended if 0 <= ended <= LATEST else None))
                else:
                    chunks.append(ChunkLine.of(line))
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError):  # not a line of this log
                continue
        failed.sort(key=lambda failure: failure.at or 0.0)
        chunks.sort(key=lambda chunk: (chunk.began, chunk.host, chunk.clip, chunk.chunk))
        return cls(chunks, failed, tuple(clips) or tuple(dict.fromkeys(chunk.clip for chunk in chunks)))

    @cached_property
    def began(self) -> float:
        """Return the start time of the first chunk."""
        return min((chunk.began for chunk in self.chunks), default=0.0)

    @cached_property
    def ended(self) -> float:
        """Return the end time of the last chunk."""
        return max((chunk.ended for chunk in self.chunks), default=0.0)

    @property
    def duration_s(self) -> float:
        """Return the seconds from the start of the first chunk to the end of the last."""
        return self.ended - self.began

    @cached_property
    def hosts(self) -> list[HostShare]:
        """Return the share of each host, sorted by name."""
        by_host = defaultdict[str, list[ChunkLine]](list)
        for chunk in self.chunks:
            by_host[chunk.host].append(chunk)
        return [HostShare(host, by_host[host]) for host in sorted(by_host)]

    @property
    def num_lanes(self) -> int:
        """Return the maximum number of parallel chunks on each host, summed over hosts."""
        return sum(len(host.lanes) for host in self.hosts)

    @property
    def slowest(self) -> list[ChunkLine]:
        """Return the chunks with the most seconds per frame."""
        return sorted(self.chunks, key=lambda chunk: -chunk.duration_s / chunk.frames)[:SLOWEST]

    def with_another(self) -> tuple[float, float]:
        """Return the simulated seconds to render these chunks with these machines, and with another like the largest.

        The simulation uses the measured seconds of each chunk; tasks wait only for a free worker.
        """
        tasks = [chunk.duration_s for chunk in self.chunks]
        more = max((len(host.lanes) for host in self.hosts), default=0)
        if not tasks:
            return 0.0, 0.0
        return finish_s(tasks, self.num_lanes), finish_s(tasks, self.num_lanes + more)


def _lanes(chunks: Sequence[ChunkLine]) -> list[list[ChunkLine]]:
    """Divide a host's chunks, in order of their start, into as few rows without overlap as possible.

    A process stays in its row.
    """
    lanes: list[list[ChunkLine]] = []
    for chunk in chunks:
        free = [lane for lane in lanes if lane[-1].ended <= chunk.began + ROUNDED_S]
        lane = next((lane for lane in free if lane[-1].process == chunk.process), free[0] if free else None)
        if lane is None:
            lanes.append(lane := [])
        lane.append(chunk)
    return lanes


def seconds_by_step(chunks: Iterable[ChunkLine]) -> dict[str, float]:
    """Return the total seconds of each step over chunks."""
    total = defaultdict[str, float](float)
    for chunk in chunks:
        for step, seconds in chunk.seconds.items():
            total[step] += seconds
    return dict(total)


def finish_s(tasks: Sequence[float], workers: int) -> float:
    """Return the seconds until all tasks are done, assigned in order to the worker that is free first.

    This is Graham's list scheduling (1966): at most twice the optimum.
    """
    free = [0.0] * min(workers, len(tasks))
    for seconds in tasks:
        heapq.heappush(free, heapq.heappop(free) + seconds)
    return max(free)


@dataclass(frozen=True)
class Bar:
    """A bar of the timeline for consecutive chunks of a clip: position in pixels, ``hue`` in degrees, tooltip."""

    x: float
    width: float
    y: float
    hue: int
    title: str


def write_page(path: Path, report: FarmReport, title: str) -> None:
    """Write a report as an HTML page, atomically. Equal reports give equal bytes."""
    write_bytes(path, render(report, title).encode("utf-8", "replace"))


def render(report: FarmReport, title: str) -> str:
    """Return a report as an HTML page. All text is escaped."""
    place, rows = AXIS, list[tuple[str, float]]()
    bars = list[Bar]()
    for share in report.hosts:
        rows.append((share.host, place + ROW * len(share.lanes) / 2))
        for lane in share.lanes:
            bars += _bars(report, lane, place, merge=len(report.chunks) > MOST_BARS)
            place += ROW
        place += GAP
    now, then = report.with_another()
    places = {"height": place, "width": WIDTH, "row": ROW, "axis": AXIS, "ticks": _ticks(report)}
    return _template().render(report=report, title=title, bars=bars, rows=rows, now=now, then=then, **places)


@cache
def _template() -> Template:
    filters: dict[str, Filter] = {"px": "{:.1f}".format, "count": "{:,}".format, "clock": clock, "span": span}
    return load_page(Path(__file__).with_suffix(".html"), filters)


def _x(report: FarmReport, moment: float) -> float:
    return LABEL + (WIDTH - LABEL - 8) * (moment - report.began) / max(report.duration_s, 1e-3)


def _bars(report: FarmReport, lane: Sequence[ChunkLine], y: float, *, merge: bool) -> Iterator[Bar]:
    runs: list[list[ChunkLine]] = []
    for chunk in lane:
        if merge and runs and runs[-1][-1].clip == chunk.clip and chunk.chunk == runs[-1][-1].chunk + 1:
            runs[-1].append(chunk)
        else:
            runs.append([chunk])
    for run in runs:
        left, right = _x(report, run[0].began), _x(report, run[-1].ended)
        yield Bar(left, max(right - left - 0.6, 0.6), y, _hue(run[0].clip), _title(run))


def _title(run: Sequence[ChunkLine]) -> str:
    first, last, seconds = run[0], run[-1], seconds_by_step(run)
    steps = ", ".join(f"{step} {value:.1f} s" for step, value in sorted(seconds.items(), key=lambda pair: -pair[1]))
    return f"{first.clip}, frames {first.first} to {last.stop - 1}: {span(last.ended - first.began)} ({steps})"


def _hue(clip: str) -> int:
    """Return a hue in degrees for a clip, the same on each page."""
    return int.from_bytes(hashlib.sha256(clip.encode()).digest()[:2], "big") % 360


def _ticks(report: FarmReport) -> list[tuple[float, str]]:
    step = next((s for s in TICKS if report.duration_s / s <= 12), TICKS[-1])
    first = -(-report.began // step) * step
    count = int(max(0.0, report.ended - first) // step) + 1
    moments = [first + step * number for number in range(min(count, 60))]
    return [(_x(report, moment), clock(moment, seconds=step < 60)) for moment in moments if moment <= report.ended]


def clock(moment: float, *, seconds: bool = False) -> str:
    """Return a time in seconds since the epoch as local time of day."""
    return time.strftime("%H:%M:%S" if seconds else "%H:%M", time.localtime(moment))


def span(seconds: float) -> str:
    """Return a duration as text: ``42.0 s``, ``12 min``, ``3 h 05 min``."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
