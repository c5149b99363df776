"""``vidtrans evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import command_options
from vidtrans.cli.console import Console
from vidtrans.cli.options import CACHING, batch_options, end_option, start_option
from vidtrans.cli.types import FILE, RegistryName
from vidtrans.commands.words import batch_table, count, show_batch, timing
from vidtrans.metrics import SCORING_FLOW, SHORT_SIDE

if TYPE_CHECKING:
    from vidtrans.batch.options import BatchOptions
    from vidtrans.batch.summary import Outcome
    from vidtrans.requests import EvaluateRequest
    from vidtrans.session import Context
    from vidtrans.settings import Table

MEASURES = ("warping_error", "ratio", "psnr", "ssim", "sharpness", "nn", "drift", "m4", "uniq")
VIDEOS = {"": "output", "_per_frame": "per frame", "_source": "source"}  # by the ends of their keys


@click.command(
    "evaluate",
    epilog=f"Pictures are scored at {SHORT_SIDE} pixels on their short side or less; sharpness (but of dreams) at "
    "OUTPUT's full size.",
)
@click.argument("output", nargs=-1, required=True, type=FILE, metavar="OUTPUT...")
@click.option(
    "--source",
    required=True,
    type=FILE,
    metavar="VIDEO",
    help="What OUTPUT was made from. Of several, this and the others below: one for all, or a folder of clips of their "
    "names (in.mov for in.x.mp4).",
)
@click.option(
    "--per-frame",
    type=FILE,
    metavar="VIDEO",
    help="The same without a temporal filter (stylize --temporal off): what the flicker is measured against.",
)
@click.option("--reference", type=FILE, metavar="VIDEO", help="What OUTPUT should be, where that is known.")
@start_option("Where in longer videos OUTPUT begins, if it is a part.")
@end_option("Where in longer videos OUTPUT ends: the first moment that is not in it.")
@click.option(
    "--dream",
    is_flag=True,
    help="OUTPUT is a dream, VIDEO the clip that its model learned: how well it holds, and with --start, where in the "
    "clip it would truly be, how well it foretells.",
)
@click.option(
    "--flow",
    type=RegistryName("vidtrans.flow:GREY_FLOWS", "flow method"),
    default=SCORING_FLOW,
    show_default=True,
    help="Follows the motion of the source. Take another one than the filter's, which is not known here: if OUTPUT was "
    f"filtered along {SCORING_FLOW} too, take brox.",
)
@click.option(
    "-o",
    "--output",
    "result",
    type=FILE,
    help="A .png: scores over time and the worst moments (of a dream: a strip); a .json: a value for every frame. "
    "For several: a folder of plots.",
)
@batch_options
@command_options(*CACHING, request="EvaluateRequest")
def evaluate(
    request: EvaluateRequest, output: tuple[Path, ...], batch: BatchOptions, context: Context, console: Console
) -> int:
    """How steady a render is, how sharp, how near to what it should be, and when it is worst."""
    from vidtrans.batch.inputs import is_batch
    from vidtrans.pipeline import evaluate as command

    if is_batch(output) or batch.is_partial:
        outcomes, summary = command.evaluate_batch(output, request, batch, context)
        headings, rows = _scores(outcomes)
        if rows:
            console.figures(headings, rows)
        result = str(request.result) if request.result else None
        return show_batch(console, batch_table(outcomes, summary, {"output": result}))
    table = command.evaluate(request, context)
    console.result(table, _text(table, dream=request.dream))
    return 0


def _scores(outcomes: Sequence[Outcome]) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row for each clip that was scored, with those measures that any of them has."""
    tables = [outcome.table for outcome in outcomes if outcome.state == "done"]
    names = [name for name in MEASURES if any(table.get(name) is not None for table in tables)]
    rows = []
    for table in tables:
        values = [table.get(name) for name in names]
        rows.append([table["path"], *("–" if value is None else f"{value:.3g}" for value in values)])
    return ["", *(name.replace("_", " ") for name in names)], rows


