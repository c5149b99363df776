"""The job that retimes a clip: make the frames of each chunk, encode them, join the chunks with the sound."""

from __future__ import annotations

import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median_low
from typing import TypeVar

import numpy as np

from vidtrans.clips.clip_signals import clip_clock
from vidtrans.clips.indexing import Clip
from vidtrans.core.costs import TRIAL_FRAMES, estimate
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Progress
from vidtrans.core.files import digest_of
from vidtrans.core.machine import cores
from vidtrans.core.settings import Table, Time
from vidtrans.core.threads import BackgroundQueue, buffer_capacity
from vidtrans.curves.curve import parse_curve
from vidtrans.flow.estimator import FlowEstimator
from vidtrans.flow.survey import Survey
from vidtrans.output.delivery import Delivery
from vidtrans.output.result import Result
from vidtrans.retiming.between import FLOW, FLOW_SHORT_SIDE, Guide, Mixer, Motion, measure_motion
from vidtrans.retiming.schedule import MAX_SPEED, MIN_SPEED, Moment, Schedule, Timeline, speed_map
from vidtrans.retiming.sound import write_stretched
from vidtrans.session import Context
from vidtrans.store.chunking import Chunk, cut_into_chunks
from vidtrans.store.chunks import ChunkStore, ChunkWriter
from vidtrans.store.stages import RetimeStage, media_libraries
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.clip import ClipIndex
from vidtrans.video.io.container import open_media
from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import EncodingSettings
from vidtrans.video.io.join import StreamCopy
from vidtrans.video.io.sound import sound_zero_s

VERSION = 1  # Version of the frames between frames, for cache keys
KEPT_FRAMES = 6  # Number of the clip's frames, and of motions, that are kept in memory
SPEED = "--speed"  # Name of the option in errors
MAX_REPEATED = 4  # Largest number of equal frames in a row that stand for one drawing; more are a pause
VARIES = 0.05  # Deviation of the average frame rate from the usual one, from which a clip has a variable rate
EVEN = 1.25  # Largest ratio of the durations of two frames whose motion is compared for an acceleration
CERTAIN = 0.6  # Certainty of a picture between two frames below which the nearer frame is held, with ``holds_doubt``
# Name of the file of stretched sound, which says its format, by the ending of the result; others take AAC
STRETCHED = {".mkv": "sound.mka", ".webm": "sound.webm"}
T = TypeVar("T")  # Type of a kept item
BLUR_SAMPLES = 12  # Number of moments whose pictures are averaged to motion blur


@dataclass(frozen=True)
class RetimeSpec:
    """The request for a retimed clip.

    Attributes:
        speed: A number or a curve over the clip's time.
        rate: The frame rate in frames per second; None: ``factor`` times the clip's rate.
        factor: The factor of the clip's rate, if there is no ``rate``.
        hold: The number of frames that show one picture.
        shutter: The time that the shutter is open, as a share of a frame; 0: no motion blur.
        pitch: "keep" keeps the sound's pitch, "follow" changes it with the speed, "none" leaves the sound out.
        holds_doubt: Whether the nearer frame is shown instead of an uncertain picture.
        encoding: The settings of encoding, without a frame rate.
        chunk_frames: The number of frames of a chunk.
    """

    speed: str
    rate: Fraction | None
    factor: Fraction
    hold: int
    shutter: Fraction
    pitch: str
    holds_doubt: bool
    encoding: EncodingSettings
    chunk_frames: int


