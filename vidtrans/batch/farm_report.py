"""The farm report, an HTML page: rendered chunks by host and time, failures, and the estimated time with more workers.

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
from functools import cached_property
from pathlib import Path

from vidtrans.core.files import write_bytes
from vidtrans.core.settings import Table
from vidtrans.video.report_page import load_page

NUM_SLOWEST = 12  # Number of chunks in the list of the slowest ones
OVERLAP_TOLERANCE_S = 2e-3  # Overlap in time of two chunks that is ignored, in seconds, because times are rounded
MAX_TIME_S = 32_500_000_000.0  # Latest valid time, in seconds since the epoch: in 2999, which every system supports
MAX_COUNT = 1 << 53  # Largest valid count in a line of the chunk log
WIDTH_PX = 1160  # Width of the timeline, in pixels
LABEL_WIDTH_PX = 150  # Width of the column of host names on the left of the timeline, in pixels
LANE_HEIGHT_PX = 18  # Height of a lane (a row of bars of the timeline), in pixels
HOST_GAP_PX = 12  # Vertical distance between the lanes of two hosts in the timeline, in pixels
AXIS_HEIGHT_PX = 26  # Height of the time axis, in pixels
MAX_BARS = 5000  # Number of chunks above which consecutive chunks of a lane are drawn as one bar
# Possible distances between two ticks on the time axis, in seconds
TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


@dataclass(frozen=True)
class ChunkRecord:
    """An entry of the chunk log: the frames [first, stop) of a ``clip``, with the ``seconds`` of each step.

    ``began``, ``ended``: seconds since the epoch. ``process``: process ID. ``bytes``: size of the encoded chunk.
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
    def of(cls, line: Table) -> ChunkRecord:
        """Parse a line of the chunk log. Raises KeyError, TypeError, ValueError, OverflowError if it is not valid."""
        first, stop = map(int, line["frames"])
        number, process, size = (int(line[key]) for key in ("chunk", "process", "bytes"))
        device = f"{line['device']}: {line['processor']}" if line["processor"] else str(line["device"])
        began, ended = float(line["began"]), float(line["ended"])
        seconds = {str(step): float(value) for step, value in line["seconds"].items()}
        is_possible = (
            0 <= first < stop
            and 0 <= began <= ended <= MAX_TIME_S
            and all(0 <= count <= MAX_COUNT for count in (stop, number, process, size))
            and all(0 <= value <= MAX_TIME_S for value in seconds.values())
        )
        if not is_possible:
            raise ValueError(line)
        clip, host = str(line["clip"]), str(line["host"])
        return cls(clip, number, first, stop, host, process, device, began, ended, seconds, size)

    @property
    def duration_s(self) -> float:
        """Return the render time of the chunk in seconds."""
        return self.ended - self.began

    @property
    def frames(self) -> int:
        """Return the number of frames in the chunk."""
        return self.stop - self.first


@dataclass(frozen=True)
class Failure:
    """A failed clip, or failed ``part`` of a clip, and the reason. ``at``: seconds since the epoch, None if unknown."""

    clip: str
    why: str
    part: str = ""
    host: str = ""
    at: float | None = None


class _ChunkTotals:
    """Base class for a set of rendered ``chunks``, with its totals of frames and seconds."""

    chunks: Sequence[ChunkRecord]

    @property
    def frames(self) -> int:
        """Return the number of frames in all chunks."""
        return sum(chunk.frames for chunk in self.chunks)

    @property
    def busy_s(self) -> float:
        """Return the total seconds of all chunks."""
        return sum(chunk.duration_s for chunk in self.chunks)

    @property
    def seconds(self) -> dict[str, float]:
        """Return the total seconds of each step of a render, by step name."""
        return seconds_by_step(self.chunks)


@dataclass(frozen=True)
class HostShare(_ChunkTotals):
    """The ``chunks`` that one host rendered; ``lanes`` groups them into rows without overlap in time."""

    host: str
    chunks: Sequence[ChunkRecord]

    @cached_property
    def lanes(self) -> list[list[ChunkRecord]]:
        """Return the chunks in each lane (row) of the host's timeline, in order of their start."""
        return _lanes(self.chunks)

    @property
    def devices(self) -> list[str]:
        """Return the names of the devices that the host used."""
        return sorted({chunk.device for chunk in self.chunks})


