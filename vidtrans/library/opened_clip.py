"""A clip as a sequence of frames, with iteration, slicing and access by time; pictures encoded as a clip."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Iterator, Sequence, Sized
from contextlib import closing, contextmanager
from dataclasses import replace
from fractions import Fraction
from functools import partial
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from types import TracebackType
from typing import Any, overload

from vidtrans.clips import indexing
from vidtrans.clips.aligned_clip import match_frames
from vidtrans.clips.sampling import read_clip_frames, spread_numbers
from vidtrans.core.costs import count
from vidtrans.core.errors import Interrupted, MediaError, UsageError
from vidtrans.core.events import Report, Stop, ignore_event
from vidtrans.core.files import CACHE_FOLDER, write_atomically
from vidtrans.core.settings import Size, Time, parse_time
from vidtrans.core.system import path_as_stored
from vidtrans.library.picture_arrays import ClipFrame, check_frames, to_array
from vidtrans.output.delivery import Assembly, Delivery
from vidtrans.output.result import check_place
from vidtrans.session import Context
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.clip import Frame
from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import EncodingSettings, PictureFormat
from vidtrans.video.io.join import Timing

TICKS_PER_S = 90000  # Ticks per second of the timestamps of encoded clips whose frame rate is not a whole number


@contextmanager
def with_stop_message(why: str, remedy: str) -> Iterator[None]:
    """Replace the reason and the remedy of an ``Interrupted`` error that is raised within this context."""
    try:
        yield
    except Interrupted as error:
        error.why, error.remedy = why, remedy
        raise


class OpenedClip:
    """The frames of a video, a picture, or a folder of pictures, upright and with exact times.

    The index comes from decoding the clip once, and is stored in the cache. Threads may share a clip; each iteration
    has its own decoder. To read frames in order, iterate: indexing may decode from the preceding keyframe. Use it as a
    context manager, or call ``close``, to release the decoder of indexed frames.
    """

    def __init__(self, clip: indexing.Clip, context: Context, frames: range, *, deep: bool = False) -> None:
        """Create a clip; users call ``open_clip``."""
        self.clip, self.context, self.frames, self.deep = clip, context, frames, deep
        self._format = FrameFormat(deep=deep)
        self._cursor, self._lock = clip.cursor(self._format, context.decode_threads), Lock()

    @property
    def path(self) -> Path:
        """Return the path of the file or folder."""
        return self.clip.path

    @property
    def name(self) -> str:
        """Return the name of the file or folder, without its parents."""
        return self.clip.name

    @property
    def digest(self) -> str:
        """Return a SHA-256 (hex) of the content: sources with the same digest have the same frames."""
        return self.clip.digest

    @property
    def size(self) -> tuple[int, int]:
        """Return the (width, height) in pixels."""
        return self.clip.index.width, self.clip.index.height

    @property
    def sample_aspect_ratio(self) -> Fraction:
        """Return the width of a pixel divided by its height, 1 for square pixels."""
        return self.clip.index.sample_aspect_ratio

    @property
    def fps(self) -> Fraction:
        """Return the nominal rate in frames per second; see ``times`` for frames that are not evenly spaced."""
        return self.clip.index.rate

    @property
    def times(self) -> tuple[Fraction, ...]:
        """Return the exact time of each frame in seconds from the clip's start."""
        return tuple(self._time(number) for number in self.frames)

    @property
    def start_timestamp(self) -> Fraction:
        """Return the file's timestamp, in seconds, of the moment from which ``times`` count.

        The sound of the file has timestamps of the same clock.
        """
        return self.clip.index.pts[0] * self.clip.index.time_base

    @property
    def duration(self) -> Fraction:
        """Return the seconds from the first frame to the end of the last frame."""
        index = self.clip.index
        return Fraction(sum(index.durations()[self.frames.start : self.frames.stop])) * index.time_base

    @property
    def shots(self) -> tuple[int, ...]:
        """Return the first frame of each shot, as numbers in this clip."""
        first = self.frames.start
        inside = [number - first for number in self.clip.shots if number in self.frames]
        return tuple(inside if inside[:1] == [0] else [0, *inside])

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[ClipFrame]:
        return self.read()

    @overload
    def __getitem__(self, key: int) -> ClipFrame: ...
    @overload
    def __getitem__(self, key: slice) -> OpenedClip: ...
    def __getitem__(self, key: int | slice) -> ClipFrame | OpenedClip:
        """Return a frame, or for a slice a clip, whose frames are read on demand."""
        if isinstance(key, slice):
            part = self.frames[key]
            if part.step != 1 or not part:
                raise IndexError(f"a part of a clip has one frame or more, in order: {key}")
            return OpenedClip(self.clip, self.context, part, deep=self.deep)
        return self._read(self.frames[key])

    def at(self, time: str | float | Fraction) -> ClipFrame:
        """Return the first frame at or after a time: seconds, or text as for ``--start`` ('1:02.5', '3.5s')."""
        if isinstance(time, float) and not isfinite(time):
            raise UsageError(f"time {time}", "it is not a time", "give seconds from the clip's start")
        moment = parse_time(time) if isinstance(time, str) else Time(seconds=Fraction(time))
        number = self.clip.frame_at(moment)
        if number not in self.frames:
            raise IndexError(f"no frame of {self.path.name} is at {time} s or later in this part")
        return self._read(number)

    def read(
        self, numbers: Sequence[int] | None = None, *, size: tuple[int, int] | None = None
    ) -> Generator[ClipFrame, None, None]:
        """Yield frames in order; those that are near each other are decoded in one pass, others by seeking.

        Args:
            numbers: the numbers of the frames, increasing; by default all.
            size: the (width, height) to which frames are scaled; by default that of the clip.

        Raises:
            IndexError: The clip has no frame of a number.
            MediaError: A frame cannot be read.
            UsageError: The numbers do not increase.
        """
        frame_format = self._format if size is None else replace(self._format, size=Size(exact=size))
        if numbers is None:
            frames = self.clip.frames(frame_format, self.context.decode_threads, self.frames.start, self.frames.stop)
        else:
            frames = self._read_numbers([self.frames[number] for number in numbers], frame_format)
        with closing(frames):
            for frame in frames:
                yield self._clip_frame(frame)

    def _read_numbers(self, numbers: list[int], frame_format: FrameFormat) -> Generator[Frame, None, None]:
        """Yield the frames with these numbers in the file. Raises MediaError, UsageError."""
        if any(number >= following for number, following in itertools.pairwise(numbers)):
            raise UsageError("numbers", "they do not increase", "give each frame once, in order")
        unread = dict.fromkeys(numbers)
        for frame in read_clip_frames(self.clip, numbers, frame_format, self.context) if numbers else ():
            del unread[frame.index]
            yield frame
        if unread:
            raise MediaError(self.name, f"frame {min(unread)} could not be read", "check the file")

    def spread(self, count: int) -> list[int]:
        """Return the numbers of ``count`` frames, spread evenly over the clip; of a shorter clip, of all frames."""
        return spread_numbers(len(self), max(1, count))

    def match(self, other: OpenedClip) -> tuple[list[int], str]:
        """Return the number of the frame of ``other`` for each frame of this clip, and a text on differences.

        A single picture is that of all frames. Folders of pictures are matched by the numbers in their names, clips
        with equally many frames one to one, other clips by time; where ``other`` has no frame, the one before it is
        repeated. The text is empty if there are no differences.
        """
        numbers, text = match_frames(
            self.clip.index, other.clip.index, self.frames.start, self.frames.stop, name=self.name
        )
        first, last = other.frames[0], other.frames[-1]
        return [min(max(number, first), last) - first for number in numbers], text

    def close(self) -> None:
        """Close the decoder of indexed frames. The clip remains usable."""
        with self._lock:
            self._cursor.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(OpenedClip, deep=self.deep), (self.clip, self.context, self.frames)

    def __enter__(self) -> OpenedClip:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        width, height = self.size
        return f"OpenedClip({self.path.name!r}, {len(self)} frames of {width}x{height})"

    def _time(self, number: int) -> Fraction:
        """Return the time of a frame in seconds from the clip's start; ``number``: its number in the file."""
        index = self.clip.index
        return (index.pts[number] - index.pts[0]) * index.time_base

    def _read(self, number: int) -> ClipFrame:
        """Return a copy of a frame by its number in the file; threads are serialised."""
        with self._lock:
            frame = self._cursor(number)
            return self._clip_frame(replace(frame, rgb=frame.rgb.copy()))  # The cursor may return this array again

    def _clip_frame(self, frame: Frame) -> ClipFrame:
        """Return a decoded frame with its number in this clip and its time."""
        return ClipFrame(frame.rgb, frame.index - self.frames.start, self._time(frame.index))


