"""Requests: what each command is asked to do.

The command line, the Python API and lists of clips build them, and ``pipeline/`` carries them out. They are frozen,
picklable (workers of a batch receive them), and checked when they are built, as far as that needs no file: a mistake
raises UsageError. Paths that are None take the command's usual name. This module imports nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidtrans.errors import UsageError
from vidtrans.flow import GREY_FLOWS
from vidtrans.grading import UNPAIRED_METHODS
from vidtrans.metrics import SCORING_FLOW
from vidtrans.models.exporting import EXPORTS
from vidtrans.registry import unknown_name

if TYPE_CHECKING:
    from vidtrans.batch.options import BatchOptions
    from vidtrans.config.recipe import Recipe
    from vidtrans.settings import Time
    from vidtrans.training.ablations import Variant

MODEL_SUFFIX = ".safetensors"
CUBE_SUFFIX = ".cube"
CUBE_SIZE, MAX_CUBE_SIZE = 33, 65  # nodes a side of a table: what programs take as a matter of course, and at most
REPORT_HOURS = 24.0  # how far `batch report` looks back: a night
SCORE_SUFFIXES = (".png", ".json")


def check_suffix(output: Path | None, what: str, *suffixes: str) -> None:
    """Raise UsageError where an output does not end as what it is to hold."""
    if output is not None and output.suffix.lower() not in suffixes:
        remedy = " or ".join(f"-o {output.with_suffix(suffix)}" for suffix in suffixes)
        raise UsageError(str(output), f"{what} is a {' or '.join(suffixes)} file", f"use {remedy}")


def _check_minutes(minutes: float | None) -> None:
    if minutes is not None and not 0 < minutes < float("inf"):
        raise UsageError("--minutes", f"it must be greater than 0 (got {minutes:g})", "give a number above 0")


def _check_counts(**counts: int | None) -> None:
    for name, count in counts.items():
        if count is not None and count < 1:
            raise UsageError(f"--{name} {count}", "it must be at least 1", "give a larger number")


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
        _check_minutes(self.minutes)
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
        _check_minutes(self.minutes)
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
        _check_minutes(self.minutes)
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
class BatchReportRequest:
    """What was rendered in the last ``hours``, on a page; of the batch with results in ``folder``, if there is one."""

    folder: Path
    output: Path | None = None
    hours: float = REPORT_HOURS

    def __post_init__(self) -> None:
        check_suffix(self.output, "the page", ".html")
        if not 0 < self.hours < float("inf"):
            raise UsageError(f"--hours {self.hours:g}", "it must be greater than 0", "give a number above 0")


@dataclass(frozen=True)
class DeflickerRequest:
    """A ``processed`` clip filtered along the motion of its ``source``, from ``start`` on, or of its own."""

    processed: Path
    source: Path | None
    output: Path | None
    recipe: Recipe
    start: Time | None = None

    def __post_init__(self) -> None:
        if self.start is not None and self.source is None:
            raise UsageError(f"--start {self.start}", "there is no source that it could be in", "give it with --source")


@dataclass(frozen=True)
class DreamRequest:
    """So many ``frames`` from models that predict frames. ``source`` None starts from noise.

    ``start``: where in a video the seed is. ``blend``: a driving video. ``sound``: what expressions listen to, and the
    sound of the result.
    """

    source: Path | None
    models: Sequence[str]
    output: Path | None
    frames: int
    recipe: Recipe
    start: Time | None = None
    blend: Path | None = None
    sound: Path | None = None

    def __post_init__(self) -> None:
        from vidtrans.dreaming.settings import DreamingSettings, flag_of

        _check_counts(frames=self.frames)
        amount = self.recipe.settings("dreaming", DreamingSettings).blend_amount
        if self.blend is None and amount != DreamingSettings.blend_amount:
            raise UsageError(flag_of("blend_amount"), "there is no driving video", "give one with --blend VIDEO")

    @property
    def paths(self) -> list[Path]:
        """The files that are read, besides models."""
        return [p for p in (self.source, self.blend, self.sound) if p]


@dataclass(frozen=True)
class TryRequest:
    """A grid: a row for each of a few ``frames`` (or the moments ``at``), a column for each setting of ``vary``.

    ``vary`` holds ``KEY=VALUE,VALUE``; empty, each model is shown with a few suggested ones.
    """

    video: Path
    models: Sequence[str]
    output: Path | None
    recipe: Recipe
    vary: Sequence[str] = ()
    frames: int = 3
    at: Sequence[Time] = ()

    def __post_init__(self) -> None:
        check_suffix(self.output, "a grid", ".png")
        _check_counts(frames=self.frames)


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
        _check_minutes(self.minutes)
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


@dataclass(frozen=True)
class EvaluateRequest:
    """Scores of ``output``, which was made from ``source`` between ``start`` and ``end``.

    ``per_frame``: the same render without a temporal filter. ``reference``: what it should be. These two cover the same
    part of the source, or are as long as the render. ``result``: a plot (.png) or all values (.json) to write; of
    several renders a folder of plots. ``dream``: it is a dream of a model that was trained on ``source``.
    """

    output: Path
    source: Path
    per_frame: Path | None = None
    reference: Path | None = None
    result: Path | None = None
    flow: str = SCORING_FLOW
    start: Time | None = None
    end: Time | None = None
    dream: bool = False

    def __post_init__(self) -> None:
        GREY_FLOWS[self.flow]  # scores follow grey pictures: another method is an error
        unread = {"--per-frame": self.per_frame, "--reference": self.reference, "--end": self.end}
        given = [name for name, value in unread.items() if value is not None]
        given += ["--flow"] * (self.flow != SCORING_FLOW)
        if self.dream and given:
            raise UsageError(given[0], "a dream is compared with nothing but --source", "leave it out, or --dream")


@dataclass(frozen=True)
class CompareRequest:
    """Clips side by side, from ``start`` to ``end`` of the first one.

    ``input_of``: a model; what it sees of the first clip is shown too. ``frames``: of a ``.png``, how many.
    """

    clips: Sequence[Path]
    output: Path | None = None
    labels: Sequence[str] = ()
    input_of: str | None = None
    columns: int | None = None
    frames: int | None = None
    start: Time | None = None
    end: Time | None = None

    def __post_init__(self) -> None:
        _check_counts(columns=self.columns, frames=self.frames)
        if len(self.labels) > len(self.clips):
            why = f"{len(self.labels)} labels for {len(self.clips)} clips"
            raise UsageError("--label", why, "give one a clip, in order")


@dataclass(frozen=True)
class KeyframesRequest:
    """The ``count`` frames of a clip, from ``start`` to ``end``, that are best painted, as pictures in a folder.

    Without ``count`` one for each shot, and two at least. ``cuts``: where shots begin, as ``rendering.cuts`` has it.
    """

    video: Path
    output: Path | None = None
    count: int | None = None
    start: Time | None = None
    end: Time | None = None
    cuts: str = "auto"

    def __post_init__(self) -> None:
        _check_counts(count=self.count)


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
            _check_minutes(self.minutes)
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


@dataclass(frozen=True)
class SheetRequest:
    """A contact sheet of a clip or a dataset: ``count`` frames or pairs (0: all), a clip's from ``start`` to ``end``.

    ``pairings``: show beside a frame what each of these makes of it.
    """

    source: Path
    output: Path | None = None
    count: int | None = None
    pairings: Sequence[str] = ()
    start: Time | None = None
    end: Time | None = None

    def __post_init__(self) -> None:
        check_suffix(self.output, "a sheet", ".png")


@dataclass(frozen=True)
class GradeRequest:
    """A grade learned of pictures or clips ``before`` and ``after`` it, as a model or a ``.cube`` table.

    ``unpaired``: they show different things. ``size``: nodes a side of the table. ``method``: how colours are matched
    where they do, of ``UNPAIRED_METHODS``; None takes the first.
    """

    before: Path
    after: Path
    output: Path | None = None
    unpaired: bool = False
    size: int = CUBE_SIZE
    method: str | None = None

    def __post_init__(self) -> None:
        check_suffix(self.output, "a grade", MODEL_SUFFIX, CUBE_SUFFIX)
        if self.method and self.method not in UNPAIRED_METHODS:
            raise unknown_name("--method", self.method, list(UNPAIRED_METHODS))
        if self.method and not self.unpaired:
            why = "pictures that show the same are compared place by place"
            raise UsageError(f"--method {self.method}", why, "leave it out, or add --unpaired")
        if not 2 <= self.size <= MAX_CUBE_SIZE:
            why = f"a table has 2 to {MAX_CUBE_SIZE}"
            raise UsageError(f"--nodes {self.size}", why, f"leave it out: {CUBE_SIZE} is usual")


NORMS = ("picture", "stored")  # whose statistics the batch norms of an imported network use


@dataclass(frozen=True)
class ImportRequest:
    """A ``model`` of another tool, made one of ours. The recipe holds its pairing and its card.

    ``size``: the short side at which it is rendered. ``norms``: of ``NORMS``; '' takes the better one. ``calibrate``: a
    clip whose frames decide the statistics of its norms. ``invert``, ``bgr``, ``range`` and ``layout``: what its
    network takes, where its file does not say it; None and '' take what is found out. ``trust``: a program in the file
    may run, once. ``embed``: the network that makes its input is put into the file.
    """

    model: Path
    output: Path | None
    recipe: Recipe
    size: int | None = None
    norms: str = ""
    calibrate: Path | None = None
    invert: bool | None = None
    bgr: bool | None = None
    range: str = ""
    layout: str = ""
    trust: bool = False
    embed: bool = False

    def __post_init__(self) -> None:
        check_suffix(self.output, "a model", MODEL_SUFFIX)
        if self.size is not None and not 16 <= self.size <= 8192:
            raise UsageError(f"--size {self.size}", "a short side is 16 to 8192 pixels", "choose another")
        if self.norms and self.calibrate is not None:
            why = "norms use statistics of each picture, of the file, or of a clip"
            raise UsageError(f"--norms {self.norms} and --calibrate", why, "leave one of them out")


@dataclass(frozen=True)
class ExportRequest:
    """A ``model`` written in the ``format`` of other programs.

    ``whole``: the file holds the pairing too: RGB in, RGB out. ``look`` and ``stroke_size``, 0 to 1: of a model of
    looks in a whole file, which one it paints and how; its first one and 0.5 where they are not given.
    """

    model: str
    format: str
    output: Path | None = None
    whole: bool = False
    look: str = ""
    stroke_size: float | None = None

    def __post_init__(self) -> None:
        kind = EXPORTS[self.format]  # an unknown name is an error
        check_suffix(self.output, f"--format {self.format}", kind.suffix)
        if self.whole and not kind.takes_whole:
            raise UsageError("--whole", f"a {kind.suffix} file holds weights alone", "leave it out")
        given = ["--look"] * bool(self.look) + ["--stroke-size"] * (self.stroke_size is not None)
        if given and not self.whole:
            remedy = f"add --whole, or leave {given[0]} out"
            raise UsageError(given[0], "the file holds the network alone, whose input says it", remedy)
        if self.stroke_size is not None and not 0 <= self.stroke_size <= 1:
            raise UsageError(f"--stroke-size {self.stroke_size:g}", "out of bounds", "choose a value from 0 to 1")


LOOPBACK = ("127.0.0.1", "::1", "localhost")
PORT = 8765
LEAST_TOKEN = 16  # characters


@dataclass(frozen=True)
class LiveRequest:
    """Models that paint what a page, a camera or a program sends, until they are stopped.

    ``output``: the folder of recordings. ``token``: what the link holds; '' for a new one. ``allow_network``: ``host``
    may be one that others reach. ``https``: with a certificate, which browsers ask for before they give a camera to any
    other machine's page. ``kiosk``: tell of the page that shows the output alone, and takes the camera by itself.
    ``open_page``: in a browser of this machine.
    """

    models: Sequence[str]
    recipe: Recipe
    output: Path | None = None
    host: str = LOOPBACK[0]
    port: int = PORT
    allow_network: bool = False
    https: bool = False
    token: str = ""
    kiosk: bool = False
    open_page: bool = False

    def __post_init__(self) -> None:
        if not self.models:
            raise UsageError("--model", "no model was given", "name one or several")
        if self.host not in LOOPBACK and not self.allow_network:
            why = "others on the network would see the page, and could use the models"
            raise UsageError(f"--host {self.host}", why, "add --allow-network if that is meant")
        if self.token and (len(self.token) < LEAST_TOKEN or not re.fullmatch(r"[A-Za-z0-9_-]+", self.token)):
            why = f"a token has at least {LEAST_TOKEN} letters, digits, - and _"
            raise UsageError("--token", why, "leave it out: one is made")


@dataclass(frozen=True)
class ProbeRequest:
    """What a video holds."""

    video: Path


@dataclass(frozen=True)
class BenchRequest:
    """Rates of this machine: a 16:9 clip of ``frames`` each round, its short side rendered at ``size`` pixels.

    ``slow``: also measure engines that take long to start.
    """

    model: str = "flower"
    size: int = 256
    frames: int = 16
    slow: bool = False


@dataclass(frozen=True)
class DemoRequest:
    """A first result from the clip that ships, trained for so many ``minutes``."""

    output: Path | None = None
    minutes: float = 2.0

    def __post_init__(self) -> None:
        _check_minutes(self.minutes)
