"""Next-frame prediction fed back on itself: dream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vidtrans.cli.console import Console
from vidtrans.cli.flags import FILE, codec_option, filter_option
from vidtrans.cli.options import KEEPING, common, flags_of, model_type, preset_option, set_option, setting_option
from vidtrans.cli.words import rendered
from vidtrans.errors import UsageError
from vidtrans.settings import parse_time

ENDING = ".safetensors"
EXPRESSIONS = (
    "A VALUE is an expression of t (seconds), f (the frame's number), pi and, with --sound, of low, mid, high and loud "
    "(0 to 1), with + - * / ^ and sin cos abs sqrt exp floor mod min max clamp: '1.01 + 0.004*sin(t)'. It may have "
    "keyframes, frames or times: '0: 1, 4s: 1.02'."
)


def _camera(flag: str, key: str, help: str) -> Any:
    return setting_option(flag, "dreaming", key, help, metavar="VALUE")


def seed_and_models(given: tuple[str, ...], models: tuple[str, ...]) -> tuple[str, list[str]]:
    """The seed, and the models with those that a shell made of ``--model *.safetensors``. Raises UsageError."""
    more = [name for name in given if name.endswith(ENDING)]
    seeds = [name for name in given if not name.endswith(ENDING)]
    if len(seeds) != 1:
        why = f"{len(seeds)} were given ({', '.join(seeds)})" if seeds else "there is none"
        raise UsageError("SEED", why, "give one video, one picture, or the word noise")
    if more and len(models) > 1:
        raise UsageError(more[0], "it follows no --model of its own", "put --model before each one")
    return seeds[0], [*models, *more]


@click.command("dream", epilog=EXPRESSIONS)
@click.argument("given", nargs=-1, required=True, metavar="SEED")
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    metavar="MODEL",
    type=model_type,
    help="A model that predicts frames; several come in turn. A shell's *.safetensors is several.",
)
@click.option("--frames", required=True, type=click.IntRange(1, 10**8), help="How many frames to dream.")
@click.option("-o", "--output", type=FILE, help="The result.  [default: SEED.MODEL.dream.mp4]")
@click.option("--start", metavar="TIME", help="Where in a video the seed is.")
@setting_option("--size", "rendering", "size", "Working size: short side, WxH, trained, or source.")
@_camera("--zoom", "zoom", "How many times larger the picture gets each frame.")
@_camera("--rotate", "rotate", "Degrees that it turns each frame, anticlockwise.")
@_camera("--pan-x", "pan_x", "Share of its width that it moves right each frame.")
@_camera("--pan-y", "pan_y", "Share of its height that it moves down each frame.")
@_camera("--hue", "hue", "Degrees that hues turn each frame.")
@_camera("--speed", "speed", "Of the model's clock: 0 stands, -1 goes backwards.")
@setting_option(
    "--position",
    "dreaming",
    "start_position",
    "Where on the model's clip it begins, 0 to 1; none: after the seed, as if that were the clip's start.",
    type=click.FloatRange(0, 1),
)
@setting_option("--loop", "dreaming", "loop", "The end meets the start.", is_flag=True, flag_value=True, type=bool)
@click.option("--blend", type=FILE, metavar="VIDEO", help="A driving video, mixed into what is fed back.")
@_camera("--blend-amount", "blend_amount", "Its share, 0 to 1.")
@click.option("--sound", type=FILE, help="What expressions may listen to; it becomes the result's sound.")
@setting_option(
    "--governor",
    "dreaming",
    "drift_correction",
    "How far the dream is kept to what was seen in training, 0 to 1.",
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
    "--morph", "dreaming", "morph", "Models pass into one another.", is_flag=True, flag_value=True, type=bool
)
@codec_option
@setting_option(
    "--fps", "encoding", "fps", "Frames a second; source: the seed's, else those that were learned from.", metavar="N"
)
@filter_option
@preset_option
@set_option
@common(*KEEPING, "device", "seed")
@click.pass_context
def dream(
    click_context: click.Context,
    given: tuple[str, ...],
    models: tuple[str, ...],
    frames: int,
    output: Path | None,
    start: str | None,
    blend: Path | None,
    sound: Path | None,
    preset: str | None,
    context: Any,
    console: Console,
    **_: Any,
) -> None:
    """Let a model that predicts frames go on from SEED: a video, a picture, or the word noise.

    Stop it at any moment; the same command goes on. With more --frames, and --overwrite, it goes on from what is there.
    """
    from vidtrans.dreaming.predictors import NOISE
    from vidtrans.pipeline.dream import dream as make
    from vidtrans.pipeline.dream import dream_recipe

    seed, named = seed_and_models(given, models)
    source = None if seed == NOISE else FILE.convert(seed, None, click_context)
    recipe = dream_recipe(preset, flags_of(click_context, "dreaming", "rendering", "encoding"))
    begin = parse_time(start) if start else None
    table = make(source, named, output, frames, recipe, context, start=begin, blend=blend, sound=sound)
    console.result(table, rendered(table))
