"""``vidtrans evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidtrans.cli.batch import batch_options, show_batch
from vidtrans.cli.command import command_options
from vidtrans.cli.console import Console
from vidtrans.cli.options import KEEPING, end_option, start_option
from vidtrans.cli.types import FILE, RegistryName
from vidtrans.cli.words import count, timing
from vidtrans.metrics import SCORING_FLOW, SHORT_SIDE

if TYPE_CHECKING:
    from vidtrans.batch.jobs import Options
    from vidtrans.batch.summary import Outcome
    from vidtrans.requests import EvaluateRequest
    from vidtrans.session import Context

MEASURES = ("warping_error", "ratio", "psnr", "ssim", "sharpness", "nn", "drift", "m4", "uniq")
VIDEOS = ("", "_per_frame", "_source")


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
@command_options(*KEEPING, request="EvaluateRequest")
def evaluate(
    request: EvaluateRequest, output: tuple[Path, ...], batch: Options, context: Context, console: Console
) -> int:
    """How steady a render is, how sharp, how near to what it should be, and when it is worst."""
    from vidtrans.batch.inputs import is_batch
    from vidtrans.pipeline.evaluate import evaluate as score
    from vidtrans.pipeline.evaluate import evaluate_batch

    if is_batch(output) or batch.takes_some:
        outcomes, summary = evaluate_batch(output, request, batch, context)
        headings, rows = _figures(outcomes)
        if rows:
            console.figures(headings, rows)
        result = str(request.result) if request.result else None
        return show_batch(console, outcomes, summary, {"output": result})
    table = score(request, context)
    told = _planned if table.get("dry_run") else _dreamt if request.dream else _report
    console.result(table, "\n".join(told(table)))
    return 0


def _figures(outcomes: Sequence[Outcome]) -> tuple[list[str], list[list[str]]]:
    """A row for each that was scored, with those measures that any of them has."""
    tables = [outcome.table for outcome in outcomes if outcome.state == "done"]
    names = [name for name in MEASURES if any(table.get(name) is not None for table in tables)]
    rows = [[table["path"], *(_figure(table.get(name)) for name in names)] for table in tables]
    return ["", *(name.replace("_", " ") for name in names)], rows


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _planned(table: dict[str, Any]) -> list[str]:
    what = f", and write {table['output']}" if table["output"] else ""
    return [f"would score {table['path']}: {count(table['frames'], 'frame')}{what}"]


def _report(table: dict[str, Any]) -> list[str]:
    """A table of all measures, and what they say."""
    from vidtrans.evaluation.score_report import compared_with, verdict

    pairs = f"{count(table['pairs'], 'pair')} scored at {'x'.join(map(str, table['scored_at']))}"
    lines = [f"{table['path']}: {count(table['frames'], 'frame')}, {pairs}{timing(table)}"]
    if table["pairs"]:
        heading = ("output", "per frame", "source")
        shown = [i for i, v in enumerate(VIDEOS) if table[f"warping_error{v}"] is not None]
        lines.append(_row("", [heading[i] for i in shown]))
        for name, key, form, note in (
            ("warping error", "warping_error", ".3g", _share(table)),
            ("flicker", "flicker", ".2f", "8-bit levels"),
        ):
            values = [table[key + VIDEOS[i]] for i in shown]
            if None not in values:
                lines.append(_row(name, [f"{v:{form}}" for v in values], note))
    if table["compared_with"]:
        lines += _nearness(table, compared_with(table))
    worst = ", ".join(f"frame {w['frame']} ({w['seconds']:.2f} s)" for w in table["worst"])
    lines += [f"  {'worst':14}{worst}"] if worst else []
    lines += (
        [f"  {'plot' if table['output'].lower().endswith('.png') else 'table':14}{table['output']}"]
        if table["output"]
        else []
    )
    return [*lines, verdict(table)]


def _dreamt(table: dict[str, Any]) -> list[str]:
    """How a dream holds, and, where that is known, how well it foretells."""
    lines = [f"{table['path']}: {count(table['frames'], 'frame')}{timing(table)}"]
    of_clip = "of the clip's"
    for name, value, note in (
        ("nearest", f"{table['nn']:.1f}", "dB, its last frames to the clip's nearest ones"),
        ("drift", f"{table['drift']:.1f}", "levels of 255 outside of the clip's colours"),
        ("sharpness", f"{table['sharpness']:.2f}", of_clip),
    ):
        lines.append(_row(name, [value], note))
    if table["m4"] is not None:
        lines.append(_row("motion", [f"{table['m4']:.2f}"], f"{of_clip} over 4 frames, {table['m1']:.2f} over one"))
    if table["uniq"] is not None:
        note = f"frames of the clip that it comes near to, of {table['uniq_real']}"
        lines.append(_row("different", [f"{table['uniq']}"], note))
    for after, value in table.get("horizons", {}).items():
        name = f"{after} frame{'s' if after != '1' else ''} on"
        lines.append(
            _row(name, [f"{value:.1f}"], f"dB to the true one; the last, copied: {table['copy_last'][after]:.1f}")
        )
    return [*lines, *([f"  {'written':14}{table['output']}"] if table["output"] else [])]


def _nearness(table: dict[str, Any], name: str) -> list[str]:
    """PSNR and the rest, against what is compared with; with a reference also what the per-frame video has."""
    suffixes = ["", "_per_frame"] if table["psnr_per_frame"] is not None else [""]
    lines = [_row("", ["output", "per frame"][: len(suffixes)], f"to the {name}")]
    for label, key, form, unit in (
        ("PSNR", "psnr", ".2f", "dB"),
        ("SSIM", "ssim", ".4f", ""),
        ("sharpness", "sharpness", ".2f", ""),
    ):
        if table[key] is not None:
            lines.append(_row(label, [f"{table[key + s]:{form}}" for s in suffixes], unit))
    if table["ghosting"] is not None:
        off, rest = table["error_uncovered"], table["error_elsewhere"]
        note = f"{off:.1f} levels off where something was uncovered, {rest:.1f} elsewhere"
        lines.append(_row("ghosting", [f"{table['ghosting']:.2f}"], note))
    if table["psnr_to_per_frame"] is not None:
        psnr, ssim, sharp = (table[f"{key}_to_per_frame"] for key in ("psnr", "ssim", "sharpness"))
        similar = "" if ssim is None else f", SSIM {ssim:.4f}"
        sharper = "" if sharp is None else f", sharpness {sharp:.2f}"
        lines.append(f"  {'to per frame':14}  PSNR {psnr:.2f} dB{similar}{sharper}")
    return lines


def _row(name: str, values: list[str], note: str = "") -> str:
    return f"  {name:14}" + "".join(f"{v:>13}" for v in values) + (f"   {note}" if note else "")


def _share(table: dict[str, Any]) -> str:
    return "" if table["ratio"] is None else f"{table['ratio']:.2f} of the per-frame video's"
