"""``vidtrans dream``: generate frames with a model that predicts each frame from the last ones.

The camera can be moved along curves, and a stopped run resumes at any frame.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import KW_ONLY, MISSING, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vidtrans.commands.base import CACHE_OPTIONS, Command
from vidtrans.commands.options import MODEL_SUFFIX, check_counts, mask_option, models_option, output_option
from vidtrans.commands.results import RenderedClip
from vidtrans.commands.text_reports import render_text
from vidtrans.config.recipe import Recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.mask_files import optional_mask
from vidtrans.core.options import Group, Use, argument, option, settings_with_use
from vidtrans.core.settings import Table, Time
from vidtrans.dreaming.settings import DreamingSettings, flag_of
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.models.loaded_model import LoadedModel
    from vidtrans.rendering.requested_output import OutputTarget

READS = settings_with_use(RenderingSettings, Use.DREAM)  # Keys of [rendering] that the command reads
# Help text on settings that accept a curve instead of a number
VALUE_HELP = (
    "A VALUE is a number, or a curve (see 'vidtrans curves --help'): an expression such as '1.01 + 0.004*sin(t)', with "
    "--sound also of what is heard, '1 + 0.03*low'; keyframes, frames or times: '0: 1, 4s: 1.02'; or a file of values."
)


@dataclass(frozen=True)
class Dream(Command):
    """Generate frames with a model that predicts the next frame. SEED is a video, a picture or the word noise.

    To resume a stopped dream, run the same command again. To make a dream longer, raise --frames and add --overwrite.
    """

    CONTEXT: ClassVar = (*CACHE_OPTIONS, "device", "seed")
    RESULT: ClassVar = RenderedClip
    TABLES: ClassVar = {"dreaming": None, "rendering": READS, "encoding": None}
    READS: ClassVar = READS

    source: tuple[str, ...] = argument("SEED", access="path")
    model: tuple[str, ...] = models_option(
        "A model that predicts frames. Several models, such as *.safetensors, take turns.", default=MISSING
    )
    output: Path | None = output_option("The result.", "SEED.MODEL.dream.mp4")
    _: KW_ONLY
    frames: int = option(MISSING, "Number of frames to generate.", Group.OUTPUT, bounds=(1, 10**8), form="main")
    start: Time | None = option(None, "Position of the seed in a video: a time or a frame number.", Group.TIME)
    blend: Path | None = option(
        None, "A driving video, which is mixed into the model's input.", Group.INPUT, metavar="VIDEO"
    )
    mask: str | None = mask_option("Show the dream", "SEED continues in the black area. ")
    sound: Path | None = option(None, "A sound for the curves. It becomes the sound of the result.", Group.INPUT)
    recipe: Recipe

    def __post_init__(self) -> None:
        check_counts(frames=self.frames)
        optional_mask(self.mask)
        amount = self.recipe.settings("dreaming", DreamingSettings).blend_amount
        if self.mask is not None and self.recipe.settings("dreaming", DreamingSettings).loop:
            raise UsageError("--loop --mask", "what is seen around the dream does not loop", "leave out one of them")
        if self.blend is None and amount != DreamingSettings.blend_amount:
            raise UsageError(flag_of("blend_amount"), "there is no driving video", "give one with --blend VIDEO")
        seeds = [name for name in self.source if not name.endswith(MODEL_SUFFIX)]
        if len(seeds) != 1:
            why = f"{len(seeds)} were given ({', '.join(seeds)})" if seeds else "there is none"
            raise UsageError("SEED", why, "give one video, one picture, or the word noise")
        if (more := [name for name in self.source if name not in seeds]) and len(self.model) > 1:
            raise UsageError(more[0], "it follows no --model of its own", "put --model before each one")

    @classmethod
    def epilog(cls) -> str:
        """Return the help on settings that accept curves."""
        return VALUE_HELP

    @property
    def _source(self) -> Path | None:
        """Return the path of the video or picture to start from; None for noise."""
        from vidtrans.dreaming.predictors import NOISE

        seed = next(name for name in self.source if not name.endswith(MODEL_SUFFIX))
        return None if seed == NOISE else Path(seed)

    @property
    def _models(self) -> list[str]:
        """Return the names of the models, including files that a shell expanded from ``--model *.safetensors``."""
        return [*self.model, *(name for name in self.source if name.endswith(MODEL_SUFFIX))]

    @property
    def _paths(self) -> list[Path]:
        """Return the paths of all input files except models: seed, driving video, sound and mask."""
        mask = optional_mask(self.mask)
        return [p for p in (self._source, self.blend, self.sound, *(mask.files if mask else [])) if p]

    def make(self, context: Context) -> Table:
        """Generate frames by repeated prediction, and write them as a video or pictures.

        Raises UsageError, MediaError, ModelError, DeviceError, Interrupted.
        """
        from vidtrans.config.recipe import warn_about_programs
        from vidtrans.core.files import base_name
        from vidtrans.dreaming.predictors import NOISE, check_options, load_models
        from vidtrans.models.model_file import SUFFIX
        from vidtrans.output.result import Result, Work, refuse_link
        from vidtrans.rendering.requested_output import OutputTarget
        from vidtrans.video.io.encoding import EncodingSettings

        began = time.monotonic()
        recipe, sound = self.recipe, self.sound
        models = load_models(self._models, context)
        encoding = recipe.settings("encoding", EncodingSettings)
        encoding = encoding.resolved(pictures=False, output=self.output, report=context.report)
        dreaming = recipe.settings("dreaming", DreamingSettings)
        check_options(models, dreaming)
        if sound is not None and (encoding.makes_pictures or encoding.codec == "gif"):
            text = f"expressions hear {sound.name}, and the result is silent: use -o with .mp4 or .mkv to keep it"
            context.note(text, "warning")
        seed = base_name(self._source) if self._source else NOISE
        name = f"{seed}.{models[0].name.removesuffix(SUFFIX)}.dream{encoding.default_suffix(single=False)}"
        target = OutputTarget.find(self.output or refuse_link(Path(name)), encoding)
        digest = self._digest(models, target, context)
        sources = [*self._paths, *(model.path for model in models if model.path), *dreaming.files]
        result = Result(target.output, digest, sources, context, target.folder, began=began)

        def prepare() -> Work:
            """Plan the dream video; return the job that renders it, with the estimate that --dry-run prints."""
            from vidtrans.dreaming.dream_job import DreamJob  # torch
            from vidtrans.dreaming.dream_planning import DreamSpec, plan_dream

            target.check_holds(self.frames)
            warn_about_programs(recipe.programs, context, ("encoding",))
            rendering, inputs = recipe.settings("rendering", RenderingSettings), (self.start, self.blend, sound)
            settings = dreaming, rendering, encoding
            spec = DreamSpec(self._source, self.frames, *inputs, *settings, optional_mask(self.mask))
            job = DreamJob(plan_dream(spec, models, target, context), context)
            job.pictures.tell_unused(recipe, context)
            return Work(job.render, partial(result.forecast, job))

        return result.produce(prepare)

    def describe(self, table: Table) -> str:
        """Return the report on the generated clip as text. ``table``: the result of ``make``."""
        return render_text(table)

    def _digest(self, models: Sequence[LoadedModel], target: OutputTarget, context: Context) -> str:
        """Return the digest of all inputs that affect the result. Raises UsageError, and MediaError if unreadable."""
        from vidtrans.clips.indexing import content_digest
        from vidtrans.core.files import digest_of
        from vidtrans.flow.survey import VERSION as SURVEY_VERSION
        from vidtrans.masking.found_masks import mask_digest
        from vidtrans.output.delivery import VERSION as ASSEMBLY_VERSION
        from vidtrans.pairing.pairing_records import pairing_record
        from vidtrans.rendering.requested_output import ffmpeg_version_for
        from vidtrans.store.stages import DreamStage
        from vidtrans.upscaling import VERSION as UPSCALING_VERSION

        files = {"source": self._source, "blend": self.blend, "sound": self.sound}
        within = optional_mask(self.mask)
        rendering = self.recipe.settings("rendering", RenderingSettings)
        dreaming = self.recipe.settings("dreaming", DreamingSettings)
        return digest_of(
            {
                "command": "dream",
                "seed": context.seed if self._source is None or dreaming.wanders() else None,
                "models": [[model.digest, pairing_record(model.pairing)] for model in models],
                "frames": self.frames,
                "start": str(self.start),
                "dreaming": dreaming.for_key(),
                "rendering": {name: getattr(rendering, name) for name in READS} | rendering.engine_plugin,
                "encoding": target.encoding.for_key(),
                "pattern": target.pattern,
                "versions": [DreamStage.id(), SURVEY_VERSION, ASSEMBLY_VERSION, UPSCALING_VERSION],
                "program": ffmpeg_version_for(target.encoding),
                "device": context.device_kind,
                **({"mask": mask_digest(context, within)} if within else {}),
                **{name: content_digest(context, path) if path else "" for name, path in files.items()},
            }
        )
