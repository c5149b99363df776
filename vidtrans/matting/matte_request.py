"""The request of the command ``matte`` (mattes of objects from painted frames), and the reader of painted frames.

A painted frame is a complete mask, a cut-out, a mask of several colours, or strokes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.masks import MaskLevels, object_matte
from vidtrans.config.recipe import Recipe
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.mask_files import FACE, KEY, PERSON, parse_terms
from vidtrans.core.settings import Time, parse_time
from vidtrans.core.system import path_as_stored
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.models.render_settings import ResolvedRenderSettings
from vidtrans.session import Context
from vidtrans.strokes.settings import NO_STROKES
from vidtrans.video.colour.conversion import to_uint8, to_uint16
from vidtrans.video.frame_numbers import sequence_numbers
from vidtrans.video.images.exr import CRYPTOMATTE
from vidtrans.video.images.picture import read_layers
from vidtrans.video.io.encoding import CODECS, PICTURES, codecs_with_alpha, split_pattern
from vidtrans.video.io.picture_paths import is_picture_source

Colour = tuple[int, int, int]  # Red, green and blue, 0 to 255
# Colours that can be given by name
COLOURS: Mapping[str, Colour] = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "magenta": (255, 0, 255),
    "cyan": (0, 255, 255),
    "orange": (255, 128, 0),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}
MATTE = "matte"  # Name of the only object, if the user gave no names
COLOUR_RADIUS = 96.0  # RGB distance up to which a pixel counts as a brush's colour (soft edges, JPEG artefacts)
MIN_STROKE_SHARE = 0.9  # Share of a layer's opaque pixels in brush colours from which it is read as strokes
# A pixel counts as unchanged up to MAX_DECODING_DIFFERENCE (8-bit levels): programs decode colours differently.
# From MIN_UNCHANGED_SHARE of unchanged pixels on, a picture is a frame with strokes painted over it.
# A pixel belongs to a stroke if its RGB distance from the frame is at least MIN_STROKE_DIFFERENCE.
MAX_DECODING_DIFFERENCE, MIN_UNCHANGED_SHARE, MIN_STROKE_DIFFERENCE = 24, 0.5, 64.0
MAX_GREY_SPREAD, MIN_GREY_SHARE = 24, 0.98  # Largest channel difference of a grey; least share of greys in a mask
ASPECT_TOLERANCE = 0.02  # Largest relative difference of the aspect ratios of a painted picture and the clip
BLACK_LEVEL, WHITE_LEVEL = 12, 243  # Levels of a mask that count as black and as white, despite JPEG's noise
MAX_FLAT_STD = 1.0  # Standard deviation, in levels of 255, up to which unchanged pixels are a mask's background
ON, OFF = 1, 2  # Labels of stroke pixels on the object and off it


def parse_colour(text: str) -> Colour:
    """Parse a colour: a name of ``COLOURS`` or '#rrggbb'. Raises UsageError."""
    if text.lower() in COLOURS:
        return COLOURS[text.lower()]
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return (int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16))
    raise UsageError(f"the colour '{text}'", "unknown", f"use #rrggbb, or one of {', '.join(COLOURS)}")


def parse_names(text: str) -> dict[str, Colour]:
    """Parse names of objects with their colours, ``man=red,car=#0000ff``; {} for ''. Raises UsageError."""
    found: dict[str, Colour] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, colour = (one.strip() for one in part.partition("="))
        if not equals or not re.fullmatch(r"\w[\w-]*", name):
            raise UsageError(f"--names {text}", f"'{part}' is not NAME=COLOUR", "as in --names man=red,car=blue")
        known = name.casefold() in {other.casefold() for other in found}  # File names are case-insensitive on Windows
        if known or parse_colour(colour) in found.values():
            why = f"two things have the {'name' if known else 'colour'} of '{part}'"
            raise UsageError(f"--names {text}", why, "give each its own")
        if max(parse_colour(colour)) < COLOUR_RADIUS:
            raise UsageError(f"--names {text}", f"'{part}' is as dark as the ground of a mask", "take another colour")
        found[name] = parse_colour(colour)
    return found


@dataclass(frozen=True)
class Strokes:
    """Strokes for one object on a frame, (H, W) uint8: ``ON`` on the object, ``OFF`` off it, 0 without a stroke."""

    labels: np.ndarray


