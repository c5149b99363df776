"""A render in parts: runs of its chunks, each made by a process of its own, in the cache entries that they share.

Who gives the parts out holds the locks of the entries meanwhile, and keeps them and the filtered source from deletion
until the render has joined the parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vidtrans.rendering.job import RenderJob
from vidtrans.rendering.runner import ChunkRenderer
from vidtrans.settings import Table
from vidtrans.store.chunking import Chunk
from vidtrans.store.chunks import StateStore
from vidtrans.temporal.stream import RecursiveFilter

LEAST = 240  # frames of a part: what it begins with, and what it sees beyond its ends, is work done twice


@dataclass(frozen=True)
class Division:
    """The chunks [first, stop) of each part, and the cache entries, (stage, key), that they share.

    They write in ``entries``, and only read ``sources``.
    """

    parts: Sequence[tuple[int, int]]
    entries: Sequence[tuple[str, str]]
    sources: Sequence[tuple[str, str]] = ()


def divide_render(job: RenderJob, count: int) -> Division | None:
    """Divide the missing chunks of a render into up to ``count`` parts; None where there is nothing to gain.

    A filter, or a model, that goes on from the frame before has no parts; a draft tells its loss for the whole.
    """
    plan = job.plan
    if plan.draft or plan.model.is_recurrent or isinstance(plan.settings.make_filter(), RecursiveFilter):
        return None
    places = job.places(job.engine())
    parts = cut([plan.chunks[n] for n in places.missing()], count)
    entries = [(e.stage, e.key) for e in (places.segments, *([places.raw] if places.raw_store else []))]
    sources = [(hold.entry.stage, hold.entry.key)] if (hold := plan.clip.pin) else []
    return Division(parts, entries, sources) if len(parts) > 1 else None


def cut(missing: Sequence[Chunk], count: int) -> list[tuple[int, int]]:
    """Split chunks into at most ``count`` runs [first, stop) of about equal length, at least ``LEAST`` frames each."""
    total = sum(c.stop - c.first for c in missing)
    count = max(1, min(count, total // LEAST))
    parts: list[tuple[int, int]] = []
    first, done = 0, 0
    for number, chunk in enumerate(missing, 1):
        done += chunk.stop - chunk.first
        if number == len(missing) or done * count >= total * (len(parts) + 1):
            parts.append((missing[first].number, chunk.number + 1))
            first = number
    return parts


def render_part(job: RenderJob, first: int, stop: int) -> Table:
    """Make what is missing of the chunks [first, stop); the counts of what was made."""
    engine = job.engine()
    places = job.places(engine)
    missing = [n for n in places.missing() if first <= n < stop]
    chunks = ChunkRenderer(job.plan, engine, places.raw_outputs(), job.context)
    chunks.render(places.store, StateStore(places.segments), missing)
    return chunks.counts(missing)