def open_clip(
    path: str | Path,
    *,
    start: str | int | None = None,
    end: str | int | None = None,
    deep: bool = False,
    allow_damaged: bool = False,
    cache_dir: str | Path = CACHE_FOLDER,
    report: Report = ignore_event,
    stop: Stop | None = None,
) -> OpenedClip:
    """Open a video, a picture, or a folder of pictures; the first call decodes it to build its index.

    Args:
        path: the file, the folder, or a pattern ('frames/%05d.png').
        start: the first frame, as for ``--start``: '1:02.5', '3.5s', or a frame number.
        end: the end, exclusive, in the same form.
        deep: whether frames have 16 bits per channel (uint16) instead of 8.
        allow_damaged: whether to accept the readable frames of a damaged video.
        cache_dir: the folder of the index.
        report: called with progress.
        stop: a request to stop reading, which raises ``Interrupted``.

    Raises:
        MediaError: The file or folder cannot be read.
        UsageError: There is no frame between ``start`` and ``end``, or the pictures differ in size.
    """
    context = Context(cache_dir=Path(cache_dir), allow_damaged=allow_damaged, report=report, stop=stop or Stop())
    with with_stop_message(f"{Path(path).name} was not read to its end", "open it again"):
        opened = open_with(context, path_as_stored(Path(path)), deep=deep)
    if not opened.clip.index.same_size:
        raise UsageError(str(path), "its pictures differ in size", "open them one by one")
    span = opened.clip.trim(*(parse_time(str(time)) if time is not None else None for time in (start, end)))
    return opened[slice(*span)]


