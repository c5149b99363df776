"""``vidtrans probe``."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options
from vidtrans.cli.console import Console
from vidtrans.cli.types import FILE
from vidtrans.commands.words import count

if TYPE_CHECKING:
    from vidtrans.requests import ProbeRequest
    from vidtrans.session import Context
    from vidtrans.settings import Table

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
