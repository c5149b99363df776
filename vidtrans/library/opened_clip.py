"""A clip as a sequence of frames: iterated, indexed, cut, and read at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from functools import partial
from math import isfinite
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, overload

from vidtrans.clips import indexing
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Report, Stop, silent
from vidtrans.core.settings import Time, parse_time
from vidtrans.core.system import as_found
from vidtrans.library.given_pictures import ClipFrame
from vidtrans.library.stop_message import stopped_as
from vidtrans.session import Context
from vidtrans.store.cache import FOLDER
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.clip import Frame


class OpenedClip:
    """The frames of a video, a picture, or a folder of pictures: each once, upright, with its time.

    Its index is exact: it comes from decoding the clip once, and is kept in the cache. Threads may share a clip; each
    iteration has a decoder of its own. Iterate rather than index where frames are read in order: an index may decode
    from the keyframe before it. Use as a context manager, or call ``close``, to release the decoder of indexed frames.
    """

    def __init__(self, clip: indexing.Clip, context: Context, frames: range, *, deep: bool = False) -> None:
        """Not for users: ``open_clip`` makes clips."""
        self.clip, self.context, self.frames, self.deep = clip, context, frames, deep
        self._format = FrameFormat(deep=deep)
        self._cursor, self._lock = clip.cursor(self._format, context.decode_threads), Lock()

    @property
    def path(self) -> Path:
        """The file or folder."""
        return self.clip.path

    @property
    def size(self) -> tuple[int, int]:
        """The (width, height) in pixels."""
        return self.clip.index.width, self.clip.index.height

    @property
    def fps(self) -> Fraction:
        """The nominal rate in frames a second; frames need not be evenly spaced: see ``times``."""
        return self.clip.index.rate

    @property
    def times(self) -> tuple[Fraction, ...]:
        """The time of each frame in seconds from the clip's start, exact."""
        return tuple(self._time(number) for number in self.frames)

    @property
    def duration(self) -> Fraction:
        """The seconds from the first frame to the end of the last."""
        index = self.clip.index
        return Fraction(sum(index.durations()[self.frames.start : self.frames.stop])) * index.time_base

    @property
    def shots(self) -> tuple[int, ...]:
        """The first frame of each shot, counted in this clip."""
        first = self.frames.start
        inside = [number - first for number in self.clip.shots if number in self.frames]
        return tuple(inside if inside[:1] == [0] else [0, *inside])

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[ClipFrame]:
        with closing(
            self.clip.frames(self._format, self.context.decode_threads, self.frames.start, self.frames.stop)
        ) as frames:
            for frame in frames:
                yield self._own(frame)

    @overload
    def __getitem__(self, key: int) -> ClipFrame: ...
    @overload
    def __getitem__(self, key: slice) -> OpenedClip: ...
    def __getitem__(self, key: int | slice) -> ClipFrame | OpenedClip:
        """Return a frame, or a part of the clip; a part is a clip whose frames are read when they are needed."""
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
        wanted = parse_time(time) if isinstance(time, str) else Time(seconds=Fraction(time))
        number = self.clip.frame_at(wanted)
        if number not in self.frames:
            raise IndexError(f"no frame of {self.path.name} is at {time} s or later in this part")
        return self._read(number)

    def close(self) -> None:
        """Close the decoder of indexed frames. The clip can be used again."""
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
        index = self.clip.index
        return (index.pts[number] - index.pts[0]) * index.time_base

    def _read(self, number: int) -> ClipFrame:
        with self._lock:
            frame = self._cursor(number)
            return self._own(replace(frame, rgb=frame.rgb.copy()))  # the cursor keeps the frame

    def _own(self, frame: Frame) -> ClipFrame:
        return ClipFrame(frame.rgb, frame.index - self.frames.start, self._time(frame.index))


def open_clip(
    path: str | Path,
    *,
    start: str | int | None = None,
    end: str | int | None = None,
    deep: bool = False,
    allow_damaged: bool = False,
    cache_dir: str | Path = FOLDER,
    report: Report = silent,
    stop: Stop | None = None,
) -> OpenedClip:
    """Open a video, a picture, or a folder of pictures; the first time, it is read once for its index.

    Args:
        path: the file, the folder, or a pattern ('frames/%05d.png').
        start: where to begin, as for ``--start``: '1:02.5', '3.5s', or the number of a frame.
        end: where to end, exclusive.
        deep: frames have 16 bits a channel (uint16), not 8.
        allow_damaged: take the readable frames of a damaged video.
        cache_dir: the folder of the index.
        report: called with progress.
        stop: a request to stop reading it, which raises ``Interrupted``.

    Raises:
        MediaError: It cannot be read.
        UsageError: No frame lies between ``start`` and ``end``, or its pictures differ in size.
    """
    context = Context(cache_dir=Path(cache_dir), allow_damaged=allow_damaged, report=report, stop=stop or Stop())
    with stopped_as(f"{Path(path).name} was not read to its end", "open it again"):
        clip = indexing.open_clip(context, as_found(Path(path)))
    if not clip.index.same_size:
        raise UsageError(str(path), "its pictures differ in size", "open them one by one")
    span = clip.trim(*(parse_time(str(time)) if time is not None else None for time in (start, end)))
    return OpenedClip(clip, context, range(*span), deep=deep)
