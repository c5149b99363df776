"""Cost estimates for ``--dry-run`` (seconds, disk, memory) as a table and as text; the remaining time of a task."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vidtrans.core.events import Progress
from vidtrans.core.settings import Table
from vidtrans.core.system import peak_memory

TRIAL_FRAMES = 12  # Maximum number of frames in the trial from which the time and memory for all frames are estimated


def estimate(seconds: float, disk_bytes: float, cache_bytes: float = 0, extra_memory_bytes: int = 0) -> Table:
    """Return the estimate of a dry run as a table: seconds, and the bytes of the result, the cache and the peak memory.

    ``cache_bytes``: files that can be deleted afterwards. ``extra_memory_bytes``: memory that the job needs in addition
    to its trial, which has run in this process.
    """
    return {
        "estimate": {
            "seconds": round(seconds, 1),
            "disk_bytes": round(disk_bytes),
            "cache_bytes": round(cache_bytes),
            # The peak memory of the trial is also that of the job, because the job streams its frames.
            "memory_bytes": peak_memory() + extra_memory_bytes,
        }
    }


def add_seconds(seconds: float, table: Table) -> Table:
    """Return an estimate (a table of ``estimate``) with ``seconds`` added, such as the time of reading the clip."""
    cost = table["estimate"]
    return {"estimate": cost | {"seconds": round(cost["seconds"] + seconds, 1)}}


def add_estimates(tables: Sequence[Table]) -> Table:
    """Return the sum of the estimates of consecutive steps; the memory is that of the largest step."""
    parts = [t["estimate"] for t in tables]
    memory = [p["memory_bytes"] for p in parts if p["memory_bytes"]]
    sums = {k: round(sum(p[k] for p in parts), 1) for k in ("seconds", "disk_bytes", "cache_bytes")}
    return {"estimate": sums | {"memory_bytes": max(memory, default=None)}}


def without_output_bytes(table: Table) -> Table:
    """Return an estimate with 0 bytes on disk for the result: its step writes only to the cache."""
    return {"estimate": table["estimate"] | {"disk_bytes": 0}}


def format_cost(table: Table) -> str:
    """Format an estimate as ``about 12 min, 30 MB on disk, 1.2 GB of memory``."""
    cost = table["estimate"]
    parts = [f"about {duration(cost['seconds'])}", f"{size(cost['disk_bytes'])} on disk"]
    if cost["cache_bytes"]:
        parts.append(f"{size(cost['cache_bytes'])} of cache")
    if cost["memory_bytes"]:
        parts.append(f"{size(cost['memory_bytes'])} of memory")
    return ", ".join(parts)


def count(number: float, noun: str) -> str:
    """Return a number with its noun, singular or plural: ``1 frame``, ``2 frames``, ``0.5 minutes``."""
    plain = number if isinstance(number, int) else f"{number:g}"
    return f"{plain} {noun}" if number == 1 else f"{plain} {noun}s"


def duration(seconds: float) -> str:
    """Format seconds as ``45 s``, ``12 min`` or ``3 h 5 min``."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def size(num_bytes: float) -> str:
    """Format bytes as ``640 kB`` or ``1.2 GB``."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= scale:
            value = num_bytes / scale
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{max(1, round(num_bytes / 1e3))} kB"


class TimeLeft:
    """A smoothed estimate of a task's remaining time, from its progress events.

    ``began``: the time of the first event, in seconds of ``time.monotonic``; ``first``: the units done by then.
    """

    MIN_S = 2.0  # Time from the first event to the first estimate, in seconds, because the first units are slow
    SMOOTHING = 0.3  # Time constant of the smoothing, as a share of the elapsed or remaining time, the shorter one
    MIN_RISE = 1.25  # Factor above which an estimate may exceed the displayed one, so that the display does not jitter

    def __init__(self, began: float, first: int) -> None:
        self.began, self.first = began, first
        self._rate_since = self._next = (began, first)
        self._updated, self._end = began, math.nan
        self._displayed_s = math.inf

    def update(self, event: Progress, now: float) -> float | None:
        """Return the remaining seconds of the task, rounded by ``round_time``; None if they are unknown, or it is done.

        ``now``: seconds of ``time.monotonic``.
        """
        elapsed = now - self.began
        if not event.total or event.done >= event.total or event.done <= self.first or elapsed < self.MIN_S:
            return None
        # Measure the rate over the last half to three quarters of the elapsed time, because the first units are slow.
        if now - self._next[0] >= elapsed / 2:
            if event.done > self._next[1]:
                self._rate_since = self._next
            self._next = (now, event.done)
        since, done = self._rate_since
        if event.done <= done:  # The stage was started again.
            return None
        left_s = (event.total - event.done) * (now - since) / (event.done - done)
        if event.at_most_s is not None:
            left_s = min(left_s, event.at_most_s)
        self._follow(now + left_s, now)
        smoothed_s = max(0.0, self._end - now)
        if (rounded := round_time(smoothed_s)) < self._displayed_s or smoothed_s > self.MIN_RISE * self._displayed_s:
            self._displayed_s = rounded
        return self._displayed_s

    def _follow(self, end: float, now: float) -> None:
        """Move the smoothed end time towards ``end``, the newest estimate, by exponential smoothing.

        ``end``, ``now``: seconds of ``time.monotonic``.
        """
        if math.isnan(self._end):
            self._end = end
        else:
            pace = self.SMOOTHING * max(1.0, min(now - self.began, end - now))
            self._end += (end - self._end) * (1 - math.exp((self._updated - now) / pace))
        self._updated = now


def round_time(seconds: float) -> float:
    """Round seconds up to the precision of an estimate: tens of seconds, then minutes, then tens of minutes."""
    step = 10 if seconds <= 90 else 60 if seconds <= 3600 else 600
    return max(1, math.ceil(seconds / step)) * step
