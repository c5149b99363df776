"""The values of options in each frame of a clip."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_of
from vidtrans.core.options import moving
from vidtrans.core.settings import Table
from vidtrans.curves.clock import CurveClock
from vidtrans.curves.curve import Curve
from vidtrans.curves.moving_settings import MovingSettings, shown_name


class FrameCurve:
    """A curve over the frames of a clip, from ``low`` to ``high``; ``name``: of its option in errors.

    Called with a frame's number, it returns the value. Raises UsageError, MediaError.
    """

    def __init__(self, curve: Curve, clock: CurveClock, name: str, high: float, low: float = 0.0) -> None:
        self.curve, self._num_frames = curve, clock.num_frames
        self._value = curve.over(clock, name, low, high)

    def __call__(self, frame: int) -> float:
        """Return the value at a frame. Raises UsageError if it is out of bounds there."""
        return self._value(frame)

    def check(self, first: int, stop: int) -> None:
        """Raise UsageError if the value is out of bounds in any of the frames [first, stop)."""
        if not self.curve.is_drawn:
            for frame in range(first, stop):
                self._value(frame)

    def for_key(self) -> str:
        """Return the curve for cache keys: its text; of signals, which change with files, the values of all frames."""
        if not self.curve.signals:
            return str(self.curve)
        found: list[float | None] = [None] * self._num_frames
        for frame in range(self._num_frames):
            with suppress(UsageError):  # out of bounds at a frame that is not rendered, else ``check`` has raised it
                found[frame] = self._value(frame)
        return digest_of(found)


class FrameValues:
    """The values in each frame of those ``settings`` that may change over time; ``names``: of these only.

    Called with a frame's number, it returns the values by name. Raises UsageError, MediaError.
    """

    def __init__(self, settings: MovingSettings, clock: CurveClock, names: Collection[str] | None = None) -> None:
        cls = type(settings)
        self.curves: dict[str, FrameCurve] = {}
        for name, bounds in moving(cls).items():
            if names is None or name in names:
                low, high = bounds.ends
                shown = shown_name(cls, name)
                self.curves[name] = FrameCurve(settings.curve(name), clock, shown, high, low)

    def __call__(self, frame: int) -> dict[str, float]:
        """Return the values in a frame, by name. Raises UsageError if one is out of bounds there."""
        return {name: curve(frame) for name, curve in self.curves.items()}

    def check(self, first: int, stop: int) -> None:
        """Raise UsageError if a value is out of bounds in any of the frames [first, stop)."""
        for curve in self.curves.values():
            curve.check(first, stop)

    def for_key(self) -> Table:
        """Return the curves for cache keys."""
        return {name: curve.for_key() for name, curve in self.curves.items()}
