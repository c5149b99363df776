"""Make the missing chunks of a render: encode the frames of its chain, with the looks of regions over them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vidtrans.core.events import Progress
from vidtrans.core.files import folder_bytes
from vidtrans.core.machine import release_freed_memory, release_interval, return_large_blocks
from vidtrans.core.settings import Table
from vidtrans.rendering.chain import RenderChain, timed
from vidtrans.rendering.chunk_log import ENCODE, ChunkLog
from vidtrans.rendering.enlarger import Enlarger
from vidtrans.rendering.regions import RegionComposer, RegionLayer
from vidtrans.store.chunking import Chunk, num_frames, read_ranges
from vidtrans.store.chunks import ChunkFinder, ChunkStore, ChunkWriter, StateStore
from vidtrans.temporal.stream import Sample

GB = 1e9


class DiskForecast:
    """Measures how ``folders`` grow while ``frames`` frames are rendered; the result gets as large as the last one."""

    def __init__(self, folders: Sequence[Path], frames: int) -> None:
        self.folders, self.frames = folders, frames
        self._before = self._sizes()

    def _sizes(self) -> list[int]:
        return [folder_bytes(folder) for folder in self.folders]

    def shortfall(self, made: int) -> str | None:
        """Return a text with the GB needed for the rest, and free, after ``made`` frames; None if the disk has room."""
        with suppress(OSError):
            grown = [now - before for now, before in zip(self._sizes(), self._before, strict=True)]
            needed = sum(grown) / made * (self.frames - made) + grown[-1] / made * self.frames
            free = shutil.disk_usage(self.folders[-1]).free
            if needed > free:
                return f"about {needed / GB:.1f} GB are needed for the rest, {max(0, free) / GB:.1f} GB are free"
        return None


FORECAST_FRAMES = 200  # before an estimate of the disk use: three chunks by default, at least two of them written
States = Sequence[StateStore | None]  # of a chain and of the chains of looks


@dataclass(frozen=True)
class Look:
    """The look of regions: its chain, and the maker of its enlarger for some of its own chunks, given by number."""

    chain: RenderChain
    enlarger: Callable[[Sequence[int]], Enlarger]

    def numbers(self, frames: range) -> list[int]:
        """Return the numbers of the look's own chunks that have some of these frames."""
        return [c.number for c in self.chain.plan.chunks if c.first < frames.stop and frames.start < c.stop]


