"""An ear that hears a sound as it sounds: the signals of curves, from the past alone, in bounded time and memory.

A level is relative to a maximum that falls slowly, where ``hearing`` takes the loudest of the whole sound. Beats are
those of the last seconds, continued (``live_beats``). ``smooth`` is an exponential average.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np

from vidtrans.curves.beats import ABOVE, APART_S, LAG, LOCAL_S, NOISY, QUIETEST, log_spectrum, rise
from vidtrans.curves.hearing import FIXED_BANDS, HOP, MEL_BANDS, WINDOW, Band, SpectrumBank
from vidtrans.curves.live_beats import BeatTracker
from vidtrans.curves.signals import Signal
from vidtrans.curves.tracks import RunningCall
from vidtrans.video.io.sound import RATE_HZ

RATES_HZ = (8000, 192_000)  # of a sound, at least and at most
FALL_S = 0.05  # in which a level falls by e: removes the ripple of tones; it rises at once
FULL_RISE_S, FULL_FALL_S = 0.1, 20.0  # in which the level that is scaled to 1 goes by a share of 1 - 1/e
FAINT = 1e-3  # a level that is never scaled to 1, about -50 dB of full scale: the hiss of a microphone stays near 0
LOUD_ONSET = 0.15  # novelty below which no onset is scaled to 1
MEDIAN_S = 4.0  # of novelty, whose median is that of steady noise
BLOCK_S = 1.0  # of sound that is analysed at once


class FallingMaximum:
    """The levels that are scaled to 1. They rise to louder ones in ``rise_s``, and fall by e in 20 s, to ``least``."""

    def __init__(self, count: int, hop_s: float, rise_s: float, least: float) -> None:
        self._rise, self._fall, self._least = 1 - math.exp(-hop_s / rise_s), math.exp(-hop_s / FULL_FALL_S), least
        self.full = np.full(count, least)

    def share(self, levels: np.ndarray) -> np.ndarray:
        """Return levels, (count,), of one more hop as shares of the loud ones, from 0 to 1."""
        louder = levels > self.full
        self.full = np.where(
            louder, self.full + self._rise * (levels - self.full), np.maximum(self.full * self._fall, self._least)
        )
        return np.minimum(levels / self.full, 1.0)


class LiveEar:
    """Hears mono sound at ``rate_hz``; ``signals``: all whose values will be asked for.

    Attributes:
        beats: The tempo and the beats.
        now_s: Seconds of sound heard until now.
    """

    def __init__(self, rate_hz: int, signals: Collection[Signal] = ()) -> None:
        self.rate_hz = rate_hz
        window = 1 << round(math.log2(WINDOW * rate_hz / RATE_HZ))
        hop_s = window // (WINDOW // HOP) / rate_hz
        self._waiting, self._num_heard = np.zeros(window // 2, np.float32), 0
        self._hop_s, self._window = hop_s, window
        self.beats = BeatTracker(hop_s)
        self._logs = np.zeros((LAG, MEL_BANDS), np.float32)
        self._novelties = np.zeros(round(MEDIAN_S / hop_s))
        self._full_onset = FallingMaximum(1, hop_s, hop_s, LOUD_ONSET)
        self._last_onset_s = -math.inf
        self._onset = 0.0
        self._bands: list[Band] = []
        self._full = FallingMaximum(0, hop_s, FULL_RISE_S, FAINT)
        self._levels = dict[Band, float]()
        self._calls = dict[Signal, RunningCall]()
        self.watch({Signal(name) for name in FIXED_BANDS} | set(signals))

    @property
    def now_s(self) -> float:
        """Return how many seconds of sound were heard until now."""
        return self._num_heard / self.rate_hz

    def watch(self, signals: Collection[Signal]) -> None:
        """Hear these signals too from now on, and only these calls and bands beside the fixed bands."""
        roots = {signal.source for signal in signals}
        bands = [*FIXED_BANDS.values(), *sorted({(s.numbers[0], s.numbers[1]) for s in roots if s.name == "band"})]
        if bands != self._bands:
            known = dict(zip(self._bands, self._full.full, strict=True))
            self._bands, self._bank = bands, SpectrumBank(self.rate_hz, bands, self._window)
            self._power = np.zeros(len(bands))
            self._full = FallingMaximum(len(bands), self._hop_s, FULL_RISE_S, FAINT)
            self._full.full = np.array([known.get(band, FAINT) for band in bands])
            self._levels = {band: self._levels.get(band, 0.0) for band in bands}
        calls = [part for signal in signals if signal.is_heard for part in _calls_in(signal)]
        self._calls = {call: self._calls.get(call) or RunningCall(call) for call in calls}

    def listen(self, samples: np.ndarray) -> None:
        """Hear the next samples, (n,) float32 in [-1, 1]."""
        most = round(BLOCK_S * self.rate_hz)
        for first in range(0, len(samples), most):
            self._listen(samples[first : first + most])

    def value(self, signal: Signal) -> float:
        """Return the value of a signal of the sound now."""
        if signal in self._calls:
            return self._calls[signal].value
        if signal.inner is not None:
            return self.value(signal.inner)
        if signal.name == "onset":
            return self._onset
        if signal.name == "beat":
            return self.beats.beat_at(self.now_s)
        if signal.name == "bar":
            return self.beats.bar_at(self.now_s)
        if signal.name in ("on_beat", "on_onset"):
            last_s = self.beats.last_beat_s if signal.name == "on_beat" else self._last_onset_s
            return math.exp(-max(0.0, self.now_s - last_s) / signal.numbers[0])
        return self._levels.get(FIXED_BANDS.get(signal.name) or (signal.numbers[0], signal.numbers[1]), 0.0)

    def values(self, signals: Collection[Signal]) -> Mapping[Signal, float]:
        """Return the values of signals now."""
        return {signal: self.value(signal) for signal in signals}

    def _listen(self, samples: np.ndarray) -> None:
        self._num_heard += len(samples)
        self._waiting = np.concatenate([self._waiting, samples.astype(np.float32)])
        if len(self._waiting) >= self._window:
            power, mel = self._bank(self._waiting)
            self._waiting = self._waiting[len(mel) * self._bank.hop :]
            logs = np.concatenate([self._logs, log_spectrum(mel)])
            strength = rise(logs[LAG:], logs[:-LAG])
            self._logs = logs[-LAG:]
            self.beats.hear(mel)
            for n in range(len(mel)):
                self._take(power[n], float(strength[n]), self.now_s - (len(mel) - 1 - n) * self._hop_s)
        self.beats.advance(self.now_s)

    def _take(self, power: np.ndarray, strength: float, now_s: float) -> None:
        """Take the power of each band and the novelty of one more hop, which ends at about ``now_s``."""
        self._power = np.maximum(power, self._power * math.exp(-2 * self._hop_s / FALL_S))
        shares = self._full.share(np.sqrt(self._power))
        silent = np.sqrt(self._power) < FAINT / 100
        self._levels = dict(zip(self._bands, np.where(silent, 0.0, shares).tolist(), strict=True))
        self._onset = float(self._full_onset.share(np.array([strength]))[0])
        least = max(QUIETEST, NOISY * float(np.median(self._novelties)))
        mean = float(self._novelties[-max(1, round(LOCAL_S / self._hop_s)) :].mean())
        above = ABOVE * float(self._full_onset.full[0])
        if strength > max(least, mean + above) and now_s - self._last_onset_s >= 2 * APART_S:
            self._last_onset_s = now_s
        self._novelties = np.append(self._novelties[1:], strength)
        for call, running in self._calls.items():  # inner calls come before those that take them
            assert call.inner is not None
            running.step(self.value(call.inner), self._hop_s)


def _calls_in(signal: Signal) -> list[Signal]:
    """Return the calls that take signals within ``signal``, the innermost first."""
    return [*_calls_in(signal.inner), signal] if signal.inner is not None else []
