"""The steps of the chain: make-dataset, train, stylize, run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vidtrans.cli.ablation import refuse_start, show_ablation
from vidtrans.cli.batch import batch_options, show_batch
from vidtrans.cli.console import Console
from vidtrans.cli.flags import (
    FILE,
    FOLDERS,
    ablate_option,
    codec_option,
    colour_option,
    cuts_option,
    draft_option,
    end_option,
    engine_option,
    filter_option,
    fps_option,
    minutes_option,
    mix_option,
    pairing_option,
    source_filter_option,
    start_option,
    steps_option,
    strength_option,
    target_option,
    temporal_option,
)
from vidtrans.cli.options import (
    KEEPING,
    common,
    flags_of,
    model_type,
    preset_option,
    refuse_both,
    set_option,
    setting_option,
)
from vidtrans.cli.words import costs, count, rendered, timing, typed, what_next
from vidtrans.errors import UsageError
from vidtrans.settings import parse_time

VIDEOS = click.argument("videos", nargs=-1, required=True, type=FILE, metavar="VIDEO...")


def _span(start: str | None, end: str | None) -> dict[str, Any]:
    return {"start": parse_time(start) if start else None, "end": parse_time(end) if end else None}


@click.command("make-dataset")
@VIDEOS
@click.option(
    "-o", "--output", type=FILE, help="The folder to make; with --each, where they go.  [default: VIDEO.dataset]"
)
@click.option("--each", is_flag=True, help="A dataset of each video, not one of all; --target may be a folder, too.")
@pairing_option
@target_option
@preset_option
@setting_option("--size", "dataset", "size", "Stored size: the short side, WxH, or source.")
@start_option
@end_option
@setting_option("--every", "dataset", "every", "Take every n-th frame.", type=click.IntRange(1))
@cuts_option("no pair reaches", table="dataset")
@click.option("--restore", is_flag=True, help="Bring back pictures that were deleted from the dataset.")
@batch_options
@set_option
@common(*KEEPING)
@click.pass_context
def make_dataset(
    click_context: click.Context,
    videos: tuple[Path, ...],
    output: Path | None,
    target: Path | None,
    preset: str | None,
    start: str | None,
    end: str | None,
    restore: bool,
    each: bool,
    batch: Any,
    context: Any,
    console: Console,
    **_: Any,
) -> int:
    """Make a dataset of pairs from videos, or from a folder of pairs (A/ + B/, or A|B pictures).

    A folder of videos, or a pattern ('clips/*.mov'), stands for all that it holds.

    The dataset is a folder of pictures that you can look through: delete a picture, and its pairs are gone.
    """
    from vidtrans.batch.jobs import ALONE
    from vidtrans.config.recipe import dataset_recipe
    from vidtrans.pipeline.make_dataset import clips_for, make_datasets
    from vidtrans.pipeline.make_dataset import make_dataset as make

    recipe = dataset_recipe(preset, flags_of(click_context, "pairing", "dataset"))
    options = {"target": target, "restore": restore, **_span(start, end)}
    if each:
        outcomes, summary = make_datasets(videos, output or Path(), recipe, context, batch, **options)
        return show_batch(console, outcomes, summary, {"output": str(output or ".")})
    if batch != ALONE:
        raise UsageError(
            "--jobs, --executor, --shard, --retry-failed, --halt-on-error", "one dataset is one job", "give --each"
        )
    table = make(clips_for(videos, recipe), output, recipe, context, **options)
    if table.get("dry_run"):
        line = f"would make {table['output']}: {count(table['frames'], 'frame')} in {count(table['shots'], 'shot')}"
        line += costs(table)
    else:
        line = (
            f"{table['output']}: {count(table['pairs'] - table['held_out'], 'pair')} to train on and "
            f"{table['held_out']} held out, from {count(table['frames'], 'frame')}"
            + (f" ({table['left_out']} blurred or repeated ones left out)" if table["left_out"] else "")
            + f"{timing(table)}\nnext: vidtrans sheet {typed(table['output'])}"
            f"\n      vidtrans train {typed(table['output'])}"
        )
    console.result(table, line)
    return 0


@click.command("train")
@click.argument("dataset", type=FILE)
@click.option(
    "-o", "--output", type=FILE, help="The model file; of --ablate, a folder.  [default: DATASET.safetensors]"
)
@preset_option
@steps_option
@minutes_option
@ablate_option
@click.option("--from", "start_from", metavar="MODEL", type=model_type, help="Start from a model's weights.")
@click.option("--fresh", is_flag=True, help="Start from nothing, whatever was trained before.")
@set_option
@common("device", "seed", "cache_dir", "cache_limit_gb", "overwrite", "dry_run")
@click.pass_context
def train(
    click_context: click.Context,
    dataset: Path,
    output: Path | None,
    preset: str | None,
    minutes: float | None,
    ablate: str | None,
    start_from: str | None,
    fresh: bool,
    context: Any,
    console: Console,
    **_: Any,
) -> None:
    """Train a model on a dataset. Stop it at any moment; the same command goes on."""
    from vidtrans.pipeline.train import train as train_model
    from vidtrans.pipeline.train import train_recipe

    refuse_both(click_context, "steps", "minutes")
    recipe = train_recipe(dataset, preset, flags_of(click_context, "generator", "discriminator", "training", "card"))
    if ablate:
        refuse_start(start_from)
        show_ablation(console, dataset, ablate, output, recipe, context, minutes)
        return
    table = train_model(dataset, output, recipe, context, minutes=minutes, start_from=start_from, fresh=fresh)
    if not table:
        return  # another process speaks for all
    if table.get("dry_run"):
        where = f"{table['device']} {table['precision']}"
        line = f"would train {table['output']}: {count(table['steps'], 'step')} on {count(table['pairs'], 'pair')}, "
        line += where + costs(table)
    else:
        scores = table.get("held_out") or {}
        shown = f", held out {scores['psnr']:.1f} dB" if scores else ""
        line = (
            f"{table['output']}: {count(table['steps'], 'step')}{shown}{timing(table)}\n"
            f"how it learnt: {typed(table['report'])}\n"
            f"next: {what_next(table['output'], 'dreamt' in table)}"
        )
    console.result(table, line)


@click.command("stylize")
@VIDEOS
@click.option(
    "--model",
    metavar="MODEL",
    type=model_type,
    help="A model file or name; 'identity' returns its input. Only a list of clips may name its own.",
)
@click.option(
    "-o",
    "--output",
    type=FILE,
    help="The result; a folder for several clips.  [default: VIDEO.MODEL.mp4, for pictures .png or a folder]",
)
@setting_option("--size", "rendering", "size", "Working size: short side, WxH, trained, or source.")
@temporal_option
@draft_option
@engine_option
@cuts_option("nothing is averaged")
@strength_option
@click.option("--mask", type=FILE, help="A matte, white where the look is: a video, a picture, or a folder.")
@mix_option
@colour_option
@setting_option(
    "--drawn",
    "rendering",
    "drawn",
    "The source is a drawing, its lines are taken as they are.",
    type=click.Choice(["auto", "yes", "no"]),
)
@codec_option
@fps_option
@filter_option
@source_filter_option
@start_option
@end_option
@click.option("--score", is_flag=True, help="Draw beside the result how steady it is, and say it: see 'evaluate'.")
@batch_options
@preset_option
@set_option
@common(*KEEPING, "device")
@click.pass_context
def stylize(
    click_context: click.Context,
    videos: tuple[Path, ...],
    model: str | None,
    output: Path | None,
    mask: Path | None,
    start: str | None,
    end: str | None,
    score: bool,
    batch: Any,
    preset: str | None,
    context: Any,
    console: Console,
    **_: Any,
) -> int:
    """Render a model onto videos: every frame, every timestamp, and the sound. Stop it; the same command goes on.

    A VIDEO may be a picture, a folder of pictures, or numbered ones (frames/%05d.png) as well: the result is of that
    kind too, unless -o says otherwise. A folder of videos stands for these, a pattern ('clips/*.mov') for what it
    matches, and a list (night.toml) for clips with models and options of their own: each is rendered, one that fails
    is named and passed over.
    """
    from vidtrans.config.recipe import render_recipe
    from vidtrans.output.target import refuse_link
    from vidtrans.pipeline.stylize_batch import LIST_SUFFIX, listed, stylize_batch, stylize_one, wished
    from vidtrans.video.io.pictures import is_picture_sequence

    flags = flags_of(click_context, "pairing", "rendering", "temporal", "encoding")
    options: dict[str, Any] = {**_span(start, end), "mask": mask, "score": score}
    folder = output or Path()
    if videos[0].suffix.lower() == LIST_SUFFIX:
        if len(videos) > 1:
            raise UsageError(str(videos[1]), "a list of clips stands alone", "give one list, or videos")
        wishes = listed(videos[0], model, preset, flags, context, folder, **options)
    else:
        if model is None:
            raise click.MissingParameter(ctx=click_context, param_hint="'--model'", param_type="option")
        recipe = render_recipe(preset, flags)
        wishes = wished(videos, model, recipe, context, folder, **options)
        if len(wishes) == 1 and not batch.takes_some:
            # A folder that is there takes a video's result in; the result of a folder of pictures is itself a folder.
            gives_folder = is_picture_sequence(wishes[0].source) or recipe.settings_of("encoding").makes_pictures
            if output and not gives_folder and (output.is_dir() or output in click_context.meta.get(FOLDERS, ())):
                output = refuse_link(output / wishes[0].usual)
            table = stylize_one(wishes[0], output, batch, context)
            console.result(table, rendered(table))
            return 0
    outcomes, summary = stylize_batch(wishes, folder, batch, context)
    return show_batch(console, outcomes, summary, {"output": str(folder)})


@click.command("run")
@click.argument("video", type=FILE)
@click.option(
    "--apply",
    "apply_to",
    multiple=True,
    required=True,
    type=FILE,
    metavar="VIDEO",
    help="A clip to render onto; may be repeated.",
)
@click.option("-o", "--output", required=True, type=FILE, help="The result; a folder for several clips.")
@preset_option
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
@set_option
@common(*KEEPING, "device", "seed")
@click.pass_context
def run(
    click_context: click.Context,
    video: Path,
    apply_to: tuple[Path, ...],
    output: Path,
    preset: str | None,
    target: Path | None,
    minutes: float | None,
    batch: Any,
    context: Any,
    console: Console,
    **_: Any,
) -> int:
    """Teach a look from VIDEO and render it onto other clips: dataset, model and renders, each found again."""
    from vidtrans.config.recipe import CHAIN, dataset_recipe
    from vidtrans.pipeline.run import run as run_chain

    refuse_both(click_context, "steps", "minutes")
    recipe = dataset_recipe(preset, flags_of(click_context, *CHAIN))
    table, outcomes, summary = run_chain(
        video, list(apply_to), output, recipe, context, target=target, minutes=minutes, batch=batch
    )
    if summary is not None:
        return show_batch(console, outcomes, summary, table)
    if context.dry_run:
        line = f"would make {count(table['pairs'], 'pair')}, train {count(table['steps'], 'step')}, and render {output}"
        line += costs(table)
    else:
        line = f"{table['output']}: {count(table['frames'], 'frame')}, model {table['model']}{timing(table)}"
    console.result(table, line)
    return 0