@dataclass(frozen=True)
class FarmReport(_ChunkTotals):
    """The chunks of one or more batches, in order of their start, and the failures."""

    chunks: Sequence[ChunkRecord]
    failures: Sequence[Failure] = ()
    clips: Sequence[str] = ()

    @classmethod
    def of(cls, lines: Iterable[Table], failures: Sequence[Failure] = (), clips: Sequence[str] = ()) -> FarmReport:
        """Build the report from lines of the chunk log. ``clips``: names of the clips to include; empty: all.

        ``failures``: the failures that are known from summaries.
        """
        included, chunks, failed = set(clips), list[ChunkRecord](), list(failures)
        for line in lines:
            try:
                if included and line["clip"] not in included:
                    continue
                if "failed" in line:
                    names = str(line["clip"]), str(line["failed"]), str(line["part"]), str(line["host"])
                    ended = float(line["ended"])
                    failed.append(Failure(*names, ended if 0 <= ended <= MAX_TIME_S else None))
                else:
                    chunks.append(ChunkRecord.of(line))
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError):  # The line is damaged.
                continue
        failed.sort(key=lambda failure: failure.at or 0.0)
        chunks.sort(key=lambda chunk: (chunk.began, chunk.host, chunk.clip, chunk.chunk))
        return cls(chunks, failed, tuple(clips) or tuple(dict.fromkeys(chunk.clip for chunk in chunks)))

    @cached_property
    def began(self) -> float:
        """Return the start of the first chunk, in seconds since the epoch."""
        return min((chunk.began for chunk in self.chunks), default=0.0)

    @cached_property
    def ended(self) -> float:
        """Return the end of the last chunk, in seconds since the epoch."""
        return max((chunk.ended for chunk in self.chunks), default=0.0)

    @property
    def duration_s(self) -> float:
        """Return the seconds from the start of the first chunk to the end of the last."""
        return self.ended - self.began

    @cached_property
    def hosts(self) -> list[HostShare]:
        """Return the chunks of each host, by host name."""
        by_host = defaultdict[str, list[ChunkRecord]](list)
        for chunk in self.chunks:
            by_host[chunk.host].append(chunk)
        return [HostShare(host, by_host[host]) for host in sorted(by_host)]

    @property
    def num_lanes(self) -> int:
        """Return the total number of lanes of all hosts: each lane is a worker that renders one chunk at a time."""
        return sum(len(host.lanes) for host in self.hosts)

    @property
    def slowest(self) -> list[ChunkRecord]:
        """Return the ``NUM_SLOWEST`` chunks with the most seconds per frame."""
        return sorted(self.chunks, key=lambda chunk: -chunk.duration_s / chunk.frames)[:NUM_SLOWEST]

    def simulate_another_machine(self) -> tuple[float, float]:
        """Return the simulated seconds to render the chunks: with these machines, and with a copy of the largest added.

        The simulation uses the measured seconds of each chunk; tasks wait only for a free worker.
        """
        tasks = [chunk.duration_s for chunk in self.chunks]
        more = max((len(host.lanes) for host in self.hosts), default=0)
        if not tasks:
            return 0.0, 0.0
        return schedule_length_s(tasks, self.num_lanes), schedule_length_s(tasks, self.num_lanes + more)


def _lanes(chunks: Sequence[ChunkRecord]) -> list[list[ChunkRecord]]:
    """Divide a host's chunks, in order of their start, into as few lanes without overlap as possible.

    The chunks of a process stay in one lane.
    """
    lanes: list[list[ChunkRecord]] = []
    for chunk in chunks:
        free = [lane for lane in lanes if lane[-1].ended <= chunk.began + OVERLAP_TOLERANCE_S]
        lane = next((lane for lane in free if lane[-1].process == chunk.process), free[0] if free else None)
        if lane is None:
            lanes.append(lane := [])
        lane.append(chunk)
    return lanes


def seconds_by_step(chunks: Iterable[ChunkRecord]) -> dict[str, float]:
    """Return the total seconds of each step (decode, network …) over the chunks."""
    total = defaultdict[str, float](float)
    for chunk in chunks:
        for step, seconds in chunk.seconds.items():
            total[step] += seconds
    return dict(total)


def schedule_length_s(tasks: Sequence[float], workers: int) -> float:
    """Return the seconds until all tasks are done, assigned in order to the worker that is free first.

    This is Graham's list scheduling (1966): at most twice the optimum.
    """
    free = [0.0] * min(workers, len(tasks))
    for seconds in tasks:
        heapq.heappush(free, heapq.heappop(free) + seconds)
    return max(free)


