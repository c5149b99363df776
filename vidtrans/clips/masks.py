"""Align masks with clips, decide which levels and colours of a mask are inside, and read the matte of each frame."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from typing import Protocol

import cv2
import numpy as np

from vidtrans.clips.aligned_clip import has_same_aspect, match_frames
from vidtrans.clips.indexing import Clip, open_clip
from vidtrans.core.events import Progress
from vidtrans.core.files import digest_of
from vidtrans.core.mask_files import INVERTED_PREFIX, MaskFile
from vidtrans.core.settings import SOURCE_SIZE, Size, Table
from vidtrans.session import Context
from vidtrans.store.stages import MaskLevelsStage, media_libraries
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import read_palette, resize
from vidtrans.video.io.clip import Frame, FrameCursor
from vidtrans.video.io.picture_paths import picture_files

Feather = Callable[[int], float]  # A function that returns the blur σ of the mask's edge in a frame, in pixels
Colour = tuple[int, int, int]  # RGB, 8 bits
BLACK = (0, 0, 0)  # RGB, the usual background of masks
LEVEL_8_BIT = 257  # Step between two 8-bit levels, in 16-bit levels, which are the unit of the levels below
MAX_OBJECT_LEVEL = 96 * LEVEL_8_BIT  # Highest level of a mask of object numbers; brighter masks have grey levels
MIN_COLOUR_STEP = 24 * LEVEL_8_BIT  # Least difference between the channels of a coloured pixel, and between two colours
MIN_COLOURED_SHARE = 0.3  # Least share of coloured pixels among those that are not black, in a mask of coloured objects
MIN_FLAT_EDGE_SHARE = 1 / 3  # Least share of edges between two flat areas among all edges, in a mask of objects
MAX_EDGE_FRAMES = 32  # Most frames of a mask whose edges are counted
CODEC_TOLERANCE = 2 * LEVEL_8_BIT  # Largest deviation of black and white after a lossy codec
MASK_FORMAT = FrameFormat(SOURCE_SIZE, deep=True, alpha="matte")  # 16 bits; transparency as grey levels


def no_feather(frame: int) -> float:
    """Return 0, a blur of no pixels: the mask's edge is not softened."""
    return 0.0