class ChunkRenderer:
    """A renderer of the missing chunks of a ``chain``'s plan.

    ``looks`` are shown, by their numbers, where the ``layers`` are: they advance frame by frame with the picture of the
    chain, and each reads, renders, filters and stores its raw outputs as in a render of its own.
    """

    def __init__(self, chain: RenderChain, looks: Sequence[Look] = (), layers: Sequence[RegionLayer] = ()) -> None:
        self.chain, self.plan, self.looks, self.layers = chain, chain.plan, looks, layers
        # The most careful of all sets the pace.
        chains = [chain, *(look.chain for look in looks)]
        if any(one.capacity == 0 for one in chains):
            for one in chains:
                one.capacity = one.result_capacity = 0
        self.result_capacity = min(one.result_capacity for one in chains)
        self._kind = next((one.kind for one in chains if one.kind != "cpu"), "cpu")

    def counts(self, rendered: Sequence[int]) -> Table:
        """Return the frame counts for the result table, after the chunks ``rendered`` were made."""
        chains, totals = [self.chain, *(look.chain for look in self.looks)], Table()
        painting = [one for one in chains if not one.plan.model.is_identity] if self.looks else chains
        totals["frames_inferred"] = sum(one.count.inferred for one in painting)
        totals["frames_encoded"] = num_frames(self.plan.chunks[n] for n in rendered)
        extractions = [one.extraction for one in chains if one.extraction is not None]
        totals |= {"frames_extracted": sum(one.count.inferred for one in extractions)} if extractions else {}
        spared = sum(one.count.skipped for one in chains)
        return totals | ({"frames_spared": spared} if spared else {})

    @property
    def _raw_folders(self) -> list[Path]:
        """The folders of stored raw outputs."""
        stores = [one.raw.store for one in (self.chain, *(look.chain for look in self.looks))]
        return [store.entry.folder for store in stores if store]

    def extract(self, missing: Sequence[int]) -> None:
        """Make the extractors' pictures that chunks without stored raw outputs need."""
        _extract(self.chain, missing)
        parts = [range(c.first, c.stop) for c in self.plan.chunks if c.number in set(missing)]
        for look in self.looks:
            _extract(look.chain, sorted({number for part in parts for number in look.numbers(part)}))

    def render(self, store: ChunkStore, states: StateStore, missing: Sequence[int], enlarge: Enlarger) -> None:
        """Render the missing chunks, given by number; each run of consecutive chunks takes one pass over its frames."""
        chain, plan, context, total = self.chain, self.plan, self.chain.context, len(self.plan.frames)
        done = begun_at = total - num_frames(plan.chunks[n] for n in missing)
        forecast = DiskForecast([*self._raw_folders, store.entry.folder], total - done)
        task, radius = f"rendering {plan.clip.name}", chain.filter.radius
        all_states = [states, *(states.of(f"look{number}") for number in range(len(self.looks)))]
        for run, _, hi in read_ranges(plan.chunks, missing, radius):
            with closing(self._render_run(store, all_states, run, hi, enlarge)) as frames:
                for _ in frames:
                    done += 1
                    context.report(Progress(task, done, total, counted=True))
                    if done - begun_at == FORECAST_FRAMES and (shortfall := forecast.shortfall(FORECAST_FRAMES)):
                        text = f"the disk will be full before {plan.clip.name} is done: {shortfall}"
                        context.note(f"{text} — free some space, or stop and give another --cache-dir", "warning")
                    context.stop.check()

    def _render_run(
        self, store: ChunkStore, states: States, run: Sequence[Chunk], hi: int, enlarge: Enlarger
    ) -> Generator[None, None, None]:
        """Render a run of chunks, which ends before frame ``hi`` is needed; yield after each frame that is encoded."""
        plan, chain, wanted = self.plan, self.chain, range(run[0].first, run[-1].stop)
        log = ChunkLog(plan, chain.context, self._kind, chain.clock, store)
        chunk_of, interval = ChunkFinder(plan.chunks), release_interval(*plan.size)
        stamps = {number: plan.delivery.stamps(number) for number in wanted}
        return_large_blocks(self._kind, *plan.size)
        with ExitStack() as stack:
            writer = stack.enter_context(closing(ChunkWriter(store, run, plan.segment, log.add)))
            frames = timed(chain.clock, ENCODE, self.frames(stack, wanted, hi, enlarge, states))
            stack.enter_context(closing(frames))
            for sample, ends in frames:
                with chain.clock.step(ENCODE):
                    writer.write(sample.index, sample.output, *stamps[sample.index])
                    for saved, state in zip(states, ends, strict=True):
                        if saved is not None and state is not None:
                            saved.save(chunk_of(sample.index).number, state)
                    if self._kind == "cpu" and sample.index % interval == 0:
                        release_freed_memory()
                yield

    def frames(
        self, stack: ExitStack, wanted: range, hi: int, enlarge: Enlarger, states: States = ()
    ) -> Generator[tuple[Sample, list[Mapping[str, np.ndarray] | None]], None, None]:
        """Return the ``wanted`` frames, finished, with the states of the chain and of each look after it.

        ``states``: where those of earlier chunks are. The ``stack`` is to be closed after the last frame.
        """
        states = states or [None] * (1 + len(self.looks))
        chunk_of = ChunkFinder(self.plan.chunks)
        enlargers = [look.enlarger(look.numbers(wanted)) for look in self.looks]  # before threads use the engines
        first, last = chunk_of(wanted.start), chunk_of(wanted.stop - 1)
        rest = self.chain.frames(stack, wanted, self.chain.resume(first, states[0]), hi, enlarge)
        shown = []
        for look, enlarger, saved in zip(self.looks, enlargers, states[1:], strict=True):
            lo, end = look.chain.resume(first, saved), min(last.shot_stop, wanted.stop + look.chain.filter.radius)
            shown.append(look.chain.frames(stack, wanted, lo, end, enlarger))
        if not shown:
            return ((sample, [sample.state]) for sample in rest)
        put = stack.enter_context(RegionComposer.opened(self.layers, self.plan))

        def with_looks(under: Sample, *over: Sample) -> Sample:
            return replace(under, output=put(under.output, [one.output for one in over], put.read(under.index)))

        each = zip(rest, *shown, strict=True)
        return ((with_looks(*samples), [one.state for one in samples]) for samples in each)


def _extract(chain: RenderChain, missing: Sequence[int]) -> None:
    """Make the extractor's pictures, if there is one, that chunks without stored raw outputs need."""
    if chain.extraction is None:
        return
    plan, needed = chain.plan, set[int]()
    for run, lo, hi in read_ranges(plan.chunks, missing, chain.filter.radius):
        first, stop = chain.reach(run, lo, hi)
        reached = [chunk for chunk in plan.chunks if chunk.first < stop and chunk.stop > first]
        needed |= {chunk.number for chunk in reached if not chain.raw.has(chunk.first)}
    chain.extraction.make([plan.chunks[number] for number in sorted(needed)])
