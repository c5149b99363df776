"""Random camera effects for training: sensor noise, light, focus and compression."""

from __future__ import annotations

import cv2
import numpy as np


def add_sensor_noise(frame: np.ndarray, sigma: float, grain: float, rng: np.random.Generator) -> np.ndarray:
    """Add random sensor noise to a frame (H, W, 3) uint8; return a new array.

    Sensor noise has a constant part, and a shot part whose variance grows with the light (Foi et al. 2008). Processing
    makes the noise coarser, and mixes noise of lightness and colour. The shares are random.

    Args:
        frame: (H, W, 3) uint8.
        sigma: The noise's σ in grey levels of 255 at middle grey.
        grain: The largest share of coarse noise, 0 to 1.
        rng: Draws the shares and the noise.
    """
    shot, colour, coarse = rng.random(3) * (1, 1, grain)
    noise = _shape_noise(rng.standard_normal(frame.shape, np.float32), colour, coarse, 0.6 + 0.9 * rng.random())
    levels = np.arange(256, dtype=np.float32)
    spread = (sigma * np.sqrt(1 - shot + 2 * shot * levels / 255)).astype(np.float32)
    return np.rint(np.clip(frame + spread[frame] * noise, 0, 255)).astype(np.uint8)


def _shape_noise(white: np.ndarray, colour: float, coarse: float, size: float) -> np.ndarray:
    """Return white noise, (H, W, 3) float32, with less colour and some coarse grain; its variance remains 1.

    ``colour`` and ``coarse``: shares of coloured and of coarse noise, 0 to 1. ``size``: the σ of a grain in pixels.
    """
    shared = white.mean(axis=2, keepdims=True) * np.sqrt(np.float32(3))
    noise = _mix_noise(white, shared, colour, 1 / np.sqrt(3))
    grain = cv2.GaussianBlur(noise, (0, 0), size, borderType=cv2.BORDER_REFLECT_101)
    kernel = cv2.getGaussianKernel(2 * round(4 * size) + 1, size)
    remaining_sigma = float(np.square(kernel).sum())  # Share of σ after the blur, from its weights
    return _mix_noise(grain / np.float32(remaining_sigma), noise, coarse, float(kernel.max()) ** 2 / remaining_sigma)


def _mix_noise(one: np.ndarray, other: np.ndarray, share: float, correlation: float) -> np.ndarray:
    """Mix ``share`` (0 to 1) of the noise ``one`` with the noise ``other``; all noise is float32 with variance 1.

    ``correlation``: the correlation of ``one`` and ``other``, 0 to 1.
    """
    variance = 1 + 2 * correlation * np.sqrt(share * (1 - share))
    total = np.sqrt(np.float32(share / variance)) * one + np.sqrt(np.float32((1 - share) / variance)) * other
    return np.asarray(total, np.float32)


UNCHANGED_SHARE = 0.2  # Share of frames that are not changed, so that the model stays good for clean footage
# The next constants are limits of the random values of ``simulate_camera`` at ``amount`` 1.
STOPS_DOWN, STOPS_UP = 2.0, 1.0  # Exposure in stops; brighter frames would clip, and clipped areas teach nothing
GAMMA, WHITE_BALANCE = 0.35, 0.25  # Largest logarithm of the gamma, and of the gain of red and blue relative to green
DEFOCUS = 0.006  # Largest σ of the blur, as a share of the short side
NOISE = 24.0  # Largest σ of the noise in grey levels of 255 at middle grey
GRAIN = 0.8  # Largest share of coarse noise, because cameras sharpen, scale and compress
QUALITY, WORST_QUALITY = 92, 20  # Best and worst JPEG quality, 1 to 100


def simulate_camera(frame: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Change light, focus, noise and compression of a frame at random, as in other cameras' footage.

    Args:
        frame: (H, W, 3) uint8.
        amount: The range of the random values, 0 (no change) to 1. A share of the frames is never changed.
        rng: Draws the same number of values for any amount, except for the pixels of the noise.

    Returns:
        (H, W, 3) uint8, a new array or the frame itself.
    """
    unchanged, focus, noise, quality = rng.random(4)
    light = _draw_light(amount, rng)
    if unchanged < UNCHANGED_SHARE:
        return frame
    picture = cv2.LUT(frame, light)
    # Random values are squared, so that small changes are more frequent than large ones.
    sigma = amount * DEFOCUS * min(frame.shape[:2]) * focus**2
    if sigma > 0.2:  # Pixels; a smaller blur has no effect
        picture = cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    picture = add_sensor_noise(picture, amount * NOISE * noise**2, GRAIN, rng)
    return compress_jpeg(picture, round(QUALITY - amount * (QUALITY - WORST_QUALITY) * quality))


def _draw_light(amount: float, rng: np.random.Generator) -> np.ndarray:
    """Draw exposure, gamma and white balance as a lookup table, (1, 256, 3) uint8, by level and channel."""
    stops = rng.uniform(-STOPS_DOWN, STOPS_UP) * amount
    gamma = np.exp(rng.uniform(-GAMMA, GAMMA) * amount)
    red, blue = np.exp(rng.uniform(-WHITE_BALANCE, WHITE_BALANCE, 2) * amount)
    levels = np.arange(256)[:, None] / 255
    # Grey levels are light to the power 1/2.2, so a gain of light is applied to the power 1/2.2.
    picture = levels**gamma * (2.0**stops * np.array([red, 1, blue])) ** (1 / 2.2)
    return np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)[None]


def compress_jpeg(frame: np.ndarray, quality: int) -> np.ndarray:
    """Compress a picture (H, W, 3) uint8 as JPEG of a quality from 1 to 100, and decode it again."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
