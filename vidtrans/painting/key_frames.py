"""Read painted key frames: find the frame of each picture, and align the picture with it."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import read_clip_frames
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.settings import Size
from vidtrans.painting.composing import Painting
from vidtrans.painting.registering import Placement, edges, likeness, place
from vidtrans.session import Context
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.frame_format import DEFAULT_FORMAT, FrameFormat
from vidtrans.video.frame_numbers import frame_numbers, likely_numbers, numbers_in, sequence_numbers, stem_key
from vidtrans.video.images.picture import read_layers, read_picture, resize
from vidtrans.video.io.picture_paths import pictures_in, unread_in

SHEET = "sheet"  # what 'vidtrans keyframes' lays beside the frames
SOUGHT_SIDE, SOUGHT = 96, 400  # pixels, of the frames among which one is sought, and how many are looked through first
LIKE, UNLIKE = 0.25, 0.08  # likeness of edges that tells a frame, and below which a numbered one is doubted
DOUBTED_SIDE = 240  # pixels, of frames that are compared with the pictures of their numbers
CLEARER = 0.03  # likeness by which the frame of another number in the name fits better
NEARER, ALONE = 0.005, 4  # likeness on average by which other frames fit better; times that, of a single picture
SAME = 2  # levels, by which what is not painted differs from its frame at most


@dataclass(frozen=True)
class PaintedPicture:
    """A painted picture and the number of its ``frame``."""

    path: Path
    digest: str
    frame: int
    placement: Placement  # its alignment with that frame
    full: tuple[int, int]  # the (width, height) of that frame
    is_whole: bool  # the whole frame is painted

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
        remedy = "name the folder of the painted frames; 'vidtrans keyframes VIDEO' makes one of frames to paint over"
        raise UsageError(f"{option} {folder}", why, remedy)
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


def find_key_frames(
    files: Sequence[Path], clip: Clip, context: Context, first_number: int | None = None
) -> list[PaintedPicture]:
    """Return painted pictures in the order of their frames, each aligned with its frame.

    The frame is found by the number in the picture's name, else by its edges. ``clip``: of one size. ``first_number``:
    of the clip's first frame in the names; by default 0. Raises MediaError if a picture cannot be read, matches no
    frame, is fully transparent, or two match the same frame.
    """
    numbers, found = numbers_of(files, clip, context, first_number), []
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
        same_shape = alpha is None and picture.shape == frame.rgb.shape
        if same_shape and int(np.abs(to_uint8(picture).astype(np.int16) - frame.rgb).max()) <= SAME:
            context.note(f"{path.name}: it shows frame {frame.index} unchanged: paint it, or take it out", "warning")
        full = frame.rgb.shape[1], frame.rgb.shape[0]
        whole = _painting(frame.index, _laid(picture, alpha, placement, full)).is_whole
        found.append(PaintedPicture(path, context.cache.digest(path), frame.index, placement, full, whole))
    return found


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


def named_frames(files: Sequence[Path], clip: Clip, first_number: int | None = None) -> dict[Path, int]:
    """Return the frame of a clip for each picture, by the number in its name alone.

    Raises MediaError where a name has no number of a frame, or two have the same.
    """
    numbers = _named(files, clip, first_number)
    for path in files:
        if path not in numbers:
            raise MediaError(str(path), "no frame's number is in its name", "call it 000012.png, for frame 12")
    return _in_order(numbers)


def _in_order(numbers: Mapping[Path, int]) -> dict[Path, int]:
    """Return pictures in the order of their frames. Raises MediaError where two have the same."""
    ordered = sorted(numbers, key=lambda path: numbers[path])
    for one, other in itertools.pairwise(ordered):
        if numbers[one] == numbers[other]:
            why = f"{one.name} and {other.name} are both painted on frame {numbers[one]}"
            raise MediaError(str(one.parent), why, "keep one of them")
    return {path: numbers[path] for path in ordered}


def numbers_of(files: Sequence[Path], clip: Clip, context: Context, first_number: int | None = None) -> dict[Path, int]:
    """Return the frame of a clip for each picture, in the order of the frames; see ``find_key_frames``.

    Raises MediaError where a picture matches no frame, or two match the same.
    """
    numbers = _named(files, clip, first_number)
    if unnamed := [path for path in files if path not in numbers]:
        numbers |= _sought(_Likenesses(unnamed, clip, context, SOUGHT_SIDE), clip)
        for path in unnamed:
            context.note(f"{path.name}: painted on frame {numbers[path]}, found by its content")
    named = [path for path in files if path not in unnamed]
    numbers |= _doubted(numbers, _Likenesses(named, clip, context, DOUBTED_SIDE), clip, first_number)
    return _in_order(numbers)


def _places(clip: Clip, first_number: int | None) -> dict[int, int]:
    """Return frames by the number in a name: the number of a clip's picture, else counted from ``first_number``.

    Raises UsageError where ``first_number`` is given for pictures that have numbers of their own.
    """
    numbers = sequence_numbers(clip.index.names)
    if numbers is None:
        return {frame + (first_number or 0): frame for frame in range(clip.index.num_frames)}
    if first_number is not None:
        why = f"the pictures of {clip.name} have numbers in their names, which count"
        raise UsageError(f"--first-number {first_number}", why, "leave it out")
    return {number: frame for frame, number in enumerate(numbers) if number is not None}


def _named(files: Sequence[Path], clip: Clip, first_number: int | None) -> dict[Path, int]:
    """Return the frame of each picture that is named like one of the clip's own, or has a frame's number in its name.

    Raises MediaError where the clip has no such frame.
    """
    names, places = clip.index.names, _places(clip, first_number)
    stems, is_numbered = [stem_key(name) for name in names], sequence_numbers(names) is not None
    found: dict[Path, int] = {}
    for path, number in zip(files, frame_numbers([path.name for path in files]), strict=True):
        # Which of several numbers is meant is also known by the pictures that there are.
        known = [n for n in likely_numbers(path.name) if n in places] if is_numbered else []
        if path.name in names:
            found[path] = names.index(path.name)
        elif stems.count(stem_key(path.name)) == 1:
            found[path] = stems.index(stem_key(path.name))
        elif number in places:
            found[path] = places[number]
        elif known:
            found[path] = places[known[0]]
        elif number is not None:
            high = max(places)
            what = f"frame {number} of a clip whose last one is {high}"
            remedy = f"or say with --first-number which one frame 0 has{' (1?)' if number == high + 1 else ''}"
            if is_numbered:
                what, remedy = f"picture {number} of a folder that has {min(places)} to {high}", ""
            elif first_number is not None:
                remedy = ""
            raise MediaError(str(path), what, ", ".join(filter(None, ("give it the right number", remedy))))
    return found


class _Likenesses:
    """The likeness of pictures to frames of a clip, by their edges, at a short side of ``side`` pixels."""

    def __init__(self, files: Sequence[Path], clip: Clip, context: Context, side: int) -> None:
        index = clip.index
        size = Size(short=min(side, index.width, index.height)).of(index.width, index.height)
        self.clip, self.context, self.files, self._format = clip, context, files, FrameFormat(Size(exact=size))
        self._size, self._everywhere = size, np.ones((size[1], size[0]), bool)

    def to(self, wanted: Mapping[Path, Collection[int]]) -> dict[Path, dict[int, float]]:
        """Return the likeness of each picture to each of the frames that are ``wanted`` for it."""
        found: dict[Path, dict[int, float]] = {path: {} for path in wanted}
        outlines = {path: edges(resize(read_picture(path), *self._size)) for path in wanted}
        numbers = sorted({number for frames in wanted.values() for number in frames})
        for frame in read_clip_frames(self.clip, numbers, self._format, self.context) if numbers else ():
            lines = edges(frame.rgb)
            for path in (path for path, frames in wanted.items() if frame.index in frames):
                found[path][frame.index] = likeness(outlines[path], lines, self._everywhere)
        return found


def _doubted(
    numbers: Mapping[Path, int], likenesses: _Likenesses, clip: Clip, first_number: int | None
) -> dict[Path, int]:
    """Return a new frame for each picture that looks less like its own than like that of another number in its name.

    Warns of these pictures, and if all pictures look more like the frame before their own.
    """
    context, places = likenesses.context, _places(clip, first_number)
    counted = first_number is None and sequence_numbers(clip.index.names) is None and 0 not in numbers.values()
    others = {path: {places[n.value] for n in numbers_in(path.name) if n.value in places} for path in likenesses.files}
    wanted = {
        path: {numbers[path]} | found | ({numbers[path] - 1} if counted else set()) for path, found in others.items()
    }
    files = [path for path, frames in wanted.items() if len(frames) > 1 and read_layers(path)[1] is None]
    looks = likenesses.to({path: wanted[path] for path in files})
    moved: dict[Path, int] = {}
    for path in files:
        own, best = numbers[path], max(others[path], key=lambda n: looks[path][n], default=numbers[path])
        if looks[path][best] > max(LIKE, looks[path][own] + CLEARER):
            moved[path] = best
            text = f"{path.name}: painted on frame {best}, which it looks more like than frame {own}"
            context.note(f"{text}: both numbers are in its name", "warning")
    gains = [looks[path][numbers[path] - 1] - looks[path][numbers[path]] for path in files if counted]
    if gains and min(gains) > 0 and sum(gains) > NEARER * (len(gains) if len(gains) > 1 else ALONE):
        whom = "it looks" if len(files) == 1 else "all painted frames look"
        text = f"{whom} more like the frame before: numbered from 1? Then give --first-number 1"
        context.note(f"{files[0].parent.name}: {text}", "warning")
    return moved


def _sought(likenesses: _Likenesses, clip: Clip) -> dict[Path, int]:
    """Return for each picture the frame with the most similar edges. Raises MediaError where none is similar enough."""
    total = clip.index.num_frames
    step = max(1, total // SOUGHT)
    best: dict[Path, int] = {}
    for path, rough in likenesses.to(dict.fromkeys(likenesses.files, range(0, total, step))).items():
        middle = max(rough, key=lambda number: rough[number])
        near = range(max(0, middle - step + 1), min(total, middle + step))
        fine = rough if step == 1 else likenesses.to({path: near})[path]
        best[path] = max(fine, key=lambda number: fine[number])
        if fine[best[path]] < LIKE:
            why = "its name has no number, and it does not look like any frame of the clip"
            raise MediaError(str(path), why, "put the number of its frame into its name")
    return best
