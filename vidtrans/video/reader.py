"""Decoding: every frame a player would show, once, upright, in RGB, with its timestamp."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from vidtrans.errors import MediaError
from vidtrans.settings import Size
from vidtrans.video.colour import ToRGB
from vidtrans.video.container import describe, open_media, picture_stream
from vidtrans.video.orientation import Orientation, orientation_of


@dataclass(frozen=True)
class Frame:
    """A picture with its place: ``index`` in the clip, ``pts`` in units of the clip's time base.

    ``rgb`` is (height, width, 3) uint8, upright, full range.
    """

    index: int
    pts: int
    rgb: np.ndarray

    def __repr__(self) -> str:
        return f"Frame(index={self.index}, pts={self.pts}, rgb={self.rgb.shape})"


@dataclass(frozen=True)
class ClipIndex:
    """What decoding a clip from end to end showed: the truth that headers only claim.

    ``pts`` are strictly increasing, in ``time_base`` units; ``width`` × ``height`` and
    ``sample_aspect_ratio`` are those of the upright picture. ``num_rebuilt_pts`` counts timestamps that were
    missing or did not increase and were rebuilt from the frame rate.
    """

    pts: tuple[int, ...]
    time_base: Fraction
    last_duration: int
    width: int
    height: int
    sample_aspect_ratio: Fraction
    rate: Fraction
    num_rebuilt_pts: int
    num_frames_from_header: int

    @property
    def num_frames(self) -> int:
        return len(self.pts)

    @property
    def duration_s(self) -> float:
        return float((self.pts[-1] + self.last_duration - self.pts[0]) * self.time_base) if self.pts else 0.0

    def durations(self) -> list[int]:
        """How long each frame is shown, in ``time_base`` units."""
        return [b - a for a, b in zip(self.pts, self.pts[1:], strict=False)] + [self.last_duration]


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

    Parameters: ``size``, the upright (width, height) to deliver (None: the stored size); ``threads`` for the
    decoder (0: as many as the machine has; the pictures are the same whatever the number).
    """

    def __init__(self, path: Path, *, size: tuple[int, int] | None = None, threads: int = 0) -> None:
        self.path = Path(path)
        self.size = size
        self._wanted: Size | None = None
        self.threads = threads
        self.num_rebuilt_pts = 0
        self.last_duration = 0
        self.orientation = Orientation()
        self._to_rgb: ToRGB | None = None

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

    def scale(self, size: Size) -> None:
        """Deliver frames at ``size`` of the upright picture, whose own size only the first frame tells."""
        self._wanted = size

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
        upright = self.size or orientation.size(frame.width, frame.height)
        if self.size is None and self._wanted is not None:
            upright = self._wanted.of(*upright)
        stored = orientation.size(*upright)
        if self._to_rgb is None or (self._to_rgb.width, self._to_rgb.height) != stored:
            self._to_rgb = ToRGB(*stored)
            # The first frame decides the size: a change in mid-stream is scaled to it.
            self.size = upright
        return orientation.apply(self._to_rgb(frame))


class IndexBuilder:
    """Collects a ClipIndex from the frames of a reader that is read from end to end."""

    def __init__(self, reader: ClipReader) -> None:
        self.reader = reader
        self.pts: list[int] = []

    def add(self, frame: Frame) -> None:
        self.pts.append(frame.pts)

    def build(self) -> ClipIndex:
        """Raises MediaError where no frame was decoded."""
        info, orientation = self.reader.info, self.reader.orientation
        if not self.pts:
            raise MediaError(info.path, "no frame could be decoded", "give a video with pictures in it")
        width, height = orientation.size(info.width, info.height)
        aspect = info.sample_aspect_ratio
        return ClipIndex(
            pts=tuple(self.pts),
            time_base=info.time_base,
            last_duration=max(1, self.reader.last_duration),
            width=width,
            height=height,
            sample_aspect_ratio=1 / aspect if orientation.swaps_sides else aspect,
            rate=info.rate,
            num_rebuilt_pts=self.reader.num_rebuilt_pts,
            num_frames_from_header=info.num_frames_from_header,
        )
