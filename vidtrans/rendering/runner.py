"""What is missing of a render: frames are read, painted, filtered and encoded, side by side where that pays."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from vidtrans.concurrency.background import Background, room_beside, sharing_cores
from vidtrans.concurrency.prefetch import Ahead
from vidtrans.events import Progress
from vidtrans.inference.engine import Engine
from vidtrans.rendering.frame_renderer import Count, lookback, painted, prepared
from vidtrans.settings import Table
from vidtrans.store.chunking import Chunk, chunk_of, spans
from vidtrans.store.chunks import ChunkStore, ChunkWriter, RawOutputs, StateStore
from vidtrans.store.disk_forecast import Room
from vidtrans.temporal.stream import Filter, Recursive, Sample, filtered

if TYPE_CHECKING:
    from vidtrans.rendering.plan import RenderJob


# Frames after which it is looked whether the disk will do: three chunks by default, of which two are written for sure.
LOOK_AHEAD = 200


def num_frames(chunks: Iterable[Chunk]) -> int:
    return sum(chunk.stop - chunk.first for chunk in chunks)


class Filling:
    """Renders parts of a ``job``; ``raw`` holds what the ``engine`` has made of it, ``count`` what that was."""

    def __init__(self, job: RenderJob, engine: Engine, raw: RawOutputs) -> None:
        self.job, self.engine, self.raw, self.count = job, engine, raw, Count()
        self._kind = engine.identity.get("device", "cpu")
        self._room = room_beside(self._kind, *job.size)  # between steps; 0: they take turns

    def counts(self, filled: Sequence[int]) -> Table:
        """What is reported when the chunks of these numbers have been filled."""
        encoded = num_frames(self.job.chunks[n] for n in filled)
        made: Table = {"frames_inferred": self.count.inferred, "frames_encoded": encoded}
        return made | ({"frames_spared": self.count.spared} if self.count.spared else {})

    def fill(self, store: ChunkStore, states: StateStore, missing: Sequence[int]) -> None:
        """Render the missing chunks, in runs of neighbours, in one pass over the frames of each run."""
        job, context = self.job, self.job.context
        method = job.settings.make_filter()
        total = job.stop - job.first
        done = begun_at = total - num_frames(job.chunks[n] for n in missing)
        raw = [self.raw.store.entry.folder] if self.raw.store else []
        room = Room([*raw, store.entry.folder], total - done)
        for run, lo, hi in spans(job.chunks, missing, method.radius):
            if isinstance(method, Recursive):
                lo = self._take_up(method, states, run[0])
            with closing(self._render_run(store, states, method, run, lo, hi)) as frames:
                for _ in frames:
                    done += 1
                    context.report(Progress(f"rendering {job.clip.name}", done, total))
                    if done - begun_at == LOOK_AHEAD and (lacking := room.lacking(LOOK_AHEAD)):
                        told = f"the disk will be full before {job.clip.name} is done: {lacking}"
                        context.note(f"{told} — free some space, or stop and give another --cache-dir", "warning")
                    context.stop.check()

    def _render_run(
        self,
        store: ChunkStore,
        states: StateStore,
        method: Filter,
        run: Sequence[Chunk],
        lo: int,
        hi: int,
    ) -> Generator[int, None, None]:
        """Render a run of chunks from the frames [lo, hi): reading, the network, the filter and encoding side by side.

        Yields each frame's number when it is handed on to be encoded.
        """
        wanted, room = range(run[0].first, run[-1].stop), self._room
        with ExitStack() as stack:
            stack.enter_context(sharing_cores(self._kind))
            samples = stack.enter_context(closing(Ahead(self.samples(lo, hi), room, "network")))
            compose = stack.enter_context(closing(self.job.composer(wanted.start, wanted.stop)))
            writer = stack.enter_context(closing(ChunkWriter(store, run, self.job.segment)))
            beside = stack.enter_context(closing(Background(room)))

            def finish(sample: Sample, picture: np.ndarray) -> None:
                writer.write(sample.index, compose(sample, picture), self.job.delivery.stamps(sample.index))

            for sample, picture in filtered(samples, method, wanted):
                beside.put(partial(finish, sample, picture))
                if isinstance(method, Recursive):
                    self._keep(method, states, sample.index, beside)
                yield sample.index
            beside.finish()

    def _take_up(self, method: Recursive, states: StateStore, chunk: Chunk) -> int:
        """Give a recursive filter what it knew before a chunk; the frame from which on it has to see the clip."""
        state = states.after(chunk.number - 1) if chunk.first > chunk.shot_first else None
        if state is None:
            return chunk.shot_first
        method.resume(state)
        return chunk.first

    def _keep(self, method: Recursive, states: StateStore, frame: int, beside: Background) -> None:
        """Keep what a filter knows at the end of a chunk, once that is written."""
        chunk = chunk_of(self.job.chunks, frame)
        if frame == chunk.stop - 1 and chunk.stop < chunk.shot_stop:
            beside.put(partial(states.keep, chunk.number, method.state()))

    def samples(self, lo: int, hi: int) -> Generator[Sample, None, None]:
        """Frames [lo, hi) with the model's raw output: from the store where it is there, else inferred and stored."""
        memory, draft = self.job.memory(), self.job.draft
        first, stop = self._remembered_from(lo) if memory else lo, hi
        if draft:
            first, _ = draft.reach(first, hi, *self._shot_of(first))
            _, stop = draft.reach(lo, hi, *self._shot_of(hi - 1))
        if self.job.rendering.reuse and not memory:
            # What is taken again depends on all that its chunk has painted before.
            first = chunk_of(self.job.chunks, first).first
            first = draft.reach(first, hi, *self._shot_of(first))[0] if draft else first
        begin = lookback(self.job.pairing, first, self._shot_of(first)[0])
        starts = {chunk.first for chunk in self.job.chunks}
        with ExitStack() as stack:
            guides = stack.enter_context(closing(self._guides(lo, hi)))
            stack.enter_context(closing(self.raw))
            beside = stack.enter_context(closing(Background(self._room if self.raw.store else 0)))
            inputs = stack.enter_context(closing(self.job.inputs()))
            read = stack.enter_context(closing(self.job.frames(self.job.size, begin, stop)))
            shown = prepared(read, first, self._shot_of, inputs, self.raw.known, draft)
            given = stack.enter_context(closing(Ahead(shown, self._room, "frames")))
            samples = painted(
                given,
                self.engine,
                deep=self.job.depth > 8,
                memory=memory,
                reuse=self.job.rendering.reuse,
                begins=starts.__contains__,
                count=self.count,
            )
            samples = stack.enter_context(closing(samples))
            if self.job.carrier:
                samples = stack.enter_context(closing(self.job.carrier(samples)))
            for sample in samples:
                beside.put(partial(self.raw.keep, sample.index, sample.output))
                if not lo <= sample.index < hi:
                    continue
                guide = next(guides)
                yield sample if guide is None else replace(sample, guide=guide)
            beside.finish()

    def _shot_of(self, frame: int) -> tuple[int, int]:
        """The frames [first, stop) of the shot that a frame is in."""
        chunk = chunk_of(self.job.chunks, frame)
        return chunk.shot_first, chunk.shot_stop

    def _remembered_from(self, frame: int) -> int:
        """The frame from which on a model that remembers has to see the clip, to go on at ``frame``.

        The one before the first whose output is not stored, or the first of the shot.
        """
        chunk = chunk_of(self.job.chunks, frame)
        while not self.raw.holds(frame) and chunk.first > chunk.shot_first:
            frame = chunk.first - 1
            chunk = self.job.chunks[chunk.number - 1]
        return frame if self.raw.holds(frame) else chunk.first

    def _guides(self, start: int, stop: int) -> Generator[np.ndarray | None, None, None]:
        """What guides the filter at the frames [start, stop), where they do not do it themselves."""
        if self.job.guide is None:
            yield from repeat(None, stop - start)
        else:
            yield from self.job.guide.pictures(self.job.size, start, stop, self.job.context)
