"""``vidtrans fix``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options
from vidtrans.cli.console import Console
from vidtrans.cli.options import CACHING, output_option
from vidtrans.cli.types import FILE
from vidtrans.commands.words import cost_text, count, timing

if TYPE_CHECKING:
    from vidtrans.requests import FixRequest
    from vidtrans.session import Context
    from vidtrans.settings import Table


@click.command("fix")
@click.argument("render", type=FILE)
@click.option(
    "--painted",
    required=True,
    type=FILE,
    metavar="DIR",
    help="Frames of RENDER that were painted over: pictures whose names end in the frame's number in RENDER.",
)
@click.option(
    "--relearn",
    is_flag=True,
    help="Let the network learn the corrected frames, and paint all of the clip anew: for a look that was wrong "
    "everywhere.",
)
@output_option("The result.  [default: RENDER.fixed, with its ending]")
@command_options(*CACHING, request="FixRequest")
def fix(request: FixRequest, context: Context, console: Console) -> None:
    """Carry corrections through a clip: paint over frames of RENDER, a result of 'propagate' or 'stylize'.

    What was painted is found by comparing. All that it does not reach stays as it is. To undo one, take its picture
    away, and give the command again.
    """
    from vidtrans.pipeline.fix import fix as correct

    table = correct(request, context)
    console.result(table, _text(table))


def _text(table: Table) -> str:
    corrected = count(len(table["corrections"]), "correction")
    if table.get("dry_run"):
        return (
            f"would carry {corrected} through {count(table['frames'], 'frame')} of {table['output']}{cost_text(table)}"
        )
    return f"{table['output']}: {count(table['frames'], 'frame')}, {corrected}{timing(table)}"
