"""The artist's animated controls, frame by frame, and the loudness of a sound for their expressions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.expressions import BANDS, Values
from vidtrans.core.settings import Table
from vidtrans.dreaming.rollout import CameraMove
from vidtrans.dreaming.settings import NO_MOVE, DreamingSettings, flag_of
from vidtrans.dreaming.steering import ANIMATED

VERSION = 1
EDGES_HZ = (250.0, 2000.0)  # band limits between low and mid, mid and high
WINDOW, HOP = 1024, 256  # samples
SMOOTHING_S = 0.06  # σ of the loudness over time: keeps beats, removes the ripple of tones
FULL_PERCENTILE = 95  # the level that is scaled to 1


class DreamControls:
    """The control values at each frame, at ``rate`` frames per second; ``sound``: the sound file's content digest.

    Raises UsageError if an expression uses loudness without a sound, or keyframes are not in order.
    """

    def __init__(
        self, settings: DreamingSettings, rate: Fraction, loudness: Loudness | None = None, sound: str = ""
    ) -> None:
        self._animations, self._steering, self._rate = settings.animations(), settings.steering(), rate
        self._steered, self._goto = self._steering.over(rate), settings.goto
        self._actions = settings.actions_digest
        self._sound = sound
        for name, animation in self._animations.items():
            if loudness is None and (bands := animation.names & set(BANDS)):
                why = f"'{min(bands)}' is the loudness of a sound, and no sound is given"
                raise UsageError(f"{flag_of(name)} '{animation}'", why, "give one with --sound FILE")
        self.uses_sound = any(animation.names & set(BANDS) for animation in self._animations.values())

        @lru_cache(maxsize=4)
        def values(frame: int) -> Values:
            seconds = float(frame / rate)
            time: dict[str, float] = {"t": seconds, "f": float(frame)}
            return time | (loudness.at(seconds) if loudness and self.uses_sound else {})

        self._at = {
            name: animation.over(rate, flag_of(name), ANIMATED[name], values)
            for name, animation in self._animations.items()
        }
        is_animated = bool(self._steering) or any(self._animations[name].constant is None for name in NO_MOVE)
        self._constant_move = None if is_animated else self._move(0)

    def check(self, num_frames: int) -> None:
        """Raise UsageError if a value is out of bounds, or not a number, in any of ``num_frames`` frames.

        Or if it is steered after them.
        """
        self._steering.over(self._rate, num_frames)
        for name, animation in self._animations.items():
            for frame in range(num_frames if animation.constant is None else 1):
                self._at[name](frame)

    @property
    def speed_constant(self) -> float | None:
        """Return the clock's speed if it is constant, else None."""
        return None if "speed" in self._steering.controls else self._animations["speed"].constant

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
        """Return the control expressions, for cache keys."""
        return {name: str(animation) for name, animation in self._animations.items()} | {
            "steer": self._steering.text,
            "goto": self._goto,
            "actions": self._actions,
        }

    def sound_for_key(self) -> Table:
        """Return the sound's digest and the analysis version, for cache keys; {} if no expression uses the sound."""
        return {"source": self._sound, "version": VERSION} if self.uses_sound else {}


@dataclass(frozen=True)
class Loudness:
    """The loudness ``levels`` of ``BANDS``, (4, n) float64 from 0 to 1, every ``hop_s`` seconds from ``first_s`` on."""

    levels: np.ndarray
    first_s: float
    hop_s: float
    duration_s: Fraction

    def at(self, seconds: float) -> dict[str, float]:
        """Return the interpolated levels by band name; times beyond the ends give the first or last level."""
        last = self.levels.shape[1] - 1
        place = min(max((seconds - self.first_s) / self.hop_s, 0.0), float(last))
        before = max(0, min(int(place), last - 1))
        after = min(before + 1, last)
        values = self.levels[:, before] + (place - before) * (self.levels[:, after] - self.levels[:, before])
        return dict(zip(BANDS, map(float, values), strict=True))


def loudness(blocks: Iterable[np.ndarray], rate_hz: int) -> Loudness:
    """Return the smoothed short-time root mean square of each band, relative to its 95th percentile, at most 1.

    ``blocks``: consecutive samples, (n,) float32 each. Silence gives 0.
    """
    powers, waiting, count = [], np.zeros(0, np.float32), 0
    shares = _shares(rate_hz)
    for block in blocks:
        count += len(block)
        waiting = np.concatenate([waiting, block])
        if len(waiting) >= 64 * HOP:
            powers.append(_powers(waiting, shares))
            waiting = waiting[powers[-1].shape[1] * HOP :]
    last = np.concatenate([waiting, np.zeros(max(0, WINDOW - len(waiting)), np.float32)])
    powers.append(_powers(last, shares))
    levels = np.sqrt(_smoothed(np.concatenate(powers, axis=1), SMOOTHING_S * rate_hz / HOP))
    full = np.percentile(levels, FULL_PERCENTILE, axis=1, keepdims=True)
    levels = np.where(full > 1e-6, np.minimum(levels / np.maximum(full, 1e-6), 1.0), 0.0)
    return Loudness(levels, WINDOW / 2 / rate_hz, HOP / rate_hz, Fraction(count, rate_hz))


def _shares(rate_hz: int) -> np.ndarray:
    """Return the membership of each spectrum bin in the bands, (bins, 4) of 0 and 1."""
    hertz = np.fft.rfftfreq(WINDOW, 1 / rate_hz)
    low, mid = hertz < EDGES_HZ[0], (hertz >= EDGES_HZ[0]) & (hertz <= EDGES_HZ[1])
    return np.stack([low, mid, hertz > EDGES_HZ[1], np.ones_like(low)], axis=1).astype(np.float64)


def _powers(samples: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the band powers of every full window, (4, n), by Parseval's theorem."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    spectrum = np.fft.rfft(windows * np.hanning(WINDOW), axis=1)
    return (np.square(np.abs(spectrum)) @ shares).T / WINDOW**2


def _smoothed(powers: np.ndarray, sigma: float) -> np.ndarray:
    reach = int(4 * sigma)
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma))
    padded = np.pad(powers, ((0, 0), (reach, reach)), mode="edge")
    return np.stack([np.convolve(row, kernel / kernel.sum(), mode="valid") for row in padded])
