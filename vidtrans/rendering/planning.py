"""Plan a render: look at the clip, its mask and the model, and report what the user should know."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vidtrans.clips.aligned_clip import AlignedClip, treat_as_drawing
from vidtrans.clips.cut_list import with_cuts
from vidtrans.clips.indexing import Clip, SteadyExposure, tell_frame_number, with_picture_fps
from vidtrans.clips.label_maps import render_changes
from vidtrans.clips.masks import Mask
from vidtrans.core.errors import UsageError
from vidtrans.core.mask_files import MaskFile
from vidtrans.core.settings import Time, parse_size
from vidtrans.curves.curve import small_plot
from vidtrans.models.loaded_model import OWN_SIZES, LoadedModel
from vidtrans.models.render_settings import ResolvedRenderSettings
from vidtrans.painting.composing import ClipPaint
from vidtrans.rendering.conditions import LookConditions
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.planned_strokes import PlannedStrokes
from vidtrans.rendering.scene import Scene
from vidtrans.session import Context

AFTER = "works on what was inferred"
BEFORE = "the network sees it: every change infers again"


def plan_render(
    clip: Clip,
    model: LoadedModel,
    settings: ResolvedRenderSettings,
    context: Context,
    span: tuple[Time | None, Time | None] = (None, None),
    *,
    mask: MaskFile | None = None,
    pattern: str = "",
    guide: AlignedClip | None = None,
    paint: ClipPaint | None = None,
    exposure: SteadyExposure | None = None,
    of_region: bool = False,
    from_shot: bool = False,
) -> RenderPlan:
    """Plan a render, and report warnings about it to the user.

    Args:
        clip: the source; all its pictures have one size.
        span: the start time, and the end time (exclusive), of the rendered part.
        mask: white where the model's output is visible.
        pattern: file name pattern of the result's pictures; "" derives names from the source's.
        guide: a clip whose motion guides the filter; its shots are used, too.
        paint: painted key frames of the clip.
        exposure: corrections of the clip's exposure.
        of_region: the result is a part of another, which reports what is common to both.
        from_shot: render from the beginning of the first frame's shot on, for pictures that depend on earlier ones.

    Raises UsageError if settings conflict, or the codec cannot hold the result; MediaError if the mask cannot be read,
    or the clip shows another scene than the model's background plate.
    """
    clip = with_picture_fps(clip, settings.rendering.picture_fps)
    if guide is None:
        clip = with_cuts(clip, settings.rendering.cuts)
    begin, stop = clip.trim(*span)
    first = max(shot for shot in clip.shots if shot <= begin) if from_shot else begin
    if not of_region:
        tell_frame_number(clip, stop, *span, context)
        _tell_size(clip, settings.rendering.size, context)
    model = model.with_changes(render_changes(model.parts[0].pairing, clip, context))
    drawn = treat_as_drawing(clip, model.parts[0].pairing, settings.rendering.drawing, context)
    if mask is None and model.parts[0].pairing.needs_matte:
        why = f"'{model.name}' was taught with mattes, and there is none"
        raise UsageError("--mask", why, "give the matte of the clip, as 'vidtrans matte' makes it")
    plan = RenderPlan(
        clip,
        model,
        settings,
        first,
        stop,
        drawn,
        Mask.open(mask, clip, first, stop, context) if mask else None,
        guide,
        trimmed=span != (None, None),
        pattern=pattern,
        threads=context.decode_threads,
        paint=paint,
        exposure=exposure,
        strokes=PlannedStrokes.open(settings.strokes, clip, first, stop, context),
        lead=begin - first,
    )
    if not drawn and (scene := Scene.of(model)):  # drawings have no background
        scene.check_clip(clip, first, stop, context)
    if not of_region:
        plan.delivery.report_changes(context)
        for line in describe_moving(plan) if context.dry_run else ():
            context.note(line)
    return plan


def _tell_size(clip: Clip, wanted: str, context: Context) -> None:
    """Report that a ``rendering.size`` is not reached, because a short side never enlarges a clip."""
    width, height = clip.index.width, clip.index.height
    short = None if wanted in OWN_SIZES else parse_size(wanted).short
    if short is not None and short > min(width, height):
        larger = "x".join(str(side * short // min(width, height)) for side in (width, height))
        why = f"{clip.name} is {width}x{height}, and a short side enlarges nothing: the model sees it at that size"
        context.note(f"--size {wanted}: {why} (--size {larger} enlarges it)")


def describe_moving(plan: RenderPlan) -> Iterator[str]:
    """Yield a line for each control that changes over the rendered frames: its course, its bounds, what it costs."""
    settings, frames = plan.rendering, plan.frames
    after = dict(plan.values.curves)
    after |= {"mask_feather": plan.feather} if plan.mask else {}
    if plan.stroke_values is not None:
        after |= {f"strokes.{name}": value for name, value in plan.stroke_values.curves.items()}
    for name, value in after.items():
        if value.curve.constant is None:
            yield _line(name, value, frames, AFTER)
    if isinstance(plan.conditions, LookConditions):
        if settings.curve("stroke_size").constant is None:
            yield _line("stroke_size", plan.conditions.stroke, frames, BEFORE)
        for look, share in plan.conditions.moving_shares:
            yield _line(look, share, frames, BEFORE)


def _line(name: str, value: Callable[[int], float], frames: range, cost: str) -> str:
    values = [value(frame) for frame in frames]
    return f"{name} {small_plot(values)} {min(values):.3g} to {max(values):.3g}; {cost}"
