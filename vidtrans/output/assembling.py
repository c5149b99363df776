"""Assemble encoded chunks into the result: a video with its sound, pictures, or a GIF; run the user's ffmpeg last."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.events import Progress
from vidtrans.core.settings import Table
from vidtrans.session import Context
from vidtrans.video.io.encoder import SegmentWriter, read_lossless, unpack
from vidtrans.video.io.encoding import CODECS, FFMPEG_PREFIX, EncodingSettings, PictureFormat
from vidtrans.video.io.join import EncodedVideo, StreamCopy, Timing, join, read_encoded_video

if TYPE_CHECKING:
    from vidtrans.video.ffmpeg import FFmpegJob

VERSION = 3
TRIAL_FRAMES = 4


@dataclass(frozen=True)
class Assembly:
    """The plan for assembling encoded segments into a result.

    Attributes:
        encoding: The settings of the output.
        picture: The format of the segments' pictures.
        timing: The timestamps of the frames.
        copied: The sound and other streams to copy from the source; None for none.
        names: Function from a number of pictures to their file names in a folder; None for other results.
        plays: How often a GIF is played, 0 for endlessly.
    """

    encoding: EncodingSettings
    picture: PictureFormat
    timing: Timing
    copied: StreamCopy | None
    names: Callable[[int], list[str]] | None
    plays: int = 0

    def write(self, segments: Sequence[Path], output: Path, scratch: Path, context: Context) -> Table:
        """Write ``output`` and return its report table; ``scratch`` is a folder for intermediate files.

        Raises MediaError, UsageError.
        """
        if not self.encoding.needs_program:
            aspect = self.picture.sample_aspect_ratio
            return self._finish(segments, self.timing, aspect, output, self.copied, context)
        processed = scratch / "passed.nut"
        try:
            timing, video = self._run_program(segments, processed, scratch, context)
            copied = self.copied
            if copied is not None and len(timing.pts) != len(self.timing.pts):
                copied = replace(copied, new_rate=_rate_of(timing))
            seconds = round(float(_duration_s(timing)), 3)
            table = {"frames": len(timing.pts), "size": list(video.size), "duration_s": seconds}
            aspect = video.sample_aspect_ratio
            return table | self._finish([processed], timing, aspect, output, copied, context)
        finally:
            processed.unlink(missing_ok=True)

    def _finish(
        self,
        segments: Sequence[Path],
        timing: Timing,
        aspect: Fraction,
        output: Path,
        copied: StreamCopy | None,
        context: Context,
    ) -> Table:
        """Write the result; return the number of copied sound packets, and that of the frames if a GIF has others."""
        codec = self.encoding.codec
        if codec == "gif":
            return {"sound_packets": 0, "frames": _write_gif(segments, timing, output, self.plays, context)}
        if self.encoding.makes_pictures:
            names = self.names(len(timing.pts)) if self.names else None
            unpack(segments, names, output, codec, context.report, context.stop, self.encoding.palette)
            return {"sound_packets": 0}
        tag = "" if self.encoding.is_ffmpeg_encoder else CODECS[codec].tag
        num = join(segments, timing, output, copied, context.report, context.stop, tag=tag, aspect=aspect)
        return {"sound_packets": num}

    def _run_program(
        self, segments: Sequence[Path], processed: Path, scratch: Path, context: Context
    ) -> tuple[Timing, EncodedVideo]:
        """Run the user's ffmpeg on all segments, encode its output into ``processed``; return its times and form."""
        from vidtrans.video.ffmpeg import run_ffmpeg_job

        settings = self.encoding
        whole, filtered = scratch / "whole.nut", scratch / "filtered.nut"
        job = pass_of(settings, self.picture)
        ours = not settings.is_ffmpeg_encoder and not CODECS[settings.codec].unpacked
        try:
            join(segments, self.timing, whole, stop=context.stop, kind="nut")
            result = filtered if ours else processed
            run_ffmpeg_job(whole, result, job, context.stop, context.report, len(self.timing.pts))
            video = read_encoded_video(result)
            timing = self._timing_of(video)
            if ours:
                self._encode(filtered, video, timing, processed, context)
            return timing, video
        finally:
            whole.unlink(missing_ok=True)
            filtered.unlink(missing_ok=True)

    def _encode(self, filtered: Path, video: EncodedVideo, timing: Timing, output: Path, context: Context) -> None:
        """Encode the program's output, with the size, aspect and times from its graph."""
        width, height = video.size
        form = replace(
            self.picture,
            width=width,
            height=height,
            sample_aspect_ratio=video.sample_aspect_ratio,
            time_base=timing.time_base,
            rate=_rate_of(timing),
        )
        self.encoding.check_size(form)
        with closing(SegmentWriter(output, form, replace(self.encoding, filter=""))) as writer:
            for number, (picture, pts) in enumerate(zip(read_lossless(filtered), timing.pts, strict=True), 1):
                writer.write(picture, pts)
                context.stop.check()
                context.report(Progress("encoding", number, len(timing.pts)))

    def _timing_of(self, video: EncodedVideo) -> Timing:
        """Return the times of a program's output; the last frame lasts to the source's end, else as its predecessor."""
        pts = tuple(video.pts)
        if not pts:
            raise UsageError("--filter", "the graph outputs no frame", "change the graph")
        steps = [b - a for a, b in pairwise(pts)]
        given = self.timing
        end = (given.pts[-1] + given.durations[-1]) * given.time_base / video.time_base
        usual = steps[-1] if steps else 1 / (self.picture.rate * video.time_base)
        last = round(end - pts[-1]) if len(pts) == len(given.pts) or end - pts[-1] > 0 else round(usual)
        nominal = given.nominal if len(pts) == len(given.pts) else None
        return Timing(pts, (*steps, max(1, last)), video.time_base, nominal)


