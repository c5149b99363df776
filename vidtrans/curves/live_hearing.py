"""An ear that hears a sound as it sounds: the signals of curves, from the past alone, in bounded time and memory.

A level is relative to a maximum that falls slowly, where ``hearing`` takes the loudest of the whole sound. Beats are
those of the last seconds, continued (``BeatTracker``). ``smooth`` is an exponential average.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from fractions import Fraction

import numpy as np

from vidtrans.curves.expressions import Signal
from vidtrans.curves.hearing import (
    ABOVE,
    APART_S,
    FIXED_BANDS,
    HOP,
    LAG,
    LOCAL_S,
    MEL_BANDS,
    NOISY,
    QUIETEST,
    WINDOW,
    Band,
    HeardSound,
    SpectrumBank,
    find_rhythm,
    log_spectrum,
    rise,
)
from vidtrans.curves.tracks import RunningCall
from vidtrans.video.io.sound import RATE_HZ

MEMORY_S = 8.0  # of sound from which the rhythm is found
FIRST_S, EVERY_S = 2.5, 0.3  # of sound before the rhythm is looked for, and between two searches
SAME = 0.06  # relative difference of periods that is no other tempo
DOUBTS, ENDS = 6, 8  # searches that find another tempo, or none, before it counts
RECENT_S = 4.0  # after which a beat counts e times less for the place of the next
SOONEST = 0.5  # of a period between two beats, at least
BAR_MEMORY = 0.95  # of votes for the first beat of a bar, from one search to the next


class BeatTracker:
    """Counts the beats of consecutive mel spectra, ``hop_s`` seconds apart, and predicts the next ones.

    Attributes:
        tempo_bpm: Beats per minute; 0 without a beat.
        last_beat_s: The time of the last beat, in s; -inf before the first one.
    """

    def __init__(self, hop_s: float) -> None:
        self._hop_s = hop_s
        self._most = round(MEMORY_S / hop_s)
        self._mel = np.zeros((2 * self._most, MEL_BANDS), np.float32)
        self._count = self._heard = 0  # spectra in memory, and in all
        self._next_search_s = FIRST_S
        self._period_s, self._anchor_s, self._anchor_count = 0.0, 0.0, 0.0
        self._num_doubts = self._num_misses = 0
        self._bar_votes = np.zeros(4)
        self._last_number = -math.inf
        self.last_beat_s = -math.inf
        find_rhythm(HeardSound({}, self._mel, hop_s, Fraction(0)))  # loads SciPy, which would hold up the first search

    @property
    def tempo_bpm(self) -> float:
        """Return the beats per minute; 0 without a beat."""
        return 60 / self._period_s if self._period_s else 0.0

    def hear(self, mel: np.ndarray) -> None:
        """Take the next spectra, (n, MEL_BANDS) float32, whose windows are centred at consecutive hops."""
        for one in mel:
            if self._count == len(self._mel):
                self._mel[: self._most] = self._mel[-self._most :]
                self._count = self._most
            self._mel[self._count] = one
            self._count += 1
            self._heard += 1

    def advance(self, now_s: float) -> None:
        """Note the beats until ``now_s``; search for the rhythm again where it is time to."""
        if now_s >= self._next_search_s:
            self._next_search_s = now_s + EVERY_S
            self._search(now_s)
        if not self._period_s:
            return
        number = math.floor(self.beat_at(now_s) + 1e-9)
        at_s = self._anchor_s + (number - self._anchor_count) * self._period_s
        if number > self._last_number and at_s - self.last_beat_s > SOONEST * self._period_s:
            self._last_number, self.last_beat_s = number, min(at_s, now_s)

    def beat_at(self, now_s: float) -> float:
        """Return the number of the beat, with the share of the next; without a tempo the last one."""
        if not self._period_s:
            return self._anchor_count
        return self._anchor_count + (now_s - self._anchor_s) / self._period_s

    def bar_at(self, now_s: float) -> float:
        """Return the number of the bar of four beats, with the share of the next."""
        return (self.beat_at(now_s) - int(np.argmax(self._bar_votes))) / 4

    def _search(self, now_s: float) -> None:
        recent = self._mel[max(0, self._count - self._most) : self._count]
        first_s = (self._heard - len(recent)) * self._hop_s
        is_silent = float(recent.max(initial=0.0)) < QUIETEST / 10
        rhythm = None if is_silent else find_rhythm(HeardSound({}, recent, self._hop_s, Fraction(0)))
        if rhythm is None or len(rhythm.beats) < 3:
            self._num_misses += 1
            if self._num_misses >= ENDS and self._period_s:
                self._anchor_count, self._period_s = self.beat_at(now_s), 0.0
            return
        self._num_misses = 0
        beats = rhythm.beats + first_s
        step_s, last_s = _fitted(beats)
        change = step_s / self._period_s - 1 if self._period_s else 0.0
        if abs(change) > SAME:  # such as twice as fast: a pattern without some of its beats does not change the tempo
            self._num_doubts += 1
            if self._num_doubts < DOUBTS:
                return
        self._num_doubts = 0
        self._follow(now_s, step_s, last_s, beats, rhythm.first_bar)

    def _follow(self, now_s: float, step_s: float, last_s: float, beats: np.ndarray, first_bar: int) -> None:
        """Go on at another period and place; the count continues."""
        share = ((now_s - last_s) / step_s) % 1.0
        if self._period_s or self._last_number > -math.inf:
            number = round(self.beat_at(now_s) - share)
        else:
            number = round((now_s - beats[0]) / step_s - share)
        self._anchor_s, self._anchor_count, self._period_s = now_s, number + share, step_s
        if self._last_number == -math.inf:
            self._last_number = number if share > SOONEST else number - 1
        first_number = round(self.beat_at(float(beats[0])))
        self._bar_votes *= BAR_MEMORY
        self._bar_votes[(first_number + first_bar) % 4] += 1


def _fitted(beats: np.ndarray) -> tuple[float, float]:
    """Return the period of beats and the time of the last one, in s, by a line on which recent beats count more."""
    weights = np.exp((beats - beats[-1]) / (2 * RECENT_S))
    step_s, last_s = np.polyfit(np.arange(len(beats)) - len(beats) + 1, beats, 1, w=weights)
    return float(step_s), float(last_s)


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
