"""The part of a dream that needs the engine: what is missing of every chunk, and joining them all."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from vidtrans.clips.indexing import Clip
from vidtrans.concurrency.threads import BackgroundQueue, buffer_capacity
from vidtrans.config.rendering import RenderingSettings
from vidtrans.dreaming.controls import DreamControls
from vidtrans.dreaming.predictors import positions_of
from vidtrans.dreaming.resumable_rollout import Loop, ResumableRollout
from vidtrans.dreaming.rollout import Rollout, RolloutControls
from vidtrans.dreaming.seeds import Driver, Seed
from vidtrans.dreaming.sequencer import ModelSequencer, statistics_in
from vidtrans.dreaming.settings import DreamingSettings
from vidtrans.events import Progress
from vidtrans.files import link_target, write_atomically
from vidtrans.flow.survey import Survey
from vidtrans.inference.torch_engine import to_pictures
from vidtrans.output.delivery import Delivery
from vidtrans.output.target import record, up_to_date
from vidtrans.rendering.cost import TRIAL_FRAMES, estimate
from vidtrans.rendering.planning import makes_folder
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.store.chunking import Chunk
from vidtrans.store.chunks import ChunkStore, ChunkWriter, StateStore
from vidtrans.store.stages import DreamStage, media_libraries
from vidtrans.video.io.clip import ClipIndex
from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import EncodingSettings
from vidtrans.video.io.sequence import picture_encoder
from vidtrans.video.io.stream_copy import StreamCopy

STATES_APART = 8  # chunks: a state stays of every so many, so that a shorter dream, or damage, costs no more than these
# Below this the encoder's own threads do: 4.1 to 4.8 ms of processor time a frame of 144x80, with a thread of ours 4.8
# to 5.1, as Python's threads take turns; at 256x256 both cost the same.
AT_ONCE_PIXELS = 256 * 256


@dataclass(frozen=True)
class DreamPlan:
    """What a dream is made of. ``frames``: how many; ``rate``: of them a second; ``pattern``: of numbered pictures."""

    seed: Seed
    frames: int
    rate: Fraction
    cast: ModelSequencer
    direction: DreamControls
    dreaming: DreamingSettings
    rendering: RenderingSettings
    encoding: EncodingSettings
    loop: Loop | None
    driver: Driver | None
    sound: Path | None
    pattern: str


class DreamJob:
    """One dream."""

    def __init__(self, plan: DreamPlan, context: Context) -> None:
        self.plan, self.context = plan, context
        length = plan.rendering.chunk_frames
        starts = range(0, plan.frames, length)
        # Named after their ends: a last chunk that is short is another one than the whole one of a longer dream.
        ends = [(a, min(a + length, plan.frames)) for a in starts]
        self.chunks = [Chunk(stop, first, stop, 0, plan.frames) for first, stop in ends]
        self.delivery = Delivery(self._as_clip(), range(plan.frames), plan.encoding, pattern=plan.pattern)
        self.delivery.tell(context)
        self.num_dreamt = 0

    def _as_clip(self) -> Clip:
        """Return the dream as a clip of constant rate."""
        seed, rate = self.plan.seed, self.plan.rate
        step = rate.denominator
        index = ClipIndex(
            pts=tuple(range(0, self.plan.frames * step, step)),
            time_base=Fraction(1, rate.numerator),
            last_duration=step,
            width=seed.shown[0],
            height=seed.shown[1],
            sample_aspect_ratio=seed.sample_aspect_ratio,
            rate=rate,
            num_rebuilt_pts=0,
            num_frames_from_header=self.plan.frames,
        )
        return Clip(seed.clip.path if seed.clip else Path(seed.name), "", index, Survey((0,)))

    def render(self, output: Path, request: str) -> Table:
        """Make what is missing of every chunk, join the segments and the sound, record and name the result."""
        plan, cache = self.plan, self.context.cache
        stage = self._stage()
        entry = cache.entry(stage.name, stage.key)
        with entry.locked():
            store = ChunkStore(entry, "." + plan.encoding.chunk_codec.segments)
            apart = STATES_APART * plan.rendering.chunk_frames
            states = StateStore(entry, lambda number: number % apart == 0)
            missing = [c for c in self.chunks if not store.is_done(c.number)]
            if missing:
                self._fill(store, states, missing)
            counts = {"frames_inferred": self.num_dreamt, "frames_encoded": sum(c.stop - c.first for c in missing)}
            folder = makes_folder(plan.encoding, output)
            # Another run may have put something there meanwhile.
            up_to_date(cache, output, request, [], self.context.overwrite, folder=folder)
            self.context.report(Progress("joining", 0, None))
            with write_atomically(link_target(output)) as temporary:
                held = [store.path(c.number) for c in self.chunks]
                assembly = replace(self.delivery.assembly(folder), carried=self._carried())
                written = assembly.write(held, temporary, entry.folder, self.context)
                result = self.summary(output) | counts | written
                record(cache, output, temporary, request, result)
            entry.finish({"frames": plan.frames})
        return result

    def _carried(self) -> StreamCopy | None:
        plan = self.plan
        if plan.sound is None or plan.encoding.sound == "none":
            return None
        # From its first packet on: what an encoder put before 0 is needed to decode what comes after.
        return StreamCopy(plan.sound, end_s=plan.frames / plan.rate, rate=plan.rate, only_sound=True)

    def _fill(self, store: ChunkStore, states: StateStore, missing: Sequence[Chunk]) -> None:
        """Dream the missing chunks, and what has to be gone through on the way to them; encode beside it."""
        plan = self.plan
        total, done = plan.frames, plan.frames - sum(c.stop - c.first for c in missing)
        with self._dreaming() as begin, closing(ChunkWriter(store, self.chunks, self._segment)) as writer:
            course = ResumableRollout(begin, states, plan.loop, self._passed)
            with closing(BackgroundQueue(self._waiting)) as beside:
                for chunk in missing:
                    course.go_to(chunk.first)
                    for frame in range(chunk.first, chunk.stop):
                        picture = self._picture(course.next())
                        beside.put(partial(writer.write, frame, picture, self.delivery.stamps(frame)[0]))
                        done += 1
                        self.context.report(Progress(f"dreaming {plan.seed.name}", done, total))
                        self.context.stop.check()
                    if chunk.stop % plan.rendering.chunk_frames == 0:  # a longer dream has no chunk that ends elsewhere
                        beside.put(partial(states.save, chunk.number, course.state()))
                beside.finish()

    @property
    def _waiting(self) -> int:
        """How many pictures may wait to be encoded."""
        width, height = self.plan.seed.size
        if self.delivery.kept.width * self.delivery.kept.height <= AT_ONCE_PIXELS:
            return 0
        return buffer_capacity(width, height)

    def _passed(self) -> None:
        """Report a predicted frame."""
        self.num_dreamt += 1
        self.context.stop.check()

    @contextmanager
    def _dreaming(self) -> Iterator[Callable[[], Rollout]]:
        """Return a function that begins the rollout before its first frame."""
        plan, loop = self.plan, self.plan.loop
        look = plan.cast.looks[0]
        seed = plan.seed.pictures(self.context, statistics_in(look))
        drive, close = plan.driver.pictures(self.context.decode_threads) if plan.driver else (None, lambda: None)
        around: Callable[[int], int] = (lambda n: n % loop.frames) if loop else (lambda n: n)
        direction = plan.direction
        score = RolloutControls(
            lambda n: direction.move(around(n)),
            (lambda n: loop.speed) if loop else direction.speed,
            lambda n: direction.amount(around(n)),
            None if drive is None else lambda n: drive(around(n)),
        )

        def begin() -> Rollout:
            first = -loop.run_in if loop else 0
            return Rollout(
                seed, lambda n: plan.cast(around(n)), score, first=first, phase=self._phase, strayed=self._strayed
            )

        try:
            yield begin
        finally:
            close()

    @property
    def _phase(self) -> float:
        """Where the clock of the first model is when the newest frame of the seed is seen, in turns."""
        look, position = self.plan.cast.looks[0], self.plan.dreaming.start_position
        positions = positions_of(look)
        if not positions:
            return 0.0
        if position is not None:
            return position / 2  # there, and the same way back
        settings = look.pairing.settings
        return float((settings.context - 1) * settings.step / positions)

    def _strayed(self, frame: int) -> None:
        told = f"frame {frame}: the dream had strayed too far from what was learned, it begins again from the seed"
        self.context.note(told, "warning")

    def _picture(self, made: Tensor) -> np.ndarray:
        picture: np.ndarray = to_pictures(made[None], deep=self.delivery.depth > 8)[0]
        return picture

    def _segment(self, path: Path) -> SegmentWriter:
        return SegmentWriter(path, self.delivery.kept, self.plan.encoding)

    def _stage(self) -> DreamStage:
        plan = self.plan
        return DreamStage(
            seed=plan.seed.for_key(self.context),
            models=plan.cast.models_for_key(),
            cast=plan.cast.for_key(),
            size=list(plan.seed.size),
            rate=str(plan.rate),
            directing=plan.direction.for_key() | {"governor": plan.dreaming.drift_correction, "phase": self._phase},
            loop=plan.loop.for_key() if plan.loop else {},
            blend={"source": plan.driver.clip.digest} if plan.driver else {},
            sound=plan.direction.sound_for_key(),
            chunk_frames=plan.rendering.chunk_frames,
            encoding=plan.encoding.chunk_key(self.delivery.kept),
            picture={k: str(v) for k, v in self.delivery.kept.__dict__.items()},
            engine=dict(plan.cast(0).engine.identity),
            libraries=media_libraries(),
        )

    def estimate(self) -> Table:
        """Time, disk and memory that the dream will take, from a trial on its first frames. Nothing is left behind."""
        plan = self.plan
        encode = picture_encoder(plan.encoding.codec) if plan.encoding.makes_pictures else None
        count, unpacked = min(plan.frames, TRIAL_FRAMES), 0
        with self._dreaming() as begin, tempfile.TemporaryDirectory(prefix="vidtrans-") as place:
            rollout, path = begin(), Path(place) / "segment"
            rollout.step()  # what the first one costs, it costs once
            began = time.perf_counter()
            with closing(self._segment(path)) as segment:
                for frame in range(count):
                    picture = self._picture(rollout.step())
                    segment.write(picture, self.delivery.stamps(frame)[0])
                    unpacked += len(encode(picture)) if encode else 0
            seconds, encoded = time.perf_counter() - began, path.stat().st_size
        share = (plan.frames + (plan.loop.run_in if plan.loop else 0)) / count
        return estimate(seconds * share, (unpacked or encoded) * share, encoded * share)

    def summary(self, output: Path) -> Table:
        """Return the table that describes the job."""
        plan, picture = self.plan, self.delivery.picture
        table: Table = {
            "output": str(output),
            "frames": plan.frames,
            "size": [picture.width, picture.height],
            "working_size": list(plan.seed.size),
            "chunks": len(self.chunks),
            "model": ", ".join(look.name for look in plan.cast.looks),
            "rate": str(plan.rate),
            "duration_s": round(float(plan.frames / plan.rate), 3),
            "codec": plan.encoding.codec,
            "depth": picture.depth,
        }
        if plan.loop:
            table |= {"rounds": plan.loop.rounds, "speed": round(plan.loop.speed, 4)}
        return table
