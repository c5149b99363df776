"""The frames of a clip on the axis of its moments, and the values of names and signals at each frame."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Time
from vidtrans.curves.expressions import Values, place_of
from vidtrans.curves.signals import Signal

DIGITS = 6  # of a signal's value: processors round sums differently


class SignalSource(Protocol):
    """The interface of objects that give signals their values."""

    def values(self, signals: Collection[Signal], times: np.ndarray) -> Mapping[Signal, np.ndarray]:
        """Return the value of each signal at ``times``, (n,) float64. Raises UsageError, MediaError."""


class NoSignals:
    """No sound, no pictures."""

    def values(self, signals: Collection[Signal], times: np.ndarray) -> Mapping[Signal, np.ndarray]:
        """Raise UsageError."""
        raise UsageError(str(min(signals, key=str)), "nothing is heard or seen here", "use numbers, t and frame")


@dataclass
class CurveClock:
    """The time of frames.

    Attributes:
        place: Returns a frame's place on the axis of moments.
        moment: Returns the place of a moment.
        seconds: Returns the time of a frame, in s from the first one.
        num_frames: The number of frames; needed for signals alone.
        shots: The first frame of each shot.
        source: Gives signals their values.
    """

    place: Callable[[int], int | Fraction]
    moment: Callable[[Time], Fraction]
    seconds: Callable[[int], float]
    num_frames: int = 0
    shots: Sequence[int] = (0,)
    source: SignalSource = field(default_factory=NoSignals)
    _known: dict[Signal, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of_rate(cls, rate: Fraction, num_frames: int = 0, source: SignalSource | None = None) -> CurveClock:
        """Return the clock of frames at a constant rate."""

        def moment(time: Time) -> Fraction:
            return Fraction(time.frame) if time.frame is not None else (time.seconds or Fraction(0)) * rate

        return cls(
            lambda frame: frame, moment, lambda frame: float(frame / rate), num_frames, (0,), source or NoSignals()
        )

    def values_of(self, names: Collection[str], signals: Collection[Signal]) -> Callable[[int], Values]:
        """Return a function from a frame's number to the values of names and signals. Raises UsageError, MediaError."""
        tables = self._tables(signals)
        known = {place_of(signal): tables[signal] for signal in signals}
        needs_time = bool(names)

        def values(frame: int) -> Values:
            found: dict[str, float] = self._time(frame) if needs_time else {}
            for place, table in known.items():
                found[place] = float(table[frame])
            return found

        return values

    def _tables(self, signals: Collection[Signal]) -> Mapping[Signal, np.ndarray]:
        """Return the values of signals at all frames; each signal is computed once."""
        if missing := [signal for signal in signals if signal not in self._known]:
            times = np.array([self.seconds(frame) for frame in range(self.num_frames)])
            for signal, values in self.source.values(missing, times).items():
                self._known[signal] = np.round(values, DIGITS)
        return self._known

    def _time(self, frame: int) -> dict[str, float]:
        """Return the values of the names of time."""
        seconds, shots = self.seconds(frame), self.shots
        shot = max(0, bisect_right(shots, frame) - 1)
        near = [abs(seconds - self.seconds(cut)) for cut in shots[max(1, shot) : shot + 2]]
        return {
            "t": seconds,
            "frame": float(frame),
            "shot": float(shot),
            "shot_t": seconds - self.seconds(shots[shot]),
            "cut": min(near, default=seconds),
        }
