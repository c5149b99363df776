"""The stages of a render in their order, from the source file to the encoded chunk.

``RenderChain.frames`` is the list of stages; measurements, corrections, scores and estimates take their frames from it,
too. Each style of a region has its own chain. ``ChunkRenderer`` encodes the frames of missing chunks.
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
from vidtrans.core.machine import cores, processor, release_freed_memory, release_interval, return_large_blocks
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

# Names of the steps of a render whose times are in the chunk log
READ, NETWORK, FILTER, ENCODE = "read", "network", "filter", "encode"
T = TypeVar("T")
Frames = Generator[Sample, None, None]  # Frames in order; the consumer closes the generator
Picture = Callable[[], np.ndarray]  # Function without arguments that waits for a picture and returns it
# Function that computes the map from a clip's colours to those of the palette; None without a palette
FindColours = Callable[[], AffineColours | None]
# Prefixes of array names in a saved state: arrays of the recursive filter, and of the stroke painter
FILTER_STATE, PAINTER_STATE = "filter.", "painter."
GB = 1e9  # Bytes in a gigabyte
# Number of rendered frames after which the disk use is forecast; at the default chunk length, two chunks are written
FORECAST_FRAMES = 200
# Stores of saved states: of the base chain, then of the chain of each region's style; None: nothing is saved
States = Sequence[StateStore | None]


class StoredPictures(Protocol):
    """The interface of a reader of stored pictures, by ascending frame number."""

    def read(self, frame: int) -> np.ndarray | None:
        """Return the picture of a frame, (H, W, 3) uint8; None if it is not stored."""


class ExtractedPictures(Protocol):
    """The interface of an extractor's pictures of a plan's frames, stored in chunks.

    An extractor is a network that makes the model's input.
    """

    count: RenderCount

    def make(self, chunks: Sequence[Chunk]) -> None:
        """Render and store the pictures for the given chunks; stored pictures are kept."""

    def pictures(self) -> StoredPictures:
        """Return a reader of the stored pictures."""


class RenderChain:
    """The stages of a planned render: read, infer, filter, paint strokes, enlarge, blend, paint corrections.

    Args:
        plan: the render.
        engine: runs the network.
        raw: the store of the network's outputs.
        context: receives notes to the user.
        extraction: the pictures that an extractor has made for the network's input.
        clock: counts the time of each step; several chains may share one.
        find_colours: computes the map to the palette's colours, when it is first needed.
        capacity: number of pictures buffered between two stages. 0: the stages run in turn, in one thread. None: as
            many as the machine has memory for.

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
        # TF32 is a setting of the whole process, so no other stage may compute at the same time.
        is_sequential = "tf32" in engine.precision or capacity == 0
        self.capacity = 0 if is_sequential else capacity or stage_buffer_capacity(self.kind, *plan.size)
        self.result_capacity = min(self.capacity, stage_buffer_capacity(self.kind, *size))
        self.filter = plan.settings.make_filter()
        self._painter = plan.strokes.painter(size, plan.threads) if plan.strokes else None
        self._paint_from = plan.first
        self._path = FramePath.find(plan, engine)
        self._chunk_of = ChunkFinder(plan.chunks)

    def frames(self, stack: ExitStack, result_range: range, lo: int, hi: int, enlarge: Enlarger) -> Iterator[Sample]:
        """Return the finished frames of ``result_range``, computed from the frames [lo, hi), which include neighbours.

        Close the ``stack`` after the last frame; this ends all stages.
        """
        stack.enter_context(limit_opencv_threads(self.kind))
        renderer = stack.enter_context(closing(self._path.renderer(self.count)))
        frames = self._infer(stack, renderer, lo, hi, ahead=self.capacity)
        frames = self._stage(stack, FILTER, self._filter(frames, result_range))
        frames = self._stage(stack, FILTER, self._paint_strokes(frames, result_range))
        frames = self._stage(stack, FILTER, self._send_to_host(frames, renderer))
        return self.compose_frames(stack, frames, result_range, enlarge, blends=not renderer.blends)

    def _infer(
        self, stack: ExitStack, renderer: FrameRenderer, lo: int, hi: int, *, ahead: int = 0
    ) -> Iterator[Sample]:
        """Return the frames [lo, hi) with the model's raw outputs, read from the store, or inferred and stored.

        ``ahead``: number of frames to buffer in a background thread.
        """
        first, stop = self._extended_range(lo, hi)
        begin = input_frames(self.plan.pairing, first, self._shot_of(first)[0])[0]
        stack.enter_context(closing(self.raw))
        read = self._read_and_prepare(renderer, begin, first, stop)
        prepared = self._stage(stack, READ, read, "frames", self.capacity)
        frames = self._stage(stack, NETWORK, renderer.stream(prepared))
        return self._stage(stack, NETWORK, self._store_outputs(frames, renderer, lo, hi), "network", ahead)

    def compose_frames(
        self, stack: ExitStack, frames: Iterator[Sample], result_range: range, enlarge: Enlarger, *, blends: bool = True
    ) -> Iterator[Sample]:
        """Return the frames with finished pictures; ``frames`` have filtered outputs, or functions that wait for these.

        ``blends``: source and output still have to be blended; False if the GPU has blended them.
        """
        blends &= self.plan.is_composed
        if blends:
            frames = self._enlarge(stack, self._add_sources(stack, frames, result_range), enlarge)
        frames = self._stage(stack, ENCODE, frames, "filter", self.result_capacity)
        frames = self._wait_for_pictures(frames)
        return self._apply_corrections(stack, self._blend(stack, frames) if blends else frames)

    def outputs(self, stack: ExitStack, lo: int, hi: int) -> Iterator[Sample]:
        """Return the frames [lo, hi) with the model's raw outputs as arrays. Close the ``stack`` after the last one."""
        renderer = stack.enter_context(closing(FramePath(self.plan, self.engine).renderer(self.count)))
        return self._infer(stack, renderer, lo, hi)

    def _read_and_prepare(
        self, renderer: FrameRenderer, begin: int, first: int, stop: int
    ) -> Generator[PreparedFrame, None, None]:
        """Read and prepare the frames [begin, stop); frames before ``first`` are only context of later inputs."""
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
                chunk, stored_output = chunk_of(frame.index), self.raw.read(frame.index)
                if extracted is not None and stored_output is None:
                    picture = extracted.read(frame.index)
                    assert picture is not None  # ``ChunkRenderer.extract`` stored it
                    frame = replace(frame, guides=(resize(picture, *plan.input_size),))
                shot, restarts = (chunk.shot_first, chunk.shot_stop), frame.index == chunk.first
                yield renderer.prepare(frame, shot, stored_output, restarts=restarts)

    def _store_outputs(self, frames: Iterator[Sample], renderer: FrameRenderer, lo: int, hi: int) -> Frames:
        """Store missing raw outputs; yield the frames [lo, hi), each with the picture that guides the filter."""
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
        """Store the raw output of a frame, for which ``arrive`` waits; the time counts for the encoding step."""
        with self.clock.step(ENCODE):
            self.raw.write(frame, arrive())

    def _filter(self, frames: Iterator[Sample], result_range: range) -> Frames:
        """Apply the temporal filter; yield the frames of ``result_range``, and earlier frames that strokes need."""
        needed = result_range if self._painter is None else range(self._paint_from, result_range.stop)
        if self.plan.settings.filter_name == "off":
            yield from frames
            return
        for sample, picture in filter_samples(frames, self.filter, needed, self.plan.held_frames):
            yield replace(sample, output=picture, derived={}, download=None)

    def _paint_strokes(self, frames: Iterator[Sample], result_range: range) -> Frames:
        """Paint strokes if the plan has any; yield the frames of ``result_range``, with the state at a chunk's end."""
        if self._painter is None:
            for sample in frames:
                if sample.index in result_range:
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
                if number in result_range:
                    yield replace(sample, output=painted, state=self._state_after(number))

    @property
    def _has_sources(self) -> bool:
        """Return whether samples have the source at the size of the result as guide, in an array, not on a GPU."""
        return self.plan.guide_is_source and not self._path.on_gpu

    @cached_property
    def _colours(self) -> AffineColours | None:
        """Return the map from the clip's colours to those of the palette; None without a palette."""
        return self._find_colours()

    def _send_to_host(self, frames: Iterator[Sample], renderer: FrameRenderer) -> Frames:
        """Start the download of each output from the device; the device blends the output first, if it can."""
        keeps_guides = self.plan.finishes or self._has_sources
        for sample in frames:
            sent, guide = renderer.finish(sample, sample.output), sample.guide if keeps_guides else None
            yield replace(sample, output=sent, guide=guide, source=None, download=None)

    def _add_sources(self, stack: ExitStack, frames: Iterator[Sample], result_range: range) -> Iterator[Sample]:
        """Add to each frame its source at the result's size, and the matte: white where the output is visible."""
        plan, size = self.plan, (self.plan.picture.width, self.plan.picture.height)
        # A pairing that uses the mask fills the masked area and a rim around it. The mask must not cut out this output.
        mask = plan.mask if not plan.pairing.uses_mask else None
        mattes = stack.enter_context(closing(mask.mattes(size, plan.threads, plan.feather))) if mask else None
        sources: Iterator[Frame] | None = None
        if not self._has_sources:
            sources = self._stage(
                stack, ENCODE, self._read_sources(result_range), "sources", min(2, 2 * self.result_capacity)
            )

        def add_source(sample: Sample) -> Sample:
            """Return a frame with its source and its matte."""
            whole = Frame(sample.index, sample.pts, sample.guide) if sources is None else next(sources)
            return replace(sample, whole=whole, matte=mattes(sample.index) if mattes else None)

        return (add_source(sample) for sample in frames)

    def _read_sources(self, result_range: range) -> Generator[Frame, None, None]:
        """Read the source frames of ``result_range`` at the size of the result."""
        plan, size = self.plan, (self.plan.picture.width, self.plan.picture.height)
        with (
            plan.clip.reader(plan.form(size), plan.threads) as reader,
            closing(reader.frames(result_range.start, result_range.stop, plan.clip.index)) as frames,
        ):
            yield from frames

    def _enlarge(self, stack: ExitStack, frames: Iterator[Sample], enlarge: Enlarger) -> Iterator[Sample]:
        """Start to enlarge each picture to the size of its source, several pictures at once in threads."""
        pool = None
        if self.capacity:
            pool = ThreadPoolExecutor(enlarge.threads, "vidtrans-enlarge")
            stack.callback(pool.shutdown, cancel_futures=True)

        def enlarge_one(index: int, output: Any, source: np.ndarray) -> np.ndarray:  # noqa: ANN401  (may be a call)
            """Enlarge an output, or the output that a function waits for, to the size of its source."""
            with self.clock.step(ENCODE):
                return enlarge(index, output() if callable(output) else output, source)

        def start_job(sample: Sample) -> Sample:
            """Return a frame whose output is a function that enlarges the picture, or waits for a thread to do so."""
            job = partial(enlarge_one, sample.index, sample.output, sample.whole.rgb)
            return replace(sample, output=job if pool is None else pool.submit(job).result)

        return (start_job(sample) for sample in frames)

    def _wait_for_pictures(self, frames: Iterator[Sample]) -> Frames:
        """Yield the frames with pictures in place of functions that wait for them."""
        for sample in frames:
            if callable(sample.output):
                with self.clock.step(WAITING if self.capacity else ENCODE):
                    sample = replace(sample, output=sample.output())
            yield sample

    def _blend(self, stack: ExitStack, frames: Iterator[Sample]) -> Iterator[Sample]:
        """Blend each picture with its source, restore source content, add the paint layer and alpha."""
        plan = self.plan
        inputs = stack.enter_context(closing(plan.inputs())) if plan.finishes else None
        size = (plan.picture.width, plan.picture.height)
        painter = plan.paint.painter(size) if plan.paint and plan.paint.layer else None

        def blend(sample: Sample) -> Sample:
            """Return a frame with its finished picture as output."""
            source, picture = sample.whole.rgb, sample.output
            if inputs is not None:
                guide = sample.guide if sample.host_guide is None else sample.host_guide
                model_input = inputs([Frame(sample.index, sample.pts, guide)])
                picture = restore(plan.pairing, source, picture, model_input)
            picture = compose(picture, source, plan.values(sample.index), sample.matte)
            if painter is not None:
                picture = painter.lift(sample.index, picture, source, sample.matte, plan.size)
            elif plan.picture.alpha:
                picture = with_alpha(picture, sample.whole.alpha)
            return replace(sample, output=picture)

        return (blend(sample) for sample in frames)

    def _apply_corrections(self, stack: ExitStack, frames: Iterator[Sample]) -> Iterator[Sample]:
        """Paint the user's corrections over the finished pictures, if the plan has any."""
        plan = self.plan
        if plan.corrections is None:
            return frames
        correct = plan.corrections.corrector((plan.picture.width, plan.picture.height), stack, plan.threads)
        return (replace(sample, output=correct(sample.index, sample.output)) for sample in frames)

    def _stage(
        self, stack: ExitStack, step: str, frames: Iterator[T], thread: str = "", capacity: int = 0
    ) -> Iterator[T]:
        """Return ``frames`` as a stage of the chain, whose time, without that of earlier stages, counts for ``step``.

        ``thread``: the name of a thread in which this stage and earlier ones run, up to ``capacity`` frames before the
        consumer. With a ``capacity`` of 0 there is no thread.
        """
        stage = stack.enter_context(closing(time_steps(self.clock, step, frames)))
        if not capacity:
            return stage
        return stack.enter_context(closing(Prefetcher(stage, capacity, thread, self.clock)))

    @property
    def has_state(self) -> bool:
        """Return whether a frame depends on all earlier frames of its shot, through a recursive filter or strokes."""
        return self._painter is not None or isinstance(self.filter, RecursiveFilter)

    def resume(self, chunk: Chunk, states: StateStore | None) -> int:
        """Restore the state saved before a chunk, if it exists in ``states``; return the first frame to read."""
        near = max(chunk.shot_first, chunk.first - self.filter.radius)
        if not self.has_state:
            return near
        state = states.load(chunk.number - 1) if states is not None and chunk.first > chunk.shot_first else None
        self._paint_from = chunk.shot_first if state is None else chunk.first
        if state is None:
            return chunk.shot_first
        if isinstance(self.filter, RecursiveFilter):
            self.filter.resume(_strip_prefix(FILTER_STATE, state))
        if self._painter is not None:
            self._painter.resume(_strip_prefix(PAINTER_STATE, state))
        return near

    def _state_after(self, frame: int) -> Mapping[str, np.ndarray] | None:
        """Return the filter's and the painter's state after a frame that ends a chunk but not its shot; else None."""
        chunk = self._chunk_of(frame)
        if frame != chunk.stop - 1 or chunk.stop == chunk.shot_stop:
            return None
        state: dict[str, np.ndarray] = {}
        if isinstance(self.filter, RecursiveFilter):
            state |= {FILTER_STATE + name: values for name, values in self.filter.state().items()}
        if self._painter is not None:
            state |= {PAINTER_STATE + name: values.copy() for name, values in self._painter.state().items()}
        return state

    def needed_range(self, group: Sequence[Chunk], lo: int, hi: int) -> tuple[int, int]:
        """Return the frames [first, stop) whose raw outputs a ``group`` of consecutive chunks needs.

        ``lo``, ``hi``: the frames [lo, hi) that the filter reads for the group. The result is the range without stored
        raw outputs.
        """
        # Without a saved state, a recursive filter or a painter starts at the beginning of the shot.
        return self._extended_range(group[0].shot_first if self.has_state else lo, hi)

    def _extended_range(self, lo: int, hi: int) -> tuple[int, int]:
        """Return the frames [first, stop) whose raw outputs are needed to render the frames [lo, hi)."""
        plan, draft = self.plan, self.plan.draft
        first, stop = self._recurrent_start(lo) if plan.model.is_recurrent else lo, hi
        if draft:
            first, _ = draft.extend_to_keys(first, hi, *self._shot_of(first))
            _, stop = draft.extend_to_keys(lo, hi, *self._shot_of(hi - 1))
        if plan.rendering.duplicate_threshold and not plan.model.is_recurrent:
            # The reuse of an output for a near-duplicate frame depends on all earlier inputs of its chunk.
            first = chunk_of(plan.chunks, first).first
            first = draft.extend_to_keys(first, hi, *self._shot_of(first))[0] if draft else first
        return first, stop

    def _shot_of(self, frame: int) -> tuple[int, int]:
        """Return the frames [first, stop) of the shot that contains a frame, within the plan."""
        chunk = chunk_of(self.plan.chunks, frame)
        return chunk.shot_first, chunk.shot_stop

    def _recurrent_start(self, frame: int) -> int:
        """Return the frame at which a recurrent model has to start, so that it can continue at ``frame``.

        This is the last frame with a stored output before the frames without one, or the first frame of the shot.
        """
        chunk = chunk_of(self.plan.chunks, frame)
        while not self.raw.has(frame) and chunk.first > chunk.shot_first:
            frame = chunk.first - 1
            chunk = self.plan.chunks[chunk.number - 1]
        return frame if self.raw.has(frame) else chunk.first


