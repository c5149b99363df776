"""Measure and correct exposure flicker, which is frequent in time-lapse clips.

Between successive frames each channel is fitted by y = a·x + b over the pixels that neither move nor clip. Chained, the
fits map a frame to the exposure of each neighbouring frame. A line fitted to these maps, with weights that fall with
the distance, gives the exposure without flicker; slow changes (a sunset) remain, up to the first and the last frame.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

VERSION = 2  # Version of the exposure corrections, for cache keys
REACH = 15  # Number of frames on each side to which a frame's exposure is adapted
SHRINK = 4  # Factor by which a frame is shrunk before the measurement, to average noise
UNCLIPPED = (0.02, 0.98)  # Range of values that count as not clipped, of full scale
TOLERANCE = 0.04  # Difference from the fit, of full scale, at which a pixel's weight falls because it has moved
NUM_ITERATIONS = 5  # Number of reweighted least-squares fits
MAX_SLOPE = 3.0  # Largest slope of a fit; the inverse is the smallest slope


class ExposureMeter:
    """Measures changes of exposure: add the frames of a clip in order, (H, W, 3) uint8, at a small size."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._fits: list[np.ndarray] = []

    def add(self, rgb: np.ndarray) -> None:
        """Add the next frame, and fit the change of exposure since the previous frame."""
        size = (max(1, rgb.shape[1] // SHRINK), max(1, rgb.shape[0] // SHRINK))
        small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(np.float64) / 255
        if self._last is not None:
            self._fits.append(np.array([_fit(x, y) for x, y in zip(self._last.T, small.T, strict=True)]))
        self._last = small

    def corrections(self, shots: tuple[int, ...]) -> np.ndarray:
        """Return the exposure correction a·x + b, as (a, b), of each frame and channel, (N, 3, 2).

        a·x + b, with x in [0, 1], has no exposure flicker.
        """
        count = len(self._fits) + 1
        bounds = [*shots, count]
        return np.concatenate([_corrections(self._fits[a : b - 1]) for a, b in pairwise(bounds)])


def _fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Fit y ≈ a·x + b, in [0, 1], over pixels that neither moved nor clip; return (1, 0) if there are too few.

    The slope is the ratio of the standard deviations, which is symmetric, so that noise does not lower the contrast
    along a chain.
    """
    low, high = UNCLIPPED
    lit = (x > low) & (x < high) & (y > low) & (y < high)
    if lit.sum() < max(4, len(x) // 50):
        return 1.0, 0.0
    x, y = x[lit], y[lit]
    a, b = 1.0, float(np.median(y - x))
    for iteration in range(NUM_ITERATIONS):
        tolerance = TOLERANCE * 2.0 ** max(0, 2 - iteration)
        weight = 1 / (1 + ((y - a * x - b) / tolerance) ** 2) ** 2
        weight /= weight.sum()
        x0, y0 = float(weight @ x), float(weight @ y)
        spread_x, spread_y = (float(weight @ (v - v0) ** 2) ** 0.5 for v, v0 in ((x, x0), (y, y0)))
        flat = 0.01  # Added, because a picture of one tone has no contrast to fit
        a = float(np.clip((spread_y + flat) / (spread_x + flat), 1 / MAX_SLOPE, MAX_SLOPE))
        b = y0 - a * x0
    return a, b


def _corrections(fits: list[np.ndarray]) -> np.ndarray:
    """Return the corrections of a shot's N frames, (N, 3, 2), from the fits between neighbouring frames, (3, 2) each.

    Corrections and fits are (a, b) of a·x + b for each channel.
    """
    count = len(fits) + 1
    result = np.empty((count, 3, 2))
    for at in range(count):
        first, stop = max(0, at - REACH), min(count, at + REACH + 1)
        chain = {at: np.tile([1.0, 0.0], (3, 1))}
        for n in range(at + 1, stop):
            a, b = fits[n - 1].T
            chain[n] = np.stack([a * chain[n - 1][:, 0], a * chain[n - 1][:, 1] + b], axis=1)
        for n in range(at - 1, first - 1, -1):
            a, b = fits[n].T
            chain[n] = np.stack([chain[n + 1][:, 0] / a, (chain[n + 1][:, 1] - b) / a], axis=1)
        result[at] = np.tensordot(_line_weights(np.arange(first, stop) - at), [chain[n] for n in range(first, stop)], 1)
    return result


def _line_weights(distances: np.ndarray) -> np.ndarray:
    """Return the weights, (n,), whose weighted sum of n values is the value at 0 of a line fitted to these values.

    ``distances``: the positions of the values, (n,).
    """
    near = (1 - (np.abs(distances) / (REACH + 1)) ** 3) ** 3
    moments = [float((near * distances**k).sum()) for k in range(3)]
    determinant = moments[0] * moments[2] - moments[1] ** 2
    if determinant <= 0:  # A single frame
        return near / near.sum()
    return near * (moments[2] - moments[1] * distances) / determinant


def corrected(rgb: np.ndarray, correction: np.ndarray) -> np.ndarray:
    """Apply a frame's exposure ``correction``, (a, b) for each channel, (3, 2), to its picture (H, W, 3).

    The picture is uint8 or uint16. Each value x of full scale becomes a·x + b.
    """
    full = np.iinfo(rgb.dtype).max
    levels = np.arange(full + 1, dtype=np.float32)[:, None]
    table = np.clip(np.rint(levels * correction[:, 0] + correction[:, 1] * full), 0, full).astype(rgb.dtype)
    return np.stack([table[rgb[..., c], c] for c in range(3)], axis=-1)
