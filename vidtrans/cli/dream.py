"""``vidtrans dream``: next-frame prediction fed back on itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vidtrans.cli.command import Flags, command_options
from vidtrans.cli.console import Console
from vidtrans.cli.options import (
    CACHING,
    Decorator,
    codec_option,
    filter_option,
    models_option,
    output_option,
    setting_option,
    size_option,
    start_option,
)
from vidtrans.cli.types import FILE
from vidtrans.commands.words import render_text
from vidtrans.errors import UsageError

if TYPE_CHECKING:
    from vidtrans.session import Context
    from vidtrans.settings import Time

SUFFIX = ".safetensors"
EXPRESSIONS = (
    "A VALUE is an expression of t (seconds), f (the frame's number), pi and, with --sound, of low, mid, high and loud "
    "(0 to 1), with + - * / ^ and sin cos abs sqrt exp floor mod min max clamp: '1.01 + 0.004*sin(t)'. It may have "
    "keyframes, frames or times: '0: 1, 4s: 1.02'."
)


def _value_option(flag: str, key: str, help: str) -> Decorator:
    return setting_option(flag, "dreaming", key, help, metavar="VALUE")


def _seed_and_models(names: tuple[str, ...], models: tuple[str, ...]) -> tuple[str, list[str]]:
    """The seed, and the models with those that a shell made of ``--model *.safetensors``. Raises UsageError."""
    more = [name for name in names if name.endswith(SUFFIX)]
    seeds = [name for name in names if not name.endswith(SUFFIX)]
    if len(seeds) != 1:
        why = f"{len(seeds)} were given ({', '.join(seeds)})" if seeds else "there is none"
        raise UsageError("SEED", why, "give one video, one picture, or the word noise")
    if more and len(models) > 1:
        raise UsageError(more[0], "it follows no --model of its own", "put --model before each one")
    return seeds[0], [*models, *more]


@click.command("dream", epilog=EXPRESSIONS)
@click.argument("names", nargs=-1, required=True, metavar="SEED")
@models_option("A model that predicts frames; several come in turn. A shell's *.safetensors is several.")
@click.option("--frames", required=True, type=click.IntRange(1, 10**8), help="How many frames to dream.")
@output_option("The result.  [default: SEED.MODEL.dream.mp4]")
@start_option("Where in a video the seed is.")
@size_option
@_value_option("--zoom", "zoom", "How many times larger the picture gets each frame.")
@_value_option("--rotate", "rotate", "Degrees that it turns each frame, anticlockwise.")
@_value_option("--pan-x", "pan_x", "Share of its width that it moves right each frame.")
@_value_option("--pan-y", "pan_y", "Share of its height that it moves down each frame.")
@_value_option("--hue", "hue", "Degrees that hues turn each frame.")
@_value_option("--speed", "speed", "Of the model's clock: 0 stands, -1 goes backwards.")
@setting_option(
    "--position",
    "dreaming",
    "start_position",
    "Where on the model's clip it begins, 0 to 1; none: after the seed, as if that were the clip's start.",
    type=click.FloatRange(0, 1),
)
@setting_option(
    "--loop",
    "dreaming",
    "loop",
    "Make the last frame lead back into the first.",
    is_flag=True,
    flag_value=True,
    type=bool,
)
@click.option("--blend", type=FILE, metavar="VIDEO", help="A driving video, mixed into what is fed back.")
@_value_option("--blend-amount", "blend_amount", "Its share, 0 to 1.")
@click.option("--sound", type=FILE, help="What expressions may listen to; it becomes the result's sound.")
@setting_option(
    "--drift-correction",
    "dreaming",
    "drift_correction",
    "Strength of the correction towards the training frames, 0 to 1.",
    type=click.FloatRange(0, 1),
)
@setting_option(
    "--every",
    "dreaming",
    "frames_per_model",
    "Frames of each of several models; none: all come once.",
    type=click.IntRange(1),
)
@setting_option(
    "--morph", "dreaming", "morph", "Interpolate the models' weights.", is_flag=True, flag_value=True, type=bool
)
@codec_option
@setting_option(
    "--fps", "encoding", "fps", "Frames a second; source: the seed's, else those that were learned from.", metavar="N"
)
@filter_option
@command_options(*CACHING, "device", "seed", tables=("dreaming", "rendering", "encoding"))
def dream(
    names: tuple[str, ...],
    models: tuple[str, ...],
    frames: int,
    output: Path | None,
    start: Time | None,
    blend: Path | None,
    sound: Path | None,
    flags: Flags,
    context: Context,
    console: Console,
) -> None:
    """Let a model that predicts frames go on from SEED: a video, a picture, or the word noise.

    Stop it at any moment; the same command goes on. With more --frames, and --overwrite, it goes on from what is there.
    """
    from vidtrans.config.recipe import render_recipe
    from vidtrans.config.rendering_settings import DREAM_READS
    from vidtrans.dreaming.predictors import NOISE
    from vidtrans.pipeline.dream import dream as render
    from vidtrans.requests import DreamRequest

    seed, all_models = _seed_and_models(names, models)
    source = None if seed == NOISE else FILE.convert(seed, None, click.get_current_context())
    recipe = render_recipe(flags.preset, flags.tables, "dream", DREAM_READS)
    table = render(DreamRequest(source, all_models, output, frames, recipe, start, blend, sound), context)
    console.result(table, render_text(table))
