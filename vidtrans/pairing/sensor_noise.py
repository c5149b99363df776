"""Camera effects, drawn at random: sensor noise, light, focus and compression."""

from __future__ import annotations

import cv2
import numpy as np


def add_sensor_noise(frame: np.ndarray, sigma: float, grain: float, rng: np.random.Generator) -> np.ndarray:
    """Add noise to a frame (H, W, 3) uint8; returns a new array.

    Sensor noise has a constant part and a shot part whose variance grows with the light (Foi et al. 2008);
    processing makes it coarser and mixes lightness and colour. The shares are drawn at random.

    Args:
        frame: (H, W, 3) uint8.
        sigma: The noise's σ in grey levels of 255 at middle grey.
        grain: The largest share of coarse noise, 0 to 1.
        rng: Draws the shares and the noise.
    """
    shot, colour, coarse = rng.random(3) * (1, 1, grain)
    noise = _mixed(rng.standard_normal(frame.shape, np.float32), colour, coarse, 0.6 + 0.9 * rng.random())
    levels = np.arange(256, dtype=np.float32)
    spread = (sigma * np.sqrt(1 - shot + 2 * shot * levels / 255)).astype(np.float32)
    return np.rint(np.clip(frame + spread[frame] * noise, 0, 255)).astype(np.uint8)


def _mixed(white: np.ndarray, colour: float, coarse: float, size: float) -> np.ndarray:
    """Make (H, W, 3) float32 white noise less coloured and partly coarse, with its variance still 1.

    ``colour`` and ``coarse`` are shares, ``size`` is the σ of a grain in pixels.
    """
    shared = white.mean(axis=2, keepdims=True) * np.sqrt(np.float32(3))
    noise = _sum(white, shared, colour, 1 / np.sqrt(3))
    grain = cv2.GaussianBlur(noise, (0, 0), size, borderType=cv2.BORDER_REFLECT_101)
    kernel = cv2.getGaussianKernel(2 * round(4 * size) + 1, size)
    left = float(np.square(kernel).sum())  # the share of σ that the blur leaves, from its weights
    return _sum(grain / np.float32(left), noise, coarse, float(kernel.max()) ** 2 / left)


def _sum(one: np.ndarray, other: np.ndarray, share: float, correlation: float) -> np.ndarray:
    """Mix ``share`` of ``one`` into ``other``, float32 noises of variance 1; the result, too, has variance 1."""
    variance = 1 + 2 * correlation * np.sqrt(share * (1 - share))
    total = np.sqrt(np.float32(share / variance)) * one + np.sqrt(np.float32((1 - share) / variance)) * other
    return np.asarray(total, np.float32)


UNDISTURBED = 0.2  # share of frames that stay as they are: the model should lose nothing where all is well
# Limits of what is drawn at the full amount.
STOPS_DOWN, STOPS_UP = 2.0, 1.0  # of exposure; bright rooms clip soon, and what is clipped teaches nothing
GAMMA, WHITE = 0.35, 0.25  # largest logarithm of the gamma, and of the gain of red and blue beside green
DEFOCUS = 0.006  # largest σ, as a share of the short side
NOISE = 24.0  # largest σ in grey levels of 255 at middle grey
GRAIN = 0.8  # how much of it may be coarse: cameras sharpen, shrink and compress
QUALITY, WORST_QUALITY = 92, 20  # JPEG's


def disturb(frame: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Return the frame with random changes of light, focus, noise and compression, or without some of them.

    Args:
        frame: (H, W, 3) uint8.
        amount: The range of the draws, 0 (nothing changes) to 1.
        rng: Draws the same number of values for any amount, except for the noise's pixels.

    Returns:
        (H, W, 3) uint8, a new array or the frame itself.
    """
    unchanged, focus, noise, quality = rng.random(4)
    light = _draw_light(amount, rng)
    if unchanged < UNDISTURBED:
        return frame
    seen = cv2.LUT(frame, light)
    # Squares, so that little is more frequent than much.
    sigma = amount * DEFOCUS * min(frame.shape[:2]) * focus**2
    if sigma > 0.2:  # pixels; less changes nothing
        seen = cv2.GaussianBlur(seen, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    seen = add_sensor_noise(seen, amount * NOISE * noise**2, GRAIN, rng)
    return compressed(seen, round(QUALITY - amount * (QUALITY - WORST_QUALITY) * quality))


def _draw_light(amount: float, rng: np.random.Generator) -> np.ndarray:
    """Draw exposure, gamma and white balance as a lookup table, (1, 256, 3) uint8, by level and channel."""
    stops = rng.uniform(-STOPS_DOWN, STOPS_UP) * amount
    gamma = np.exp(rng.uniform(-GAMMA, GAMMA) * amount)
    red, blue = np.exp(rng.uniform(-WHITE, WHITE, 2) * amount)
    levels = np.arange(256)[:, None] / 255
    # Gains of light are powers of 1/2.2 among grey levels.
    seen = levels**gamma * (2.0**stops * np.array([red, 1, blue])) ** (1 / 2.2)
    return np.rint(255 * np.clip(seen, 0, 1)).astype(np.uint8)[None]


def compressed(frame: np.ndarray, quality: int) -> np.ndarray:
    """Return (H, W, 3) uint8 after JPEG compression of a quality from 1 to 100."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
