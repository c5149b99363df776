"""``vidtrans train``; with ``--ablate`` and ``--sweep`` several trainings in a table."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import Flags, command_options, refuse_both, refuse_given
from vidtrans.cli.console import Console
from vidtrans.cli.options import minutes_option, output_option, steps_option, trainings_options
from vidtrans.cli.types import FILE, MODEL, RegistryName
from vidtrans.commands.words import cost_text, count, next_command, timing, trained_text
from vidtrans.errors import BatchError, UsageError

if TYPE_CHECKING:
    from vidtrans.batch.options import BatchOptions
    from vidtrans.requests import AblateRequest
    from vidtrans.session import Context
    from vidtrans.settings import Table


@click.command("train")
@click.argument("dataset", type=FILE)
@output_option("The model file; of --ablate and --sweep, a folder.  [default: DATASET.safetensors]")
@steps_option()
@minutes_option
@click.option(
    "--ablate",
    type=RegistryName("vidtrans.training.ablations:ABLATIONS", "ablation"),
    help="Train variants, each with another loss, discriminator or without skips, and put them in a table.",
)
@click.option(
    "--sweep",
    multiple=True,
    metavar="[TABLE.]KEY=V,V",
    help="Train once for each value of a setting of generator, discriminator or training, as --set names it, or of "
    "seed, and put the models in a table: lambda_l1=50,100. Repeated, once for each combination. Lists: "
    "blocks=[0,0,0],[1,1,1].",
)
@trainings_options
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
    sweep: tuple[str, ...],
    batch: BatchOptions,
    start_from: str | None,
    fresh: bool,
    embed: bool,
    flags: Flags,
    context: Context,
    console: Console,
) -> int:
    """Train a model on a dataset. Stop it at any moment; the same command goes on."""
    from vidtrans.batch.options import SEQUENTIAL
    from vidtrans.data.folder import train_recipe
    from vidtrans.pipeline.train import train as train_model
    from vidtrans.requests import AblateRequest, TrainRequest

    refuse_both("steps", "minutes")
    recipe = train_recipe(dataset, flags.preset, flags.tables)
    if ablate or sweep:
        from vidtrans.training.sweeps import parse_sweep, sweep_variants

        option = "--ablate" if ablate else "--sweep"
        for name, given in (("--from", start_from), ("--fresh", fresh)):
            if given:
                raise UsageError(f"{option} and {name}", "every variant starts from nothing", f"leave {name} out")
        if embed:
            raise UsageError(f"{option} and --embed", "variants are compared, not passed on", "leave --embed out")
        variants = sweep_variants(parse_sweep(sweep), flags.tables, partial(train_recipe, dataset, flags.preset))
        if any(variant.seed is not None for variant in variants):
            refuse_given("seed", "--sweep seed", "it is also given one value for all")
        asked = AblateRequest(dataset, ablate or "", output, recipe, minutes, variants, batch)
        return _show_ablation(asked, context, console)
    if batch != SEQUENTIAL:
        why = "there is one training, in this process"
        raise UsageError("--jobs, --executor", why, "leave them out, or train several with --sweep or --ablate")
    request = TrainRequest(dataset, output, recipe, minutes, start_from=start_from, fresh=fresh, embed=embed)
    if table := train_model(request, context):  # else another process reports for all
        console.result(table, _model_text(table))
    return 0


def _model_text(table: Table) -> str:
    steps = count(table["steps"], "step")
    if table.get("dry_run"):
        where = f"{table['device']} {table['precision']}"
        rate = f"{table['pictures_per_second']:.3g} pictures a second"
        what = f"{steps} on {count(table['pairs'], 'pair')}, {where}, {rate}"
        return f"would train {table['output']}: {what}{cost_text(table)}"
    return trained_text(table)


def _show_ablation(request: AblateRequest, context: Context, console: Console) -> int:
    """Train the variants, and print their held-out scores, where pairs were held out. Return the exit status."""
    from vidtrans.pipeline.ablate import ablate
    from vidtrans.training.report.curves import SCORE_LABELS, figure

    table = ablate(request, context)
    rows, steps = table["rows"], table["steps"]
    models = count(len(rows), "model") + (f" of {count(steps, 'step')}" if steps is not None else "")
    if table.get("dry_run"):
        console.result(table, f"would train {models} into {table['output']}{cost_text(table)}")
        return 0
    if names := [n for n in SCORE_LABELS if rows and all(row["held_out"].get(n) is not None for row in rows)]:
        headings = ["", *(f"{SCORE_LABELS[n].name}\n{SCORE_LABELS[n].unit}".rstrip() for n in names)]
        console.figures(headings, [[row["label"], *(figure(row["held_out"][n]) for n in names)] for row in rows])
    if failed := table["failed"]:
        trained = count(len(rows) + len(failed), "training")
        why = f"{'; the first' if len(failed) > 1 else ''}: {next(iter(failed.values()))}"
        line = (
            f"{len(failed)} of {trained} failed: {', '.join(failed)}{why}; the same command trains only what is missing"
        )
        console.failure(line, BatchError.exit_status, table)
        return BatchError.exit_status
    last = rows[-1]
    line = f"{table['output']}: {models}{timing(table)}\npicture: {table['picture']}"
    console.result(table, f"{line}\nnext: {next_command(last['model'], dreams='dreamt' in last)}")
    return 0
