"""``vidtrans grade``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options
from vidtrans.cli.console import Console
from vidtrans.cli.options import WRITING, output_option
from vidtrans.cli.types import FILE
from vidtrans.commands.words import count, next_command, timing
from vidtrans.grading import UNPAIRED_METHODS
from vidtrans.requests import CUBE_SIZE

if TYPE_CHECKING:
    from vidtrans.requests import GradeRequest
    from vidtrans.session import Context
    from vidtrans.settings import Table


@click.command("grade")
@click.argument("before", type=FILE)
@click.argument("after", type=FILE)
@output_option("The model, or a FILE.cube for other programs.  [default: AFTER.grade.safetensors]")
@click.option("--unpaired", is_flag=True, help="AFTER shows something else, a film still say: match the colours alone.")
@click.option(
    "--method",
    type=click.Choice(UNPAIRED_METHODS),
    help="With --unpaired: tones for a still of another scene, linear or transport for clips that show much the same.  "
    f"[default: {UNPAIRED_METHODS[0]}]",
)
@click.option(
    "--nodes", "size", type=int, default=CUBE_SIZE, show_default=True, metavar="N", help="Nodes a side of the table."
)
@command_options(*WRITING, request="GradeRequest")
def grade(request: GradeRequest, context: Context, console: Console) -> None:
    """Learn a colour grade from pictures or clips BEFORE and AFTER it.

    Both may be a picture, a folder of pictures, or a clip. They go together by number, else by time, and may differ in
    size, crop and compression.
    """
    from vidtrans.pipeline.grade import grade as learn

    table = learn(request, context)
    console.result(table, _text(table))


def _text(table: Table) -> str:
    output = table["output"]
    if table.get("dry_run"):
        return f"would make {output}"
    what = ", ".join(table["words"]) or "it changes hardly anything"
    left = f"; ΔE {table['delta_e']:.1f} is left" if "delta_e" in table else ""
    lines = f"{output}: {what}{left}, from {count(table['frames'], 'picture')}{timing(table)}"
    return f"{lines}\nnext: {next_command(output)}"