def open_with(context: Context, path: Path, *, deep: bool = False) -> OpenedClip:
    """Open a clip for an application, with its context: cache, decoder, report and stop.

    Pictures may differ in size, and ``size`` is that of the first. ``deep``: 16 bits per channel. Raises MediaError.
    """
    clip = indexing.open_clip(context, path)
    return OpenedClip(clip, context, range(clip.index.num_frames), deep=deep)


def digest_with(context: Context, path: Path) -> str:
    """Return the SHA-256 (hex) of a source's content, without decoding it. Raises MediaError if it cannot be read."""
    return indexing.content_digest(context, path)


def write_clip(
    frames: Iterable[Any],
    path: str | Path,
    *,
    like: OpenedClip | None = None,
    fps: float | str | Fraction | None = None,
    codec: str = "auto",
    crf: int | None = None,
    overwrite: bool = False,
    report: Report = ignore_event,
    stop: Stop | None = None,
) -> int:
    """Encode pictures as a video, with the times and the sound of the clip ``like`` or at ``fps``; return their number.

    Args:
        frames: (H, W, 3) pictures, uint8 or uint16, all of one size: arrays, tensors, or a generator of them.
        path: the file; its suffix selects the container.
        like: the source clip, from which the times of the frames and the sound are copied.
        fps: frames per second; required without ``like``.
        codec: 'h264', 'h265', 'av1', 'prores', 'ffv1' … (see ``vidtrans stylize --codec``), or 'auto' for the suffix.
        crf: the quality, lower is better; by default that of ``stylize``.
        overwrite: whether to replace a file.
        report: called with progress.
        stop: a request to stop, which raises ``Interrupted``; nothing is written then.

    Raises:
        UsageError: A frame is no picture or differs from the first; the number of frames differs from ``like``; the
            file exists without ``overwrite`` or is a source; the codec does not support the pictures. Nothing is
            written in these cases.
    """
    path, encoding = Path(path), EncodingSettings(codec=codec, crf=crf, fps="source" if fps is None else str(fps))
    _check_arguments(frames, path, like, encoding, overwrite=overwrite)
    encoding = encoding.resolved(pictures=False, output=path, report=report)
    if encoding.makes_pictures:
        raise UsageError(str(path), f"{encoding.codec} is no video", "give a name such as clip.mp4")
    encoding.check_container(path, single=False)
    remedy = "give its frames again"
    with with_stop_message(f"{path.name} is not written", remedy), TemporaryDirectory(prefix="vidtrans-") as folder:
        context = Context(cache_dir=Path(folder) / CACHE_FOLDER, report=report, stop=stop or Stop())
        segment = Path(folder) / f"segment.{encoding.chunk_codec.segments}"
        if like is not None:
            assembly = _encode_like(like, frames, path, encoding, segment, context.stop)
        else:
            assembly = _encode_at(encoding.rate or Fraction(0), frames, encoding, segment, context.stop)
        with write_atomically(path) as target:
            assembly.write([segment], target, segment.parent, context)
    return len(assembly.timing.pts)


