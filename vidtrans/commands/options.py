"""Options that several commands share, and checks of their values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidtrans.core.errors import UsageError
from vidtrans.core.options import Group, option
from vidtrans.core.settings import parse_rate

if TYPE_CHECKING:
    from vidtrans.config.recipe import Recipe

MODEL_SUFFIX = ".safetensors"  # Suffix of model files


def _shared_option(*args: Any, **traits: Any) -> Callable[[Any], Any]:  # noqa: ANN401  (what ``option`` takes)
    """Return a function that declares an option as a field of a command, from the field's default.

    ``args``, ``traits``: the arguments of ``option`` after the default.
    """
    return lambda default: option(default, *args, **traits)


# --start: the first frame to process, as a time or a frame number
START_OPTION = _shared_option("Start time: HH:MM:SS.mmm, 12.5s, or a frame number from 0.", Group.TIME)
# --end: the frame before which to stop, as a time or a frame number
END_OPTION = _shared_option("End time (exclusive).", Group.TIME)
# --cuts: detection of shots, or a file with their first frames
CUTS_OPTION = _shared_option(
    "Cuts between shots: auto (detected), off (none), or a file. The file shows where each shot starts: one "
    "frame or time on each line, a CSV of PySceneDetect, or a timeline.",
    Group.TIME,
    metavar="auto|off|FILE",
    access="path",
    form="more",
)
# --mask, repeatable: mattes that limit the render, or that --region refers to by name
MASKS_OPTION = _shared_option(
    "Apply the look only where a mask is white. MASK: person, face, key (in front of a green or blue screen), "
    "colour:#rrggbb or luma (bright parts), found in each frame. MASK can also be a matte: a video, a picture "
    "or a folder. For several clips, a folder can have one matte for each clip. 'not person' or not:FILE "
    "inverts a mask; ' + ' and ' - ' combine masks. For --region, give the mask a name: man=person.",
    Group.LOOK,
    metavar="[NAME=]MASK",
    access="path",
)
# --region, repeatable: the model or medium for a named mask
REGIONS_OPTION = _shared_option(
    "Use another look inside a named --mask: man=ink. Outside the mask: not:man=oil. MODEL: a model, a "
    "medium, a picture, or 'keep' (unchanged). Repeat the same NAME for a chain of models. Later regions cover "
    "earlier ones.",
    Group.LOOK,
    metavar="NAME=MODEL",
    access="path",
)
# --rest, repeatable: the models for the area outside of all regions
REST_OPTION = _shared_option(
    "With --region: the model for the area outside all regions. Repeat the option for a chain of models.",
    Group.LOOK,
    metavar="MODEL",
    default_text="keep, the unchanged frames",
    access="path",
)
# --handles: number of extra frames on both sides of a timeline's clip
HANDLES_OPTION = _shared_option(
    "For a timeline: number of extra frames to render on both sides of each clip's visible part.",
    Group.TIME,
    bounds=(0, 100_000),
)
# --media, repeatable: folders in which a timeline's missing clips are searched
MEDIA_OPTION = _shared_option(
    "For a timeline: a folder in which missing media are searched by name. Can be repeated.",
    Group.INPUT,
    metavar="FOLDER",
)
# --rate: the frame rate of an edit decision list (EDL), in frames per second
RATE_OPTION = _shared_option(
    "For an EDL, which has no frame rate: the frames per second, such as 25, 23.976 or 30000/1001.",
    Group.TIME,
    metavar="FPS",
    default_text="the rate of its clips",
)
# --beside: write each result into its source's folder
BESIDE_OPTION = _shared_option(
    "Write each result into the folder of its source instead of the current folder.", Group.OUTPUT
)
# --target: the clip or folder that shows what the network should output
TARGET_OPTION = _shared_option(
    "A clip or folder with the targets: the pictures that the model learns to make. For --pairing aligned and "
    "stack, it must be synchronous with VIDEO; for matched, have the same content.",
    Group.INPUT,
    metavar="VIDEO",
)
# --label, repeatable: displayed names of clips
LABELS_OPTION = _shared_option(
    "Displayed name of a clip. Repeat the option for each clip, in the order of the clips.",
    Group.OUTPUT,
    ("--label",),
    metavar="TEXT",
)
# --first-number: the number that the painted pictures' file names give to the clip's first frame
FIRST_NUMBER_OPTION = _shared_option(
    "Number of the first frame in the names of the painted pictures: 1 for pictures that ffmpeg wrote.",
    Group.INPUT,
    metavar="N",
    default_text="0, or the numbers of the clip's own pictures",
)
# --keep: a matte of the content of the training clip that the style should not change
KEEP_OPTION = _shared_option(
    "Keep the content of the training clip where a matte is white. Values: face, person, or a matte: a video, a "
    "picture or a folder. With several clips: one matte for all, or a folder with a matte video for each clip, "
    "of the same name.",
    Group.INPUT,
    metavar="MATTE",
    access="path",
)
# --minutes: training time in minutes, instead of a number of steps
MINUTES_OPTION = _shared_option(
    "Training time in minutes, instead of --steps. The command measures the speed and sets the number of steps.",
    Group.TRAINING,
    bounds=(0, 1e6),
    low_open=True,
    form="more",
)
# --fresh: ignore the state of earlier training
FRESH_OPTION = _shared_option("Train from scratch, and ignore earlier training.", Group.TRAINING, rare=True)
# --as-is: write the model of an interrupted training without further steps
AS_IS_OPTION = _shared_option(
    "Do not train further: write the model of an interrupted training as it is now. The same command without "
    "--as-is continues the training.",
    Group.TRAINING,
    rare=True,
)
# Pairs of parameters that exclude each other, because both limit the length of the training
STOP_CONDITIONS = (("steps", "minutes"),)
# Fields of ``BatchOptions`` that become options of commands which process several clips
BATCH_OPTIONS = ("jobs", "executor", "shard", "retry", "halt")


def output_option(help: str, default_text: str = "", default: Any = None) -> Any:  # noqa: ANN401  (a field)
    """Declare a field as the option ``-o``. ``default_text``: the default file name, for the help."""
    return option(default, help, Group.OUTPUT, ("-o", "--output"), default_text=default_text)


def mask_option(what: str, more: str = "") -> Any:  # noqa: ANN401
    """Declare the ``--mask`` option of a command that takes one mask.

    ``what``: the effect where the mask is white, for the help. ``more``: a sentence, with a space after it.
    """
    text = (
        f"{what} only where a mask is white. {more}MASK: person, face, key (in front of a green or blue screen), "
        "colour:#rrggbb or luma (bright parts); or a matte: a video, a picture or a folder. To invert it: 'not person' "
        "or not:FILE."
    )
    return option(None, text, Group.LOOK, metavar="MASK", access="path")


def models_option(help: str, default: Any = ()) -> Any:  # noqa: ANN401
    """Declare the ``--model`` option of a command that takes several models."""
    return option(default, help, Group.INPUT, ("--model",), file="model")


def check_beside(beside: bool, output: Path | None, other: str = "-o") -> None:
    """Raise UsageError if --beside and an output path are both given. ``other``: the path's option, for the message."""
    if beside and output is not None:
        raise UsageError(f"--beside and {other}", "both say where results go", "leave one of them out")


