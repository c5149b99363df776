"""A render's output: its format and frame times, and its assembly from encoded chunks.

Chunks become a video with its sound, pictures, or a GIF. The user's ffmpeg may filter the source or the result.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidtrans.clips.indexing import Clip, open_clip
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Progress
from vidtrans.core.files import write_atomically
from vidtrans.core.settings import Table
from vidtrans.retiming.schedule import VERSION as BETWEEN
from vidtrans.retiming.schedule import usual_rate
from vidtrans.session import Context
from vidtrans.store.stages import FilterStage, media_libraries
from vidtrans.video.colour.conversion import with_alpha
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.encoder import SegmentWriter, picture_names, read_lossless, write_gif, write_pictures
from vidtrans.video.io.encoding import (
    CODECS,
    CONTAINERS,
    FFMPEG_PREFIX,
    LOSSLESS,
    EncodingSettings,
    PictureFormat,
    codecs_with_alpha,
)
from vidtrans.video.io.join import EncodedVideo, StreamCopy, Timing, check_sound, join, read_encoded_video
from vidtrans.video.io.timestamps import rounded_rate

if TYPE_CHECKING:
    from vidtrans.retiming.frames import FramesBetween
    from vidtrans.video.ffmpeg import FFmpegJob

VERSION = f"4.{BETWEEN}"  # Version of the assembly of results, for cache keys
TRIAL_FRAMES = 4  # Number of black frames on which the user's ffmpeg is tried before a render
# With a constant rate, frames are made between the clip's from this multiple of the clip's rate on, else repeated
BETWEEN_FROM = Fraction(3, 2)
MAX_TIME_BASE = 2**31 - 1  # Largest denominator of a time base in an MP4, in ticks per second
FILTERED_FILE = "filtered.nut"  # Name of the file of a filtered source in its cache entry


@dataclass(frozen=True)
class Assembly:
    """The plan for assembling encoded chunks (segments) into a result with pictures in the format ``picture``.

    ``copied``: the sound and other streams to copy from the source. ``names``: a function from the number of pictures
    to their file names in a folder; None for other results. ``plays``: number of times that a GIF plays; 0: endlessly.
    ``between``: makes the frames of the result from those of the chunks, whose times it changes.
    """

    encoding: EncodingSettings
    picture: PictureFormat
    timing: Timing
    copied: StreamCopy | None
    names: Callable[[int], list[str]] | None
    plays: int = 0
    between: FramesBetween | None = None

    def write(self, segments: Sequence[Path], output: Path, scratch: Path, context: Context) -> Table:
        """Write ``output`` and return the result table. ``scratch``: a folder for intermediate files.

        Raises MediaError, UsageError.
        """
        if self.between is not None:
            made = scratch / f"between.{self.encoding.chunk_codec.segments}"
            try:
                self._write_between(segments, made, context)
                counts: Table = {"frames_between": self.between.num_made, "frames_held": self.between.num_held}
                return counts | replace(self, between=None).write([made], output, scratch, context)
            finally:
                made.unlink(missing_ok=True)
        if not self.encoding.needs_program:
            return self._finish(segments, output, context)
        processed = scratch / "passed.nut"
        try:
            timing, video = self._run_program(segments, processed, scratch, context)
            copied = self.copied
            if copied is not None and len(timing.pts) != len(self.timing.pts):
                copied = replace(copied, new_rate=_rate_of(timing))
            seconds = round(float(_duration_s(timing)), 3)
            table = {"frames": len(timing.pts), "size": list(video.size), "duration_s": seconds}
            picture = replace(self.picture, sample_aspect_ratio=video.sample_aspect_ratio)
            processed_assembly = replace(self, picture=picture, timing=timing, copied=copied)
            return table | processed_assembly._finish([processed], output, context)
        finally:
            processed.unlink(missing_ok=True)

    def _write_between(self, segments: Sequence[Path], path: Path, context: Context) -> None:
        """Write the frames of the result, made from those of lossless chunks, to the segment ``path``."""
        assert self.between is not None
        deep = self.picture.depth > 8
        painted = (picture for segment in segments for picture in read_lossless(segment))
        total = len(self.between)
        with (
            closing(SegmentWriter(path, self.encoding.stored(self.picture), self.encoding)) as writer,
            closing(self.between.frames(painted, deep=deep, threads=context.decode_threads)) as frames,
        ):
            for number, (frame, pts) in enumerate(zip(frames, self.timing.pts, strict=True), 1):
                writer.write(frame, pts)
                context.stop.check()
                context.report(Progress("making frames between frames", number, total))

    def _finish(self, segments: Sequence[Path], output: Path, context: Context) -> Table:
        """Write the result; return a table with the number of copied sound packets and, for a GIF, of frames."""
        codec, timing = self.encoding.codec, self.timing
        if codec == "gif":
            return {"sound_packets": 0, "frames": _write_gif(segments, timing, output, self.plays, context)}
        if self.encoding.makes_pictures:
            names = self.names(len(timing.pts)) if self.names else None
            write_pictures(segments, names, output, codec, context.report, context.stop, self.encoding.palette)
            return {"sound_packets": 0}
        tag, aspect = "" if self.encoding.is_ffmpeg_encoder else CODECS[codec].tag, self.picture.sample_aspect_ratio
        num = join(segments, timing, output, self.copied, context.report, context.stop, tag=tag, aspect=aspect)
        return {"sound_packets": num}

    def _run_program(
        self, segments: Sequence[Path], processed: Path, scratch: Path, context: Context
    ) -> tuple[Timing, EncodedVideo]:
        """Run the user's ffmpeg on all segments, and encode its output to ``processed``; return timing and video."""
        from vidtrans.video.ffmpeg import run_ffmpeg_job

        settings = self.encoding
        whole, filtered = scratch / "whole.nut", scratch / "filtered.nut"
        job = make_ffmpeg_job(settings, self.picture)
        encodes_here = not settings.is_ffmpeg_encoder and not CODECS[settings.codec].unpacked
        try:
            join(segments, self.timing, whole, stop=context.stop, kind="nut")
            result = filtered if encodes_here else processed
            run_ffmpeg_job(whole, result, job, context.stop, context.report, len(self.timing.pts))
            video = read_encoded_video(result)
            timing = self._timing_of(video)
            if not encodes_here:
                return timing, video
            # The user's filter graph may have changed the size, the aspect ratio and the times.
            form = replace(
                self.picture,
                width=video.size[0],
                height=video.size[1],
                sample_aspect_ratio=video.sample_aspect_ratio,
                time_base=timing.time_base,
                rate=_rate_of(timing),
            )
            settings.check_size(form)
            with closing(SegmentWriter(processed, form, replace(settings, filter=""))) as writer:
                for number, (picture, pts) in enumerate(zip(read_lossless(filtered), timing.pts, strict=True), 1):
                    writer.write(picture, pts)
                    context.stop.check()
                    context.report(Progress("encoding", number, len(timing.pts)))
            return timing, video
        finally:
            whole.unlink(missing_ok=True)
            filtered.unlink(missing_ok=True)

    def _timing_of(self, video: EncodedVideo) -> Timing:
        """Return the timing of ffmpeg's output; its last frame ends where the source ends, unless it begins later."""
        pts = tuple(video.pts)
        if not pts:
            raise UsageError("--filter", "the graph outputs no frame", "change the graph")
        steps = [b - a for a, b in pairwise(pts)]
        own = self.timing
        end = (own.pts[-1] + own.durations[-1]) * own.time_base / video.time_base
        typical = steps[-1] if steps else 1 / (self.picture.rate * video.time_base)
        last = round(end - pts[-1]) if len(pts) == len(own.pts) or end - pts[-1] > 0 else round(typical)
        nominal = own.nominal if len(pts) == len(own.pts) else None
        return Timing(pts, (*steps, max(1, last)), video.time_base, nominal)


