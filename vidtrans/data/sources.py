"""Sources of a dataset's frames: clips with their targets, stacks of guides, and folders of pairs from other tools."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from vidtrans.clips.aligned_clip import describe_sequence, match_sequence
from vidtrans.clips.indexing import Clip
from vidtrans.clips.masks import MaskOfClip
from vidtrans.clips.sampling import reading_passes, spread_numbers
from vidtrans.core.costs import count
from vidtrans.core.errors import MediaError
from vidtrans.core.files import base_name
from vidtrans.core.settings import SOURCE_SIZE, Size, Table
from vidtrans.data.dataset import Role
from vidtrans.flow.bars import NO_BARS, Bars
from vidtrans.flow.survey import Survey
from vidtrans.pairing.class_colours import ClassColours
from vidtrans.session import Context
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.frame_numbers import align, first_duplicate, stem_key
from vidtrans.video.images.picture import picture_size, read_picture, resize
from vidtrans.video.io.clip import ClipIndex, Frame, FrameCursor, Reader, read_frames
from vidtrans.video.io.picture_paths import picture_files, pictures_in
from vidtrans.video.io.pictures import open_reader

HELD_OUT_FOLDERS = ("test", "val")  # Names of the folders whose pairs are held out, in a folder of pairs.
SPLIT_FOLDERS = ("train", *HELD_OUT_FOLDERS)  # Names of all folders that define the role of their pairs.
MAX_LISTED_NAMES = 6  # Maximum number of file names in a message.
# Maximum relative difference between the aspect ratios of input and target, which allows 1088 lines for 1080.
SHAPE_TOLERANCE = 0.02
MIN_TARGET_SIZE = 0.9  # Minimum height of a target that shows the source's detail, as a share of the source's height.


class PictureExtractor(Protocol):
    """A network that extracts a picture from each frame (``rendering.extraction.FrameExtractor``)."""

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the (width, height) of the network's input for frames of this width and height."""

    def pictures(self, frames: Iterable[Frame]) -> Iterator[np.ndarray]:
        """Yield the extracted picture of each frame, (H, W, 3) uint8, of the size from ``size``."""

    def for_record(self) -> Table:
        """Return the extractor's entries in a pairing's settings: its ``model`` name and the ``digest`` of its file."""

    def for_key(self) -> Table:
        """Return the engine properties that affect the extracted pictures, for cache keys."""


