"""Split a render into parts, each rendered by one process, on any host with the same cache; find missing chunks.

Parts need no lock: each chunk is written under a temporary name first, and is the same whichever process renders it. A
part pins its cache entries against deletion. For a batch the scheduler pins them, and delays other renders of the same
clip meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.files import look_anew
from vidtrans.core.settings import Table
from vidtrans.rendering.cache_entries import RenderEntries
from vidtrans.rendering.chunk_manifest import check_processor
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.render_job import RenderJob
from vidtrans.store.cache_entry import CacheEntry, CachePin
from vidtrans.store.chunking import Chunk, ClipPart, num_frames, split
from vidtrans.store.chunks import StateStore
from vidtrans.temporal.stream import RecursiveFilter

MIN_PART_FRAMES = 240  # each part loads the model, and repeats the filter's context frames at its ends


@dataclass(frozen=True)
class Division:
    """The chunks [first, stop) of each part, and the cache entries, (stage, key), that all parts share. Picklable.

    Parts write to ``entries``, their chunks to the first, and only read ``sources``. ``make_part(context, part=…)``
    renders one part. ``files``: absolute paths of the inputs, for machines without a shared disk.
    """

    parts: Sequence[tuple[int, int]]
    make_part: Callable[..., Table]
    entries: Sequence[tuple[str, str]]
    sources: Sequence[tuple[str, str]] = ()
    files: Sequence[Path] = ()


@dataclass(frozen=True)
class DividedRender:
    """A render in parts. Raises UsageError for a draft, which cannot be split."""

    job: RenderJob

    def __post_init__(self) -> None:
        if (draft := self.job.draft) is not None:
            why = "the quality of a draft is measured over the whole clip"
            raise UsageError(f"--draft {draft.every}", why, "leave out --draft")

    @property
    def _keeps_shots_whole(self) -> bool:
        """Return whether each frame depends on the one before: a recurrent model, a recursive filter, or strokes."""
        plans: list[RenderPlan] = [self.job.plan, *self.job.regions.looks]
        return any(
            p.model.is_recurrent or p.strokes or isinstance(p.settings.make_filter(), RecursiveFilter) for p in plans
        )

    def chunks_of(self, part: ClipPart) -> list[Chunk]:
        """Return the chunks of a part, whether rendered or missing."""
        return part.of(self.job.plan.chunks, whole_shots=self._keeps_shots_whole)

    def divide(self, make_part: Callable[..., Table], count: int, *, no_shared_disk: bool = False) -> Division | None:
        """Split the missing chunks into up to ``count`` parts; None if splitting gains nothing.

        ``no_shared_disk``: workers cannot see the finished chunks. Each part is then a sequence of consecutive missing
        chunks, and a division into one part is returned as well.
        """
        entries, job = self._entries, self.job
        missing = entries.missing()
        chunks = [job.plan.chunks[number] for number in missing]
        parts = cut(chunks, count, whole_shots=self._keeps_shots_whole)
        if no_shared_disk:
            parts = [run for part in parts for run in _runs([n for n in missing if part[0] <= n < part[1]])]
        # Without a shared disk only the chunks come back from the worker.
        written = [entries.segments] if no_shared_disk else self._shared
        holds = (job.plan.clip.pin, *(plan.model.hold for plan in (job.plan, *job.regions.looks)))
        pins = [pin for pin in holds if isinstance(pin, CachePin)]
        sources = [(pin.entry.stage, pin.entry.key) for pin in pins]
        if len(parts) <= (0 if no_shared_disk else 1):
            return None
        return Division(parts, make_part, [(entry.stage, entry.key) for entry in written], sources)

    def render(self, chunks: Sequence[Chunk], *, is_held: bool = False) -> Table:
        """Render those of ``chunks`` that are missing; return the table of frame counts.

        ``is_held``: another process has locked the cache entries, which keeps them from deletion.
        """
        job, entries = self.job, self._entries
        with nullcontext() if is_held else self._pinned():
            wanted = {chunk.number for chunk in chunks}
            if not is_held:  # otherwise one command chooses the device of all parts
                from vidtrans.inference.device import resolve_device  # torch

                check_processor(entries.segments, resolve_device(job.context.device), str(job.plan.clip.name))
            missing = [c.number for c in entries.written if c.number in wanted and not entries.store.is_done(c.number)]
            engine = job.engine()
            renderer = job.chunks(engine)
            renderer.extract(missing)
            # Filter states of other parts must not be removed as outdated.
            states = StateStore(entries.segments, is_permanent=lambda number: number not in wanted)
            renderer.render(entries.store, states, missing, job.enlarger(engine, missing))
        return {"frames": num_frames(chunks)} | renderer.counts(missing)

    def missing(self, *, verify: bool) -> list[Chunk]:
        """Return the missing chunks. ``verify``: read each chunk, and count damaged ones as missing."""
        store = self._entries.store
        look_anew(store.entry.folder)  # other hosts may have rendered them
        is_there = store.is_done if verify else store.is_written
        return [chunk for chunk in self._entries.written if not is_there(chunk.number)]

    def forecast(self, part: ClipPart) -> Table:
        """Return a part's dry-run table: its cost, in proportion to its frames."""
        plan, own = self.job.plan, num_frames(self.chunks_of(part))
        cost = self.job.estimate()["estimate"]
        share = own / plan.num_frames
        scaled = {key: round(share * cost[key], 1) for key in ("seconds", "cache_bytes")}
        return {"frames": own, "dry_run": True, "estimate": cost | scaled | {"disk_bytes": 0}}

    @cached_property
    def _entries(self) -> RenderEntries:
        return self.job.entries(self.job.engine())

    @property
    def _shared(self) -> list[CacheEntry]:
        """Return the cache entries that parts write to, the chunks' entry first."""
        raw = self.job.raw_entries(self.job.engine())
        extractions = [job.extraction for job in (self.job, *self.job.looks) if job.extraction is not None]
        return [self._entries.segments, *raw, *(extraction.entry for extraction in extractions)]

    @contextmanager
    def _pinned(self) -> Iterator[None]:
        """Pin the cache entries against deletion; if a whole render has locked them, wait for it."""
        with ExitStack() as stack:
            for entry in self._shared:
                with entry.locked(wait_for=f"another run that renders {self.job.plan.clip.name}"):
                    stack.callback(partial(entry.pin().release))
            yield


