"""``vidtrans matte``: make a matte of an object in a clip, from frames on which the user painted it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vidtrans.batch.batch_options import SEQUENTIAL, BatchOptions
from vidtrans.commands.base import CACHE_OPTIONS, Command
from vidtrans.commands.options import (
    BATCH_OPTIONS,
    BESIDE_OPTION,
    END_OPTION,
    FIRST_NUMBER_OPTION,
    START_OPTION,
    check_beside,
    output_option,
)
from vidtrans.commands.results import RenderedClip
from vidtrans.commands.text_reports import cost_text, timing
from vidtrans.config.recipe import Recipe
from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.mask_files import FACE, KEY, PERSON
from vidtrans.core.options import Group, argument, option
from vidtrans.core.settings import Table, Time
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.matting.matte_request import MatteRequest

OUTPUT_NAME = "matte"  # Part of the default output's name: clip.matte.mkv
READS = ("cuts", "chunk_frames", "picture_fps")  # Keys of [rendering] that the command reads


@dataclass(frozen=True)
class Matte(Command):
    """Cut one object out of VIDEO: paint it on one frame, and the command follows it through the clip.

    vidtrans matte clip.mp4 --frame 12=painted.png

    vidtrans matte clip.mp4 --person

    A painted frame is a mask (white on black), a cut-out with transparency, or the frame with a few strokes over it.
    Strokes are green on the object, red outside it. If some frames are wrong, paint more frames and run the command
    again. It computes only the frames between them and the nearest painted frames.
    """

    CONTEXT: ClassVar = (*CACHE_OPTIONS, "device", "decoder", "seed")
    RESULT: ClassVar = RenderedClip
    TABLES: ClassVar = {"matting": None, "rendering": ("cuts",), "encoding": ("codec",)}
    READS: ClassVar = READS
    BATCH: ClassVar = BATCH_OPTIONS

    video: tuple[Path, ...] = argument("VIDEO...")
    output: Path | None = output_option(
        "The matte. For several clips: a folder. With several objects, their names are added to the file names.",
        "VIDEO.matte.mkv, for pictures a folder",
    )
    _: KW_ONLY
    beside: bool = BESIDE_OPTION(False)
    frame: tuple[str, ...] = option(
        (),
        "A painted frame: its number or time, and the painted picture, as in 12=painted.png. Can be repeated.",
        Group.INPUT,
        metavar="FRAME=PICTURE",
        access="path",
    )
    keyframes: Path | None = option(
        None,
        "A folder of painted frames, with the frame's number in their names. For several clips: a folder for "
        "each clip, with its name.",
        Group.INPUT,
        metavar="DIR",
    )
    model: str | None = option(
        None,
        "Use your own segmentation model instead of painted frames: its output is white on the object and "
        "black in the rest. 'vidtrans model import' converts networks of other programs.",
        Group.INPUT,
        file="model",
    )
    person: bool = option(
        False, "Cut out one person, found and followed automatically. Painted frames correct the matte.", Group.INPUT
    )
    at: str = option(
        "",
        "Select the person or object: a point on it, or a box around it (left, top, right, bottom), in pixels "
        "of the clip, and the frame: 640,360@12.",
        Group.INPUT,
        metavar="X,Y[,X,Y][@FRAME]",
    )
    segmenter: str = option(
        "",
        "Follow the object with another network: a folder with the ONNX files of SAM 2, EdgeTAM or "
        "EfficientTAM, or a segmenter of an installed package.",
        Group.INPUT,
        metavar="DIR|NAME[:PATH]",
        access="path",
    )
    poses: Path | None = option(
        None, "Also write the person's joints as keypoints for the pairing 'pose'.", Group.OUTPUT, metavar="FILE.json"
    )
    layers: Path | None = option(
        None,
        "Also write one EXR sequence with the mattes of all objects, as named layers and as a Cryptomatte.",
        Group.OUTPUT,
        metavar="DIR/%05d.exr",
    )
    face: bool = option(False, "Cut out the faces.", Group.INPUT)
    key: bool = option(False, "Cut out everything in front of a green or blue screen.", Group.INPUT)
    screen: str = option(
        "", "Colour of the screen, #rrggbb.", Group.INPUT, metavar="COLOUR", default_text="found in the clip"
    )
    names: str = option(
        "",
        "Names of several objects, with the colours in which they are painted: man=red,car=blue. Each object "
        "gets a matte.",
        Group.INPUT,
        metavar="NAME=COLOUR,...",
        form="main",
    )
    inside: str = option(
        "green", "Colour of the strokes on the object: a name or #rrggbb.", Group.INPUT, metavar="COLOUR", form="main"
    )
    outside: str = option(
        "",
        "Colour of the strokes outside the object.",
        Group.INPUT,
        metavar="COLOUR",
        default_text="red; black where one of --names is red",
        form="main",
    )
    with_colours: bool = option(
        False,
        "Write the object in its own colours, with the matte as alpha. The colours of the background are "
        "removed from its edge.",
        Group.OUTPUT,
    )
    suggest: int = option(
        0,
        "Suggest this number of frames for painting: those that would improve the matte most.",
        Group.OUTPUT,
        bounds=(0, 100),
    )
    min_confidence: float = option(
        0.0,
        "Fail if the matte's confidence in a frame is lower than this, 0 to 1. The result is kept.",
        Group.OUTPUT,
        bounds=(0, 1),
    )
    first_number: int | None = FIRST_NUMBER_OPTION(None)
    start: Time | None = START_OPTION(None)
    end: Time | None = END_OPTION(None)
    recipe: Recipe
    batch: BatchOptions = SEQUENTIAL

    def __post_init__(self) -> None:
        check_beside(self.beside, self.output)
        self._request()  # Raises UsageError if options conflict.
        if self.frame and (len(self.video) > 1 or self.batch.is_partial):
            raise _one_clip_only()

    def make(self, context: Context) -> Table:
        """Make mattes of objects in one or several clips.

        An interrupted run resumes. Raises UsageError, MediaError, Interrupted; VidtransError if the confidence is too
        low.
        """
        from vidtrans.batch.inputs import is_batch
        from vidtrans.batch.jobs import process_clips
        from vidtrans.commands.propagate import keyframe_folder
        from vidtrans.matting.matte_job import make_mattes

        for name, given in (("--poses", self.poses), ("--layers", self.layers), ("--at", self.at)):
            if given and is_batch(self.video, self.batch):
                raise UsageError(name, "it is of one clip, and there are several", "give one clip")
        # Repeat the check of __post_init__, because only now are the clips in folders counted.
        if is_batch(self.video, self.batch) and (
            self.frame or (self.keyframes is None and not self.model and not self._found)
        ):
            raise _one_clip_only()

        def work(video: Path, output: Path | None, is_only: bool) -> partial[Table]:
            """Return the task that makes the mattes of one clip. ``is_only``: it is the only clip."""
            keys = self.keyframes and keyframe_folder(video, self.keyframes, is_only=is_only)
            return partial(make_mattes, replace(self._request(), video=video, keyframes=keys, output=output))

        object_suffixes = tuple(f".{OUTPUT_NAME}.{name}" for name in self._request().brushes.things)
        options = "matte", OUTPUT_NAME, self._matte_recipe, self.output, self.batch, context
        return process_clips(self.video, work, *options, beside=self.beside, skip=object_suffixes)

    @property
    def _matte_recipe(self) -> Recipe:
        """Return the recipe; if it names no codec, with the default codec of mattes."""
        from vidtrans.matting.matte_request import usual_codec

        codec = usual_codec(with_colours=self.with_colours)
        known = "codec" in self.recipe.tables.get("encoding", {})
        return self.recipe if known else self.recipe.under({"encoding": {"codec": codec}})

    def _request(self) -> MatteRequest:
        """Return the request for the mattes of the first clip, from all options. Raises UsageError."""
        from vidtrans.matting.matte_request import Brushes, Choice, MatteRequest, parse_frame

        brushes = Brushes.of(self.inside, self.outside, self.names)
        return MatteRequest(
            self.video[0],
            self.recipe,
            tuple(map(parse_frame, self.frame)),
            self.keyframes,
            self.output,
            brushes,
            self.with_colours,
            self.suggest,
            self.min_confidence,
            self.start,
            self.end,
            self.first_number,
            self.model or "",
            self._found,
            Choice.parse(self.at) if self.at else None,
            self.segmenter,
            self.screen,
            self.poses,
            self.layers,
        )

    @property
    def _found(self) -> str:
        """Return what is found without painting, '' for nothing. Raises UsageError for several."""
        given = {PERSON: self.person, FACE: self.face, KEY: self.key}
        chosen = [name for name, is_given in given.items() if is_given]
        if len(chosen) > 1:
            raise UsageError(f"--{chosen[0]} --{chosen[1]}", "a matte is of one thing", "give one of them")
        return chosen[0] if chosen else ""

    def describe(self, table: Table) -> str:
        """Return the mattes' paths, confidence and frames to paint next, as text. ``table``: the result of ``make``."""
        frames, keys = count(table["frames"], "frame"), count(len(table["keyframes"]), "painted frame")
        keys = f"the pictures of '{Path(self.model).name}'" if self.model else keys
        keys = f"what is at {self.at}" if self.at and not self._found else keys
        keys = {PERSON: "the person", FACE: "the faces", KEY: "the screen"}.get(self._found, keys)
        if table.get("dry_run"):
            is_found = self.model or self._found or self.at
            what = f"make a matte of {frames} from" if is_found else f"follow through {frames} what is on"
            return f"would {what} {keys}, into {table['output']}{cost_text(table)}"
        things: dict[str, Table] = table.get("things") or {"": table}
        outputs = ", ".join(own["output"] for own in things.values())
        lines = [f"{outputs}: {frames} from {keys}{timing(table)}"]
        for name, own in things.items():
            whose = f"'{name}': " if name else ""
            mean, least, frame = own["confidence"], own["least_confidence"], own["least_sure"]
            lines.append(f"{whose}confidence {mean:.2f} on average, {least:.2f} in frame {frame}")
            for first, last in own["lost"]:
                lines.append(f"{whose}lost in {f'frames {first} to {last}' if first < last else f'frame {first}'}")
            if own["suggested"]:
                lines.append(f"{whose}most worth painting: {', '.join(map(str, own['suggested']))}")
        return "\n".join([*lines, f"look at it: {table['sheet']}"])


def _one_clip_only() -> UsageError:
    """Return the error for --frame with several clips."""
    why = "it names a frame of one clip, and there are several"
    return UsageError("--frame", why, "give --keyframes DIR, with a folder for each clip")
