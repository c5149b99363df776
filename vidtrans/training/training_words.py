"""Held-out scores of a training: when to score, which state is best, when to stop, and a summary in sentences.

The summary states the quality of the outputs, whether they still improve, and the next steps. The studio's page and the
report show the same sentences; the page reads them from ``core.files.TRAINING_FILE``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeGuard

import numpy as np

from vidtrans.core.settings import Table
from vidtrans.training import LOSSES, METHODS, Label

# Smallest visible change of each score of quality, in its unit; the first score that is known is the main score.
VISIBLE_CHANGE = {"psnr": 0.2, "mean_iou": 0.01, "feature_likeness": 0.01, "patch_distance": 0.01}
# Names of the scores that the studio plots.
PLOTTED_SCORES = (*VISIBLE_CHANGE, "sharpness", "stroke_likeness", "content", "temporal_error", "horizon")
NUM_FLAT_SCORINGS = 3  # Number of scorings without an improvement after which the trend is flat.
MIN_SHARPNESS, MAX_SHARPNESS = 0.8, 1.25  # Range of normal sharpness, relative to the targets.
FORECAST_S = 3600.0  # Duration of the further training that a forecast assumes, in seconds.
MIN_FIT_SCORINGS = 4  # Minimum number of scorings, after the first quarter of the steps, to forecast the score.
NUM_SCORINGS = 20  # Default number of scorings in a run.
# Minimum number of steps between two scorings, so that scoring takes a few percent of the time.
MIN_SCORING_INTERVAL = 200
WORSE_L1_RATIO = 1.02  # Ratio of the last to the best held-out L1 distance, above which the user gets advice.
MIN_LIKENESS_GAIN = 0.03  # Gain of feature likeness in the last quarter of a run from which the user gets advice.
LOWER_IS_BETTER = ("l1", "patch_distance")  # Main scores whose best value is the lowest.
Score = Mapping[str, float | None]  # Values of the held-out scores by name; None for an unknown value.
Scores = Sequence[tuple[int, Score]]  # (step, held-out scores) of every scoring, by step.

# Labels of the curves of the built-in losses, by column of losses.csv.
_LOSS_LABELS = {name: loss.label for name, loss in LOSSES.builtin.items()}
for _method in METHODS.builtin.values():
    _LOSS_LABELS |= _method.curves
# Label of the curve of the rollouts' ages, in frames.
ROLLOUT_AGE_LABEL = Label("Rollouts", "Number of own outputs in a row that led to an input.", "frames")
# Labels of the held-out scores, by name.
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
# Labels of the scores of rollouts, by name in ``metrics.dreams``.
ROLLOUT_LABELS = {
    "nn": Label("Nearest frame", "closeness of the last frames to the nearest training frame", "dB"),
    "drift": Label("Drift", "how far the colours of the last frames lie outside of the clip's", "levels of 255"),
    "sharpness": Label("Sharpness", "of the last frames", "× clip"),
    "m1": Label("Motion, 1 frame", "flicker counts as motion here", "× clip"),
    "m4": Label("Motion, 4 frames", "0 is a film that has frozen", "× clip"),
    "uniq": Label("Different frames", "number of training frames that the second half resembles"),
}


def loss_label(name: str) -> Label:
    """Return the label of a column of losses.csv; for a loss of a plug-in that is not installed, only its name."""
    labels = dict(_LOSS_LABELS)
    if name not in labels:
        labels |= {key: loss.label for key, loss in LOSSES.working_entries()}
        labels |= {key: label for _, method in METHODS.working_entries() for key, label in method.curves.items()}
    return labels.get(name) or Label(name.replace("_", " "), "")


def figure(value: float) -> str:
    """Format a score: with two decimals if its absolute value is 2 or more, else with four."""
    return f"{value:.2f}" if abs(value) >= 2 else f"{value:.4f}"


class Trend(StrEnum):
    """The trend of the main held-out score: unknown, or a visible, a small or no improvement."""

    UNKNOWN = "unknown"
    RISING = "rising"
    SLOW = "slow"
    FLAT = "flat"


class NextStep(StrEnum):
    """A next step with a button in a page: as many steps again, the model in its present state, or a render."""

    MORE = "more"
    ENOUGH = "enough"
    RENDER = "render"


@dataclass(frozen=True)
class TrainingSummary:
    """A summary of a run's state: quality, trend, forecast and next steps, in sentences for a person.

    ``first_score``: the step of the first scoring, None if no pairs are held out. ``seconds``: the training time so
    far.
    """

    scores: Scores
    step: int
    total: int
    is_over: bool
    first_score: int | None
    warnings: Sequence[tuple[int, str]] = ()
    seconds: float = 0.0

    @property
    def main_score(self) -> str:
        """Return the name of the score that measures the quality of the outputs; '' if no score is known."""
        newest = self.scores[-1][1] if self.scores else {}
        return next((name for name in VISIBLE_CHANGE if is_number(newest.get(name))), "")

    @property
    def _sign(self) -> int:
        """Return 1 if higher values of the main score are better, else −1."""
        return -1 if self.main_score in LOWER_IS_BETTER else 1

    @property
    def best(self) -> int | None:
        """Return the step with the best main score; None without scores."""
        return best_step(self.scores, self.main_score)

    @property
    def trend(self) -> Trend:
        """Return how the main score changed in the last quarter of the steps; flat after scorings without a gain."""
        name, best = self.main_score, self.best
        points = self._values(name)
        if best is None or len(points) < 2:
            return Trend.UNKNOWN
        if sum(step > best for step, _ in points) >= NUM_FLAT_SCORINGS or advice(self.scores).startswith("held-out L1"):
            return Trend.FLAT
        sign, last = self._sign, points[-1][0]
        earlier = [value for step, value in points if step <= last * 3 / 4] or [points[0][1]]
        gain = sign * (dict(points)[best] - max(earlier, key=lambda value: sign * value))
        return Trend.RISING if gain >= VISIBLE_CHANGE[name] else Trend.SLOW

    def quality(self) -> list[str]:
        """Return sentences about the quality of the outputs."""
        if self.first_score is None:
            return ["No pictures are held out, so nothing is measured: judge the pictures by eye."]
        if not self.main_score:
            return [f"Held-out pictures are measured at step {self.first_score:,} for the first time."]
        newest = self.scores[-1][1]
        sentences = [f"{_quality_phrase(self.main_score, newest)}{self._trend_phrase()}."]
        sharpness = newest.get("sharpness")
        if sharpness is not None and sharpness < MIN_SHARPNESS:
            sentences.append(f"They are softer than their targets: they have {sharpness:.0%} of the detail.")
        elif sharpness is not None and sharpness > MAX_SHARPNESS:
            sentences.append(f"They are rougher than their targets: they have {sharpness:.0%} of the detail.")
        return sentences

    def _trend_phrase(self) -> str:
        """Return the end of a sentence about the quality: how the main score changes."""
        return {
            Trend.UNKNOWN: "",
            Trend.RISING: ", still improving",
            Trend.SLOW: ", improving slowly",
            Trend.FLAT: f", no improvement since step {self.best or 0:,}",
        }[self.trend]

    def next_steps(self) -> list[tuple[NextStep, str]]:
        """Return suggestions for the next step, the most promising first."""
        suggestions, trend = [], self.trend
        if not self.is_over:
            if trend is Trend.FLAT:
                why = f"Nothing improved since step {self.best or 0:,}. If you like the pictures, stop here."
                suggestions.append((NextStep.ENOUGH, why))
            return suggestions
        if trend is Trend.RISING:
            text = "The pictures were still improving at the end: train for as many steps again."
            suggestions.append((NextStep.MORE, text + self._forecast_sentence()))
        elif trend is Trend.SLOW:
            suggestions.append((NextStep.MORE, "As many steps again may improve details." + self._forecast_sentence()))
        suggestions.append((NextStep.RENDER, "Render a clip with this model."))
        return suggestions

    def forecast(self) -> float | None:
        """Return the forecast gain of the main score after ``FORECAST_S`` more seconds; None with too few scores.

        The score is extrapolated along a line over the logarithm of the steps, fitted to the last three quarters of
        them: over a few doublings, learning curves are about straight there (Hestness et al., "Deep Learning Scaling is
        Predictable, Empirically", 2017). Positive is better for every score.
        """
        points = [(step, value) for step, value in self._values(self.main_score) if step >= self.step / 4]
        if len(points) < MIN_FIT_SCORINGS or not self.seconds:
            return None
        steps, values = zip(*points, strict=True)
        slope = float(np.polyfit(np.log2(steps), values, 1)[0])
        return self._sign * slope * math.log2(1 + FORECAST_S / self.seconds)

    def _forecast_sentence(self) -> str:
        """Return the forecast as a sentence with a leading space; '' if the gain would not be visible."""
        gain, name = self.forecast(), self.main_score
        if gain is None or gain < VISIBLE_CHANGE[name]:
            return ""
        return f" As the curve goes, an hour more would bring up to {_format_gain(name, gain)}."

    def hints(self) -> list[str]:
        """Return suggestions for the next training, in sentences; they have no button in the page."""
        if self.trend is not Trend.FLAT:
            return []
        if (text := advice(self.scores)) and self.best != self.scores[-1][0]:
            return [f"{text[0].upper()}{text[1:]}. The best state is beside it: best.safetensors."]
        return ["More steps change little now. More, or more varied, training frames help further."]

    def table(self) -> Table:
        """Return the state of the run as a table for the status file and the report."""
        return {
            "step": self.step,
            "total": self.total,
            "over": self.is_over,
            "quality": self.quality(),
            "trend": self.trend,
            "warnings": [[step, text] for step, text in self.warnings],
            "next": [{"action": action, "text": text} for action, text in self.next_steps()],
            "hints": self.hints(),
            "best": self.best,
            "plots": [self._plot(name) for name in PLOTTED_SCORES if self._values(name)],
        }

    def _plot(self, name: str) -> Table:
        """Return a score's plot for the page: the score's name, unit and explanation, and points (step, value)."""
        label = SCORE_LABELS[name]
        return {"name": label.name, "unit": label.unit, "hint": label.hint, "points": self._values(name)}

    def _values(self, name: str) -> list[tuple[int, float]]:
        """Return (step, value) of every scoring with a known value of the score ``name``."""
        return [(step, value) for step, table in self.scores if is_number(value := table.get(name))]


def _quality_phrase(name: str, newest: Mapping[str, float | None]) -> str:
    """Return the start of a sentence about the quality: the main score ``name`` in words; ``newest``: newest scores."""
    value = newest[name] or 0.0
    if name == "psnr":
        return f"Held-out pictures are at {value:.1f} dB (colours are off by about {10 ** (-value / 20):.0%})"
    if name == "mean_iou":
        return f"Held-out labels agree with the true ones by {value:.0%} (mean IoU)"
    if name == "feature_likeness":
        return f"Held-out pictures are {value:.0%} of the way to the picture"
    return f"Held-out pictures are {1 - value:.0%} of the way to the target"


def _format_gain(name: str, gain: float) -> str:
    """Format a gain of the score ``name`` with its unit."""
    if name == "psnr":
        return f"{gain:.1f} dB"
    return f"{gain:.2f} of mean IoU" if name == "mean_iou" else f"{gain:.0%} of the way"


def is_number(value: float | None) -> TypeGuard[float]:
    """Return whether a score is known and finite."""
    return value is not None and math.isfinite(value)


def score_steps(total: int, every: int = 0) -> list[int]:
    """Return the steps after which to score: every ``every`` steps (0: up to ``NUM_SCORINGS`` times), and the last."""
    every = every or max(MIN_SCORING_INTERVAL, -(-total // NUM_SCORINGS))
    return sorted({*range(every, total, every), total})


def best_step(scores: Scores, name: str) -> int | None:
    """Return the first step with the best score ``name``: the lowest for ``LOWER_IS_BETTER``, else the highest."""
    points = [(value, step) for step, table in scores if (value := table.get(name)) is not None]
    if not points:
        return None
    sign = 1 if name in LOWER_IS_BETTER else -1
    return min(points, key=lambda point: sign * point[0])[1]


def has_stalled(scores: Scores, name: str, patience: int) -> bool:
    """Return whether the score ``name`` has not improved in the last ``patience`` scorings; False if that is 0."""
    best = best_step(scores, name)
    return patience > 0 and best is not None and sum(step > best for step, _ in scores) >= patience


def describe_score(scores: Scores) -> str:
    """Return the newest held-out score as text for a progress line; '' without a score."""
    newest = scores[-1][1] if scores else {}
    if (psnr := newest.get("psnr")) is not None:
        return f"held out {psnr:.1f} dB"
    if (mean_iou := newest.get("mean_iou")) is not None:
        return f"held-out mean IoU {mean_iou:.3f}"
    if (likeness := newest.get("feature_likeness")) is not None:
        return f"{likeness:.0%} of the way to the picture"
    distance = newest.get("patch_distance")
    return "" if distance is None else f"{1 - distance:.0%} of the way to the target"


def advice(scores: Scores) -> str:
    """Return advice at the end of a run; '' if the last state is about as good as the best state."""
    if rising := _rising_advice(scores):
        return rising
    best = best_step(scores, "l1")
    if best is None or best == scores[-1][0]:
        return ""
    at_best, at_last = dict(scores)[best]["l1"], scores[-1][1]["l1"]
    if at_best is None or at_last is None or at_last <= WORSE_L1_RATIO * at_best:
        return ""
    return (
        f"held-out L1 was lowest at step {best} ({at_best:.4g}) and is {at_last:.4g} now: "
        "more steps learn the training pictures by heart"
    )


def _rising_advice(scores: Scores) -> str:
    """Return advice to train longer if a style model's score ``feature_likeness`` was still rising, else ''."""
    points = [(step, value) for step, table in scores if (value := table.get("feature_likeness")) is not None]
    earlier = [point for point in points if point[0] <= points[-1][0] * 3 / 4]
    if not earlier or points[-1][1] - earlier[-1][1] < MIN_LIKENESS_GAIN:
        return ""
    (first_step, first), (last_step, last) = earlier[-1], points[-1]
    return (
        f"the held-out likeness of features was still rising ({first:.0%} at step {first_step}, {last:.0%} at "
        f"{last_step}): give more --steps"
    )
