"""Times of the frames of a video with a variable frame rate, as of phones and screen recordings."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from av.error import FFmpegError

from vidtrans.video.io.container import open_media, packets_of, picture_stream
from vidtrans.video.io.one_clock import OneClock
from vidtrans.video.io.timestamps import rounded_rate

SAME_RATE = Fraction(1, 2000)  # relative difference of rates that mean the same one: 23.976, 24000/1001
FIELDS_READ = 500  # packets of a video whose header counts fields, or every second frame


@dataclass(frozen=True)
class FrameTimes:
    """The times at which frames begin.

    Editors show of such a video, at each moment of its clock, the frame that begins at or before that moment.

    Attributes:
        pts: The timestamps of the frames in order, and of the end of the last frame, in ``time_base`` units.
        time_base: Seconds per tick.
    """

    pts: tuple[int, ...]
    time_base: Fraction

    @property
    def num_frames(self) -> int:
        """The number of frames."""
        return len(self.pts) - 1

    def seconds(self, number: int) -> Fraction:
        """Return the seconds from the first frame to a frame; to the end, for a number beyond the last frame."""
        return (self.pts[min(number, self.num_frames)] - self.pts[0]) * self.time_base

    def frame_at(self, seconds: Fraction) -> int:
        """Return the frame shown ``seconds`` after the first one begins: -1 before it, ``num_frames`` after the end."""
        return bisect_right(self.pts, self.pts[0] + seconds / self.time_base) - 1

    def frames_before(self, seconds: Fraction) -> int:
        """Return how many frames begin earlier than ``seconds`` after the first one begins."""
        return bisect_left(self.pts, self.pts[0] + seconds / self.time_base, 0, self.num_frames)


def read_times(path: Path, rate: Fraction) -> FrameTimes | None:
    """Return the times of a video's frames; None if its frame rate is constant, or its timestamps cannot be read.

    ``rate``: the average. The timestamps are read where the header has two rates: the average, and another one that it
    may be counted in. Times that a container has rounded are those of a constant rate. Raises MediaError.
    """
    with open_media(path) as container:
        stream = picture_stream(container, path)
        ratio = Fraction(stream.base_rate or rate) / rate
        if abs(ratio - 1) < SAME_RATE:
            return None
        packets = (one for one in map(OneClock(path), packets_of(container, [stream])) if not one.is_discard)
        base, found = stream.time_base or Fraction(1, 1000), dict[int, int]()
        if abs(ratio - 2) < 2 * SAME_RATE:  # a file of fields, which is large, unless its first frames vary
            _read(islice(packets, FIELDS_READ), found)
            if _times(found, base, rate) is None:
                return None
        _read(packets, found)
        return _times(found, base, rate)


def _read(packets: Iterable[Any], found: dict[int, int]) -> None:
    """Add the timestamps and durations of packets, until one is damaged."""
    with suppress(FFmpegError):
        found.update((packet.pts, packet.duration or 0) for packet in packets if packet.pts is not None)


def _times(found: dict[int, int], base: Fraction, rate: Fraction) -> FrameTimes | None:
    """Return the times of frames by their ``found`` timestamps with durations; None if the rate is constant."""
    pts = sorted(found)
    if len(pts) < 3 or rounded_rate(pts, base, rate):
        return None
    last = found[pts[-1]] or sorted(b - a for a, b in pairwise(pts))[len(pts) // 2 - 1]
    return FrameTimes((*pts, pts[-1] + max(1, last)), base)