def _rate_of(timing: Timing) -> Fraction:
    """Return the average frame rate of a ``timing`` in frames per second."""
    return len(timing.pts) / _duration_s(timing)


def _duration_s(timing: Timing) -> Fraction:
    """Return the time from the start of the first frame to the end of the last frame in seconds."""
    return (timing.pts[-1] + timing.durations[-1] - timing.pts[0]) * timing.time_base


def _write_gif(segments: Sequence[Path], timing: Timing, output: Path, plays: int, context: Context) -> int:
    """Write the pictures of segments to a GIF that plays ``plays`` times (0: endlessly); return the frame count."""
    total = 2 * len(timing.pts)  # The encoder reads the clip twice
    done = 0

    def frames() -> Iterator[np.ndarray]:
        """Yield the pictures of all segments, and report progress."""
        nonlocal done
        for segment in segments:
            for picture in read_lossless(segment):
                context.stop.check()
                done += 1
                context.report(Progress("drawing the GIF", done, total))
                yield picture

    base = timing.time_base
    written = write_gif(frames, [p * base for p in timing.pts], [d * base for d in timing.durations], output, plays)
    if num_dropped := max(0, len(timing.pts) - written):
        lines = f"{num_dropped} of {len(timing.pts)} frames are left out: GIF shows none for less than 0.02 s"
        context.note(f"{lines} (--fps 50 or less spaces them evenly)", "warning")
    return written