def _rate_of(timing: Timing) -> Fraction:
    """Return the average frames per second."""
    return len(timing.pts) / _duration_s(timing)


def _duration_s(timing: Timing) -> Fraction:
    return (timing.pts[-1] + timing.durations[-1] - timing.pts[0]) * timing.time_base


def _write_gif(segments: Sequence[Path], timing: Timing, output: Path, plays: int, context: Context) -> int:
    """Write a GIF and return its number of frames."""
    from vidtrans.video.io.encoder import write_gif

    total = 2 * len(timing.pts)  # the clip is read twice
    done = 0

    def frames() -> Iterator[np.ndarray]:
        nonlocal done
        for segment in segments:
            for picture in read_lossless(segment):
                context.stop.check()
                done += 1
                context.report(Progress("drawing the GIF", done, total))
                yield picture

    base = timing.time_base
    written = write_gif(frames, [p * base for p in timing.pts], [d * base for d in timing.durations], output, plays)
    if left := max(0, len(timing.pts) - written):
        lines = f"{left} of {len(timing.pts)} frames are left out: GIF shows none for less than 0.02 s"
        context.note(f"{lines} (--fps 50 or less spaces them evenly)", "warning")
    return written


def pass_of(settings: EncodingSettings, picture: PictureFormat) -> FFmpegJob:
    """Return the job of the user's ffmpeg: to filter, to encode, or both. Raises UsageError."""
    from vidtrans.video.ffmpeg import FFmpegJob, parse_options

    if settings.is_ffmpeg_encoder:
        return FFmpegJob(settings.filter, settings.codec.removeprefix(FFMPEG_PREFIX), parse_options(settings.options))
    return FFmpegJob(settings.filter, deep=picture.depth > 8, alpha=picture.alpha)


def try_pass(job: FFmpegJob, picture: PictureFormat, context: Context) -> tuple[int, int] | None:
    """Run the user's ffmpeg on a few black frames, so that its errors appear before the work.

    Returns the (width, height) of its output; None without output, as a graph may wait for more frames.
    Raises UsageError.
    """
    from vidtrans.video.ffmpeg import NoFramesError, run_ffmpeg_job

    lossless = replace(picture, depth=16 if picture.depth > 8 else 8)
    kind = np.uint16 if picture.depth > 8 else np.uint8
    black = np.zeros((picture.height, picture.width, 4 if picture.alpha else 3), kind)
    step = max(1, round(1 / (picture.rate * picture.time_base)))
    with tempfile.TemporaryDirectory(prefix="vidtrans-") as place:
        given, made = Path(place) / "given.nut", Path(place) / "made.nut"
        with closing(SegmentWriter(given, lossless, EncodingSettings(codec="ffv1"))) as writer:
            for number in range(TRIAL_FRAMES):
                writer.write(black, number * step)
        with suppress(NoFramesError):
            run_ffmpeg_job(given, made, job, context.stop)
            return read_encoded_video(made).size
    return None
