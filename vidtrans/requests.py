"""Requests: what each command is asked to do.

The command line, the Python API and lists of clips build them, and ``pipeline/`` carries them out. They are frozen,
picklable (workers of a batch receive them), and checked when they are built, as far as that needs no file: a mistake
raises UsageError. Paths that are None take the command's usual name. This module imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidtrans.errors import UsageError

if TYPE_CHECKING:
    from vidtrans.batch.options import BatchOptions
    from vidtrans.config.recipe import Recipe
    from vidtrans.settings import Time
    from vidtrans.training.ablations import Variant

MODEL_SUFFIX = ".safetensors"


def check_suffix(output: Path | None, what: str, *suffixes: str) -> None:
    """Raise UsageError where an output does not end as what it is to hold."""
    if output is not None and output.suffix.lower() not in suffixes:
        remedy = " or ".join(f"-o {output.with_suffix(suffix)}" for suffix in suffixes)
        raise UsageError(str(output), f"{what} is a {' or '.join(suffixes)} file", f"use {remedy}")


def check_minutes(minutes: float | None) -> None:
    """Raise UsageError where it is no length of time."""
    if minutes is not None and not 0 < minutes < float("inf"):
        raise UsageError("--minutes", f"it must be greater than 0 (got {minutes:g})", "give a number above 0")


@dataclass(frozen=True)
class MakeDatasetRequest:
    """A dataset of all ``videos``, or of a folder of pairs. ``restore``: bring back deleted pictures.

    ``unpaired``: other domains, without pairs; the ``videos`` are the source's then. ``start`` and ``end`` are those of
    every clip.
    """

    videos: Sequence[Path]
    output: Path | None
    recipe: Recipe
    target: Path | None = None
    start: Time | None = None
    end: Time | None = None
    restore: bool = False
    unpaired: Sequence[Path] = ()


@dataclass(frozen=True)
class TrainRequest:
    """A model of a dataset. ``minutes`` outranks the recipe's steps, ``at_most`` bounds the steps that they come to.

    ``start_from``: the model whose weights come first. ``fresh``: continue no earlier run. ``embed``: the network that
    makes the input goes into the model file.
    """

    dataset: Path
    output: Path | None
    recipe: Recipe
    minutes: float | None = None
    at_most: int | None = None
    start_from: str | None = None
    fresh: bool = False
    embed: bool = False

    def __post_init__(self) -> None:
        if self.output and self.output.suffix != MODEL_SUFFIX:
            remedy = f"use -o {self.output.name}{MODEL_SUFFIX}"
            raise UsageError(str(self.output), "a model is one .safetensors file", remedy)
        check_minutes(self.minutes)
        if self.start_from and self.fresh:
            why = "one starts from a model, the other from nothing"
            raise UsageError("--from and --fresh", why, "give one of them")


@dataclass(frozen=True)
class AblateRequest:
    """A training of each variant of ``kind``, or of those of a ``sweep``, one of which is given.

    ``minutes`` are for each. ``batch``: how several are trained.
    """

    dataset: Path
    kind: str
    output: Path | None
    recipe: Recipe
    minutes: float | None = None
    sweep: tuple[Variant, ...] = ()
    batch: BatchOptions | None = None

    def __post_init__(self) -> None:
        check_minutes(self.minutes)
        if self.kind and self.sweep:
            raise UsageError("--sweep and --ablate", "each says what is varied", "give one of them")
        if not self.kind and not self.sweep:
            raise UsageError("--sweep", "there is nothing to vary", "give settings with their values")
        if self.minutes and any("training.steps" in variant.settings for variant in self.sweep):
            raise UsageError("--sweep training.steps and --minutes", "both say when to stop", "give one of them")
        if self.output and self.output.suffix == MODEL_SUFFIX:
            remedy = f"use -o {self.output.with_suffix('')}"
            raise UsageError(str(self.output), f"{self.option} makes several models, in a folder", remedy)

    @property
    def option(self) -> str:
        """Return the option that asks for it."""
        return f"--ablate {self.kind}" if self.kind else "--sweep"


@dataclass(frozen=True)
class LookRequest:
    """A model that paints in the manner of ``pictures``, learned on clips; without any, on the pictures that ship.

    ``optimise``: one that learns nothing, and optimises each frame when it renders.
    """

    pictures: tuple[Path, ...]
    recipe: Recipe
    on: tuple[Path, ...] = ()
    output: Path | None = None
    minutes: float | None = None
    fresh: bool = False
    optimise: bool = False

    def __post_init__(self) -> None:
        check_suffix(self.output, "a model", MODEL_SUFFIX)
        check_minutes(self.minutes)
        given = {"--on": self.on, "--minutes": self.minutes, "--fresh": self.fresh}
        if self.optimise and (unread := [name for name, value in given.items() if value]):
            raise UsageError(unread[0], "nothing is learned with --optimise", "leave it out, or --optimise")


@dataclass(frozen=True)
class StylizeRequest:
    """Models rendered onto one video, picture or folder, each onto what the one before it has made.

    ``mask``: where the look is. ``score``: measure flicker and save a plot next to the output. ``in_batch``: the batch
    trims the cache when all of its clips are done.
    """

    video: Path
    models: tuple[str, ...]
    output: Path | None
    recipe: Recipe
    start: Time | None = None
    end: Time | None = None
    mask: Path | None = None
    score: bool = False
    in_batch: bool = False


@dataclass(frozen=True)
class RunRequest:
    """The whole chain: trained on ``video``, rendered onto each of ``apply``. ``batch``: how several are run.

    With ``looks``, style pictures, their manner is learned, without a video on the clips of ``apply``.
    """

    video: Path | None
    apply: Sequence[Path]
    output: Path
    recipe: Recipe
    target: Path | None = None
    looks: tuple[Path, ...] = ()
    minutes: float | None = None
    batch: BatchOptions | None = None

    def __post_init__(self) -> None:
        check_minutes(self.minutes)
        if self.video is None and not self.looks:
            raise UsageError("run", "there is nothing to learn from", "give a VIDEO, or --look PICTURE")
        if self.looks and self.target:
            raise UsageError("--target", "a look is learned from its pictures alone", "leave it out, or --look")

    @property
    def learned_on(self) -> tuple[Path, ...]:
        """Return the clips that are learned on."""
        return (self.video,) if self.video else tuple(self.apply)

    @property
    def named_after(self) -> Path:
        """Return the file that dataset and model are named after."""
        return self.looks[0] if self.looks else self.learned_on[0]


FOLLOW = ("auto", "motion", "look")


@dataclass(frozen=True)
class PropagateRequest:
    """A clip painted like the pictures in the folder ``keyframes``, each of which is one of its frames, painted over.

    ``minutes``: of training, in place of the recipe's steps; 0 for none. ``follow``: what is relied on, paint that is
    carried along the motion or the network. ``mask``: where the paint is. ``preview``: also write a film of what there
    is so far, beside the output. ``layer``: the paint alone, transparent where nothing is painted.
    """

    video: Path
    keyframes: Path
    recipe: Recipe
    output: Path | None = None
    minutes: float | None = None
    follow: str = FOLLOW[0]
    preview: bool = False
    start: Time | None = None
    end: Time | None = None
    mask: Path | None = None
    layer: bool = False

    def __post_init__(self) -> None:
        if self.minutes != 0:
            check_minutes(self.minutes)
        if self.follow not in FOLLOW:
            raise UsageError(f"--follow {self.follow}", "unknown", f"use {', '.join(FOLLOW)}")
        if self.follow == "look" and self.layer:
            why = "where paint ends is carried along the motion, which this leaves out"
            raise UsageError("--layer", why, "leave --follow look out")
        if self.follow == "look" and self.minutes == 0:
            why = "the look is what the network learns, and --minutes 0 leaves it out"
            raise UsageError("--follow look", why, "leave one of them out")


@dataclass(frozen=True)
class FixRequest:
    """A result made anew where frames of it were painted over: the pictures in the folder ``painted``.

    ``relearn``: its network learns the corrected frames, too, and all of it is painted anew.
    """

    render: Path
    painted: Path
    output: Path | None = None
    relearn: bool = False
