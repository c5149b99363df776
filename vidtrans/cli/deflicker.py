"""The filter alone: steady."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vidtrans.cli.batch import batch_options, show_batch
from vidtrans.cli.console import Console
from vidtrans.cli.flags import FILE, codec_option, cuts_option, filter_option, temporal_option
from vidtrans.cli.options import KEEPING, common, flags_of, preset_option, set_option
from vidtrans.cli.words import rendered
from vidtrans.settings import parse_time


class FilterCommand(click.Command):
    """Its help lists the settings of all filters."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from dataclasses import fields

        from vidtrans.temporal import FILTERS

        names = dict.fromkeys(f.name for name in FILTERS for f in fields(FILTERS.load(name).Settings))
        formatter.write_paragraph()
        formatter.write_text(f"Settings of filters, for --set temporal.KEY=VALUE: {', '.join(names)}.")
        super().format_epilog(ctx, formatter)


@click.command(
    "steady",
    cls=FilterCommand,
    epilog="Settings for --set rendering.KEY=VALUE: strength, mix, keep_colour, rate, cuts, chunk_frames. Other "
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
@click.option("--start", metavar="TIME", help="Where in a longer source PROCESSED begins.")
@click.option(
    "-o",
    "--output",
    type=FILE,
    help="The result; a folder for several.  [default: PROCESSED.steady.mp4, for pictures a folder]",
)
@temporal_option
@cuts_option("nothing is averaged", "They are counted in the source, from its beginning on; without one in PROCESSED.")
@codec_option
@filter_option
@batch_options
@preset_option
@set_option
@common(*KEEPING, "device")
@click.pass_context
def steady(
    click_context: click.Context,
    processed: tuple[Path, ...],
    source: Path | None,
    start: str | None,
    output: Path | None,
    batch: Any,
    preset: str | None,
    context: Any,
    console: Console,
    **_: Any,
) -> int:
    """Take the flicker out of PROCESSED: what a style network, a colouriser, a diffusion model made of a video.

    Both may be videos, folders of pictures, or numbered pictures (frames/%05d.png); they go together frame by frame
    where they have as many, else by time. PROCESSED keeps its frames, times, size and sound; a video that has
    no sound gets its source's. A folder of videos, or a pattern ('renders/*.mp4'), stands for each that it holds.
    """
    from vidtrans.batch.inputs import is_batch
    from vidtrans.pipeline.deflicker import steady as make
    from vidtrans.pipeline.deflicker import steady_batch, steady_recipe

    recipe = steady_recipe(preset, flags_of(click_context, "rendering", "temporal", "encoding"))
    begin = parse_time(start) if start else None
    if is_batch(processed) or batch.takes_some:
        folder = output or Path()
        outcomes, summary = steady_batch(processed, source, folder, recipe, context, batch, start=begin)
        return show_batch(console, outcomes, summary, {"output": str(folder)})
    table = make(processed[0], source, output, recipe, context, start=begin)
    console.result(table, rendered(table))
    return 0