@dataclass(frozen=True)
class RegionLook:
    """The style of a region: its render chain, and a function from chunk numbers of this chain to their enlarger."""

    chain: RenderChain
    enlarger: Callable[[Sequence[int]], Enlarger]

    def numbers(self, frames: range) -> list[int]:
        """Return the numbers of this chain's chunks that overlap a range of frames."""
        return [c.number for c in self.chain.plan.chunks if c.first < frames.stop and frames.start < c.stop]


class ChunkRenderer:
    """A renderer of the missing chunks of a ``chain``'s plan.

    ``looks``: the styles of regions. ``layers``: the regions, each with the index of its style in ``looks``. All styles
    advance frame by frame with the chain. Each one reads, renders, filters and stores raw outputs as a separate render.
    """

    def __init__(
        self, chain: RenderChain, looks: Sequence[RegionLook] = (), layers: Sequence[RegionLayer] = ()
    ) -> None:
        self.chain, self.plan, self.looks, self.layers = chain, chain.plan, looks, layers
        # If one chain has to run its stages in turn in one thread, all chains run in this way.
        chains = [chain, *(look.chain for look in looks)]
        if any(one.capacity == 0 for one in chains):
            for one in chains:
                one.capacity = one.result_capacity = 0
        self.result_capacity = min(one.result_capacity for one in chains)
        self._kind = next((one.kind for one in chains if one.kind != "cpu"), "cpu")

    def counts(self, rendered: Sequence[int]) -> Table:
        """Return the frame counts for the result table. ``rendered``: numbers of the chunks rendered by this call."""
        chains, totals = [self.chain, *(look.chain for look in self.looks)], Table()
        painting = [one for one in chains if not one.plan.model.is_identity] if self.looks else chains
        totals["frames_inferred"] = sum(one.count.inferred for one in painting)
        totals["frames_encoded"] = num_frames(self.plan.chunks[n] for n in rendered)
        extractions = [one.extraction for one in chains if one.extraction is not None]
        totals |= {"frames_extracted": sum(one.count.inferred for one in extractions)} if extractions else {}
        num_skipped = sum(one.count.skipped for one in chains)
        return totals | ({"frames_spared": num_skipped} if num_skipped else {})

    @property
    def _raw_folders(self) -> list[Path]:
        """Return the cache folders of the stored raw outputs of all chains."""
        stores = [one.raw.store for one in (self.chain, *(look.chain for look in self.looks))]
        return [store.entry.folder for store in stores if store]

    def extract(self, missing: Sequence[int]) -> None:
        """Make the pictures of extractors (networks that make a model's input) that the missing chunks need."""
        _extract(self.chain, missing)
        ranges = [range(c.first, c.stop) for c in self.plan.chunks if c.number in set(missing)]
        for look in self.looks:
            _extract(look.chain, sorted({number for frames in ranges for number in look.numbers(frames)}))

    def render(self, store: ChunkStore, states: StateStore, missing: Sequence[int], enlarge: Enlarger) -> None:
        """Render the missing chunks, given by number; each group of consecutive chunks takes one pass."""
        chain, plan, context, total = self.chain, self.plan, self.chain.context, len(self.plan.frames)
        done = num_done_before = total - num_frames(plan.chunks[n] for n in missing)
        forecast = DiskForecast([*self._raw_folders, store.entry.folder], total - done)
        task, radius = f"rendering {plan.clip.name}", chain.filter.radius
        all_states = [states, *(states.of(f"look{number}") for number in range(len(self.looks)))]
        for group, _, hi in read_ranges(plan.chunks, missing, radius):
            with closing(self._render_group(store, all_states, group, hi, enlarge)) as frames:
                for _ in frames:
                    done += 1
                    context.report(Progress(task, done, total, counted=True))
                    if done - num_done_before == FORECAST_FRAMES and (shortfall := forecast.shortfall(FORECAST_FRAMES)):
                        text = f"the disk will be full before {plan.clip.name} is done: {shortfall}"
                        context.note(f"{text} — free some space, or stop and give another --cache-dir", "warning")
                    context.stop.check()

    def _render_group(
        self, store: ChunkStore, states: States, group: Sequence[Chunk], hi: int, enlarge: Enlarger
    ) -> Generator[None, None, None]:
        """Render a ``group`` of consecutive chunks from the frames before ``hi``; yield after each encoded frame."""
        plan, chain, result_range = self.plan, self.chain, range(group[0].first, group[-1].stop)
        log = ChunkLog(plan, chain.context, self._kind, chain.clock, store)
        chunk_of, interval = ChunkFinder(plan.chunks), release_interval(*plan.size)
        stamps = {number: plan.delivery.stamps(number) for number in result_range}
        return_large_blocks(self._kind, *plan.size)
        with ExitStack() as stack:
            encoders = plan.delivery.chunk_encoding.chunk_codec.side_by_side(cores())
            writer = stack.enter_context(closing(ChunkWriter(store, group, plan.segment, log.add, encoders)))
            frames = time_steps(chain.clock, ENCODE, self.frames(stack, result_range, hi, enlarge, states))
            stack.enter_context(closing(frames))
            for sample, ends in frames:
                with chain.clock.step(ENCODE):
                    writer.write(sample.index, sample.output, *stamps[sample.index])
                    for state_store, state in zip(states, ends, strict=True):
                        if state_store is not None and state is not None:
                            state_store.save(chunk_of(sample.index).number, state)
                    if self._kind == "cpu" and sample.index % interval == 0:
                        release_freed_memory()
                yield
            with chain.clock.step(ENCODE):
                writer.finish()

    def frames(
        self, stack: ExitStack, result_range: range, hi: int, enlarge: Enlarger, states: States = ()
    ) -> Generator[tuple[Sample, list[Mapping[str, np.ndarray] | None]], None, None]:
        """Return the finished frames of ``result_range``, each with the states of the base chain and each style chain.

        ``states``: the stores of earlier chunks' states. Close the ``stack`` after the last frame.
        """
        states = states or [None] * (1 + len(self.looks))
        chunk_of = ChunkFinder(self.plan.chunks)
        # Build the enlargers first: this runs the engines, which the threads of the stages use from here on.
        enlargers = [look.enlarger(look.numbers(result_range)) for look in self.looks]
        first, last = chunk_of(result_range.start), chunk_of(result_range.stop - 1)
        base_frames = self.chain.frames(stack, result_range, self.chain.resume(first, states[0]), hi, enlarge)
        region_frames = []
        for look, enlarger, state_store in zip(self.looks, enlargers, states[1:], strict=True):
            lo, end = (
                look.chain.resume(first, state_store),
                min(last.shot_stop, result_range.stop + look.chain.filter.radius),
            )
            region_frames.append(look.chain.frames(stack, result_range, lo, end, enlarger))
        if not region_frames:
            return ((sample, [sample.state]) for sample in base_frames)
        composer = stack.enter_context(RegionComposer.open_masks(self.layers, self.plan))

        def composite(under: Sample, *over: Sample) -> Sample:
            """Composite a frame of the base chain and the same frame of each style; keep the base chain's state."""
            mattes = composer.read(under.index)
            return replace(under, output=composer(under.output, [one.output for one in over], mattes))

        samples_by_frame = zip(base_frames, *region_frames, strict=True)
        return ((composite(*samples), [one.state for one in samples]) for samples in samples_by_frame)


