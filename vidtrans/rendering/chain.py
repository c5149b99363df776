"""The stages that a frame of a render passes, in their order, from the file to the encoded chunk.

``RenderChain.frames`` is the list; what is measured, corrected, scored or estimated takes its frames from there, too.
A look of a region has a chain of its own. ``ChunkRenderer`` encodes the frames of missing chunks.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from vidtrans.core.errors import first_line
from vidtrans.core.events import Progress
from vidtrans.core.files import folder_bytes
from vidtrans.core.machine import processor, release_freed_memory, release_interval, return_large_blocks
from vidtrans.core.settings import Table
from vidtrans.core.threads import (
    WAITING,
    BackgroundQueue,
    Prefetcher,
    StepClock,
    decoder_threads,
    limit_opencv_threads,
    stage_buffer_capacity,
)
from vidtrans.grading.transfer import AffineColours
from vidtrans.inference.engine import Engine
from vidtrans.pairing.base import input_frames
from vidtrans.pipeline.render import compose, have_device_form, restore
from vidtrans.rendering.enlarger import Enlarger
from vidtrans.rendering.frame_renderer import FrameRenderer, PreparedFrame, is_nvidia, recurrence
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.regions import RegionComposer, RegionLayer
from vidtrans.rendering.skipped_frames import RenderCount
from vidtrans.session import Context
from vidtrans.store.chunking import Chunk, chunk_of, num_frames, read_ranges
from vidtrans.store.chunks import ChunkFinder, ChunkStore, ChunkWriter, RawOutputs, StateStore
from vidtrans.temporal.stream import RecursiveFilter, Sample, filter_samples
from vidtrans.video.colour.conversion import to_uint16, with_alpha
from vidtrans.video.images.picture import resize
from vidtrans.video.io.clip import Frame

READ, NETWORK, FILTER, ENCODE = "read", "network", "filter", "encode"
T = TypeVar("T")
Frames = Generator[Sample, None, None]
Picture = Callable[[], np.ndarray]  # a call that waits for a picture
FindColours = Callable[[], AffineColours | None]
FILTER_STATE, PAINTER_STATE = "filter.", "painter."  # before the names of arrays in a state
GB = 1e9
FORECAST_FRAMES = 200  # before an estimate of the disk use: three chunks by default, at least two of them written
States = Sequence[StateStore | None]  # of a chain and of the chains of looks


class StoredPictures(Protocol):
    """A reader of pictures by frame, in order."""

    def read(self, frame: int) -> np.ndarray | None:
        """Return the picture of a frame, (H, W, 3) uint8; None where it is not stored."""


class ExtractedPictures(Protocol):
    """The extractor's pictures of a plan's frames, stored in chunks; ``count`` counts the frames it rendered."""

    count: RenderCount

    def make(self, chunks: Sequence[Chunk]) -> None:
        """Make the pictures of the given chunks that are not stored yet."""

    def pictures(self) -> StoredPictures:
        """Return a reader of the stored pictures."""


class RenderChain:
    """The stages of a plan.

    Args:
        plan: the render.
        engine: runs the network.
        raw: the store of the network's outputs.
        context: for notes.
        extraction: pictures that an extractor has made for the network's input.
        clock: counts the time of each step; several chains may share one.
        find_colours: returns the map to the colours of the palette, when it is needed first.
        capacity: pictures between two stages; 0: the stages take turns. None: what the machine has room for.

    Raises as ``ResolvedRenderSettings.make_filter``.
    """

    def __init__(
        self,
        plan: RenderPlan,
        engine: Engine,
        raw: RawOutputs,
        context: Context,
        *,
        extraction: ExtractedPictures | None = None,
        clock: StepClock | None = None,
        find_colours: FindColours = lambda: None,
        capacity: int | None = None,
    ) -> None:
        self.plan, self.engine, self.raw, self.context, self.count = plan, engine, raw, context, RenderCount()
        self.extraction, self.clock, self._find_colours = extraction, clock or StepClock(), find_colours
        self.kind, size = engine.device_kind, (plan.picture.width, plan.picture.height)
        # With TF32, a setting of the process, nothing may compute beside it.
        taking_turns = "tf32" in engine.precision or capacity == 0
        self.capacity = 0 if taking_turns else capacity or stage_buffer_capacity(self.kind, *plan.size)
        self.result_capacity = min(self.capacity, stage_buffer_capacity(self.kind, *size))
        self.filter = plan.settings.make_filter()
        self._painter = plan.strokes.painter(size, plan.threads) if plan.strokes else None
        self._paint_from = plan.first
        self._path = FramePath.find(plan, engine)
        self._chunk_of = ChunkFinder(plan.chunks)

    def frames(self, stack: ExitStack, wanted: range, lo: int, hi: int, enlarge: Enlarger) -> Iterator[Sample]:
        """Return the ``wanted`` frames, finished: made from the frames [lo, hi), of which others are neighbours.

        The ``stack`` is to be closed after the last one; it ends all stages.
        """
        stack.enter_context(limit_opencv_threads(self.kind))
        renderer = stack.enter_context(closing(self._path.renderer(self.count)))
        frames = self._inferred(stack, renderer, lo, hi, ahead=self.capacity)
        frames = self._stage(stack, FILTER, self._filtered(frames, wanted))
        frames = self._stage(stack, FILTER, self._painted(frames, wanted))
        frames = self._stage(stack, FILTER, self._sent(frames, renderer))
        return self.composed(stack, frames, wanted, enlarge, blends=not renderer.blends)

    def _inferred(
        self, stack: ExitStack, renderer: FrameRenderer, lo: int, hi: int, *, ahead: int = 0
    ) -> Iterator[Sample]:
        """Return the frames [lo, hi) with the model's raw outputs: stored, or inferred, ``ahead``, and then stored."""
        first, stop = self._extent(lo, hi)
        begin = input_frames(self.plan.pairing, first, self._shot_of(first)[0])[0]
        stack.enter_context(closing(self.raw))
        read = self._prepared(renderer, begin, first, stop)
        prepared = self._stage(stack, READ, read, "frames", self.capacity)
        frames = self._stage(stack, NETWORK, renderer.stream(prepared))
        return self._stage(stack, NETWORK, self._stored(frames, renderer, lo, hi), "network", ahead)

    def composed(
        self, stack: ExitStack, frames: Iterator[Sample], wanted: range, enlarge: Enlarger, *, blends: bool = True
    ) -> Iterator[Sample]:
        """Return frames whose outputs are filtered, or are calls that wait for that, with their finished pictures.

        ``blends``: not done yet.
        """
        blends &= self.plan.is_composed
        if blends:
            frames = self._enlarged(stack, self._with_sources(stack, frames, wanted), enlarge)
        frames = self._stage(stack, ENCODE, frames, "filter", self.result_capacity)
        frames = self._arrived(frames)
        return self._corrected(stack, self._blended(stack, frames) if blends else frames)

    def outputs(self, stack: ExitStack, lo: int, hi: int) -> Iterator[Sample]:
        """Return the frames [lo, hi) as arrays, with the model's raw outputs."""
        renderer = stack.enter_context(closing(FramePath(self.plan, self.engine).renderer(self.count)))
        return self._inferred(stack, renderer, lo, hi)

    # The stages.

    def _prepared(
        self, renderer: FrameRenderer, begin: int, first: int, stop: int
    ) -> Generator[PreparedFrame, None, None]:
        """Read the frames [begin, stop) and prepare them; those before ``first`` only serve later frames' inputs."""
        plan, chunk_of = self.plan, ChunkFinder(self.plan.chunks)
        threads = plan.threads or (decoder_threads(self.kind, *plan.size) if plan.is_painted else 0)
        extracted = self.extraction.pictures() if self.extraction else None
        with (
            plan.clip.reader(plan.form(plan.size), threads) as reader,
            closing(reader.frames(begin, stop, plan.clip.index)) as frames,
        ):
            for frame in frames:
                frame = replace(frame, rgb=plan.exposure(frame)) if plan.exposure else frame
                if frame.index < first:
                    renderer.remember(frame)
                    continue
                chunk, known = chunk_of(frame.index), self.raw.read(frame.index)
                if extracted is not None and known is None:
                    picture = extracted.read(frame.index)
                    assert picture is not None  # extracted earlier
                    frame = replace(frame, guides=(resize(picture, *plan.input_size),))
                shot, restarts = (chunk.shot_first, chunk.shot_stop), frame.index == chunk.first
                yield renderer.prepare(frame, shot, known, restarts=restarts)

    def _stored(self, frames: Iterator[Sample], renderer: FrameRenderer, lo: int, hi: int) -> Frames:
        """Store the outputs that are missing; yield the frames [lo, hi), with the pictures that guide the filter."""
        guides = None if self.plan.guide is None else self.plan.guide.pictures(self.plan.size, lo, hi, self.context)
        with (
            closing(BackgroundQueue(self.capacity if self.raw.store else 0)) as queue,
            nullcontext() if guides is None else closing(guides),
        ):
            for sample in frames:
                if self.raw.needs(sample.index):
                    queue.put(partial(self._write_raw, sample.index, renderer.fetch(sample, sample.output)))
                if not lo <= sample.index < hi:
                    continue
                if guides is None:
                    yield sample
                    continue
                with self.clock.step(READ):
                    guide = next(guides)
                yield sample if guide is None else replace(sample, guide=guide)
            queue.finish()

    def _write_raw(self, frame: int, arrive: Picture) -> None:
        with self.clock.step(ENCODE):
            self.raw.write(frame, arrive())

    def _filtered(self, frames: Iterator[Sample], wanted: range) -> Frames:
        """Filter the frames; yield the wanted ones, and those that strokes before them were painted on."""
        needed = wanted if self._painter is None else range(self._paint_from, wanted.stop)
        if self.plan.settings.filter_name == "off":
            yield from frames
            return
        for sample, picture in filter_samples(frames, self.filter, needed, self.plan.held_frames):
            yield replace(sample, output=picture, derived={}, download=None)

    def _painted(self, frames: Iterator[Sample], wanted: range) -> Frames:
        """Paint each frame in strokes, if the plan has any; yield the wanted ones, with the states of chunks' ends."""
        if self._painter is None:
            for sample in frames:
                if sample.index in wanted:
                    yield replace(sample, state=self._state_after(sample.index)) if self.has_state else sample
            return
        plan, strokes, values = self.plan, self.plan.strokes, self.plan.stroke_values
        assert strokes is not None
        assert values is not None
        with ExitStack() as stack:
            fine = strokes.fine and stack.enter_context(closing(strokes.fine.mattes(plan.size, plan.threads)))
            inputs = stack.enter_context(closing(plan.inputs())) if plan.pairing.finishes else None
            for sample in frames:
                number, guide, picture = sample.index, sample.guide, sample.output
                if inputs is not None:
                    source = guide if picture.dtype == np.uint8 else to_uint16(guide)
                    picture = restore(plan.pairing, source, picture, inputs([Frame(number, sample.pts, guide)]))
                painted = self._painter.begin(
                    number,
                    guide,
                    picture if self._colours is None else self._colours.on_picture(picture),
                    values(number),
                    starts_shot=sample.starts_shot,
                    fine=fine(number) if fine else None,
                )
                if number in wanted:
                    yield replace(sample, output=painted, state=self._state_after(number))

    @property
    def _has_sources(self) -> bool:
        """Whether the guides are the sources of the results, as arrays."""
        return self.plan.guide_is_source and not self._path.on_gpu

    @cached_property
    def _colours(self) -> AffineColours | None:
        return self._find_colours()

    def _sent(self, frames: Iterator[Sample], renderer: FrameRenderer) -> Frames:
        """Begin to send each picture from the device to the host, blended if the device does that."""
        keeps_guides = self.plan.finishes or self._has_sources
        for sample in frames:
            sent, guide = renderer.finish(sample, sample.output), sample.guide if keeps_guides else None
            yield replace(sample, output=sent, guide=guide, source=None, download=None)

    def _with_sources(self, stack: ExitStack, frames: Iterator[Sample], wanted: range) -> Iterator[Sample]:
        """Give each frame its source at the size of the result, and the matte in which the look is seen."""
        plan, size = self.plan, (self.plan.picture.width, self.plan.picture.height)
        # A pairing that uses the mask fills it, even a little beyond its edge; nothing is left to cut out.
        mask = plan.mask if not plan.pairing.uses_mask else None
        mattes = stack.enter_context(closing(mask.mattes(size, plan.threads, plan.feather))) if mask else None
        sources: Iterator[Frame] | None = None
        if not self._has_sources:
            sources = self._stage(stack, ENCODE, self._sources(wanted), "sources", min(2, 2 * self.result_capacity))

        def given(sample: Sample) -> Sample:
            whole = Frame(sample.index, sample.pts, sample.guide) if sources is None else next(sources)
            return replace(sample, whole=whole, matte=mattes(sample.index) if mattes else None)

        return (given(sample) for sample in frames)

    def _sources(self, wanted: range) -> Generator[Frame, None, None]:
        """Read the wanted frames at the size of the result."""
        plan, size = self.plan, (self.plan.picture.width, self.plan.picture.height)
        with (
            plan.clip.reader(plan.form(size), plan.threads) as reader,
            closing(reader.frames(wanted.start, wanted.stop, plan.clip.index)) as frames,
        ):
            yield from frames

    def _enlarged(self, stack: ExitStack, frames: Iterator[Sample], enlarge: Enlarger) -> Iterator[Sample]:
        """Begin to bring each picture to the size of its source, several at once in threads."""
        pool = None
        if self.capacity:
            pool = ThreadPoolExecutor(enlarge.threads, "vidtrans-enlarge")
            stack.callback(pool.shutdown, cancel_futures=True)

        def enlarged(index: int, output: Any, source: np.ndarray) -> np.ndarray:  # noqa: ANN401  (may be a call)
            with self.clock.step(ENCODE):
                return enlarge(index, output() if callable(output) else output, source)

        def begun(sample: Sample) -> Sample:
            job = partial(enlarged, sample.index, sample.output, sample.whole.rgb)
            return replace(sample, output=job if pool is None else pool.submit(job).result)

        return (begun(sample) for sample in frames)

    def _arrived(self, frames: Iterator[Sample]) -> Frames:
        """Wait for each picture."""
        for sample in frames:
            if callable(sample.output):
                with self.clock.step(WAITING if self.capacity else ENCODE):
                    sample = replace(sample, output=sample.output())
            yield sample

    def _blended(self, stack: ExitStack, frames: Iterator[Sample]) -> Iterator[Sample]:
        """Finish each picture by what its source has: restored content, the picture stages, paint as a layer, alpha."""
        plan = self.plan
        inputs = stack.enter_context(closing(plan.inputs())) if plan.finishes else None
        size = (plan.picture.width, plan.picture.height)
        painter = plan.paint.painter(size) if plan.paint and plan.paint.layer else None

        def blended(sample: Sample) -> Sample:
            source, picture = sample.whole.rgb, sample.output
            if inputs is not None:
                guide = sample.guide if sample.host_guide is None else sample.host_guide
                made = inputs([Frame(sample.index, sample.pts, guide)])
                picture = restore(plan.pairing, source, picture, made)
            picture = compose(picture, source, plan.values(sample.index), sample.matte)
            if painter is not None:
                picture = painter.lift(sample.index, picture, source, sample.matte, plan.size)
            elif plan.picture.alpha:
                picture = with_alpha(picture, sample.whole.alpha)
            return replace(sample, output=picture)

        return (blended(sample) for sample in frames)

    def _corrected(self, stack: ExitStack, frames: Iterator[Sample]) -> Iterator[Sample]:
        """Lay the corrections of the plan, if it has any, over each picture."""
        plan = self.plan
        if plan.corrections is None:
            return frames
        correct = plan.corrections.corrector((plan.picture.width, plan.picture.height), stack, plan.threads)
        return (replace(sample, output=correct(sample.index, sample.output)) for sample in frames)

    # What joins them.

    def _stage(
        self, stack: ExitStack, step: str, frames: Iterator[T], thread: str = "", capacity: int = 0
    ) -> Iterator[T]:
        """Return a stage whose time counts for a ``step``, without that of the stages before it.

        ``thread``: it and the stages before it run in a thread of this name, up to ``capacity`` frames ahead.
        """
        stage = stack.enter_context(closing(timed(self.clock, step, frames)))
        if not capacity:
            return stage
        return stack.enter_context(closing(Prefetcher(stage, capacity, thread, self.clock)))

    # States at the ends of chunks, and the frames that are needed to begin at one.

    @property
    def has_state(self) -> bool:
        """Return whether a frame depends on all frames of its shot before it."""
        return self._painter is not None or isinstance(self.filter, RecursiveFilter)

    def resume(self, chunk: Chunk, states: StateStore | None) -> int:
        """Prepare to continue with a chunk; return the first frame to read, the shot's first without a saved state."""
        near = max(chunk.shot_first, chunk.first - self.filter.radius)
        if not self.has_state:
            return near
        state = states.load(chunk.number - 1) if states is not None and chunk.first > chunk.shot_first else None
        self._paint_from = chunk.shot_first if state is None else chunk.first
        if state is None:
            return chunk.shot_first
        if isinstance(self.filter, RecursiveFilter):
            self.filter.resume(_without(FILTER_STATE, state))
        if self._painter is not None:
            self._painter.resume(_without(PAINTER_STATE, state))
        return near

    def _state_after(self, frame: int) -> Mapping[str, np.ndarray] | None:
        """Return the state if a frame, the last that was filtered, ends a chunk within a shot; else None."""
        chunk = self._chunk_of(frame)
        if frame != chunk.stop - 1 or chunk.stop == chunk.shot_stop:
            return None
        state: dict[str, np.ndarray] = {}
        if isinstance(self.filter, RecursiveFilter):
            state |= {FILTER_STATE + name: values for name, values in self.filter.state().items()}
        if self._painter is not None:
            state |= {PAINTER_STATE + name: values.copy() for name, values in self._painter.state().items()}
        return state

    def reach(self, run: Sequence[Chunk], lo: int, hi: int) -> tuple[int, int]:
        """Return the frames [first, stop) whose outputs a run of chunks needs if nothing of it is stored."""
        # Without a saved state, steps that have one start at the beginning of the shot.
        return self._extent(run[0].shot_first if self.has_state else lo, hi)

    def _extent(self, lo: int, hi: int) -> tuple[int, int]:
        """Return the range [first, stop) of frames whose outputs are needed to render the frames [lo, hi)."""
        plan, draft = self.plan, self.plan.draft
        first, stop = self._recurrent_from(lo) if plan.model.is_recurrent else lo, hi
        if draft:
            first, _ = draft.reach(first, hi, *self._shot_of(first))
            _, stop = draft.reach(lo, hi, *self._shot_of(hi - 1))
        if plan.rendering.duplicate_threshold and not plan.model.is_recurrent:
            # Which outputs are reused depends on all that the chunk has rendered before.
            first = chunk_of(plan.chunks, first).first
            first = draft.reach(first, hi, *self._shot_of(first))[0] if draft else first
        return first, stop

    def _shot_of(self, frame: int) -> tuple[int, int]:
        """Return the frames [first, stop) of the shot that a frame is in."""
        chunk = chunk_of(self.plan.chunks, frame)
        return chunk.shot_first, chunk.shot_stop

    def _recurrent_from(self, frame: int) -> int:
        """Return the frame from which a recurrent model has to run, to continue at ``frame``.

        It is the last frame with a stored output before the missing ones, or the first of the shot.
        """
        chunk = chunk_of(self.plan.chunks, frame)
        while not self.raw.has(frame) and chunk.first > chunk.shot_first:
            frame = chunk.first - 1
            chunk = self.plan.chunks[chunk.number - 1]
        return frame if self.raw.has(frame) else chunk.first


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


