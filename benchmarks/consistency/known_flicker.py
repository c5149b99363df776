"""A look whose truth is known, a tone curve, and a flicker of known size that is added to it. uint8 RGB throughout."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from vidtrans.metrics.picture_quality import psnr

FLICKERS = ("none", "low", "mixed")
TARGET_DB = 24.5  # PSNR of what flickers to what is clean, mean over frames
GAIN, OFFSET = 0.10, 0.06  # σ of the smooth fields, before they are scaled together to TARGET_DB
FINE = 0.042  # rms of the fine grain, of full range
SMOOTH = 1 / 6  # σ of the smooth fields, of the short side


def tone_curves() -> np.ndarray:
    """A grade as a colourist might set it, cross-processed film: (256, 3) float in [0, 1], what becomes of a value.

    Contrast in red, light in green, blue lifted in the shadows and held down in the lights. All three rise everywhere,
    at most by 1.4 levels a level: noise is not blown up. They keep off black and white, so that flicker shows there.
    """
    x = np.linspace(0, 1, 256)
    s_shape = x * x * (3 - 2 * x)
    red = 0.9 * s_shape + 0.1 * x
    green = 0.5 * s_shape + 0.5 * (1 - (1 - x) ** 1.4)
    blue = 0.2 + 0.6 * x
    return 0.05 + 0.9 * np.stack([red, green, blue], axis=1)


def toned(guides: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Each picture (H, W, 3) under the tone curves: the same for all clips."""
    curves = np.rint(255 * tone_curves()).astype(np.uint8)
    return [cv2.LUT(guide, np.ascontiguousarray(curves[:, None, :])) for guide in guides]


def smooth_field(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W, 3) float32: white noise under a Gaussian of σ ``SMOOTH``, of variance 1 over all its like."""
    sigma = SMOOTH * min(height, width)
    reach = 3 * int(sigma)
    noise = rng.standard_normal((height + 2 * reach, width + 2 * reach, 3)).astype(np.float32)
    field = cv2.GaussianBlur(noise, (0, 0), sigma)[reach : reach + height, reach : reach + width]
    return field * np.float32(2 * np.sqrt(np.pi) * sigma)


def fine_field(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W, 3) float32 of rms 1: white noise between the Gaussians of σ 1 and 3 pixels."""
    noise = rng.standard_normal((height, width, 3)).astype(np.float32)
    band = cv2.GaussianBlur(noise, (0, 0), 1.0) - cv2.GaussianBlur(noise, (0, 0), 3.0)
    return band / band.std()


def flickering(clean: Sequence[np.ndarray], flicker: str, seed: int) -> list[np.ndarray]:
    """Each picture with gain and offset fields of its own, and in "mixed" fine grain too; "none": as they are.

    The smooth fields are scaled, by one number for the clip, so that PSNR to ``clean`` is ``TARGET_DB`` on average.
    """
    if flicker == "none":
        return list(clean)
    rng = np.random.default_rng(seed)
    height, width = clean[0].shape[:2]
    smooth = [
        GAIN * smooth_field(rng, height, width) * (c / np.float32(255)) + OFFSET * smooth_field(rng, height, width)
        for c in clean
    ]
    fine = [FINE * fine_field(rng, height, width) if flicker == "mixed" else np.float32(0) for _ in clean]

    def made(scale: float) -> list[np.ndarray]:
        triples = zip(clean, smooth, fine, strict=True)
        return [np.clip(np.rint(c + 255 * (scale * s + f)), 0, 255).astype(np.uint8) for c, s, f in triples]

    low, high = 0.0, 4.0
    for _ in range(9):
        scale = (low + high) / 2
        db = np.mean([psnr(m, c) for m, c in zip(made(scale), clean, strict=True)])
        low, high = (scale, high) if db > TARGET_DB else (low, scale)
    return made((low + high) / 2)
