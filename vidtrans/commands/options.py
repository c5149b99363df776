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
START_OPTION = _shared_option("HH:MM:SS.mmm, 12.5s, or a frame number from 0.", Group.TIME)
# --end: the frame before which to stop, as a time or a frame number
END_OPTION = _shared_option("End time (exclusive).", Group.TIME)
# --cuts: detection of shots, or a file with their first frames
CUTS_OPTION = _shared_option(
    "Where shots begin: auto, off, or a file: a frame or a time on each line, a CSV of PySceneDetect, or a timeline.",
    Group.TIME,
    metavar="auto|off|FILE",
    access="path",
    form="more",
)
# --mask, repeatable: mattes that limit the render, or that --region refers to by name
MASKS_OPTION = _shared_option(
    "Where the look is: person, face, key, colour:#rrggbb or luma, found in the pictures; or a matte, white there: a "
    "video, a picture, or a folder (of several clips one with a matte for each). 'not person' or not:FILE for the "
    "other side, ' + ' and ' - ' between several. For --region, with a name: man=person.",
    Group.LOOK,
    metavar="[NAME=]MASK",
    access="path",
)
# --region, repeatable: the model or medium for a named mask
REGIONS_OPTION = _shared_option(
    "The look of a named mask, or of its other side: man=ink, not:man=oil. A model, a medium, a picture, or "
    "'keep'; repeat it for a chain. Later regions lie over earlier ones.",
    Group.LOOK,
    metavar="NAME=MODEL",
    access="path",
)
# --rest, repeatable: the models for the area outside of all regions
REST_OPTION = _shared_option(
    "With --region: the model of all that is in no region; repeat it for a chain.",
    Group.LOOK,
    metavar="MODEL",
    default_text="keep, the frames as they are",
    access="path",
)
# --handles: number of extra frames on both sides of a timeline's clip
HANDLES_OPTION = _shared_option(
    "Of a timeline: frames to render on both sides of what it shows of a clip.", Group.TIME, bounds=(0, 100_000)
)
# --media, repeatable: folders in which a timeline's missing clips are searched
MEDIA_OPTION = _shared_option(
    "Of a timeline: a folder in which media that are not in their places are searched by name; repeat it for several.",
    Group.INPUT,
    metavar="FOLDER",
)
# --rate: the frame rate of an edit decision list (EDL), in frames per second
RATE_OPTION = _shared_option(
    "Of an EDL, which does not state it: frames per second, as 25, 23.976 or 30000/1001.",
    Group.TIME,
    metavar="FPS",
    default_text="that of its clips",
)
# --beside: write each result into its source's folder
BESIDE_OPTION = _shared_option("Write each result beside its source instead of into the current folder.", Group.OUTPUT)
# --target: the clip or folder that shows what the network should output
TARGET_OPTION = _shared_option(
    "A second clip (or folder): in step for --pairing aligned and stack, of the same things for matched.",
    Group.INPUT,
    metavar="VIDEO",
)
# --label, repeatable: displayed names of clips
LABELS_OPTION = _shared_option(
    "The name of a clip; one for each, in order.", Group.OUTPUT, ("--label",), metavar="TEXT"
)
# --first-number: the number that the painted pictures' file names give to the clip's first frame
FIRST_NUMBER_OPTION = _shared_option(
    "The number of the first frame in the names of the painted pictures: 1 for those that ffmpeg wrote.",
    Group.INPUT,
    metavar="N",
    default_text="0, or the numbers of the clip's own pictures",
)
# --keep: a matte of the content of the training clip that the style should not change
KEEP_OPTION = _shared_option(
    "Where the content of the clip that is learned on is kept: face or person, or a matte, white there: a video, a "
    "picture, or a folder. With several clips: one for all, or a folder with a video of each clip's name.",
    Group.INPUT,
    metavar="MATTE",
    access="path",
)
# --minutes: training time in minutes, instead of a number of steps
MINUTES_OPTION = _shared_option(
    "Training time in minutes instead of --steps: as many as fit, by the speed before and while it trains.",
    Group.TRAINING,
    bounds=(0, 1e6),
    low_open=True,
    form="more",
)
# --fresh: ignore the state of earlier training
FRESH_OPTION = _shared_option("Train from scratch, ignoring earlier training.", Group.TRAINING, rare=True)
# --as-is: write the model of an interrupted training without further steps
AS_IS_OPTION = _shared_option(
    "Train no further: write the model of the steps that an interrupted run has taken. The same options without this "
    "one continue the run later.",
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

    ``what``: the content where the mask is white, for the help. ``more``: additional help.
    """
    text = (
        f"Where {what} is{more}: person, face, key, colour:#rrggbb or luma, or a matte, white there: a video, a "
        "picture, or a folder; 'not person' or not:FILE for the other side."
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