def _check_arguments(
    frames: Iterable[Any], path: Path, like: OpenedClip | None, encoding: EncodingSettings, *, overwrite: bool
) -> None:
    """Raise UsageError for arguments of ``write_clip`` that conflict, or if ``path`` must not be written."""
    check_frames(frames)
    if like is not None and not isinstance(like, OpenedClip):
        raise UsageError("like", f"it is of type {type(like).__name__}", "give what open_clip returns")
    if (like is None) == (encoding.rate is None):
        raise UsageError("write_clip", "the times come from a clip, or from a rate", "give like= or fps=")
    if like is not None and isinstance(frames, Sized):
        _check_count(len(frames), like)
    try:
        check_place(path, [clip.path for clip in (like, frames) if isinstance(clip, OpenedClip)])
    except UsageError as error:
        raise UsageError(error.what, error.why, "give another path") from None
    if path.exists() and not overwrite:
        raise UsageError(str(path), "it exists", "give another name, or overwrite=True")


def _check_count(num_pictures: int, like: OpenedClip) -> None:
    """Raise UsageError if the number of pictures differs from the number of frames of ``like``."""
    if num_pictures != len(like):
        why = f"{count(num_pictures, 'picture')} for its {count(len(like), 'frame')}"
        raise UsageError(f"like {like.path.name}", why, "give as many, or a part of the clip: like=clip[:n]")


def _encode_like(
    like: OpenedClip, frames: Iterable[Any], path: Path, encoding: EncodingSettings, segment: Path, stop: Stop
) -> Assembly:
    """Encode pictures with the times of the clip ``like``; return the assembly of the video with the clip's sound."""
    clip, numbers = like.clip, like.frames
    delivery = Delivery(clip, numbers, encoding, trimmed=len(numbers) < clip.index.num_frames)
    delivery.check_sound(path)
    stamps = (stamp for number in numbers for stamp in delivery.stamps(number))
    num_written, picture = _encode(frames, segment, encoding, delivery.picture, stamps, stop)
    _check_count(num_written, like)
    return replace(delivery.assembly(folder=False), picture=picture)


def _encode_at(
    rate: Fraction, frames: Iterable[Any], encoding: EncodingSettings, segment: Path, stop: Stop
) -> Assembly:
    """Encode pictures at a constant frame rate; return the assembly of the video."""
    base = 1 / rate if rate.denominator in (1, 1001) else Fraction(1, TICKS_PER_S)
    step = round(1 / rate / base)
    form = PictureFormat(0, 0, Fraction(1), base, rate)
    written, picture = _encode(frames, segment, encoding, form, (step * n for n in itertools.count()), stop)
    timing = Timing([step * n for n in range(written)], [step] * written, base)
    return Assembly(encoding, picture, timing, None, None)


def _encode(
    frames: Iterable[Any],
    segment: Path,
    encoding: EncodingSettings,
    form: PictureFormat,
    stamps: Iterable[int],
    stop: Stop,
) -> tuple[int, PictureFormat]:
    """Encode pictures as the video ``segment``; return their number and the picture format with size and depth.

    ``form``: the picture format without size and depth; ``stamps``: the timestamp of each picture, in units of the time
    base of ``form``. At most one picture more than there are timestamps is counted.
    """
    iterator, times, written = iter(frames), iter(stamps), 0
    first = next(iterator, None)
    if first is None:
        raise UsageError("frames", "there are none", "give at least one picture")
    sample = to_array(first, "frame 0")
    depth = encoding.depth_for(8 * sample.itemsize)
    form = replace(form, width=sample.shape[1], height=sample.shape[0], depth=depth, alpha=False)
    encoding.check_size(form)
    with closing(SegmentWriter(segment, encoding.stored(form), encoding)) as writer:
        for frame in itertools.chain([sample], iterator):
            stop.check()
            picture = to_array(frame, f"frame {written}")
            if picture.shape != sample.shape or picture.dtype != sample.dtype:
                actual, expected = (f"{one.shape[1]}x{one.shape[0]} of {one.dtype}" for one in (picture, sample))
                why = f"it is {actual}, the first one {expected}"
                raise UsageError(f"frame {written}", why, "give frames of one size and type")
            written += 1
            stamp = next(times, None)
            if stamp is None:
                break
            writer.write(picture, stamp)
    return written, form