@dataclass(frozen=True)
class Bar:
    """A bar of the timeline, for consecutive chunks of a clip.

    ``x``, ``y``: left and top in pixels. ``width``: in pixels. ``hue``: colour in degrees. ``title``: the tooltip.
    """

    x: float
    width: float
    y: float
    hue: int
    title: str


def write_page(path: Path, report: FarmReport, title: str) -> None:
    """Write a farm report with a ``title`` as an HTML page, atomically. Equal reports give equal bytes."""
    write_bytes(path, render(report, title).encode("utf-8", "replace"))


def render(report: FarmReport, title: str) -> str:
    """Return a farm report with a ``title`` as the text of an HTML page; names from the log are escaped."""
    y_px, rows = AXIS_HEIGHT_PX, list[tuple[str, float]]()
    bars = list[Bar]()
    for share in report.hosts:
        rows.append((share.host, y_px + LANE_HEIGHT_PX * len(share.lanes) / 2))
        for lane in share.lanes:
            bars += _bars(report, lane, y_px, merge=len(report.chunks) > MAX_BARS)
            y_px += LANE_HEIGHT_PX
        y_px += HOST_GAP_PX
    now, then = report.simulate_another_machine()
    sizes = {"height": y_px, "width": WIDTH_PX, "row": LANE_HEIGHT_PX, "axis": AXIS_HEIGHT_PX}
    page = load_page(Path(__file__).with_suffix(".html"), clock=format_clock, span=format_duration)
    return page.render(
        report=report, title=title, bars=bars, rows=rows, now=now, then=then, ticks=_ticks(report), **sizes
    )


def _x_px(report: FarmReport, moment: float) -> float:
    """Return the x coordinate of a time in the timeline, in pixels. ``moment``: seconds since the epoch."""
    return LABEL_WIDTH_PX + (WIDTH_PX - LABEL_WIDTH_PX - 8) * (moment - report.began) / max(report.duration_s, 1e-3)


def _bars(report: FarmReport, lane: Sequence[ChunkRecord], y: float, *, merge: bool) -> Iterator[Bar]:
    """Yield the bars of a lane. ``y``: its top in pixels. ``merge``: draw consecutive chunks of a clip as one bar."""
    groups: list[list[ChunkRecord]] = []
    for chunk in lane:
        if merge and groups and groups[-1][-1].clip == chunk.clip and chunk.chunk == groups[-1][-1].chunk + 1:
            groups[-1].append(chunk)
        else:
            groups.append([chunk])
    for group in groups:
        left, right = _x_px(report, group[0].began), _x_px(report, group[-1].ended)
        yield Bar(left, max(right - left - 0.6, 0.6), y, _hue(group[0].clip), _tooltip(group))


def _tooltip(group: Sequence[ChunkRecord]) -> str:
    """Return the tooltip of the bar for the chunks ``group``: clip, frames, duration, and the seconds of each step."""
    first, last, seconds = group[0], group[-1], seconds_by_step(group)
    steps = ", ".join(f"{step} {value:.1f} s" for step, value in sorted(seconds.items(), key=lambda pair: -pair[1]))
    return (
        f"{first.clip}, frames {first.first} to {last.stop - 1}: {format_duration(last.ended - first.began)} ({steps})"
    )


def _hue(clip: str) -> int:
    """Return the hue of a clip, in degrees, which depends only on its name."""
    return int.from_bytes(hashlib.sha256(clip.encode()).digest()[:2], "big") % 360


def _ticks(report: FarmReport) -> list[tuple[float, str]]:
    """Return the ticks of the time axis: x in pixels, and the local time of day as text."""
    step = next((s for s in TICK_STEPS_S if report.duration_s / s <= 12), TICK_STEPS_S[-1])
    first = -(-report.began // step) * step
    count = int(max(0.0, report.ended - first) // step) + 1
    moments = [first + step * number for number in range(min(count, 60))]
    moments = [moment for moment in moments if moment <= report.ended]
    return [(_x_px(report, moment), format_clock(moment, seconds=step < 60)) for moment in moments]


def format_clock(moment: float, *, seconds: bool = False) -> str:
    """Format a time in seconds since the epoch as local time of day: ``21:05``; with ``seconds``, ``21:05:30``."""
    return time.strftime("%H:%M:%S" if seconds else "%H:%M", time.localtime(moment))


def format_duration(seconds: float) -> str:
    """Format a duration as ``42.0 s``, ``12 min`` or ``3 h 05 min``."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
