"""Parts of a render, each by a process of its own, on any host, in one cache; and what is missing when they are joined.

Nobody holds a lock meanwhile: each chunk is written under another name first, and is the same whoever makes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial

from vidtrans.errors import UsageError
from vidtrans.files import look_anew
from vidtrans.inference.device import resolve_device
from vidtrans.rendering.agreement import check_processor
from vidtrans.rendering.cache_entries import RenderEntries
from vidtrans.rendering.cost import estimate_render
from vidtrans.rendering.division import keeps_shots_whole
from vidtrans.rendering.render_job import RenderJob
from vidtrans.rendering.runner import ChunkRenderer, num_frames
from vidtrans.settings import Table
from vidtrans.store.chunking import Chunk, Part
from vidtrans.store.chunks import StateStore


@dataclass(frozen=True)
class DividedRender:
    """A render in parts. Raises UsageError for one that has none."""

    job: RenderJob

    def __post_init__(self) -> None:
        if self.job.plan.draft:
            why = "how much a draft loses is measured over the whole clip"
            raise UsageError(f"--draft {self.job.plan.rendering.draft_step}", why, "leave it out")

    def chunks_of(self, part: Part) -> list[Chunk]:
        """Return the chunks of a part."""
        return part.of(self.job.plan.chunks, whole_shots=keeps_shots_whole(self.job.plan))

    def render(self, part: Part) -> Table:
        """Render what is missing of a part; return its counts of frames."""
        job, entries = self.job, self._entries
        own = self.chunks_of(part)
        with self._pinned():
            wanted = {chunk.number for chunk in own}
            device = resolve_device(job.context.device)
            check_processor(entries.segments, device, str(job.plan.clip.name))
            missing = [number for number in self._written(own) if not entries.store.is_done(number)]
            chunks = ChunkRenderer(job.plan, job.engine(), entries.raw_outputs(), job.context, job.extraction)
            chunks.extract(missing)
            # The states of other parts are not older ones of this.
            states = StateStore(entries.segments, is_permanent=lambda number: number not in wanted)
            chunks.render(entries.store, states, missing)
        return {"frames": num_frames(own)} | chunks.counts(missing)

    def missing(self, *, verify: bool) -> list[Chunk]:
        """Return the chunks that are not rendered. ``verify``: nor undamaged, for which all of them are read."""
        store = self._entries.store
        look_anew(store.entry.folder)  # other hosts may have rendered them
        is_there = store.is_done if verify else store.is_written
        return [chunk for chunk in self._entries.written if not is_there(chunk.number)]

    def forecast(self, part: Part) -> Table:
        """Return the table of a dry run: what a part costs, by its share of the frames."""
        plan, own = self.job.plan, num_frames(self.chunks_of(part))
        cost = estimate_render(plan, self.job.engine())["estimate"]
        share = own / plan.num_frames
        scaled = {key: round(share * cost[key], 1) for key in ("seconds", "cache_bytes")}
        return {"frames": own, "dry_run": True, "estimate": cost | scaled | {"disk_bytes": 0}}

    @cached_property
    def _entries(self) -> RenderEntries:
        return self.job.entries(self.job.engine())

    def _written(self, chunks: Sequence[Chunk]) -> list[int]:
        """Return the numbers of those of which anything is written."""
        written = {chunk.number for chunk in self._entries.written}
        return [chunk.number for chunk in chunks if chunk.number in written]

    @contextmanager
    def _pinned(self) -> Iterator[None]:
        """Keep the cache entries from deletion; where a whole render holds them, wait for that."""
        entries, extraction = self._entries, self.job.extraction
        raw = [entries.raw] if entries.raw_store else []
        with ExitStack() as stack:
            for entry in (entries.segments, *raw, *([extraction.entry] if extraction else [])):
                with entry.locked(wait_for=f"another run that renders {self.job.plan.clip.name}"):
                    stack.callback(partial(entry.pin().release))
            yield


def spans(chunks: Sequence[Chunk]) -> str:
    """Return the frames of chunks in words: ``frames 60–179 and 240–299``."""
    runs: list[list[int]] = []
    for chunk in chunks:
        if runs and runs[-1][1] == chunk.first:
            runs[-1][1] = chunk.stop
        else:
            runs.append([chunk.first, chunk.stop])
    words = [f"{first}–{stop - 1}" for first, stop in runs]
    more = f" and {len(words) - 6} more" if len(words) > 7 else ""
    return f"frames {', '.join(words[:6] if more else words)}{more}"
