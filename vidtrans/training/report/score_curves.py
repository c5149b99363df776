"""Curves of a run: resampled without losing extremes, and laid out in pixels for the SVG in ``training_page.html``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from vidtrans.training import LOSSES, METHODS, Label
from vidtrans.video.plots import round_values

MAX_POINTS = 300  # a curve's, and its envelope's above and below
WINDOW = 40  # a curve is the mean over one part in so many of the run
LOG_RATIO = 20.0  # an axis is logarithmic where values differ more than this
WIDTH, HEIGHT = 320, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 308, 22, 168


_LOSS_LABELS = {name: loss.label for name, loss in LOSSES.builtin.items()}
for _method in METHODS.builtin.values():
    _LOSS_LABELS |= _method.curves
ROLLOUT_AGE_LABEL = Label("Rollouts", "Number of own outputs in a row that led to an input.", "frames")
SCORE_LABELS = {
    "l1": Label("L1", "Mean distance to the target; colours are from 0 to 1. Lower is better.", aim=-math.inf),
    "psnr": Label("PSNR", "Closeness of pixels; higher is better. It favours blurred pictures.", "dB", math.inf),
    "ssim": Label("SSIM", "Likeness of local structure, at most 1; higher is better.", aim=math.inf),
    "sharpness": Label(
        "Sharpness",
        "Detail where the targets have it; below 1 is softer. Noise does not count.",
        "× target",
        1.0,
    ),
    "feature_likeness": Label(
        "Likeness of features", "By a network, to the style picture: 0 as the frames, at most 1.", aim=math.inf
    ),
    "stroke_likeness": Label(
        "Likeness of strokes", "Sizes, directions and colours; 0.5 as two halves of a painting.", aim=math.inf
    ),
    "content": Label("Content", "Distance to the content of the frames. Lower is better.", aim=-math.inf),
    "content_kept": Label("Content kept", "The same where the mask of --keep is white.", aim=-math.inf),
    "horizon": Label("Ten frames on", "PSNR of the tenth frame predicted from own outputs.", "dB", math.inf),
    "patch_distance": Label(
        "Patch distance",
        "From the target, by a network's features, or random ones: 1 for the source, 0 for the target.",
        aim=-math.inf,
    ),
    "colours_distance": Label("Colours alone", "The patch distance of the colour map, which needs no training."),
    "light_correlation": Label(
        "Light", "Correlation of light and dark with the source; below 0 reversed.", aim=math.inf
    ),
    "random_distance": Label(
        "Random distance", "The same by random features: colours and fine texture.", aim=-math.inf
    ),
    "diversity": Label("Diversity", "Difference among outputs; near 0 all are the same.", "× target", 1.0),
    "cycle_error": Label("Cycle", "Error of the round trip; colours are from 0 to 1.", aim=-math.inf),
    "temporal_error": Label(
        "Temporal error", "Change along the source's motion; blur lowers it.", "× source", -math.inf
    ),
    "mean_iou": Label("Mean IoU", "Intersection over union of classes, at most 1; higher is better.", aim=math.inf),
    "pixel_accuracy": Label("Pixel accuracy", "Share of pixels with the right class; higher is better.", aim=math.inf),
    "class_accuracy": Label("Class accuracy", "The same, all classes counting alike.", aim=math.inf),
    "fcn_pixel_accuracy": Label("FCN: pixels", "Share of labels that a labeller finds again in outputs.", aim=math.inf),
    "fcn_class_accuracy": Label("FCN: classes", "The same, all classes counting alike.", aim=math.inf),
    "fcn_iou": Label("FCN: IoU", "Mean intersection over union of these labels.", aim=math.inf),
    "fcn_of_targets": Label("FCN of targets", "Share of labels that it finds in the true pictures."),
    "segmentation": Label("Re-segmentation", "Share of the map that can be recovered; higher is better.", aim=math.inf),
}
ROLLOUT_LABELS = {
    "nn": Label("Nearest frame", "closeness of the last frames to the nearest training frame", "dB"),
    "drift": Label("Drift", "how far the colours of the last frames lie outside of the clip's", "levels of 255"),
    "sharpness": Label("Sharpness", "of the last frames", "× clip"),
    "m1": Label("Motion, 1 frame", "flicker counts as motion here", "× clip"),
    "m4": Label("Motion, 4 frames", "0 is a film that has frozen", "× clip"),
    "uniq": Label("Different frames", "number of training frames that the second half resembles"),
}


def loss_label(name: str) -> Label:
    """Return the label of a column of losses; of a plug-in that is gone, its name."""
    labels = dict(_LOSS_LABELS)
    if name not in labels:
        labels |= {key: loss.label for key, loss in LOSSES.working()}
        labels |= {key: label for _, method in METHODS.working() for key, label in method.curves.items()}
    return labels.get(name) or Label(name.replace("_", " "), "")


def figure(value: float) -> str:
    """Format a score with two decimals from 2 up, else with four."""
    return f"{value:.2f}" if abs(value) >= 2 else f"{value:.4f}"


class StepMarks(NamedTuple):
    """Marks in all panels of a run: its last step, its best step, and warnings with their steps."""

    last: int
    best: int | None = None
    warnings: Sequence[tuple[int, str]] = ()


class LossCurve(NamedTuple):
    """A resampled history, arrays (N,). ``low``, ``high``: the extremes over the steps that a point represents."""

    steps: np.ndarray
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray


def window_of(count: int) -> int:
    """Return the window of a curve's running mean, in steps, for ``count`` steps."""
    return max(1, count // WINDOW)


def thin(values: np.ndarray, most: int = MAX_POINTS) -> LossCurve:
    """Resample (N,) values of steps 1 to N to ``most`` points; keep every extreme, drop values that are not finite."""
    steps = np.flatnonzero(np.isfinite(values)) + 1.0
    values = values[np.isfinite(values)]
    count = min(most, len(values))
    if not count:
        return LossCurve(*[np.zeros(0)] * 4)
    edges = np.linspace(0, len(values), count + 1).astype(int)
    starts, ends = edges[:-1], edges[1:]
    middle, half = (starts + ends - 1) // 2, window_of(len(values)) // 2
    sums = np.concatenate(([0.0], np.cumsum(values)))
    first, stop = np.maximum(0, middle - half), np.minimum(len(values), middle + half + 1)
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    return LossCurve((steps[starts] + steps[ends - 1]) / 2, low, high, (sums[stop] - sums[first]) / (stop - first))


class Axis(NamedTuple):
    """The range of a vertical axis."""

    low: float
    high: float
    log: bool

    def place(self, values: np.ndarray | float) -> np.ndarray:
        """Return the positions of values in pixels from the top."""
        scale = np.log10 if self.log else np.asarray
        low, high = scale(self.low), scale(self.high)
        return BOTTOM - (BOTTOM - TOP) * (scale(values) - low) / (high - low)

    def ticks(self) -> list[float]:
        """Return the values of the grid lines."""
        if not self.log:
            return round_values(self.low, self.high, 4)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        if len(decades) > 4:
            found = [10.0**d for d in decades[:: -(-len(decades) // 5)]]
        else:
            found = [m * 10.0**d for d in decades for m in (1, 2, 5)]
        return [v for v in found if self.low <= v <= self.high]


def axis_for(curve: LossCurve, level: float | None = None, from_zero: bool = False) -> Axis:
    """Return an axis that covers curve and ``level``; ``from_zero``: from 0, or logarithmic for a wide range."""
    low, high = float(curve.low.min()), float(curve.high.max())
    if level is not None:
        low, high = min(low, level), max(high, level)
    usual = float(np.median(curve.mean))
    if from_zero and low > 0 and (high / usual > LOG_RATIO or curve.mean.max() / curve.mean.min() > LOG_RATIO):
        return Axis(low / 1.1, high * 1.1, log=True)
    if from_zero and low >= 0:
        low = 0.0
    margin = 0.06 * (high - low) or max(abs(high), 1.0) * 0.05
    return Axis(low if from_zero and low == 0 else low - margin, high + margin, log=False)


@dataclass(frozen=True)
class LossPanel:
    """A plot as drawn by ``training_page.html``, in pixels of a ``WIDTH`` x ``HEIGHT`` picture.

    ``kind``: its CSS class; ``dots``: a line through single values instead of a mean in a band; ``level``: a reference
    value, and its name.
    """

    label: Label
    curve: LossCurve
    marks: StepMarks
    kind: str
    dots: bool = False
    level: tuple[float, str] | None = None

    @property
    def last(self) -> int:
        """Return the step at the right end."""
        return max(1, self.marks.last)

    @cached_property
    def axis(self) -> Axis:
        """Return the vertical axis."""
        return axis_for(self.curve, self.level[0] if self.level else None, from_zero=not self.dots)

    def x(self, steps: np.ndarray | float) -> np.ndarray:
        """Return the positions of steps in pixels from the left."""
        return LEFT + (RIGHT - LEFT) * np.asarray(steps) / self.last

    def y(self, values: np.ndarray | float) -> np.ndarray:
        """Return the positions of values in pixels from the top."""
        return self.axis.place(values)

    def steps(self) -> list[float]:
        """Return the steps at the ticks of the x axis."""
        return round_values(0, self.last, 4, whole=True)

    def points(self) -> list[tuple[float, float]]:
        """Return (step, value) of each point of the curve."""
        return list(zip(self.curve.steps.tolist(), self.curve.mean.tolist(), strict=True))

    def path(self, values: np.ndarray, back: np.ndarray | None = None) -> str:
        """Return an SVG path along ``values``; with ``back``, close it along those values in reverse."""
        steps = self.curve.steps
        if back is not None:
            steps, values = np.concatenate([steps, steps[::-1]]), np.concatenate([values, back[::-1]])
        places = zip(self.x(steps), self.y(values), strict=True)
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places) + ("Z" if back is not None else "")


def short(step: float) -> str:
    """Format a step briefly: ``50k`` for 50000."""
    return f"{step / 1000:g}k" if step >= 10_000 else f"{step:,g}"
