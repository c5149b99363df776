"""Make the missing chunks of a render: read, render, filter and encode, in parallel threads where that is faster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cached_property, partial
from itertools import repeat
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vidtrans.core.concurrency.threads import (
    BackgroundQueue,
    Prefetcher,
    StepClock,
    decoder_threads,
    limit_opencv_threads,
    stage_buffer_capacity,
)
from vidtrans.core.events import Progress
from vidtrans.core.machine import release_freed_memory, release_interval, return_large_blocks
from vidtrans.core.settings import Table
from vidtrans.inference.engine import Engine
from vidtrans.pairing.base import input_frames
from vidtrans.rendering.chunk_log import ENCODE, FILTER, NETWORK, READ, ChunkLog
from vidtrans.rendering.composite import Composer
from vidtrans.rendering.enlarger import Enlarger
from vidtrans.rendering.extracted_pictures import ExtractedPictures
from vidtrans.rendering.frame_path import FramePath
from vidtrans.rendering.frame_renderer import FrameRenderer, PreparedFrame
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.skipped_frames import RenderCount
from vidtrans.rendering.temporal_steps import FindColours, TemporalSteps
from vidtrans.session import Context
from vidtrans.store.chunking import Chunk, num_frames, read_ranges
from vidtrans.store.chunks import ChunkFinder, ChunkStore, ChunkWriter, RawOutputs, StateStore
from vidtrans.store.disk_forecast import DiskForecast
from vidtrans.temporal.stream import Sample
from vidtrans.video.images.picture import resize

T = TypeVar("T")
FORECAST_FRAMES = 200  # before an estimate of the disk use: three chunks by default, at least two of them written


class ChunkRenderer:
    """A renderer of a plan's missing chunks.

    ``raw`` stores the outputs of the ``engine``; ``count`` counts rendered frames. With an ``extraction``
    (pictures that an extractor makes for the input), call ``extract`` before ``render``. ``clock``: common to several.
    ``find_colours``: see ``TemporalSteps``.
    """

    def __init__(
        self,
        plan: RenderPlan,
        engine: Engine,
        raw: RawOutputs,
        context: Context,
        extraction: ExtractedPictures | None = None,
        clock: StepClock | None = None,
        find_colours: FindColours = lambda: None,
    ) -> None:
        self.plan, self.engine, self.raw, self.context, self.count = plan, engine, raw, context, RenderCount()
        self._extraction, self._clock, self._find_colours = extraction, clock or StepClock(), find_colours
        self._kind = engine.device_kind
        # Capacities of buffers; 0: no threads. With TF32, a setting of the process, nothing may compute beside it.
        self._takes_turns = "tf32" in engine.precision
        self._capacity, size = stage_buffer_capacity(self._kind, *plan.size), (plan.picture.width, plan.picture.height)
        self.result_capacity = 0 if self._takes_turns else min(self._capacity, stage_buffer_capacity(self._kind, *size))
        self._chunk_of = ChunkFinder(plan.chunks)
        self._written_chunk = ChunkFinder(plan.chunks)  # for the thread that samples are made in

    def counts(self, rendered: Sequence[int]) -> Table:
        """Return the frame counts for the result table, after the chunks ``rendered`` were made."""
        table: Table = {"frames_inferred": self.count.inferred}
        table["frames_encoded"] = num_frames(self.plan.chunks[n] for n in rendered)
        table |= {"frames_extracted": self._extraction.count.inferred} if self._extraction else {}
        return table | ({"frames_spared": self.count.skipped} if self.count.skipped else {})

    @property
    def raw_folders(self) -> list[Path]:
        """The folders of stored raw outputs."""
        return [self.raw.store.entry.folder] if self.raw.store else []

    @cached_property
    def steps(self) -> TemporalSteps:
        """The temporal filter, and the painter of strokes."""
        return TemporalSteps(self.plan, self._find_colours)

    def extract(self, missing: Sequence[int]) -> None:
        """Make the extractor's pictures, if the plan has one, that chunks without stored raw outputs need."""
        if self._extraction is None:
            return
        needed: set[int] = set()
        for run, lo, hi in read_ranges(self.plan.chunks, missing, self.steps.filter.radius):
            # Without a saved state, steps that have one start at the beginning of the shot.
            first, stop = self._extent(run[0].shot_first if self.steps.has_state else lo, hi)
            reached = [chunk for chunk in self.plan.chunks if chunk.first < stop and chunk.stop > first]
            needed |= {chunk.number for chunk in reached if not self.raw.has(chunk.first)}
        self._extraction.make([self.plan.chunks[number] for number in sorted(needed)])

    def render(self, store: ChunkStore, states: StateStore, missing: Sequence[int], enlarge: Enlarger) -> None:
        """Render the missing chunks, given by number; each run of consecutive chunks takes one pass over its frames."""
        plan, context, steps, total = self.plan, self.context, self.steps, len(self.plan.frames)
        done = begun_at = total - num_frames(plan.chunks[n] for n in missing)
        forecast = DiskForecast([*self.raw_folders, store.entry.folder], total - done)
        task = f"rendering {plan.clip.name}"
        for run, _, hi in read_ranges(plan.chunks, missing, steps.filter.radius):
            lo = steps.resume(run[0], states)
            with closing(self._render_run(store, states, run, lo, hi, enlarge)) as frames:
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
        run: Sequence[Chunk],
        lo: int,
        hi: int,
        enlarge: Enlarger,
    ) -> Generator[None, None, None]:
        """Render a run of chunks from the frames [lo, hi), all stages in parallel; yield for each one to encode."""
        plan, wanted = self.plan, range(run[0].first, run[-1].stop)
        stamps = {number: plan.delivery.stamps(number) for number in wanted}
        log = ChunkLog(plan, self.context, self._kind, self._clock, store)
        with ExitStack() as stack:
            composed = self.composed(stack, wanted, lo, hi, enlarge)
            writer = stack.enter_context(closing(ChunkWriter(store, run, plan.segment, log.add)))
            queue = stack.enter_context(closing(BackgroundQueue(self.result_capacity)))
            interval = release_interval(*plan.size)
            return_large_blocks(self._kind, *plan.size)

            def encode(index: int, compose: Callable[[], np.ndarray]) -> None:
                with self._clock.step(ENCODE):
                    writer.write(index, compose(), *stamps[index])
                    if self._kind == "cpu" and index % interval == 0:
                        release_freed_memory()

            for index, compose in composed:
                queue.put(partial(encode, index, compose))
                if self.steps.has_state:
                    self.steps.save(states, self._chunk_of(index), index, queue)
                yield
            queue.finish()

    def composed(
        self, stack: ExitStack, wanted: range, lo: int, hi: int, enlarge: Enlarger
    ) -> Generator[tuple[int, Callable[[], np.ndarray]], None, None]:
        """Return the number of each ``wanted`` frame and a call that makes its picture, from the frames [lo, hi).

        The ``stack`` is to be closed after the last call; it ends all stages.
        """
        made, picture, found = self.uncorrected(stack, wanted, lo, hi, enlarge), self.plan.picture, None
        if self.plan.corrections is not None:
            found = self.plan.corrections.corrector((picture.width, picture.height), stack, self.plan.threads)
        return ((index, partial(_corrected, found, index, make) if found else make) for index, make in made)

    def uncorrected(
        self, stack: ExitStack, wanted: range, lo: int, hi: int, enlarge: Enlarger
    ) -> Generator[tuple[int, Callable[[], np.ndarray]], None, None]:
        """Return what ``composed`` does, without corrections."""
        plan = self.plan
        stack.enter_context(limit_opencv_threads(self._kind))
        renderer = stack.enter_context(closing(FramePath.find(plan, self.engine).renderer(self.count)))
        capacity, compose = 0 if self._takes_turns else self._capacity, None
        prefetcher = Prefetcher(self._samples(renderer, lo, hi), capacity, "network", self._clock)
        samples = stack.enter_context(closing(prefetcher))
        if not renderer.blends:
            compose = Composer.opened(plan, wanted, enlarge, stack, self._clock if capacity else None)

        def begun() -> Generator[tuple[int, Callable[[], np.ndarray]], None, None]:
            for sample, picture in self._each(FILTER, self.steps(samples, wanted)):
                with self._clock.step(FILTER):
                    arrive = renderer.finish(sample, picture)
                yield sample.index, compose.begin(sample, arrive) if compose else arrive

        return begun()

    def samples(self, lo: int, hi: int) -> Generator[Sample, None, None]:
        """Yield the frames [lo, hi) as arrays, with the model's raw output: stored, or inferred and then stored."""
        with closing(FramePath(self.plan, self.engine).renderer(self.count)) as renderer:
            yield from self._samples(renderer, lo, hi)

    def _samples(self, renderer: FrameRenderer, lo: int, hi: int) -> Generator[Sample, None, None]:
        plan = self.plan
        first, stop = self._extent(lo, hi)
        begin = input_frames(plan.pairing, first, self._shot_of(first)[0])[0]
        with ExitStack() as stack:
            guides = stack.enter_context(closing(self._guides(lo, hi)))
            stack.enter_context(closing(self.raw))
            queue = stack.enter_context(closing(BackgroundQueue(self._capacity if self.raw.store else 0)))
            prepared = self._each(READ, self._prepared(renderer, begin, first, stop))
            prefetched = stack.enter_context(closing(Prefetcher(prepared, self._capacity, "frames", self._clock)))
            for sample in stack.enter_context(closing(self._each(NETWORK, renderer.stream(prefetched)))):
                if self._is_to_store(sample.index):
                    queue.put(partial(self._write_raw, sample.index, renderer.fetch(sample, sample.output)))
                if not lo <= sample.index < hi:
                    continue
                with self._clock.step(READ):
                    guide = next(guides)
                yield sample if guide is None else replace(sample, guide=guide)
            queue.finish()

    def _is_to_store(self, frame: int) -> bool:
        """Return whether a frame's output is still missing in the store."""
        store = self.raw.store
        return store is not None and not store.is_done(self._written_chunk(frame).number)

    def _write_raw(self, frame: int, arrive: Callable[[], np.ndarray]) -> None:
        with self._clock.step(ENCODE):
            self.raw.write(frame, arrive())

    def _each(self, step: str, items: Generator[T, None, None]) -> Generator[T, None, None]:
        """Yield the items; the clock counts the time to produce each item as a step, not the time of its consumer."""
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
        """Read the frames [begin, stop) and prepare them; those before ``first`` only serve later frames' inputs."""
        plan, chunk_of = self.plan, ChunkFinder(self.plan.chunks)
        threads = plan.threads or (decoder_threads(self._kind, *plan.size) if plan.is_painted else 0)
        extracted = self._extraction.pictures() if self._extraction else None
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

    def _extent(self, lo: int, hi: int) -> tuple[int, int]:
        """Return the range [first, stop) of frames whose outputs are needed to render the frames [lo, hi)."""
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
        """Return the frame from which a recurrent model has to run, to continue at ``frame``.

        It is the last frame with a stored output before the missing ones, or the first of the shot.
        """
        chunk = self._chunk_of(frame)
        while not self.raw.has(frame) and chunk.first > chunk.shot_first:
            frame = chunk.first - 1
            chunk = self.plan.chunks[chunk.number - 1]
        return frame if self.raw.has(frame) else chunk.first

    def _guides(self, start: int, stop: int) -> Generator[np.ndarray | None, None, None]:
        """Yield the guide of the filter for the frames [start, stop); None where a frame is its own guide."""
        guide, none = self.plan.guide, repeat(None, stop - start)
        yield from none if guide is None else guide.pictures(self.plan.size, start, stop, self.context)


def _corrected(correct: Callable[[int, np.ndarray], np.ndarray], index: int, arrive: Callable[[], Any]) -> np.ndarray:
    return correct(index, arrive())
