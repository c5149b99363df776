"""The signals of a sound as functions of time: overall loudness, loudness of bands, onsets, tempo and beats.

Novelty is the rise of the mel spectrum's logarithm over the loudest neighbouring band of an earlier spectrum (Böck and
Widmer, "Maximum filter vibrato suppression for onset detection", 2013). Tempo is the best period of its
autocorrelation, and beats are the path of most novelty at about that period, by dynamic programming (Ellis, "Beat
tracking by dynamic programming", 2007).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

from vidtrans.core.errors import MediaError
from vidtrans.curves.expressions import Signal
from vidtrans.curves.tracks import Track, decay_track, gaussian, interpolated_track
from vidtrans.video.io.sound import RATE_HZ, read_blocks

VERSION = [3, 1]  # Versions of the loudness and of the rhythm analysis, for cache keys
WINDOW, HOP = 1024, 256  # Length of an analysis window, and distance of two windows, in samples
# σ, in s, of the smoothing of loudness: it removes the ripple of tones, and loudness rises at most a frame too early
SMOOTHING_S = 0.025
FULL_PERCENTILE = 95  # Percentile of the loudness of a sound that is scaled to 1
# Frequency bands of the named signals, (lowest, highest) in Hz
FIXED_BANDS = {"low": (0.0, 250.0), "mid": (250.0, 2000.0), "high": (2000.0, np.inf), "loudness": (0.0, np.inf)}
MEL_BANDS, MEL_LOW_HZ, MEL_HIGH_HZ = 48, 30.0, 10_000.0  # Number of bands of the mel spectrum, and its range
BLOCK_WINDOWS = 64  # Number of windows that are transformed at once
Band = tuple[float, float]  # Frequency band, (lowest, highest) in Hz
LAG_HOPS = 2  # Distance, in hops, of the two spectra from which the novelty is computed
COMPRESSION = 1000.0  # Factor of magnitudes in the logarithm of the spectrum, log(1 + factor * magnitude)
# An onset is the maximum novelty within ± PEAK_WINDOW_S, and exceeds the mean novelty within ± MEAN_WINDOW_S.
PEAK_WINDOW_S, MEAN_WINDOW_S, MIN_ONSET_GAP_S = 0.03, 0.06, 0.05
ONSET_MARGIN = 0.05  # Least rise of an onset above the mean novelty, as a share of the 98th percentile of the novelty
NOISE_FACTOR = 2.5  # Least novelty of an onset, as a multiple of the median of the novelty
RHYTHM_FACTOR = 5.0  # Least ratio of the 98th percentile to the median of the novelty, for a sound with beats
MIN_NOVELTY = 0.02  # Least novelty of an onset
PEAK_DELAY_S = 0.001  # Time, in s, from the peak of novelty to the onset that causes it
SLOWEST_BPM, FASTEST_BPM = 40.0, 240.0  # Range of tempos that are searched
PRIOR_BPM, PRIOR_OCTAVES = 120.0, 1.1  # Mean and σ, in octaves, of the Gaussian prior of the tempo
MAX_PLAIN_BPM = 100.0  # Tempo, in beats per minute, above which every second beat may be an off-beat
MAX_OFF_BEAT_SHARE = 0.45  # Largest loudness of off-beats, as a share of the loudness of beats
TIGHTNESS = 400.0  # Weight, against novelty, of the penalty for a beat distance that differs from the period
FULL_ONSET_PERCENTILE = 98  # Percentile of the novelty that is scaled to an ``onset`` of 1


@dataclass(frozen=True)
class SoundAnalysis:
    """The loudness and the mel spectrum of a sound, at hops of ``hop_s`` seconds from 0 s on.

    Attributes:
        levels: The loudness of each band, (n,) float64 from 0 to 1, where 1 is loud for this sound.
        mel: The magnitudes of ``MEL_BANDS`` bands, (n, bands) float32.
        hop_s: Seconds between two hops.
        duration_s: The sound's length.
    """

    levels: dict[Band, np.ndarray]
    mel: np.ndarray
    hop_s: float
    duration_s: Fraction

    @property
    def times(self) -> np.ndarray:
        """Return the time of each hop, in s."""
        return np.arange(len(self.mel)) * self.hop_s


class SpectrumBank:
    """A filter bank: the power in bands and the mel spectrum of windows of ``window`` samples.

    A hop, the distance of two windows, is a quarter of a window.
    """

    def __init__(self, rate_hz: int, bands: Sequence[Band], window: int = WINDOW) -> None:
        self.window, self.hop = window, window // (WINDOW // HOP)
        hertz = np.fft.rfftfreq(window, 1 / rate_hz)
        self._taper, self._band_weights, self._mels = np.hanning(window), _band_weights(hertz, bands), _mel_bank(hertz)

    def __call__(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the power of each band, (n, bands), and mel magnitudes, (n, MEL_BANDS) float32, of n windows."""
        windows = np.lib.stride_tricks.sliding_window_view(samples, self.window)[:: self.hop]
        power = np.square(np.abs(np.fft.rfft(windows * self._taper, axis=1))) / self.window**2
        return power @ self._band_weights, np.sqrt(power @ self._mels).astype(np.float32)


