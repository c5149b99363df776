"""``vidtrans demo``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options
from vidtrans.cli.console import Console
from vidtrans.cli.options import output_option

if TYPE_CHECKING:
    from vidtrans.requests import DemoRequest
    from vidtrans.session import Context


@click.command("demo")
@output_option("The folder to make.  [default: vidtrans-demo]")
@click.option(
    "--minutes",
    type=click.FloatRange(0, 1e6, min_open=True),
    default=2.0,
    help="How long it may train; a GPU needs less.  [default: 2]",
)
@command_options("device", "seed", "cache_dir", "cache_limit_gb", "overwrite", "dry_run", request="DemoRequest")
def demo(request: DemoRequest, context: Context, console: Console) -> None:
    """See a result: a flower is learned and painted again, from nothing but its lines. Needs no file of yours."""
    from vidtrans.pipeline.demo import demo as run_demo

    table = run_demo(request, context)
    if table.get("dry_run"):
        line = f"would make {table['output']}: a dataset, a model, a video and a comparison; about "
        line += f"{request.minutes + 1:g} min on a CPU, 60 MB"
    else:
        line = "\n".join(
            (
                f"done in {table['seconds']:.0f} s, {table['steps']} training steps. Look at:",
                f"  {table['comparison']}        the clip, what the model saw of it, what it painted",
                f"  {table['comparison_sheet']}        the same as a picture",
                f"  {table['training_sheet']}   how it learned",
                f"  {table['video']}   the video itself",
                f"  {table['painting']}        the clip in the look of a painting",
                "Now with a clip of yours:",
                "  vidtrans stylize YOURS.mp4 --model oil         a look that ships, as do ink and print",
                "  vidtrans try YOURS.mp4 --model oil             a grid of its settings on a few frames, in seconds",
                "  vidtrans run YOURS.mp4 --apply OTHER.mp4 -o out.mp4     teach it the look of your clip",
                "  vidtrans run --look PAINTING.jpg --apply YOURS.mp4 -o out.mp4     or of a picture",
            )
        )
    console.result(table, line)
