"""The plan of a render: one clip, one model and one set of settings.

``plan_render`` checks the clip, its mask and the model, and reports notes and warnings to the user.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from vidtrans.clips.aligned_clip import AlignedClip, should_treat_as_drawing
from vidtrans.clips.clip_signals import clip_clock, mask_shares
from vidtrans.clips.cut_list import with_cuts
from vidtrans.clips.indexing import Clip, ExposureCorrection, note_end_in_frames, with_picture_fps
from vidtrans.clips.label_maps import label_setting_changes
from vidtrans.clips.masks import MaskOfClip
from vidtrans.core.errors import UsageError
from vidtrans.core.mask_files import MaskFile
from vidtrans.core.settings import Size, Time, parse_size
from vidtrans.curves.curve import CurveClock, small_plot
from vidtrans.masking.found_masks import open_mask
from vidtrans.models.loaded_model import OWN_SIZES, LoadedModel
from vidtrans.models.render_settings import ResolvedRenderSettings, output_classes
from vidtrans.output.delivery import Delivery
from vidtrans.painting.composing import ClipPaint, Paint
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.class_colours import ClassColours
from vidtrans.pipeline.render import PICTURE_VALUES, RenderingSettings, are_idle
from vidtrans.pipeline.stage import FrameCurve, FrameValues
from vidtrans.rendering.conditions import Conditions, LookConditions, conditions_of, is_multi_style
from vidtrans.rendering.frame_renderer import ModelInputs
from vidtrans.rendering.planned_strokes import PlannedStrokes, working_size
from vidtrans.rendering.scene import Scene
from vidtrans.rendering.skipped_frames import Draft
from vidtrans.session import Context
from vidtrans.store.chunking import Chunk, cut_into_chunks
from vidtrans.temporal.stream import HeldFrames
from vidtrans.upscaling import BY_CLASS, MEASURED
from vidtrans.video.frame_format import PAPER, FrameFormat
from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import PictureFormat

# Dry-run note on a setting that changes over the frames, if a new value can reuse the network's stored outputs
COST_AFTER_MODEL = "works on what was inferred"
# Dry-run note on a setting that changes over the frames, if a new value needs new outputs of the network
COST_BEFORE_MODEL = "the network sees it: every change infers again"


@dataclass(frozen=True)
class RenderPlan:
    """The plan to render the frames [first, stop) of a clip with a model; all pictures of the clip have one size.

    Attributes:
        drawn: The source is a drawing, which is the network's input without a pairing.
        guide: A clip whose motion guides the temporal filter instead of the source's motion.
        trimmed: Only a part of the clip was requested.
        pattern: The file name pattern of the result's pictures.
        threads: Number of threads per decoder; 0 uses all cores.
        paint: Painted key frames over the model's pictures, or a matte.
        corrections: Paint over the result.
        exposure: Corrects the exposure of each frame when it is read.
        strokes: The brush strokes in which the pictures are painted.
        lead: Number of first frames that are not in the result, but are context of later frames of their shot.

    Raises UsageError if settings conflict, or the codec cannot hold the result.
    """

    clip: Clip
    model: LoadedModel
    settings: ResolvedRenderSettings
    first: int
    stop: int
    drawn: bool = False
    mask: MaskOfClip | None = None
    guide: AlignedClip | None = None
    trimmed: bool = False
    pattern: str = ""
    threads: int = 0
    paint: ClipPaint | None = None
    corrections: Paint | None = None
    exposure: ExposureCorrection | None = None
    strokes: PlannedStrokes | None = None
    lead: int = 0

    def __post_init__(self) -> None:
        self.settings.check_sides(self.model, self.size)
        if self.draft and (self.model.is_recurrent or self.classes is not None):
            why = "is recurrent: it paints each frame from the one before"
            if not self.model.is_recurrent:
                why = "finds classes, whose colours cannot be carried along the motion"
            remedy = "leave out --draft, to render all frames"
            raise UsageError(f"--draft {self.rendering.draft_step}", f"'{self.model.name}' {why}", remedy)
        # Compute these properties now, because they raise UsageError if the settings conflict.
        self.values, self.feather, self.conditions, self.delivery, self.stroke_values  # noqa: B018

    @property
    def rendering(self) -> RenderingSettings:
        """Return the rendering settings."""
        return self.settings.rendering

    @cached_property
    def pairing(self) -> Pairing:
        """Return the model's pairing, which makes the network's input from a source frame."""
        return self.model.pairing

    @cached_property
    def size(self) -> tuple[int, int]:
        """Return the (width, height) of the network's output."""
        painted = self.strokes is not None
        return working_size(self.model, self.rendering.size, self.source_size, is_painted=painted)

    @property
    def source_size(self) -> tuple[int, int]:
        """Return the (width, height) of the source in pixels."""
        return self.clip.index.width, self.clip.index.height

    @property
    def input_size(self) -> tuple[int, int]:
        """Return the (width, height) of the input of the model; of a model chain, of its first model."""
        return self.size if self.model.is_identity else self.model.input_size(self.rendering.size, self.source_size)

    @cached_property
    def chunks(self) -> list[Chunk]:
        """Return the chunks of the frames [first, stop), cut at the shots."""
        shots, length = self.clip.shots, self.rendering.chunk_frames
        return cut_into_chunks(self.first, self.stop, shots, length, frozenset(self.held), self.frames.start)

    @property
    def held(self) -> list[int]:
        """Return the numbers of frames that may repeat the previous source picture, as in animation on twos."""
        return [n for n in self.clip.survey.held if self.first < n < self.stop]

    @property
    def held_frames(self) -> HeldFrames:
        """Return the frames that repeat the last filtered result if their source repeats; no first frame of a chunk."""
        numbers = frozenset(self.held).difference(chunk.first for chunk in self.chunks)
        return HeldFrames(numbers, guide_decides=self.guide is not None)

    @cached_property
    def values(self) -> FrameValues:
        """Return a function from a frame to the picture stages' settings, such as the strength. Raises UsageError."""
        values = FrameValues(self.rendering, self.clock, PICTURE_VALUES)
        values.check(self.frames.start, self.stop)
        return values

    @cached_property
    def feather(self) -> FrameCurve:
        """Return a function from a frame to the σ of the Gaussian blur of mask edges, in pixels of the result."""
        [curve] = FrameValues(self.rendering, self.clock, ["mask_feather"]).curves.values()
        curve.check(self.frames.start, self.stop)
        return curve

    @cached_property
    def stroke_values(self) -> FrameValues | None:
        """Return a function from a frame to the values of the stroke settings; None without strokes."""
        if self.strokes is None:
            return None
        values = FrameValues(self.strokes.settings, self.clock)
        values.check(self.first, self.stop)
        return values

    @cached_property
    def clock(self) -> CurveClock:
        """Return the clock from which curves take their variables: time, shots, sound, and the mask's covered share."""
        mask = self.mask
        shares = None if mask is None else lambda: mask_shares(mask, self.clip.index.num_frames, self.threads)
        return clip_clock(self.clip, self.rendering.sound, shares)

    @cached_property
    def conditions(self) -> Conditions | None:
        """Return the per-frame conditions of a multi-style model; None for other models."""
        return conditions_of(self.model, self.rendering, self.clock, self.clip.shots)

    @cached_property
    def delivery(self) -> Delivery:
        """Return the form in which the frames are written: times, codec, size and file names."""
        return Delivery(
            self.clip,
            self.frames,
            self.settings.encoding,
            trimmed=self.trimmed,
            factor=self.pairing.upscale_factor,
            drawn=self.drawn,
            pattern=self.pattern,
            layer=self.is_layer,
        )

    @property
    def picture(self) -> PictureFormat:
        """Return the pixel format and timing of the encoded pictures."""
        return self.delivery.picture

    @cached_property
    def extraction(self) -> RenderPlan | None:
        """Return the plan to render the same frames with the network that makes the model's input; None without one.

        This network is the extractor.
        """
        model, wanted = self.model.extractor, self.pairing.extraction
        if model is None or wanted is None or self.drawn:
            return None
        settings = ResolvedRenderSettings.of_extractor(self.rendering.for_extractor(wanted.size), self.settings.device)
        return RenderPlan(self.clip, model, settings, self.first, self.stop, threads=self.threads, lead=self.lead)

    @property
    def is_deep(self) -> bool:
        """Return whether pictures have 16 bits per channel, not 8, from the reader to the encoder."""
        return self.delivery.depth > 8

    @property
    def is_layer(self) -> bool:
        """Return whether the result is only the layer of painted key frames, with alpha."""
        return self.paint is not None and self.paint.layer

    @property
    def is_painted(self) -> bool:
        """Return whether the raw outputs, by a model or by the user's paint, differ from the source pictures."""
        return not self.model.is_identity or self.paint is not None

    @property
    def frames(self) -> range:
        """Return the numbers of the frames in the result."""
        return range(self.first + self.lead, self.stop)

    @property
    def num_frames(self) -> int:
        """Return the number of frames to render, including the ``lead`` context frames."""
        return self.stop - self.first

    @property
    def draft(self) -> Draft | None:
        """Return the draft that selects the rendered frames; None if every frame is rendered."""
        return Draft(self.rendering.draft_step) if self.rendering.draft_step > 1 else None

    @property
    def input_mask(self) -> MaskOfClip | None:
        """Return the mask if it is part of the network's input; else None."""
        return self.mask if self.pairing.uses_mask else None

    @property
    def is_composed(self) -> bool:
        """Return whether the result is blended with the source at the size of the result, which is read for this."""
        composed = self.mask is not None or not are_idle(self.rendering) or self.finishes
        return composed or self.picture.alpha or self.upscale != "bicubic"

    @property
    def guide_is_source(self) -> bool:
        """Return whether the temporal filter's guide frames are the source at the result's size, read only once."""
        plain = self.guide is None and self.exposure is None and not (self.is_deep or self.picture.alpha)
        return plain and (self.picture.width, self.picture.height) == self.size

    @property
    def finishes(self) -> bool:
        """Return whether the pairing restores source content in the finished picture; False with strokes.

        Strokes are painted after the source content is restored.
        """
        return self.pairing.finishes and self.strokes is None

    @property
    def upscale(self) -> str:
        """Return the mode of upscaling to the size of the result: "bicubic" unless pictures are smaller on both sides.

        Label maps use ``BY_CLASS``, because their colours must not mix.
        """
        if self.classes is not None:
            return BY_CLASS if self.size != (self.picture.width, self.picture.height) else "bicubic"
        is_small = self.size[0] < self.picture.width and self.size[1] < self.picture.height
        mode = self.rendering.upscale_for(fills_holes=self.pairing.fills_holes)
        return mode if is_small and self.is_painted and self.strokes is None else "bicubic"

    @property
    def classes(self) -> ClassColours | None:
        """Return the classes of a model that makes label maps; None for other models."""
        return output_classes(self.model) if self.strokes is None else None

    @property
    def is_measured(self) -> bool:
        """Return whether the faults (lost detail, noise) of the model's pictures are measured, to be corrected.

        Painted key frames have no such faults.
        """
        return self.upscale in MEASURED and not (self.model.is_identity or self.model.optimises or self.paint)

    @property
    def source_frames(self) -> list[int] | None:
        """Return the clip's frame number for each output frame; None if other frames are made of them."""
        if self.settings.encoding.filter or self.delivery.makes_between:
            return None
        return [n for n in self.frames for _ in self.delivery.stamps(n)]

    def form(self, size: tuple[int, int]) -> FrameFormat:
        """Return the pixel format in which the source is read at ``size``, (width, height)."""
        kind: Literal["kept", "laid"] = "kept" if self.picture.alpha else "laid"
        return FrameFormat(Size(exact=size), deep=self.is_deep, alpha=kind, background=PAPER if self.drawn else None)

    def inputs(self) -> ModelInputs:
        """Create the maker of the network's inputs, which takes frames in order. Close the maker after use."""
        mattes = self.input_mask.mattes(self.size, self.threads) if self.input_mask else None
        is_chain = len(self.model.parts) > 1
        return ModelInputs(
            self.pairing,
            drawn=self.drawn,
            mattes=mattes,
            conditions=self.conditions,
            size=self.input_size if is_chain else None,
            conditions_later=is_chain and not is_multi_style(self.model.parts[0]),
        )

    def segment(self, path: Path) -> SegmentWriter:
        """Create the encoder that writes a chunk to ``path``. Close the encoder after use."""
        return SegmentWriter(path, self.delivery.stored, self.delivery.chunk_encoding)


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
    exposure: ExposureCorrection | None = None,
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
        of_region: the result is a region of another render, which reports the notes about the clip.
        from_shot: begin at the first frame of the shot, for pictures that depend on earlier frames.

    Raises UsageError if settings conflict, or the codec cannot hold the result; MediaError if the mask cannot be read,
    or the clip shows another scene than the model's background plate.
    """
    clip = with_picture_fps(clip, settings.rendering.picture_fps)
    if guide is None:
        clip = with_cuts(clip, settings.rendering.cuts)
    begin, stop = clip.trim(*span)
    first = max(shot for shot in clip.shots if shot <= begin) if from_shot else begin
    if not of_region:
        note_end_in_frames(clip, stop, *span, context)
        _note_size_limit(clip, settings.rendering.size, context)
    model = model.with_changes(label_setting_changes(model.parts[0].pairing, clip, context))
    drawn = should_treat_as_drawing(clip, model.parts[0].pairing, settings.rendering.drawing, context)
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
        open_mask(mask, clip, first, stop, context) if mask else None,
        guide,
        trimmed=span != (None, None),
        pattern=pattern,
        threads=context.decode_threads,
        paint=paint,
        exposure=exposure,
        strokes=PlannedStrokes.open(settings.strokes, clip, first, stop, context),
        lead=begin - first,
    )
    if not drawn and (scene := Scene.of(model)):  # Drawings have no background
        scene.check_clip(clip, first, stop, context)
    if not of_region:
        plan.delivery.report_changes(context)
        for line in describe_animated(plan) if context.dry_run else ():
            context.note(line)
    return plan


def _note_size_limit(clip: Clip, wanted: str, context: Context) -> None:
    """Report a ``rendering.size`` whose short side exceeds the clip's, because a short side never enlarges a clip."""
    width, height = clip.index.width, clip.index.height
    short = None if wanted in OWN_SIZES else parse_size(wanted).short
    if short is not None and short > min(width, height):
        larger = "x".join(str(side * short // min(width, height)) for side in (width, height))
        why = f"{clip.name} is {width}x{height}, and a short side enlarges nothing: the model sees it at that size"
        context.note(f"--size {wanted}: {why} (--size {larger} enlarges it)")


def describe_animated(plan: RenderPlan) -> Iterator[str]:
    """Yield a line of text for each setting that changes over the frames: plot, range, and what is recomputed."""
    settings, frames = plan.rendering, plan.frames
    after = dict(plan.values.curves)
    after |= {"mask_feather": plan.feather} if plan.mask else {}
    if plan.stroke_values is not None:
        after |= {f"strokes.{name}": value for name, value in plan.stroke_values.curves.items()}
    for name, value in after.items():
        if value.curve.constant is None:
            yield _control_line(name, value, frames, COST_AFTER_MODEL)
    if isinstance(plan.conditions, LookConditions):
        if settings.curve("stroke_size").constant is None:
            yield _control_line("stroke_size", plan.conditions.stroke, frames, COST_BEFORE_MODEL)
        for look, share in plan.conditions.moving_shares:
            yield _control_line(look, share, frames, COST_BEFORE_MODEL)


def _control_line(name: str, value: Callable[[int], float], frames: range, cost: str) -> str:
    """Return the line of text about a setting that changes over the frames: name, plot, range, and note ``cost``."""
    values = [value(frame) for frame in frames]
    return f"{name} {small_plot(values)} {min(values):.3g} to {max(values):.3g}; {cost}"
