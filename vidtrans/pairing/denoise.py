"""The pairing "noisy → clean": training adds noise to frames, and a render denoises its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidtrans.core.options import option
from vidtrans.pairing.base import PLAIN_OPERATORS, Pairing
from vidtrans.pairing.sensor_noise import add_sensor_noise


@dataclass(frozen=True)
class DenoiseSettings:
    """Settings of ``Denoise``: the strength of the noise that training adds to frames."""

    min_sigma: float = option(3.0, "weakest noise: σ in grey levels (of 255) at middle grey", bounds=(0.0, 128.0))
    max_sigma: float = option(30.0, "strongest noise: σ in grey levels (of 255) at middle grey", bounds=(0.0, 128.0))
    grain: float = option(0.6, "largest share of coarse grain, as in film and compressed video", bounds=(0.0, 1.0))

    def __post_init__(self) -> None:
        if self.min_sigma > self.max_sigma:
            raise ValueError(f"pairing.min_sigma = {self.min_sigma} lies above pairing.max_sigma = {self.max_sigma}")


class Denoise(Pairing):
    """A pairing of a frame with itself; in training, random noise is added to the input."""

    name = "denoise"
    at_source_size = True
    deep = True
    has_tensor_form = True
    operators = PLAIN_OPERATORS
    Settings = DenoiseSettings
    settings: DenoiseSettings

    def training_input(self, frames: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Return the frame, (H, W, 3) uint8, with noise of random strength."""
        sigma = rng.uniform(self.settings.min_sigma, self.settings.max_sigma)
        return add_sensor_noise(frames[0], sigma, self.settings.grain, rng)