@dataclass(frozen=True)
class FramePath:
    """The path of a plan's frames from the reader to the encoder.

    Attributes:
        on_gpu: Frames stay on the engine's GPU; samples have tensors.
        blends_on_gpu: The GPU also blends source and output, so that the source is not read a second time.
    """

    plan: RenderPlan
    engine: Any  # an ``Engine``; those on a GPU have a ``device``
    on_gpu: bool = False
    blends_on_gpu: bool = False

    @classmethod
    def find(cls, plan: RenderPlan, engine: Engine) -> FramePath:
        """Return the path of a plan's frames through an engine: on a GPU unless a step needs numpy.

        Apple's GPUs are excluded: several threads on one are untested. So are chains, whose models exchange numpy
        pictures. The GPU blends only if source and output have one size, without OpenCV's colours and shading,
        alpha and the pairing's ``finish``.
        """
        rendering, settings, picture = plan.rendering, plan.settings, plan.picture
        reuses = rendering.duplicate_threshold and not plan.model.is_recurrent
        needs_arrays = plan.draft is not None or reuses or plan.paint is not None or plan.strokes is not None
        needs_arrays |= len(plan.model.parts) > 1
        can_filter = settings.filter_name == "off" or settings.is_batched
        on_gpu = is_nvidia(engine) and not needs_arrays and can_filter
        blends_arrays = plan.pairing.finishes or picture.alpha or not have_device_form(rendering)
        same_size = (picture.width, picture.height) == plan.size
        return cls(plan, engine, on_gpu, on_gpu and plan.is_composed and same_size and not blends_arrays)

    def renderer(self, count: RenderCount | None = None) -> FrameRenderer:
        """Return the renderer of the model's pictures, for frames in order. Close it after use.

        Raises UsageError if the flow method of a recurrent model is not installed.
        """
        plan, engine = self.plan, self.engine
        if self.on_gpu:
            from vidtrans.rendering.device_renderer import DeviceRenderer

            return DeviceRenderer(plan, engine, count, blends=self.blends_on_gpu)
        return FrameRenderer(
            plan.inputs(),
            engine,
            deep=plan.is_deep,
            recurrence=recurrence(plan.model.record, engine),
            reuse=plan.rendering.duplicate_threshold,
            draft=plan.draft,
            count=count,
            painter=plan.paint.painter(plan.size) if plan.paint else None,
        )