@dataclass
class MaskLevels:
    """Statistics of the levels and colours in all frames of a mask, which decide the area that is inside.

    Grey levels are coverage: white is inside. Segmenters also write 0 and 1, object numbers (0, 1, 2, …), and objects
    as flat colours on black, with or without a palette: in these masks all but 0, or black, is inside. Masks of object
    numbers are dark in all frames, and their edges lie between flat areas. A soft edge, or footage that is used for its
    brightness, has other levels in between.

    ``number_zero``: the colour of 0 in a palette of colours, which is the background of pictures without black; None
    without such a palette.
    """

    number_zero: Colour | None = None
    peak: int = 0
    darkest: int = 65535  # Of the frames that the clip uses, as is ``lightest``
    lightest: int = 0
    num_frames: int = 0
    num_coloured: int = 0  # Pixels
    num_other: int = 0  # Pixels that are not black
    num_edges: int = 0  # Pairs of unequal neighbouring pixels
    num_clean: int = 0  # Edges between two flat areas
    num_counted: int = 0  # Frames whose edges were counted
    has_black: bool = False

    def __post_init__(self) -> None:
        """Convert ``number_zero``, a list if it was read from JSON, to a tuple."""
        if self.number_zero is not None:  # A list if it was read from JSON
            self.number_zero = (self.number_zero[0], self.number_zero[1], self.number_zero[2])

    def add(self, picture: np.ndarray, *, used: bool = True) -> None:
        """Add a frame of the mask, (H, W, 3) uint16; ``used``: the clip uses the frame."""
        self.num_frames += 1
        red, green, blue = cv2.split(picture)
        level = cv2.max(cv2.max(red, green), blue)
        highest, lowest = int(level.max()), int(level.min())
        self.peak = max(self.peak, highest)
        if used:
            self.darkest, self.lightest = min(self.darkest, lowest), max(self.lightest, highest)
        is_coloured, is_other = level - cv2.min(cv2.min(red, green), blue) > MIN_COLOUR_STEP, level > 0
        if self.number_zero is not None:
            is_other &= object_matte(picture, self.number_zero) > 0
        coloured = int((is_coloured & is_other).sum())
        self.num_coloured, self.num_other = self.num_coloured + coloured, self.num_other + int(is_other.sum())
        self.has_black = self.has_black or lowest == 0
        may_show_objects = coloured or self.number_zero or self.peak < MAX_OBJECT_LEVEL
        if may_show_objects and highest and self.num_counted < MAX_EDGE_FRAMES:
            self.num_counted += 1
            signed = (picture if coloured else picture[..., :1]).astype(np.int32)
            for oriented in (signed, signed.transpose(1, 0, 2)):
                edges, clean = _count_edges(oriented)
                self.num_edges, self.num_clean = self.num_edges + edges, self.num_clean + clean

    @property
    def is_coloured(self) -> bool:
        """Whether the mask consists of coloured objects: enough of the pixels that are not black are coloured."""
        return self.num_coloured > MIN_COLOURED_SHARE * self.num_other

    @property
    def ground(self) -> Colour | None:
        """The background colour of a mask of objects, in which all else is inside; None if its levels are coverage."""
        has_objects = self.peak == LEVEL_8_BIT
        if self.num_edges:
            has_objects = self.num_clean > MIN_FLAT_EDGE_SHARE * self.num_edges
        if not has_objects or not (self.is_coloured or self.number_zero or 0 < self.peak < MAX_OBJECT_LEVEL):
            return None
        return BLACK if self.has_black else self.number_zero or BLACK

    @property
    def is_decided(self) -> bool:
        """Whether further frames cannot change ``ground``."""
        return self.is_coloured or (self.num_edges > 0 if self.number_zero else self.peak >= MAX_OBJECT_LEVEL)

    @property
    def covers(self) -> str:
        """The area that is inside in the used frames: "nothing", "everything", or "" for a part."""
        black, white = (CODEC_TOLERANCE, 65535 - CODEC_TOLERANCE) if self.ground is None else (0, 1)
        if self.lightest <= black:
            return "nothing"
        return "everything" if self.darkest >= white and self.ground in (None, BLACK) else ""

    def notes(self, *, inverted: bool) -> Iterator[tuple[str, str]]:
        """Yield notes for the user, each with its level, 'info' or 'warning'; ``inverted``: the mask is inverted."""
        if self.ground is not None and (self.is_coloured or self.number_zero):
            yield f"its colours are objects: all but #{bytes(self.ground).hex()} is inside", "info"
        elif self.ground is not None:
            yield "its levels are numbers of objects: all but 0 is inside", "info"
        elif self.is_coloured:
            yield "it has colours, which count by their brightness: write a mask of greys", "warning"
        elif CODEC_TOLERANCE < self.peak < MAX_OBJECT_LEVEL:
            brightest = f"its brightest level is {self.peak / LEVEL_8_BIT:.0f} of 255"
            yield f"{brightest}, so at most {self.peak / 65535:.0%} of the effect is seen", "warning"
        if covers := self.covers:
            side = {"nothing": "everything", "everything": "nothing"}[covers] if inverted else covers
            yield f"{side} is inside it, in all frames that are used", "warning"


def object_matte(picture: np.ndarray, ground: Colour) -> np.ndarray:
    """Return the matte, (H, W) uint8, of all pixels of a picture (H, W, 3) that do not have the colour ``ground``."""
    if ground == BLACK:  # Compared at 16 bits: an object number may be less than a level of 8 bits
        return np.where(picture.any(axis=2), np.uint8(255), np.uint8(0))
    return np.where((to_uint8(picture) != np.array(ground, np.uint8)).any(axis=2), np.uint8(255), np.uint8(0))


