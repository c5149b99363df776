"""The signals of a sound as functions of time: loudness in all of it and in bands, onsets, tempo and beats.

Novelty is the rise of the mel spectrum's logarithm against the loudest neighbouring band a little before (Böck and
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
from vidtrans.curves.tracks import Track, fading, gaussian, sampled
from vidtrans.video.io.sound import RATE_HZ, read_blocks

VERSION = [3, 1]  # of loudness, and of the rhythm
WINDOW, HOP = 1024, 256  # samples
SMOOTHING_S = 0.025  # σ of loudness over time: removes the ripple of tones, and is at most a frame before a beat
FULL_PERCENTILE = 95  # the level that is scaled to 1
FIXED_BANDS = {"low": (0.0, 250.0), "mid": (250.0, 2000.0), "high": (2000.0, np.inf), "loudness": (0.0, np.inf)}  # Hz
MEL_BANDS, MEL_LOW, MEL_HIGH = 48, 30.0, 10_000.0
BLOCK = 64  # windows that are transformed at once
Band = tuple[float, float]
LAG = 2  # hops between the spectra that are compared
COMPRESSION = 1000.0  # of magnitudes, before the logarithm
AROUND_S, LOCAL_S, APART_S = 0.03, 0.06, 0.05  # of an onset: highest here, above the mean there, distance
ABOVE = 0.05  # of the novelty's 98th percentile, by which an onset is above its surroundings
NOISY, RHYTHMIC = 2.5, 5.0  # times the median novelty: an onset is above, and the loudest ones where there is a beat
QUIETEST = 0.02  # of novelty, below which nothing begins
PEAK_S = 0.001  # from the peak of novelty to the beginning of the sound
SLOWEST_BPM, FASTEST_BPM, USUAL_BPM, OCTAVES = 40.0, 240.0, 120.0, 1.1  # the prior: a Gaussian over octaves
SPLIT_BPM, WEAKER = 100.0, 0.45  # a faster beat may be half as fast; the share of the others' loudness, then
TIGHTNESS = 400.0  # of the period between beats, against novelty
LOUD_ONSET = 98  # percentile of novelty that is an ``onset`` of 1


@dataclass(frozen=True)
class HeardSound:
    """A sound at hops of ``hop_s`` seconds from 0 s on.

    Attributes:
        levels: The loudness of each band, (n,) float64 from 0 to 1: 1 is what is loud in this sound.
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
    """Power in bands, and the mel spectrum, of windows of a sound. ``window``: samples; a hop is a quarter of it."""

    def __init__(self, rate_hz: int, bands: Sequence[Band], window: int = WINDOW) -> None:
        self.window, self.hop = window, window // (WINDOW // HOP)
        hertz = np.fft.rfftfreq(window, 1 / rate_hz)
        self._taper, self._shares, self._mels = np.hanning(window), _shares(hertz, bands), _mel_bank(hertz)

    def __call__(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the power of each band, (n, bands), and mel magnitudes, (n, MEL_BANDS) float32, of n windows."""
        windows = np.lib.stride_tricks.sliding_window_view(samples, self.window)[:: self.hop]
        power = np.square(np.abs(np.fft.rfft(windows * self._taper, axis=1))) / self.window**2
        return power @ self._shares, np.sqrt(power @ self._mels).astype(np.float32)


def hear(blocks: Iterable[np.ndarray], rate_hz: int, bands: Sequence[Band]) -> HeardSound:
    """Return the loudness of ``bands`` and the mel spectrum; ``blocks``: consecutive samples, (n,) float32 each.

    Loudness is the smoothed short-time root mean square relative to its 95th percentile, at most 1; silence gives 0.
    """
    analyse = SpectrumBank(rate_hz, bands)
    powers: list[np.ndarray] = []
    spectra: list[np.ndarray] = []
    waiting, count = np.zeros(WINDOW // 2, np.float32), 0  # the first window is centred at 0 s

    def take(samples: np.ndarray) -> int:
        power, mel = analyse(samples)
        powers.append(power)
        spectra.append(mel)
        return len(mel) * HOP

    for block in blocks:
        count += len(block)
        waiting = np.concatenate([waiting, block])
        while len(waiting) >= WINDOW + BLOCK * HOP:
            waiting = waiting[take(waiting[: WINDOW + (BLOCK - 1) * HOP]) :]
    take(np.concatenate([waiting, np.zeros(WINDOW, np.float32)]))
    sigma = SMOOTHING_S * rate_hz / HOP
    table = {band: _level(column, sigma) for band, column in zip(bands, np.concatenate(powers).T, strict=True)}
    return HeardSound(table, np.concatenate(spectra), HOP / rate_hz, Fraction(count, rate_hz))


def _level(power: np.ndarray, sigma: float) -> np.ndarray:
    level = np.sqrt(np.maximum(gaussian(power, sigma), 0.0))
    full = float(np.percentile(level, FULL_PERCENTILE))
    return np.minimum(level / full, 1.0) if full > 1e-6 else np.zeros_like(level)


def _shares(hertz: np.ndarray, bands: Sequence[Band]) -> np.ndarray:
    """Return the membership of spectrum bins, at ``hertz``, in the bands, (bins, len(bands)) of 0 and 1."""
    found = np.zeros((len(hertz), len(bands)))
    for n, (low, high) in enumerate(bands):
        inside = (hertz >= low) & (hertz < high)
        if not inside.any():  # a band between two bins: the nearest one
            inside[np.argmin(np.abs(hertz - (low + min(high, hertz[-1])) / 2))] = True
        found[:, n] = inside
    return found


def _mel_bank(hertz: np.ndarray) -> np.ndarray:
    """Return triangular weights, (bins, MEL_BANDS), on the mel scale (O'Shaughnessy 1987)."""
    lowest, highest = (2595 * np.log10(1 + limit / 700) for limit in (MEL_LOW, MEL_HIGH))
    centres = 700 * (10 ** (np.linspace(lowest, highest, MEL_BANDS + 2) / 2595) - 1)
    low, middle, high = centres[:-2, None], centres[1:-1, None], centres[2:, None]
    width = hertz[1]  # low bands are narrower than a bin
    rising = (hertz - low + width) / (middle - low + width)
    falling = (high - hertz + width) / (high - middle + width)
    return np.clip(np.minimum(rising, falling), 0.0, 1.0).T


@dataclass(frozen=True)
class Rhythm:
    """The rhythm of a sound. ``onsets``, ``beats``: times in s, in order; ``first_bar``: number of the first downbeat.

    ``tempo_bpm``: beats per minute; 0 without a beat.
    """

    onsets: np.ndarray
    beats: np.ndarray
    tempo_bpm: float
    first_bar: int = 0

    def beat_at(self, times: np.ndarray) -> np.ndarray:
        """Return the number of the beat, with the share of the next, at times in s; beyond the ends it goes on."""
        if len(self.beats) < 2:
            return np.zeros(len(times))
        period = 60 / self.tempo_bpm
        found = np.interp(times, self.beats, np.arange(len(self.beats), dtype=np.float64))
        found += np.minimum(times - self.beats[0], 0.0) / period
        past: np.ndarray = found + np.maximum(times - self.beats[-1], 0.0) / period
        return past

    def bar_at(self, times: np.ndarray) -> np.ndarray:
        """Return the number of the bar of four beats, with the share of the next, at times in s."""
        return (self.beat_at(times) - self.first_bar) / 4


def novelty(sound: HeardSound) -> np.ndarray:
    """Return how much begins to sound at each hop, (n,) float64 from 0 to about 1."""
    logs = log_spectrum(sound.mel)
    found = np.zeros(len(logs))
    found[LAG:] = rise(logs[LAG:], logs[:-LAG])
    return found


def log_spectrum(mel: np.ndarray) -> np.ndarray:
    """Return the logarithm of mel magnitudes, (n, bands) float32: 0 of silence, about 1 of what is loud."""
    return np.log1p(COMPRESSION * mel) / np.log1p(COMPRESSION)


def rise(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return how much log spectra, (n, bands), rise over the loudest neighbouring band of ``before``, (n,) float64."""
    wide = np.pad(before, ((0, 0), (1, 1)), mode="edge")
    loudest = np.maximum(np.maximum(wide[:, :-2], wide[:, 1:-1]), wide[:, 2:])
    rises = np.maximum(after - loudest, 0.0)
    return np.sqrt(np.square(rises, dtype=np.float64).mean(axis=1))  # a note fills few bands: a mean would miss it


def find_rhythm(sound: HeardSound) -> Rhythm:
    """Return onsets, beats and tempo of a sound; nothing in silence."""
    strength, hop = novelty(sound), sound.hop_s
    onsets = _peaks(strength, hop) + PEAK_S
    period = _period(strength, hop)
    is_steady = np.percentile(strength, 98) < RHYTHMIC * np.median(strength)
    if not period or len(onsets) < 3 or is_steady:
        return Rhythm(onsets, np.zeros(0), 0.0)
    hops = _beat_hops(strength, period)
    if 60 / (period * hop) > SPLIT_BPM:
        hops = _without_off_beats(sound, hops)
    beats = np.array([_refined(strength, at) * hop for at in hops]) + PEAK_S
    if len(beats) < 3:
        return Rhythm(onsets, np.zeros(0), 0.0)
    beats = beats[beats >= -AROUND_S]
    step = np.polyfit(np.arange(len(beats)), beats, 1)[0]
    return Rhythm(onsets, beats, float(60 / step), _first_bar(sound, hops))


def _peaks(strength: np.ndarray, hop_s: float) -> np.ndarray:
    """Return the times of the onsets, in s."""
    from scipy.ndimage import maximum_filter1d, uniform_filter1d

    top = float(np.percentile(strength, 98))
    if top < QUIETEST:
        return np.zeros(0)
    least = max(QUIETEST, NOISY * float(np.median(strength)))  # novelty of steady noise is about its median
    wide = 2 * round(AROUND_S / hop_s) + 1
    highest = maximum_filter1d(strength, wide)
    mean = uniform_filter1d(strength, 2 * round(LOCAL_S / hop_s) + 1)
    found: list[int] = []
    for at in np.flatnonzero((strength == highest) & (strength > mean + ABOVE * top) & (strength > least)):
        if not found or (at - found[-1]) * hop_s >= APART_S:
            found.append(int(at))
    return np.array([_refined(strength, at) * hop_s for at in found])


def _refined(values: np.ndarray, at: int) -> float:
    """Return the place of a peak between samples, by a parabola."""
    if not 0 < at < len(values) - 1:
        return float(at)
    left, middle, right = values[at - 1 : at + 2]
    bend = left - 2 * middle + right
    return at + float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0 else float(at)


def _period(strength: np.ndarray, hop_s: float) -> float:
    """Return the beat's period in hops; 0 where nothing repeats."""
    from scipy.signal import fftconvolve

    centred = np.maximum(strength - gaussian(strength, 0.5 / hop_s), 0.0)
    centred = gaussian(centred, 0.015 / hop_s)
    shortest, longest = (round(60 / bpm / hop_s) for bpm in (FASTEST_BPM, SLOWEST_BPM))
    if len(strength) < 3 * shortest or centred.max() < QUIETEST / 4:
        return 0.0
    full = fftconvolve(centred, centred[::-1])[len(centred) - 1 :]
    lags = np.arange(len(full))
    full = full / np.maximum(len(full) - lags, 1) * len(full)  # no bias towards short lags
    usable = min(longest, len(full) // 2)
    lag = np.arange(shortest, usable + 1)
    # A beat repeats after two, three and four periods too.
    combed = sum(np.interp(lag * n, lags, full) / n for n in (1, 2, 3, 4) if (lag[-1] * n) < len(full) or n == 1)
    prior = np.exp(-0.5 * np.square(np.log2(60 / (lag * hop_s) / USUAL_BPM) / OCTAVES))
    scores = np.asarray(combed) * prior
    best = int(np.argmax(scores))
    return shortest + _refined(scores, best)


def _beat_hops(strength: np.ndarray, period: float) -> list[int]:
    """Return the hops of the beats: most novelty, at about ``period`` hops from each to the next."""
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
    found = []
    while at >= 0:
        found.append(int(at))
        at = back[at]
    return found[::-1]


def _without_off_beats(sound: HeardSound, hops: list[int]) -> list[int]:
    """Return every second of the beats where the others are much weaker, as hi-hats between drums are; else all."""
    rise = np.maximum(np.diff(sound.mel, axis=0, prepend=0), 0).sum(axis=1)
    loud = np.array([float(rise[max(0, hop - 3) : hop + 4].max(initial=0.0)) for hop in hops])
    halves = [float(np.median(loud[n::2])) for n in range(2)]
    return hops[int(np.argmax(halves)) :: 2] if min(halves) < WEAKER * max(halves) else hops


def _first_bar(sound: HeardSound, hops: list[int]) -> int:
    """Return the number, 0 to 3, of the beat on which bars begin: the one with most bass."""
    bass = sound.mel[:, :6].sum(axis=1)
    at = np.array([float(bass[hop : hop + 8].max(initial=0.0)) for hop in hops])
    return int(np.argmax([float(at[n::4].mean()) if len(at) > n else 0.0 for n in range(4)]))


class SoundSignals:
    """The signals of a sound file, or of a clip's own track. Raises MediaError where there is no sound.

    ``signals``: those that will be asked for. The sound is read at the first use, and again only for other bands.
    """

    def __init__(self, path: Path, signals: Collection[Signal] = ()) -> None:
        self.path = path
        self._bands: set[Band] = {*FIXED_BANDS.values()}
        self.want(signals)

    def want(self, signals: Collection[Signal]) -> None:
        """Be ready for these signals, too."""
        bands = {(s.numbers[0], s.numbers[1]) for s in signals if s.name == "band"}
        if not bands <= self._bands:
            self._bands |= bands
            self.__dict__.pop("heard", None)

    @cached_property
    def heard(self) -> HeardSound:
        """The sound, analysed."""
        return hear(read_blocks(self.path), RATE_HZ, sorted(self._bands))

    @cached_property
    def rhythm(self) -> Rhythm:
        """Its onsets and beats."""
        return find_rhythm(self.heard)

    def track(self, signal: Signal) -> Track:
        """Return a signal that takes no other as a function of time."""
        if signal.name in FIXED_BANDS or signal.name == "band":
            band = FIXED_BANDS.get(signal.name) or (signal.numbers[0], signal.numbers[1])
            return sampled(self.heard.times, self.heard.levels[band])
        if signal.name == "onset":
            return sampled(self.heard.times, self._onset)
        if signal.name == "beat":
            return self.rhythm.beat_at
        if signal.name == "bar":
            return self.rhythm.bar_at
        events = {"on_beat": self.rhythm.beats, "on_onset": self.rhythm.onsets}[signal.name]
        return fading(events, signal.numbers[0])

    @cached_property
    def _onset(self) -> np.ndarray:
        strength = novelty(self.heard)
        full = float(np.percentile(strength, LOUD_ONSET))
        return np.minimum(strength / full, 1.0) if full > 1e-6 else strength * 0


def waveform(path: Path, seconds: Sequence[float]) -> np.ndarray:
    """Return the highest sample, 0 to 1, from each of the times (of frames) to the next; zeros without a sound."""
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
    return peaks[1:-1]  # without what is heard before the first time and after the last one
