"""Looking at clips, results and settings: ``vidtrans try``, ``compare``, ``sheet`` and ``probe``."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options
from vidtrans.cli.console import Console
from vidtrans.cli.options import WRITING, end_option, output_option, size_option, start_option
from vidtrans.cli.types import FILE, MODEL, TIME, RegistryName
from vidtrans.cli.words import count, sheet_text

if TYPE_CHECKING:
    from vidtrans.requests import CompareRequest, ProbeRequest, SheetRequest, TryRequest
    from vidtrans.session import Context
    from vidtrans.settings import Table


@click.command("try")
@click.argument("video", type=FILE)
@click.option(
    "--model",
    "models",
    required=True,
    multiple=True,
    metavar="MODEL",
    type=MODEL,
    help="May be repeated: models side by side.",
)
@output_option("The grid.  [default: VIDEO.try.png]")
@size_option
@click.option(
    "--vary",
    multiple=True,
    metavar="KEY=V,V",
    help="Columns: strength, mix, keep-colour, size or pairing.NAME; may be repeated.  [default: what is worth a look]",
)
@click.option("--frames", type=click.IntRange(1, 12), default=3, show_default=True, help="How many, over the clip.")
@click.option("--at", multiple=True, type=TIME, metavar="TIME", help="These moments instead; may be repeated.")
@command_options(*WRITING, "device", request="TryRequest", tables=("pairing", "rendering"))
def try_out(request: TryRequest, context: Context, console: Console) -> None:
    """A grid of settings on a few frames, in seconds: what a flag does, before a whole clip is rendered with it."""
    from vidtrans.pipeline.try_settings import try_out as make_grid

    table = make_grid(request, context)
    console.result(table, sheet_text(table))


@click.command("compare")
@click.argument("clips", nargs=-1, required=True, type=FILE, metavar="A B...")
@output_option("A video, or a .png of a few frames.  [default: A.compare.mp4]")
@click.option("--label", "labels", multiple=True, metavar="TEXT", help="What stands over a clip; one for each.")
@click.option("--input", "input_of", metavar="MODEL", type=MODEL, help="Also show what this model sees of A.")
@click.option("--columns", type=click.IntRange(1, 12), help="Clips in a row.  [default: up to 3]")
@click.option("--frames", type=click.IntRange(1, 100), help="Of a .png: how many.  [default: 4]")
@start_option("Where in A it begins: HH:MM:SS.mmm, 12.5s, or a frame number from 0.")
@end_option("The first moment of A that is left out.")
@command_options(*WRITING, request="CompareRequest")
def compare(request: CompareRequest, context: Context, console: Console) -> None:
    """Clips side by side under their names, in step, with A's timing and sound."""
    from vidtrans.pipeline.compare import compare as make_comparison

    table = make_comparison(request, context)
    console.result(table, sheet_text(table))


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
    type=RegistryName("vidtrans.pairing:PAIRINGS", "pairing"),
    help="Show what it would make of the frames; may be repeated.",
)
@start_option()
@end_option()
@command_options(*WRITING, request="SheetRequest")
def sheet(request: SheetRequest, context: Context, console: Console) -> None:
    """Frames of a clip, or pairs of a dataset, on one page, to look them over."""
    from vidtrans.pipeline.sheet import make_sheet

    table = make_sheet(request, context)
    console.result(table, sheet_text(table))


CUTS_LISTED = 12


@click.command("probe")
@click.argument("video", type=FILE)
@command_options("cache_dir", "dry_run", request="ProbeRequest")
def probe(request: ProbeRequest, context: Context, console: Console) -> None:
    """What a clip holds: frames, times, cuts, tracks, colours, and what is unusual about it."""
    from vidtrans.pipeline.probe import probe as examine

    table = examine(request, context)
    kind, rate = table["format"].split(",")[0], float(Fraction(table["rate"]))
    timing = f"{count(table['frames'], 'frame')}, {table['seconds']:.3f} s at {rate:.3f} frames/s"
    notes = [f"  note     {warning}" for warning in table["warnings"]]
    console.result(table, "\n".join([f"{table['path']}: {kind}, {timing}", *_clip_lines(table), *notes]))


def _clip_lines(table: Table) -> list[str]:
    """A line for the picture, each sound track, what else there is, and the cuts."""
    picture = f"{table['width']}x{table['height']}, {table['findings']['depth']} bits a channel"
    if "codec" in table:
        picture = f"{table['codec']} {picture}, {table['colour_space']} colours, {table['colour_range']} range"
        picture += f", {table['colour_transfer']} transfer"
    lines = [f"  picture  {picture}"]
    for track in table.get("audio", ()):
        language = "no language" if track["language"] in (None, "und") else track["language"]
        sound = f"{track['codec']} {track['sample_rate_hz']} Hz, {count(track['channels'], 'channel')}"
        lines.append(f"  sound    {sound}, {language}")
    extras = [f"subtitles ({', '.join(table['subtitles'])})"] if table.get("subtitles") else []
    extras += [count(table["chapters"], "chapter")] if table.get("chapters") else []
    extras += [f"timecode {table['timecode']}"] if table.get("timecode") else []
    if extras:
        lines.append(f"  also     {', '.join(extras)}")
    cuts = list(zip(table["cuts"], table["cuts_s"], strict=True))
    if cuts:
        first = ", ".join(f"{s:.2f} s (frame {n})" for n, s in cuts[:CUTS_LISTED])
        more = f" … and {len(cuts) - CUTS_LISTED} more (--json lists them)" if len(cuts) > CUTS_LISTED else ""
        lines.append(f"  cuts     at {first}{more}")
    return lines