@dataclass(frozen=True)
class Brushes:
    """The colours of strokes on the object (``inside``) and off it (``outside``), or of several objects by name.

    ``names``: the colour of each of several objects, or None.
    """

    inside: Colour = COLOURS["green"]
    outside: Colour = COLOURS["red"]
    names: Mapping[str, Colour] | None = None

    def __post_init__(self) -> None:
        if self.outside in self.things.values():
            colour = "#" + bytes(self.outside).hex()
            raise UsageError("--inside, --outside and --names", f"{colour} has two meanings", "give each its own")

    @classmethod
    def of(cls, inside: str, outside: str, names: str) -> Brushes:
        """Parse the options for the colours of strokes. Raises UsageError.

        ``outside``, the colour of strokes off the object, is by default red, or black if an object is red.
        """
        found = parse_names(names)
        off = parse_colour(outside) if outside else COLOURS["black" if COLOURS["red"] in found.values() else "red"]
        return cls(parse_colour(inside), off, found or None)

    @property
    def things(self) -> dict[str, Colour]:
        """Return the colour of each object by name."""
        return dict(self.names) if self.names else {MATTE: self.inside}

    def read(self, path: Path, frame: np.ndarray) -> dict[str, np.ndarray | Strokes]:
        """Read the paint on a frame, (H, W, 3) uint8; return a matte or strokes for each object by name.

        A matte is (H, W) float32, from 0 to 1. Raises MediaError where nothing, or all of the frame, is painted, or the
        picture's aspect differs from the frame's, or a colour has no name.
        """
        picture, alpha = read_layers(path)
        picture, alpha = _with_objects_white(picture, alpha)
        rgb = to_uint8(picture)
        opaque = None if alpha is None else to_uint8(alpha)
        height, width = frame.shape[:2]
        if abs(rgb.shape[1] / rgb.shape[0] * height / width - 1) > ASPECT_TOLERANCE:
            sizes = f"it is {rgb.shape[1]}x{rgb.shape[0]}, and the clip {width}x{height}"
            raise MediaError(str(path), f"{sizes}: another shape", "paint on a frame of the clip")
        if opaque is not None and opaque.min() == 255:
            opaque = None
        if rgb.shape[:2] != (height, width):
            rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_NEAREST)
            opaque = None if opaque is None else cv2.resize(opaque, (width, height), interpolation=cv2.INTER_AREA)
        found = (
            self._read_layer(path, rgb, opaque, frame) if opaque is not None else self._read_opaque(path, rgb, frame)
        )
        return {name: self._check_coverage(path, name, what) for name, what in found.items()}

    def _read_layer(
        self, path: Path, rgb: np.ndarray, alpha: np.ndarray, frame: np.ndarray
    ) -> dict[str, np.ndarray | Strokes]:
        """Read a picture with transparency: strokes on a transparent layer, or a cut-out object."""
        there = alpha >= 128
        if not there.any():
            raise MediaError(str(path), "it is fully transparent", "paint on it, or leave it out")
        labels, is_cut_out = self._labels(rgb), _unchanged_pixels(rgb, frame)[there].mean() >= MIN_UNCHANGED_SHARE
        if not is_cut_out and (labels[there] >= 0).mean() >= MIN_STROKE_SHARE:
            return self._read_strokes(np.where(there, labels, -1))
        if self.names:
            why = f"it is cut out, which does not say which of {', '.join(self.names)} it is"
            raise MediaError(str(path), why, "paint each in its colour")
        return {MATTE: alpha.astype(np.float32) / 255}

    def _read_opaque(self, path: Path, rgb: np.ndarray, frame: np.ndarray) -> dict[str, np.ndarray | Strokes]:
        """Read a picture without transparency: a frame with strokes painted over it, or a mask."""
        same, labels = _unchanged_pixels(rgb, frame), self._labels(rgb)
        if same.mean() >= MIN_UNCHANGED_SHARE and not _is_flat(rgb, frame, same):
            moved = np.linalg.norm(rgb.astype(np.float32) - frame, axis=2)
            return self._read_strokes(np.where(moved < MIN_STROKE_DIFFERENCE, -1, labels))
        spread = rgb.max(2).astype(np.int16) - rgb.min(2)
        if (spread <= MAX_GREY_SPREAD).mean() >= MIN_GREY_SHARE and not self.names:
            level = rgb.mean(2)
            matte = np.clip((level - BLACK_LEVEL) / (WHITE_LEVEL - BLACK_LEVEL), 0, 1).astype(np.float32)
            coloured = spread > COLOUR_RADIUS
            matte[coloured & (labels == 1)], matte[coloured & (labels == 0)] = 1, 0
            return {MATTE: matte}
        if not self.names:
            raise MediaError(
                str(path), f"it has colours ({_frequent_colours(rgb)})", "name them: --names man=red,car=blue"
            )
        ground = np.linalg.norm(rgb.astype(np.float32), axis=2)
        colours = np.array(list(self.names.values()), np.float32)
        away = np.stack([ground, *(np.linalg.norm(rgb - colour, axis=2) for colour in colours)])
        nearest = np.where(away.min(0) <= 2 * COLOUR_RADIUS, away.argmin(0), 0)
        return {n: (nearest == k).astype(np.float32) for k, n in enumerate(self.names, 1) if (nearest == k).any()}

    def _labels(self, rgb: np.ndarray) -> np.ndarray:
        """Return labels (H, W): 0 for the colour ``outside``, from 1 on for the objects' colours, −1 for others."""
        labels = np.full(rgb.shape[:2], -1, np.int16)
        best = np.full(rgb.shape[:2], COLOUR_RADIUS, np.float32)
        for number, colour in enumerate((self.outside, *self.things.values())):
            away = np.linalg.norm(rgb.astype(np.float32) - np.array(colour, np.float32), axis=2)
            labels[away < best] = number
            np.minimum(best, away, out=best)
        return labels

    def _read_strokes(self, labels: np.ndarray) -> dict[str, np.ndarray | Strokes]:
        """Return the strokes of each object that has strokes; other objects' strokes count as off the object."""
        found: dict[str, np.ndarray | Strokes] = {}
        for number, name in enumerate(self.things, 1):
            if (labels == number).any():
                own = np.where(labels == number, ON, np.where(labels >= 0, OFF, 0))
                found[name] = Strokes(own.astype(np.uint8))
        return found

    def _check_coverage(self, path: Path, name: str, what: np.ndarray | Strokes) -> np.ndarray | Strokes:
        """Return ``what``, a matte or strokes of the object ``name``, unchanged.

        Raises MediaError for an empty matte, or a matte of the whole frame.
        """
        if isinstance(what, np.ndarray):
            whose = "" if name == MATTE else f" of '{name}'"
            if (what < 0.5).all():
                raise MediaError(
                    str(path), f"nothing{whose} is painted in it", "paint the thing white, or leave it out"
                )
            if (what >= 0.5).all():
                raise MediaError(str(path), f"all of the frame{whose} is painted", "paint what is around it black")
        return what


