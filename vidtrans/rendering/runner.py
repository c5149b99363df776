"""Make the missing chunks of a render: read, render, filter and encode, in threads where that is faster."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cached_property, partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from vidtrans.core.concurrency.threads import (
    BackgroundQueue,
    Prefetcher,
    StepClock,
    limit_opencv_threads,
    stage_buffer_capacity,
)
from vidtrans.core.events import Progress
from vidtrans.core.settings import Table
from vidtrans.inference.engine import Engine
from vidtrans.pairing.base import input_frames
from vidtrans.rendering.batching import RenderCount
from vidtrans.rendering.chunk_log import ENCODE, FILTER, NETWORK, READ, ChunkLog
from vidtrans.rendering.composite import Composer
from vidtrans.rendering.frame_renderer import FrameRenderer, PreparedFrame
from vidtrans.rendering.plan import RenderPlan
from vidtrans.session import Context
from vidtrans.store.chunking import Chunk, read_ranges
from vidtrans.store.chunks import ChunkFinder, ChunkStore, ChunkWriter, RawOutputs, StateStore
from vidtrans.store.disk_forecast import DiskForecast
from vidtrans.temporal.stream import BatchFilter, Filter, RecursiveFilter, Sample, filter_samples
from vidtrans.video.images.picture import resize

if TYPE_CHECKING:  # torch is imported where it is used
    from vidtrans.core.concurrency.transfers import Download
    from vidtrans.rendering.device.device_renderer import DevicePath

T = TypeVar("T")

# Frames after which the disk use is estimated: three chunks by default, of which two are written for sure.
FORECAST_FRAMES = 200


def num_frames(chunks: Iterable[Chunk]) -> int:
    """Return how many frames chunks have."""
    return sum(chunk.stop - chunk.first for chunk in chunks)


def _device_path(plan: RenderPlan, engine: Any, count: RenderCount) -> DevicePath:  # noqa: ANN401  (a TorchEngine)
    from vidtrans.rendering.device.device_renderer import DevicePath

    return DevicePath(plan, engine, count)


class ExtractedPictures(Protocol):
    """The pictures that an extractor makes of the frames of a plan, stored by chunks; ``count``: how many were made."""

    count: RenderCount

    def make(self, chunks: Sequence[Chunk]) -> None:
        """Make those of the given chunks that are not stored."""

    def pictures(self) -> RawOutputs:
        """Return a reader of them."""


class ChunkRenderer:
    """Renders the missing chunks of a plan.

    ``raw`` holds the outputs of the ``engine``; ``count`` says how many it rendered. ``extraction``: where an extractor
    makes the input; call ``extract`` first then. ``on_host``: samples have arrays, wherever the engine runs.
    """

    def __init__(
        self,
        plan: RenderPlan,
        engine: Engine,
        raw: RawOutputs,
        context: Context,
        extraction: ExtractedPictures | None = None,
        *,
        on_host: bool = False,
    ) -> None:
        self.plan, self.engine, self.raw, self.context, self.count = plan, engine, raw, context, RenderCount()
        self._extraction, self._clock = extraction, StepClock()
        self._kind = engine.device_kind
        self._capacity = stage_buffer_capacity(self._kind, *plan.size)  # between stages; 0: they take turns
        self._chunk_of = ChunkFinder(plan.chunks)
        self._written_chunk = ChunkFinder(plan.chunks)  # for the thread that samples are made in
        self._device = None if on_host or not plan.stays_on_device(engine) else _device_path(plan, engine, self.count)

    def counts(self, rendered: Sequence[int]) -> Table:
        """Return what is reported when the chunks of these numbers were rendered."""
        encoded = num_frames(self.plan.chunks[n] for n in rendered)
        table: Table = {"frames_inferred": self.count.inferred, "frames_encoded": encoded}
        table |= {"frames_extracted": self._extraction.count.inferred} if self._extraction else {}
        return table | ({"frames_spared": self.count.skipped} if self.count.skipped else {})

    @cached_property
    def _filter(self) -> Filter | BatchFilter:
        return self.plan.settings.make_filter()

    def extract(self, missing: Sequence[int]) -> None:
        """Make the extractor's pictures that the missing chunks need, where the plan has one.

        Chunks whose raw outputs are stored need none.
        """
        if self._extraction is None:
            return
        needed: set[int] = set()
        for run, lo, hi in read_ranges(self.plan.chunks, missing, self._filter.radius):
            # A recursive filter that lost its state begins with the shot.
            first, stop = self._extent(run[0].shot_first if isinstance(self._filter, RecursiveFilter) else lo, hi)
            reached = [chunk for chunk in self.plan.chunks if chunk.first < stop and chunk.stop > first]
            needed |= {chunk.number for chunk in reached if not self.raw.has(chunk.first)}
        self._extraction.make([self.plan.chunks[number] for number in sorted(needed)])

    def render(self, store: ChunkStore, states: StateStore, missing: Sequence[int]) -> None:
        """Render the missing chunks, in runs of neighbours, in one pass over the frames of each run."""
        plan, context = self.plan, self.context
        method = self._filter
        total = plan.num_frames
        done = begun_at = total - num_frames(plan.chunks[n] for n in missing)
        raw = [self.raw.store.entry.folder] if self.raw.store else []
        forecast = DiskForecast([*raw, store.entry.folder], total - done)
        task = f"rendering {plan.clip.name}"
        for run, lo, hi in read_ranges(plan.chunks, missing, method.radius):
            if isinstance(method, RecursiveFilter):
                lo = self._resume(method, states, run[0])
            with closing(self._render_run(store, states, method, run, lo, hi)) as frames:
                for _ in frames:
                    done += 1
                    context.report(Progress(task, done, total, counted=True))
                    if done - begun_at == FORECAST_FRAMES and (shortfall := forecast.shortfall(FORECAST_FRAMES)):
                        text = f"the disk will be full before {plan.clip.name} is done: {shortfall}"
                        context.note(f"{text} — free some space, or stop and give another --cache-dir", "warning")
                    context.stop.check()

    def _render_run(
        self,
        store: ChunkStore,
        states: StateStore,
        method: Filter | BatchFilter,
        run: Sequence[Chunk],
        lo: int,
        hi: int,
    ) -> Generator[None, None, None]:
        """Render a run of chunks from the frames [lo, hi): reading, the network, the filter and encoding side by side.

        Yields when a frame is handed on to be encoded.
        """
        plan, wanted = self.plan, range(run[0].first, run[-1].stop)
        stamps = [plan.delivery.stamps(number) for number in wanted]
        with ExitStack() as stack:
            stack.enter_context(limit_opencv_threads(self._kind))
            # TF32 is chosen for the whole process: the filter may not compute while the network does.
            ahead = 0 if "tf32" in self.engine.precision else self._capacity
            samples = stack.enter_context(closing(Prefetcher(self.samples(lo, hi), ahead, "network", self._clock)))
            log = ChunkLog(plan, self.context, self._kind, self._clock, store)
            blend = self._device.blend() if self._device else None
            if blend is not None:
                stack.enter_context(closing(blend))
            compose = None
            if plan.is_composed and blend is None:
                compose = stack.enter_context(closing(Composer(plan, wanted.start, wanted.stop)))
            correct = None
            if plan.corrections is not None:
                correct = plan.corrections.corrector((plan.picture.width, plan.picture.height))
            writer = stack.enter_context(closing(ChunkWriter(store, run, plan.segment, log.add)))
            queue = stack.enter_context(closing(BackgroundQueue(self._capacity)))

            def encode(sample: Sample, picture: Any) -> None:  # noqa: ANN401  (an array, or a download)
                with self._clock.step(ENCODE):
                    picture = picture if self._device is None else picture.wait()
                    result = picture if compose is None else compose(sample, picture)
                    result = result if correct is None else correct(sample.index, result)
                    writer.write(sample.index, result, *stamps[sample.index - wanted.start])

            for sample, picture in self._each(FILTER, self._filtered(samples, method, wanted)):
                if self._device is not None:
                    with self._clock.step(FILTER):
                        picture = self._device.fetch(sample, picture if blend is None else blend(sample, picture))
                queue.put(partial(encode, sample, picture))
                if isinstance(method, RecursiveFilter):
                    self._save_state(method, states, sample.index, queue)
                yield
            queue.finish()

    def _filtered(
        self, samples: Iterator[Sample], method: Filter | BatchFilter, wanted: range
    ) -> Generator[tuple[Sample, Any], None, None]:
        if self.plan.settings.filter_name == "off":
            return ((sample, sample.output) for sample in samples)
        return filter_samples(samples, method, wanted)

    def _resume(self, method: RecursiveFilter, states: StateStore, chunk: Chunk) -> int:
        """Give a recursive filter its state before a chunk; return the frame from which on it has to see the clip."""
        state = states.load(chunk.number - 1) if chunk.first > chunk.shot_first else None
        if state is None:
            return chunk.shot_first
        method.resume(state)
        return chunk.first

    def _save_state(self, method: RecursiveFilter, states: StateStore, frame: int, queue: BackgroundQueue) -> None:
        """Save a filter's state at the end of a chunk, once that is written."""
        chunk = self._chunk_of(frame)
        if frame == chunk.stop - 1 and chunk.stop < chunk.shot_stop:
            queue.put(partial(states.save, chunk.number, method.state()))

    def samples(self, lo: int, hi: int) -> Generator[Sample, None, None]:
        """Yield the frames [lo, hi) with the model's raw output: from the store, else inferred and stored."""
        plan = self.plan
        first, stop = self._extent(lo, hi)
        begin = input_frames(plan.pairing, first, self._shot_of(first)[0])[0]
        with ExitStack() as stack:
            guides = stack.enter_context(closing(self._guides(lo, hi)))
            stack.enter_context(closing(self.raw))
            queue = stack.enter_context(closing(BackgroundQueue(self._capacity if self.raw.store else 0)))
            renderer = plan.renderer(self.engine, self.count) if self._device is None else self._device.renderer()
            stack.enter_context(closing(renderer))
            prepared = self._each(READ, self._prepared(renderer, begin, first, stop))
            prefetched = stack.enter_context(closing(Prefetcher(prepared, self._capacity, "frames", self._clock)))
            for sample in stack.enter_context(closing(self._each(NETWORK, renderer.stream(prefetched)))):
                if self._device is None:
                    queue.put(partial(self._write_raw, sample.index, sample.output))
                elif self._is_to_store(sample.index):
                    queue.put(partial(self._write_fetched, sample.index, self._device.fetch(sample, sample.output)))
                if not lo <= sample.index < hi:
                    continue
                with self._clock.step(READ):
                    guide = next(guides)
                yield sample if guide is None else replace(sample, guide=guide)
            queue.finish()

    def _is_to_store(self, frame: int) -> bool:
        """Return whether the output of a frame is to be stored, and is not yet."""
        store = self.raw.store
        return store is not None and not store.is_done(self._written_chunk(frame).number)

    def _write_fetched(self, frame: int, output: Download) -> None:
        self._write_raw(frame, output.wait())

    def _write_raw(self, frame: int, output: np.ndarray) -> None:
        with self._clock.step(ENCODE):
            self.raw.write(frame, output)

    def _each(self, step: str, items: Generator[T, None, None]) -> Generator[T, None, None]:
        """Yield the items; to make one is counted as a step, what is done with it is not."""
        with closing(items):
            while True:
                with self._clock.step(step):
                    try:
                        item = next(items)
                    except StopIteration:
                        return
                yield item

    def _prepared(
        self, renderer: FrameRenderer, begin: int, first: int, stop: int
    ) -> Generator[PreparedFrame, None, None]:
        """Read the frames [begin, stop); of those before ``first`` only inputs are made."""
        plan, chunk_of = self.plan, ChunkFinder(self.plan.chunks)
        extracted = self._extraction.pictures() if self._extraction else None
        with (
            plan.clip.reader(plan.form(plan.size), plan.threads) as reader,
            closing(reader.frames(begin, stop, plan.clip.index)) as frames,
        ):
            for frame in frames:
                if frame.index < first:
                    renderer.remember(frame)
                    continue
                chunk, known = chunk_of(frame.index), self.raw.read(frame.index)
                if extracted is not None and known is None:
                    picture = extracted.read(frame.index)
                    assert picture is not None  # it was extracted before
                    frame = replace(frame, guides=(resize(picture, *plan.input_size),))
                shot, restarts = (chunk.shot_first, chunk.shot_stop), frame.index == chunk.first
                yield renderer.prepare(frame, shot, known, restarts=restarts)

    def _extent(self, lo: int, hi: int) -> tuple[int, int]:
        """Return the frames that have to be rendered, or known, for the outputs of the frames [lo, hi)."""
        plan, draft = self.plan, self.plan.draft
        first, stop = self._recurrent_from(lo) if plan.model.is_recurrent else lo, hi
        if draft:
            first, _ = draft.reach(first, hi, *self._shot_of(first))
            _, stop = draft.reach(lo, hi, *self._shot_of(hi - 1))
        if plan.rendering.duplicate_threshold and not plan.model.is_recurrent:
            # Which outputs are reused depends on all that the chunk has rendered before.
            first = self._chunk_of(first).first
            first = draft.reach(first, hi, *self._shot_of(first))[0] if draft else first
        return first, stop

    def _shot_of(self, frame: int) -> tuple[int, int]:
        """Return the frames [first, stop) of the shot that a frame is in."""
        chunk = self._chunk_of(frame)
        return chunk.shot_first, chunk.shot_stop

    def _recurrent_from(self, frame: int) -> int:
        """Return the frame from which on a recurrent model has to see the clip, to go on at ``frame``.

        The one before the first whose output is not stored, or the first of the shot.
        """
        chunk = self._chunk_of(frame)
        while not self.raw.has(frame) and chunk.first > chunk.shot_first:
            frame = chunk.first - 1
            chunk = self.plan.chunks[chunk.number - 1]
        return frame if self.raw.has(frame) else chunk.first

    def _guides(self, start: int, stop: int) -> Generator[np.ndarray | None, None, None]:
        """Yield what guides the filter at the frames [start, stop); None where they do it themselves."""
        if self.plan.guide is None:
            yield from repeat(None, stop - start)
        else:
            yield from self.plan.guide.pictures(self.plan.size, start, stop, self.context)
