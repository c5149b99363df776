"""Curves over all frames of a clip: their values, bounds and mean, as a table, a plot and in small."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidtrans.core.settings import Table
from vidtrans.curves.clock import CurveClock
from vidtrans.curves.curve import parse_curve

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 48  # characters of a curve in small
LARGEST = 1e300
DIGITS = 6
COLOURS = ((255, 180, 84), (110, 190, 255), (150, 220, 120), (255, 130, 170), (200, 160, 255))
SOUND = (120, 122, 130)
PLOT_WIDTH, PLOT_HEIGHT, SOUND_HEIGHT = 1280, 360, 150  # pixels


@dataclass(frozen=True)
class CurveSamples:
    """The ``values`` of curves, by text in the order that was given, and the ``seconds`` of the frames."""

    seconds: Sequence[float]
    values: Sequence[tuple[str, Sequence[float]]]

    def table(self) -> list[Table]:
        """Return each curve with its lowest, highest and mean value, and its value at each frame."""
        return [
            {
                "curve": text,
                "low": min(values),
                "high": max(values),
                "mean": round(math.fsum(values) / len(values), DIGITS),
                "values": list(values),
            }
            for text, values in self.values
        ]

    def csv(self) -> str:
        """Return a table with a row for each frame, which curves can read."""
        made = io.StringIO()
        rows = csv.writer(made, lineterminator="\n")
        rows.writerow(["frame", "time", *(text for text, _ in self.values)])
        for frame, (second, *values) in enumerate(zip(self.seconds, *(v for _, v in self.values), strict=True)):
            rows.writerow([frame, f"{second:.6f}", *(f"{value:.6g}" for value in values)])
        return made.getvalue()

    def plot(self, peaks: np.ndarray, cuts: Sequence[int], name: str) -> np.ndarray:
        """Return a plot, (H, W, 3) uint8, above the sound, whose ``peaks`` are those of each frame.

        ``cuts``: first frames of shots.
        """
        from vidtrans.video.plots.chart import Chart, ChartCurve

        drawn = [
            ChartCurve(text if len(text) < 60 else f"{text[:57]}…", values, COLOURS[n % len(COLOURS)], 2)
            for n, (text, values) in enumerate(self.values)
        ]
        bands = [Chart(name, drawn, self.seconds, cuts).draw(PLOT_WIDTH, PLOT_HEIGHT)]
        if peaks.any():
            sound = [ChartCurve("sound", peaks.tolist(), SOUND, 1)]
            bands.append(Chart("", sound, self.seconds, cuts).draw(PLOT_WIDTH, SOUND_HEIGHT))
        return np.vstack(bands)


def sample_curves(texts: Sequence[str], clock: CurveClock) -> CurveSamples:
    """Return the values of curves at all frames of a clock. Raises UsageError, MediaError."""
    frames = range(clock.num_frames)
    found = []
    for text in texts:
        value = parse_curve(text, "CURVE").over(clock, "CURVE", -LARGEST, LARGEST)
        found.append((text, [round(value(frame), DIGITS) for frame in frames]))
    return CurveSamples([clock.seconds(frame) for frame in frames], found)


def small_plot(values: Sequence[float], width: int = WIDTH) -> str:
    """Return values as a line of blocks; each shows the largest value of its part."""
    if not values:
        return ""
    parts = np.array_split(np.asarray(values, np.float64), min(width, len(values)))
    peaks = [float(part.max()) for part in parts]
    low, high = min(0.0, *peaks), max(peaks)
    if high - low < 10**-DIGITS:
        return BLOCKS[0] * len(peaks)
    return "".join(BLOCKS[round((peak - low) / (high - low) * (len(BLOCKS) - 1))] for peak in peaks)
