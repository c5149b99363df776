"""``vidtrans compare``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options
from vidtrans.cli.console import Console
from vidtrans.cli.options import WRITING, end_option, output_option, start_option
from vidtrans.cli.types import FILE, MODEL
from vidtrans.commands.words import sheet_text

if TYPE_CHECKING:
    from vidtrans.requests import CompareRequest
    from vidtrans.session import Context


@click.command("compare")
@click.argument("clips", nargs=-1, required=True, type=FILE, metavar="A B...")
@output_option("A video, or a .png of a few frames.  [default: A.compare.mp4]")
@click.option("--label", "labels", multiple=True, metavar="TEXT", help="What stands over a clip; one for each.")
@click.option("--input", "input_of", metavar="MODEL", type=MODEL, help="Also show what this model sees of A.")
@click.option("--columns", type=click.IntRange(1, 12), help="Clips in a row.  [default: up to 3]")
@click.option("--frames", type=click.IntRange(1, 100), help="Of a .png: how many.  [default: 4]")
@start_option("Where in A it begins: HH:MM:SS.mmm, 12.5s, or a frame number from 0.")
@end_option("The first moment of A that is left out.")
@command_options(*WRITING, "device", request="CompareRequest")
def compare(request: CompareRequest, context: Context, console: Console) -> None:
    """Clips side by side under their names, in step, with A's timing and sound."""
    from vidtrans.pipeline.compare import compare as make_comparison

    table = make_comparison(request, context)
    console.result(table, sheet_text(table))
