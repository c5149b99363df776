"""Signals as functions of time, and what calls make of them: events that fade, averages, followers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.curves.hearing import gaussian
from vidtrans.curves.signals import Signal

# Returns the values at times, in s from the first frame, both (n,) float64.
Track = Callable[[np.ndarray], np.ndarray]
GRID_S = 0.005  # between samples of a signal that is averaged or followed
LONGEST_S = 24 * 3600  # of it; a clip with a damaged clock may seem to last for years
BOX = 12**-0.5  # σ of a box of width 1: an average over S seconds is a Gaussian of this many


def sampled(times: np.ndarray, values: np.ndarray, *, holds: bool = False) -> Track:
    """Return a track through points, in order of time; ``holds``: each value stays until the next."""
    if not holds:
        return lambda at: np.interp(at, times, values)
    return lambda at: values[np.clip(np.searchsorted(times, at + 1e-9, side="right") - 1, 0, len(values) - 1)]


def fading(events: Sequence[float] | np.ndarray, decay_s: float) -> Track:
    """Return a track that is 1 at each event, and falls by e in ``decay_s``; 0 before the first one."""
    moments = np.asarray(events, np.float64)

    def at(times: np.ndarray) -> np.ndarray:
        if not len(moments):
            return np.zeros(len(times))
        last = np.searchsorted(moments, times + 1e-9, side="right") - 1
        since = np.where(last >= 0, times - moments[np.maximum(last, 0)], np.inf)
        return np.exp(-np.maximum(since, 0.0) / decay_s)

    return at


def of_call(signal: Signal, inner: Track) -> Track:
    """Return the track of ``smooth`` or ``follow``, a call that takes the signal ``inner``; it may raise UsageError."""

    def at(times: np.ndarray) -> np.ndarray:
        if not len(times):
            return np.zeros(0)
        [seconds] = signal.numbers
        # Enough on both sides, and a grid that is the same for all spans of frames.
        first, last = (np.floor(min(times.min(), 0.0) / GRID_S), np.ceil((times.max() + seconds) / GRID_S) + 1)
        if last - first > LONGEST_S / GRID_S:
            raise UsageError(str(signal), f"the clip is longer than {LONGEST_S / 3600:g} h", "use the signal as it is")
        grid = np.arange(first, last + 1) * GRID_S
        values = np.asarray(inner(grid), np.float64)
        found = (
            gaussian(values, seconds * BOX / GRID_S) if signal.name == "smooth" else _followed(values, grid, seconds)
        )
        return np.interp(times, grid, found)

    return at


class RunningCall:
    """``smooth`` or ``follow`` of values that come one after another, from the past alone.

    ``smooth`` is an exponential average, as late on average as a mean over the last S seconds.
    """

    def __init__(self, call: Signal) -> None:
        self._averages = call.name == "smooth"
        [self._seconds] = call.numbers
        self.value = 0.0

    def step(self, value: float, passed_s: float) -> float:
        """Return the value after a signal's next ``value``, ``passed_s`` seconds after the one before."""
        if self._averages:
            self.value += (1 - math.exp(-2 * passed_s / self._seconds)) * (value - self.value)
        else:
            self.value = max(value, max(self.value, 0.0) * math.exp(-passed_s / self._seconds))
        return self.value


def _followed(values: np.ndarray, grid: np.ndarray, release_s: float) -> np.ndarray:
    """Return the largest of each value and the earlier ones, which fall by e in ``release_s``."""
    floor = min(float(values.min()), 0.0)
    with np.errstate(divide="ignore"):
        highest = np.maximum.accumulate(np.log(values - floor) + grid / release_s)
    return np.exp(highest - grid / release_s) + floor
