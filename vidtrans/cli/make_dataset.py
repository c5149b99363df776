"""``vidtrans make-dataset``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidtrans.cli.batch import batch_options, show_batch
from vidtrans.cli.command import command_options
from vidtrans.cli.console import Console
from vidtrans.cli.options import (
    KEEPING,
    cuts_option,
    end_option,
    output_option,
    pairing_option,
    setting_option,
    start_option,
    target_option,
    videos_argument,
)
from vidtrans.cli.words import costs, count, timing, typed
from vidtrans.errors import UsageError

if TYPE_CHECKING:
    from vidtrans.batch.jobs import Options
    from vidtrans.requests import MakeDatasetRequest
    from vidtrans.session import Context


@click.command("make-dataset")
@videos_argument
@output_option("The folder to make; with --each, where they go.  [default: VIDEO.dataset]")
@click.option("--each", is_flag=True, help="A dataset of each video, not one of all; --target may be a folder, too.")
@pairing_option
@target_option
@setting_option("--size", "dataset", "size", "Stored size: the short side, WxH, or source.")
@start_option()
@end_option()
@setting_option("--every", "dataset", "frame_step", "Take every n-th frame.", type=click.IntRange(1))
@cuts_option("no pair reaches", table="dataset")
@click.option("--restore", is_flag=True, help="Bring back pictures that were deleted from the dataset.")
@batch_options
@command_options(*KEEPING, request="MakeDatasetRequest", tables=("pairing", "dataset"), recipe="dataset_recipe")
def make_dataset(request: MakeDatasetRequest, each: bool, batch: Options, context: Context, console: Console) -> int:
    """Make a dataset of pairs from videos, or from a folder of pairs (A/ + B/, or A|B pictures).

    A folder of videos, or a pattern ('clips/*.mov'), stands for all that it holds.

    The dataset is a folder of pictures that you can look through: delete a picture, and its pairs are gone.
    """
    from dataclasses import replace

    from vidtrans.batch.jobs import ALONE
    from vidtrans.pipeline.make_dataset import clips_for, make_datasets
    from vidtrans.pipeline.make_dataset import make_dataset as make

    if each:
        outcomes, summary = make_datasets(request, batch, context)
        return show_batch(console, outcomes, summary, {"output": str(request.output or Path())})
    if batch != ALONE:
        raise UsageError(
            "--jobs, --executor, --shard, --retry-failed, --halt-on-error", "one dataset is one job", "give --each"
        )
    table = make(replace(request, videos=clips_for(request.videos, request.recipe)), context)
    console.result(table, _line(table))
    return 0


def _line(table: dict[str, Any]) -> str:
    frames = count(table["frames"], "frame")
    if table.get("dry_run"):
        return f"would make {table['output']}: {frames} in {count(table['shots'], 'shot')}{costs(table)}"
    return (
        f"{table['output']}: {count(table['pairs'] - table['held_out'], 'pair')} to train on and "
        f"{table['held_out']} held out, from {frames}"
        + (f" ({table['left_out']} blurred or repeated ones left out)" if table["left_out"] else "")
        + f"{timing(table)}\nnext: vidtrans sheet {typed(table['output'])}"
        f"\n      vidtrans train {typed(table['output'])}"
    )
