"""Read painted key frames: find the frame of each picture, and align the picture with it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import read_clip_frames
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.settings import Size
from vidtrans.painting.blending import Painting
from vidtrans.painting.registering import Placement, edges, likeness, place
from vidtrans.session import Context
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.frame_format import DEFAULT_FORMAT, FrameFormat
from vidtrans.video.images.picture import read_layers, read_picture, resize
from vidtrans.video.io.pictures import pictures_in, unread_in

NUMBER = re.compile(r"\d+")
SHEET = "sheet"  # what 'vidtrans keyframes' lays beside the frames
SOUGHT_SIDE, SOUGHT = 96, 400  # pixels, of the frames among which one is sought, and how many are looked through first
LIKE, UNLIKE = 0.25, 0.08  # likeness of edges that tells a frame, and below which a numbered one is doubted
COPY = re.compile(r"( ?\(\d+\)|[ _-]+copy([ _-]*\d+)?)+$", re.IGNORECASE)  # what systems append to a copy's name
SAME = 2  # levels, by which what is not painted differs from its frame at most


@dataclass(frozen=True)
class PaintedPicture:
    """A painted picture and the number of its ``frame``.

    ``placement``: its alignment with that frame, whose (width, height) is ``full``. ``is_whole``: all of it is painted.
    """

    path: Path
    digest: str
    frame: int
    placement: Placement
    full: tuple[int, int]
    is_whole: bool

    def painting(self, size: tuple[int, int]) -> Painting:
        """Return the painting at a (width, height). Raises MediaError."""
        placed = _laid(*read_layers(self.path), self.placement, self.full)
        return _painting(self.frame, resize(placed, *size))


def key_frame_files(folder: Path, option: str = "--keyframes", *, needed: bool = True) -> list[Path]:
    """Return the pictures in a folder of painted frames, which was given with ``option``.

    Raises UsageError for a wrong folder, and MediaError where it has no pictures and ``needed`` is true.
    """
    if not folder.is_dir():
        why = "it is not a folder" if folder.exists() else "no such folder"
        raise UsageError(f"{option} {folder}", why, "put the painted frames into one folder, and name that folder")
    files = [path for path in pictures_in(folder) if path.stem != SHEET]
    if not files and needed:
        unread = ignored(folder)
        if unread:
            raise MediaError(
                str(folder), f"it holds no readable picture (found {unread[0]})", "save the painted frames as PNG"
            )
        raise MediaError(str(folder), "there are no pictures in it", "put the painted frames there")
    return files


def ignored(folder: Path) -> list[str]:
    """Return the names of files in a folder that look like paintings in formats that cannot be read."""
    return [p.name for p in unread_in(folder)]


def tell_ignored(folder: Path, context: Context) -> None:
    """Warn about ``ignored`` paintings."""
    for name in ignored(folder):
        context.note(f"{name}: not a picture that can be read, and left out: save it as PNG", "warning")


def find_key_frames(files: Sequence[Path], clip: Clip, context: Context) -> list[PaintedPicture]:
    """Find the frame of each picture, by the number in its name, else by its edges, and align the picture with it.

    Args:
        files: Painted pictures.
        clip: Its pictures are of one size.

    Returns:
        The pictures in the order of their frames.

    Raises:
        MediaError: A picture cannot be read, matches no frame, is fully transparent, or two match the same frame.
    """
    numbers, found = numbers_of(files, clip, context), []
    frames = read_clip_frames(clip, list(numbers.values()), DEFAULT_FORMAT, context)
    for path, frame in zip(numbers, frames, strict=True):
        picture, alpha = read_layers(path)
        if alpha is not None and not alpha.any():
            raise MediaError(str(path), "it is fully transparent", "paint it, or take it out of the folder")
        placement = place(picture, frame.rgb, alpha)
        if placement.words:
            context.note(f"{path.name}: {placement.words}")
        if placement.likeness < UNLIKE and alpha is None:
            text = f"{path.name}: it does not look like frame {frame.index}, whose number is in its name"
            context.note(f"{text}: is it the right one?", "warning")
        if alpha is None and _is_unpainted(picture, frame.rgb):
            context.note(f"{path.name}: it shows frame {frame.index} unchanged: paint it, or take it out", "warning")
        full = frame.rgb.shape[1], frame.rgb.shape[0]
        whole = _painting(frame.index, _laid(picture, alpha, placement, full)).is_whole
        found.append(PaintedPicture(path, context.cache.digest(path), frame.index, placement, full, whole))
    return found


def _is_unpainted(picture: np.ndarray, frame: np.ndarray) -> bool:
    """Return whether a picture (H, W, 3) is an unchanged copy of its frame, (H, W, 3) uint8."""
    return picture.shape == frame.shape and int(np.abs(to_uint8(picture).astype(np.int16) - frame).max()) <= SAME


def _laid(rgb: np.ndarray, alpha: np.ndarray | None, placement: Placement, size: tuple[int, int]) -> np.ndarray:
    """Return a picture aligned with a frame of a (width, height): premultiplied colours, opacity, (H, W, 4) float32."""
    whole = np.iinfo(rgb.dtype).max
    opaque = np.full(rgb.shape[:2], whole, rgb.dtype) if alpha is None else alpha.astype(rgb.dtype)
    share = opaque.astype(np.float32)[..., None] / whole
    layers = np.dstack([rgb.astype(np.float32) / whole * share, share])  # what is clear has no colour of its own
    placed, seen = placement.apply(layers, size)
    return placed * seen[..., None]


def _painting(frame: int, layers: np.ndarray) -> Painting:
    """Return the painting from premultiplied colours and opacity, (H, W, 4) float32."""
    colours = np.clip(layers[..., :3] / np.maximum(layers[..., 3:], 1e-4), 0, 1)
    return Painting(frame, colours, np.clip(layers[..., 3], 0, 1))


def numbers_of(files: Sequence[Path], clip: Clip, context: Context) -> dict[Path, int]:
    """Return the frame of a clip for each picture, in the order of the frames; see ``find_key_frames``.

    Raises MediaError where a picture matches no frame, or two match the same.
    """
    numbers = {path: number for path in files if (number := _number(path, clip)) is not None}
    unnamed = [path for path in files if path not in numbers]
    if unnamed:
        numbers |= _sought(unnamed, clip, context)
        for path in unnamed:
            context.note(f"{path.name}: painted on frame {numbers[path]}, found by its content")
    ordered = sorted(files, key=lambda path: numbers[path])
    for one, other in itertools.pairwise(ordered):
        if numbers[one] == numbers[other]:
            why = f"{one.name} and {other.name} are both painted on frame {numbers[one]}"
            raise MediaError(str(one.parent), why, "keep one of them")
    return {path: numbers[path] for path in ordered}


def _number(path: Path, clip: Clip) -> int | None:
    """Return the frame from a file's name: that of the clip's picture of this name, else the last number; else None.

    Raises MediaError where the clip has no such frame.
    """
    names = clip.index.names
    if path.name in names:
        return names.index(path.name)
    stems = [Path(name).stem for name in names]
    if stems.count(path.stem) == 1:
        return stems.index(path.stem)
    given = NUMBER.findall(COPY.sub("", path.stem))
    if not given:
        return None
    number, last = int(given[-1]), clip.index.num_frames - 1
    if number > last:
        raise MediaError(str(path), f"frame {number} of a clip whose last one is {last}", "give it the right number")
    return number


def _sought(files: Sequence[Path], clip: Clip, context: Context) -> dict[Path, int]:
    """Return for each picture the frame with the most similar edges. Raises MediaError where none is similar enough."""
    index = clip.index
    size = Size(short=min(SOUGHT_SIDE, index.width, index.height)).of(index.width, index.height)
    paintings = {path: edges(resize(read_picture(path), *size)) for path in files}
    everywhere = np.ones((size[1], size[0]), bool)

    def scores(numbers: Sequence[int]) -> dict[Path, dict[int, float]]:
        found: dict[Path, dict[int, float]] = {path: {} for path in files}
        for frame in read_clip_frames(clip, numbers, FrameFormat(Size(exact=size)), context):
            lines = edges(frame.rgb)
            for path in files:
                found[path][frame.index] = likeness(paintings[path], lines, everywhere)
        return found

    step = max(1, index.num_frames // SOUGHT)
    best: dict[Path, int] = {}
    for path, rough in scores(range(0, index.num_frames, step)).items():
        middle = max(rough, key=lambda number: rough[number])
        near = range(max(0, middle - step + 1), min(index.num_frames, middle + step))
        fine = rough if step == 1 else scores(near)[path]
        best[path] = max(fine, key=lambda number: fine[number])
        if fine[best[path]] < LIKE:
            why = "its name has no number, and it does not look like any frame of the clip"
            raise MediaError(str(path), why, "put the number of its frame into its name")
    return best
