"""The course of the controls that move in a render, as lines for a dry run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vidtrans.curves.curve_samples import small_plot
from vidtrans.rendering.conditions import LookConditions
from vidtrans.rendering.plan import RenderPlan

AFTER = "works on what was inferred"
BEFORE = "the network sees it: every change infers again"


def describe_moving(plan: RenderPlan) -> Iterator[str]:
    """Yield a line for each control that changes over the rendered frames: its course, its bounds, what it costs."""
    settings, frames = plan.rendering, range(plan.first, plan.stop)
    moving = {name: curve for name, curve in settings.curves().items() if curve.constant is None}
    for name in moving:
        yield _line(name, plan.directions.value_of(name), frames, AFTER)
    if plan.mask and settings.feather_curve().constant is None:
        yield _line("mask_feather", plan.feather, frames, AFTER)
    if isinstance(plan.conditions, LookConditions):
        if settings.stroke_curve().constant is None:
            yield _line("stroke_size", plan.conditions.stroke, frames, BEFORE)
        for look, share in plan.conditions.moving_shares:
            yield _line(look, share, frames, BEFORE)


def _line(name: str, value: Callable[[int], float], frames: range, cost: str) -> str:
    values = [value(frame) for frame in frames]
    return f"{name} {small_plot(values)} {min(values):.3g} to {max(values):.3g}; {cost}"
