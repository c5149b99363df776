"""A plot of curves over the frames of a clip, above the waveform of its sound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidtrans.curves.curve import CurveSamples
from vidtrans.video.plots import Chart, ChartCurve, Colour

COLOURS: tuple[Colour, ...] = ((255, 180, 84), (110, 190, 255), (150, 220, 120), (255, 130, 170), (200, 160, 255))
SOUND: Colour = (120, 122, 130)
WIDTH, HEIGHT, SOUND_HEIGHT = 1280, 360, 150


def plot_curves(samples: CurveSamples, peaks: np.ndarray, cuts: Sequence[int], name: str) -> np.ndarray:
    """Return the plot, (H, W, 3) uint8. ``peaks``: of the sound at each frame; ``cuts``: first frames of shots."""
    drawn = [
        ChartCurve(text if len(text) < 60 else f"{text[:57]}…", values, COLOURS[n % len(COLOURS)], 2)
        for n, (text, values) in enumerate(samples.values)
    ]
    bands = [Chart(name, drawn, samples.seconds, cuts).draw(WIDTH, HEIGHT)]
    if peaks.any():
        sound = [ChartCurve("sound", peaks.tolist(), SOUND, 1)]
        bands.append(Chart("", sound, samples.seconds, cuts).draw(WIDTH, SOUND_HEIGHT))
    return np.vstack(bands)
