"""The job that retimes a clip: make the frames of each chunk, encode them, join the chunks with the sound."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from vidtrans.clips.aligned_clip import match_frames
from vidtrans.clips.clip_signals import clip_clock
from vidtrans.clips.indexing import Clip
from vidtrans.core.costs import TRIAL_FRAMES, count, estimate
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Progress
from vidtrans.core.files import digest_of, read_small_json, write_json
from vidtrans.core.machine import cores
from vidtrans.core.settings import Table, Time
from vidtrans.core.threads import BackgroundQueue, buffer_capacity
from vidtrans.curves.curve import parse_curve
from vidtrans.flow.survey import Survey
from vidtrans.output.delivery import Delivery
from vidtrans.output.result import Result
from vidtrans.retiming.frames import (
    CarriedPictures,
    ClipPictures,
    MomentPictures,
    Pictures,
    delivered,
    distinct_frames,
)
from vidtrans.retiming.schedule import MAX_SPEED, MIN_SPEED, VERSION, Moment, Schedule, Timeline, speed_map, usual_rate
from vidtrans.retiming.sound import write_stretched
from vidtrans.session import Context
from vidtrans.store.cache import CacheEntry
from vidtrans.store.chunking import Chunk, cut_into_chunks
from vidtrans.store.chunks import ChunkStore, ChunkWriter
from vidtrans.store.stages import RetimeStage, media_libraries
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.frame_numbers import has_gaps, sequence_numbers
from vidtrans.video.io.container import open_media, probe
from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import EncodingSettings
from vidtrans.video.io.join import StreamCopy
from vidtrans.video.io.sound import sound_zero_s

SPEED = "--speed"  # Name of the option in errors
# Name of the file of stretched sound, which says its format, by the ending of the result; others take AAC
STRETCHED = {".mkv": "sound.mka", ".webm": "sound.webm"}
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
    """Makes the frames of a result; a frame does not depend on the frames made before it.

    ``num_held``: the number of frames that were held because the picture between two frames was uncertain.
    """

    def __init__(self, schedule: Schedule, shutter: Fraction, pictures: MomentPictures) -> None:
        self._schedule, self._shutter, self._pictures = schedule, shutter, pictures
        self._last: tuple[int, np.ndarray] | None = None  # The last moment shown, and its picture
        self._is_made = self._is_held = False  # Whether a part of it was made between frames, and held
        self.num_made = self.num_held = 0

    def __call__(self, frame: int) -> np.ndarray:
        """Return a frame of the result, (H, W, C) uint8 or uint16; with alpha premultiplied uint16."""
        shown = frame // self._schedule.hold
        if self._last is None or self._last[0] != shown:
            self._is_made = self._is_held = False
            moments = self._schedule.moments(frame, self._shutter, BLUR_SAMPLES if self._shutter else 1)
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
        picture = self._pictures(moment)
        self._is_made = self._is_made or self._pictures.is_made
        self._is_held = self._is_held or self._pictures.is_held
        return picture


def match_keys(clip: Clip, guide: Clip, first_number: int | None, context: Context) -> dict[int, int]:
    """Return which of a guide's frames have a picture: their numbers, with the number of the frame of ``clip``.

    Pictures are matched by the numbers in their names if these have gaps, of which ``first_number`` is the guide's
    first frame; else by time, or with the pictures of a guide as ``match_frames`` does. Of equal pictures in a row, the
    first counts. Raises UsageError if one ends before the other.
    """
    if guide.index.num_frames < 2:
        raise UsageError(f"--guide {guide.name}", "it has one frame, and no motion", "give a clip")
    if not clip.index.same_size:
        raise UsageError(clip.name, "its pictures are not of one size", "give pictures of one size")
    total, last = clip.index.num_frames, guide.index.num_frames - 1
    numbers = None if guide.is_pictures else sequence_numbers(clip.index.names)
    if numbers is not None and (first_number is not None or has_gaps(clip.index.names)):
        present = [-1 if number is None else number for number in numbers]
        first = min(1, *present) if first_number is None else first_number
        steps, text = [number - first for number in present], ""
    else:
        # The frames of a video have times, so that they are not counted like the guide's pictures
        guide_index = guide.index if clip.is_pictures else replace(guide.index, names=())
        matched, text = match_frames(clip.index, guide_index, 0, total, clip.name)
        steps = list(matched)
    keys: dict[int, int] = {}
    for number in distinct_frames(clip.survey.looks, range(total), (0,)):
        keys.setdefault(steps[number], number)
    steps_with_picture = sorted(keys)
    longest = max((b - a for a, b in pairwise(steps_with_picture)), default=1)
    ends = steps_with_picture[0], steps_with_picture[-1]
    if ends[0] < 0 or ends[1] > last or max(ends[0], last - ends[1]) > longest:
        why = f"its frames belong to frames {ends[0] + 1} to {ends[1] + 1} of {guide.name}, which has {last + 1}"
        remedy = "give a guide of its length, number pictures like its frames, or set rendering.picture_fps"
        raise UsageError(clip.name, why, remedy)
    shared = max(1, -(-total // guide.index.num_frames))  # How many of the clip's frames belong to one of the guide's
    num_after = steps.count(last) - shared
    if num_after > 0:
        why = f"it ends {count(num_after, 'frame')} before {clip.name}"
        raise UsageError(f"--guide {guide.name}", why, "give a guide of its length, or cut one of them")
    if text:
        context.note(f"{guide.name}: {text}")
    return keys


def _counts_path(entry: CacheEntry, chunk: Chunk) -> Path:
    """Return the file that says how many frames of a chunk were made between frames, and how many were held."""
    return entry.folder / f"counts-{chunk.number:06d}.json"


class RetimeJob:
    """Renders one retimed clip to a video or pictures.

    ``guide``: the clip whose motion carries the frames of ``clip``, and whose times they have; None: its own.
    """

    def __init__(
        self,
        clip: Clip,
        guide: Clip | None,
        span: tuple[Time | None, Time | None],
        spec: RetimeSpec,
        context: Context,
        *,
        pattern: str = "",
        first_number: int | None = None,
    ) -> None:
        self.clip, self.guide, self.spec, self.context = clip, guide, spec, context
        self._timed = guide or clip  # The clip that has the times
        self._keys = match_keys(clip, guide, first_number, context) if guide else {}
        self.frames = range(*self._timed.trim(*span))
        if len(self.frames) < 2:
            raise UsageError(self._timed.name, "it has one frame, and no time to change", "give a clip of two or more")
        self.schedule = self._schedule()
        total = self.schedule.count
        self.chunks = cut_into_chunks(0, total, (0,), spec.chunk_frames)
        self.delivery = Delivery(self._as_clip(), range(total), spec.encoding, pattern=pattern)
        self.delivery.report_changes(context)
        self._deep, self._alpha = self.delivery.depth > 8, self.delivery.picture.alpha

    def _schedule(self) -> Schedule:
        """Return which moments of the clip the frames of the result show. Raises UsageError."""
        index, spec, clip = self._timed.index, self.spec, self._timed
        base, frames = index.time_base, self.frames
        times = [(index.pts[n] - index.pts[frames[0]]) * base for n in frames]
        end = times[-1] + index.durations()[frames[-1]] * base
        curve = parse_curve(spec.speed, SPEED)
        value = curve.over(clip_clock(clip), SPEED, float(MIN_SPEED), float(MAX_SPEED))
        constant = curve.constant
        if constant is not None and not MIN_SPEED <= constant <= MAX_SPEED:
            value(0)  # Raises the error
        distinct = {*distinct_frames(clip.survey.looks, frames, clip.shots), *self._keys}
        numbers = sorted(distinct.intersection(frames))
        begins = tuple(times[n - frames[0]] for n in numbers)
        timeline = Timeline(tuple(numbers), begins, frozenset(clip.shots) - {frames[0]})
        rate = spec.rate or usual_rate(index) * spec.factor
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
                return self.summary(result.output) | self._counts(entry) | written

            table = result.write(join)
            entry.finish({"frames": self.schedule.count})
        return table

    def _sound(self, output: Path, folder: Path) -> StreamCopy | None:
        """Return the sound to copy to the result: the clip's own, or a stretched one in ``folder``."""
        clip, spec, timed = self._sounding(), self.spec, self._timed.index
        if clip.is_pictures or clip.guides or spec.encoding.makes_pictures or spec.encoding.codec == "gif":
            return None
        origin, index = clip.origin or clip, clip.index
        after = (timed.pts[self.frames[0]] - timed.pts[0]) * timed.time_base
        begin = index.pts[0] * index.time_base + after - clip.offset_s
        is_silent = spec.encoding.sound == "none" or spec.pitch == "none"
        if self._is_stretched and is_silent:
            return None
        if not self._is_stretched:
            found, is_part = origin.index.findings, len(self.frames) < timed.num_frames
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

    def _sounding(self) -> Clip:
        """Return the clip whose sound the result has: the retimed clip, or the guide if it has none."""
        if self.guide is None or (not self.clip.is_pictures and probe(self.clip.path).audio):
            return self.clip
        return self.guide

    def _render_chunks(self, store: ChunkStore, missing: Sequence[Chunk]) -> None:
        """Make and encode the frames of the missing chunks; a separate thread encodes."""
        total = self.schedule.count
        done = total - sum(chunk.stop - chunk.first for chunk in missing)
        size = self.clip.index.width, self.clip.index.height
        encoders = self.spec.encoding.chunk_codec.side_by_side(cores())
        with (
            ExitStack() as stack,
            closing(ChunkWriter(store, self.chunks, self._segment, encoders=encoders)) as writer,
            closing(BackgroundQueue(buffer_capacity(*size))) as queue,
        ):
            frames = self._frames(stack)
            for chunk in missing:
                frames.num_made = frames.num_held = 0
                for frame in range(chunk.first, chunk.stop):
                    picture = delivered(frames(frame), deep=self._deep)
                    queue.put(partial(writer.write, frame, picture, self.delivery.stamps(frame)[0]))
                    done += 1
                    self.context.report(Progress(f"retiming {self.clip.name}", done, total))
                    self.context.stop.check()
                write_json(_counts_path(store.entry, chunk), [frames.num_made, frames.num_held])
            queue.finish()
            writer.finish()

    def _counts(self, entry: CacheEntry) -> Table:
        """Return how many frames were made between frames, and held, by the files beside the chunks."""
        made = held = 0
        for chunk in self.chunks:
            with suppress(OSError, ValueError, TypeError):
                found = read_small_json(_counts_path(entry, chunk))
                made, held = made + int(found[0]), held + int(found[1])
        return {"frames_between": made, "frames_held": held}

    def _frames(self, stack: ExitStack) -> FrameSource:
        """Return the maker of frames; ``stack`` closes its files."""
        form = FrameFormat(deep=self._deep, alpha="kept" if self._alpha else "laid")
        threads = self.context.decode_threads
        pictures: Pictures
        if self.guide is None:
            pictures, guides = stack.enter_context(closing(ClipPictures(self.clip, form, threads))), None
        else:
            pictures = stack.enter_context(closing(CarriedPictures(self.clip, self.guide, self._keys, form, threads)))
            guides = pictures.guide
        moments = MomentPictures(self.schedule.timeline, pictures, guides=guides, holds_doubt=self.spec.holds_doubt)
        return FrameSource(self.schedule, self.spec.shutter, stack.enter_context(closing(moments)))

    def _segment(self, path: Path) -> SegmentWriter:
        """Return the writer of a chunk's video segment."""
        return SegmentWriter(path, self.delivery.stored, self.spec.encoding)

    def _stage(self) -> RetimeStage:
        """Return the cache stage of the chunks: all properties that affect them."""
        spec, time_map = self.spec, self.schedule.map
        nodes = [[str(a), str(b)] for a, b in zip(time_map.clip, time_map.result, strict=True)]
        return RetimeStage(
            clip=self.clip.digest,
            guide={"clip": self.guide.digest, "keys": digest_of(list(self._keys.items()))} if self.guide else {},
            frames=[self.frames.start, self.frames.stop],
            distinct=digest_of(list(self.schedule.timeline.numbers)),
            shots=list(self._timed.shots),
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
        with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="vidtrans-") as folder:
            path, frames = Path(folder) / "segment", self._frames(stack)
            frames(first)
            began = time.perf_counter()
            with closing(self._segment(path)) as segment:
                for frame in range(first, first + count):
                    segment.write(delivered(frames(frame), deep=self._deep), self.delivery.stamps(frame)[0])
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
