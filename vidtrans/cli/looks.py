"""Looking before rendering, and after: try, compare, sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vidtrans.cli.console import Console
from vidtrans.cli.flags import FILE, Lazy
from vidtrans.cli.options import MAKING, common, flags_of, model_type, preset_option, set_option
from vidtrans.cli.words import count, timing
from vidtrans.settings import parse_time


@click.command("try")
@click.argument("video", type=FILE)
@click.option(
    "--model",
    "models",
    required=True,
    multiple=True,
    metavar="MODEL",
    type=model_type,
    help="May be repeated: models side by side.",
)
@click.option("-o", "--output", type=FILE, help="The grid.  [default: VIDEO.try.png]")
@click.option(
    "--vary",
    multiple=True,
    metavar="KEY=V,V",
    help="Columns: strength, mix, keep-colour, size or pairing.NAME; may be repeated.  [default: what is worth a look]",
)
@click.option("--frames", type=click.IntRange(1, 12), default=3, show_default=True, help="How many, over the clip.")
@click.option("--at", multiple=True, metavar="TIME", help="These moments instead; may be repeated.")
@preset_option
@set_option
@common(*MAKING, "device")
@click.pass_context
def try_out(
    click_context: click.Context,
    video: Path,
    models: tuple[str, ...],
    output: Path | None,
    vary: tuple[str, ...],
    frames: int,
    at: tuple[str, ...],
    preset: str | None,
    context: Any,
    console: Console,
    **_: Any,
) -> None:
    """A grid of settings on a few frames, in seconds: what a flag does, before a whole clip is rendered with it."""
    from vidtrans.config.recipe import render_recipe
    from vidtrans.pipeline.try_settings import try_out as draw

    recipe = render_recipe(preset, flags_of(click_context, "pairing", "rendering"))
    moments = [parse_time(t) for t in at]
    table = draw(video, models, output, recipe, context, vary=vary, frames=frames, at=moments)
    console.result(table, _made(table))


@click.command("compare")
@click.argument("clips", nargs=-1, required=True, type=FILE, metavar="A B...")
@click.option("-o", "--output", type=FILE, help="A video, or a .png of a few frames.  [default: A.compare.mp4]")
@click.option("--label", "labels", multiple=True, metavar="TEXT", help="What stands over a clip; one for each.")
@click.option("--input", "input_of", metavar="MODEL", type=model_type, help="Also show what this model sees of A.")
@click.option("--columns", type=click.IntRange(1, 12), help="Clips in a row.  [default: up to 3]")
@click.option("--frames", "number", type=click.IntRange(1, 100), help="Of a .png: how many.  [default: 4]")
@common(*MAKING)
def compare(
    clips: tuple[Path, ...],
    output: Path | None,
    labels: tuple[str, ...],
    input_of: str | None,
    columns: int | None,
    number: int | None,
    context: Any,
    console: Console,
) -> None:
    """Clips side by side under their names, in step, with A's timing and sound."""
    from vidtrans.pipeline.compare import compare as draw

    options: dict[str, Any] = {"labels": labels, "columns": columns, "input_of": input_of, "count": number}
    table = draw(list(clips), output, context, **options)
    console.result(table, _made(table))


@click.command("sheet")
@click.argument("source", type=FILE, metavar="VIDEO|DATASET")
@click.option("-o", "--output", type=FILE, help="The sheet.  [default: NAME.sheet.png]")
@click.option(
    "-n",
    "--count",
    "number",
    type=click.IntRange(0, 10**6),
    help="How many frames or pairs; 0: all.  [default: 24; with --pairing 3]",
)
@click.option(
    "--pairing",
    "pairings",
    multiple=True,
    type=Lazy("vidtrans.pairing:PAIRINGS", "pairing"),
    help="Show what it would make of the frames; may be repeated.",
)
@common(*MAKING)
def sheet(
    source: Path,
    output: Path | None,
    number: int | None,
    pairings: tuple[str, ...],
    context: Any,
    console: Console,
) -> None:
    """Frames of a clip, or pairs of a dataset, on one page, to look them over."""
    from vidtrans.pipeline.sheet import make_sheet

    table = make_sheet(source, output, context, count=number, pairings=pairings)
    console.result(table, _made(table))


def _made(table: dict[str, Any]) -> str:
    if table.get("dry_run"):
        return f"would make {table['output']}"
    what = "picture" if table["output"].endswith(".png") else "frame"
    return f"{table['output']}: {count(table['frames'], what)}{timing(table)}"