def make_ffmpeg_job(settings: EncodingSettings, picture: PictureFormat) -> FFmpegJob:
    """Create the job for the user's ffmpeg: filter, encode, or both. Raises UsageError."""
    from vidtrans.video.ffmpeg import FFmpegJob, parse_options

    if settings.is_ffmpeg_encoder:
        return FFmpegJob(settings.filter, settings.codec.removeprefix(FFMPEG_PREFIX), parse_options(settings.options))
    return FFmpegJob(settings.filter, deep=picture.depth > 8, alpha=picture.alpha)


def try_ffmpeg_job(job: FFmpegJob, picture: PictureFormat, context: Context) -> tuple[int, int] | None:
    """Run the user's ffmpeg on a few black frames, so that its errors appear before the render.

    Returns the (width, height) of the ffmpeg output; None without output, because a filter graph may need more frames.
    Raises UsageError.
    """
    from vidtrans.video.ffmpeg import NoFramesError, run_ffmpeg_job

    lossless = replace(picture, depth=16 if picture.depth > 8 else 8)
    kind = np.uint16 if picture.depth > 8 else np.uint8
    black = np.zeros((picture.height, picture.width, 4 if picture.alpha else 3), kind)
    step = max(1, round(1 / (picture.rate * picture.time_base)))
    with tempfile.TemporaryDirectory(prefix="vidtrans-") as folder:
        trial_input, trial_output = Path(folder) / "given.nut", Path(folder) / "made.nut"
        with closing(SegmentWriter(trial_input, lossless, EncodingSettings(codec="ffv1"))) as writer:
            for number in range(TRIAL_FRAMES):
                writer.write(black, number * step)
        with suppress(NoFramesError):
            run_ffmpeg_job(trial_input, trial_output, job, context.stop)
            return read_encoded_video(trial_output).size
    return None


class Retiming:
    """The timestamps at which each frame of a range is written: none for a dropped frame, several for a repeated one.

    ``pts`` and ``durations``: the times of the frames, in ``time_base`` units; frames are counted from the range's
    first. ``rate``: a constant frame rate in frames per second; None preserves the times. At a constant rate, each
    timestamp gets the last frame that begins at most half a step after it. ``nominal``: the rate of the source. If its
    times were rounded from this rate, the last frame's end is computed from the rate, so that the average rate is
    exact.
    """

    def __init__(
        self,
        pts: Sequence[int],
        durations: Sequence[int],
        time_base: Fraction,
        rate: Fraction | None = None,
        nominal: Fraction | None = None,
    ) -> None:
        self.rate = rate
        self._stamps: list[list[int]] = []
        if rate is None:
            self.timing = Timing(pts, durations, time_base)
            if (
                nominal
                and not self.timing.is_constant
                and (fitting := rounded_rate([*pts, pts[-1] + durations[-1]], time_base, nominal))
            ):
                self.timing = _exact_timing(pts, time_base, fitting)
            return
        begin = pts[0] * time_base
        base = _common_time_base(begin, 1 / rate)
        step = int(1 / rate / base)
        count = max(1, round((pts[-1] + durations[-1] - pts[0]) * time_base * rate))
        half = 1 / (2 * rate * time_base)
        grid = [round(begin / base) + k * step for k in range(count)]
        self._stamps = [[] for _ in pts]
        for stamp in grid:
            shown_frame = bisect_left(pts, stamp * base / time_base + half) - 1
            self._stamps[max(0, shown_frame)].append(stamp)
        self.timing = Timing(tuple(grid), (step,) * count, base)

    def stamps(self, number: int) -> tuple[int, ...]:
        """Return the timestamps, in units of the timing's time base, at which a frame is written."""
        return (self.timing.pts[number],) if self.rate is None else tuple(self._stamps[number])

    @property
    def num_written(self) -> int:
        """Return the number of frames that are written."""
        return len(self.timing.pts)