def timed(clock: StepClock, step: str, items: Iterator[T]) -> Generator[T, None, None]:
    """Yield the items; the time to make each one counts for a ``step``, that of its consumer does not."""
    with closing(items) if isinstance(items, Generator) else nullcontext():
        while True:
            with clock.step(step):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item


def _without(prefix: str, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): values for name, values in state.items() if name.startswith(prefix)}


class ChunkLog:
    """A writer of one log line per chunk, for consecutive chunks rendered on one device of a ``kind``.

    A chunk's time begins where the previous one's ends, because reading, network, filter and encoder run in parallel.
    """

    def __init__(self, plan: RenderPlan, context: Context, kind: str, clock: StepClock, store: ChunkStore) -> None:
        self._plan, self._log, self._clock, self._store = plan, context.cache.log, clock, store
        name = processor() if kind == "cpu" else _card(context)
        self._maker = _here() | {"device": kind, "processor": name}
        self._began = time.time()
        clock.take()

    def add(self, chunk: Chunk) -> None:
        """Write the line of a chunk that has just been stored."""
        began, self._began = self._began, time.time()
        seconds = {step: round(value, 4) for step, value in self._clock.take().items()}
        self._log.add(
            {
                "clip": self._plan.clip.name,
                "chunk": chunk.number,
                "frames": [chunk.first, chunk.stop],
                "began": round(began, 3),
                "ended": round(self._began, 3),
                "seconds": seconds,
                "bytes": self._store.path(chunk.number).stat().st_size,
                "render": self._store.entry.key[:12],
                **self._maker,
            }
        )


def log_failure(context: Context, clip: Path, part: str, error: Exception) -> None:
    """Write a line for a failed ``part`` of a clip."""
    if context.cache.root.is_dir():  # otherwise no work had started
        line: Table = {"clip": clip.name, "part": part, "ended": round(time.time(), 3), "failed": first_line(error)}
        context.cache.log.add(line | _here())


def _here() -> Table:
    return {"host": socket.gethostname(), "process": os.getpid()}


def _card(context: Context) -> str:
    from vidtrans.inference.device import resolve_device  # imports torch, which is not needed to log a failure

    return resolve_device(context.device).card


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
