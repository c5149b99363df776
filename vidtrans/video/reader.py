"""Decoding a video: every frame a player would show, once, upright, in RGB, with its timestamp."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from vidtrans.errors import MediaError
from vidtrans.settings import AS_STORED, Size
from vidtrans.video.clip import ClipIndex, Frame
from vidtrans.video.colour import ToRGB
from vidtrans.video.container import describe, open_media, picture_stream
from vidtrans.video.orientation import Orientation, orientation_of


class _Clock:
    """Makes timestamps strictly increasing, rebuilding from the rate those that are not."""

    def __init__(self, nominal: int) -> None:
        self.nominal = max(1, nominal)
        self.last: int | None = None
        self.num_rebuilt = 0

    def __call__(self, pts: int | None) -> int:
        if pts is None or (self.last is not None and pts <= self.last):
            self.num_rebuilt += 1
            pts = 0 if self.last is None else self.last + self.nominal
        self.last = pts
        return pts


class ClipReader:
    """Reads one video file. Use as a context manager; ``frames`` may be called more than once.

    Parameters: ``size`` to deliver, of the upright picture; ``threads`` for the decoder (0: as many as the machine
    has; the pictures are the same whatever the number).
    """

    def __init__(self, path: Path, *, size: Size = AS_STORED, threads: int = 0) -> None:
        self.path = Path(path)
        self.size = size
        self.threads = threads
        self.num_rebuilt_pts = 0
        self.last_duration = 0
        self.orientation = Orientation()
        self._to_rgb: ToRGB | None = None
        self._upright: tuple[int, int] | None = None

    @property
    def num_frames_expected(self) -> int | None:
        return self.info.num_frames_from_header or None

    def __enter__(self) -> ClipReader:
        self._used = False
        self._media = open_media(self.path)
        self._container: InputContainer = self._media.__enter__()
        try:
            self._stream: VideoStream = picture_stream(self._container, self.path)
            self._stream.thread_type = "AUTO"
            self._stream.codec_context.thread_count = self.threads
            self.info = describe(self._container, self._stream, self.path)
        except BaseException:
            self._container.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._media.__exit__(None, None, None)

    def frames(
        self, start: int = 0, stop: int | None = None, index: ClipIndex | None = None
    ) -> Generator[Frame, None, None]:
        """Yield the frames ``start`` … ``stop − 1`` in order of presentation.

        With an ``index`` the reader seeks, and checks each timestamp against it; without one, or where the
        container cannot seek exactly, it decodes from the first frame. Raises MediaError.
        """
        if stop is not None and start >= stop:
            return
        if index is None:
            yield from self._numbered(start, stop)
            return
        expected = index.pts
        last = len(expected) if stop is None else min(stop, len(expected))
        if start >= last:
            return
        seekable = start > 0 and index.num_rebuilt_pts == 0
        source = self._from_keyframe(start, last, expected) if seekable else None
        following = start
        for frame in source if source is not None else self._numbered(start, last):
            if frame.pts != expected[frame.index]:
                raise MediaError(str(self.path), "the file changed while it was read", "run the command again")
            yield frame
            following = frame.index + 1
        if following < last:
            raise MediaError(str(self.path), f"ended at frame {following} of {last}", "is the file still complete?")

    def near(self, seconds: Fraction, count: int) -> list[Frame]:
        """The first frame at or after a moment, counted from the clip's start, and those before it: at most ``count``.

        No index is needed, so the frames' numbers are not known: 0 is the first of them. Where the clip ends before
        the moment, its last frames are returned. Raises MediaError.
        """
        base = self._stream.time_base or Fraction(1, 1000)
        wanted = (self._stream.start_time or 0) + int(seconds / base)
        held: deque[av.VideoFrame] = deque(maxlen=count)
        if not self._seek(wanted):
            self.__exit__()
            self.__enter__()
        for frame in self._decode():
            held.append(frame)
            if frame.pts is not None and frame.pts >= wanted:
                break
        return [Frame(i, f.pts or 0, self._picture(f)) for i, f in enumerate(held)]

    def _numbered(self, start: int, stop: int | None) -> Iterator[Frame]:
        """Decode from the first frame and count.

        The file is opened anew rather than rewound: a seek to the start lands on a keyframe, and where an edit
        list begins before one, frames would be lost.
        """
        if self._used:
            self.__exit__()
            self.__enter__()
        rate = self.info.rate
        clock = _Clock(round(1 / (rate * self.info.time_base)))
        for number, frame in enumerate(self._decode()):
            if stop is not None and number >= stop:
                break
            self.last_duration = frame.duration or clock.nominal
            pts = clock(frame.pts)
            if number >= start:
                yield Frame(number, pts, self._picture(frame))
        self.num_rebuilt_pts = clock.num_rebuilt

    def _from_keyframe(self, start: int, stop: int, expected: tuple[int, ...]) -> Iterator[Frame] | None:
        """Seek to the keyframe before ``start``; None if the seek did not land before it."""
        target = expected[start]
        if not self._seek(target):
            return None
        decoded = self._decode()
        for frame in decoded:
            if frame.pts is None or frame.pts > target:
                return None
            if frame.pts == target:
                return self._rest(frame, decoded, start, stop)
        return None

    def _rest(self, first: av.VideoFrame, others: Iterator[av.VideoFrame], start: int, stop: int) -> Iterator[Frame]:
        yield Frame(start, first.pts or 0, self._picture(first))
        for number in range(start + 1, stop):
            frame = next(others, None)
            if frame is None:
                return
            yield Frame(number, -1 if frame.pts is None else frame.pts, self._picture(frame))

    def _seek(self, pts: int) -> bool:
        self._used = True
        try:
            self._container.seek(pts, stream=self._stream, backward=True)
            self._stream.codec_context.flush_buffers()
            return True
        except (av.error.FFmpegError, OSError):
            return False

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Decode packet by packet (a container-wide decode drops good frames around a bad packet)."""
        count = 0
        self._used = True
        try:
            for packet in self._container.demux(self._stream):
                for frame in packet.decode():
                    count += 1
                    yield frame
        except (av.error.FFmpegError, OSError) as error:
            where = "no frame could be decoded" if not count else f"damaged after frame {count - 1}"
            raise MediaError(str(self.path), f"{where} ({error.strerror})", "repair or convert the file") from None

    def _picture(self, frame: av.VideoFrame) -> np.ndarray:
        orientation = orientation_of(frame)
        self.orientation = orientation
        if self._upright is None:
            # The first frame decides the size: a change in mid-stream is scaled to it.
            self._upright = self.size.of(*orientation.size(frame.width, frame.height))
        stored = orientation.size(*self._upright)
        if self._to_rgb is None or (self._to_rgb.width, self._to_rgb.height) != stored:
            self._to_rgb = ToRGB(*stored)
        return orientation.apply(self._to_rgb(frame))

    def index_of(self, pts: Sequence[int]) -> ClipIndex:
        """The index of a clip whose frames, read from end to end, had these timestamps.

        Raises MediaError where there were none.
        """
        if not pts:
            raise MediaError(self.info.path, "no frame could be decoded", "give a video with pictures in it")
        width, height = self.orientation.size(self.info.width, self.info.height)
        aspect = self.info.sample_aspect_ratio
        return ClipIndex(
            pts=tuple(pts),
            time_base=self.info.time_base,
            last_duration=max(1, self.last_duration),
            width=width,
            height=height,
            sample_aspect_ratio=1 / aspect if self.orientation.swaps_sides else aspect,
            rate=self.info.rate,
            num_rebuilt_pts=self.num_rebuilt_pts,
            num_frames_from_header=self.info.num_frames_from_header,
        )
