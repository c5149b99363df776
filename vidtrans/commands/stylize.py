"""``vidtrans stylize``: render a model onto videos, with their sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from vidtrans.batch.batch_options import SEQUENTIAL, BatchOptions
from vidtrans.commands.base import CACHE_OPTIONS, NO_ARGUMENTS, Command, UserArguments, command_line_words
from vidtrans.commands.options import (
    BATCH_OPTIONS,
    BESIDE_OPTION,
    END_OPTION,
    HANDLES_OPTION,
    MASKS_OPTION,
    MEDIA_OPTION,
    RATE_OPTION,
    REGIONS_OPTION,
    REST_OPTION,
    START_OPTION,
    check_beside,
    missing_model_error,
    models_option,
    parse_frame_rate,
)
from vidtrans.commands.results import RenderedClip
from vidtrans.commands.text_reports import Terminal, part_text, render_text
from vidtrans.config.recipe import Recipe, render_recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.mask_files import check_regions, only_mask, parse_regions, parse_rest
from vidtrans.core.options import Group, Names, argument, option
from vidtrans.core.settings import Table, Time
from vidtrans.pipeline.render import look_named
from vidtrans.session import Context
from vidtrans.store.chunking import ClipPart
from vidtrans.strokes.settings import medium_of_tables
from vidtrans.timelines.timeline import is_timeline

if TYPE_CHECKING:
    from vidtrans.stylizing.requests import StylizeRequest

LIST_SUFFIX = ".toml"  # Suffix of a file that lists clips with their models and options
# Parameters of 'stylize' that --print-jobs leaves out of the printed commands
UNPRINTED_PARAMETERS = (
    *("output", "beside", "print_jobs", "chunk", "join", "score", "dry_run"),
    *("jobs", "executor", "shard", "halt", "retry"),
)


@dataclass(frozen=True)
class Stylize(Command):
    """Paint videos in a look, or with a model. Every frame, every timestamp and the sound are kept.

    vidtrans stylize clip.mp4 --look oil

    vidtrans stylize clip.mp4 --look painting.jpg

    vidtrans stylize clip.mp4 --model mine

    To resume a stopped render, run the same command again.

    A VIDEO can also be a picture, a folder of pictures, or numbered pictures (frames/%05d.png). The result is of the
    same kind, unless -o sets another.

    For several clips, give a folder of videos, a pattern ('clips/*.mov'), or a list (clips.toml). A list can have
    models and options for each clip. If a clip fails, the command reports it and renders the others. A timeline of an
    editor (.otio, .edl) is also a list of clips. A new timeline with the results is written beside them.

    Several models (--model a --model b) form a chain: each takes the output of the model before, in one pass. The
    temporal filter is applied once, at the end.
    """

    CONTEXT: ClassVar = (*CACHE_OPTIONS, "device", "decoder")
    RESULT: ClassVar = RenderedClip
    TABLES: ClassVar = {"pairing": (), "rendering": None, "strokes": None, "temporal": None, "encoding": None}
    BATCH: ClassVar = BATCH_OPTIONS

    video: tuple[Path, ...] = argument("VIDEO...")
    model: tuple[str, ...] = models_option(
        "A model file or a model name; 'identity' returns its input. Repeat the option for a chain of models. "
        "Not required if --look names a medium or pictures, if --strokes names a medium, or if a list of "
        "clips names models or looks."
    )
    output: str | None = option(
        None,
        "The result. For several clips: a folder. For a timeline: a folder, or the new timeline.",
        Group.OUTPUT,
        ("-o", "--output"),
        default_text="VIDEO.MODEL.mp4, for pictures .png or a folder",
        access="path",
    )
    _: KW_ONLY
    beside: bool = BESIDE_OPTION(False)
    mask: tuple[str, ...] = MASKS_OPTION(())
    region: tuple[str, ...] = REGIONS_OPTION(())
    rest: tuple[str, ...] = REST_OPTION(())
    handles: int = HANDLES_OPTION(12)
    media: tuple[Path, ...] = MEDIA_OPTION(())
    rate: str = RATE_OPTION("")
    start: Time | None = START_OPTION(None)
    end: Time | None = END_OPTION(None)
    score: bool = option(
        False, "Measure the flicker, and save a plot next to the output: see 'evaluate'.", Group.OUTPUT
    )
    chunk: ClipPart | None = option(
        None,
        "Render only part I of N of the clip or timeline into the cache, for job arrays. 3-5/8 renders several parts.",
        Group.FARM,
        metavar="I/N",
        rare=True,
    )
    join: bool = option(
        False,
        "Join the parts into the result. With --chunk: only if no other part is missing.",
        Group.FARM,
        rare=True,
    )
    print_jobs: str | None = option(
        None,
        "Print bash commands that render this in parts on a farm, and exit. --jobs sets the largest number of parts.",
        Group.FARM,
        metavar="FORMAT",
        choices=Names("vidtrans.batch.farm:JOB_FORMATS", "job format"),
        rare=True,
    )
    recipe: Recipe
    batch: BatchOptions = SEQUENTIAL
    user_arguments: UserArguments = NO_ARGUMENTS

    def __post_init__(self) -> None:
        if self._has_clip_list and len(self.video) > 1:
            raise UsageError(
                str(self.video[1]), f"{self._input_noun} cannot be combined with other inputs", "give it alone"
            )
        self._check_regions()
        has_look = look_named(self.recipe.tables) or medium_of_tables(self.recipe.tables)
        if not (self.model or self.region) and not self._has_clip_list and not has_look:
            raise missing_model_error("stylize", self.video)
        self._check_strokes()
        if self._has_clip_list:
            check_beside(self.beside, self.video[0], self._input_noun)
        self._check_timeline()
        check_beside(self.beside, None if self.output is None else Path(self.output))
        self._check_parts()

    def _check_strokes(self) -> None:
        """Raise UsageError if settings of strokes are given, but nothing paints strokes."""
        from vidtrans.models.look_pictures import is_medium
        from vidtrans.models.model_file import sole_medium

        unread, tables = self.user_arguments.tables.get("strokes"), self.recipe.tables
        paints = self.region or self._has_clip_list or medium_of_tables(tables) or is_medium(look_named(tables))
        if unread and not paints and not sole_medium(self.model):
            setting, why = f"strokes.{next(iter(unread))}", "it is for strokes, and there are none"
            raise UsageError(setting, why, "add --strokes MEDIUM")

    def _check_parts(self) -> None:
        """Raise UsageError if --print-jobs, --chunk or --join conflict with the input or other options."""
        for flag, value in (("--print-jobs", self.print_jobs), ("--chunk, --join", self.chunk or self.join)):
            if value and self._is_list:
                why = f"each clip of {self._input_noun} has its own output and options"
                raise UsageError(flag, why, "name one clip, or several whose options are the same")
            if value and self._is_timeline and self.batch.is_partial:
                raise UsageError(flag, "it divides the whole timeline", "leave out --shard and --retry-failed")
        if self.print_jobs and (self.batch.retry or self.chunk or self.join):
            why = "it prints a job for whole clips"
            raise UsageError("--print-jobs", why, "leave out --chunk, --join and --retry-failed")
        if (self.chunk or self.join) and (self.batch.jobs or self.batch.executor != SEQUENTIAL.executor):
            why = "this process renders one part of the clip itself"
            raise UsageError("--chunk, --join", why, "leave out --jobs and --executor")

    def _check_timeline(self) -> None:
        """Raise UsageError if options for timelines are given without one, or --start or --end with one."""
        if not self._is_timeline:
            if used := [name for name in ("handles", "media", "rate") if name in self.user_arguments.values]:
                why = f"{self.video[0]} is not a timeline"
                raise UsageError(f"--{used[0]}", why, "give a .otio or .edl file, or leave it out")
        elif self.start or self.end:
            raise UsageError("--start, --end", "a timeline has its own", "shorten the clips in the timeline")
        elif self.rate:
            parse_frame_rate("--rate", self.rate)

    def _check_regions(self) -> None:
        """Raise UsageError if --mask, --region, --rest, --model and --look conflict."""
        look = look_named(self.recipe.tables)
        if self._is_list and self.region:
            why = "the clips of a list have their own masks"
            raise UsageError("--region", why, "write mask and region into the list")
        check_regions(self.mask, self.region, self.rest, (("--model", self.model), ("--look", look)))

    @classmethod
    def recipe_of(cls, preset: str | None, tables: Mapping[str, Table], arguments: Mapping[str, Any]) -> Recipe:
        """Return the recipe of a render. Raises UsageError.

        For a list of clips the preset is left out, because each clip's entry applies it.
        """
        return render_recipe(None if _is_list(arguments["video"]) else preset, tables)

    @classmethod
    def usual_recipe(cls) -> Recipe:
        """Return the recipe whose settings the help shows as defaults."""
        return render_recipe(None, {})

    @property
    def _is_list(self) -> bool:
        """Return whether the input is a list of clips (.toml)."""
        return _is_list(self.video)

    @property
    def _is_timeline(self) -> bool:
        """Return whether the input is an editor's timeline (.otio, .edl)."""
        return is_timeline(self.video[0])

    @property
    def _has_clip_list(self) -> bool:
        """Return whether the input is a list of clips or a timeline."""
        return self._is_list or self._is_timeline

    @property
    def _input_noun(self) -> str:
        """Return the noun for a list of clips or a timeline, for messages."""
        return "a timeline" if self._is_timeline else "a list of clips"

    @property
    def _folder(self) -> Path:
        """Return the folder of the results: --output, or else the current folder."""
        return Path(self.output or "")

    def make(self, context: Context) -> Table:
        """Render models onto videos, pictures or folders, several of them in sequence or in parallel.

        Every frame keeps its timestamp, and sound packets are copied. Raises UsageError, MediaError, ModelError,
        DeviceError, Interrupted.
        """
        from vidtrans.batch.jobs import batch_table
        from vidtrans.stylizing.clips import place_results, stylize_batch, stylize_one
        from vidtrans.stylizing.parts import print_jobs, stylize_part

        if self._is_timeline:
            return self._make_timeline(context)
        requests = self._requests(context)
        if (self.chunk or self.join) and (len(requests) > 1 or self.batch.is_partial):
            remedy = "name one, or divide several with --shard I/N"
            raise UsageError("--chunk, --join", "they are for one clip", remedy)
        if self.print_jobs or self.chunk or self.join:
            if not all(request.output for request in requests):
                requests = place_results(requests, self._folder)
            if self.print_jobs:
                return print_jobs(requests, self.print_jobs, self._command, self.batch, context)
            return stylize_part(requests[0], self.chunk, context, join=self.join)
        if self._is_named(requests) and not self._is_list:
            return stylize_one(requests[0], self.batch, context)
        outcomes, summary = stylize_batch(requests, self._folder, self.batch, context)
        return batch_table(outcomes, summary, {"output": str(self._folder)})

    def _make_timeline(self, context: Context) -> Table:
        """Render the clips of a timeline; return the table of the batch. Raises the errors of ``make``."""
        from vidtrans.batch.jobs import batch_table
        from vidtrans.stylizing.timeline_render import TimelineJob, print_timeline, stylize_timeline

        given, rate = self.user_arguments, parse_frame_rate("--rate", self.rate) if self.rate else None
        job = TimelineJob(self.video[0], self.output or "", self.handles, self.media, rate, given.preset, given.tables)
        if self.print_jobs:
            return print_timeline(job, self._template, self.print_jobs, self._command, self.batch.jobs, context)
        template, part = self._template, self.chunk
        outcomes, summary, facts = stylize_timeline(job, template, self.batch, context, part, join=self.join)
        return batch_table(outcomes, summary, {"output": str(job.folder), **facts})

    @property
    def _template(self) -> StylizeRequest:
        """Return the request that all clips share, except video and output. Raises UsageError."""
        from vidtrans.models.look_pictures import models_named
        from vidtrans.models.model_file import IDENTITY
        from vidtrans.stylizing.requests import StylizeRequest

        span = (self.start, self.end)
        models = self.model if self._has_clip_list else models_named(self.model, self.recipe.tables)
        template = StylizeRequest(self.video[0], models, None, self.recipe, *span, score=self.score)
        if not self.region:
            return replace(template, mask=only_mask(self.mask))
        regions = parse_regions(self.mask, self.region)
        return replace(template, models=parse_rest(self.rest) or (IDENTITY,), regions=regions)

    def _requests(self, context: Context) -> list[StylizeRequest]:
        """Return the request for the render of each clip."""
        from vidtrans.stylizing.clips import place_one, read_clip_list, requests_for

        template = self._template
        if self._is_list:
            preset, tables = self.user_arguments.preset, self.user_arguments.tables
            return read_clip_list(self.video[0], template, preset, tables, context, self._folder)
        requests = requests_for(self.video, template, context, None if self.beside else self._folder)
        if self._is_named(requests) and not self.beside:
            requests = [place_one(requests[0], self.output, context.cache)]
        return requests

    def _is_named(self, requests: Sequence[StylizeRequest]) -> bool:
        """Return whether the user named a single clip. The results of a folder or pattern go into a folder."""
        return [request.video for request in requests] == list(self.video[:1]) and not self.batch.is_partial

    @property
    def _command(self) -> tuple[str, ...]:
        """Return the words of the commands that --print-jobs prints, up to the input's path."""
        return ("vidtrans", "stylize", *command_line_words(type(self), self.user_arguments, UNPRINTED_PARAMETERS))

    def show(self, table: Table, terminal: Terminal) -> int:
        """Show the result, the failures of a batch, or the printed job; return the exit status."""
        if "job" in table and not terminal.as_json:
            terminal.file_content(table["job"])
            return 0
        return super().show(table, terminal)

    def describe(self, table: Table) -> str:
        """Return the report on a rendered clip or part as text. ``table``: the result of ``make``."""
        if "job" in table:
            return ""
        return part_text(table) if self.chunk or self.join else render_text(table)


def _is_list(paths: tuple[Path, ...]) -> bool:
    """Return whether the first path is a list of clips (.toml)."""
    return paths[0].suffix.lower() == LIST_SUFFIX