def _with_objects_white(rgb: np.ndarray, alpha: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Turn the pixels with object numbers in a mask white, if ``MaskLevels`` finds such numbers.

    Return RGB (H, W, 3) and alpha (H, W).
    """
    stored = rgb if alpha is None else cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB)
    levels = MaskLevels()
    levels.add(to_uint16(stored))
    if levels.ground is None or levels.is_coloured:  # objects in colours are found by their names
        return rgb, alpha
    matte = object_matte(stored, levels.ground)
    return (cv2.cvtColor(matte, cv2.COLOR_GRAY2RGB), None) if alpha is None else (rgb, to_uint16(matte))


def _unchanged_pixels(rgb: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Return which pixels of a painted frame equal the frame, both (H, W, 3) uint8, as (H, W) bool."""
    return cv2.absdiff(rgb, frame).max(2) <= MAX_DECODING_DIFFERENCE


def _is_flat(rgb: np.ndarray, frame: np.ndarray, same: np.ndarray) -> bool:
    """Return whether a painted picture is a mask: its unchanged pixels have one colour although the frame varies there.

    ``same``: the unchanged pixels, (H, W) bool.
    """
    return float(rgb[same].std(0).max()) < MAX_FLAT_STD < float(frame[same].std(0).max())


def _frequent_colours(rgb: np.ndarray) -> str:
    """Return the up to three most frequent strong colours of a picture as '#rrggbb, …', for a message."""
    strong = rgb[rgb.max(2).astype(np.int16) - rgb.min(2) > COLOUR_RADIUS]
    rounded, counts = np.unique(strong // 16 * 17, axis=0, return_counts=True)
    frequent = [colour for _, colour in sorted(zip(-counts, map(tuple, rounded), strict=True))[:3]]
    return ", ".join("#" + bytes(map(int, colour)).hex() for colour in frequent)


@dataclass(frozen=True)
class Choice:
    """The choice of a thing: where it is in the clip's pictures, and in which frame.

    ``corners``: a point, (x, y) in pixels, or the two corners of a box. ``when`` None: the first frame with people, or
    for a segmenter the first frame.
    """

    corners: tuple[tuple[float, float], ...]
    when: Time | None = None

    @classmethod
    def parse(cls, text: str) -> Choice:
        """Parse X,Y or LEFT,TOP,RIGHT,BOTTOM, with @FRAME behind it, a frame number or a time. Raises UsageError."""
        place, at, when = text.partition("@")
        try:
            numbers = [float(part) for part in place.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) not in (2, 4):
            remedy = "as in --at 640,360@12, or with a box's corners: --at 500,200,780,700@12"
            raise UsageError(f"--at {text}", "neither X,Y nor LEFT,TOP,RIGHT,BOTTOM, with or without @FRAME", remedy)
        corners = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        if len(corners) == 2 and not (corners[0][0] < corners[1][0] and corners[0][1] < corners[1][1]):
            raise UsageError(f"--at {text}", "the box has no area", "give its left, top, right and bottom edge")
        return cls(corners, parse_time(when) if at else None)

    def scaled(self, scale: float) -> list[tuple[float, float]]:
        """Return the corners in pixels of a picture that is larger by the factor ``scale``."""
        return [(x * scale, y * scale) for x, y in self.corners]

    def frame_in(self, clip: Clip, span: tuple[int, int]) -> int:
        """Return the number of the frame, by default the first of ``span`` [first, stop). Raises UsageError."""
        frame = span[0] if self.when is None else frame_of(self.when, clip)
        if not span[0] <= frame < span[1]:
            why = f"the frames from {span[0]} to {span[1] - 1} are taken"
            raise UsageError(f"--at {self}", why, "choose one of them, or other --start and --end")
        return frame

    def __str__(self) -> str:
        place = ",".join(f"{number:g}" for corner in self.corners for number in corner)
        return place if self.when is None else f"{place}@{self.when}"

    def check_inside(self, size: tuple[int, int], clip: str) -> None:
        """Raise UsageError if the point, or a corner, lies outside of pictures of ``size``, (width, height)."""
        last = 0 if len(self.corners) == 2 else 1  # A box may end at the edge
        if not all(0 <= x <= size[0] - last and 0 <= y <= size[1] - last for x, y in self.corners):
            raise UsageError(f"--at {self}", f"{clip} is {size[0]}x{size[1]}", "give a point or a box in it")


@dataclass(frozen=True)
class MatteRequest:
    """A request for mattes from painted ``frames`` (time, picture), a folder ``keyframes`` of them, or a ``model``.

    ``found``: what is found in the pictures instead, ``PERSON``, ``FACE`` or ``KEY``; a person may be painted, too.
    ``at``: the point that chooses one of several people, or the thing that a ``segmenter`` follows; ``screen``: the
    colour of a screen, '' to find it. ``segmenter``: a folder with ONNX files, or a segmenter's name; '' for none.
    ``poses``: the JSON file to write the person's joints to, or None. ``layers``: the numbered EXR pictures to
    write all mattes to, as layers, or None.
    ``with_colours``: deliver the clip's colours with the matte as alpha. ``suggest``: number of frames to suggest for
    painting. ``least_confidence``: the request fails if the confidence of any frame is lower.
    """

    COMMAND: ClassVar = "matte"

    video: Path
    recipe: Recipe
    frames: tuple[tuple[Time, Path], ...] = ()
    keyframes: Path | None = None
    output: Path | None = None
    brushes: Brushes = field(default_factory=Brushes)
    with_colours: bool = False
    suggest: int = 0
    least_confidence: float = 0.0
    start: Time | None = None
    end: Time | None = None
    first_number: int | None = None
    model: str = ""
    found: str = ""
    at: Choice | None = None
    segmenter: str = ""
    screen: str = ""
    poses: Path | None = None
    layers: Path | None = None

    def __post_init__(self) -> None:
        is_painted = self.keyframes is not None or bool(self.frames)
        if not is_painted and not self.model and not self.found and not (self.segmenter and self.at):
            remedy = "paint over a frame, and give it: --frame 12=painted.png; or add --person, --face or --key"
            remedy = "choose it: --at X,Y@FRAME, or --frame 12=painted.png" if self.segmenter else remedy
            raise UsageError("matte", "nothing says what is cut out", remedy)
        if self.found and (self.model or (is_painted and self.found != PERSON)):
            raise UsageError(
                f"--{self.found}", "the thing is found without painting or a model", "leave out the others"
            )
        if self.found and list(self.brushes.things) != [MATTE]:
            raise UsageError("--names", f"--{self.found} finds one thing", "leave out one of them")
        self._check_found(is_painted=is_painted)
        if self.layers and (not split_pattern(self.layers)[1] or self.layers.suffix.lower() != ".exr"):
            raise UsageError(f"--layers {self.layers}", "no numbered EXR pictures", "as in --layers mattes/%05d.exr")
        if self.model and (is_painted or list(self.brushes.things) != [MATTE]):
            why = "the model finds one thing by itself"
            raise UsageError("--model", why, "leave out --frame, --keyframes and --names, or leave out --model")
        if (self.model or self.found in (FACE, KEY)) and self.suggest:
            raise UsageError("--suggest", "frames are not painted with --model, --face or --key", "leave it out")

    def _check_found(self, *, is_painted: bool) -> None:
        """Raise UsageError if an option for what is found does not fit; ``is_painted``: frames are painted."""
        if self.at and self.found != PERSON and not self.segmenter:
            raise UsageError("--at", "it chooses a person, or what a segmenter follows", "add --person, or --segmenter")
        if self.segmenter and (self.model or self.found in (FACE, KEY)):
            other = f"--{self.found}" if self.found else "--model"
            raise UsageError(f"--segmenter and {other}", "each finds the thing by itself", "leave out one of them")
        if self.at and (is_painted or list(self.brushes.things) != [MATTE]):
            raise UsageError(
                "--at", "the thing is painted already", "leave it out, or --frame, --keyframes and --names"
            )
        if self.layers and any(name.startswith(CRYPTOMATTE) for name in self.brushes.things):
            raise UsageError(
                "--names", f"layers whose names begin with {CRYPTOMATTE} are those of a Cryptomatte", "rename it"
            )
        if self.poses and (self.found != PERSON or is_painted or self.segmenter):
            raise UsageError("--poses", "joints are those of a person who is found", "give it with --person alone")
        if self.poses and self.poses.suffix.lower() != ".json":
            raise UsageError(f"--poses {self.poses}", "not a .json file", "as in --poses poses.json")
        if self.screen and self.found != KEY:
            raise UsageError("--screen", "it is the colour of a screen", "add --key")
        if self.screen:
            parse_terms(f"{KEY}:{self.screen}")  # Raises UsageError for what is no colour

    @property
    def makes_file(self) -> bool:
        """Return whether the result is a video file: the source is a video, or the output has a video's suffix."""
        if self.output is None:
            return not is_picture_source(self.video)
        return bool(self.output.suffix) and self.output.suffix.lower().lstrip(".") not in PICTURES

    def settings(self, model: LoadedModel, context: Context) -> ResolvedRenderSettings:
        """Return the render settings of the results: the clip's size, and a lossless codec by default.

        ``model``: the identity. Raises UsageError.
        """
        recipe, codec = self.recipe, usual_codec(with_colours=self.with_colours)
        ending = self.output.suffix.lower().lstrip(".") if self.output else CODECS[codec].containers[0]
        if "codec" not in recipe.tables.get("encoding", {}) and self.makes_file and ending in CODECS[codec].containers:
            recipe = recipe.under({"encoding": {"codec": codec}})
        recipe = recipe.under({"rendering": {"size": "source"}, "temporal": {"name": "off"}, "strokes": NO_STROKES})
        found = ResolvedRenderSettings.of(recipe, model, context.device)
        found = found.resolved(is_picture_source(self.video), self.output, context.report)
        chosen = found.encoding.codec
        if self.with_colours and chosen not in codecs_with_alpha():
            remedy = f"use --codec {' or '.join(codecs_with_alpha())}"
            raise UsageError("--with-colours", f"{chosen} keeps no transparency", remedy)
        return found


def usual_codec(*, with_colours: bool) -> str:
    """Return the default codec of videos with mattes, or of objects ``with_colours`` and alpha."""
    return "prores4444" if with_colours else "ffv1"


def frame_of(when: Time, clip: Clip) -> int:
    """Return the frame that the user means; in an image sequence a number is the one in a file's name."""
    numbers = sequence_numbers(clip.index.names) or []
    return numbers.index(when.frame) if when.frame in numbers else clip.frame_at(when)


def parse_frame(text: str) -> tuple[Time, Path]:
    """Parse ``12=mask.png`` to a frame number or time and a picture's path; a sequence may have negative numbers.

    Raises UsageError.
    """
    when, equals, path = text.partition("=")
    if not equals or not path:
        raise UsageError(f"--frame {text}", "it is not FRAME=PICTURE", "as in --frame 12=mask.png")
    number = re.fullmatch(r"-[0-9]{1,9}", when.strip())
    return Time(frame=int(number[0])) if number else parse_time(when), path_as_stored(Path(path))
