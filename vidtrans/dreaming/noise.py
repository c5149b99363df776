"""A seed of nothing: smooth noise with the colours of what the model has seen."""

from __future__ import annotations

import cv2
import numpy as np

from vidtrans.dreaming.drift_correction import FrameStatistics

OCTAVES = 4
UNKNOWN = np.zeros(3, np.float32), np.full(3, 0.3, np.float32)  # mean and deviation where there is no bank


def smooth_noise(width: int, height: int, seed: int, bank: FrameStatistics | None) -> np.ndarray:
    """(3, H, W) float32 in [-1, 1]: normal noise of ``OCTAVES`` scales, the coarsest strongest."""
    rng = np.random.default_rng(seed)
    made = np.zeros((height, width, 3), np.float32)
    short = min(width, height)
    for octave in range(OCTAVES):
        cell = max(1, short // (4 * 2**octave))
        coarse = rng.standard_normal((-(-height // cell) + 1, -(-width // cell) + 1, 3)).astype(np.float32)
        made += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    made = (made - made.mean((0, 1))) / np.maximum(made.std((0, 1)), 1e-6)
    mean, deviation = UNKNOWN if bank is None else bank.mean_and_deviation()
    return np.ascontiguousarray((made * deviation + mean).clip(-1, 1).transpose(2, 0, 1), np.float32)
