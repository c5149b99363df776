"""``vidtrans deflicker``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options
from vidtrans.cli.console import Console
from vidtrans.cli.options import (
    CACHING,
    batch_options,
    codec_option,
    cuts_option,
    filter_option,
    output_option,
    start_option,
    temporal_option,
)
from vidtrans.cli.types import FILE
from vidtrans.commands.words import batch_table, render_text, show_batch

if TYPE_CHECKING:
    from vidtrans.batch.options import BatchOptions
    from vidtrans.requests import DeflickerRequest
    from vidtrans.session import Context


class _FilterCommand(click.Command):
    """Its help lists the settings of all filters."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from dataclasses import fields

        from vidtrans.temporal import FILTERS

        names = dict.fromkeys(f.name for name in FILTERS for f in fields(FILTERS.load(name).Settings))
        formatter.write_paragraph()
        formatter.write_text(f"Settings of filters, for --set temporal.KEY=VALUE: {', '.join(names)}.")
        super().format_epilog(ctx, formatter)


@click.command(
    "deflicker",
    cls=_FilterCommand,
    epilog="Settings for --set rendering.KEY=VALUE: strength, mix, keep_colour, picture_fps, cuts, chunk_frames. Other "
    "settings of [rendering] in a preset or in vidtrans.toml are for models, and are ignored.",
)
@click.argument("processed", nargs=-1, required=True, type=FILE, metavar="PROCESSED...")
@click.option(
    "--source",
    type=FILE,
    metavar="VIDEO",
    help="What PROCESSED was made from: its motion is followed, and what changes in it is kept. Without it PROCESSED "
    "guides itself: its flicker disturbs the motion that is seen in it, changes of light are taken for flicker and "
    "the reverse, and strong flicker may look like cuts. Of several: the source of all, or a folder of clips of their "
    "names (in.mov for in.x.mp4).",
)
@start_option("Where in a longer source PROCESSED begins.")
@output_option("The result; a folder for several.  [default: PROCESSED.deflickered.mp4, for pictures a folder]")
@temporal_option
@cuts_option("nothing is averaged", "They are counted in the source, from its beginning on; without one in PROCESSED.")
@codec_option
@filter_option
@batch_options
@command_options(
    *CACHING,
    "device",
    "decoder",
    request="DeflickerRequest",
    tables=("rendering", "temporal", "encoding"),
    reads="DEFLICKER_READS",
)
def deflicker(
    request: DeflickerRequest, processed: tuple[Path, ...], batch: BatchOptions, context: Context, console: Console
) -> int:
    """Take the flicker out of PROCESSED: what a style network, a colouriser, a diffusion model made of a video.

    Both may be videos, folders of pictures, or numbered pictures (frames/%05d.png); they go together frame by frame
    where they have as many, else by time. PROCESSED keeps its frames, times, size and sound; a video that has
    no sound gets its source's. A folder of videos, or a pattern ('renders/*.mp4'), stands for each that it holds.
    """
    from vidtrans.batch.inputs import is_batch
    from vidtrans.pipeline import deflicker as command

    if is_batch(processed) or batch.is_partial:
        outcomes, summary = command.deflicker_batch(processed, request, batch, context)
        return show_batch(console, batch_table(outcomes, summary, {"output": str(request.output or Path())}))
    table = command.deflicker(request, context)
    console.result(table, render_text(table))
    return 0