class FrameSource:
    """Makes the frames of a result from those of a clip; a frame does not depend on the frames made before it.

    ``num_held``: the number of frames that were held because the picture between two frames was uncertain.
    """

    def __init__(self, clip: Clip, schedule: Schedule, spec: RetimeSpec, *, deep: bool, threads: int) -> None:
        self.schedule, self._spec = schedule, spec
        self._numbers = schedule.timeline.numbers
        self._index = {number: n for n, number in enumerate(self._numbers)}
        self._estimator = FlowEstimator(FLOW, FLOW_SHORT_SIDE)
        self._cursor = clip.cursor(FrameFormat(deep=deep), threads)
        self._mix = Mixer(cores())
        self._frames: OrderedDict[int, np.ndarray] = OrderedDict()
        self._guides: OrderedDict[int, Guide] = OrderedDict()
        self._motions: OrderedDict[int, Motion] = OrderedDict()
        self._last: tuple[int, np.ndarray] | None = None  # The last moment shown, and its picture
        self._is_made = self._is_held = False  # Whether a part of it was made between frames, and held
        self.num_made = self.num_held = 0

    def close(self) -> None:
        """Close the clip's file, and end the threads."""
        self._cursor.close()
        self._mix.close()

    def __call__(self, frame: int) -> np.ndarray:
        """Return a frame of the result, (H, W, 3) uint8 or uint16."""
        shown = frame // self.schedule.hold
        if self._last is None or self._last[0] != shown:
            self._is_made = self._is_held = False
            shutter = self._spec.shutter
            moments = self.schedule.moments(frame, shutter, BLUR_SAMPLES if shutter else 1)
            self._last = shown, self._picture(moments[0]) if len(moments) == 1 else self._blurred(moments)
        self.num_made += self._is_made
        self.num_held += self._is_held
        return self._last[1]

    def _blurred(self, moments: Sequence[Moment]) -> np.ndarray:
        """Return the mean of the pictures of moments, in light that is about linear."""
        pictures = [self._picture(moment) for moment in moments]
        peak = float(np.iinfo(pictures[0].dtype).max)
        light = np.mean([np.square(p.astype(np.float32) / np.float32(peak)) for p in pictures], axis=0)
        return np.rint(np.sqrt(light) * np.float32(peak)).astype(pictures[0].dtype)

    def _picture(self, moment: Moment) -> np.ndarray:
        """Return the picture of a moment."""
        if moment.is_frame:
            return self._frame(moment.frame)
        n = self._index[moment.frame]
        share, motion = float(moment.share), self._motion(n)
        before = self._motion(n - 1) if self._follows(n - 1) and self._is_even(n - 1) else None
        after = self._motion(n + 1) if self._follows(n + 1) and self._is_even(n) else None
        first, second = self._frame(moment.frame), self._frame(moment.after)
        picture, certainty = self._mix(first, second, share, motion, before, after)
        self._is_made = True
        if self._spec.holds_doubt and certainty < CERTAIN:
            self._is_held = True
            return first if share < 0.5 else second
        return picture

    def _follows(self, n: int) -> bool:
        """Return whether the distinct frame after the ``n``-th is of the same shot."""
        return 0 <= n < len(self._numbers) - 1 and self._numbers[n + 1] not in self.schedule.timeline.cuts

    def _is_even(self, n: int) -> bool:
        """Return whether the ``n``-th distinct frame and the next one last about equally long."""
        times = self.schedule.timeline.times
        one, other = times[n + 1] - times[n], times[n + 2] - times[n + 1]
        return max(one, other) < EVEN * min(one, other)

    def _frame(self, number: int) -> np.ndarray:
        return _kept(self._frames, number, lambda: self._cursor(number).rgb)

    def _guide(self, number: int) -> Guide:
        return _kept(self._guides, number, lambda: Guide(self._frame(number), self._estimator))

    def _motion(self, n: int) -> Motion:
        """Return the motion from the ``n``-th distinct frame to the next."""
        first, second = self._numbers[n : n + 2]
        return _kept(self._motions, n, lambda: measure_motion(self._guide(first), self._guide(second), self._estimator))


def _kept(kept: OrderedDict[int, T], key: int, make: Callable[[], T]) -> T:
    """Return the item of a key, made now if it is not kept; the oldest items are forgotten."""
    if key not in kept:
        kept[key] = make()
        while len(kept) > KEPT_FRAMES:
            kept.popitem(last=False)
    return kept[key]


def distinct_frames(looks: Sequence[int], frames: range, shots: Sequence[int]) -> list[int]:
    """Return the ``frames`` that differ from the one before, and the first and the last of a longer pause.

    ``looks``: the first near-duplicate of each frame of the clip. ``shots``: the first frames of the shots.
    """
    starts = [n for n in frames if n == frames[0] or not looks or looks[n] == n or n in shots]
    found = []
    for first, stop in pairwise([*starts, frames.stop]):
        found.append(first)
        if stop - first > MAX_REPEATED:  # A pause, not a drawing on twos or threes: it lasts until its last frame
            found.append(stop - 1)
    return found


def _usual_rate(index: ClipIndex) -> Fraction:
    """Return the frame rate of a clip, or of most of its frames if it varies, in frames per second."""
    usual = 1 / (Fraction(int(median_low(index.durations()))) * index.time_base)
    return index.rate if abs(index.rate / usual - 1) < VARIES else usual.limit_denominator(1001)