def analyse_sound(blocks: Iterable[np.ndarray], rate_hz: int, bands: Sequence[Band]) -> SoundAnalysis:
    """Return the loudness of ``bands`` and the mel spectrum of a sound.

    ``blocks``: its consecutive samples, (n,) float32 each. Loudness is the smoothed short-time root mean square
    relative to its 95th percentile, at most 1; silence gives 0.
    """
    analyse = SpectrumBank(rate_hz, bands)
    powers: list[np.ndarray] = []
    spectra: list[np.ndarray] = []
    waiting, count = np.zeros(WINDOW // 2, np.float32), 0  # The first window is centred at 0 s

    def add_windows(samples: np.ndarray) -> int:
        """Analyse all windows in some samples; return the number of samples that are no longer needed."""
        power, mel = analyse(samples)
        powers.append(power)
        spectra.append(mel)
        return len(mel) * HOP

    for block in blocks:
        count += len(block)
        waiting = np.concatenate([waiting, block])
        while len(waiting) >= WINDOW + BLOCK_WINDOWS * HOP:
            waiting = waiting[add_windows(waiting[: WINDOW + (BLOCK_WINDOWS - 1) * HOP]) :]
    add_windows(np.concatenate([waiting, np.zeros(WINDOW, np.float32)]))
    sigma = SMOOTHING_S * rate_hz / HOP
    table = {band: _scaled_level(column, sigma) for band, column in zip(bands, np.concatenate(powers).T, strict=True)}
    return SoundAnalysis(table, np.concatenate(spectra), HOP / rate_hz, Fraction(count, rate_hz))


def _scaled_level(power: np.ndarray, sigma: float) -> np.ndarray:
    """Return the loudness, 0 to 1, from the power of a band at each hop; ``sigma``: the smoothing, in hops."""
    level = np.sqrt(np.maximum(gaussian(power, sigma), 0.0))
    full = float(np.percentile(level, FULL_PERCENTILE))
    return np.minimum(level / full, 1.0) if full > 1e-6 else np.zeros_like(level)


def _band_weights(hertz: np.ndarray, bands: Sequence[Band]) -> np.ndarray:
    """Return whether each spectrum bin is in each band, (bins, bands), 0 or 1; ``hertz``: the bins' frequencies."""
    weights = np.zeros((len(hertz), len(bands)))
    for n, (low, high) in enumerate(bands):
        inside = (hertz >= low) & (hertz < high)
        if not inside.any():  # A band between two bins gets the nearest one
            inside[np.argmin(np.abs(hertz - (low + min(high, hertz[-1])) / 2))] = True
        weights[:, n] = inside
    return weights


def _mel_bank(hertz: np.ndarray) -> np.ndarray:
    """Return the weights of spectrum bins, at ``hertz``, in mel bands, (bins, MEL_BANDS) (O'Shaughnessy 1987)."""
    lowest, highest = (2595 * np.log10(1 + limit / 700) for limit in (MEL_LOW_HZ, MEL_HIGH_HZ))
    centres = 700 * (10 ** (np.linspace(lowest, highest, MEL_BANDS + 2) / 2595) - 1)
    low, middle, high = centres[:-2, None], centres[1:-1, None], centres[2:, None]
    width = hertz[1]  # Low bands are narrower than a bin
    rising = (hertz - low + width) / (middle - low + width)
    falling = (high - hertz + width) / (high - middle + width)
    return np.clip(np.minimum(rising, falling), 0.0, 1.0).T


@dataclass(frozen=True)
class Rhythm:
    """The rhythm of a sound. ``onsets``, ``beats``: times in s, in order; ``first_bar``: index of the first downbeat.

    ``tempo_bpm``: beats per minute; 0 without a beat.
    """

    onsets: np.ndarray
    beats: np.ndarray
    tempo_bpm: float
    first_bar: int = 0

    def beat_at(self, times: np.ndarray) -> np.ndarray:
        """Return fractional beat numbers at ``times``, in s, extrapolated beyond the first and the last beat."""
        if len(self.beats) < 2:
            return np.zeros(len(times))
        period = 60 / self.tempo_bpm
        numbers = np.interp(times, self.beats, np.arange(len(self.beats), dtype=np.float64))
        numbers += np.minimum(times - self.beats[0], 0.0) / period
        past: np.ndarray = numbers + np.maximum(times - self.beats[-1], 0.0) / period
        return past

    def bar_at(self, times: np.ndarray) -> np.ndarray:
        """Return fractional numbers of bars of four beats at ``times``, in s."""
        return (self.beat_at(times) - self.first_bar) / 4


def novelty(sound: SoundAnalysis) -> np.ndarray:
    """Return the novelty (strength of onsets) of a sound at each hop, (n,) float64 from 0 to about 1."""
    logs = log_spectrum(sound.mel)
    strength = np.zeros(len(logs))
    strength[LAG_HOPS:] = spectral_rise(logs[LAG_HOPS:], logs[:-LAG_HOPS])
    return strength


def log_spectrum(mel: np.ndarray) -> np.ndarray:
    """Return the logarithm of mel magnitudes, (n, bands) float32: 0 for silence, about 1 for loud sounds."""
    return np.log1p(COMPRESSION * mel) / np.log1p(COMPRESSION)


def spectral_rise(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return the rise from the log spectra ``before`` to ``after``, (n, bands) each: its root mean square, (n,).

    The rise of a band is its value in ``after`` minus the loudest of this band and its two neighbours in ``before``; a
    fall counts as 0.
    """
    wide = np.pad(before, ((0, 0), (1, 1)), mode="edge")
    loudest = np.maximum(np.maximum(wide[:, :-2], wide[:, 1:-1]), wide[:, 2:])
    rises = np.maximum(after - loudest, 0.0)
    return np.sqrt(
        np.square(rises, dtype=np.float64).mean(axis=1)
    )  # Root mean square: a note fills few bands, and a mean would miss it


def find_rhythm(sound: SoundAnalysis) -> Rhythm:
    """Return the onsets, beats and tempo of a sound; in silence there are none."""
    strength, hop = novelty(sound), sound.hop_s
    onsets = _onset_times(strength, hop) + PEAK_DELAY_S
    period = _period(strength, hop)
    is_steady = np.percentile(strength, 98) < RHYTHM_FACTOR * np.median(strength)
    if not period or len(onsets) < 3 or is_steady:
        return Rhythm(onsets, np.zeros(0), 0.0)
    hops = _beat_hops(strength, period)
    if 60 / (period * hop) > MAX_PLAIN_BPM:
        hops = _drop_off_beats(sound, hops)
    beats = np.array([_refine_peak(strength, at) * hop for at in hops]) + PEAK_DELAY_S
    if len(beats) < 3:
        return Rhythm(onsets, np.zeros(0), 0.0)
    beats = beats[beats >= -PEAK_WINDOW_S]
    step = np.polyfit(np.arange(len(beats)), beats, 1)[0]
    return Rhythm(onsets, beats, float(60 / step), _first_bar(sound, hops))


def _onset_times(strength: np.ndarray, hop_s: float) -> np.ndarray:
    """Return the times of the onsets, in s, from the novelty ``strength`` at each hop."""
    from scipy.ndimage import maximum_filter1d, uniform_filter1d

    top = float(np.percentile(strength, 98))
    if top < MIN_NOVELTY:
        return np.zeros(0)
    least = max(MIN_NOVELTY, NOISE_FACTOR * float(np.median(strength)))  # Noise has a novelty of about its median
    wide = 2 * round(PEAK_WINDOW_S / hop_s) + 1
    highest = maximum_filter1d(strength, wide)
    mean = uniform_filter1d(strength, 2 * round(MEAN_WINDOW_S / hop_s) + 1)
    peaks: list[int] = []
    for at in np.flatnonzero((strength == highest) & (strength > mean + ONSET_MARGIN * top) & (strength > least)):
        if not peaks or (at - peaks[-1]) * hop_s >= MIN_ONSET_GAP_S:
            peaks.append(int(at))
    return np.array([_refine_peak(strength, at) * hop_s for at in peaks])


def _refine_peak(values: np.ndarray, at: int) -> float:
    """Return the position of the peak at index ``at`` between samples, by a parabola through three values."""
    if not 0 < at < len(values) - 1:
        return float(at)
    left, middle, right = values[at - 1 : at + 2]
    bend = left - 2 * middle + right
    return at + float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0 else float(at)


def _period(strength: np.ndarray, hop_s: float) -> float:
    """Return the period of the beat, in hops, from the novelty ``strength``; 0 if nothing repeats."""
    from scipy.signal import fftconvolve

    centred = np.maximum(strength - gaussian(strength, 0.5 / hop_s), 0.0)
    centred = gaussian(centred, 0.015 / hop_s)
    shortest, longest = (round(60 / bpm / hop_s) for bpm in (FASTEST_BPM, SLOWEST_BPM))
    if len(strength) < 3 * shortest or centred.max() < MIN_NOVELTY / 4:
        return 0.0
    full = fftconvolve(centred, centred[::-1])[len(centred) - 1 :]
    lags = np.arange(len(full))
    full = full / np.maximum(len(full) - lags, 1) * len(full)  # No bias towards short lags
    usable = min(longest, len(full) // 2)
    lag = np.arange(shortest, usable + 1)
    # A beat repeats after two, three and four periods too, so these lags are added.
    combed = sum(np.interp(lag * n, lags, full) / n for n in (1, 2, 3, 4) if (lag[-1] * n) < len(full) or n == 1)
    prior = np.exp(-0.5 * np.square(np.log2(60 / (lag * hop_s) / PRIOR_BPM) / PRIOR_OCTAVES))
    scores = np.asarray(combed) * prior
    best = int(np.argmax(scores))
    return shortest + _refine_peak(scores, best)


def _beat_hops(strength: np.ndarray, period: float) -> list[int]:
    """Return the hop numbers of the beats: the path of most novelty with steps of about ``period`` hops."""
    local = gaussian(strength / max(float(strength.std()), 1e-9), period / 32)
    count = len(local)
    score, back = local.copy(), np.full(count, -1)
    first, last = round(period / 2), round(2 * period)
    offsets = np.arange(first, last + 1)
    penalty = -TIGHTNESS * np.square(np.log(offsets / period)) / 4
    for at in range(first, count):
        usable = offsets[offsets <= at]
        gains = score[at - usable] + penalty[: len(usable)]
        best = int(np.argmax(gains))
        if gains[best] > 0:
            score[at] += gains[best]
            back[at] = at - usable[best]
    end = max(0, count - round(period))
    at = end + int(np.argmax(score[end:]))
    hops = []
    while at >= 0:
        hops.append(int(at))
        at = back[at]
    return hops[::-1]


def _drop_off_beats(sound: SoundAnalysis, hops: list[int]) -> list[int]:
    """Return the ``hops`` of every second beat if the beats between are much weaker, as hi-hats are, else all."""
    rises = np.maximum(np.diff(sound.mel, axis=0, prepend=0), 0).sum(axis=1)
    loud = np.array([float(rises[max(0, hop - 3) : hop + 4].max(initial=0.0)) for hop in hops])
    halves = [float(np.median(loud[n::2])) for n in range(2)]
    return hops[int(np.argmax(halves)) :: 2] if min(halves) < MAX_OFF_BEAT_SHARE * max(halves) else hops


def _first_bar(sound: SoundAnalysis, hops: list[int]) -> int:
    """Return the index, 0 to 3, of the first beat that begins a bar of four: these beats have most bass."""
    bass = sound.mel[:, :6].sum(axis=1)
    at = np.array([float(bass[hop : hop + 8].max(initial=0.0)) for hop in hops])
    return int(np.argmax([float(at[n::4].mean()) if len(at) > n else 0.0 for n in range(4)]))


class SoundSignals:
    """The signals of a sound file, or of a clip's own sound track. Raises MediaError if there is no sound.

    ``signals``: signals that will be requested. The sound is analysed at the first use, and again only for other
    frequency bands.
    """

    def __init__(self, path: Path, signals: Collection[Signal] = ()) -> None:
        self.path = path
        self._bands: set[Band] = {*FIXED_BANDS.values()}
        self.want(signals)

    def want(self, signals: Collection[Signal]) -> None:
        """Prepare for further signals, whose frequency bands may need another analysis."""
        bands = {(s.numbers[0], s.numbers[1]) for s in signals if s.name == "band"}
        if not bands <= self._bands:
            self._bands |= bands
            self.__dict__.pop("heard", None)

    @cached_property
    def heard(self) -> SoundAnalysis:
        """The analysis of the sound: loudness and mel spectrum."""
        return analyse_sound(read_blocks(self.path), RATE_HZ, sorted(self._bands))

    @cached_property
    def rhythm(self) -> Rhythm:
        """The rhythm of the sound: onsets, beats and tempo."""
        return find_rhythm(self.heard)

    def track(self, signal: Signal) -> Track:
        """Return a signal as a function of time; it must not be a call on another signal, such as ``smooth``."""
        if signal.name in FIXED_BANDS or signal.name == "band":
            band = FIXED_BANDS.get(signal.name) or (signal.numbers[0], signal.numbers[1])
            return interpolated_track(self.heard.times, self.heard.levels[band])
        if signal.name == "onset":
            return interpolated_track(self.heard.times, self._onset)
        if signal.name == "beat":
            return self.rhythm.beat_at
        if signal.name == "bar":
            return self.rhythm.bar_at
        events = {"on_beat": self.rhythm.beats, "on_onset": self.rhythm.onsets}[signal.name]
        return decay_track(events, signal.numbers[0])

    @cached_property
    def _onset(self) -> np.ndarray:
        """The strength of onsets at each hop, scaled to 0 to 1."""
        strength = novelty(self.heard)
        full = float(np.percentile(strength, FULL_ONSET_PERCENTILE))
        return np.minimum(strength / full, 1.0) if full > 1e-6 else strength * 0


def waveform(path: Path, seconds: Sequence[float]) -> np.ndarray:
    """Return the peak of the sound, 0 to 1, from each frame time in ``seconds`` to the next; zeros without a sound."""
    edges = np.round(np.asarray([*seconds, (seconds[-1] if seconds else 0.0) + 0.04]) * RATE_HZ).astype(np.int64)
    peaks, first = np.zeros(len(edges) + 1), 0
    try:
        for block in (block for block in read_blocks(path) if len(block)):
            inside = edges[np.searchsorted(edges, first, "right") : np.searchsorted(edges, first + len(block))]
            starts = np.unique([0, *(inside - first)])
            spans = np.searchsorted(edges, first + starts, side="right")
            peaks[spans] = np.maximum(peaks[spans], np.maximum.reduceat(np.abs(block), starts))
            first += len(block)
    except MediaError:
        return np.zeros(len(seconds))
    return peaks[1:-1]  # Without the sound before the first time and after the last one
