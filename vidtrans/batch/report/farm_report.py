"""The renders of a batch: chunks by host and time, failures, and the time that other workers would take."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from vidtrans.core.settings import Table

SLOWEST = 12  # chunks that are named
ROUNDED_S = 2e-3  # by which times may overlap: they are rounded
LATEST = 32_500_000_000.0  # seconds since the epoch, in the year 2999: up to then every system has dates
MOST = 1 << 53  # that a line may count


@dataclass(frozen=True)
class ChunkLine:
    """A line of the log: frames [first, stop) of a ``clip``, of which each step took so many ``seconds``."""

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
        """Raises KeyError, TypeError, ValueError, OverflowError where the line is none."""
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
        return cls(
            str(line["clip"]),
            number,
            first,
            stop,
            str(line["host"]),
            process,
            device,
            began,
            ended,
            seconds,
            size,
        )

    @property
    def duration_s(self) -> float:
        """Return how long it took."""
        return self.ended - self.began

    @property
    def frames(self) -> int:
        """Return how many frames it has."""
        return self.stop - self.first


@dataclass(frozen=True)
class Failure:
    """A clip, or a ``part`` of it, that failed, and why. ``at``: seconds since the epoch, where they are known."""

    clip: str
    why: str
    part: str = ""
    host: str = ""
    at: float | None = None


class _Rendered:
    """What is added up over ``chunks``."""

    chunks: Sequence[ChunkLine]

    @property
    def frames(self) -> int:
        """Return how many frames were rendered."""
        return sum(chunk.frames for chunk in self.chunks)

    @property
    def busy_s(self) -> float:
        """Return the seconds of all chunks, added up."""
        return sum(chunk.duration_s for chunk in self.chunks)

    @property
    def seconds(self) -> dict[str, float]:
        """Return the seconds of each step, added up."""
        return seconds_by_step(self.chunks)


@dataclass(frozen=True)
class HostShare(_Rendered):
    """The ``chunks`` that one host rendered, and the same by ``lanes``: so many at a time, at most."""

    host: str
    chunks: Sequence[ChunkLine]

    @cached_property
    def lanes(self) -> list[list[ChunkLine]]:
        """Return the chunks by lane."""
        return _lanes(self.chunks)

    @property
    def devices(self) -> list[str]:
        """Return what it rendered on."""
        return sorted({chunk.device for chunk in self.chunks})


@dataclass(frozen=True)
class FarmReport(_Rendered):
    """The chunks of one or more batches, in the order in which they began, and what failed."""

    chunks: Sequence[ChunkLine]
    failures: Sequence[Failure] = ()
    clips: Sequence[str] = ()

    @classmethod
    def of(cls, lines: Iterable[Table], failures: Sequence[Failure] = (), clips: Sequence[str] = ()) -> FarmReport:
        """Return the night that lines of a log tell of; ``clips``: the names of those that count, all where empty."""
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
        """Return when the first chunk began."""
        return min((chunk.began for chunk in self.chunks), default=0.0)

    @cached_property
    def ended(self) -> float:
        """Return when the last chunk ended."""
        return max((chunk.ended for chunk in self.chunks), default=0.0)

    @property
    def duration_s(self) -> float:
        """Return how long it took from the first chunk to the last."""
        return self.ended - self.began

    @cached_property
    def hosts(self) -> list[HostShare]:
        """Return the share of each host, by its name."""
        by_host = defaultdict[str, list[ChunkLine]](list)
        for chunk in self.chunks:
            by_host[chunk.host].append(chunk)
        return [HostShare(host, by_host[host]) for host in sorted(by_host)]

    @property
    def num_lanes(self) -> int:
        """Return how many chunks were rendered at a time, at most on each host, added up."""
        return sum(len(host.lanes) for host in self.hosts)

    @property
    def slowest(self) -> list[ChunkLine]:
        """Return the chunks that took longest for each of their frames."""
        return sorted(self.chunks, key=lambda chunk: -chunk.duration_s / chunk.frames)[:SLOWEST]

    def with_another(self) -> tuple[float, float]:
        """Return in how many seconds these machines make these chunks, and with one more like the largest of them.

        Both are simulated, with the seconds that the chunks took: nothing waits for anything but a free worker.
        """
        tasks = [chunk.duration_s for chunk in self.chunks]
        more = max((len(host.lanes) for host in self.hosts), default=0)
        if not tasks:
            return 0.0, 0.0
        return finish_s(tasks, self.num_lanes), finish_s(tasks, self.num_lanes + more)


def _lanes(chunks: Sequence[ChunkLine]) -> list[list[ChunkLine]]:
    """Divide the chunks of a host, in the order in which they began, into as few rows as there were at a time.

    A process stays in its row.
    """
    lanes: list[list[ChunkLine]] = []
    for chunk in chunks:
        free = [lane for lane in lanes if lane[-1].ended <= chunk.began + ROUNDED_S]
        own = next((lane for lane in free if lane[-1].process == chunk.process), None)
        lane = own or (free[0] if free else [])
        if not lane:
            lanes.append(lane)
        lane.append(chunk)
    return lanes


def seconds_by_step(chunks: Iterable[ChunkLine]) -> dict[str, float]:
    """Return the seconds of each step, added up over chunks."""
    total = defaultdict[str, float](float)
    for chunk in chunks:
        for step, seconds in chunk.seconds.items():
            total[step] += seconds
    return dict(total)


def finish_s(tasks: Sequence[float], workers: int) -> float:
    """Return after how many seconds all tasks are done, given out in this order to the worker that is free first.

    That is Graham's list scheduling (1966): at most twice what the best order would take.
    """
    free = [0.0] * min(workers, len(tasks))
    for seconds in tasks:
        heapq.heappush(free, heapq.heappop(free) + seconds)
    return max(free)
