"""From encoded chunks to the result: a video with its sound, pictures, or a GIF; by way of the user's ffmpeg."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidtrans.errors import UsageError
from vidtrans.pipeline.context import Context
from vidtrans.settings import Table
from vidtrans.video.carry import Carried
from vidtrans.video.codecs import CODECS
from vidtrans.video.encoder import PictureFormat, SegmentWriter, read_lossless
from vidtrans.video.encoding import USERS, EncodingSettings
from vidtrans.video.join import Timing, join, size_of, stamps_of
from vidtrans.video.sequence import unpack

if TYPE_CHECKING:
    from vidtrans.video.ffmpeg import Pass

TRIAL_FRAMES = 4


@dataclass(frozen=True)
class Assembly:
    """How segments become a result. ``names`` are those of pictures in a folder, else None."""

    encoding: EncodingSettings
    picture: PictureFormat
    timing: Timing
    carried: Carried | None
    names: Sequence[str] | None

    def write(self, segments: Sequence[Path], output: Path, scratch: Path, context: Context) -> Table:
        """Write ``output`` and return what is reported of it; ``scratch`` holds what is needed in between.

        Raises MediaError, UsageError.
        """
        if not self.encoding.needs_program:
            return {"sound_packets": self._finish(segments, self.timing, output, context)}
        passed = scratch / "passed.nut"
        try:
            timing = self._through_program(segments, passed, scratch, context)
            packets = self._finish([passed], timing, output, context)
            seconds = float((timing.pts[-1] + timing.durations[-1] - timing.pts[0]) * timing.time_base)
            made = {"frames": len(timing.pts), "size": list(size_of(passed)), "duration_s": round(seconds, 3)}
            return made | {"sound_packets": packets}
        finally:
            passed.unlink(missing_ok=True)

    def _finish(self, segments: Sequence[Path], timing: Timing, output: Path, context: Context) -> int:
        codec = self.encoding.codec
        if codec == "gif":
            from vidtrans.video.gif import write_gif

            base, frames = timing.time_base, lambda: chain.from_iterable(map(read_lossless, segments))
            write_gif(frames, [p * base for p in timing.pts], [d * base for d in timing.durations], output)
            return 0
        if self.encoding.makes_pictures:
            unpack(segments, self.names, output, codec, context.report, context.stop)
            return 0
        tag = "" if self.encoding.is_users else CODECS[codec].tag
        return join(segments, timing, output, self.carried, context.report, tag)

    def _through_program(self, segments: Sequence[Path], passed: Path, scratch: Path, context: Context) -> Timing:
        """All segments through the user's ffmpeg, in one go, and encoded: the file ``passed``, and its times."""
        from vidtrans.video.ffmpeg import run_pass

        settings = self.encoding
        whole, filtered = scratch / "whole.nut", scratch / "filtered.nut"
        job = pass_of(settings, self.picture)
        ours = not settings.is_users and not CODECS[settings.codec].unpacked
        try:
            join(segments, self.timing, whole, kind="nut")
            run_pass(whole, filtered if ours else passed, job, context.stop, context.report, len(self.timing.pts))
            timing = _timing_of(filtered if ours else passed)
            if self.names is not None and len(self.names) != len(timing.pts):
                why = f"it makes {len(timing.pts)} frames of {len(self.names)}, and each picture has a name"
                raise UsageError(
                    f"--filter {settings.filter}", why, "write a video, or filter without changing the rate"
                )
            if ours:
                self._encode(filtered, timing, passed, context)
            return timing
        finally:
            whole.unlink(missing_ok=True)
            filtered.unlink(missing_ok=True)

    def _encode(self, filtered: Path, timing: Timing, passed: Path, context: Context) -> None:
        """Encode what came out of the program, at the size that its graph made."""
        writer: SegmentWriter | None = None
        for picture, pts in zip(read_lossless(filtered), timing.pts, strict=True):
            if writer is None:
                height, width = picture.shape[:2]
                form = replace(self.picture, width=width, height=height, time_base=timing.time_base)
                self.encoding.check_size(form)
                writer = SegmentWriter(passed, form, replace(self.encoding, filter=""))
            writer.write(picture, pts)
            context.stop.check()
        if writer is not None:
            writer.close()


def pass_of(settings: EncodingSettings, picture: PictureFormat) -> Pass:
    """What the user's ffmpeg has to do: filter, encode, or both. Raises UsageError."""
    from vidtrans.video.ffmpeg import Pass, parse_options

    if settings.is_users:
        return Pass(settings.filter, settings.codec.removeprefix(USERS), parse_options(settings.options))
    return Pass(settings.filter, deep=picture.depth > 8, alpha=picture.alpha)


def try_program(settings: EncodingSettings, picture: PictureFormat, context: Context) -> None:
    """Say before a render what the user's ffmpeg would say after it; a few black frames go through.

    Raises UsageError.
    """
    from vidtrans.video.ffmpeg import NothingCameOut, run_pass

    lossless = replace(picture, depth=16 if picture.depth > 8 else 8)
    kind = np.uint16 if picture.depth > 8 else np.uint8
    black = np.zeros((picture.height, picture.width, 4 if picture.alpha else 3), kind)
    step = max(1, round(1 / (picture.rate * picture.time_base)))
    with tempfile.TemporaryDirectory(prefix="vidtrans-") as place:
        given, made = Path(place) / "given.nut", Path(place) / "made.nut"
        with closing(SegmentWriter(given, lossless, EncodingSettings(codec="ffv1"))) as writer:
            for number in range(TRIAL_FRAMES):
                writer.write(black, number * step)
        with suppress(NothingCameOut):  # a graph may wait for more
            run_pass(given, made, pass_of(settings, picture), context.stop)


def _timing_of(path: Path) -> Timing:
    """The times of what a program made. Its last frame is shown as long as the one before."""
    pts, time_base = stamps_of(path)
    if not pts:
        raise UsageError("--filter", "no frame comes out of it", "change the graph")
    steps = [b - a for a, b in pairwise(pts)]
    return Timing(tuple(pts), (*steps, steps[-1] if steps else 1), time_base)
