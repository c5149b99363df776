"""Split a render into parts, each rendered by one process, on any host with the same cache; find missing chunks.

Parts need no lock: each chunk is written under a temporary name first, and all processes render the same bytes. A part
pins its cache entries against deletion. In a batch the scheduler pins these entries, and delays other renders of the
same clip until the parts are complete.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from vidtrans.core.errors import UsageError
from vidtrans.core.files import read_small_json, refresh_folder_listing
from vidtrans.core.settings import Table
from vidtrans.rendering.cache_entries import RenderEntries
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.render_job import RenderJob
from vidtrans.session import Context
from vidtrans.store.cache import CacheEntry, CachePin, lock_warning
from vidtrans.store.chunking import Chunk, ClipPart, num_frames, split
from vidtrans.store.chunks import StateStore
from vidtrans.store.stages import PartsStage, libraries, media_libraries
from vidtrans.temporal.stream import RecursiveFilter

if TYPE_CHECKING:
    from vidtrans.inference.device import Device


# Least number of frames of a part, because each part loads the model and repeats the filter's context frames
MIN_PART_FRAMES = 240
# Name of the file, in the cache entry of encoded chunks, that records the processor that renders them, and its host
PROCESSOR_FILE = "processor.json"
# Advice for the user, by the property that differs between two workers; {there} is the recorded value of the property
REMEDIES = {
    "threads": "set OMP_NUM_THREADS={there} on all workers",
    "source": "give all workers the same file",
    "model": "give all workers the same file",
    "options": "give all workers the same options",
    "device": "render one clip on one kind of device",
}


@dataclass(frozen=True)
class ChunkManifest:
    """The properties that all parts of a result must share; the first worker records them, and others compare them.

    ``request``: the digest of the settings that affect the result. ``output``: the path of the result.
    """

    job: RenderJob
    request: str
    output: str

    def terms(self) -> dict[str, str]:
        """Return the properties that affect a part's content, by name: versions, engine, source, model and options."""
        plan = self.job.plan
        return {
            **libraries("vidtrans"),
            **media_libraries(),
            **{key: str(value) for key, value in self.job.engine().identity_at(*plan.size).items()},
            "source": plan.clip.digest,
            "model": str(plan.model.for_key()),
            "options": self.request,
        }

    def join(self) -> None:
        """Record this worker's properties if none are recorded, else compare them; warn if locks work on one host only.

        Raises:
            UsageError: the properties differ, and --overwrite, which replaces the recorded properties, is not set.
        """
        context, entry = self.job.context, _entry(self.job.context, self.output)
        if warning := lock_warning(context.cache.root):
            context.warn_once(warning)
        with entry.locked(wait_for=f"another run that begins to render {self.output}"):
            if entry.read() is None or context.overwrite:
                entry.finish({"terms": self.terms(), "host": socket.gethostname()})
        self.check()

    def check(self) -> None:
        """Raise UsageError if the recorded properties differ from this worker's, unless --overwrite is set."""
        own, known = self.terms(), _entry(self.job.context, self.output).read()
        if known is None or self.job.context.overwrite:
            return
        key = next((key for key in (*own, *known["terms"]) if own.get(key) != known["terms"].get(key)), None)
        if key is None:
            return
        here, there = own.get(key, "none"), known["terms"].get(key, "none")
        if key in ("source", "model", "options"):
            why = f"{known['host']} began to render it with {'other options' if key == 'options' else f'another {key}'}"
        else:
            why = (
                f"{known['host']} began to render it with {key} {there}, and here it is {here}: the parts would differ"
            )
        remedy = f"give all workers the same {key}"
        if key in (*media_libraries(), "vidtrans", "torch"):
            remedy = f"install {key} {there}"
        elif key in REMEDIES:
            remedy = REMEDIES[key].format(there=there)
        raise UsageError(self.output, why, f"{remedy}, or start over with --overwrite")


def delete_terms(context: Context, output: str) -> None:
    """Delete the recorded properties of a result, so that a new render may have other versions or options."""
    entry = _entry(context, output)
    if entry.folder.exists():
        entry.delete()


