"""How loud a sound is over time: low, mid and high, and all of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from vidtrans.expressions import BANDS

VERSION = 1
EDGES_HZ = (250.0, 2000.0)  # between low and mid, mid and high
WINDOW, HOP = 1024, 256  # samples
SMOOTHING_S = 0.06  # σ of the loudness over time: a beat is seen, a tone does not tremble
LOUD = 95  # the percentile that counts as 1


@dataclass(frozen=True)
class Loudness:
    """Of each of ``BANDS``, from 0 to 1, every ``hop_s`` seconds from ``first_s`` on: (4, n) float64."""

    levels: np.ndarray
    first_s: float
    hop_s: float
    duration_s: Fraction

    def at(self, seconds: float) -> dict[str, float]:
        """Return the interpolated values by name; beyond the ends they stay as they are there."""
        place = min(max((seconds - self.first_s) / self.hop_s, 0.0), self.levels.shape[1] - 1.0)
        before = min(int(place), self.levels.shape[1] - 2) if self.levels.shape[1] > 1 else 0
        after = min(before + 1, self.levels.shape[1] - 1)
        found = self.levels[:, before] + (place - before) * (self.levels[:, after] - self.levels[:, before])
        return dict(zip(BANDS, map(float, found), strict=True))


def loudness(blocks: Iterable[np.ndarray], rate_hz: int) -> Loudness:
    """Short-time root mean square of each band, smoothed, over its own 95th percentile, no more than 1.

    ``blocks``: (n,) float32 each, one after another. Of silence everything is 0.
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
    full = np.percentile(levels, LOUD, axis=1, keepdims=True)
    levels = np.where(full > 1e-6, np.minimum(levels / np.maximum(full, 1e-6), 1.0), 0.0)
    return Loudness(levels, WINDOW / 2 / rate_hz, HOP / rate_hz, Fraction(count, rate_hz))


def _shares(rate_hz: int) -> np.ndarray:
    """(bins, 4): which bins of a spectrum are which band's."""
    hertz = np.fft.rfftfreq(WINDOW, 1 / rate_hz)
    low, mid = hertz < EDGES_HZ[0], (hertz >= EDGES_HZ[0]) & (hertz <= EDGES_HZ[1])
    return np.stack([low, mid, hertz > EDGES_HZ[1], np.ones_like(low)], axis=1).astype(np.float64)


def _powers(samples: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(4, n): of every whole window, by Parseval."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    spectrum = np.fft.rfft(windows * np.hanning(WINDOW), axis=1)
    return (np.square(np.abs(spectrum)) @ shares).T / WINDOW**2


def _smoothed(powers: np.ndarray, sigma: float) -> np.ndarray:
    reach = int(4 * sigma)
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma))
    padded = np.pad(powers, ((0, 0), (reach, reach)), mode="edge")
    return np.stack([np.convolve(row, kernel / kernel.sum(), mode="valid") for row in padded])