def _count_edges(picture: np.ndarray) -> tuple[int, int]:
    """Return the numbers of edges, pairs of unequal neighbours in a row, and of edges that may be an object's.

    ``picture``: (H, W, C) int32.

    At an object's edge both sides are flat, and the step is at least half the higher level, or one between colours.
    """
    same = (picture[:, 1:] == picture[:, :-1]).all(axis=2)
    edges = ~same[:, 1:-1]
    left, right = picture[:, 1:-2], picture[:, 2:-1]
    min_step = np.minimum(np.maximum(left, right).max(axis=2, initial=0), 2 * MIN_COLOUR_STEP)
    is_steep = 2 * np.abs(left - right).max(axis=2, initial=0) >= min_step
    return int(edges.sum()), int((edges & same[:, :-2] & same[:, 2:] & is_steep).sum())


class MatteReader:
    """A reader of mattes, (H, W) uint8, in the order of the frames; white where the style is applied.

    ``read``: yields the mask's frames from a number on. ``steps[i]``: the number of the mask's frame for the clip's
    frame ``first + i``. ``feather``: returns the blur σ of a frame's matte, in pixels. ``inverted``: black is inside.
    """

    def __init__(
        self,
        steps: list[int],
        first: int,
        read: Callable[[int], Generator[Frame, None, None]],
        feather: Feather = no_feather,
        *,
        inverted: bool = False,
    ) -> None:
        self.steps, self.first, self.feather, self.inverted = steps, first, feather, inverted
        self._cursor = FrameCursor(read)
        self._frame: Frame | None = None
        self._sigma = 0.0
        self._matte = np.empty((0, 0), np.uint8)

    def __call__(self, frame: int) -> np.ndarray:
        """Return the matte, (H, W) uint8, of the clip's frame with this number."""
        mask = self._cursor(self.steps[frame - self.first])
        sigma = self.feather(frame)
        if mask is not self._frame or sigma != self._sigma:  # A mask frame used several times is feathered once
            self._frame, self._sigma, self._matte = mask, sigma, self._to_matte(mask.rgb, sigma)
        return self._matte

    def close(self) -> None:
        """Close the file of the mask; a later call opens it again."""
        self._cursor.close()

    def _to_matte(self, rgb: np.ndarray, sigma: float) -> np.ndarray:
        """Return a frame of the mask, (H, W, 3) uint8, as matte: inverted if requested, blurred by ``sigma`` pixels."""
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        grey = cv2.bitwise_not(grey) if self.inverted else grey
        if sigma > 0:
            grey = cv2.GaussianBlur(grey, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        return grey


class MaskOfClip(Protocol):
    """A mask for the frames of a clip from ``first`` on, one for each of ``steps``. ``clip``: has the mask's shape.

    ``inverted``: what the mask shows is outside. ``label``: the mask as the user wrote it.
    """

    @property
    def clip(self) -> Clip: ...

    @property
    def first(self) -> int: ...

    @property
    def steps(self) -> Sequence[int]: ...

    @property
    def inverted(self) -> bool: ...

    @property
    def label(self) -> str: ...

    def for_key(self) -> Table:
        """Return the properties that affect the mattes, for cache keys."""

    def mattes(self, size: tuple[int, int], threads: int, feather: Feather = ...) -> MatteReader:
        """Return a reader of the mattes at a (width, height), blurred by σ = ``feather(frame)`` pixels."""


@dataclass(frozen=True)
class Mask:
    """A mask aligned with a clip: ``steps[i]`` is the number of the mask's frame for the clip's frame ``first + i``.

    ``inverted``: the mask is white where the file is black. ``ground``: the background colour, if everything else is
    inside; None: grey levels are coverage.
    """

    clip: Clip
    steps: list[int]
    first: int
    inverted: bool = False
    ground: Colour | None = None

    @classmethod
    def open(cls, mask: MaskFile, clip: Clip, first: int, stop: int, context: Context) -> Mask:
        """Open a mask for frames [first, stop) of a clip; report another length or aspect. Raises MediaError."""
        path = mask.path
        mask_clip = open_clip(context, path)
        steps, differences = match_frames(clip.index, mask_clip.index, first, stop)
        if differences:
            context.note(f"mask {path.name}: {differences}", "warning")
        if not has_same_aspect(clip.index, mask_clip.index):
            context.note(
                f"mask {path.name}: it is {mask_clip.index.width}x{mask_clip.index.height}, "
                f"the clip {clip.index.width}x{clip.index.height}: stretched to fit",
                "warning",
            )
        if mask.sequence:
            sequence = open_clip(context, mask.sequence)
            ground = find_ground(sequence, range(sequence.index.num_frames), context, inverted=mask.inverted)
        else:
            ground = find_ground(mask_clip, steps, context, inverted=mask.inverted)
        return cls(mask_clip, steps, first, mask.inverted, ground)

    @property
    def label(self) -> str:
        """Return the path of the mask's file."""
        return str(self.clip.path)

    def for_key(self) -> Table:
        """Return the properties that affect the mattes, for cache keys."""
        key: Table = {"digest": self.clip.digest, "steps": digest_of(self.steps)}
        return key | ({"inverted": True} if self.inverted else {}) | ({"ground": self.ground} if self.ground else {})

    def mattes(self, size: tuple[int, int], threads: int, feather: Feather = no_feather) -> MatteReader:
        """Return a reader of the mattes at a (width, height), blurred by σ = ``feather(frame)`` pixels."""
        if self.ground is None:
            read = partial(self.clip.frames, FrameFormat(Size(exact=size), alpha="matte"), threads)
        else:
            read = partial(_object_mattes, self.clip, self.ground, size, threads)
        return MatteReader(self.steps, self.first, read, feather, inverted=self.inverted)


def find_ground(mask: Clip, steps: Sequence[int], context: Context, *, inverted: bool = False) -> Colour | None:
    """Return the background colour of a mask, the same for all its frames, or None if its grey levels are coverage.

    Masks of objects are reported, and a warning is given if nothing, everything or hardly anything is inside in the
    frames ``steps``, the numbers of the mask's frames that are used. ``inverted``: black is inside. Raises MediaError,
    Interrupted.
    """
    span = min(steps), max(steps) + 1
    stage = MaskLevelsStage(mask.digest, list(span), media_libraries())
    entry = context.cache.entry(stage.name, stage.key)
    cached = entry.read()
    levels = _read_levels(mask, span, context) if cached is None else MaskLevels(**cached)
    if cached is None and levels.num_frames > MAX_EDGE_FRAMES and not context.dry_run:
        with entry.locked(wait_for=f"another run that reads {mask.name}"):
            entry.finish(asdict(levels))
    name = f"{INVERTED_PREFIX if inverted else ''}{mask.name}"
    for text, level in levels.notes(inverted=inverted):
        context.note_once(f"mask {name}: {text}", mask.path, level)
    return levels.ground


def _read_levels(mask: Clip, used: tuple[int, int], context: Context) -> MaskLevels:
    """Return the levels of a mask's frames up to the first decisive one, usually the first frame.

    ``used``: the frames [first, stop) that the clip uses, which are read first.
    """
    palette = read_palette(picture_files(mask.path)[0]) if mask.is_pictures else None
    is_coloured = palette is not None and np.ptp(palette.astype(np.int16), axis=1).any()
    levels = MaskLevels(tuple(palette[0].tolist()) if palette is not None and is_coloured else None)
    for begin, end in (used, (used[1], mask.index.num_frames), (0, used[0])):
        is_used = (begin, end) == used
        if begin == end or (not is_used and levels.is_decided):
            continue
        with closing(mask.frames(MASK_FORMAT, context.decode_threads, begin, end)) as frames:
            for frame in frames:
                levels.add(frame.rgb, used=is_used)
                context.report(Progress(f"reading {mask.name}", levels.num_frames, mask.index.num_frames))
                if levels.is_decided and not (is_used and levels.covers):
                    break
                context.stop.check()
    return levels


def _object_mattes(
    mask: Clip, ground: Colour, size: tuple[int, int], threads: int, start: int
) -> Generator[Frame, None, None]:
    """Yield the frames of a mask of objects from ``start`` on, as mattes (H, W, 3) uint8 of a (width, height).

    ``ground``: the background colour; everything else is inside.
    """
    with closing(mask.frames(MASK_FORMAT, threads, start)) as frames:
        for frame in frames:  # Compared before resizing, since the mean of two object numbers is another one
            matte = resize(object_matte(frame.rgb, ground), *size)
            yield Frame(frame.index, frame.pts, cv2.cvtColor(matte, cv2.COLOR_GRAY2RGB))
