"""Real-time analysis of sound for the signals of curves, from past samples only, in bounded time and memory.

A level is relative to a maximum that falls slowly, while ``hearing`` uses the loudest part of the whole sound. Beats
extrapolate those of the last seconds (``BeatTracker``). ``smooth`` is an exponential average.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from fractions import Fraction

import numpy as np

from vidtrans.curves.expressions import Signal
from vidtrans.curves.hearing import (
    FIXED_BANDS,
    HOP,
    LAG_HOPS,
    MEAN_WINDOW_S,
    MEL_BANDS,
    MIN_NOVELTY,
    MIN_ONSET_GAP_S,
    NOISE_FACTOR,
    ONSET_MARGIN,
    WINDOW,
    Band,
    SoundAnalysis,
    SpectrumBank,
    find_rhythm,
    log_spectrum,
    spectral_rise,
)
from vidtrans.curves.tracks import RunningCall
from vidtrans.video.io.sound import RATE_HZ

MEMORY_S = 8.0  # Length, in s, of the most recent sound in which the rhythm is searched
FIRST_SEARCH_S, SEARCH_INTERVAL_S = 2.5, 0.3  # Sound, in s, before the first search, and between two searches
SAME_TEMPO = 0.06  # Largest relative difference of two beat periods that count as one tempo
NUM_DOUBTS = 6  # Number of consecutive searches that find another tempo before it is adopted
NUM_MISSES = 8  # Number of consecutive searches without a rhythm after which the tempo ends
RECENT_S = 4.0  # Age, in s, at which the weight of a beat in the prediction of the next one has fallen to 1/e
MIN_BEAT_GAP = 0.5  # Shortest time between two beats, as a share of the period
BAR_MEMORY = 0.95  # Factor by which the votes for the first beat of a bar decay with each search


class BeatTracker:
    """A counter of the beats in consecutive mel spectra, ``hop_s`` seconds apart, that predicts the next beats.

    Attributes:
        tempo_bpm: Beats per minute; 0 without a beat.
        last_beat_s: The time of the last beat, in s; -inf before the first one.
    """

    def __init__(self, hop_s: float) -> None:
        self._hop_s = hop_s
        self._capacity = round(MEMORY_S / hop_s)
        self._mel = np.zeros((2 * self._capacity, MEL_BANDS), np.float32)
        self._num_stored = self._num_spectra = 0  # Spectra in memory, and since the start
        self._next_search_s = FIRST_SEARCH_S
        self._period_s, self._anchor_s, self._anchor_count = 0.0, 0.0, 0.0
        self._num_doubts = self._num_misses = 0
        self._bar_votes = np.zeros(4)
        self._last_number = -math.inf
        self.last_beat_s = -math.inf
        find_rhythm(SoundAnalysis({}, self._mel, hop_s, Fraction(0)))  # Loads SciPy before the first real search

    @property
    def tempo_bpm(self) -> float:
        """Return the tempo in beats per minute; 0 without a beat."""
        return 60 / self._period_s if self._period_s else 0.0

    def add_spectra(self, mel: np.ndarray) -> None:
        """Store the next mel spectra, (n, MEL_BANDS) float32, whose windows are centred at consecutive hops."""
        for one in mel:
            if self._num_stored == len(self._mel):
                self._mel[: self._capacity] = self._mel[-self._capacity :]
                self._num_stored = self._capacity
            self._mel[self._num_stored] = one
            self._num_stored += 1
            self._num_spectra += 1

    def advance(self, now_s: float) -> None:
        """Update the count of beats until ``now_s``; search for the rhythm again if that is due."""
        if now_s >= self._next_search_s:
            self._next_search_s = now_s + SEARCH_INTERVAL_S
            self._search(now_s)
        if not self._period_s:
            return
        number = math.floor(self.beat_at(now_s) + 1e-9)
        at_s = self._anchor_s + (number - self._anchor_count) * self._period_s
        if number > self._last_number and at_s - self.last_beat_s > MIN_BEAT_GAP * self._period_s:
            self._last_number, self.last_beat_s = number, min(at_s, now_s)

    def beat_at(self, now_s: float) -> float:
        """Return the fractional beat number at ``now_s``; without a tempo, the number of the last beat."""
        if not self._period_s:
            return self._anchor_count
        return self._anchor_count + (now_s - self._anchor_s) / self._period_s

    def bar_at(self, now_s: float) -> float:
        """Return the fractional number of the bar of four beats at ``now_s``."""
        return (self.beat_at(now_s) - int(np.argmax(self._bar_votes))) / 4

    def _search(self, now_s: float) -> None:
        """Search for the rhythm in the stored spectra; adopt another tempo only after ``NUM_DOUBTS`` searches."""
        recent = self._mel[max(0, self._num_stored - self._capacity) : self._num_stored]
        first_s = (self._num_spectra - len(recent)) * self._hop_s
        is_silent = float(recent.max(initial=0.0)) < MIN_NOVELTY / 10
        rhythm = None if is_silent else find_rhythm(SoundAnalysis({}, recent, self._hop_s, Fraction(0)))
        if rhythm is None or len(rhythm.beats) < 3:
            self._num_misses += 1
            if self._num_misses >= NUM_MISSES and self._period_s:
                self._anchor_count, self._period_s = self.beat_at(now_s), 0.0
            return
        self._num_misses = 0
        beats = rhythm.beats + first_s
        step_s, last_s = _fit_beats(beats)
        change = step_s / self._period_s - 1 if self._period_s else 0.0
        if abs(change) > SAME_TEMPO:  # A pattern with missing beats, such as half the tempo, must not change it at once
            self._num_doubts += 1
            if self._num_doubts < NUM_DOUBTS:
                return
        self._num_doubts = 0
        self._follow(now_s, step_s, last_s, beats, rhythm.first_bar)

    def _follow(self, now_s: float, step_s: float, last_s: float, beats: np.ndarray, first_bar: int) -> None:
        """Continue the beat numbers with a new period ``step_s`` and a new time ``last_s`` of the last beat, both in s.

        ``beats``: times of the found beats, in s. ``first_bar``: the index of the first beat of a bar among them.
        """
        share = ((now_s - last_s) / step_s) % 1.0
        if self._period_s or self._last_number > -math.inf:
            number = round(self.beat_at(now_s) - share)
        else:
            number = round((now_s - beats[0]) / step_s - share)
        self._anchor_s, self._anchor_count, self._period_s = now_s, number + share, step_s
        if self._last_number == -math.inf:
            self._last_number = number if share > MIN_BEAT_GAP else number - 1
        first_number = round(self.beat_at(float(beats[0])))
        self._bar_votes *= BAR_MEMORY
        self._bar_votes[(first_number + first_bar) % 4] += 1


def _fit_beats(beats: np.ndarray) -> tuple[float, float]:
    """Return the period of beats and the time of the last beat, in s, by a line fit weighted to recent beats."""
    weights = np.exp((beats - beats[-1]) / (2 * RECENT_S))
    step_s, last_s = np.polyfit(np.arange(len(beats)) - len(beats) + 1, beats, 1, w=weights)
    return float(step_s), float(last_s)


RATES_HZ = (8000, 192_000)  # Lowest and highest accepted sampling rate
# Time constant, in s, of a falling level, which removes the ripple of tones; a level rises at once
LEVEL_DECAY_S = 0.05
PEAK_RISE_S, PEAK_DECAY_S = 0.1, 20.0  # Time constants, in s, of the peak level that is scaled to 1
MIN_PEAK_LEVEL = 1e-3  # Smallest peak level, about -50 dB of full scale, so that the hiss of a microphone stays near 0
MIN_FULL_ONSET = 0.15  # Smallest novelty that gives an ``onset`` of 1, so that quiet noise gives less
MEDIAN_S = 4.0  # Length, in s, of the most recent sound whose median novelty is the noise level
BLOCK_S = 1.0  # Length, in s, of the sound that is analysed at once


class PeakFollower:
    """The slowly falling peaks of ``count`` levels; each level is divided by its peak, which gives 0 to 1.

    A peak rises to a louder level in about ``rise_s`` s, and falls to 1/e in 20 s, but not below ``least``. ``hop_s``:
    the time between two hops, in s.
    """

    def __init__(self, count: int, hop_s: float, rise_s: float, least: float) -> None:
        self._rise, self._fall, self._least = 1 - math.exp(-hop_s / rise_s), math.exp(-hop_s / PEAK_DECAY_S), least
        self.peaks = np.full(count, least)

    def scale(self, levels: np.ndarray) -> np.ndarray:
        """Return the levels, (count,), of the next hop as shares of their peaks, from 0 to 1."""
        louder = levels > self.peaks
        self.peaks = np.where(
            louder, self.peaks + self._rise * (levels - self.peaks), np.maximum(self.peaks * self._fall, self._least)
        )
        return np.minimum(levels / self.peaks, 1.0)


class LiveSoundAnalysis:
    """An analysis of mono sound at ``rate_hz`` while it arrives; ``signals``: the signals that will be requested.

    Attributes:
        beats: The tempo and the beats.
        now_s: Seconds of sound analysed so far.
    """

    def __init__(self, rate_hz: int, signals: Collection[Signal] = ()) -> None:
        self.rate_hz = rate_hz
        window = 1 << round(math.log2(WINDOW * rate_hz / RATE_HZ))
        hop_s = window // (WINDOW // HOP) / rate_hz
        self._buffer, self._num_samples = np.zeros(window // 2, np.float32), 0
        self._hop_s, self._window = hop_s, window
        self.beats = BeatTracker(hop_s)
        self._logs = np.zeros((LAG_HOPS, MEL_BANDS), np.float32)
        self._novelties = np.zeros(round(MEDIAN_S / hop_s))
        self._onset_peak = PeakFollower(1, hop_s, hop_s, MIN_FULL_ONSET)
        self._last_onset_s = -math.inf
        self._onset = 0.0
        self._bands: list[Band] = []
        self._band_peaks = PeakFollower(0, hop_s, PEAK_RISE_S, MIN_PEAK_LEVEL)
        self._levels = dict[Band, float]()
        self._calls = dict[Signal, RunningCall]()
        self.watch({Signal(name) for name in FIXED_BANDS} | set(signals))

    @property
    def now_s(self) -> float:
        """Return the seconds of sound analysed so far."""
        return self._num_samples / self.rate_hz

    def watch(self, signals: Collection[Signal]) -> None:
        """Compute these signals from now on, in place of those of the previous ``watch``.

        The bands of ``FIXED_BANDS``, onsets and beats are always computed.
        """
        roots = {signal.source for signal in signals}
        bands = [*FIXED_BANDS.values(), *sorted({(s.numbers[0], s.numbers[1]) for s in roots if s.name == "band"})]
        if bands != self._bands:
            old_peaks = dict(zip(self._bands, self._band_peaks.peaks, strict=True))
            self._bands, self._bank = bands, SpectrumBank(self.rate_hz, bands, self._window)
            self._power = np.zeros(len(bands))
            self._band_peaks = PeakFollower(len(bands), self._hop_s, PEAK_RISE_S, MIN_PEAK_LEVEL)
            self._band_peaks.peaks = np.array([old_peaks.get(band, MIN_PEAK_LEVEL) for band in bands])
            self._levels = {band: self._levels.get(band, 0.0) for band in bands}
        calls = [part for signal in signals if signal.is_heard for part in _calls_in(signal)]
        self._calls = {call: self._calls.get(call) or RunningCall(call) for call in calls}

    def add_samples(self, samples: np.ndarray) -> None:
        """Analyse the next samples, (n,) float32 in [-1, 1]."""
        block = round(BLOCK_S * self.rate_hz)
        for first in range(0, len(samples), block):
            self._analyse(samples[first : first + block])

    def value(self, signal: Signal) -> float:
        """Return the current value of a signal that is watched."""
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
        """Return the current value of each signal."""
        return {signal: self.value(signal) for signal in signals}

    def _analyse(self, samples: np.ndarray) -> None:
        """Analyse the complete windows in the next samples, and update the beats."""
        self._num_samples += len(samples)
        self._buffer = np.concatenate([self._buffer, samples.astype(np.float32)])
        if len(self._buffer) >= self._window:
            power, mel = self._bank(self._buffer)
            self._buffer = self._buffer[len(mel) * self._bank.hop :]
            logs = np.concatenate([self._logs, log_spectrum(mel)])
            strength = spectral_rise(logs[LAG_HOPS:], logs[:-LAG_HOPS])
            self._logs = logs[-LAG_HOPS:]
            self.beats.add_spectra(mel)
            for n in range(len(mel)):
                self._add_hop(power[n], float(strength[n]), self.now_s - (len(mel) - 1 - n) * self._hop_s)
        self.beats.advance(self.now_s)

    def _add_hop(self, power: np.ndarray, strength: float, now_s: float) -> None:
        """Update levels and onsets with one hop: its band powers, novelty ``strength`` and end time ``now_s``, in s."""
        self._power = np.maximum(power, self._power * math.exp(-2 * self._hop_s / LEVEL_DECAY_S))
        shares = self._band_peaks.scale(np.sqrt(self._power))
        silent = np.sqrt(self._power) < MIN_PEAK_LEVEL / 100
        self._levels = dict(zip(self._bands, np.where(silent, 0.0, shares).tolist(), strict=True))
        self._onset = float(self._onset_peak.scale(np.array([strength]))[0])
        least = max(MIN_NOVELTY, NOISE_FACTOR * float(np.median(self._novelties)))
        mean = float(self._novelties[-max(1, round(MEAN_WINDOW_S / self._hop_s)) :].mean())
        above = ONSET_MARGIN * float(self._onset_peak.peaks[0])
        if strength > max(least, mean + above) and now_s - self._last_onset_s >= 2 * MIN_ONSET_GAP_S:
            self._last_onset_s = now_s
        self._novelties = np.append(self._novelties[1:], strength)
        for call, running in self._calls.items():  # Inner calls come before outer ones
            assert call.inner is not None
            running.step(self.value(call.inner), self._hop_s)


def _calls_in(signal: Signal) -> list[Signal]:
    """Return the calls on other signals (``smooth``, ``follow``) that are nested in a signal, the innermost first."""
    return [*_calls_in(signal.inner), signal] if signal.inner is not None else []
