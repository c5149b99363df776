"""Sounds with known beats and onsets, for tests and benchmarks: clicks, drums, songs, with noise and reverb."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

RATE = 22_050


@dataclass
class MadeSound:
    """Samples, (n,) float32 at ``RATE``; the times of ``onsets`` and ``beats``, in s; the tempo."""

    samples: np.ndarray
    onsets: list[float] = field(default_factory=list)
    beats: list[float] = field(default_factory=list)
    bpm: float = 0.0

    def write(self, path: Path) -> Path:
        """Write a WAV file, 16 bits."""
        import wave

        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((np.clip(self.samples, -1, 1) * 32767).astype("<i2").tobytes())
        return path


def _put(samples: np.ndarray, at_s: float, sound: np.ndarray, level: float = 1.0) -> None:
    first = round(at_s * RATE)
    part = sound[: max(0, len(samples) - first)]
    samples[first : first + len(part)] += level * part


def _time(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * RATE)) / RATE


def click() -> np.ndarray:
    """Return a click of 2 ms."""
    return np.sin(2 * np.pi * 2000 * _time(0.002)) * np.hanning(round(0.002 * RATE))


def kick() -> np.ndarray:
    """Return a bass drum: a falling sine."""
    t = _time(0.25)
    return np.sin(2 * np.pi * (50 * t + 12 * (1 - np.exp(-t * 30)))) * np.exp(-t * 14)


def snare(rng: np.random.Generator) -> np.ndarray:
    """Return a snare drum: noise and a tone."""
    t = _time(0.18)
    return (0.7 * rng.standard_normal(len(t)) + 0.5 * np.sin(2 * np.pi * 190 * t)) * np.exp(-t * 22) * 0.6


def hat(rng: np.random.Generator) -> np.ndarray:
    """Return a hi-hat: short bright noise."""
    t = _time(0.05)
    return np.diff(rng.standard_normal(len(t) + 1)) * np.exp(-t * 90) * 0.3


def tone(hertz: float, seconds: float, attack_s: float = 0.005) -> np.ndarray:
    """Return a plucked tone with harmonics."""
    t = _time(seconds)
    wave = sum(np.sin(2 * np.pi * hertz * n * t) / n**1.5 for n in range(1, 6))
    return np.asarray(wave * np.minimum(t / attack_s, 1) * np.exp(-t * 3) * np.minimum((seconds - t) / 0.02, 1)) * 0.4


def clicks(bpm: float, seconds: float, first_s: float = 0.35) -> MadeSound:
    """Return a metronome."""
    beats = list(np.arange(first_s, seconds - 0.1, 60 / bpm))
    samples = np.zeros(round(seconds * RATE), np.float32)
    for at in beats:
        _put(samples, at, click())
    return MadeSound(samples, beats, beats, bpm)


def drums(bpm: float, seconds: float, swing: float = 0.5, first_s: float = 0.2, seed: int = 0) -> MadeSound:
    """Return a drum track in four: ``swing`` is the place of the off-beat within the beat, 0.5 straight."""
    rng, samples = np.random.default_rng(seed), np.zeros(round(seconds * RATE), np.float32)
    beats = list(np.arange(first_s, seconds - 0.3, 60 / bpm))
    onsets = []
    for n, at in enumerate(beats):
        _put(samples, at, kick() if n % 2 == 0 else snare(rng), 0.9)
        _put(samples, at, hat(rng))
        off = at + swing * 60 / bpm
        _put(samples, off, hat(rng), 0.8)
        onsets += [at, off]
    return MadeSound(samples, onsets, beats, bpm)


CHORDS = ((57, 60, 64), (53, 57, 60), (48, 52, 55), (55, 59, 62))


def song(
    bpm: float,
    seconds: float,
    seed: int,
    roots: Sequence[int] = (0, 0, 0, 0),
) -> MadeSound:
    """Return a song: drums, bass, chords on each bar, a syncopated melody; tempo and beats are exact."""
    rng = np.random.default_rng(seed)
    made = drums(bpm, seconds, first_s=0.2 + 0.3 * rng.random(), seed=seed)
    samples, beat_s = made.samples * 0.6, 60 / bpm
    onsets = set(made.onsets)
    hertz = lambda note: 440 * 2 ** ((note - 69) / 12)  # noqa: E731
    for n, at in enumerate(made.beats):
        chord = [note + roots[(n // 4) % 4] for note in CHORDS[(n // 4) % 4]]
        if n % 4 == 0:
            for note in chord:
                _put(samples, at, tone(hertz(note), 4 * beat_s, 0.03), 0.25)
        _put(samples, at, tone(hertz(chord[0] - 24), beat_s * 0.9), 0.5)
        for part in (0.0, 0.25, 0.5, 0.75):
            if rng.random() < 0.45:
                place = at + part * beat_s
                _put(samples, place, tone(hertz(rng.choice(chord) + 12), 0.4), 0.35)
                onsets.add(place)
    made.samples = (samples / np.abs(samples).max() * 0.8).astype(np.float32)
    made.onsets = sorted(onsets)
    return made


def spoiled(made: MadeSound, seed: int, *, noise: float = 0.0, speech: float = 0.0, reverb: float = 0.0) -> MadeSound:
    """Return a sound with white noise, speech-like noise (syllables of coloured noise) and reverb of levels 0 to 1."""
    rng = np.random.default_rng(seed)
    samples = made.samples.astype(np.float64)
    count = len(samples)
    if reverb:
        t = _time(0.8)
        tail = rng.standard_normal(len(t)) * np.exp(-t * 7)
        size = 1 << (count + len(t) - 1).bit_length()
        wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(tail, size))[:count]
        samples += reverb * wet / np.abs(wet).max()
    if speech:
        voiced = np.cumsum(rng.standard_normal(count))
        voiced -= np.convolve(voiced, np.ones(200) / 200, "same")
        voiced /= np.abs(voiced).max()
        levels = rng.random(count * 5 // RATE + 2) ** 2  # five syllables a second
        syllables = np.interp(np.arange(count) * 5 / RATE, np.arange(len(levels)), levels)
        samples += speech * voiced * syllables
    samples += noise * 0.1 * rng.standard_normal(count)
    return MadeSound((samples / np.abs(samples).max() * 0.9).astype(np.float32), made.onsets, made.beats, made.bpm)


def f_score(found: Sequence[float], true: Sequence[float], within_s: float) -> float:
    """Return the F measure of times: each true one is found by at most one within ``within_s``."""
    found, hits = sorted(found), 0
    at = 0
    for time in sorted(true):
        while at < len(found) and found[at] < time - within_s:
            at += 1
        if at < len(found) and found[at] <= time + within_s:
            hits += 1
            at += 1
    return 2 * hits / max(1, len(found) + len(true))
