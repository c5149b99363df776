"""The noise of a camera's sensor, after the camera has processed it."""

from __future__ import annotations

import cv2
import numpy as np


def add_sensor_noise(frame: np.ndarray, sigma: float, grain: float, rng: np.random.Generator) -> np.ndarray:
    """Add noise to a frame (H, W, 3) uint8; returns a new one.

    A sensor's noise is a constant part and a shot part whose variance grows with the light (Foi et al. 2008);
    processing makes it coarser and moves it between lightness and colour. The shares are drawn.

    Args:
        frame: (H, W, 3) uint8.
        sigma: The noise's σ in grey levels of 255 at middle grey.
        grain: How much of it may be coarse, 0 to 1.
        rng: Draws the shares and the noise.
    """
    shot, colour, coarse = rng.random(3) * (1, 1, grain)
    noise = _mixed(rng.standard_normal(frame.shape, np.float32), colour, coarse, 0.6 + 0.9 * rng.random())
    levels = np.arange(256, dtype=np.float32)
    spread = (sigma * np.sqrt(1 - shot + 2 * shot * levels / 255)).astype(np.float32)
    return np.rint(np.clip(frame + spread[frame] * noise, 0, 255)).astype(np.uint8)


def _mixed(white: np.ndarray, colour: float, coarse: float, size: float) -> np.ndarray:
    """(H, W, 3) float32 white noise → the same, of variance 1 still: less coloured, and partly coarse.

    ``colour`` and ``coarse`` are shares, ``size`` is the σ of a grain in pixels.
    """
    shared = white.mean(axis=2, keepdims=True) * np.sqrt(np.float32(3))
    noise = _sum(white, shared, colour, 1 / np.sqrt(3))
    grain = cv2.GaussianBlur(noise, (0, 0), size, borderType=cv2.BORDER_REFLECT_101)
    kernel = cv2.getGaussianKernel(2 * round(4 * size) + 1, size)
    left = float(np.square(kernel).sum())  # the share of σ that the blur leaves, from its weights
    return _sum(grain / np.float32(left), noise, coarse, float(kernel.max()) ** 2 / left)


def _sum(one: np.ndarray, other: np.ndarray, share: float, correlation: float) -> np.ndarray:
    """float32 noises of variance 1, broadcast together → ``share`` of ``one`` in ``other``, of variance 1."""
    variance = 1 + 2 * correlation * np.sqrt(share * (1 - share))
    total = np.sqrt(np.float32(share / variance)) * one + np.sqrt(np.float32((1 - share) / variance)) * other
    return np.asarray(total, np.float32)
