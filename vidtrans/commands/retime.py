"""``vidtrans retime``: make frames between frames, change the speed, hold frames, add motion blur."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vidtrans.commands.base import CACHE_OPTIONS, Command
from vidtrans.commands.options import END_OPTION, START_OPTION, output_option
from vidtrans.commands.results import RenderedClip
from vidtrans.commands.text_reports import cost_text, timing
from vidtrans.config.recipe import Recipe
from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.options import Group, Use, argument, option, settings_with_use
from vidtrans.core.settings import Table, Time
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.rendering.retime_job import RetimeSpec
    from vidtrans.video.io.encoding import EncodingSettings

READS = settings_with_use(RenderingSettings, Use.RETIME)  # Keys of [rendering] that the command reads
OUTPUT_NAME = "retimed"  # Part of the default output's name: clip.retimed.mp4
MAX_FACTOR = 100  # Largest factor of the clip's frame rate
SPEED_HELP = (
    "A speed is a number, 0.5 for half, or a curve over the clip's time (see 'vidtrans curves --help'): "
    "'0: 1, 2s: 0.25 ease, 4s: 1' slows down and speeds up again. Cuts stay cuts. Repeated frames, such as "
    "drawings on twos, are replaced by frames between the drawings."
)


@dataclass(frozen=True)
class Retime(Command):
    """Change the timing of VIDEO: frame rate, slow motion, speed ramps, held frames, motion blur.

    New frames are interpolated along the motion. If two frames differ too much, the nearer frame is repeated. The sound
    is stretched with the pictures.
    """

    CONTEXT: ClassVar = CACHE_OPTIONS
    RESULT: ClassVar = RenderedClip
    TABLES: ClassVar = {"rendering": READS, "encoding": ("codec", "filter")}
    READS: ClassVar = READS

    video: Path = argument()
    output: Path | None = output_option("The result.", "VIDEO.retimed.mp4, for pictures a folder")
    _: KW_ONLY
    guide: Path | None = option(
        None,
        "A clip with more frames per second, such as the film under a drawn animation. The frames of VIDEO "
        "follow its motion, and the result has its frame times.",
        Group.INPUT,
        metavar="VIDEO",
    )
    first_number: int | None = option(
        None,
        "Number of the guide's first frame in the names of the pictures.",
        Group.INPUT,
        metavar="N",
        default_text="0 if there is a picture 0, else 1; or the numbers of the guide's own pictures",
    )
    start: Time | None = START_OPTION(None)
    end: Time | None = END_OPTION(None)
    fps: str = option(
        "source",
        "Frame rate of the result in frames per second: a number, xN for N times the source's rate, or source.",
        Group.TIME,
        metavar="N|xN|source",
        form="main",
    )
    speed: str = option(
        "1",
        "Speed of the clip: a number, or a curve that changes it over time.",
        Group.TIME,
        metavar="N|CURVE",
        form="main",
    )
    hold: int = option(
        1, "Hold each picture for N frames: 2 is animation on twos.", Group.TIME, bounds=(1, 1000), form="main"
    )
    motion_blur: float = option(
        0.0,
        "Motion blur, as the shutter angle of a camera in degrees. Film cameras use 180.",
        Group.TIME,
        metavar="DEGREES",
        bounds=(0.0, 1080.0),
        form="main",
    )
    pitch: str = option(
        "keep",
        "Pitch of the sound when the speed changes. keep: unchanged. follow: changes with the speed, as on "
        "tape. none: no sound.",
        Group.TIME,
        choices=("keep", "follow", "none"),
    )
    doubt: str = option(
        "hold",
        "Result for an uncertain picture between two frames. hold: the nearer frame. make: the interpolated picture.",
        Group.TIME,
        choices=("hold", "make"),
    )
    recipe: Recipe

    def __post_init__(self) -> None:
        self._rate()
        if self.first_number is not None and self.guide is None:
            raise UsageError("--first-number", "it counts the frames of a guide", "add --guide VIDEO")

    @classmethod
    def epilog(cls) -> str:
        """Return the help on speeds."""
        return SPEED_HELP

    def _rate(self) -> tuple[Fraction | None, Fraction]:
        """Return the frame rate, or None, and the factor of the clip's rate. Raises UsageError."""
        from vidtrans.video.io.encoding import EncodingSettings

        text = self.fps.strip()
        if text.lower().startswith("x"):
            with suppress(ValueError, ZeroDivisionError):
                factor = Fraction(text[1:])
                if Fraction(1, MAX_FACTOR) <= factor <= MAX_FACTOR:
                    return None, factor.limit_denominator(1001)
            raise UsageError(f"--fps {self.fps}", "it is not a factor", f"give one up to x{MAX_FACTOR}, as x2")
        return EncodingSettings(fps=text).rate, Fraction(1)

    def make(self, context: Context) -> Table:
        """Change the time of a clip.

        Raises UsageError, MediaError, Interrupted.
        """
        from vidtrans.clips.cut_list import cuts_for_key, with_cuts
        from vidtrans.clips.indexing import content_digest, open_clip, with_picture_fps
        from vidtrans.config.recipe import warn_about_programs
        from vidtrans.core.files import digest_of
        from vidtrans.curves.curve import files_in
        from vidtrans.flow.survey import VERSION as SURVEY_VERSION
        from vidtrans.output.delivery import VERSION as ASSEMBLY_VERSION
        from vidtrans.output.result import Result, Work, refuse_link
        from vidtrans.rendering.requested_output import OutputTarget, default_output, ffmpeg_version_for
        from vidtrans.store.stages import RetimeStage
        from vidtrans.video.io.encoding import EncodingSettings
        from vidtrans.video.io.picture_paths import is_picture_source

        began = time.monotonic()
        encoding = self.recipe.settings("encoding", EncodingSettings)
        encoding = encoding.resolved(pictures=is_picture_source(self.video), output=self.output, report=context.report)
        rendering = self.recipe.settings("rendering", RenderingSettings)
        output = self.output or refuse_link(default_output(self.video, [OUTPUT_NAME], encoding))
        target = OutputTarget.find(output, encoding)
        guides = [self.guide] if self.guide else []
        files = [Path(file) for file in files_in(self.speed)]
        spec = self._spec(target.encoding, rendering.chunk_frames)
        digest = digest_of(
            {
                "command": "retime",
                "clip": content_digest(context, self.video),
                "guide": [content_digest(context, self.guide), self.first_number] if self.guide else [],
                "span": [str(self.start), str(self.end)],
                "speed": [self.speed, [content_digest(context, file) for file in files]],
                "rate": [str(spec.rate), str(spec.factor), spec.hold, str(spec.shutter)],
                "choices": [spec.pitch, spec.holds_doubt],
                "rendering": [rendering.chunk_frames, cuts_for_key(rendering.cuts), rendering.picture_fps],
                "encoding": target.encoding.for_key(),
                "pattern": target.pattern,
                "versions": [RetimeStage.id(), SURVEY_VERSION, ASSEMBLY_VERSION],
                "program": ffmpeg_version_for(target.encoding),
            }
        )
        result = Result(target.output, digest, [self.video, *guides, *files], context, target.folder, began=began)

        def prepare() -> Work:
            """Plan the result; return the job that renders it, with the estimate that --dry-run prints."""
            from vidtrans.rendering.retime_job import RetimeJob

            warn_about_programs(self.recipe.programs, context, ("encoding",))
            clip = with_picture_fps(open_clip(context, self.video), rendering.picture_fps)
            guide = None
            if self.guide is not None:
                guide = with_picture_fps(open_clip(context, self.guide), rendering.picture_fps)
                guide = with_cuts(guide, rendering.cuts)
            else:
                clip = with_cuts(clip, rendering.cuts)
            span, first = (self.start, self.end), self.first_number
            job = RetimeJob(clip, guide, span, spec, context, pattern=target.pattern, first_number=first)
            target.check_holds(job.schedule.count)
            return Work(job.render, partial(result.forecast, job))

        return result.produce(prepare)

    def _spec(self, encoding: EncodingSettings, chunk_frames: int) -> RetimeSpec:
        """Return what is asked for. A constant rate of [encoding] is the result's, unless ``--fps`` gives another."""
        from vidtrans.rendering.retime_job import RetimeSpec

        rate, factor = self._rate()
        if rate is None and factor == 1:
            rate = encoding.rate
        shutter = Fraction(str(self.motion_blur)) / 360
        encoding = replace(encoding, fps="source")
        doubt = self.doubt == "hold"
        return RetimeSpec(self.speed, rate, factor, self.hold, shutter, self.pitch, doubt, encoding, chunk_frames)

    def describe(self, table: Table) -> str:
        """Return the report on the retimed clip as text. ``table``: the result of ``make``."""
        frames = count(table["frames"], "frame")
        if table.get("dry_run"):
            return f"would make {table['output']}: {frames} at {float(Fraction(table['rate'])):g} fps{cost_text(table)}"
        held = f"; {count(table['frames_held'], 'frame')} held in doubt" if table.get("frames_held") else ""
        return f"{table['output']}: {frames}{timing(table)}{held}"