def _text(table: Table, *, dream: bool) -> str:
    frames = count(table["frames"], "frame")
    if table.get("dry_run"):
        return f"would score {table['path']}: {frames}" + (f", and write {table['output']}" if table["output"] else "")
    if dream:
        lines = [f"{table['path']}: {frames}{timing(table)}", *_dream_rows(table)]
        return "\n".join([*lines, *([f"  {'written':14}{table['output']}"] if table["output"] else [])])
    from vidtrans.evaluation.score_report import compared_with, verdict

    pairs = f"{count(table['pairs'], 'pair')} scored at {'x'.join(map(str, table['scored_at']))}"
    lines = [f"{table['path']}: {frames}, {pairs}{timing(table)}", *_flicker_rows(table)]
    if table["compared_with"]:
        lines += _fidelity_rows(table, compared_with(table))
    if worst := ", ".join(f"frame {w['frame']} ({w['seconds']:.2f} s)" for w in table["worst"]):
        lines.append(f"  {'worst':14}{worst}")
    if output := table["output"]:
        lines.append(f"  {'plot' if output.lower().endswith('.png') else 'table':14}{output}")
    return "\n".join([*lines, verdict(table)])


def _flicker_rows(table: Table) -> list[str]:
    """The warping error and the flicker of each video that was given; nothing without pairs of frames."""
    if not table["pairs"]:
        return []
    share = "" if table["ratio"] is None else f"{table['ratio']:.2f} of the per-frame video's"
    given = [suffix for suffix in VIDEOS if table[f"warping_error{suffix}"] is not None]
    errors = [f"{table[f'warping_error{suffix}']:.3g}" for suffix in given]
    rows = [_row("", [VIDEOS[suffix] for suffix in given]), _row("warping error", errors, share)]
    flicker = [table[f"flicker{suffix}"] for suffix in given]
    if None not in flicker:
        rows.append(_row("flicker", [f"{value:.2f}" for value in flicker], "8-bit levels"))
    return rows


def _dream_rows(table: Table) -> list[str]:
    """How a dream holds, and, where that is known, how well it foretells."""
    rows = [
        _row("nearest", [f"{table['nn']:.1f}"], "dB, its last frames to the clip's nearest ones"),
        _row("drift", [f"{table['drift']:.1f}"], "levels of 255 outside of the clip's colours"),
        _row("sharpness", [f"{table['sharpness']:.2f}"], "of the clip's"),
    ]
    if table["m4"] is not None:
        rows.append(_row("motion", [f"{table['m4']:.2f}"], f"of the clip's over 4 frames, {table['m1']:.2f} over one"))
    if table["uniq"] is not None:
        note = f"frames of the clip that it comes near to, of {table['uniq_real']}"
        rows.append(_row("different", [f"{table['uniq']}"], note))
    for after, value in table.get("horizons", {}).items():
        note = f"dB to the true one; the last, copied: {table['copy_last'][after]:.1f}"
        rows.append(_row(f"{count(int(after), 'frame')} on", [f"{value:.1f}"], note))
    return rows


def _fidelity_rows(table: Table, name: str) -> list[str]:
    """PSNR and the rest, against what is compared with; with a reference also what the per-frame video has."""
    suffixes = ["", "_per_frame"] if table["psnr_per_frame"] is not None else [""]
    rows = [_row("", [VIDEOS[suffix] for suffix in suffixes], f"to the {name}")]
    for label, key, form, unit in (
        ("PSNR", "psnr", ".2f", "dB"),
        ("SSIM", "ssim", ".4f", ""),
        ("sharpness", "sharpness", ".2f", ""),
    ):
        if table[key] is not None:
            rows.append(_row(label, [f"{table[key + s]:{form}}" for s in suffixes], unit))
    if table["ghosting"] is not None:
        uncovered, rest = table["error_uncovered"], table["error_elsewhere"]
        note = f"{uncovered:.1f} levels off where something was uncovered, {rest:.1f} elsewhere"
        rows.append(_row("ghosting", [f"{table['ghosting']:.2f}"], note))
    if table["psnr_to_per_frame"] is not None:
        psnr, ssim, sharpness = (table[f"{key}_to_per_frame"] for key in ("psnr", "ssim", "sharpness"))
        text = f"PSNR {psnr:.2f} dB" + ("" if ssim is None else f", SSIM {ssim:.4f}")
        text += "" if sharpness is None else f", sharpness {sharpness:.2f}"
        rows.append(f"  {'to per frame':14}  {text}")
    return rows


def _row(name: str, values: list[str], note: str = "") -> str:
    return f"  {name:14}" + "".join(f"{v:>13}" for v in values) + (f"   {note}" if note else "")
