"""The stages that a frame of a render passes, in their order, from the file to the finished picture.

``RenderChain.frames`` is the list. What is rendered in chunks, measured, corrected, scored or estimated takes its
frames from there; a look of a region has a chain of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, nullcontext
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Protocol, TypeVar

import numpy as np

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
from vidtrans.pipeline.render import compose, restore
from vidtrans.rendering.chunk_log import ENCODE, FILTER, NETWORK, READ
from vidtrans.rendering.enlarger import Enlarger
from vidtrans.rendering.frame_path import FramePath
from vidtrans.rendering.frame_renderer import FrameRenderer, PreparedFrame
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.skipped_frames import RenderCount
from vidtrans.session import Context
from vidtrans.store.chunking import Chunk, chunk_of
from vidtrans.store.chunks import ChunkFinder, RawOutputs, StateStore
from vidtrans.temporal.stream import RecursiveFilter, Sample, filter_samples
from vidtrans.video.colour.conversion import to_uint16, with_alpha
from vidtrans.video.images.picture import resize
from vidtrans.video.io.clip import Frame


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


T = TypeVar("T")
Frames = Generator[Sample, None, None]
Picture = Callable[[], np.ndarray]  # a call that waits for a picture
FindColours = Callable[[], AffineColours | None]
FILTER_STATE, PAINTER_STATE = "filter.", "painter."  # before the names of arrays in a state


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
                with self.clock.step(READ):
                    guide = None if guides is None else next(guides)
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
