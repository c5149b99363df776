"""``vidtrans run``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options, refuse_both
from vidtrans.cli.console import Console
from vidtrans.cli.options import (
    CACHING,
    batch_options,
    codec_option,
    colour_option,
    minutes_option,
    mix_option,
    output_option,
    pairing_option,
    steps_option,
    strength_option,
    target_option,
    temporal_option,
)
from vidtrans.cli.types import FILE
from vidtrans.commands.words import batch_table, cost_text, count, show_batch, timing
from vidtrans.config.recipe import CHAIN

if TYPE_CHECKING:
    from vidtrans.requests import RunRequest
    from vidtrans.session import Context


def _recipe_of(arguments: Mapping[str, object]) -> str:
    return "look_recipe" if arguments["looks"] else "dataset_recipe"


@click.command("run")
@click.argument("video", type=FILE, required=False)
@click.option(
    "--look",
    "looks",
    multiple=True,
    type=FILE,
    metavar="PICTURE",
    help="Learn the manner of a picture instead, as 'vidtrans look' does; on VIDEO, or without one on the clips of "
    "--apply. May be repeated.",
)
@click.option(
    "--apply",
    "apply",
    multiple=True,
    required=True,
    type=FILE,
    metavar="VIDEO",
    help="A clip to render onto; may be repeated.",
)
@output_option("The result; a folder for several clips.", required=True)
@pairing_option
@target_option
@steps_option(with_a_look="look_recipe")
@minutes_option
@temporal_option
@strength_option
@mix_option
@colour_option
@codec_option
@batch_options
@command_options(*CACHING, "device", "decoder", "seed", request="RunRequest", tables=CHAIN, recipe=_recipe_of)
def run(request: RunRequest, context: Context, console: Console) -> int:
    """Teach a look from VIDEO, or from pictures, and render it onto clips; every step is found again.

    vidtrans run film.mp4 --apply clip.mp4 -o out.mp4

    vidtrans run --look painting.jpg --apply clip.mp4 -o out.mp4
    """
    from vidtrans.pipeline.run import run as run_chain

    refuse_both("steps", "minutes")
    table, outcomes, summary = run_chain(request, context)
    if summary is not None:
        return show_batch(console, batch_table(outcomes, summary, table))
    if context.dry_run:
        line = f"would make {count(table['pairs'], 'pair')}, train {count(table['steps'], 'step')}"
        line += f", and render {request.output}{cost_text(table)}"
    else:
        line = f"{table['output']}: {count(table['frames'], 'frame')}, model {table['model']}{timing(table)}"
    console.result(table, line)
    return 0
