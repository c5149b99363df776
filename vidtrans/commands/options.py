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

MODEL_SUFFIX = ".safetensors"


def _shared(*args: Any, **traits: Any) -> Callable[[Any], Any]:  # noqa: ANN401  (what ``option`` takes)
    """Return a function of the default, which declares the option where a command has it."""
    return lambda default: option(default, *args, **traits)


START = _shared("HH:MM:SS.mmm, 12.5s, or a frame number from 0.", Group.TIME)
END = _shared("End time (exclusive).", Group.TIME)
CUTS = _shared(
    "Where shots begin: auto, off, or a file: a frame or a time on each line, a CSV of PySceneDetect, or a timeline.",
    Group.TIME,
    metavar="auto|off|FILE",
    access="path",
    form="more",
)
MASKS = _shared(
    "A matte, white where the look is: a video, a picture, or a folder (of several clips one with a matte for "
    "each); not:FILE for the other side. For --region, with a name: man=man.mkv.",
    Group.LOOK,
    metavar="[NAME=]MATTE",
    access="path",
)
REGIONS = _shared(
    "The look of a named mask, or of its other side: man=ink, not:man=oil. A model, a medium, a picture, or "
    "'keep'; repeat it for a chain. Later regions lie over earlier ones.",
    Group.LOOK,
    metavar="NAME=MODEL",
    access="path",
)
REST = _shared(
    "With --region: the model of all that is in no region; repeat it for a chain.",
    Group.LOOK,
    metavar="MODEL",
    default_text="keep, the frames as they are",
    access="path",
)
HANDLES = _shared(
    "Of a timeline: frames to render on both sides of what it shows of a clip.", Group.TIME, bounds=(0, 100_000)
)
MEDIA = _shared(
    "Of a timeline: a folder in which media that are not in their places are searched by name; repeat it for several.",
    Group.INPUT,
    metavar="FOLDER",
)
RATE = _shared(
    "Of an EDL, which does not state it: frames per second, as 25, 23.976 or 30000/1001.",
    Group.TIME,
    metavar="FPS",
    default_text="that of its clips",
)
BESIDE = _shared("Write each result beside its source instead of into the current folder.", Group.OUTPUT)
TARGET = _shared(
    "A second clip (or folder): in step for --pairing aligned and stack, of the same things for matched.",
    Group.INPUT,
    metavar="VIDEO",
)
LABELS = _shared("The name of a clip; one for each, in order.", Group.OUTPUT, ("--label",), metavar="TEXT")
FIRST_NUMBER = _shared(
    "The number of the first frame in the names of the painted pictures: 1 for those that ffmpeg wrote.",
    Group.INPUT,
    metavar="N",
    default_text="0, or the numbers of the clip's own pictures",
)
KEEP = _shared(
    "A matte of the clip that is learned on, white where its content is kept, such as faces: a video, a picture, or a "
    "folder. With several clips: one for all, or a folder with a video of each clip's name.",
    Group.INPUT,
    metavar="MATTE",
)
MINUTES = _shared(
    "Training time in minutes instead of --steps: as many as fit, by the speed before and while it trains.",
    Group.TRAINING,
    bounds=(0, 1e6),
    low_open=True,
    form="more",
)
FRESH = _shared("Train from scratch, ignoring earlier training.", Group.TRAINING, rare=True)
AS_IS = _shared(
    "Train no further: write the model of the steps that an interrupted run has taken. The same options without this "
    "one continue the run later.",
    Group.TRAINING,
    rare=True,
)
WHEN_TO_STOP = (("steps", "minutes"),)  # exclude each other
SEVERAL = ("jobs", "executor", "shard", "retry", "halt")  # the options of a batch of clips


def output_option(help: str, default_text: str = "", default: Any = None) -> Any:  # noqa: ANN401  (a field)
    """Declare the ``-o`` option. ``default_text``: the default name, as help text."""
    return option(default, help, Group.OUTPUT, ("-o", "--output"), default_text=default_text)


def mask_option(what: str, more: str = "") -> Any:  # noqa: ANN401
    """Declare the ``--mask`` option of a command that takes one. ``what`` is seen where it is white; ``more``: help."""
    text = f"A matte, white where {what} is{more}: a video, a picture, or a folder; not:FILE for the other side."
    return option(None, text, Group.LOOK, metavar="MATTE", access="path")


def models_option(help: str, default: Any = ()) -> Any:  # noqa: ANN401
    """Declare the ``--model`` option of a command that takes several models."""
    return option(default, help, Group.INPUT, ("--model",), file="model")


def check_beside(beside: bool, output: Path | None, other: str = "-o") -> None:
    """Raise UsageError if results have two places: beside their sources, and in ``output``, which ``other`` names."""
    if beside and output is not None:
        raise UsageError(f"--beside and {other}", "both say where results go", "leave one of them out")


def clips_of(paths: Sequence[Path], recipe: Recipe) -> list[Path]:
    """Return the clips that files, folders and globs expand to; a guide folder is one clip. Raises UsageError."""
    from vidtrans.batch.inputs import expand_sources

    return expand_sources(paths, whole_folders=recipe.choice("pairing")[0] in ("stack", "change"))


def missing_model(command: str, inputs: Sequence[Path] = ()) -> UsageError:
    """Return the error of a command that has neither a model nor a look, with looks to begin with.

    ``inputs``: its clips, of which one may be the name of a look or model.
    """
    from vidtrans.models.model_file import known_models
    from vidtrans.strokes.media import medium_names

    for path in inputs:
        for kind, names in (("look", medium_names()), ("model", known_models())):
            if str(path).lower() in names and not path.exists():
                clip = next((str(other) for other in inputs if other != path), "VIDEO")
                name = str(path).lower()
                remedy = f"write: vidtrans {command} {clip} --{kind} {name}"
                return UsageError(f"{command}: '{path}'", f"a {kind}, where a clip is expected", remedy)
    remedy = "give --look oil, pencil or another that 'vidtrans model list' names, --look PICTURE, or --model MODEL"
    return UsageError(command, "there is no model", remedy)


def check_counts(**counts: int | None) -> None:
    """Raise UsageError if a count is less than 1."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise UsageError(f"--{name} {count}", "it must be at least 1", "give a larger number")


def check_suffix(output: Path | None, what: str, *suffixes: str) -> None:
    """Raise UsageError unless an output has one of the ``suffixes``; ``what``: its content, for the message."""
    if output is not None and output.suffix.lower() not in suffixes:
        remedy = " or ".join(f"-o {output.with_suffix(suffix)}" for suffix in suffixes)
        raise UsageError(str(output), f"{what} is a {' or '.join(suffixes)} file", f"use {remedy}")


def check_minutes(minutes: float | None) -> None:
    """Raise UsageError if ``minutes`` is not positive and finite."""
    if minutes is not None and not 0 < minutes < float("inf"):
        raise UsageError("--minutes", f"it must be greater than 0 (got {minutes:g})", "give a number above 0")


def parse_frame_rate(option: str, text: str) -> Fraction:
    """Parse the frames per second of an ``option``; 23.976 means 24000/1001. Raises UsageError."""
    try:
        rate = parse_rate(text.strip())
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 1 <= rate <= 1000:
        remedy = "give frames per second, as 25, 23.976 or 30000/1001"
        raise UsageError(f"{option} {text}", "it is not a frame rate", remedy)
    exact = round(rate) * Fraction(1000, 1001)
    return exact if rate.denominator > 1 and abs(rate - exact) < Fraction(5, 1000) else rate