def _entry(context: Context, output: str) -> CacheEntry:
    """Return the cache entry that records the properties of a result's parts."""
    # The path is relative to the folder that contains the cache, because hosts may mount it in different places.
    stage = PartsStage(os.path.relpath(os.path.realpath(output), context.cache.root.resolve().parent))
    return context.cache.entry(stage.name, stage.key)


def check_processor(segments: CacheEntry, device: Device, output: str) -> None:
    """Record the kind of processor that renders the chunks of a clip, or compare it with the recorded kind.

    No cache key includes the processor, so a finished clip stays valid; but one clip must not mix two kinds.

    Raises:
        UsageError: chunks were rendered on another kind of processor.
    """
    path, here = segments.folder / PROCESSOR_FILE, processor(device)
    try:
        with path.open("x", encoding="ascii") as file:
            json.dump({"processor": here, "host": socket.gethostname()}, file)
        return
    except FileExistsError:
        pass
    try:
        known = read_small_json(path)
        there, host = str(known["processor"]), str(known["host"])
    except (OSError, ValueError, KeyError, TypeError):  # Incomplete, because another worker is writing it or was killed
        return
    if there != here:
        why = f"{host} began to render it on {there}, and this is {here}: the parts would differ"
        remedy = "use one kind of processor for one clip, or run 'vidtrans cache clean --stage render'"
        raise UsageError(output, why, remedy)


def processor(device: Device) -> str:
    """Return the name of the processor, as far as it affects rounding: CPU instruction set, or graphics card."""
    import torch

    if device.kind == "cpu":
        return str(torch.backends.cpu.get_cpu_capability())
    return device.card or device.kind


