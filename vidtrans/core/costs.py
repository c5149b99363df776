"""Cost estimates of ``--dry-run``: seconds, disk and memory, as a table and as text."""

from __future__ import annotations

from collections.abc import Sequence

from vidtrans.core.settings import Table
from vidtrans.core.system import peak_memory

TRIAL_FRAMES = 12  # at most, from which the cost of all frames is estimated


def estimate(seconds: float, disk_bytes: float, cache_bytes: float = 0, held_bytes: int = 0) -> Table:
    """Return the table of a dry run: seconds, and bytes of the result, of the cache, and of peak memory.

    ``cache_bytes``: files that can be deleted afterwards. ``held_bytes``: memory that the job needs in addition to its
    trial, which has run in this process.
    """
    return {
        "estimate": {
            "seconds": round(seconds, 1),
            "disk_bytes": round(disk_bytes),
            "cache_bytes": round(cache_bytes),
            "memory_bytes": peak_memory() + held_bytes,  # a job that streams its frames needs no more than its trial
        }
    }


def after(seconds: float, table: Table) -> Table:
    """Add to an estimate the ``seconds`` of reading the clip before the trial, because the job reads it, too."""
    cost = table["estimate"]
    return {"estimate": cost | {"seconds": round(cost["seconds"] + seconds, 1)}}


def add_up(tables: Sequence[Table]) -> Table:
    """Add up the estimates of consecutive steps; the memory is that of the step that needs most."""
    parts = [t["estimate"] for t in tables]
    memory = [p["memory_bytes"] for p in parts if p["memory_bytes"]]
    sums = {k: round(sum(p[k] for p in parts), 1) for k in ("seconds", "disk_bytes", "cache_bytes")}
    return {"estimate": sums | {"memory_bytes": max(memory, default=None)}}


def without_result(table: Table) -> Table:
    """Return an estimate with no disk use for a result, for a step that writes only to the cache."""
    return {"estimate": table["estimate"] | {"disk_bytes": 0}}


def format_cost(table: Table) -> str:
    """Return the text of an estimate: ``about 12 min, 30 MB on disk, 1.2 GB of memory``."""
    cost = table["estimate"]
    parts = [f"about {duration(cost['seconds'])}", f"{size(cost['disk_bytes'])} on disk"]
    if cost["cache_bytes"]:
        parts.append(f"{size(cost['cache_bytes'])} of cache")
    if cost["memory_bytes"]:
        parts.append(f"{size(cost['memory_bytes'])} of memory")
    return ", ".join(parts)


def count(number: float, what: str) -> str:
    """Return a number with its noun, singular or plural: ``1 frame``, ``2 frames``, ``0.5 minutes``."""
    plain = number if isinstance(number, int) else f"{number:g}"
    return f"{plain} {what}" if number == 1 else f"{plain} {what}s"


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