def _extract(chain: RenderChain, missing: Sequence[int]) -> None:
    """Make the pictures of the chain's extractor, if it has one, that the missing chunks need as input."""
    if chain.extraction is None:
        return
    plan, numbers = chain.plan, set[int]()
    for group, lo, hi in read_ranges(plan.chunks, missing, chain.filter.radius):
        first, stop = chain.needed_range(group, lo, hi)
        overlapping = [chunk for chunk in plan.chunks if chunk.first < stop and chunk.stop > first]
        numbers |= {chunk.number for chunk in overlapping if not chain.raw.has(chunk.first)}
    chain.extraction.make([plan.chunks[number] for number in sorted(numbers)])


@dataclass(frozen=True)
class FramePath:
    """The path of a plan's frames from the reader to the encoder: through host memory, or on the engine's GPU.

    Attributes:
        on_gpu: Frames stay on the engine's GPU; samples hold tensors instead of arrays.
        blends_on_gpu: The GPU also blends source and output, so that the source is not read a second time.
    """

    plan: RenderPlan
    engine: Any  # An ``Engine``; engines on a GPU also have a ``device``
    on_gpu: bool = False
    blends_on_gpu: bool = False

    @classmethod
    def find(cls, plan: RenderPlan, engine: Engine) -> FramePath:
        """Choose the path of a plan's frames through an engine: on an Nvidia GPU, unless a stage needs numpy.

        Apple's GPUs are excluded, because several threads on one are untested; model chains are excluded, because their
        models exchange numpy pictures. The GPU blends only if source and output have one size, and the result uses none
        of these: OpenCV's colours and shading, alpha, the pairing's ``finish``.
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
        """Build the renderer of the model's pictures, for frames in order. Close the renderer after use.

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