@dataclass(frozen=True)
class Division:
    """The division of a render into parts, as numbers of chunks [first, stop) of each part; picklable.

    Cache entries are (stage, key) pairs. Parts write to ``entries``, with their chunks in the first entry, and only
    read ``sources``. ``make_part(context, part=…)`` renders one part.
    """

    parts: Sequence[tuple[int, int]]
    make_part: Callable[..., Table]
    entries: Sequence[tuple[str, str]]
    sources: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class DividedRender:
    """A render that is split into parts. Raises UsageError for a draft, which cannot be split."""

    job: RenderJob

    def __post_init__(self) -> None:
        if (draft := self.job.draft) is not None:
            why = "the quality of a draft is measured over the whole clip"
            raise UsageError(f"--draft {draft.every}", why, "leave out --draft")

    @property
    def _needs_whole_shots(self) -> bool:
        """Return whether a frame depends on the frame before: a recurrent model, a recursive filter, or strokes."""
        plans: list[RenderPlan] = [self.job.plan, *self.job.regions.looks]
        return any(
            p.model.is_recurrent or p.strokes or isinstance(p.settings.make_filter(), RecursiveFilter) for p in plans
        )

    def chunks_of(self, part: ClipPart) -> list[Chunk]:
        """Return all chunks of a part, rendered or missing."""
        return part.of(self.job.plan.chunks, whole_shots=self._needs_whole_shots)

    def divide(self, make_part: Callable[..., Table], count: int) -> Division | None:
        """Split the missing chunks into up to ``count`` parts; return None if there would be only one part.

        ``make_part(context, part=…)`` renders a part.
        """
        entries, job = self._entries, self.job
        chunks = [job.plan.chunks[number] for number in entries.missing()]
        parts = split_into_parts(chunks, count, whole_shots=self._needs_whole_shots)
        if len(parts) <= 1:
            return None
        all_pins = (job.plan.clip.pin, *(plan.model.hold for plan in (job.plan, *job.regions.looks)))
        pins = [pin for pin in all_pins if isinstance(pin, CachePin)]
        sources = [(pin.entry.stage, pin.entry.key) for pin in pins]
        return Division(parts, make_part, [(entry.stage, entry.key) for entry in self._shared], sources)

    def render(self, chunks: Sequence[Chunk], *, is_locked: bool = False) -> Table:
        """Render the missing chunks among ``chunks``; return the table of frame counts.

        ``is_locked``: another process has locked the cache entries, which protects them from deletion.
        """
        job, entries = self.job, self._entries
        with nullcontext() if is_locked else self._pinned():
            numbers = {chunk.number for chunk in chunks}
            if not is_locked:  # If the entries are locked, one command chooses the device of all parts
                from vidtrans.inference.device import resolve_device  # torch

                check_processor(entries.segments, resolve_device(job.context.device), str(job.plan.clip.name))
            missing = [
                c.number
                for c in entries.chunks_with_output
                if c.number in numbers and not entries.store.is_done(c.number)
            ]
            engine = job.engine()
            renderer = job.chunks(engine)
            renderer.extract(missing)
            # Keep the filter states that other parts have saved; by default, a new state deletes all earlier states.
            states = StateStore(entries.segments, is_permanent=lambda number: number not in numbers)
            renderer.render(entries.store, states, missing, job.enlarger(engine, missing))
        return {"frames": num_frames(chunks)} | renderer.counts(missing)

    def missing(self, *, verify: bool) -> list[Chunk]:
        """Return the chunks that are not rendered. ``verify``: read each chunk, and count damaged ones as missing."""
        store = self._entries.store
        refresh_folder_listing(store.entry.folder)  # Other hosts may have rendered more chunks
        is_there = store.is_done if verify else store.is_written
        return [chunk for chunk in self._entries.chunks_with_output if not is_there(chunk.number)]

    def forecast(self, part: ClipPart) -> Table:
        """Return a part's dry-run table; its time and disk space are proportional to its number of frames."""
        plan, own = self.job.plan, num_frames(self.chunks_of(part))
        cost = self.job.estimate()["estimate"]
        share = own / plan.num_frames
        scaled = {key: round(share * cost[key], 1) for key in ("seconds", "cache_bytes")}
        return {"frames": own, "dry_run": True, "estimate": cost | scaled | {"disk_bytes": 0}}

    @cached_property
    def _entries(self) -> RenderEntries:
        """Return the cache entries of the whole render."""
        return self.job.entries(self.job.engine())

    @property
    def _shared(self) -> list[CacheEntry]:
        """Return the cache entries to which all parts write; the first entry has the encoded chunks."""
        raw = self.job.raw_entries(self.job.engine())
        extractions = [job.extraction for job in (self.job, *self.job.looks) if job.extraction is not None]
        return [self._entries.segments, *raw, *(extraction.entry for extraction in extractions)]

    @contextmanager
    def _pinned(self) -> Iterator[None]:
        """Protect the cache entries from deletion; first wait while a render of the whole clip has locked them."""
        with ExitStack() as stack:
            for entry in self._shared:
                with entry.locked(wait_for=f"another run that renders {self.job.plan.clip.name}"):
                    stack.callback(partial(entry.pin().release))
            yield


def split_into_parts(missing: Sequence[Chunk], count: int, *, whole_shots: bool = False) -> list[tuple[int, int]]:
    """Split chunks into at most ``count`` parts of similar length and at least ``MIN_PART_FRAMES`` frames.

    Returns the chunk numbers [first, stop) of each part.

    ``whole_shots``: all missing chunks of a shot are in one part, even if it becomes long.
    """
    max_parts = max(1, min(count, num_frames(missing) // MIN_PART_FRAMES))
    parts = [part for part in split(missing, max_parts, whole_shots=whole_shots) if part]
    return [(part[0].number, part[-1].number + 1) for part in parts]


def _merge_adjacent(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Merge sorted ranges [first, stop) where one range ends at the first number of the next."""
    merged: list[tuple[int, int]] = []
    for first, stop in ranges:
        if merged and merged[-1][1] == first:
            merged[-1] = merged[-1][0], stop
        else:
            merged.append((first, stop))
    return merged


def describe_ranges(chunks: Sequence[Chunk]) -> str:
    """Return the frame ranges of chunks as text, such as "frames 60–179, 240–299"."""
    words = [f"{first}–{stop - 1}" for first, stop in _merge_adjacent((chunk.first, chunk.stop) for chunk in chunks)]
    more = f" and {len(words) - 6} more" if len(words) > 7 else ""
    return f"frames {', '.join(words[:6] if more else words)}{more}"
