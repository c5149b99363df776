"""``vidtrans keyframes``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options
from vidtrans.cli.console import Console
from vidtrans.cli.options import WRITING, end_option, output_option, start_option
from vidtrans.cli.types import FILE
from vidtrans.commands.words import count, timing

if TYPE_CHECKING:
    from vidtrans.requests import KeyframesRequest
    from vidtrans.session import Context
    from vidtrans.settings import Table


@click.command("keyframes")
@click.argument("video", type=FILE)
@output_option("A folder for the frames.  [default: NAME.keyframes]")
@click.option(
    "-n",
    "--count",
    type=click.IntRange(1, 1000),
    help="How many frames.  [default: one for each shot, two at least]",
)
@start_option()
@end_option()
@click.option(
    "--cuts",
    default="auto",
    show_default=True,
    metavar="auto|off|FILE",
    help="Where shots begin: auto, off, or a file with a frame or a time on each line.",
)
@command_options(*WRITING, request="KeyframesRequest")
def keyframes(request: KeyframesRequest, context: Context, console: Console) -> None:
    """Choose the frames of a clip that are best painted, and write them as pictures.

    Each choice is tried on the clip itself: how well its other frames can be made of these, along the motion.
    """
    from vidtrans.pipeline.keyframes import keyframes as choose

    table = choose(request, context)
    console.result(table, _text(table))


def _text(table: Table) -> str:
    if table.get("dry_run"):
        return f"would write {table['output']}"
    numbers = ", ".join(map(str, table["keyframes"]))
    text = f"{table['output']}: {count(table['frames'], 'frame')} to paint: {numbers}{timing(table)}"
    text += f"\nthe clip itself, made of these, comes back at {table['psnr']:.1f} dB"
    if table["one_more"]:
        more = ", ".join(map(str, table["one_more"]))
        text += f"; with one more ({more}) at {table['one_more_psnr']:.1f} dB"
    return text