def _exact_timing(pts: Sequence[int], time_base: Fraction, rate: Fraction) -> Timing:
    """Return the timing of a clip whose times were rounded from a constant ``rate``, with the exact end of the clip.

    ``pts``: the rounded timestamps, in ``time_base`` units. The time base becomes finer if the exact end requires it.
    """
    base_factor = (1 / (rate * time_base)).denominator
    if time_base.denominator * base_factor > MAX_TIME_BASE:
        base_factor = 1
    stamps = [p * base_factor for p in pts]
    end = stamps[0] + round(len(pts) / (rate * time_base) * base_factor)
    durations = [b - a for a, b in pairwise(stamps)] + [max(1, end - stamps[-1])]
    return Timing(stamps, durations, time_base / base_factor, rate)


def _common_time_base(a: Fraction, b: Fraction) -> Fraction:
    """Return the coarsest time base 1/n that holds the times ``a`` and ``b`` exactly.

    If it is too fine for an MP4, returns a thousandth of the time base of ``b``.
    """
    numerator = gcd(a.numerator * b.denominator, b.numerator * a.denominator)
    base = Fraction(numerator, a.denominator * b.denominator)
    # The time base of an MP4 is the inverse of an integer.
    base = Fraction(1, base.denominator)
    return base if base.denominator <= MAX_TIME_BASE else Fraction(1, b.denominator * 1000)


