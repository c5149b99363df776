"""``vidtrans stylize``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import Flags, KeepsArguments, command_options, options_given
from vidtrans.cli.console import Console
from vidtrans.cli.options import (
    CACHING,
    batch_options,
    codec_option,
    colour_option,
    cuts_option,
    end_option,
    filter_option,
    mix_option,
    models_option,
    no_shared_disk_option,
    output_option,
    setting_option,
    size_option,
    start_option,
    strength_option,
    temporal_option,
    videos_argument,
)
from vidtrans.cli.types import FILE, FOLDERS, PART, RegistryName
from vidtrans.commands.words import batch_table, part_text, render_text, show_batch
from vidtrans.errors import UsageError

if TYPE_CHECKING:
    from vidtrans.batch.options import BatchOptions
    from vidtrans.requests import StylizeRequest
    from vidtrans.session import Context
    from vidtrans.settings import Time
    from vidtrans.store.chunking import Part


# Parameters that are of the command that prints jobs, not of those that it prints.
NOT_PRINTED = (
    *("videos", "output", "print_jobs", "chunk", "join", "score", "dry_run", "as_json"),
    *("jobs", "executor", "no_shared_disk", "shard", "retry", "halt"),
)


@click.command("stylize", cls=KeepsArguments)
@videos_argument
@models_option(
    "A model file or name; 'identity' returns its input. Repeated, each paints what the one before it has painted. "
    "Only a list of clips may name its own.",
    required=False,
)
@output_option("The result; a folder for several clips.  [default: VIDEO.MODEL.mp4, for pictures .png or a folder]")
@size_option
@temporal_option
@setting_option(
    "--draft",
    "rendering",
    "draft_step",
    "A quick look: paint every n-th frame, up to the 12th, carry the others along the motion.",
    type=click.IntRange(1, 12),
    metavar="N",
)
@setting_option(
    "--engine",
    "rendering",
    "engine",
    "What runs the network.",
    type=RegistryName("vidtrans.inference:ENGINES", "engine", "auto"),
)
@cuts_option("nothing is averaged")
@strength_option
@setting_option(
    "--look",
    "rendering",
    "look",
    "Which look of a model with several: a name; of many: a number, a picture, or shots:N for one in each shot; "
    "keyframes: '0: ink, 120: oil'.",
    metavar="LOOK",
)
@setting_option(
    "--stroke-size", "rendering", "stroke_size", "Of a look from pictures: 0 fine, 1 broad; keyframes too.", metavar="X"
)
@click.option("--mask", type=FILE, help="A matte, white where the look is: a video, a picture, or a folder.")
@mix_option
@colour_option
@setting_option(
    "--drawn",
    "rendering",
    "drawing",
    "The source is a drawing, its lines are taken as they are.",
    type=click.Choice(["auto", "yes", "no"]),
)
@codec_option
@setting_option(
    "--fps",
    "encoding",
    "fps",
    "N frames a second, constant; source keeps every frame and its time.",
    metavar="source|N",
)
@filter_option
@setting_option(
    "--filter-source",
    "rendering",
    "source_filter",
    "A filter graph of your own ffmpeg, on the source, before the model sees it.",
    metavar="GRAPH",
)
@start_option()
@end_option()
@click.option("--score", is_flag=True, help="Measure flicker and save a plot next to the output: see 'evaluate'.")
@batch_options
@no_shared_disk_option
@click.option(
    "--chunk",
    type=PART,
    metavar="I/N",
    help="Render one of N parts of the clip into the cache, or some, as 3-5/8: for job arrays.",
)
@click.option(
    "--join",
    is_flag=True,
    help="Make the result of the parts. With --chunk: if that was the last one that was missing.",
)
@click.option(
    "--print-jobs",
    type=RegistryName("vidtrans.batch.farm:JOB_FORMATS", "job format"),
    metavar="FORMAT",
    help="Print bash commands that render this on a farm, in parts (--jobs: their largest number), and exit.",
)
@command_options(*CACHING, "device", "decoder", tables=("pairing", "rendering", "temporal", "encoding"))
def stylize(
    videos: tuple[Path, ...],
    models: tuple[str, ...],
    output: Path | None,
    mask: Path | None,
    start: Time | None,
    end: Time | None,
    score: bool,
    chunk: Part | None,
    join: bool,
    print_jobs: str | None,
    batch: BatchOptions,
    flags: Flags,
    context: Context,
    console: Console,
) -> int:
    """Render a model onto videos: every frame, every timestamp, and the sound. Stop it; the same command goes on.

    A VIDEO may be a picture, a folder of pictures, or numbered ones (frames/%05d.png) as well: the result is of that
    kind too, unless -o says otherwise. A folder of videos stands for these, a pattern ('clips/*.mov') for what it
    matches, and a list (night.toml) for clips with models and options of their own: each is rendered, one that fails
    is named and passed over. Several models (--model a --model b) are rendered one after the other in one pass, and the
    temporal filter comes once, at the end.
    """
    from vidtrans.config.recipe import render_recipe
    from vidtrans.pipeline import clip_list
    from vidtrans.pipeline.stylize_batch import requests_for, stylize_batch, stylize_one
    from vidtrans.requests import StylizeRequest

    folder, is_list = output or Path(), videos[0].suffix.lower() == clip_list.SUFFIX
    if is_list and len(videos) > 1:
        raise UsageError(str(videos[1]), "a list of clips stands alone", "give one list, or videos")
    if not models and not is_list:
        raise click.MissingParameter(ctx=click.get_current_context(), param_hint="'--model'", param_type="option")
    recipe = render_recipe(None if is_list else flags.preset, flags.tables)
    template = StylizeRequest(videos[0], models, None, recipe, start, end, mask, score)
    if is_list:
        requests = clip_list.read_clip_list(videos[0], template, flags.preset, flags.tables, context, folder)
    else:
        requests = requests_for(videos, template, context, folder)
        if len(requests) == 1 and not batch.is_partial:
            requests = [replace(requests[0], output=_output_of(requests[0], output))]
    if print_jobs and is_list:
        why = "the clips of a list have options of their own"
        raise UsageError("--print-jobs", why, "name the clips whose options are the same, and print a job for these")
    if print_jobs:
        return _print_jobs(requests, folder, print_jobs, batch, context, console)
    if chunk or join:
        if is_list:
            raise UsageError("--chunk, --join", "the clips of a list have places of their own", "name one clip")
        from vidtrans.pipeline.stylize_parts import stylize_part  # it imports torch

        table = stylize_part(_only_one(requests, batch), chunk, context, join=join)
        console.result(table, part_text(table))
        return 0
    if len(requests) == 1 and not (is_list or batch.is_partial):
        table = stylize_one(requests[0], batch, context)
        console.result(table, render_text(table))
        return 0
    outcomes, summary = stylize_batch(requests, folder, batch, context)
    return show_batch(console, batch_table(outcomes, summary, {"output": str(folder)}))


def _only_one(requests: Sequence[StylizeRequest], batch: BatchOptions) -> StylizeRequest:
    """Return the request whose parts are rendered. Raises UsageError."""
    if len(requests) != 1 or batch.is_partial:
        raise UsageError("--chunk, --join", "they are for one clip", "name one, or divide several with --shard I/N")
    if batch.jobs or batch.executor != "auto":
        raise UsageError("--chunk, --join", "this process renders a part", "leave --jobs and --executor out")
    return requests[0]


def _print_jobs(
    requests: Sequence[StylizeRequest],
    folder: Path,
    job_format: str,
    batch: BatchOptions,
    context: Context,
    console: Console,
) -> int:
    """Print the commands that render clips on a farm."""
    from vidtrans.batch.inputs import parse_shard, shard_of
    from vidtrans.pipeline.print_jobs import print_jobs
    from vidtrans.pipeline.stylize_batch import default_output_of, place_results

    click_context = click.get_current_context()
    if len(requests) == 1 and not batch.is_partial:
        placed = [replace(requests[0], output=requests[0].output or default_output_of(requests[0]))]
    else:
        placed = place_results(requests, folder)
    if batch.shard:
        placed = shard_of(placed, parse_shard(batch.shard))
    if not placed:
        raise UsageError(f"--shard {batch.shard}", "there is no clip in it", "make fewer parts")
    if batch.retry or click_context.params["chunk"] or click_context.params["join"]:
        raise UsageError(
            "--print-jobs", "it prints a job for whole clips", "leave out --chunk, --join and --retry-failed"
        )
    command = ("vidtrans", "stylize", *options_given(click_context, *NOT_PRINTED))
    flags = [flag for p in click_context.command.params if p.name in NOT_PRINTED for flag in p.opts]
    own = {f"{click_context.auto_envvar_prefix}_{flag.lstrip('-').replace('-', '_').upper()}" for flag in flags}
    table = print_jobs(placed, job_format, command, batch.jobs, context, own)
    if console.as_json:
        console.result(table, "")
    else:
        console.file_content(table["job"])
    return 0


def _output_of(request: StylizeRequest, output: Path | None) -> Path | None:
    """Where one clip's result goes.

    A folder that is there takes a video's result in; the result of a folder of pictures is itself a folder.
    """
    from vidtrans.output.target import refuse_link
    from vidtrans.pipeline.stylize_batch import default_output_of
    from vidtrans.video.io.encoding import EncodingSettings
    from vidtrans.video.io.pictures import is_picture_sequence

    makes_pictures = request.recipe.settings("encoding", EncodingSettings).makes_pictures
    gives_folder = is_picture_sequence(request.video) or makes_pictures
    is_folder = output and (output.is_dir() or output in click.get_current_context().meta.get(FOLDERS, ()))
    return refuse_link(output / default_output_of(request)) if output and is_folder and not gives_folder else output
