"""The chain: ``vidtrans make-dataset``, ``train``, ``run`` and ``demo``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import Flags, command_options, refuse_both
from vidtrans.cli.console import Console
from vidtrans.cli.options import (
    CACHING,
    batch_options,
    codec_option,
    colour_option,
    cuts_option,
    end_option,
    minutes_option,
    mix_option,
    output_option,
    pairing_option,
    setting_option,
    start_option,
    steps_option,
    strength_option,
    target_option,
    temporal_option,
    videos_argument,
)
from vidtrans.cli.types import FILE, MODEL, RegistryName
from vidtrans.cli.words import cost_text, count, next_command, shell_path, show_batch, timing
from vidtrans.config.recipe import CHAIN
from vidtrans.errors import UsageError

if TYPE_CHECKING:
    from vidtrans.batch.jobs import BatchOptions
    from vidtrans.requests import AblateRequest, DemoRequest, MakeDatasetRequest, RunRequest
    from vidtrans.session import Context
    from vidtrans.settings import Table


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
@command_options(*CACHING, request="MakeDatasetRequest", tables=("pairing", "dataset"), recipe="dataset_recipe")
def make_dataset(
    request: MakeDatasetRequest, each: bool, batch: BatchOptions, context: Context, console: Console
) -> int:
    """Make a dataset of pairs from videos, or from a folder of pairs (A/ + B/, or A|B pictures).

    A folder of videos, or a pattern ('clips/*.mov'), stands for all that it holds.

    The dataset is a folder of pictures that you can look through: delete a picture, and its pairs are gone.
    """
    from vidtrans.batch.jobs import SEQUENTIAL
    from vidtrans.pipeline import make_dataset as command

    if each:
        outcomes, summary = command.make_datasets(request, batch, context)
        return show_batch(console, outcomes, summary, {"output": str(request.output or Path())})
    if batch != SEQUENTIAL:
        raise UsageError(
            "--jobs, --executor, --shard, --retry-failed, --halt-on-error", "one dataset is one job", "give --each"
        )
    videos = command.clips_for(request.videos, request.recipe)
    table = command.make_dataset(replace(request, videos=videos), context)
    console.result(table, _dataset_text(table))
    return 0


def _dataset_text(table: Table) -> str:
    frames = count(table["frames"], "frame")
    if table.get("dry_run"):
        return f"would make {table['output']}: {frames} in {count(table['shots'], 'shot')}{cost_text(table)}"
    return (
        f"{table['output']}: {count(table['pairs'] - table['held_out'], 'pair')} to train on and "
        f"{table['held_out']} held out, from {frames}"
        + (f" ({table['left_out']} blurred or repeated ones left out)" if table["left_out"] else "")
        + f"{timing(table)}\nnext: vidtrans sheet {shell_path(table['output'])}"
        f"\n      vidtrans train {shell_path(table['output'])}"
    )


@click.command("train")
@click.argument("dataset", type=FILE)
@output_option("The model file; of --ablate, a folder.  [default: DATASET.safetensors]")
@steps_option
@minutes_option
@click.option(
    "--ablate",
    type=RegistryName("vidtrans.training.ablations:ABLATIONS", "ablation"),
    help="Train variants, each with another loss, discriminator or without skips, and put them in a table.",
)
@click.option("--from", "start_from", metavar="MODEL", type=MODEL, help="Start from a model's weights.")
@click.option("--fresh", is_flag=True, help="Start from nothing, whatever was trained before.")
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
        _show_ablation(AblateRequest(dataset, ablate, output, recipe, minutes), context, console)
        return
    request = TrainRequest(dataset, output, recipe, minutes, start_from=start_from, fresh=fresh)
    if table := train_model(request, context):  # else another process reports for all
        console.result(table, _model_text(table))


def _model_text(table: Table) -> str:
    steps = count(table["steps"], "step")
    if table.get("dry_run"):
        where = f"{table['device']} {table['precision']}"
        return f"would train {table['output']}: {steps} on {count(table['pairs'], 'pair')}, {where}{cost_text(table)}"
    scores = table.get("held_out") or {}
    score = f", held out {scores['psnr']:.1f} dB" if scores else ""
    return (
        f"{table['output']}: {steps}{score}{timing(table)}\n"
        f"how it learnt: {shell_path(table['report'])}\n"
        f"next: {next_command(table['output'], dreams='dreamt' in table)}"
    )


def _show_ablation(request: AblateRequest, context: Context, console: Console) -> None:
    """Train the variants, and print their held-out scores, where pairs were held out."""
    from vidtrans.pipeline.ablate import ablate
    from vidtrans.training.report.curves import SCORES, figure

    table = ablate(request, context)
    models = f"{count(len(table['rows']), 'model')} of {count(table['steps'], 'step')}"
    if table.get("dry_run"):
        console.result(table, f"would train {models} into {table['output']}{cost_text(table)}")
        return
    rows = table["rows"]
    if names := [n for n in SCORES if all(row["held_out"].get(n) is not None for row in rows)]:
        headings = ["", *(f"{SCORES[n].name}\n{SCORES[n].unit}".rstrip() for n in names)]
        console.figures(headings, [[row["label"], *(figure(row["held_out"][n]) for n in names)] for row in rows])
    best = rows[-1]
    line = f"{table['output']}: {models}{timing(table)}\npicture: {table['picture']}"
    console.result(table, f"{line}\nnext: {next_command(best['model'], dreams='dreamt' in best)}")


@click.command("run")
@click.argument("video", type=FILE)
@click.option(
    "--apply",
    "apply",
    multiple=True,
    required=True,
    type=FILE,
    metavar="VIDEO",
    help="A clip to render onto; may be repeated.",
)
@output_option("The result; a folder for several clips.", required=True)
@pairing_option
@target_option
@steps_option
@minutes_option
@temporal_option
@strength_option
@mix_option
@colour_option
@codec_option
@batch_options
@command_options(*CACHING, "device", "seed", request="RunRequest", tables=CHAIN, recipe="dataset_recipe")
def run(request: RunRequest, context: Context, console: Console) -> int:
    """Teach a look from VIDEO and render it onto other clips: dataset, model and renders, each found again."""
    from vidtrans.pipeline.run import run as run_chain

    refuse_both("steps", "minutes")
    table, outcomes, summary = run_chain(request, context)
    if summary is not None:
        return show_batch(console, outcomes, summary, table)
    if context.dry_run:
        line = f"would make {count(table['pairs'], 'pair')}, train {count(table['steps'], 'step')}"
        line += f", and render {request.output}{cost_text(table)}"
    else:
        line = f"{table['output']}: {count(table['frames'], 'frame')}, model {table['model']}{timing(table)}"
    console.result(table, line)
    return 0


@click.command("demo")
@output_option("The folder to make.  [default: vidtrans-demo]")
@click.option(
    "--minutes",
    type=click.FloatRange(0, 1e6, min_open=True),
    default=2.0,
    help="How long it may train; a GPU needs less.  [default: 2]",
)
@command_options("device", "seed", "cache_dir", "cache_limit_gb", "overwrite", "dry_run", request="DemoRequest")
def demo(request: DemoRequest, context: Context, console: Console) -> None:
    """See a result: a flower is learned and painted again, from nothing but its lines. Needs no file of yours."""
    from vidtrans.pipeline.demo import demo as run_demo

    table = run_demo(request, context)
    if table.get("dry_run"):
        line = f"would make {table['output']}: a dataset, a model, a video and a comparison; about "
        line += f"{request.minutes + 1:g} min on a CPU, 60 MB"
    else:
        line = "\n".join(
            (
                f"done in {table['seconds']:.0f} s, {table['steps']} training steps. Look at:",
                f"  {table['comparison']}        the clip, what the model saw of it, what it painted",
                f"  {table['comparison_sheet']}        the same as a picture",
                f"  {table['training_sheet']}   how it learned",
                f"  {table['video']}   the video itself",
                "Now with a clip of yours:",
                "  vidtrans stylize YOURS.mp4 --model flower      a model that ships; try its settings first:",
                "  vidtrans try YOURS.mp4 --model flower          a grid of them on a few frames, in seconds",
                "  vidtrans run YOURS.mp4 --apply OTHER.mp4 -o out.mp4     teach it the look of your clip",
            )
        )
    console.result(table, line)
