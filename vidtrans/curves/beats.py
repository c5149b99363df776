"""Beginnings of sounds, tempo and beats.

Novelty is the rise of the mel spectrum's logarithm against the loudest neighbouring band a little before (Böck and
Widmer, "Maximum filter vibrato suppression for onset detection", 2013). Tempo is the best period of its
autocorrelation, and beats are the path of most novelty at about that period, by dynamic programming (Ellis, "Beat
tracking by dynamic programming", 2007).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidtrans.curves.hearing import HeardSound, gaussian

VERSION = 1
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
