"""``vidtrans make-dataset``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import Arguments, command_options
from vidtrans.cli.console import Console
from vidtrans.cli.options import (
    CACHING,
    batch_options,
    cuts_option,
    end_option,
    output_option,
    pairing_option,
    setting_option,
    start_option,
    target_option,
    videos_argument,
)
from vidtrans.cli.types import FILE
from vidtrans.commands.words import batch_table, cost_text, count, shell_path, show_batch, timing
from vidtrans.errors import UsageError

if TYPE_CHECKING:
    from vidtrans.batch.options import BatchOptions
    from vidtrans.requests import MakeDatasetRequest
    from vidtrans.session import Context
    from vidtrans.settings import Table


def _recipe(arguments: Arguments) -> str:
    return "unpaired_recipe" if arguments["unpaired"] else "dataset_recipe"


@click.command("make-dataset")
@videos_argument
@output_option("The folder to make; with --each, where they go.  [default: VIDEO.dataset, or A-B.dataset]")
@click.option("--each", is_flag=True, help="A dataset of each video, not one of all; --target may be a folder, too.")
@pairing_option
@target_option
@click.option(
    "--unpaired",
    multiple=True,
    type=FILE,
    metavar="VIDEO",
    help="A clip or folder of another domain, without pairs; VIDEO... are the source's. May be repeated, for several "
    "domains. --start and --end are those of every clip.",
)
@setting_option("--size", "dataset", "size", "Stored size: the short side, WxH, or source.")
@start_option()
@end_option()
@setting_option("--every", "dataset", "frame_step", "Take every n-th frame.", type=click.IntRange(1))
@cuts_option("no pair reaches", table="dataset")
@click.option("--restore", is_flag=True, help="Bring back pictures that were deleted from the dataset.")
@batch_options
@command_options(*CACHING, "device", request="MakeDatasetRequest", tables=("pairing", "dataset"), recipe=_recipe)
def make_dataset(
    request: MakeDatasetRequest, each: bool, batch: BatchOptions, context: Context, console: Console
) -> int:
    """Make a dataset of pairs from videos, or from a folder of pairs (A/ + B/, or A|B pictures).

    With --unpaired it has two domains or more, and no pairs: frames of VIDEO... are to look like those of the other.

    A folder of videos, or a pattern ('clips/*.mov'), stands for all that it holds.

    The dataset is a folder of pictures that you can look through: delete a picture, and its pairs are gone.
    """
    from vidtrans.batch.options import SEQUENTIAL
    from vidtrans.pipeline import make_dataset as command

    if each:
        outcomes, summary = command.make_datasets(request, batch, context)
        return show_batch(console, batch_table(outcomes, summary, {"output": str(request.output or Path())}))
    if batch != SEQUENTIAL:
        raise UsageError(
            "--jobs, --executor, --shard, --retry-failed, --halt-on-error", "one dataset is one job", "give --each"
        )
    if not request.unpaired:
        request = replace(request, videos=command.clips_for(request.videos, request.recipe))
    table = command.make_dataset(request, context)
    console.result(table, _dataset_text(table))
    return 0


def _dataset_text(table: Table) -> str:
    frames = count(table["frames"], "frame")
    if table.get("dry_run"):
        return f"would make {table['output']}: {frames} in {count(table['shots'], 'shot')}{cost_text(table)}"
    whole = f"{count(table['pairs'] - table['held_out'], 'pair')} to train on and {table['held_out']} held out, from "
    if "domains" in table:
        whole = ", ".join(_domain_text(domain) for domain in table["domains"]) + ": "
    left_out = "without a counterpart" if table["pairing"] == "matched" else "blurred or repeated ones"
    return (
        f"{table['output']}: {whole}{frames}"
        + (f" ({table['left_out']} {left_out} left out)" if table["left_out"] else "")
        + f"{timing(table)}\nnext: vidtrans sheet {shell_path(table['output'])}"
        f"\n      vidtrans train {shell_path(table['output'])}"
    )


def _domain_text(domain: Table) -> str:
    held_out = f" and {domain['held_out']} held out" if domain["held_out"] else ""
    return f"{domain['frames'] - domain['held_out']} of '{domain['name']}' to train on{held_out}"
