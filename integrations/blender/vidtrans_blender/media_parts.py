"""The frames of its file that a strip shows, and the part of the file that is rendered for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

MOST_STEP = 240  # frames by which a part may begin earlier, to begin on a whole frame of the scene
RETIMED_MARGIN = 2  # frames on each side: Blender computes in 32 bits, and rounds


@dataclass(frozen=True)
class MediaPart:
    """Frames of a file, from ``first`` to ``end`` (excluded), of ``num_frames``."""

    first: int
    end: int
    num_frames: int

    @property
    def is_whole(self) -> bool:
        return self.first == 0 and self.end == self.num_frames

    def contains(self, other: MediaPart) -> bool:
        return self.first <= other.first and other.end <= self.end

    def widened(self, handle: int) -> MediaPart:
        return MediaPart(max(0, self.first - handle), min(self.num_frames, self.end + handle), self.num_frames)


@dataclass(frozen=True)
class StripTimes:
    """The place of a strip that is not retimed."""

    start: float  # the scene's frame at which the file's first frame lies
    first: int  # the scene's frames that are visible, from first to end (excluded)
    end: int
    num_frames: int  # of the file
    rate: Fraction = Fraction(1)  # frames of the file in one of the scene: 1, or the quotient of the frame rates
    is_reversed: bool = False

    def visible_part(self) -> MediaPart:
        """Return the frames of the file that the strip shows; the first or the last one where it holds it."""
        ends = [(frame - self.start) * float(self.rate) for frame in (self.first, self.end - 1)]
        low, high = (min(max(end, 0.0), float(self.num_frames - 1)) for end in ends)
        first, end = math.floor(low + 1e-4), math.ceil(high - 1e-4) + 1
        if self.rate != 1:  # Blender rounds, in 32 bits
            first, end = max(0, first - 1), min(self.num_frames, end + 1)
        if self.is_reversed:
            first, end = self.num_frames - end, self.num_frames - first
        return MediaPart(first, end, self.num_frames)

    def part_with_handles(self, handle: int) -> MediaPart:
        """Return the frames to render: the visible ones and ``handle`` more on each side.

        The part begins where a frame of the file and one of the scene meet, so that Blender rounds as before.
        """
        part = self.visible_part().widened(handle)
        first, end = part.first, part.end
        step = self.rate.numerator if self.rate.numerator <= MOST_STEP else 1
        if self.is_reversed:  # Blender counts from the end, in lengths that are whole frames of the scene
            end += (self.num_frames - end) % step
            first = max(0, first - (first - end) % step)
        else:
            first -= first % step
        return MediaPart(first, end, self.num_frames)

    def start_of(self, part: MediaPart) -> float:
        """Return the scene's frame at which the first frame of the rendered part belongs."""
        before = part.num_frames - part.end if self.is_reversed else part.first  # in the direction of the strip
        return self.start + float(Fraction(before) / self.rate)

    def time_of(self, frame: int) -> float:
        """Return the scene's frame at which the strip shows a frame of its file, or would show it."""
        if self.is_reversed:
            return self.start + float((self.num_frames - frame) / self.rate) - 1
        return self.start + float(frame / self.rate)


@dataclass(frozen=True)
class RetimingPoint:
    """A key of a retimed strip: a frame of the scene, and the frame shown then, from 0, of those left by hard trims."""

    time: float
    frame: float


def retimed_part(
    points: Sequence[RetimingPoint], shown: tuple[float, float], trims: tuple[int, int], num_frames: int
) -> MediaPart:
    """Return the frames of a file that a retimed strip shows, and a few more.

    Args:
        points: Its keys, in order; without retiming the first and the last frame.
        shown: The first and the last frame of the scene at which it is visible.
        trims: The numbers of frames that hard trims take from both ends of the file.
        num_frames: The number of frames of the file.
    """
    first, last = points[0].time, points[-1].time
    low, high = (min(max(time, first), last) for time in (shown[0] - 1, shown[1] + 1))
    frames = [one.frame for one in points if low <= one.time <= high]
    for a, b in pairwise(points):
        for time in (low, high):
            if a.time <= time <= b.time:
                share = (time - a.time) / (b.time - a.time) if b.time > a.time else 0.0
                frames.append(a.frame + share * (b.frame - a.frame))
    least, most = math.floor(min(frames)) - RETIMED_MARGIN, math.ceil(max(frames)) + RETIMED_MARGIN
    end = min(most + trims[0] + 1, num_frames - trims[1])
    return MediaPart(min(max(least, 0) + trims[0], end - 1), end, num_frames)


def time_of_frame(points: Sequence[RetimingPoint], frame: float) -> float:
    """Return the scene's frame at which a retimed strip first shows a frame of those that hard trims leave."""
    if frame <= points[0].frame:
        return points[0].time
    for a, b in pairwise(points):
        if a.frame < frame <= b.frame:
            return a.time + (frame - a.frame) / (b.frame - a.frame) * (b.time - a.time)
    return points[-1].time


def time_words(part: MediaPart, fps: float) -> list[str]:
    """Return ``--start`` and ``--end`` of a part, in seconds half a frame early; nothing for a whole file.

    Times, as Blender finds frames by their times: in a file with a variable rate numbers would name other frames.
    """
    words = [f"--start={(part.first - 0.5) / fps:.6f}s"] if part.first else []
    return [*words, *([f"--end={(part.end - 0.5) / fps:.6f}s"] if part.end < part.num_frames else [])]
