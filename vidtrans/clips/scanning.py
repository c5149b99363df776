"""Read a clip once, at a small size: its index, and the survey of its pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from fractions import Fraction
from pathlib import Path

from vidtrans.core.errors import MediaError
from vidtrans.core.events import Progress
from vidtrans.core.settings import Size, Time
from vidtrans.flow.cuts import ANALYSIS_SHORT_SIDE
from vidtrans.flow.survey import Survey, Surveyor
from vidtrans.session import Context
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.clip import ClipIndex, Frame
from vidtrans.video.io.container import RAW
from vidtrans.video.io.picture_paths import is_picture_source
from vidtrans.video.io.pictures import open_reader
from vidtrans.video.io.reader import ClipReader

MARGIN = 32  # frames beyond a time up to which a clip is read; the detection of cuts looks less far ahead


def scan(context: Context, path: Path, guides: Sequence[str], until: Time | None = None) -> tuple[ClipIndex, Survey]:
    """Read a clip, and return its index and its survey.

    It is read to its end, or ``until`` a little after a time; where something is wrong with it, always to its end. If
    frames seem to be lost, it is read again, slowly, and damage is counted: fast decoders skip damage, sometimes
    without an error, and not always in the same way. Raises MediaError.
    """
    if until is not None:
        with suppress(MediaError):
            index, survey, doubtful = _read_through(context, path, guides, until=until)
            if not doubtful and not index.num_rebuilt_pts:
                return index, survey
    problem: MediaError | None = None
    try:
        index, survey, doubtful = _read_through(context, path, guides)
        found = index.findings
        if found.white or found.whites or found.span:  # known only now that all pictures were read
            index, survey, doubtful = _read_through(context, path, guides, index=index)
        if not doubtful:
            return index, survey
    except MediaError as error:
        if is_picture_source(path) and not guides:
            raise
        problem = error
    index, survey, _ = _read_through(context, path, guides, tolerant=True)
    if problem is not None and not index.findings.damage:  # not damage, but another error
        raise problem
    return index, survey


def _read_through(
    context: Context,
    path: Path,
    guides: Sequence[str],
    *,
    tolerant: bool = False,
    index: ClipIndex | None = None,
    until: Time | None = None,
) -> tuple[ClipIndex, Survey, bool]:
    frame_format = FrameFormat(Size(short=ANALYSIS_SHORT_SIDE))
    with open_reader(path, frame_format, threads=context.decode_threads, guides=guides, tolerant=tolerant) as reader:
        surveyor = Surveyor()
        total = reader.num_frames_expected
        with closing(reader.frames(index=index)) as read:
            frames: Iterable[Frame] = read
            if until is not None and isinstance(reader, ClipReader) and reader.info.format not in RAW:
                frames, total = _frames_until(until, read, reader.info.time_base), None
            for frame in frames:
                surveyor.add(frame.rgb)
                context.stop.check()
                context.report(Progress(f"reading {path.name}", frame.index + 1, total))
        index = reader.index()
        return index, surveyor.survey(), bool(index.findings.damage) or reader.is_doubtful()


def _frames_until(until: Time, frames: Iterable[Frame], time_base: Fraction) -> Iterator[Frame]:
    """Yield the frames up to the first one at or after a time, and ``MARGIN`` more."""
    begin: int | None = None
    last = until.frame
    for frame in frames:
        yield frame
        begin = frame.pts if begin is None else begin
        if last is None and (frame.pts - begin) * time_base >= (until.seconds or 0):
            last = frame.index
        if last is not None and frame.index >= last + MARGIN:
            return
