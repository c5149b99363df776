"""Loudness of a sound, in all of it and in bands, and its spectrum as an ear resolves it, over time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

VERSION = 3
WINDOW, HOP = 1024, 256  # samples
SMOOTHING_S = 0.025  # σ of loudness over time: removes the ripple of tones, and is at most a frame before a beat
FULL_PERCENTILE = 95  # the level that is scaled to 1
FIXED_BANDS = {"low": (0.0, 250.0), "mid": (250.0, 2000.0), "high": (2000.0, np.inf), "loudness": (0.0, np.inf)}  # Hz
MEL_BANDS, MEL_LOW, MEL_HIGH = 48, 30.0, 10_000.0
BLOCK = 64  # windows that are transformed at once

Band = tuple[float, float]


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


def gaussian(values: np.ndarray, sigma: float) -> np.ndarray:
    """Return values, (n,), averaged by a Gaussian of ``sigma`` samples; the ends are continued."""
    reach = min(int(4 * sigma), 4 * len(values))
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / max(sigma, 1e-9)))
    padded = np.pad(values, reach, mode="edge")
    if reach > 200:
        from scipy.signal import fftconvolve  # a direct sum over minutes would take seconds

        smooth: np.ndarray = fftconvolve(padded, kernel / kernel.sum(), mode="valid")
        return smooth
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")


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