def expand_clips(paths: Sequence[Path], recipe: Recipe) -> list[Path]:
    """Expand files, folders and glob patterns to clips; with a pairing that needs guide passes, a folder is one clip.

    Raises UsageError.
    """
    from vidtrans.batch.inputs import expand_sources

    return expand_sources(paths, whole_folders=recipe.choice("pairing")[0] in ("stack", "change"))


def missing_model_error(command: str, inputs: Sequence[Path] = ()) -> UsageError:
    """Return the error for a command that has neither a model nor --look, with suggestions.

    ``inputs``: the command's clips; one of them may be the name of a look or model, without its option.
    """
    from vidtrans.models.model_file import list_models
    from vidtrans.models.paintings import shipped_looks

    for path in inputs:
        for kind, names in (("look", shipped_looks()), ("model", list_models())):
            if str(path).lower() in names and not path.exists():
                clip = next((str(other) for other in inputs if other != path), "VIDEO")
                name = str(path).lower()
                remedy = f"write: vidtrans {command} {clip} --{kind} {name}"
                return UsageError(f"{command}: '{path}'", f"a {kind}, where a clip is expected", remedy)
    remedy = "give --look oil, pencil or another that 'vidtrans model list' names, --look PICTURE, or --model MODEL"
    return UsageError(command, "there is no model", remedy)


def check_counts(**counts: int | None) -> None:
    """Raise UsageError if a count is less than 1; ``counts``: values by option name, None if not given."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise UsageError(f"--{name} {count}", "it must be at least 1", "give a larger number")


def check_suffix(output: Path | None, what: str, *suffixes: str) -> None:
    """Raise UsageError if an output has none of the ``suffixes``; ``what``: the noun for its content in the message."""
    if output is not None and output.suffix.lower() not in suffixes:
        remedy = " or ".join(f"-o {output.with_suffix(suffix)}" for suffix in suffixes)
        raise UsageError(str(output), f"{what} is a {' or '.join(suffixes)} file", f"use {remedy}")


def check_minutes(minutes: float | None) -> None:
    """Raise UsageError if a training time in minutes is not positive and finite."""
    if minutes is not None and not 0 < minutes < float("inf"):
        raise UsageError("--minutes", f"it must be greater than 0 (got {minutes:g})", "give a number above 0")


def parse_frame_rate(option: str, text: str) -> Fraction:
    """Parse the value of an ``option`` in frames per second; 23.976 gives 24000/1001. Raises UsageError."""
    try:
        rate = parse_rate(text.strip())
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 1 <= rate <= 1000:
        remedy = "give frames per second, as 25, 23.976 or 30000/1001"
        raise UsageError(f"{option} {text}", "it is not a frame rate", remedy)
    exact = round(rate) * Fraction(1000, 1001)
    return exact if rate.denominator > 1 and abs(rate - exact) < Fraction(5, 1000) else rate
