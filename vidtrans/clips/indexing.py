"""Open a clip: its index, shots and exposure corrections, each computed in one reading pass and then cached."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from vidtrans.core.costs import count
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.events import Progress
from vidtrans.core.files import digest_of
from vidtrans.core.registry import missing_file_remedy
from vidtrans.core.settings import Size, Table, Time, to_table
from vidtrans.flow.cuts import ANALYSIS_SHORT_SIDE
from vidtrans.flow.exposure import VERSION as EXPOSURE_VERSION
from vidtrans.flow.exposure import ExposureMeter, corrected
from vidtrans.flow.survey import VERSION, Survey, Surveyor
from vidtrans.session import Context
from vidtrans.store.cache import CacheEntry, CachePin
from vidtrans.store.stages import ExposureStage, IndexStage, media_libraries
from vidtrans.video.frame_format import BLACK, PAPER, FrameFormat
from vidtrans.video.io.clip import ClipIndex, Findings, Frame, FrameCursor, Reader
from vidtrans.video.io.container import RAW_FORMATS
from vidtrans.video.io.encoding import CPU, decoder_problem
from vidtrans.video.io.picture_paths import (
    check_supported_format,
    is_pattern,
    is_picture,
    is_picture_sequence,
    is_picture_source,
    split_view,
)
from vidtrans.video.io.pictures import media_files, open_reader, pose_view_text, unequal_guides
from vidtrans.video.io.policy import COLOUR_MAPPING_TEXTS, DOLBY_VISION_WARNING, describe_conversions
from vidtrans.video.io.reader import ClipReader, HardwareDecoder
from vidtrans.video.side_data import DOLBY_VISION_ONLY

MARGIN_FRAMES = 32  # Number of frames read after the requested end; cut detection needs fewer following frames
# Options of the user's ffmpeg that convert Dolby Vision to SDR.
DOLBY_VISION_TO_SDR = "-vf libplacebo=colorspace=bt709:color_primaries=bt709:color_trc=bt709 -c:a copy"
PICTURES_VERSION = 3  # Version of the decoding rules of picture files, part of the cache key of an index


def scan_clip(
    context: Context, path: Path, guides: Sequence[str], until: Time | None = None
) -> tuple[ClipIndex, Survey]:
    """Read a clip; return its index (times and formats of frames) and its survey (shots, near-duplicates, sharpness).

    The clip is read to its end, or until a little after the time ``until``; to its end in any case if something is
    wrong with it. If frames seem to be lost, it is read again, with a slower decoder that counts damage: fast decoders
    skip damage, sometimes without an error, and not always in the same way. Raises MediaError.
    """
    if until is not None:
        with suppress(MediaError):
            index, survey, is_incomplete = _read_once(context, path, guides, until=until)
            if not is_incomplete and not index.num_rebuilt_pts:
                return index, survey
    problem: MediaError | None = None
    try:
        index, survey, is_incomplete = _read_once(context, path, guides)
        findings = index.findings
        if findings.white or findings.whites or findings.span:  # They change the pictures, and are known only now
            index, survey, is_incomplete = _read_once(context, path, guides, index=index)
        if not is_incomplete:
            return index, survey
    except MediaError as error:
        if is_picture_source(path) and not guides:
            raise
        problem = error
    index, survey, _ = _read_once(context, path, guides, tolerant=True)
    if problem is not None and not index.findings.damage:  # The error has another cause than damage
        raise problem
    return index, survey


def _read_once(
    context: Context,
    path: Path,
    guides: Sequence[str],
    *,
    tolerant: bool = False,
    index: ClipIndex | None = None,
    until: Time | None = None,
) -> tuple[ClipIndex, Survey, bool]:
    """Read a clip once; return its index, its survey, and whether it must be read again to count damage.

    ``tolerant``: count damage instead of raising MediaError. ``index``: from an earlier pass, whose findings on the
    range of samples are applied. ``until``: the time a little after which reading ends; None: to the end.
    """
    frame_format = FrameFormat(Size(short=ANALYSIS_SHORT_SIDE))
    with open_reader(path, frame_format, threads=context.decode_threads, guides=guides, tolerant=tolerant) as reader:
        surveyor = Surveyor()
        total = reader.num_frames_expected
        with closing(reader.frames(index=index)) as all_frames:
            frames: Iterable[Frame] = all_frames
            if until is not None and isinstance(reader, ClipReader) and reader.info.format not in RAW_FORMATS:
                frames, total = _frames_until(until, all_frames, reader.info.time_base), None
            for frame in frames:
                surveyor.add(frame.rgb)
                context.stop.check()
                context.report(Progress(f"reading {path.name}", frame.index + 1, total))
        index = reader.index()
        return index, surveyor.survey(), bool(index.findings.damage) or reader.needs_second_pass()


def _frames_until(until: Time, frames: Iterable[Frame], time_base: Fraction) -> Iterator[Frame]:
    """Yield the frames up to the first one at or after the time ``until``, and ``MARGIN_FRAMES`` more.

    ``time_base``: the seconds per tick of the frames' pts.
    """
    first_pts: int | None = None
    last = until.frame
    for frame in frames:
        yield frame
        first_pts = frame.pts if first_pts is None else first_pts
        if last is None and (frame.pts - first_pts) * time_base >= (until.seconds or 0):
            last = frame.index
        if last is not None and frame.index >= last + MARGIN_FRAMES:
            return


@dataclass(frozen=True)
class Clip:
    """A source of frames: a video, a picture, or a folder of pictures.

    Attributes:
        path: The file, or the folder or pattern of pictures.
        digest: SHA-256 (hex) of its content and, if unusual, of the rules by which its colours are read.
        index: Its frames' timestamps, size and format.
        survey: Its shots, near-duplicates and sharpness.
        guides: Names of the guides in a folder of guides.
        origin: The clip from which this one was made, and whose sound is copied; None without one.
        offset_s: How much later its times are than the origin's, in seconds.
        is_part: Whether it is only a part of the origin.
        pin: Protects its file from deletion, if that is in the cache.
        hardware: The GPU decoder; None: the CPU decodes.
        until: The time until which it was read, and a little further; None: to its end.
    """

    path: Path
    digest: str
    index: ClipIndex
    survey: Survey
    guides: tuple[str, ...] = ()
    origin: Clip | None = None
    offset_s: Fraction = Fraction(0)
    is_part: bool = False
    pin: CachePin | None = field(default=None, repr=False, compare=False)
    hardware: HardwareDecoder | None = field(default=None, repr=False, compare=False)
    until: Time | None = None

    @property
    def name(self) -> str:
        """The file name of the source."""
        path = (self.origin or self).path
        return path.name or path.resolve().name

    @property
    def shots(self) -> tuple[int, ...]:
        """The first frame of each shot."""
        return self.survey.shots

    @property
    def is_pictures(self) -> bool:
        """Whether the clip consists of picture files, not of a video."""
        return bool(self.index.names)

    @property
    def default_background(self) -> tuple[int, int, int]:
        """The RGB colour behind transparent pixels, unless a ``FrameFormat`` has one.

        It is white for pictures, else black.
        """
        return PAPER if self.is_pictures else BLACK

    def reader(self, frame_format: FrameFormat, threads: int) -> Reader:
        """Return a reader of the clip, to be used as a context manager."""
        return open_reader(self.path, frame_format, threads=threads, guides=self.guides, hardware=self.hardware)

    def frames(
        self, frame_format: FrameFormat, threads: int, start: int = 0, stop: int | None = None
    ) -> Generator[Frame, None, None]:
        """Yield the frames ``start`` … ``stop − 1``; closing the generator closes the file. Raises MediaError."""
        with self.reader(frame_format, threads) as reader:
            yield from reader.frames(start, stop, self.index)

    def cursor(self, frame_format: FrameFormat, threads: int) -> FrameCursor:
        """Return a cursor, which reads single frames of the clip by number."""
        return FrameCursor(partial(self.frames, frame_format, threads))

    def trim(self, start: Time | None, end: Time | None) -> tuple[int, int]:
        """Return the frames [first, stop) with ``start`` ≤ time < ``end``; None: no limit.

        Raises UsageError if there are none.
        """
        first = 0 if start is None else self.frame_at(start)
        stop = self.index.num_frames if end is None else self.frame_at(end)
        if first >= stop:
            options = {"--start": start, "--end": end}
            raise UsageError(
                " ".join(f"{option} {time}" for option, time in options.items() if time is not None) or self.name,
                f"no frames of {self.name} lie between "
                f"({count(self.index.num_frames, 'frame')}, {self.index.duration_s:.3f} s)",
                "choose times within the clip",
            )
        return first, stop

    def shots_in(self, first: int, stop: int) -> list[range]:
        """Return the frames of each shot within the frames [first, stop)."""
        starts = [first, *(shot for shot in self.shots if first < shot < stop), stop]
        return [range(shot, following) for shot, following in pairwise(starts)]

    def frame_at(self, time: Time) -> int:
        """Return the number of the first frame at or after ``time``, or the number of frames if there is none."""
        if time.frame is not None:
            return min(time.frame, self.index.num_frames)
        return bisect_left(self.index.pts, self.pts_of(time))

    def pts_of(self, time: Time) -> Fraction:
        """Return a time in ticks of the time base; frames after the end have the duration of the last frame."""
        index = self.index
        if time.frame is None:
            return index.pts[0] + (time.seconds or Fraction(0)) / index.time_base
        num_after_end = max(0, time.frame - (index.num_frames - 1))
        return Fraction(index.pts[min(time.frame, index.num_frames - 1)] + num_after_end * index.last_duration)


def content_digest(context: Context, path: Path, guides: Sequence[str] = ()) -> str:
    """Return the SHA-256 of all content read from the source: a file, or pictures and guides with their names.

    Raises MediaError if it cannot be read.
    """
    source, view = split_view(path)
    check_supported_format(source)
    if not source.exists() and not is_pattern(path):
        raise MediaError(str(path), "no such file", missing_file_remedy(path))
    try:
        if not is_picture_sequence(path):
            digest = context.cache.digest(source)
        else:
            digest = digest_of([[name, context.cache.digest(file)] for name, file in media_files(path, guides)])
        poses = pose_view_text(guides)
        return digest_of([digest, view, *([] if poses is None else [poses])]) if view or poses is not None else digest
    except PermissionError:
        raise MediaError(str(path), "permission denied", "make the file readable") from None


def open_clip(context: Context, path: Path, guides: Sequence[str] = (), until: Time | None = None) -> Clip:
    """Return the clip with its index and survey, from the cache or by reading it.

    ``path`` is a video, a picture, a folder or pattern of pictures, or (with ``guides``) a folder of guides. With
    ``until``, a video is read, and indexed, only until a little after that time. Raises MediaError if the clip cannot
    be read, or, with ``allow_damaged`` off, is damaged or has colours that only Dolby Vision can convert.
    """
    clip = survey_clip(context, path, guides, None if guides or is_picture_source(path) else until)
    damage = clip.index.findings.damage
    if not context.allow_damaged and damage:
        raise MediaError(str(path), f"damaged: {damage}", "repair it, or take what is left with --allow-damaged")
    if not context.allow_damaged and (profile := clip.index.findings.dolby_vision) in DOLBY_VISION_ONLY:
        remedy = f"convert it first (ffmpeg -i IN {DOLBY_VISION_TO_SDR} OUT), or read it as it is with --allow-damaged"
        raise MediaError(str(path), DOLBY_VISION_WARNING.format(profile), remedy)
    for conversion in describe_conversions(clip.index):
        context.warn_once(f"{path.name}: {conversion}", path)
    return clip if context.decoder == CPU else replace(clip, hardware=_hardware_for(clip, context))


def _hardware_for(clip: Clip, context: Context) -> HardwareDecoder | None:
    """Return the requested GPU decoder; None, with a warning, if it cannot be used.

    Its frames equal the CPU's, because the formats' standards define every sample, so cache keys do not contain the
    decoder. Standards do not cover damage or wrong timestamps, and fields of interlaced frames are separated in the
    CPU's layout. To detect these, a clip is always surveyed on the CPU.
    """
    path, name, findings = clip.path, context.decoder, clip.index.findings
    if clip.is_pictures or clip.guides:
        return None
    device = context.device.partition(":")[2]
    if why := decoder_problem(name, device):
        context.warn_once(f"--decoder {name} cannot be used here ({why}): the CPU decodes")
        return None

    def report(why: str) -> None:
        """Warn that the CPU decodes the clip, and why."""
        context.warn_once(f"{path.name}: not decoded by {name}, but by the CPU: {why}", path)

    if findings.damage or findings.interlaced or findings.resized or clip.index.num_rebuilt_pts:
        report("it is damaged, interlaced, or without regular times")
        return None
    return HardwareDecoder(name, device, report)


def index_entry(
    context: Context, path: Path, digest: str, guides: Sequence[str], until: Time | None = None
) -> CacheEntry:
    """Return the cache entry of the index of a source with this digest, for the whole clip or ``until`` a time."""
    version = PICTURES_VERSION if is_picture_source(path) else 0
    end = str(until) if until is not None else ""
    stage = IndexStage(digest, list(guides), VERSION, media_libraries(), version, end)
    return context.cache.entry(stage.name, stage.key)


def survey_clip(context: Context, path: Path, guides: Sequence[str] = (), until: Time | None = None) -> Clip:
    """Return the clip with its index, even if damaged. Raises MediaError if no frame can be read.

    ``guides`` and ``until``: as in ``open_clip``.
    """
    digest = content_digest(context, path, guides)
    entry = index_entry(context, path, digest, guides, until)
    cached = entry.read()
    if cached is None:
        with open_reader(path, guides=guides):  # Raises MediaError before a cache entry exists
            pass
        if context.dry_run:
            index, survey = scan_clip(context, path, guides, until)
            return Clip(path, _reading_digest(digest, index), index, survey, tuple(guides), until=until)
        with entry.locked(wait_for=f"another run that reads {path.name}"):
            if (cached := entry.read()) is None:  # Otherwise another run has just read the same clip
                index, survey = scan_clip(context, path, guides, until)
                cached = {"index": _index_table(index), "survey": to_table(survey)}
                entry.finish(cached)
        context.cache.save_digests()
    index = _index_from_table(cached["index"])
    if guides and (unequal := unequal_guides(path, guides)):
        context.note(f"{path.name}: {unequal}", "warning")
    if is_picture(path) and not is_picture_sequence(path):  # The digest of the content does not contain the name
        index = replace(index, names=(split_view(path)[0].name,))
    survey = Survey.of(cached["survey"])
    return Clip(path, _reading_digest(digest, index), index, survey, tuple(guides), until=until)


def _reading_digest(content: str, index: ClipIndex) -> str:
    """Return the digest of a clip's frames: of the source's content and, if unusual, of the rules by which it is read.

    With the default rules it equals the content's digest, so that earlier cache keys remain valid.
    """
    findings = index.findings
    colour = "" if findings.colour in COLOUR_MAPPING_TEXTS else findings.colour
    rules = [colour, findings.white, list(findings.span or ()), list(findings.notes)]
    rules += [findings.reading] if findings.reading else []
    return digest_of([content, *rules]) if any(rules) else content


def _index_table(index: ClipIndex) -> Table:
    """Return an index as a table that the cache can store as JSON."""
    table = to_table(index)
    fractions = {name: str(table[name]) for name in ("time_base", "sample_aspect_ratio", "rate")}
    return table | fractions | {"findings": to_table(index.findings)}


def _index_from_table(table: Table) -> ClipIndex:
    """Return an index from a table of ``_index_table``."""
    fractions = {name: Fraction(table[name]) for name in ("time_base", "sample_aspect_ratio", "rate")}
    tuples = {name: tuple(table[name]) for name in ("pts", "names")}
    findings = table["findings"]
    findings |= {"notes": tuple(findings["notes"]), "whites": tuple(findings.get("whites", ()))}
    findings["side_data"] = tuple(findings["side_data"])
    findings["span"] = tuple(findings["span"]) if findings["span"] else None
    return ClipIndex(**table | fractions | tuples | {"findings": Findings(**findings)})


def with_picture_fps(clip: Clip, rate: float) -> Clip:
    """Return a clip of pictures without times at ``rate`` frames per second; other clips unchanged."""
    has_times = clip.index.time_base * clip.index.rate != 1
    if not clip.is_pictures or has_times:
        return clip
    exact = Fraction(rate).limit_denominator(1001)
    return replace(clip, index=replace(clip.index, time_base=1 / exact, rate=exact))


def note_end_in_frames(clip: Clip, stop: int, start: Time | None, end: Time | None, context: Context) -> None:
    """Report that ``--end`` is a frame number, as the user may have meant seconds."""
    if start is None and end is not None and end.frame is not None and stop < clip.index.rate:
        rendered = f"{count(stop, 'frame')} of {clip.name} {'is' if stop == 1 else 'are'} rendered"
        context.note(f"{end.frame} is the number of a frame: {rendered}; for seconds write {end.frame}s")


@dataclass(frozen=True)
class ExposureCorrection:
    """The exposure corrections of a clip, (N, 3, 2): a and b of a·x + b per frame and channel, x in [0, 1]."""

    corrections: np.ndarray

    def __call__(self, frame: Frame) -> np.ndarray:
        """Return the picture of a frame, (H, W, 3), with corrected exposure."""
        return corrected(frame.rgb, self.corrections[frame.index])

    def for_key(self) -> str:
        """Return the digest of the corrections, for cache keys."""
        return digest_of(self.corrections.tolist())


def measure_exposure(clip: Clip, context: Context) -> ExposureCorrection:
    """Return the exposure corrections of a clip, from the cache or by reading it once. Raises MediaError."""
    stage = ExposureStage(clip.digest, list(clip.shots), EXPOSURE_VERSION, media_libraries())
    entry = context.cache.entry(stage.name, stage.key)
    cached = entry.read()
    if cached is None:
        cached = {"corrections": _read_exposure(clip, context).tolist()}
        if not context.dry_run:
            with entry.locked(wait_for=f"another run that measures {clip.path.name}"):
                entry.finish(cached)
    return ExposureCorrection(np.array(cached["corrections"]))


def _read_exposure(clip: Clip, context: Context) -> np.ndarray:
    """Read a clip, and return its exposure corrections, (N, 3, 2), as in ``ExposureCorrection``."""
    meter = ExposureMeter()
    frames = clip.frames(FrameFormat(Size(short=ANALYSIS_SHORT_SIDE)), context.decode_threads)
    with closing(frames):
        for frame in frames:
            meter.add(frame.rgb)
            context.stop.check()
            context.report(Progress(f"measuring {clip.path.name}", frame.index + 1, clip.index.num_frames))
    corrections = meter.corrections(clip.shots)
    for number in clip.survey.held:  # Equal pictures must remain equal
        corrections[number] = corrections[number - 1]
    return corrections
