"""``vidtrans train``; with ``--ablate`` several trainings in a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import Flags, command_options, refuse_both
from vidtrans.cli.console import Console
from vidtrans.cli.options import minutes_option, output_option, steps_option
from vidtrans.cli.types import FILE, MODEL, RegistryName
from vidtrans.cli.words import cost_text, count, next_command, timing, trained_text
from vidtrans.errors import UsageError

if TYPE_CHECKING:
    from vidtrans.requests import AblateRequest
    from vidtrans.session import Context
    from vidtrans.settings import Table


@click.command("train")
@click.argument("dataset", type=FILE)
@output_option("The model file; of --ablate, a folder.  [default: DATASET.safetensors]")
@steps_option()
@minutes_option
@click.option(
    "--ablate",
    type=RegistryName("vidtrans.training.ablations:ABLATIONS", "ablation"),
    help="Train variants, each with another loss, discriminator or without skips, and put them in a table.",
)
@click.option("--from", "start_from", metavar="MODEL", type=MODEL, help="Start from a model's weights.")
@click.option("--fresh", is_flag=True, help="Start from nothing, whatever was trained before.")
@click.option("--embed", is_flag=True, help="Put the network of --pairing model into the model file.")
@command_options(
    "device",
    "seed",
    "cache_dir",
    "cache_limit_gb",
    "overwrite",
    "dry_run",
    tables=("generator", "discriminator", "training", "card"),
)
def train(
    dataset: Path,
    output: Path | None,
    minutes: float | None,
    ablate: str | None,
    start_from: str | None,
    fresh: bool,
    embed: bool,
    flags: Flags,
    context: Context,
    console: Console,
) -> None:
    """Train a model on a dataset. Stop it at any moment; the same command goes on."""
    from vidtrans.data.folder import train_recipe
    from vidtrans.pipeline.train import train as train_model
    from vidtrans.requests import AblateRequest, TrainRequest

    refuse_both("steps", "minutes")
    recipe = train_recipe(dataset, flags.preset, flags.tables)
    if ablate:
        if start_from:
            raise UsageError("--ablate and --from", "every variant starts from nothing", "leave --from out")
        if embed:
            raise UsageError("--ablate and --embed", "variants are compared, not passed on", "leave --embed out")
        _show_ablation(AblateRequest(dataset, ablate, output, recipe, minutes), context, console)
        return
    request = TrainRequest(dataset, output, recipe, minutes, start_from=start_from, fresh=fresh, embed=embed)
    if table := train_model(request, context):  # else another process reports for all
        console.result(table, _model_text(table))


def _model_text(table: Table) -> str:
    steps = count(table["steps"], "step")
    if table.get("dry_run"):
        where = f"{table['device']} {table['precision']}"
        rate = f"{table['pictures_per_second']:.3g} pictures a second"
        what = f"{steps} on {count(table['pairs'], 'pair')}, {where}, {rate}"
        return f"would train {table['output']}: {what}{cost_text(table)}"
    return trained_text(table)


def _show_ablation(request: AblateRequest, context: Context, console: Console) -> None:
    """Train the variants, and print their held-out scores, where pairs were held out."""
    from vidtrans.pipeline.ablate import ablate
    from vidtrans.training.report.curves import SCORE_LABELS, figure

    table = ablate(request, context)
    models = f"{count(len(table['rows']), 'model')} of {count(table['steps'], 'step')}"
    if table.get("dry_run"):
        console.result(table, f"would train {models} into {table['output']}{cost_text(table)}")
        return
    rows = table["rows"]
    if names := [n for n in SCORE_LABELS if all(row["held_out"].get(n) is not None for row in rows)]:
        headings = ["", *(f"{SCORE_LABELS[n].name}\n{SCORE_LABELS[n].unit}".rstrip() for n in names)]
        console.figures(headings, [[row["label"], *(figure(row["held_out"][n]) for n in names)] for row in rows])
    last = rows[-1]
    line = f"{table['output']}: {models}{timing(table)}\npicture: {table['picture']}"
    console.result(table, f"{line}\nnext: {next_command(last['model'], dreams='dreamt' in last)}")