@dataclass(frozen=True)
class ClipSource:
    """A clip as a source of frames: every ``every``-th frame from ``first`` to ``stop − 1``; ``target``: a second clip.

    ``target_steps``: the number of the target's frame, by frame number, without frames that have no target; None: the
    numbers are equal. With ``guides`` the clip is a folder of guides. The ``extractor`` adds an extracted picture per
    frame. ``bars`` are cropped from each picture of a clip without a target or ``mask``. ``mask`` adds a matte per
    frame; ``matte`` adds one too, as a part of the input. ``classes``: the target's classes, if it consists of label
    maps.
    """

    path: Path
    index: ClipIndex
    survey: Survey
    first: int
    stop: int
    every: int = 1
    target: Path | None = None
    target_index: ClipIndex | None = None
    guides: tuple[str, ...] = ()
    extractor: PictureExtractor | None = None
    bars: Bars = NO_BARS
    target_steps: Mapping[int, int] | None = None
    mask: MaskOfClip | None = None
    classes: ClassColours | None = None
    matte: MaskOfClip | None = None

    @property
    def name(self) -> str:
        """Return the clip's name, after which the dataset names the folder of its pictures."""
        return base_name(self.path)

    @property
    def shows_single_pictures(self) -> bool:
        """Return whether the clip is a folder of mostly unrelated pictures, each of which is a shot."""
        shots = self.shots() if self.index.names else []
        return 2 * sum(len(shot) == 1 for shot in shots) > len(shots)

    @property
    def left_out(self) -> frozenset[int]:
        """Return the numbers of the frames without a target, which are not stored."""
        if self.target_steps is None:
            return frozenset()
        return frozenset(range(self.first, self.stop)) - set(self.target_steps)

    def shots(self) -> list[list[int]]:
        """Return the numbers of the used frames of each shot."""
        starts = sorted({self.first, *(s for s in self.survey.shots if self.first < s < self.stop)})
        numbers = range(self.first, self.stop, self.every)
        return [[n for n in numbers if a <= n < b] for a, b in itertools.pairwise([*starts, self.stop])]

    def full_size(self, number: int) -> tuple[int, int] | None:
        """Return the (width, height) at which a frame and its target can be stored at the clip's full size, or None.

        It is None if there is no target or a smaller one, if the input has other pictures than the frame, or if
        pictures differ in size.
        """
        del number
        index, other = self.index, self.target_index
        if other is None or self.guides or self.extractor or self.matte or any(self.bars):
            return None
        can_compare = index.same_size and other.same_size and is_as_large(other.height, index.height)
        return (index.width, index.height) if can_compare else None

    def samples(self, count: int) -> Iterator[np.ndarray]:
        """Yield at most ``count`` evenly spaced frames at full size, (H, W, 3) uint8."""
        numbers = [self.first + n for n in spread_numbers(self.stop - self.first, count)]
        with open_reader(self.path, FrameFormat()) as reader:
            for group in reading_passes(numbers):
                yield from (frame.rgb for frame in read_frames(reader, self.index, group))

    def pictures(self, numbers: list[int], size: Size) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield the frame's picture, guides, extracted picture, matte, target and mask, for each frame of ``numbers``.

        Numbers increase. Pictures are (H, W, 3) uint8, matte and mask (H, W), and all pictures of a frame have one
        size.
        """
        if any(self.bars):
            yield from self._cropped(numbers, size)
            return
        if self.index.same_size:
            size = Size(exact=size.of(self.index.width, self.index.height))
        frames = _read_frames_of(open_reader(self.path, FrameFormat(size), guides=self.guides), self.index, numbers)
        with ExitStack() as stack:
            inputs = stack.enter_context(closing(frames))
            others = [stack.enter_context(closing(other)) for other in self._other_streams(numbers, size)]
            for frame, *beside in zip(inputs, *others, strict=True):
                height, width = frame.rgb.shape[:2]
                yield *frame.pictures, *(self._resized(picture, width, height) for picture in beside)

    def _resized(self, picture: np.ndarray, width: int, height: int) -> np.ndarray:
        """Resize a target or a matte to ``width`` and ``height``, without mixing the colours of label maps."""
        if self.classes is not None and picture.ndim == 3 and picture.shape[:2] != (height, width):
            return self.classes.resized(picture, width, height)
        return resize(picture, width, height)

    def _cropped(self, numbers: list[int], size: Size) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield one picture for each frame of ``numbers``, cropped to the area without bars, then resized."""
        with closing(_read_frames_of(open_reader(self.path, FrameFormat()), self.index, numbers)) as frames:
            for frame in frames:
                picture = self.bars.crop(frame.rgb)
                yield (resize(picture, *size.of(picture.shape[1], picture.shape[0])),)

    def _other_streams(self, numbers: list[int], size: Size) -> Iterator[Generator[np.ndarray, None, None]]:
        """Yield an iterator over ``numbers`` for each further picture of a frame: extracted, matte, target, mask."""
        if self.extractor is not None:
            yield self._extracted_pictures(self.extractor, numbers)
        if self.matte is not None:
            yield self._mattes(self.matte, numbers, size)
        if self.target is not None and self.target_index is not None:
            steps = [n if self.target_steps is None else self.target_steps[n] for n in numbers]
            if self.classes is None:
                yield _read_pictures_of(open_reader(self.target, FrameFormat(size)), self.target_index, steps)
            else:
                yield self._label_maps(self.classes, self.target, self.target_index, steps, size)
        if self.mask is not None:
            yield self._mattes(self.mask, numbers, size)

    @staticmethod
    def _label_maps(
        classes: ClassColours, path: Path, index: ClipIndex, steps: list[int], size: Size
    ) -> Generator[np.ndarray, None, None]:
        """Yield the label maps of the target clip ``path`` at frames ``steps``, resized without mixing colours.

        Each is (H, W, 3) uint8.
        """
        with closing(_read_pictures_of(open_reader(path, FrameFormat()), index, steps)) as pictures:
            for picture in pictures:
                yield classes.resized(picture, *size.of(picture.shape[1], picture.shape[0]))

    def _mattes(self, mask: MaskOfClip, numbers: list[int], size: Size) -> Generator[np.ndarray, None, None]:
        """Yield the mattes of the frames, (H, W) uint8, stretched to the frames' size."""
        for group, full in self._by_size(numbers):
            with closing(mask.mattes(size.of(*full), threads=0)) as matte_of:
                yield from map(matte_of, group)

    def _extracted_pictures(self, extractor: PictureExtractor, numbers: list[int]) -> Generator[np.ndarray, None, None]:
        """Yield the extracted pictures of the frames, at the extractor's size, as in a render."""
        for group, full in self._by_size(numbers):
            form = FrameFormat(Size(exact=extractor.size(*full)))
            with closing(_read_frames_of(open_reader(self.path, form), self.index, group)) as frames:
                yield from extractor.pictures(frames)

    def _by_size(self, numbers: list[int]) -> Iterator[tuple[list[int], tuple[int, int]]]:
        """Yield (frame numbers, their (width, height)): one group of all frames, or one per frame if sizes differ."""
        if self.index.same_size:
            yield numbers, (self.index.width, self.index.height)
            return
        files = picture_files(self.path)
        yield from (([number], picture_size(files[number])) for number in numbers)


