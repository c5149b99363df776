"""What an artist directs, frame by frame: the camera, the clock's speed, and how much a driving video counts."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from vidtrans.dreaming.bands import VERSION, Loudness
from vidtrans.dreaming.camera import CameraMove
from vidtrans.dreaming.settings import ANIMATED, STILL, DreamingSettings, flag_of
from vidtrans.errors import UsageError
from vidtrans.expressions import BANDS, Values
from vidtrans.settings import Table


class DreamControls:
    """The values at each frame, of which there are ``rate`` a second.

    ``loudness`` is that of a sound, ``sound`` its content digest. Raises UsageError where an expression listens and
    there is none, or keyframes are not in order.
    """

    def __init__(
        self, settings: DreamingSettings, rate: Fraction, loudness: Loudness | None = None, sound: str = ""
    ) -> None:
        self._made = settings.animations()
        self._sound = sound
        for name, animation in self._made.items():
            if loudness is None and (heard := animation.names & set(BANDS)):
                why = f"'{min(heard)}' is the loudness of a sound, and there is none"
                raise UsageError(f"{flag_of(name)} '{animation}'", why, "give one with --sound FILE")
        self.listens = any(animation.names & set(BANDS) for animation in self._made.values())

        @lru_cache(maxsize=4)
        def values(frame: int) -> Values:
            seconds = float(frame / rate)
            own = {"t": seconds, "f": float(frame)}
            return own | (loudness.at(seconds) if loudness and self.listens else {})

        self._at = {
            name: animation.over(rate, flag_of(name), ANIMATED[name], values) for name, animation in self._made.items()
        }
        changes = any(self._made[name].constant is None for name in STILL)
        self._always = None if changes else self._move(0)

    def check(self, num_frames: int) -> None:
        """Raise UsageError where a value is out of bounds, or not a number, at any of so many frames."""
        for name, animation in self._made.items():
            for frame in range(num_frames if animation.constant is None else 1):
                self._at[name](frame)

    @property
    def speed_constant(self) -> float | None:
        """The speed, where it never changes."""
        return self._made["speed"].constant

    def move(self, frame: int) -> CameraMove:
        """Return the camera's move before a frame."""
        return self._always or self._move(frame)

    def _move(self, frame: int) -> CameraMove:
        return CameraMove(**{name: self._at[name](frame) for name in STILL})

    def speed(self, frame: int) -> float:
        """Return the clock's speed at a frame."""
        return self._at["speed"](frame)

    def amount(self, frame: int) -> float:
        """Return the share of the driving video in the fed-back frame."""
        return self._at["blend_amount"](frame)

    def for_key(self) -> Table:
        """Return the values that decide the result."""
        return {name: str(animation) for name, animation in self._made.items()}

    def sound_for_key(self) -> Table:
        """Where it is heard it decides the pictures."""
        return {"source": self._sound, "version": VERSION} if self.listens else {}
