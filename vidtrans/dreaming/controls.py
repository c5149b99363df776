"""The artist's animated controls, frame by frame."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_file
from vidtrans.core.settings import Table
from vidtrans.curves import hearing
from vidtrans.curves.curve import CurveClock
from vidtrans.curves.expressions import Signal
from vidtrans.curves.hearing import SoundSignals
from vidtrans.curves.tracks import SignalTracks, Track
from vidtrans.dreaming.rollout import CameraMove
from vidtrans.dreaming.settings import NO_MOVE, DreamingSettings, flag_of
from vidtrans.dreaming.steering import ANIMATED


class DreamSignals(SignalTracks):
    """Gives the signals of a dream their values: those of its sound, and of files of values."""

    def __init__(self, rate: Fraction, sound: Path | None) -> None:
        super().__init__(lambda frames: frames / float(rate))
        self._sound = SoundSignals(sound) if sound else None

    def prepare(self, roots: Collection[Signal]) -> None:
        """Note which bands are heard."""
        if self._sound is not None:
            self._sound.want(roots)

    def root(self, signal: Signal) -> Track:
        """Return a signal of the sound as a function of time. Raises UsageError for others, or without a sound."""
        if not signal.is_heard:
            raise UsageError(str(signal), "a dream has no pictures to look at before it is dreamt", "use t or a sound")
        if self._sound is None:
            raise UsageError(str(signal), "it is heard in a sound, and no sound is given", "give one with --sound FILE")
        return self._sound.track(signal)


class DreamControls:
    """The control values at each of ``num_frames`` frames, at ``rate`` frames per second.

    ``sound``: what curves hear; ``sound_digest``: of its content. Raises UsageError if a curve hears without a sound,
    or key frames are not in order; MediaError.
    """

    def __init__(
        self,
        settings: DreamingSettings,
        rate: Fraction,
        num_frames: int = 0,
        sound: Path | None = None,
        sound_digest: str = "",
    ) -> None:
        self._curves, self._steering, self._rate = settings.curves(), settings.steering(), rate
        self._steered, self._goto = self._steering.over(rate), settings.goto
        self._actions, self._files = settings.actions_digest, settings.curve_files
        self._sound = sound_digest
        self.uses_sound = any(signal.is_heard for curve in self._curves.values() for signal in curve.signals)
        clock = CurveClock.of_rate(rate, num_frames, DreamSignals(rate, sound))
        self._at = {name: curve.over(clock, flag_of(name), *ANIMATED[name]) for name, curve in self._curves.items()}
        is_animated = bool(self._steering) or any(self._curves[name].constant is None for name in NO_MOVE)
        self._constant_move = None if is_animated else self._move(0)

    def check(self, num_frames: int) -> None:
        """Raise UsageError if a value is out of bounds, or not a number, in any of ``num_frames`` frames.

        Or if it is steered after them.
        """
        self._steering.over(self._rate, num_frames)
        for name, curve in self._curves.items():
            for frame in range(num_frames if curve.constant is None else 1):
                self._at[name](frame)

    @property
    def speed_constant(self) -> float | None:
        """Return the clock's speed if it is constant, else None."""
        return None if "speed" in self._steering.controls else self._curves["speed"].constant

    def move(self, frame: int) -> CameraMove:
        """Return the camera move that precedes a frame."""
        return self._constant_move or self._move(frame)

    def _value(self, name: str, frame: int) -> float:
        own = self._at[name](frame)
        return self._steered(frame).value(name, own) if self._steering else own

    def _move(self, frame: int) -> CameraMove:
        return CameraMove(**{name: self._value(name, frame) for name in NO_MOVE})

    def speed(self, frame: int) -> float:
        """Return the clock's speed at a frame, as a multiple of the training clip's; negative: backwards."""
        return self._value("speed", frame)

    def recall(self, frame: int) -> float:
        """Return how far the model goes by its clip's frames, 0 to 1."""
        return self._value("recall", frame)

    def wander(self, frame: int) -> float:
        """Return how soon a pointer leaves the clip's order, 0 to 1."""
        return self._value("wander", frame)

    def goal(self, frame: int) -> int | str | None:
        """Return the shot's number, or the action, that a pointer goes to; None for none."""
        goal = self._steered(frame).goal
        return self._goto if goal is None else goal

    def amount(self, frame: int) -> float:
        """Return the weight of the driving video in the fed-back frame, 0 to 1."""
        return self._at["blend_amount"](frame)

    def for_key(self) -> Table:
        """Return the texts of the curves, for cache keys."""
        return {name: str(curve) for name, curve in self._curves.items()} | {
            "steer": self._steering.text,
            "goto": self._goto,
            "actions": self._actions,
        }

    def sound_for_key(self) -> Table:
        """Return the digests of the sound and of files of values, for cache keys; {} if no curve uses them."""
        heard = {"source": self._sound, "version": hearing.VERSION} if self.uses_sound else {}
        return heard | ({"files": [digest_file(path) for path in self._files]} if self._files else {})
