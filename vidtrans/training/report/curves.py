"""Curves of a run as inline SVG: thinned so that no extreme is lost, with axes and what is worth marking."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from vidtrans import training as tables

MAX_POINTS = 300  # a curve's, and its envelope's above and below
WINDOW = 40  # a curve is the mean over one part in so many of the run
LOG_RATIO = 20.0  # an axis is logarithmic where values differ more than this
WIDTH, HEIGHT = 320, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 308, 22, 168


class Words(NamedTuple):
    """What a curve is called, its unit, and what it tells. ``aim``: what values are best near to, may be ±∞."""

    name: str
    unit: str
    hint: str
    aim: float | None = None

    def best(self, values: Sequence[float]) -> float | None:
        """The best of them; None where there are none, or it is not known which that is."""
        if self.aim is None or not values:
            return None
        if math.isinf(self.aim):
            return max(values) if self.aim > 0 else min(values)
        aim = self.aim
        return min(values, key=lambda v: abs(v - aim))


_LABELS = {name: loss.label for name, loss in tables.LOSSES.items()}
for _method in tables.METHODS.values():
    _LABELS |= _method.curves
LOSSES = {name: Words(label.name, label.unit, label.hint) for name, label in _LABELS.items()}
CHAINS = Words("Chains", "frames", "How many of its own frames an input goes back to: the dreams it learns from.")
SCORES = {
    "l1": Words("L1", "", "Mean distance to the target, where colours are from 0 to 1; lower is better.", -math.inf),
    "psnr": Words("PSNR", "dB", "Closeness, pixel by pixel; higher is better. It favours what is blurred.", math.inf),
    "ssim": Words("SSIM", "", "Likeness of local structure, at most 1; higher is better.", math.inf),
    "sharpness": Words("Sharpness", "× target", "1 is as sharp as the targets; what is below is softer.", 1.0),
    "horizon": Words("Ten frames on", "dB", "Closeness of the tenth frame that is made of its own.", math.inf),
    "segmentation": Words("Re-segmentation", "", "Share of the map that can be read back; higher is better.", math.inf),
}


def figure(value: float) -> str:
    """A score as it is shown."""
    return f"{value:.2f}" if abs(value) >= 2 else f"{value:.4f}"


class Marks(NamedTuple):
    """What all panels of a run have in common: its last step, the best one, and warnings with their steps."""

    last: int
    best: int | None = None
    warnings: Sequence[tuple[int, str]] = ()


class Curve(NamedTuple):
    """A thinned history: (N,) each. ``low`` and ``high`` are the extremes of the steps that a point stands for."""

    steps: np.ndarray
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray


def window_of(count: int) -> int:
    """Over how many of ``count`` steps a curve's mean is taken."""
    return max(1, count // WINDOW)


def thin(values: np.ndarray, most: int = MAX_POINTS) -> Curve:
    """(N,) values of steps 1 to N → at most ``most`` points. No extreme is lost; what is not finite is left out."""
    steps = np.flatnonzero(np.isfinite(values)) + 1.0
    values = values[np.isfinite(values)]
    count = min(most, len(values))
    if not count:
        return Curve(*[np.zeros(0)] * 4)
    edges = np.linspace(0, len(values), count + 1).astype(int)
    starts, ends = edges[:-1], edges[1:]
    middle, half = (starts + ends - 1) // 2, window_of(len(values)) // 2
    sums = np.concatenate(([0.0], np.cumsum(values)))
    first, behind = np.maximum(0, middle - half), np.minimum(len(values), middle + half + 1)
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    return Curve((steps[starts] + steps[ends - 1]) / 2, low, high, (sums[behind] - sums[first]) / (behind - first))


class Axis(NamedTuple):
    """The range of values that is shown."""

    low: float
    high: float
    log: bool

    def place(self, values: np.ndarray) -> np.ndarray:
        """Values → pixels from the top."""
        change = np.log10 if self.log else np.asarray
        low, high = change(self.low), change(self.high)
        return BOTTOM - (BOTTOM - TOP) * (change(values) - low) / (high - low)

    def ticks(self) -> list[float]:
        if not self.log:
            return _round_values(self.low, self.high, 4)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        few = len(decades) <= 4
        every = -(-len(decades) // 5)
        found = [m * 10.0**d for d in (decades if few else decades[::every]) for m in ((1, 2, 5) if few else (1,))]
        return [v for v in found if self.low <= v <= self.high]


def axis_for(curve: Curve, level: float | None = None, from_zero: bool = False) -> Axis:
    """An axis on which all of the curve is seen; logarithmic where its values differ by much and are above 0."""
    low, high = float(curve.low.min()), float(curve.high.max())
    if level is not None:
        low, high = min(low, level), max(high, level)
    usual = float(np.median(curve.mean))
    if from_zero and low > 0 and (high / usual > LOG_RATIO or curve.mean.max() / curve.mean.min() > LOG_RATIO):
        return Axis(low / 1.1, high * 1.1, log=True)
    if from_zero and low >= 0:
        low = 0.0
    room = 0.06 * (high - low) or max(abs(high), 1.0) * 0.05
    return Axis(low if from_zero and low == 0 else low - room, high + room, log=False)


def panel(
    words: Words,
    curve: Curve,
    run: Marks,
    kind: str,
    *,
    dots: bool = False,
    level: tuple[float, str] | None = None,
) -> str:
    """A plot with its name and what it tells."""
    axis = axis_for(curve, level[0] if level else None, from_zero=not dots)
    last = max(1, run.last)

    def x(steps: np.ndarray | float) -> np.ndarray:
        return LEFT + (RIGHT - LEFT) * np.asarray(steps) / last

    drawn = "".join(_frame(axis, last, words.unit))
    drawn += "".join(
        f'<path class="warned" d="M{x(step):.1f} {TOP}V{BOTTOM}"><title>step {step:,}: {escape(text)}</title></path>'
        for step, text in run.warnings
    )
    if level:
        y = float(axis.place(np.array(level[0])))
        drawn += f'<path class="level" d="M{LEFT} {y:.1f}H{RIGHT}"/>'
        drawn += f'<text class="note" x="{RIGHT}" y="{y - 4:.1f}" text-anchor="end">{escape(level[1])}</text>'
    if not dots:
        drawn += f'<path class="band" d="{_path(x(curve.steps), axis.place(curve.high), axis.place(curve.low))}"/>'
    drawn += f'<path class="mean" d="{_path(x(curve.steps), axis.place(curve.mean))}"/>'
    if dots:
        drawn += "".join(_dots(x(curve.steps), axis.place(curve.mean), curve, run.best))
    drawn += f'<path class="playhead" d="M0 {TOP}V{BOTTOM}" visibility="hidden"/>'
    told = f"{words.name}: {curve.mean[0]:.4g} at first, {curve.mean[-1]:.4g} at last, from {curve.low.min():.4g} "
    told += f"to {curve.high.max():.4g}, over {last:,} steps"
    return (
        f'<figure class="panel {kind}">'
        f"<figcaption><b>{escape(words.name)}</b> <small>{'log scale' if axis.log else ''}</small></figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(told)}" data-last="{last}" '
        f'data-left="{LEFT}" data-right="{RIGHT}">{drawn}</svg><p>{escape(words.hint)}</p></figure>'
    )


def _frame(axis: Axis, last: int, unit: str) -> Iterator[str]:
    """Both axes, with ticks and words."""
    ticks = axis.ticks()
    for value, y in zip(ticks, axis.place(np.array(ticks)), strict=True):
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{RIGHT}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.6g}</text>'
    yield f'<path class="axis" d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}"/>'
    for step in _round_values(0, last, 4):
        at = LEFT + (RIGHT - LEFT) * step / last
        yield f'<path class="axis" d="M{at:.1f} {BOTTOM}v4"/>'
        anchor = "end" if at > RIGHT - 10 else "middle"
        yield f'<text x="{min(at, RIGHT):.1f}" y="{BOTTOM + 17}" text-anchor="{anchor}">{_short(step)}</text>'
    yield f'<text class="note" x="{RIGHT}" y="{HEIGHT - 3}" text-anchor="end">steps</text>'
    if unit:
        yield f'<text class="note" x="{LEFT}" y="{TOP - 9}">{escape(unit)}</text>'


def _dots(xs: np.ndarray, ys: np.ndarray, curve: Curve, best: int | None) -> Iterator[str]:
    for at, (x, y, step, value) in enumerate(zip(xs, ys, curve.steps, curve.mean, strict=True)):
        marks = [m for m, here in (("best", step == best), ("last", at == len(xs) - 1)) if here]
        told = f"step {int(step):,}{''.join(f', {m}' for m in marks)}: {value:.4g}"
        if "best" in marks:
            yield f'<circle class="best" cx="{x:.1f}" cy="{y:.1f}" r="7"/>'
        radius = 4 if marks else 2.2
        yield f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"><title>{told}</title></circle>'


def _path(xs: np.ndarray, ys: np.ndarray, back: np.ndarray | None = None) -> str:
    """A line along ``ys``; with ``back`` a closed band between the two."""
    points = [f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True)]
    if back is None:
        return "M" + "L".join(points)
    points += [f"{x:.1f} {y:.1f}" for x, y in zip(xs[::-1], back[::-1], strict=True)]
    return "M" + "L".join(points) + "Z"


def _round_values(low: float, high: float, about: int) -> list[float]:
    """Round numbers within a range, about so many."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    return [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _short(step: float) -> str:
    """50000 → 50k."""
    return f"{step / 1000:g}k" if step >= 10_000 else f"{step:,g}"