def time_steps(clock: StepClock, step: str, items: Iterator[T]) -> Generator[T, None, None]:
    """Yield the items; add the time to produce each one, without its consumer's time, to the clock's ``step``."""
    with closing(items) if isinstance(items, Generator) else nullcontext():
        while True:
            with clock.step(step):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item


def _strip_prefix(prefix: str, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with ``prefix``, under their names without the prefix."""
    return {name.removeprefix(prefix): values for name, values in state.items() if name.startswith(prefix)}


class ChunkLog:
    """A writer of one log line per chunk, for consecutive chunks that are rendered on a device of the given ``kind``.

    A chunk's time begins where the previous chunk's ends, because reader, network, filter and encoder run in parallel.
    """

    def __init__(self, plan: RenderPlan, context: Context, kind: str, clock: StepClock, store: ChunkStore) -> None:
        self._plan, self._log, self._clock, self._store = plan, context.cache.log, clock, store
        name = processor() if kind == "cpu" else _gpu_name(context)
        self._device_fields = _host_fields() | {"device": kind, "processor": name}
        self._chunk_start_s = time.time()
        clock.take()

    def add(self, chunk: Chunk) -> None:
        """Log a finished chunk: its frames, the time of each step in seconds, its size in bytes, and the machine."""
        start_s, self._chunk_start_s = self._chunk_start_s, time.time()
        seconds = {step: round(value, 4) for step, value in self._clock.take().items()}
        self._log.add(
            {
                "clip": self._plan.clip.name,
                "chunk": chunk.number,
                "frames": [chunk.first, chunk.stop],
                "began": round(start_s, 3),
                "ended": round(self._chunk_start_s, 3),
                "seconds": seconds,
                "bytes": self._store.path(chunk.number).stat().st_size,
                "render": self._store.entry.key[:12],
                **self._device_fields,
            }
        )


def log_failure(context: Context, clip: Path, part: str, error: Exception) -> None:
    """Log the error that ended the render of a part of a clip. ``part``: such as "3/8", or "join"."""
    if context.cache.root.is_dir():  # Without a cache folder no work had started
        line: Table = {"clip": clip.name, "part": part, "ended": round(time.time(), 3), "failed": first_line(error)}
        context.cache.log.add(line | _host_fields())


def _host_fields() -> Table:
    """Return the log fields that name this host and process."""
    return {"host": socket.gethostname(), "process": os.getpid()}


def _gpu_name(context: Context) -> str:
    """Return the name of the graphics card that the context selects."""
    from vidtrans.inference.device import resolve_device  # Imports torch, which is not needed to log a failure

    return resolve_device(context.device).card


class DiskForecast:
    """A forecast of the disk use, from the growth of cache ``folders`` while a render of ``frames`` frames runs.

    The result file is expected to become as large as the last folder, which holds the encoded chunks.
    """

    def __init__(self, folders: Sequence[Path], frames: int) -> None:
        self.folders, self.frames = folders, frames
        self._before = self._sizes()

    def _sizes(self) -> list[int]:
        """Return the present size of each folder in bytes."""
        return [folder_bytes(folder) for folder in self.folders]

    def shortfall(self, num_rendered: int) -> str | None:
        """Return a text with the needed and the free disk space in GB; None if the free space suffices.

        ``num_rendered``: number of frames rendered so far.
        """
        with suppress(OSError):
            grown_bytes = [now - before for now, before in zip(self._sizes(), self._before, strict=True)]
            bytes_per_frame = sum(grown_bytes) / num_rendered
            needed = bytes_per_frame * (self.frames - num_rendered) + grown_bytes[-1] / num_rendered * self.frames
            free_bytes = shutil.disk_usage(self.folders[-1]).free
            if needed > free_bytes:
                return f"about {needed / GB:.1f} GB are needed for the rest, {max(0, free_bytes) / GB:.1f} GB are free"
        return None
