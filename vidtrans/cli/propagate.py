"""``vidtrans propagate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options, refuse_both
from vidtrans.cli.console import Console
from vidtrans.cli.options import (
    CACHING,
    batch_options,
    codec_option,
    colour_option,
    cuts_option,
    end_option,
    filter_choice,
    mix_option,
    output_option,
    start_option,
    steps_option,
    strength_option,
)
from vidtrans.cli.types import FILE
from vidtrans.commands.words import batch_table, cost_text, count, show_batch, timing
from vidtrans.config.recipe import CHAIN
from vidtrans.requests import FOLLOW

if TYPE_CHECKING:
    from vidtrans.batch.options import BatchOptions
    from vidtrans.requests import PropagateRequest
    from vidtrans.session import Context
    from vidtrans.settings import Table


@click.command("propagate")
@click.argument("video", nargs=-1, required=True, type=FILE, metavar="VIDEO...")
@click.option(
    "--keyframes",
    required=True,
    type=FILE,
    metavar="DIR",
    help="The painted frames: pictures whose names end in the frame's number, or that look like it. What is clear in "
    "them is not painted. Of several clips a folder for each, with its name.",
)
@output_option("The result; a folder for several.  [default: VIDEO.painted.mp4]")
@click.option(
    "--follow",
    type=click.Choice(FOLLOW),
    default=FOLLOW[0],
    show_default=True,
    help="What to rely on: paint carried along the motion, the look that a network learned, or each where it is the "
    "better one.",
)
@steps_option("painted_recipe")
@click.option(
    "--minutes",
    type=click.FloatRange(0, 1e6),
    help="Instead of --steps: as many as fit, measured once. 0 trains nothing, and carries paint along the motion "
    "alone.",
)
@click.option("--preview", is_flag=True, help="Write a film of what there is so far, after a minute, and as it learns.")
@filter_choice("painted_recipe")
@cuts_option("nothing is carried")
@strength_option
@click.option("--mask", type=FILE, help="A matte, white where the paint is: a video, a picture, or a folder.")
@click.option(
    "--layer",
    is_flag=True,
    help="Write the paint alone, transparent where nothing is painted, to lie over footage: with a codec that keeps "
    "alpha.",
)
@mix_option
@colour_option
@codec_option
@start_option()
@end_option()
@batch_options
@command_options(
    *CACHING, "device", "decoder", "seed", request="PropagateRequest", tables=CHAIN, recipe="painted_recipe"
)
def propagate(
    request: PropagateRequest, video: tuple[Path, ...], batch: BatchOptions, context: Context, console: Console
) -> int:
    """Paint over one or a few frames of VIDEO, and the others follow.

    vidtrans keyframes clip.mp4, then paint over the pictures in clip.keyframes, and:

    vidtrans propagate clip.mp4 --keyframes clip.keyframes
    """
    from vidtrans.batch.inputs import is_batch
    from vidtrans.pipeline import propagate as command

    refuse_both("steps", "minutes")
    if is_batch(video) or batch.is_partial:
        outcomes, summary = command.propagate_batch(video, request, batch, context)
        return show_batch(console, batch_table(outcomes, summary, {"output": str(request.output or Path())}))
    table = command.propagate(request, context)
    console.result(table, _text(table))
    return 0


def _text(table: Table) -> str:
    frames, keys = count(table["frames"], "frame"), count(len(table["keyframes"]), "key frame")
    if table.get("dry_run"):
        learned = f", learn them in {count(table['steps'], 'step')}" if table["steps"] else ""
        return f"would paint {frames} like {keys}{learned}, into {table['output']}{cost_text(table)}"
    text = f"{table['output']}: {frames} painted like {keys}{timing(table)}"
    return text + (f"\nthe network: {table['model']}" if table["model"] else "")
