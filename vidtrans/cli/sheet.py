"""``vidtrans sheet``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options
from vidtrans.cli.console import Console
from vidtrans.cli.options import WRITING, end_option, output_option, start_option
from vidtrans.cli.types import FILE, RegistryName
from vidtrans.commands.words import sheet_text

if TYPE_CHECKING:
    from vidtrans.requests import SheetRequest
    from vidtrans.session import Context


@click.command("sheet")
@click.argument("source", type=FILE, metavar="VIDEO|DATASET")
@output_option("The sheet.  [default: NAME.sheet.png]")
@click.option(
    "-n",
    "--count",
    type=click.IntRange(0, 10**6),
    help="How many frames or pairs; 0: all.  [default: 24; with --pairing 3]",
)
@click.option(
    "--pairing",
    "pairings",
    multiple=True,
    type=RegistryName("vidtrans.pairing:PAIRINGS", "pairing", prefix="model:"),
    help="Show what it would make of the frames, model:FILE what a network makes of them; may be repeated.",
)
@start_option()
@end_option()
@command_options(*WRITING, "device", request="SheetRequest")
def sheet(request: SheetRequest, context: Context, console: Console) -> None:
    """Frames of a clip, or pairs of a dataset, on one page, to look them over."""
    from vidtrans.pipeline.sheet import make_sheet

    table = make_sheet(request, context)
    console.result(table, sheet_text(table))
