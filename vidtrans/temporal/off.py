"""No filter at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidtrans.temporal.stream import Window


@dataclass(frozen=True)
class Settings:
    """Nothing to set."""


class NoFilter:
    """Returns the model's own output."""

    version = 1
    radius = 0
    Settings = Settings

    def __init__(self, settings: Settings) -> None:
        del settings

    def __call__(self, window: Window) -> np.ndarray:
        return window.samples[window.centre].output
