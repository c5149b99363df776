"""A render in parts: runs of its chunks, each made by a process of its own, in the cache entries that they share.

Meanwhile the scheduler holds the locks of the entries, and keeps them and the filtered source from deletion until the
render has joined the parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.render_job import RenderJob
from vidtrans.rendering.runner import ChunkRenderer
from vidtrans.settings import Table
from vidtrans.store.chunking import Chunk
from vidtrans.store.chunks import StateStore
from vidtrans.temporal.stream import RecursiveFilter

MIN_PART_FRAMES = 240  # each part loads the model, and filters frames beyond its ends once more


@dataclass(frozen=True)
class Division:
    """The chunks [first, stop) of each part, and the cache entries, (stage, key), that they share. Picklable.

    They write in ``entries``, their chunks in the first, and only read ``sources``. ``make_part(context, part=…)``
    makes one of them. ``files``, absolute, are what it reads, where it is made on a machine that does not see them.
    """

    parts: Sequence[tuple[int, int]]
    make_part: Callable[..., Table]
    entries: Sequence[tuple[str, str]]
    sources: Sequence[tuple[str, str]] = ()
    files: Sequence[Path] = ()


def divide_render(
    job: RenderJob, make_part: Callable[..., Table], count: int, *, apart: bool = False
) -> Division | None:
    """Divide the missing chunks of a render into up to ``count`` parts; None where there is nothing to gain.

    ``apart``: they are made by machines that see nothing of what is made already. Then a part is one run of missing
    chunks, and a single one is worth it. The loss of a draft is measured over the whole.
    """
    plan = job.plan
    if plan.draft:
        return None
    entries = job.entries(job.engine())
    missing = entries.missing()
    parts = cut([plan.chunks[n] for n in missing], count, whole_shots=keeps_shots_whole(plan))
    if apart:
        parts = [run for part in parts for run in _runs([n for n in missing if part[0] <= n < part[1]])]
    shared = [(entries.segments.stage, entries.segments.key)]
    if not apart:  # else all but the chunks stays where it is made
        shared += [(entries.raw.stage, entries.raw.key)] if entries.raw_store else []
        shared += [(job.extraction.entry.stage, job.extraction.entry.key)] if job.extraction else []
    sources = [(pin.entry.stage, pin.entry.key)] if (pin := plan.clip.pin) else []
    return Division(parts, make_part, shared, sources) if len(parts) > (0 if apart else 1) else None


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return the runs [first, stop) of neighbours."""
    firsts = [n for n, before in zip(numbers, (None, *numbers), strict=False) if n - 1 != before]
    lasts = [n for n, after in zip(numbers, (*numbers[1:], None), strict=True) if n + 1 != after]
    return [(first, last + 1) for first, last in zip(firsts, lasts, strict=True)]


def keeps_shots_whole(plan: RenderPlan) -> bool:
    """Return whether each frame of a shot needs the one before it: a model with a memory, or a recursive filter."""
    return plan.model.is_recurrent or isinstance(plan.settings.make_filter(), RecursiveFilter)


def cut(missing: Sequence[Chunk], count: int, *, whole_shots: bool = False) -> list[tuple[int, int]]:
    """Split chunks into at most ``count`` runs [first, stop) of about equal length, of ``MIN_PART_FRAMES`` or more.

    ``whole_shots``: what is missing of a shot is in one of them, whatever their lengths.
    """
    total = sum(c.stop - c.first for c in missing)
    count = max(1, min(count, total // MIN_PART_FRAMES))
    parts: list[tuple[int, int]] = []
    first, done = 0, 0
    for number, chunk in enumerate(missing, 1):
        done += chunk.stop - chunk.first
        is_last = number == len(missing)
        may_end = is_last or not whole_shots or missing[number].shot_first != chunk.shot_first
        if is_last or (may_end and done * count >= total * (len(parts) + 1)):
            parts.append((missing[first].number, chunk.number + 1))
            first = number
    return parts


def render_part(job: RenderJob, first: int, stop: int) -> Table:
    """Render what is missing of the chunks [first, stop); return the counts of frames."""
    engine = job.engine()
    entries = job.entries(engine)
    missing = [n for n in entries.missing() if first <= n < stop]
    chunks = ChunkRenderer(job.plan, engine, entries.raw_outputs(), job.context, job.extraction)
    chunks.extract(missing)
    # The states of other parts are no older ones of this.
    states = StateStore(entries.segments, is_permanent=lambda number: not first <= number < stop)
    chunks.render(entries.store, states, missing)
    return chunks.counts(missing)
