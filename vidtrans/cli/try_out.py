"""``vidtrans try``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options
from vidtrans.cli.console import Console
from vidtrans.cli.options import WRITING, models_option, output_option, size_option
from vidtrans.cli.types import FILE, TIME
from vidtrans.commands.words import sheet_text

if TYPE_CHECKING:
    from vidtrans.requests import TryRequest
    from vidtrans.session import Context


@click.command("try")
@click.argument("video", type=FILE)
@models_option("May be repeated: models side by side.")
@output_option("The grid.  [default: VIDEO.try.png]")
@size_option
@click.option(
    "--vary",
    multiple=True,
    metavar="KEY=V,V",
    help="Columns: strength, mix, keep-colour, size, look, stroke-size or pairing.NAME; may be repeated.  [default: "
    "suggested values]",
)
@click.option("--frames", type=click.IntRange(1, 12), default=3, show_default=True, help="How many, over the clip.")
@click.option("--at", multiple=True, type=TIME, metavar="TIME", help="These moments instead; may be repeated.")
@command_options(*WRITING, "device", request="TryRequest", tables=("pairing", "rendering"))
def try_out(request: TryRequest, context: Context, console: Console) -> None:
    """A grid of settings on a few frames, in seconds: what a flag does, before a whole clip is rendered with it."""
    from vidtrans.pipeline.try_out import try_out as make_grid

    table = make_grid(request, context)
    console.result(table, sheet_text(table))