def _read_frames_of(opened: Reader, index: ClipIndex, numbers: list[int]) -> Generator[Frame, None, None]:
    """Open the reader ``opened``, yield the frames ``numbers`` of its clip, which increase, and close it."""
    with opened as reader:
        yield from read_frames(reader, index, numbers)


def _read_pictures_of(opened: Reader, index: ClipIndex, numbers: list[int]) -> Generator[np.ndarray, None, None]:
    """Open the reader ``opened``, and yield the pictures of the frames ``numbers``, which may be in any order."""
    with opened as reader, closing(FrameCursor(lambda first: reader.frames(first, None, index))) as frame_of:
        yield from (frame_of(number).rgb for number in numbers)


def shape_of(index: ClipIndex) -> tuple[int, int]:
    """Return the (width, height) of a clip in square pixels."""
    return round(index.width * index.sample_aspect_ratio), index.height


def find_targets(
    clip: Clip, other: Clip, first: int, stop: int, context: Context
) -> tuple[int, Mapping[int, int] | None]:
    """Find the target in the clip ``other`` for each of the frames [first, stop) of ``clip``; report unmatched frames.

    Frames are matched by name, number or order. Returns the end of the used span of ``clip``, at most ``stop``, and
    ``target_steps`` of a ``ClipSource``. Raises MediaError if no frame matches.
    """
    if clip.index.same_size and other.index.same_size:
        check_shapes(clip.path, shape_of(clip.index), shape_of(other.index))
    if clip.index.names and other.index.names:
        check_names(clip.path, clip.index.names)
        check_names(other.path, other.index.names)
    alignment = match_sequence(clip.index, other.index, first, stop)
    if alignment is not None and (alignment.criterion != "order" or other.index.num_frames == clip.index.num_frames):
        steps = {n: step for n, step in enumerate(alignment.steps, first) if step is not None}
        if not steps:
            why = f"none of its pictures belongs to a frame of {clip.path.name}"
            raise MediaError(str(other.path), why, "give both the same names or numbers")
        note = describe_sequence(alignment, clip.index, other.index, first, clip.path.name, "left out")
        if note:
            context.note(f"{other.path.name}: {note}", "warning")
        return stop, None if alignment.steps == tuple(range(first, stop)) else steps
    common = min(stop, other.index.num_frames)
    if common <= first:
        why = (
            f"it has only {count(other.index.num_frames, 'frame')}, and --start is at frame {first} of {clip.path.name}"
        )
        raise MediaError(str(other.path), why, "give an earlier --start, or a --target as long as the source")
    context.note(
        f"{clip.path.name} has {count(clip.index.num_frames, 'frame')}, {other.path.name} {other.index.num_frames}; "
        f"the first {common} are paired" + (f" by order: {alignment.remark}" if alignment else ""),
        "warning",
    )
    return common, None


