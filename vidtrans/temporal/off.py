"""No filter at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidtrans.temporal.stream import Sample, Window


@dataclass(frozen=True)
class OffSettings:
    """Nothing to set."""


class NoFilter:
    """Returns the model's own output."""

    version = 1
    radius = 0
    Settings = OffSettings

    def __init__(self, settings: OffSettings, device: str = "cpu") -> None:
        del settings, device

    def expect(self, before: Sample, after: Sample) -> None:
        """Nothing is needed of them."""

    def __call__(self, window: Window) -> np.ndarray:
        return window.samples[window.centre].output
