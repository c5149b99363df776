"""The moments of a clip that the frames of a retimed result show.

A speed, constant or a curve over the clip's time, maps the clip's time u to the result's time: the integral of
1 / speed. All times are exact fractions of a second for constant speeds; for curves the integral is rounded to
``TICK``, and pictures and sound use the same rounded map.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil
from statistics import median_low

from vidtrans.core.errors import UsageError
from vidtrans.video.io.clip import ClipIndex

MIN_SPEED, MAX_SPEED = Fraction(1, 1000), Fraction(1000)  # Bounds of a speed
MAX_FRAMES = 10**7  # Largest number of frames of a result
VERSION = 3  # Version of the frames of retimed clips, for cache keys
VARIES = 0.05  # Deviation of the average frame rate from the usual one, from which a clip has a variable rate
TICK = Fraction(1, 10**9)  # Resolution of the time map of a curve, in seconds
SNAP = Fraction(1, 64)  # Share of the time between two frames within which a moment is that of the nearer frame


@dataclass(frozen=True)
class TimeMap:
    """A piecewise linear, increasing map of a clip's time to the result's time, in seconds from 0.

    ``clip``, ``result``: the times of the nodes, strictly increasing, from 0.
    """

    clip: tuple[Fraction, ...]
    result: tuple[Fraction, ...]

    @classmethod
    def constant(cls, speed: Fraction, duration: Fraction) -> TimeMap:
        """Return the map of a constant ``speed`` for a clip of ``duration`` seconds."""
        return cls((Fraction(0), duration), (Fraction(0), duration / speed))

    @classmethod
    def of_speeds(cls, nodes: Sequence[Fraction], speeds: Sequence[float]) -> TimeMap:
        """Return the map for ``speeds`` at the times ``nodes`` of the clip, linear between them.

        The time that passes between two nodes is the integral of 1 / speed, by Simpson's rule.
        """
        result = [Fraction(0)]
        for (a, b), (v, w) in zip(pairwise(nodes), pairwise(speeds), strict=True):
            mean = (1 / v + 4 / ((v + w) / 2) + 1 / w) / 6
            step = Fraction(round(float(b - a) * mean / float(TICK))) * TICK
            result.append(result[-1] + max(step, TICK))
        return cls(tuple(nodes), tuple(result))

    @property
    def duration(self) -> Fraction:
        """Return the result's duration in seconds."""
        return self.result[-1]

    def clip_time(self, time: Fraction) -> Fraction:
        """Return the clip's time at a ``time`` of the result; beyond its ends, that of the nearer end."""
        return _interpolate(self.result, self.clip, time)

    def result_time(self, time: Fraction) -> Fraction:
        """Return the result's time at a ``time`` of the clip; beyond its ends, that of the nearer end."""
        return _interpolate(self.clip, self.result, time)


def _interpolate(xs: Sequence[Fraction], ys: Sequence[Fraction], x: Fraction) -> Fraction:
    if x <= xs[0]:
        return ys[0]
    if x >= xs[-1]:
        return ys[-1]
    n = bisect_right(xs, x) - 1
    return ys[n] + (x - xs[n]) * (ys[n + 1] - ys[n]) / (xs[n + 1] - xs[n])


def speed_map(
    speed: Callable[[int], float], constant: float | None, times: Sequence[Fraction], duration: Fraction
) -> TimeMap:
    """Return the time map of a speed over a clip whose frames begin at ``times``, from 0, and end at ``duration``.

    ``constant``: the value of a speed that does not change; else ``speed`` gives the value at each frame.
    """
    if constant is not None:
        return TimeMap.constant(Fraction(str(constant)), duration)
    values = [speed(n) for n in range(len(times))]
    return TimeMap.of_speeds([*times, duration], [*values, values[-1]])


@dataclass(frozen=True)
class Moment:
    """A moment of a clip: ``share`` of the time from frame ``frame`` to the next distinct one, ``after``."""

    frame: int
    after: int
    share: Fraction = Fraction(0)

    @property
    def is_frame(self) -> bool:
        """Return whether the moment is that of a frame."""
        return self.share == 0


@dataclass(frozen=True)
class Timeline:
    """The distinct frames of a clip, with their times, in seconds from 0.

    ``numbers``: the frames that differ from the one before, increasing. ``times``: when they begin. ``cuts``: those
    that begin a shot.
    """

    numbers: tuple[int, ...]
    times: tuple[Fraction, ...]
    cuts: frozenset[int]

    def moment(self, time: Fraction) -> Moment:
        """Return the moment at a ``time``. Between two shots, and after the last frame, the earlier frame is held."""
        n = max(0, bisect_right(self.times, time) - 1)
        frame = self.numbers[n]
        if n + 1 == len(self.numbers) or self.numbers[n + 1] in self.cuts:
            return Moment(frame, frame)
        after = self.numbers[n + 1]
        share = (time - self.times[n]) / (self.times[n + 1] - self.times[n])
        if share < SNAP:
            return Moment(frame, frame)
        if share > 1 - SNAP:
            return Moment(after, after)
        return Moment(frame, after, share)


@dataclass(frozen=True)
class Schedule:
    """The frames of a result: ``count`` at ``rate`` frames a second; ``hold``: how many show the same moment.

    ``map``: of the clip's time to the result's.
    """

    timeline: Timeline
    map: TimeMap
    rate: Fraction
    hold: int = 1

    def __post_init__(self) -> None:
        if self.count > MAX_FRAMES:
            why = f"the result would have {self.count:,} frames"
            raise UsageError("--speed --fps", why, f"choose a speed and a rate with {MAX_FRAMES:,} at most")

    @property
    def count(self) -> int:
        """Return the number of frames: as many as begin before the end, to half a frame, and at least one."""
        return max(1, ceil(self.map.duration * self.rate - Fraction(1, 2)))

    def moments(self, frame: int, shutter: Fraction = Fraction(0), samples: int = 1) -> list[Moment]:
        """Return the moments that a ``frame`` of the result shows: ``samples`` while the shutter is open.

        ``shutter``: how long it is open, as a share of the time from one frame to the next that differs.
        """
        begin = Fraction(frame // self.hold * self.hold) / self.rate
        length = shutter * self.hold / self.rate
        times = [begin + length * Fraction(2 * n + 1, 2 * samples) if length else begin for n in range(samples)]
        shown = [self.timeline.moment(self.map.clip_time(time)) for time in times]
        cut = next((cut for cut in sorted(self.timeline.cuts) if cut > shown[0].frame), None)
        return [moment for moment in shown if cut is None or moment.frame < cut]


def usual_rate(index: ClipIndex) -> Fraction:
    """Return the frame rate of a clip, or of most of its frames if it varies, in frames per second."""
    usual = 1 / (Fraction(int(median_low(index.durations()))) * index.time_base)
    return index.rate if abs(index.rate / usual - 1) < VARIES else usual.limit_denominator(1001)
