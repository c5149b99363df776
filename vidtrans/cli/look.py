"""``vidtrans look``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options, refuse_both
from vidtrans.cli.console import Console
from vidtrans.cli.options import CACHING, minutes_option, output_option, steps_option
from vidtrans.cli.types import FILE
from vidtrans.commands.words import cost_text, count, next_command, timing, trained_text
from vidtrans.config.recipe import CHAIN
from vidtrans.errors import UsageError

if TYPE_CHECKING:
    from vidtrans.requests import LookRequest
    from vidtrans.session import Context
    from vidtrans.settings import Table


@click.command("look")
@click.argument("pictures", nargs=-1, required=True, type=FILE, metavar="PICTURE...")
@click.option(
    "--on",
    "on",
    multiple=True,
    type=FILE,
    metavar="VIDEO",
    help="A clip to learn on, best the one that it is for; may be repeated.  [default: pictures that ship]",
)
@output_option("The model.  [default: PICTURE.safetensors]")
@steps_option("look_recipe")
@minutes_option
@click.option("--fresh", is_flag=True, help="Start from nothing, whatever was trained before.")
@click.option(
    "--optimise",
    is_flag=True,
    help="Learn nothing: a model that optimises each frame when it renders. The best likeness, at seconds to minutes a "
    "frame: for stills and short shots.",
)
@command_options(*CACHING, "device", "seed", request="LookRequest", tables=CHAIN, recipe="look_recipe")
def look(request: LookRequest, context: Context, console: Console) -> None:
    """Teach a model the manner of one or more PICTURES: a painting in, films in its strokes out.

    A PICTURE may be a video: its middle frame is taken. Five minutes on two cores are enough; stop it, and the same
    command goes on.
    """
    from vidtrans.pipeline.look import look as learn

    refuse_both("steps", "minutes")
    if request.optimise and click.get_current_context().params["steps"] is not None:
        raise UsageError("--steps", "nothing is learned with --optimise", "use --set generator.first_steps=N")
    table = learn(request, context)
    console.result(table, _text(table))


def _text(table: Table) -> str:
    if "steps" not in table and table.get("dry_run"):
        return f"would write {table['output']}, which optimises each frame"
    if "steps" not in table:
        written = f"{table['output']}: nothing to learn, each frame is optimised{timing(table)}"
        return f"{written}\nnext: {next_command(table['output'])}"
    if table.get("dry_run"):
        learned = f"would learn {', '.join(table['looks'])} on {count(table['frames'], 'frame')}"
        return f"{learned} in {count(table['steps'], 'step')}, into {table['output']}{cost_text(table)}"
    return trained_text(table)