def cut(missing: Sequence[Chunk], count: int, *, whole_shots: bool = False) -> list[tuple[int, int]]:
    """Split chunks into at most ``count`` runs [first, stop) of similar length, each of ``MIN_PART_FRAMES`` or more.

    ``whole_shots``: all missing chunks of a shot are in one run, whatever its length.
    """
    most = max(1, min(count, num_frames(missing) // MIN_PART_FRAMES))
    parts = [part for part in split(missing, most, whole_shots=whole_shots) if part]
    return [(part[0].number, part[-1].number + 1) for part in parts]


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return the runs [first, stop) of consecutive numbers."""
    firsts = [n for n, before in zip(numbers, (None, *numbers), strict=False) if n - 1 != before]
    lasts = [n for n, after in zip(numbers, (*numbers[1:], None), strict=True) if n + 1 != after]
    return [(first, last + 1) for first, last in zip(firsts, lasts, strict=True)]


def spans(chunks: Sequence[Chunk]) -> str:
    """Return the frame ranges of chunks as text: ``frames 60–179 and 240–299``."""
    runs: list[list[int]] = []
    for chunk in chunks:
        if runs and runs[-1][1] == chunk.first:
            runs[-1][1] = chunk.stop
        else:
            runs.append([chunk.first, chunk.stop])
    words = [f"{first}–{stop - 1}" for first, stop in runs]
    more = f" and {len(words) - 6} more" if len(words) > 7 else ""
    return f"frames {', '.join(words[:6] if more else words)}{more}"