class RetimeJob:
    """Renders one retimed clip to a video or pictures."""

    def __init__(
        self,
        clip: Clip,
        span: tuple[Time | None, Time | None],
        spec: RetimeSpec,
        context: Context,
        *,
        pattern: str = "",
    ) -> None:
        self.clip, self.spec, self.context = clip, spec, context
        self.frames = range(*clip.trim(*span))
        if len(self.frames) < 2:
            raise UsageError(clip.name, "it has one frame, and no time to change", "give a clip of two or more")
        self.schedule = self._schedule()
        total = self.schedule.count
        self.chunks = cut_into_chunks(0, total, (0,), spec.chunk_frames)
        self.delivery = Delivery(self._as_clip(), range(total), spec.encoding, pattern=pattern)
        self.delivery.report_changes(context)
        if clip.index.findings.alpha:
            context.warn_once(
                f"{clip.name}: its transparency is not kept, transparent areas are laid on a ground", clip.path
            )
        self._deep = self.delivery.depth > 8
        self._counts = {"frames_between": 0, "frames_held": 0}

    def _schedule(self) -> Schedule:
        """Return which moments of the clip the frames of the result show. Raises UsageError."""
        index, spec, clip = self.clip.index, self.spec, self.clip
        base, frames = index.time_base, self.frames
        times = [(index.pts[n] - index.pts[frames[0]]) * base for n in frames]
        end = times[-1] + index.durations()[frames[-1]] * base
        curve = parse_curve(spec.speed, SPEED)
        value = curve.over(clip_clock(clip), SPEED, float(MIN_SPEED), float(MAX_SPEED))
        constant = curve.constant
        if constant is not None and not MIN_SPEED <= constant <= MAX_SPEED:
            value(0)  # Raises the error
        numbers = distinct_frames(clip.survey.looks, frames, clip.shots)
        begins = tuple(times[n - frames[0]] for n in numbers)
        timeline = Timeline(tuple(numbers), begins, frozenset(clip.shots) - {frames[0]})
        rate = spec.rate or _usual_rate(index) * spec.factor
        return Schedule(timeline, speed_map(lambda n: value(frames[n]), constant, times, end), rate, spec.hold)

    def _as_clip(self) -> Clip:
        """Return a clip that describes the result's frames (times, size), for the encoder."""
        rate, index = self.schedule.rate, self.clip.index
        made = replace(
            index,
            pts=tuple(n * rate.denominator for n in range(self.schedule.count)),
            time_base=Fraction(1, rate.numerator),
            last_duration=rate.denominator,
            rate=rate,
            names=(),
            zero=0,
            findings=replace(index.findings, alpha=False),
        )
        return Clip(self.clip.path, "", made, Survey((0,)))

    @property
    def _is_stretched(self) -> bool:
        """Return whether the sound has other times than the clip's."""
        return self.schedule.map.clip != self.schedule.map.result

    def render(self, result: Result) -> Table:
        """Render the missing chunks, join all chunks with the sound to the result, and return its report."""
        stage = self._stage()
        entry = self.context.cache.entry(stage.name, stage.key)
        with entry.locked():
            store = ChunkStore(entry, "." + self.spec.encoding.chunk_codec.segments)
            missing = [chunk for chunk in self.chunks if not store.is_done(chunk.number)]
            if missing:
                self._render_chunks(store, missing)

            def join(path: Path) -> Table:
                """Join the chunks with the sound in a file; return the report."""
                self.context.begin("joining")
                segments = [store.path(chunk.number) for chunk in self.chunks]
                with tempfile.TemporaryDirectory(dir=entry.folder) as folder:
                    assembly = replace(
                        self.delivery.assembly(result.folder), copied=self._sound(result.output, Path(folder))
                    )
                    written = assembly.write(segments, path, entry.folder, self.context)
                return self.summary(result.output) | self._counts | written

            table = result.write(join)
            entry.finish({"frames": self.schedule.count})
        return table

    def _sound(self, output: Path, folder: Path) -> StreamCopy | None:
        """Return the sound to copy to the result: the clip's own, or a stretched one in ``folder``."""
        clip, spec = self.clip, self.spec
        if clip.is_pictures or clip.guides or spec.encoding.makes_pictures or spec.encoding.codec == "gif":
            return None
        origin, index = clip.origin or clip, clip.index
        begin = index.pts[self.frames[0]] * index.time_base - clip.offset_s
        is_silent = spec.encoding.sound == "none" or spec.pitch == "none"
        if self._is_stretched and is_silent:
            return None
        if not self._is_stretched:
            found, is_part = origin.index.findings, len(self.frames) < index.num_frames
            return StreamCopy(
                origin.path,
                start_s=begin if is_part else None,
                end_s=begin + self.schedule.map.clip[-1] if is_part else None,
                shift_s=-begin,
                before_s=begin - origin.index.pts[0] * origin.index.time_base if is_part else Fraction(0),
                rate=origin.index.rate,
                new_rate=self.schedule.rate,
                stereo=found.stereo,
                projection=found.projection,
                sound=not is_silent,
            )
        # FLAC would be exact everywhere, but few players read it in an MP4
        path = folder / STRETCHED.get(output.suffix.lower(), "sound.m4a")
        if write_stretched(origin.path, begin, self.schedule.map, path, keeps_pitch=spec.pitch == "keep") is None:
            return None
        with open_media(path) as container:
            zero = sound_zero_s(container, path)
        return StreamCopy(
            path, end_s=zero + self.schedule.map.duration, shift_s=-zero, rate=self.schedule.rate, only_sound=True
        )

    def _render_chunks(self, store: ChunkStore, missing: Sequence[Chunk]) -> None:
        """Make and encode the frames of the missing chunks; a separate thread encodes."""
        total = self.schedule.count
        done = total - sum(chunk.stop - chunk.first for chunk in missing)
        size = self.clip.index.width, self.clip.index.height
        with (
            closing(self._frames()) as frames,
            closing(ChunkWriter(store, self.chunks, self._segment)) as writer,
            closing(BackgroundQueue(buffer_capacity(*size))) as queue,
        ):
            for chunk in missing:
                for frame in range(chunk.first, chunk.stop):
                    picture = frames(frame)
                    queue.put(partial(writer.write, frame, picture, self.delivery.stamps(frame)[0]))
                    done += 1
                    self.context.report(Progress(f"retiming {self.clip.name}", done, total))
                    self.context.stop.check()
            queue.finish()
            self._counts = {"frames_between": frames.num_made, "frames_held": frames.num_held}

    def _frames(self) -> FrameSource:
        """Return the maker of frames, which has to be closed."""
        return FrameSource(self.clip, self.schedule, self.spec, deep=self._deep, threads=self.context.decode_threads)

    def _segment(self, path: Path) -> SegmentWriter:
        """Return the writer of a chunk's video segment."""
        return SegmentWriter(path, self.delivery.stored, self.spec.encoding)

    def _stage(self) -> RetimeStage:
        """Return the cache stage of the chunks: all properties that affect them."""
        spec, time_map = self.spec, self.schedule.map
        nodes = [[str(a), str(b)] for a, b in zip(time_map.clip, time_map.result, strict=True)]
        return RetimeStage(
            clip=self.clip.digest,
            frames=[self.frames.start, self.frames.stop],
            distinct=digest_of(list(self.schedule.timeline.numbers)),
            shots=list(self.clip.shots),
            times=nodes,
            rate=str(self.schedule.rate),
            hold=spec.hold,
            shutter=str(spec.shutter),
            holds_doubt=spec.holds_doubt,
            chunk_frames=spec.chunk_frames,
            encoding=spec.encoding.chunk_key(self.delivery.stored),
            picture={k: str(v) for k, v in self.delivery.stored.__dict__.items()},
            made_by=VERSION,
            libraries=media_libraries(),
        )

    def estimate(self) -> Table:
        """Estimate the time, disk and memory use from a trial on frames in the middle of the result."""
        total = self.schedule.count
        count = min(total, TRIAL_FRAMES)
        first = (total - count) // 2
        with closing(self._frames()) as frames, tempfile.TemporaryDirectory(prefix="vidtrans-") as folder:
            path = Path(folder) / "segment"
            frames(first)
            began = time.perf_counter()
            with closing(self._segment(path)) as segment:
                for frame in range(first, first + count):
                    segment.write(frames(frame), self.delivery.stamps(frame)[0])
            seconds, encoded = time.perf_counter() - began, path.stat().st_size
        return estimate(seconds * total / count, encoded * total / count, encoded * total / count)

    def summary(self, output: Path) -> Table:
        """Return the report's entries about the result and the clip."""
        picture, schedule = self.delivery.picture, self.schedule
        return {
            "output": str(output),
            "frames": schedule.count,
            "size": [picture.width, picture.height],
            "working_size": [self.clip.index.width, self.clip.index.height],
            "chunks": len(self.chunks),
            "rate": str(schedule.rate),
            "duration_s": round(float(schedule.count / schedule.rate), 3),
            "codec": self.spec.encoding.codec,
            "depth": picture.depth,
        }
