"""``vidtrans deflicker``: filter the flicker out of a video that another tool has made frame by frame."""

from __future__ import annotations

import time
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vidtrans.batch.batch_options import SEQUENTIAL, BatchOptions
from vidtrans.commands.base import CACHE_OPTIONS, Command
from vidtrans.commands.options import BESIDE_OPTION, check_beside, mask_option, output_option
from vidtrans.commands.results import RenderedClip
from vidtrans.commands.text_reports import render_text
from vidtrans.config.recipe import Recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.mask_files import optional_mask
from vidtrans.core.options import Group, Use, argument, option, settings_with_use
from vidtrans.core.settings import Table, Time
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.models.loaded_model import LoadedModel
    from vidtrans.models.render_settings import ResolvedRenderSettings
    from vidtrans.rendering.plan import RenderPlan

READS = settings_with_use(RenderingSettings, Use.DEFLICKER)  # Keys of [rendering] that the command reads
OUTPUT_NAME = "deflickered"  # Part of the default output's name: clip.deflickered.mp4


@dataclass(frozen=True)
class Deflicker(Command):
    """Remove flicker from PROCESSED, the output of a style network, a colouriser or a diffusion model.

    PROCESSED and its --source can be videos, folders of pictures, or numbered pictures (frames/%05d.png). Pictures are
    matched with the source by the numbers in their names. Videos are matched frame by frame if both have the same
    number of frames, else by time. The result has the frames, times, size and sound of PROCESSED. If PROCESSED has no
    sound, the result has the sound of the source. Instead of several videos, you can give a folder or a
    pattern ('renders/*.mp4').
    """

    CONTEXT: ClassVar = (*CACHE_OPTIONS, "device", "decoder")
    RESULT: ClassVar = RenderedClip
    TABLES: ClassVar = {"rendering": READS, "strokes": None, "temporal": None, "encoding": None}
    READS: ClassVar = READS
    BATCH: ClassVar = ("jobs", "shard", "halt", "retry", "executor")

    processed: tuple[Path, ...] = argument("PROCESSED...")
    source: Path | None = option(
        None,
        "The clip that PROCESSED was made from. The filter follows its motion and keeps its changes. Without "
        "--source, the filter follows the motion in PROCESSED: flicker then disturbs the measured motion, "
        "changes of light are confused with flicker, and strong flicker can look like cuts. For several clips: "
        "one source for all, or a folder of clips with the same names (in.mov for in.x.mp4). Frames and times "
        "in --cuts are counted from the beginning of the source.",
        Group.INPUT,
        metavar="VIDEO",
    )
    output: Path | None = output_option(
        "The result. For several clips: a folder.", "PROCESSED.deflickered.mp4, for pictures a folder"
    )
    _: KW_ONLY
    beside: bool = BESIDE_OPTION(False)
    start: Time | None = option(
        None, "Start of PROCESSED in a longer source. Without --source: start time in PROCESSED.", Group.TIME
    )
    end: Time | None = option(None, "End time (exclusive) in the source. Without --source: in PROCESSED.", Group.TIME)
    exposure: bool = option(
        False,
        "Even out the exposure first: fit brightness, contrast and white balance of each frame to the frames "
        "around it. Use it for time-lapses, and for other clips without a flicker-free source.",
        Group.LOOK,
        form="main",
    )
    mask: str | None = mask_option("Filter flicker", "The mask applies to all clips. ")
    recipe: Recipe
    batch: BatchOptions = SEQUENTIAL

    def __post_init__(self) -> None:
        check_beside(self.beside, self.output)
        optional_mask(self.mask)
        if self.exposure and self.source is not None:
            why = "brightness is measured in PROCESSED alone, and a source shows what is flicker"
            raise UsageError("--exposure --source", why, "leave out one of them")

    @classmethod
    def epilog(cls) -> str:
        """Return the help on the settings of filters and on the settings of [rendering]."""
        from dataclasses import fields

        from vidtrans.temporal import FILTERS

        names = dict.fromkeys(f.name for _, entry in FILTERS.working_entries() for f in fields(entry.load_settings()))
        return (
            f"Settings of filters, for --set temporal.KEY=VALUE: {', '.join(names)}. Settings for --set "
            f"rendering.KEY=VALUE: {', '.join(READS)}. Other settings of [rendering] in a preset or in "
            "vidtrans.toml are for models, and are ignored."
        )

    def make(self, context: Context) -> Table:
        """Filter the flicker out of clips along the motion of their sources.

        Frames, timestamps, size and sound are kept; a clip without sound gets the source's. Raises UsageError,
        MediaError, Interrupted.
        """
        from vidtrans.batch.inputs import is_batch, match_clip, match_clips
        from vidtrans.batch.jobs import process_clips

        def work(clip: Path, place: Path | None, _: bool) -> partial[Table]:
            """Return the task for one clip: find its source, and write the result to ``place`` (None: the default)."""
            source = self.source
            if source is not None:
                many = is_batch(self.processed, self.batch)
                source = match_clips([clip], source, "--source")[0] if many else match_clip(clip, source, "--source")
            one_clip = replace(self, processed=(clip,), source=source, output=place, beside=False)
            return partial(type(self)._make_one, one_clip)

        options = "deflicker", OUTPUT_NAME, self.recipe, self.output, self.batch, context
        return process_clips(self.processed, work, *options, beside=self.beside)

    def describe(self, table: Table) -> str:
        """Return the report on the filtered clip as text. ``table``: the result of ``make``."""
        return render_text(table)

    def _make_one(self, context: Context) -> Table:
        """Filter one clip, unless its result is up to date; return the result table."""
        from vidtrans.clips.indexing import content_digest
        from vidtrans.config.recipe import warn_about_programs
        from vidtrans.masking.found_masks import mask_digest
        from vidtrans.models.loaded_model import load_model
        from vidtrans.models.model_file import IDENTITY
        from vidtrans.models.render_settings import ResolvedRenderSettings
        from vidtrans.output.result import Result, Work, refuse_link
        from vidtrans.rendering.planned_strokes import strokes_digest
        from vidtrans.rendering.render_job import RenderJob
        from vidtrans.rendering.requested_output import OutputTarget, default_output, is_one_picture, request_digest
        from vidtrans.video.io.picture_paths import is_picture_source

        began, [processed], mask = time.monotonic(), self.processed, optional_mask(self.mask)
        if is_one_picture(processed):
            raise UsageError(str(processed), "one picture cannot flicker", "give a video or a folder of pictures")
        model = load_model(IDENTITY, context)
        # The identity model is a colour model, and the default filter of colour models is "off": set the filter's name.
        # The result keeps the clip's size: set the size to the source's.
        temporal = {"name": self.recipe.choice("temporal")[0]}
        recipe = self.recipe.under({"temporal": temporal, "rendering": {"size": "source"}})
        settings = ResolvedRenderSettings.of(recipe, model, context.device)
        settings = settings.resolved(is_picture_source(processed), self.output, context.report)
        output = self.output or refuse_link(default_output(processed, [OUTPUT_NAME], settings.encoding))
        target = OutputTarget.find(output, settings.encoding)
        one_clip = {
            "command": "deflicker",
            "processed": content_digest(context, processed),
            "source": content_digest(context, self.source) if self.source else "",
            "start": str(self.start),
            **({"end": str(self.end)} if self.end is not None else {}),
            **({"exposure": True} if self.exposure else {}),
            **({"mask": mask_digest(context, mask)} if mask else {}),
            **strokes_digest(settings.strokes, context),
        }
        digest = request_digest(one_clip, settings, target, stills=is_picture_source(processed), masked=bool(mask))
        masks = mask.files if mask else []
        sources = [p for p in (processed, self.source, *masks, *settings.strokes.files) if p]
        result = Result(target.output, digest, sources, context, target.folder, began=began)

        def prepare() -> Work:
            """Plan the render; return its work, and its forecast for --dry-run."""
            warn_about_programs(self.recipe.programs, context, ("encoding",))
            plan = self._plan(model, settings, target.pattern, context)
            target.check_holds(plan.num_frames)
            if self.source is None and settings.filter_name != "off":
                lost = (
                    "its flicker disturbs the motion that is followed, and real changes of light are evened out with it"
                )
                context.note(f"without --source {processed.name} guides itself: {lost}")
            plan.delivery.check_sound(target.output)
            job = RenderJob(plan, context)
            return Work(job.render, partial(result.forecast, job))

        return result.produce(prepare)

    def _plan(self, model: LoadedModel, settings: ResolvedRenderSettings, pattern: str, context: Context) -> RenderPlan:
        """Plan the filtering of the clip, along a source clip's motion, or after an exposure correction.

        ``pattern``: the pattern of the names of the result's pictures, '' for a video.
        """
        from vidtrans.clips.cut_list import with_cuts
        from vidtrans.clips.indexing import measure_exposure, open_clip, with_picture_fps
        from vidtrans.evaluation.scoring import find_guide, with_source_sound
        from vidtrans.rendering.plan import plan_render

        [processed], cuts = self.processed, settings.rendering.cuts
        clip = with_picture_fps(open_clip(context, processed), settings.rendering.picture_fps)
        if not clip.index.same_size:
            raise UsageError(str(processed), "its pictures are not of one size", "give pictures of one size")
        span, guide, exposure = (self.start, self.end), None, None
        if self.source is not None:
            clip, guide = find_guide(clip, self.source, cuts, self.start, context)
            span = (None, self.end and Time(frame=guide.end(self.end)))
            clip = with_source_sound(clip, guide)
        elif self.exposure:
            exposure = measure_exposure(with_cuts(clip, cuts), context)
        mask = optional_mask(self.mask)
        return plan_render(
            clip, model, settings, context, span, mask=mask, pattern=pattern, guide=guide, exposure=exposure
        )