class Delivery:
    """The output form of the frames ``numbers`` of a clip: times, size, bit depth, alpha, codec and file names.

    Raises UsageError if the codec does not support it.

    ``trimmed``: the frames are a part of the clip, and their times start at 0. ``factor``: the ratio of the result's
    width to the source's. ``drawn``: the source is a drawing on paper. ``pattern``: the file name pattern of pictures
    in a folder. ``layer``: the result has alpha, even if the source has none. The attribute ``depth`` is the number of
    bits per channel of the rendered pictures, 8 or 16; ``picture.depth`` is that of the result.
    """

    def __init__(
        self,
        clip: Clip,
        numbers: range,
        encoding: EncodingSettings,
        *,
        trimmed: bool = False,
        factor: int = 1,
        drawn: bool = False,
        pattern: str = "",
        layer: bool = False,
    ) -> None:
        self.clip, self.numbers, self.encoding = clip, numbers, encoding
        self.trimmed, self.drawn, self.pattern, self.layer = trimmed, drawn, pattern, layer
        is_still = encoding.makes_pictures and len(numbers) == 1  # One picture has no rate
        self.result_times = self._times(None if is_still else encoding.rate)
        self.makes_between = self._makes_between()
        self.times = self._times(None) if self.makes_between else self.result_times
        self.picture = self._picture(factor)
        if layer and not self.picture.alpha:
            why = f"{encoding.codec} keeps no alpha"
            raise UsageError("--layer", why, f"use --codec {' or '.join(codecs_with_alpha())}")
        if not encoding.filter:  # A filter graph may change the size, which is checked later
            encoding.check_size(self.picture)
        self.depth = 16 if self.picture.depth > 8 else 8

    def _times(self, rate: Fraction | None) -> Retiming:
        """Return the timestamps at which each frame is written."""
        index = self.clip.index
        pts = [p - self._begin for p in self._in_range(index.pts)]
        return Retiming(pts, self._in_range(index.durations()), index.time_base, rate, index.rate)

    def _makes_between(self) -> bool:
        """Return whether frames are made between the clip's, because the result has more."""
        rate, index = self.encoding.rate, self.clip.index
        is_film = len(self.numbers) > 1 and index.same_size and not self.encoding.palette
        return rate is not None and is_film and rate >= BETWEEN_FROM * usual_rate(index)

    @property
    def chunk_encoding(self) -> EncodingSettings:
        """Return the settings by which chunks are encoded: lossless if frames are made between theirs."""
        if not self.makes_between:
            return self.encoding
        return replace(self.encoding, codec="ffv1", crf=None, options="", filter="", fps="source")

    @property
    def _begin(self) -> int:
        """Return the timestamp that becomes 0: of the first frame of a trimmed clip, or the start of a whole clip."""
        index = self.clip.index
        return index.pts[self.numbers.start] if self.trimmed else index.zero

    def _picture(self, factor: int) -> PictureFormat:
        """Return the output's pixel format and timing. ``factor``: the output's width relative to the source's."""
        index, encoding = self.clip.index, self.encoding
        depth = encoding.depth_for(index.findings.depth)
        codec = None if encoding.is_ffmpeg_encoder else CODECS[encoding.codec]
        return PictureFormat(
            index.width * factor,
            index.height * factor,
            index.sample_aspect_ratio,
            self.times.timing.time_base,
            encoding.rate or index.rate,
            depth,
            (index.findings.alpha or self.layer) and codec is not None and codec.has_alpha(depth) and not self.drawn,
        )

    @property
    def stored(self) -> PictureFormat:
        """Return the pixel format of the encoded chunks, whose bit depth may differ from the result's."""
        return self.chunk_encoding.stored(self.picture)

    def report_changes(self, context: Context) -> None:
        """Warn about losses that the codec causes for this source. Raises UsageError if the codec cannot write it."""
        encoding, picture, clip = self.encoding, self.picture, self.clip
        if clip.index.findings.alpha and not picture.alpha and not self.drawn:
            ground = "white" if clip.is_pictures else "black"
            text = f"{clip.name}: {encoding.codec} has no transparency, so transparent areas become {ground}"
            context.warn_once(f"{text} ({', '.join(codecs_with_alpha())} keep it)", clip.path)
        if encoding.palette and encoding.codec not in (*LOSSLESS, "gif", "exr"):
            text = f"{encoding.codec} mixes colours where the areas of a label map meet"
            context.warn_once(f"{clip.name}: {text}; {' and '.join(LOSSLESS)} keep every label", clip.path)
        size: tuple[int, int] | None = (picture.width, picture.height)
        if encoding.needs_program:
            size = try_ffmpeg_job(make_ffmpeg_job(encoding, picture), picture, context)
        if size is None or encoding.is_ffmpeg_encoder:
            return
        result = replace(picture, width=size[0], height=size[1])
        encoding.check_size(result)
        if result.is_odd and CODECS[encoding.codec].odd:
            text = f"a side of {size[0]}x{size[1]} is odd: {encoding.codec} is written as 4:4:4, not for all players"
            context.warn_once(f"{clip.name}: {text}", clip.path)

    def check_sound(self, output: Path, *, may_omit: bool = True) -> None:
        """Raise UsageError if ``output``'s container cannot hold the copied sound; ``may_omit``: see ``StreamCopy``."""
        kind = CONTAINERS.get(output.suffix.lower().lstrip("."))
        if kind and self.encoding.sound == "copy" and not self.clip.is_pictures and not self.clip.guides:
            check_sound((self.clip.origin or self.clip).path, kind, may_omit=may_omit)

    def assembly(self, folder: bool) -> Assembly:
        """Plan the assembly of the chunks into a result. ``folder``: the result is a folder of pictures."""
        encoding = self.encoding
        names = self._names if encoding.makes_pictures and folder else None
        copied = None if self.clip.is_pictures or self.clip.guides else self._stream_copy()
        plays = (self.clip.origin or self.clip).index.findings.plays or 0
        if not self.makes_between:
            return Assembly(encoding, self.picture, self.times.timing, copied, names, plays)
        timing = self.result_times.timing
        picture = replace(self.picture, time_base=timing.time_base)
        return Assembly(encoding, picture, timing, copied, names, plays, self.between)

    @property
    def between(self) -> FramesBetween:
        """Return the maker of frames between the clip's."""
        from vidtrans.retiming.frames import FramesBetween  # It needs Numba, which other renders can do without

        timing = self.result_times.timing
        begin = self.times.timing.pts[0] * self.times.timing.time_base
        times = [p * timing.time_base - begin for p in timing.pts]
        return FramesBetween(self.clip, self.numbers, times)

    def _stream_copy(self) -> StreamCopy:
        """Return the streams and the time range to copy from the clip's original file, in the times of that file."""
        index, origin = self.clip.index, self.clip.origin or self.clip
        begin = self._begin * index.time_base - self.clip.offset_s
        new_rate = self.result_times.rate or (index.rate if index.rate != origin.index.rate else None)
        sound = self.encoding.sound == "copy"
        found = origin.index.findings
        copied = StreamCopy(
            origin.path,
            shift_s=-begin,
            rate=origin.index.rate,
            new_rate=new_rate,
            stereo=found.stereo,
            projection=found.projection,
            sound=sound,
        )
        if not self.trimmed and not self.clip.is_part:
            return copied
        start = self._in_range(index.pts)[0] * index.time_base - self.clip.offset_s
        end = start + sum(self._in_range(index.durations())) * index.time_base
        first = origin.index.pts[0] * origin.index.time_base
        return replace(copied, start_s=start, end_s=end, before_s=start - first)

    def _names(self, count: int) -> list[str]:
        """Return the names of ``count`` pictures: those of their sources, or numbers if the frame count has changed."""
        codec, sources = self.encoding.codec, self.clip.index.names
        if self.times.rate is None and count == len(self.numbers):
            return picture_names(sources, self.numbers, codec, self.pattern)
        return picture_names((), range(count), codec, self.pattern)

    def stamps(self, number: int) -> Sequence[int]:
        """Return the timestamps at which a frame of the clip is written; () for frames that are not in the result."""
        return self.times.stamps(number - self.numbers.start) if number in self.numbers else ()

    def num_written(self, numbers: range) -> int:
        """Return how many output frames show the clip's frames ``numbers``; a constant rate drops or repeats frames."""
        return sum(len(self.stamps(n)) for n in numbers)

    def _in_range(self, values: Sequence[int]) -> Sequence[int]:
        """Return the values of the delivered frames, from a list with a value for each frame of the clip."""
        return values[self.numbers.start : self.numbers.stop]


