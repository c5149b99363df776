"""``vidtrans probe``."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from vidtrans.cli.command import command_options
from vidtrans.cli.console import Console
from vidtrans.cli.types import FILE
from vidtrans.cli.words import count

if TYPE_CHECKING:
    from vidtrans.requests import ProbeRequest
    from vidtrans.session import Context

CUTS_SHOWN = 12


@click.command("probe")
@click.argument("video", type=FILE)
@command_options("cache_dir", "dry_run", request="ProbeRequest")
def probe(request: ProbeRequest, context: Context, console: Console) -> None:
    """What a clip holds: frames, times, cuts, tracks, colours, and what is unusual about it."""
    from vidtrans.pipeline.probe import probe as look

    table = look(request, context)
    console.result(
        table, "\n".join([_first_line(table), *_facts(table), *(f"  note     {w}" for w in table["warnings"])])
    )


def _first_line(table: dict[str, Any]) -> str:
    rate = float(Fraction(table["rate"]))
    kind = table["format"].split(",")[0]
    return (
        f"{table['path']}: {kind}, {count(table['frames'], 'frame')}, {table['seconds']:.3f} s at {rate:.3f} frames/s"
    )


def _language(code: str | None) -> str:
    return "no language" if code in (None, "und") else str(code)


def _facts(table: dict[str, Any]) -> list[str]:
    """What there is, a line each."""
    lines = [f"  picture  {table['width']}x{table['height']}, {table['findings']['depth']} bits a channel"]
    if "codec" in table:
        colours = f"{table['colour_space']} colours, {table['colour_range']} range, {table['colour_transfer']} transfer"
        lines[0] = lines[0].replace("picture  ", f"picture  {table['codec']} ") + f", {colours}"
    lines += [
        f"  sound    {a['codec']} {a['sample_rate_hz']} Hz, {count(a['channels'], 'channel')}, "
        f"{_language(a['language'])}"
        for a in table.get("audio", ())
    ]
    extras = [f"subtitles ({', '.join(table['subtitles'])})"] if table.get("subtitles") else []
    extras += [count(table["chapters"], "chapter")] if table.get("chapters") else []
    extras += [f"timecode {table['timecode']}"] if table.get("timecode") else []
    if extras:
        lines.append(f"  also     {', '.join(extras)}")
    cuts = list(zip(table["cuts"], table["cuts_s"], strict=True))
    shown = ", ".join(f"{s:.2f} s (frame {n})" for n, s in cuts[:CUTS_SHOWN])
    if cuts:
        more = f" … and {len(cuts) - CUTS_SHOWN} more (--json lists them)" if len(cuts) > CUTS_SHOWN else ""
        lines.append(f"  cuts     at {shown}{more}")
    return lines
