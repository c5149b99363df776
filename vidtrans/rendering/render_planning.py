"""Make the plan of a render from a clip, a model and settings; what needs pixels is decided here."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from vidtrans.clips.aligned_clip import AlignedClip, Mask, treat_as_drawing
from vidtrans.clips.cut_list import with_cuts
from vidtrans.clips.indexing import Clip
from vidtrans.core.settings import Time
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.models.render_settings import ResolvedRenderSettings
from vidtrans.painting.composing import Paint
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.scene import Scene
from vidtrans.session import Context
from vidtrans.video.io.codecs import PICTURES
from vidtrans.video.io.encoding import EncodingSettings


def plan_render(
    clip: Clip,
    model: LoadedModel,
    settings: ResolvedRenderSettings,
    context: Context,
    span: tuple[Time | None, Time | None] = (None, None),
    *,
    mask: Path | None = None,
    pattern: str = "",
    guide: AlignedClip | None = None,
    paint: Paint | None = None,
) -> RenderPlan:
    """Return the plan of a render; report what the user should know of it.

    Args:
        clip: the source; its pictures are of one size.
        span: the first moment that is rendered, and the first after it that is not.
        mask: a video or picture that is white where the look is.
        pattern: how the pictures of the result are called; "" for names after the source's.
        guide: the clip along whose motion is filtered; it decides the shots, too.
        paint: painted key frames of the clip.

    Raises:
        UsageError: settings do not go together, or the codec cannot hold the result.
        MediaError: the mask cannot be read, or the clip shows another scene than the model's background plate.
    """
    clip = with_picture_fps(clip, settings.rendering.picture_fps)
    if guide is None:
        clip = with_cuts(clip, settings.rendering.cuts)
    first, stop = clip.trim(*span)
    drawn = treat_as_drawing(clip, model.parts[0].pairing, settings.rendering.drawing, context)
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
    )
    if not drawn and (scene := Scene.of(model)):  # drawings have no background
        scene.check_clip(clip, first, stop, context)
    plan.delivery.report_changes(context)
    return plan


def with_picture_fps(clip: Clip, rate: float) -> Clip:
    """Return pictures, which have no times of their own, shown at a ``rate``, frames a second; a video as it is."""
    if not clip.is_pictures:
        return clip
    exact = Fraction(rate).limit_denominator(1001)
    return replace(clip, index=replace(clip.index, time_base=1 / exact, rate=exact))


def makes_folder(encoding: EncodingSettings, output: Path) -> bool:
    """Return whether a result is a folder of pictures."""
    return encoding.makes_pictures and output.suffix.lower().lstrip(".") not in PICTURES