def filtered_clip(clip: Clip, graph: str, context: Context) -> Clip:
    """Return the clip after a filter graph of the user's ffmpeg, upright and in RGB; the filtered clip is cached.

    The graph's input is the same as a model's: upright, undamaged RGB frames. Raises UsageError, MediaError.
    """
    from vidtrans.video.ffmpeg import FFmpegJob, find_program, program_version, run_ffmpeg_job

    if clip.is_pictures or clip.guides:
        raise UsageError("--filter-source", f"{clip.path.name} is not a video", "filter the pictures first")
    stage = FilterStage(clip.digest, graph, program_version(find_program()), media_libraries())
    entry, index = context.cache.entry(stage.name, stage.key), clip.index
    depth, alpha, aspect = 16 if index.findings.depth > 8 else 8, index.findings.alpha, index.sample_aspect_ratio
    picture = PictureFormat(index.width, index.height, aspect, index.time_base, index.rate, depth, alpha)
    job, hold = FFmpegJob(graph, deep=depth > 8, alpha=alpha), None
    if entry.read() is None:
        try_ffmpeg_job(job, picture, context)
        if context.dry_run:
            context.note("the filter is not run in a dry run: the estimate is for the unfiltered source")
            return clip
    if not context.dry_run:
        with entry.locked(wait_for=f"another run that filters {clip.path.name}"):
            if entry.read() is None:  # Otherwise another process has made it
                whole = entry.folder / "whole.nut"
                try:
                    _write_lossless(clip, picture, whole, context)
                    with write_atomically(entry.folder / FILTERED_FILE) as temporary:
                        run_ffmpeg_job(whole, temporary, job, context.stop, context.report, index.num_frames)
                finally:
                    whole.unlink(missing_ok=True)
                entry.finish({"graph": graph}, files=(FILTERED_FILE,))
            hold = entry.pin()
    filtered = open_clip(context, entry.folder / FILTERED_FILE)
    # The times of the filtered file already start at 0, and no GPU decodes lossless video.
    offset_s, filtered_index = -index.zero * index.time_base, replace(filtered.index, zero=0)
    return replace(filtered, index=filtered_index, pin=hold, origin=clip, offset_s=offset_s, hardware=None)


def _write_lossless(clip: Clip, picture: PictureFormat, path: Path, context: Context) -> None:
    """Write a clip to the lossless NUT file ``path``, which the user's ffmpeg reads."""
    index, segment = clip.index, path.with_suffix(".segment.nut")
    form = FrameFormat(deep=picture.depth > 8, alpha="kept" if picture.alpha else "laid")
    try:
        with (
            clip.reader(form, context.decode_threads) as reader,
            closing(reader.frames(index=index)) as frames,
            closing(SegmentWriter(segment, picture, EncodingSettings(codec="ffv1"))) as writer,
        ):
            for frame in frames:
                writer.write(with_alpha(frame.rgb, frame.alpha) if picture.alpha else frame.rgb, frame.pts)
                context.stop.check()
                context.report(Progress("unpacking for the filter", frame.index + 1, index.num_frames))
        pts = [p - index.zero for p in index.pts]
        join([segment], Timing(pts, index.durations(), index.time_base), path, stop=context.stop, kind="nut")
    finally:
        segment.unlink(missing_ok=True)
