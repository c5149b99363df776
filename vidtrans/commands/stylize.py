"""``vidtrans stylize``: render a model onto videos, with their sound."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from vidtrans.batch.batch_options import SEQUENTIAL, BatchOptions
from vidtrans.commands.base import CACHING, NOTHING_GIVEN, Command, Given, words_of
from vidtrans.commands.options import BESIDE, END, SEVERAL, START, check_beside, missing_model, models
from vidtrans.commands.results import RenderedClip
from vidtrans.commands.terminal import Terminal
from vidtrans.commands.words import part_text, render_text
from vidtrans.config.recipe import Recipe, render_recipe
from vidtrans.config.rendering_settings import look_named
from vidtrans.core.errors import UsageError
from vidtrans.core.mask_files import only_mask, parse_regions, parse_rest
from vidtrans.core.parameters import Argument, Group, Names, Option
from vidtrans.core.settings import Table, Time
from vidtrans.session import Context
from vidtrans.store.chunking import ClipPart

if TYPE_CHECKING:
    from vidtrans.stylizing.stylize_request import StylizeRequest

LIST_SUFFIX = ".toml"  # of a list of clips
# Parameters of the printing command that the printed commands do not get.
NOT_PRINTED = (
    *("output", "beside", "print_jobs", "chunk", "join", "score", "dry_run"),
    *("jobs", "executor", "shared_disk", "shard", "halt", "retry"),
)


@dataclass(frozen=True)
class Stylize(Command):
    """Render a model onto videos: every frame, every timestamp, and the sound. Run it again to resume a stopped render.

    A VIDEO may also be a picture, a folder of pictures, or numbered pictures (frames/%05d.png); the result is of the
    same kind, unless -o sets another. Several clips: a folder of videos, a pattern ('clips/*.mov'), or a list
    (clips.toml) with models and options for each clip; a clip that fails is reported, and the others are rendered.
    Several models (--model a --model b) form a chain: each takes the output of the one before, in one pass, and the
    temporal filter is applied once, at the end.
    """

    CONTEXT: ClassVar = (*CACHING, "device", "decoder")
    RESULT: ClassVar = RenderedClip
    TABLES: ClassVar = {"pairing": (), "rendering": None, "temporal": None, "encoding": None}
    BATCH: ClassVar = (*SEVERAL, "shared_disk")

    video: Annotated[tuple[Path, ...], Argument("VIDEO...")]
    model: Annotated[
        tuple[str, ...],
        models(
            "A model file or name, or a look that ships; 'identity' returns its input. Repeat the option for a chain "
            "of models. Needed unless --look names pictures, or a list of clips models or pictures."
        ),
    ] = ()
    output: Annotated[
        str | None,
        Option(
            "The result; a folder for several clips.",
            Group.OUTPUT,
            ("-o", "--output"),
            default="VIDEO.MODEL.mp4, for pictures .png or a folder",
            access="path",
        ),
    ] = None
    _: KW_ONLY
    beside: Annotated[bool, BESIDE] = False
    mask: Annotated[
        tuple[str, ...],
        Option(
            "A matte, white where the look is: a video, a picture, or a folder (of several clips one with a matte for "
            "each); not:FILE for the other side. For --region, with a name: man=man.mkv.",
            Group.LOOK,
            metavar="[NAME=]MATTE",
            access="path",
        ),
    ] = ()
    region: Annotated[
        tuple[str, ...],
        Option(
            "The look of a named mask, or of its other side: man=ink, not:man=oil. A model, a look that ships, a "
            "picture, or 'keep'; repeat it for a chain. Later regions lie over earlier ones.",
            Group.LOOK,
            metavar="NAME=MODEL",
            access="path",
        ),
    ] = ()
    rest: Annotated[
        tuple[str, ...],
        Option(
            "With --region: the model of all that is in no region; repeat it for a chain.",
            Group.LOOK,
            metavar="MODEL",
            default="keep, the frames as they are",
            access="path",
        ),
    ] = ()
    start: Annotated[Time | None, START] = None
    end: Annotated[Time | None, END] = None
    score: Annotated[
        bool, Option("Measure flicker and save a plot next to the output: see 'evaluate'.", Group.OUTPUT)
    ] = False
    chunk: Annotated[
        ClipPart | None,
        Option(
            "Render one of N parts of the clip into the cache, or some, as 3-5/8: for job arrays.",
            Group.FARM,
            metavar="I/N",
            rare=True,
        ),
    ] = None
    join: Annotated[
        bool,
        Option(
            "Make the result of the parts. With --chunk: if that was the last one that was missing.",
            Group.FARM,
            rare=True,
        ),
    ] = False
    print_jobs: Annotated[
        str | None,
        Option(
            "Print bash commands that render this on a farm, in parts (--jobs: their largest number), and exit.",
            Group.FARM,
            metavar="FORMAT",
            values=Names("vidtrans.batch.farm:JOB_FORMATS", "job format"),
        ),
    ] = None
    recipe: Recipe
    batch: BatchOptions = SEQUENTIAL
    given: Given = NOTHING_GIVEN

    def __post_init__(self) -> None:
        if self._is_list and len(self.video) > 1:
            raise UsageError(
                str(self.video[1]), "a list of clips cannot be combined with other inputs", "give one list, or videos"
            )
        self._check_regions()
        if not (self.model or self.region) and not self._is_list and not look_named(self.recipe.tables):
            raise missing_model("stylize")
        if self._is_list:
            check_beside(self.beside, self.video[0], "a list of clips")
        check_beside(self.beside, None if self.output is None else Path(self.output))
        if self._is_list and self.print_jobs:
            remedy = "name the clips whose options are the same, and print a job for these"
            raise UsageError("--print-jobs", "each clip of a list has its own options", remedy)
        if self.print_jobs and (self.batch.retry or self.chunk or self.join):
            why = "it prints a job for whole clips"
            raise UsageError("--print-jobs", why, "leave out --chunk, --join and --retry-failed")
        if self.chunk or self.join:
            if self._is_list:
                why = "each clip of a list has its own output"
                raise UsageError("--chunk, --join", why, "name one clip")
            if self.batch.jobs or self.batch.executor != SEQUENTIAL.executor:
                raise UsageError(
                    "--chunk, --join",
                    "this process renders one part of the clip itself",
                    "leave out --jobs and --executor",
                )

    def _check_regions(self) -> None:
        if not self.region:
            only_mask(self.mask)
            if self.rest:
                raise UsageError("--rest", "there is no --region", "give one, or give the model as --model")
            return
        if self._is_list:
            why = "the clips of a list have their own masks"
            raise UsageError("--region", why, "write mask and region into the list")
        for option, given in (("--model", self.model), ("--look", look_named(self.recipe.tables))):
            if given:
                raise UsageError(option, "each --region names its own look", "give the look of all else as --rest")
        parse_regions(self.mask, self.region)
        parse_rest(self.rest)

    @classmethod
    def recipe_of(cls, preset: str | None, tables: Mapping[str, Table], arguments: Mapping[str, Any]) -> Recipe:
        """Return the recipe of a render; for a list, without the preset, which its clips apply. Raises UsageError."""
        return render_recipe(None if _is_list(arguments["video"]) else preset, tables)

    @classmethod
    def usual_recipe(cls) -> Recipe:
        """Return the recipe whose values the help shows as defaults."""
        return render_recipe(None, {})

    @property
    def _is_list(self) -> bool:
        return _is_list(self.video)

    @property
    def _folder(self) -> Path:
        """Return the output folder for several results."""
        return Path(self.output or "")

    def make(self, context: Context) -> Table:
        """Render models onto videos, pictures or folders; several sources in sequence, or in parallel.

        Every frame keeps its timestamp, and sound packets are copied. Raises UsageError, MediaError, ModelError,
        DeviceError, Interrupted.
        """
        from vidtrans.stylizing.clips import stylize_batch, stylize_one

        requests = self._requests(context)
        is_one = len(requests) == 1 and not self.batch.is_partial
        if self.print_jobs:
            return self._print_jobs(requests, context)
        if self.chunk or self.join:
            if not is_one:
                remedy = "name one, or divide several with --shard I/N"
                raise UsageError("--chunk, --join", "they are for one clip", remedy)
            from vidtrans.stylizing.divided_clip import stylize_part

            return stylize_part(requests[0], self.chunk, context, join=self.join)
        if is_one and not self._is_list:
            return stylize_one(requests[0], self.batch, context)
        from vidtrans.commands.batches import batch_table

        outcomes, summary = stylize_batch(requests, self._folder, self.batch, context)
        return batch_table(outcomes, summary, {"output": str(self._folder)})

    def _requests(self, context: Context) -> list[StylizeRequest]:
        """Return a request for each clip. Raises UsageError, ModelError."""
        from vidtrans.models.model_file import IDENTITY
        from vidtrans.stylizing.clip_list import read_clip_list
        from vidtrans.stylizing.clips import requests_for
        from vidtrans.stylizing.stylize_request import StylizeRequest

        video, span = self.video[0], (self.start, self.end)
        template = StylizeRequest(video, self.model, None, self.recipe, *span, score=self.score)
        if self.region:
            regions = parse_regions(self.mask, self.region)
            template = replace(template, models=parse_rest(self.rest) or (IDENTITY,), regions=regions)
        else:
            template = replace(template, mask=only_mask(self.mask))
        if self._is_list:
            preset, tables = self.given.preset, self.given.tables
            return read_clip_list(self.video[0], template, preset, tables, context, self._folder)
        requests = requests_for(self.video, template, context, None if self.beside else self._folder)
        if len(requests) == 1 and not self.batch.is_partial and not self.beside:
            requests = [replace(requests[0], output=self._output_of(requests[0]))]
        return requests

    def _output_of(self, request: StylizeRequest) -> Path | None:
        """Return the output path of one clip.

        A video's result is written into ``-o`` if that is an existing folder or ends in a slash. The result of a folder
        of pictures is a folder, so there ``-o`` names the result itself.
        """
        from vidtrans.output.places import refuse_link
        from vidtrans.stylizing.clips import default_output_of
        from vidtrans.video.io.encoding import EncodingSettings
        from vidtrans.video.io.picture_paths import is_picture_sequence

        if self.output is None:
            return None
        output = Path(self.output)
        makes_pictures = request.recipe.settings("encoding", EncodingSettings).makes_pictures
        gives_folder = is_picture_sequence(request.video) or makes_pictures
        is_folder = output.is_dir() or self.output.endswith(("/", os.sep))
        return refuse_link(output / default_output_of(request)) if is_folder and not gives_folder else output

    def _print_jobs(self, requests: list[StylizeRequest], context: Context) -> Table:
        """Write the farm job that renders the clips as text, and return its table (``job``: the text); run nothing."""
        from vidtrans.batch.inputs import parse_shard, shard_of
        from vidtrans.stylizing.clips import default_output_of, place_results
        from vidtrans.stylizing.print_jobs import print_jobs

        assert self.print_jobs is not None
        if len(requests) == 1 and not self.batch.is_partial:
            placed = [replace(requests[0], output=requests[0].output or default_output_of(requests[0]))]
        else:
            placed = place_results(requests, self._folder)
        if self.batch.shard:
            placed = shard_of(placed, parse_shard(self.batch.shard))
        if not placed:
            raise UsageError(f"--shard {self.batch.shard}", "there is no clip in it", "make fewer parts")
        command = ("vidtrans", "stylize", *words_of(type(self), self.given, NOT_PRINTED))
        return print_jobs(placed, self.print_jobs, command, self.batch.jobs, context)

    def show(self, table: Table, terminal: Terminal) -> int:
        """Show the result, the failures of a batch, or the job."""
        if "job" in table and not terminal.as_json:
            terminal.file_content(table["job"])
            return 0
        return super().show(table, terminal)

    def describe(self, table: Table) -> str:
        """Return the report on one clip, or on a part of it."""
        if "job" in table:
            return ""
        return part_text(table) if self.chunk or self.join else render_text(table)


def _is_list(paths: tuple[Path, ...]) -> bool:
    return paths[0].suffix.lower() == LIST_SUFFIX