@dataclass(frozen=True)
class FolderSource:
    """A folder of unordered pairs from another tool; each pair counts as a shot.

    ``unpaired``: the names of pictures without a counterpart. ``classes``: the targets' classes, if they are label
    maps.
    """

    path: Path
    pairs: tuple[tuple[Path, Path | None], ...]  # (A, B), or (side-by-side picture, None).
    roles: tuple[Role | None, ...]  # None: the folder has no folders train and val.
    a_is_input: bool
    unpaired: tuple[str, ...] = ()
    guides: tuple[str, ...] = ()
    classes: ClassColours | None = None

    @property
    def name(self) -> str:
        """Return the folder's name, after which the dataset names the folder of its pictures."""
        return base_name(self.path)

    @property
    def inputs(self) -> list[Path]:
        """Return the files of the inputs; [] for side-by-side pictures, where input and target share a file."""
        return [a if self.a_is_input else b for a, b in self.pairs if b is not None]

    @property
    def target_files(self) -> list[Path]:
        """Return the files of the targets; [] for side-by-side pictures."""
        return [b if self.a_is_input else a for a, b in self.pairs if b is not None]

    def describe_unpaired(self) -> str:
        """Return a warning that names pictures without a counterpart."""
        count, few = len(self.unpaired), ", ".join(self.unpaired[:MAX_LISTED_NAMES])
        whose = "1 of its pictures has" if count == 1 else f"{count} of its pictures have"
        return f"{self.path.name}: {whose} no counterpart and {'is' if count == 1 else 'are'} left out ({few}" + (
            " …)" if count > MAX_LISTED_NAMES else ")"
        )

    def full_size(self, number: int) -> tuple[int, int] | None:
        """Return the (width, height) of a pair's input; None if the target is smaller. Raises MediaError."""
        one, other = self.pairs[number]
        width, height = picture_size(one)
        if other is None:
            return width // 2, height
        sides = (width, height), picture_size(other)
        source, target = sides if self.a_is_input else sides[::-1]
        return source if is_as_large(target[1], source[1]) else None

    def targets(self, numbers: list[int]) -> Iterator[np.ndarray]:
        """Yield the targets of pairs at their stored size, (H, W, 3) uint8."""
        return (row[1] for row in self.pictures(numbers, SOURCE_SIZE))

    def samples(self, count: int) -> Iterator[np.ndarray]:
        """Yield at most ``count`` evenly spaced inputs at full size, (H, W, 3) uint8."""
        return (row[0] for row in self.pictures(spread_numbers(len(self.pairs), count), SOURCE_SIZE))

    def pictures(self, numbers: list[int], size: Size) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (input, target), both (H, W, 3) uint8 at ``size``, for each pair number in ``numbers``."""
        for number in numbers:
            one, other = self.pairs[number]
            left = read_picture(one)
            if other is None:
                half = left.shape[1] // 2
                left, right = left[:, :half], left[:, left.shape[1] - half :]
            else:
                right = read_picture(other)
            width, height = size.of(left.shape[1], left.shape[0])
            source, target = (left, right) if self.a_is_input else (right, left)
            resize_target = self.classes.resized if self.classes else resize
            yield resize(source, width, height), resize_target(target, width, height)


def find_pairs(folder: Path, direction: str) -> FolderSource:
    """Open a folder of pairs: ``A/`` + ``B/`` with equal names, or A|B pictures; with or without train/val/test.

    ``direction``: "AtoB" or "BtoA"; the first letter is the input. Raises MediaError if there are no pairs.
    """
    pairs: list[tuple[Path, Path | None]] = []
    roles: list[Role | None] = []
    a, b = _sides(folder)
    has_sides = a.is_dir() and b.is_dir()
    splits = [
        s for s in SPLIT_FOLDERS if ((a / s).is_dir() and (b / s).is_dir() if has_sides else (folder / s).is_dir())
    ]
    for split in splits or [""]:
        split_pairs = _pairs_of(a / split, b / split) if has_sides else _pairs_in(folder / split)
        pairs += split_pairs
        roles += ["val" if split in HELD_OUT_FOLDERS else "train" if split else None] * len(split_pairs)
    if not pairs:
        raise MediaError(str(folder), "no pairs in it", "it needs A/ and B/ with equal names, or A|B pictures")
    paired = {path for pair in pairs for path in pair}
    sides = [
        path for split in splits or [""] for path in ((a / split, b / split) if has_sides else _sides(folder / split))
    ]
    every = [path for side in sides if side.is_dir() for path in pictures_in(side)]
    unpaired = tuple(path.relative_to(folder).as_posix() for path in every if path not in paired)
    return FolderSource(folder, tuple(pairs), tuple(roles), direction == "AtoB", unpaired)


def _sides(folder: Path) -> tuple[Path, Path]:
    """Return the folders of the pictures A and B in ``folder``."""
    return folder / "A", folder / "B"


def _pairs_in(folder: Path) -> list[tuple[Path, Path | None]]:
    """Return the pairs (A, B) of a folder; for side-by-side pictures (picture, None)."""
    a, b = _sides(folder)
    return _pairs_of(a, b) if a.is_dir() and b.is_dir() else [(p, None) for p in pictures_in(folder)]


def _pairs_of(a: Path, b: Path) -> list[tuple[Path, Path | None]]:
    """Return the pairs of pictures in two folders with equal names, or, if there are none, with equal numbers."""
    files, other_files = pictures_in(a), pictures_in(b)
    if not files or not other_files:
        return []
    check_names(a, [p.name for p in files])
    check_names(b, [p.name for p in other_files])
    by_stem = {stem_key(p.name): p for p in other_files}
    pairs = [(p, by_stem[stem_key(p.name)]) for p in files if stem_key(p.name) in by_stem]
    if not pairs:
        alignment = align([p.name for p in files], [p.name for p in other_files], 0, len(files), counting="equal")
        steps = alignment.steps if alignment.criterion == "number" else ()
        pairs = [(p, other_files[step]) for p, step in zip(files, steps, strict=False) if step is not None]
    for one, other in pairs:
        check_shapes(one, picture_size(one), picture_size(other))
    return list(pairs)


def check_names(folder: Path, names: Sequence[str]) -> None:
    """Raise MediaError if two ``names`` differ only in their suffix, so that their counterpart is ambiguous."""
    if twice := first_duplicate(names):
        raise MediaError(str(folder), f"two of its pictures are named '{twice}'", "keep one of them")


def is_as_large(target: int, source: int) -> bool:
    """Return whether targets are high enough to score pictures of the source's size; heights are in pixels."""
    return target >= MIN_TARGET_SIZE * source


def check_shapes(source: Path, size: tuple[int, int], target: tuple[int, int]) -> None:
    """Raise MediaError about ``source`` if its ``size`` and the ``target`` size have different aspect ratios."""
    if abs(size[0] * target[1] / (size[1] * target[0]) - 1) > SHAPE_TOLERANCE:
        raise MediaError(
            str(source),
            f"it is {size[0]}x{size[1]}, and its target {target[0]}x{target[1]}: one of them would be stretched",
            "crop or pad one, so that both have one shape",
        )


Source = ClipSource | FolderSource  # A source of a dataset's frames.
