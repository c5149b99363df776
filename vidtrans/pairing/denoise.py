"""Noisy → clean: noise is added in training; noisy frames are cleaned when rendering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.pairing.base import Pairing
from vidtrans.settings import setting


@dataclass(frozen=True)
class DenoiseSettings:
    """The noise that is learnt to be removed."""

    min_sigma: float = setting(3.0, "least noise: σ in grey levels of 255 at middle grey", low=0.0, high=128.0)
    max_sigma: float = setting(30.0, "most noise: σ in grey levels of 255 at middle grey", low=0.0, high=128.0)
    grain: float = setting(
        0.6, "how much of it may be coarse grain, as in film and compressed video, rather than fine", low=0.0, high=1.0
    )

    def __post_init__(self) -> None:
        if self.min_sigma > self.max_sigma:
            raise ValueError(f"pairing.min_sigma = {self.min_sigma} lies above pairing.max_sigma = {self.max_sigma}")


class Denoise(Pairing):
    """The frame is the target, and the input; in training noise of a strength drawn each time is added to the input."""

    name = "denoise"
    version = 1
    at_source_size = True
    deep = True
    has_tensor_form = True
    Settings = DenoiseSettings
    settings: DenoiseSettings

    def training_input(self, frames: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """((H, W, 3) uint8,) → the same with noise.

        A sensor's noise is a constant part and a shot part whose variance grows with the light (Foi et al. 2008);
        processing makes it coarser and moves it between lightness and colour.
        """
        frame = frames[0]
        sigma = rng.uniform(self.settings.min_sigma, self.settings.max_sigma)
        shot, colour, coarse = rng.random(3) * (1, 1, self.settings.grain)
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
