"""Sources of frames: clips, stacks of guides, and pair folders of other tools (A/ + B/, or A|B side by side)."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import passes, spread_numbers
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.files import base_name
from vidtrans.core.settings import Size, Table
from vidtrans.data.dataset import Role
from vidtrans.flow.bars import NO_BARS, Bars
from vidtrans.flow.survey import Survey
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.stack import Stack, StackSettings
from vidtrans.session import Context
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import picture_size, read_picture, resize
from vidtrans.video.io.clip import ClipIndex, Frame, Reader, read_frames
from vidtrans.video.io.pictures import find_guides, open_reader, picture_files, pictures_in

HELD_OUT_FOLDERS = ("test", "val")
SPLIT_FOLDERS = ("train", *HELD_OUT_FOLDERS)


class PictureExtractor(Protocol):
    """A network that makes a picture of each frame (``rendering.extraction.FrameExtractor``)."""

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the (width, height) at which the network sees frames of this size."""

    def pictures(self, frames: Iterable[Frame]) -> Iterator[np.ndarray]:
        """Yield the network's picture of each frame, (H, W, 3) uint8, at that size."""

    def for_record(self) -> Table:
        """Return the extractor's entries in a pairing's settings: its ``model`` name and the ``digest`` of its file."""

    def for_key(self) -> Table:
        """Return the engine properties that affect the pictures."""


@dataclass(frozen=True)
class ClipSource:
    """Frames ``first`` … ``stop − 1`` of a clip, every ``every``-th; ``target``: a second, synchronised clip.

    With ``guides`` the clip is a folder of guides. The ``extractor`` adds one picture per frame. ``bars`` are
    cropped from each picture of a clip without a target.
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

    @property
    def name(self) -> str:
        """Return the source's name."""
        return base_name(self.path)

    @property
    def shows_single_pictures(self) -> bool:
        """Return whether this is a folder of mostly unrelated pictures, each its own shot."""
        shots = self.shots() if self.index.names else []
        return 2 * sum(len(shot) == 1 for shot in shots) > len(shots)

    @property
    def left_out(self) -> frozenset[int]:
        """Return the numbers of frames that cannot be learned from."""
        return frozenset()

    def shots(self) -> list[list[int]]:
        """Return the frame numbers of each shot."""
        starts = sorted({self.first, *(s for s in self.survey.shots if self.first < s < self.stop)})
        numbers = range(self.first, self.stop, self.every)
        return [[n for n in numbers if a <= n < b] for a, b in itertools.pairwise([*starts, self.stop])]

    def samples(self, count: int) -> Iterator[np.ndarray]:
        """Yield at most ``count`` evenly spaced frames at full size, (H, W, 3) uint8."""
        numbers = [self.first + n for n in spread_numbers(self.stop - self.first, count)]
        with open_reader(self.path, FrameFormat()) as reader:
            for group in passes(numbers):
                yield from (frame.rgb for frame in read_frames(reader, self.index, group))

    def pictures(self, numbers: list[int], size: Size) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield the picture, guides, extracted picture and target for each frame of ``numbers`` (increasing).

        Each is (H, W, 3) uint8, and all pictures of a frame have one size.
        """
        if any(self.bars):
            yield from self._cropped(numbers, size)
            return
        if self.index.same_size:
            size = Size(exact=size.of(self.index.width, self.index.height))
        frames = _pick(open_reader(self.path, FrameFormat(size), guides=self.guides), self.index, numbers)
        with ExitStack() as stack:
            inputs = stack.enter_context(closing(frames))
            others = [stack.enter_context(closing(other)) for other in self._others(numbers, size)]
            for frame, *beside in zip(inputs, *others, strict=True):
                height, width = frame.rgb.shape[:2]
                yield *frame.pictures, *(resize(picture, width, height) for picture in beside)

    def _cropped(self, numbers: list[int], size: Size) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield the frames without their bars, cropped at full size for exactness."""
        with closing(_pick(open_reader(self.path, FrameFormat()), self.index, numbers)) as frames:
            for frame in frames:
                picture = self.bars.crop(frame.rgb)
                yield (resize(picture, *size.of(picture.shape[1], picture.shape[0])),)

    def _others(self, numbers: list[int], size: Size) -> Iterator[Generator[np.ndarray, None, None]]:
        """Yield the streams of extracted pictures and of targets."""
        if self.extractor is not None:
            yield self._extracted(self.extractor, numbers)
        if self.target is not None and self.target_index is not None:
            targets = _pick(open_reader(self.target, FrameFormat(size)), self.target_index, numbers)
            yield (frame.rgb for frame in targets)

    def _extracted(self, extractor: PictureExtractor, numbers: list[int]) -> Generator[np.ndarray, None, None]:
        """Yield the extractor's pictures of the frames, at its own size, as in a render."""
        if self.index.same_size:
            yield from self._extracted_at(extractor, numbers, (self.index.width, self.index.height))
            return
        files = picture_files(self.path)
        for number in numbers:
            yield from self._extracted_at(extractor, [number], picture_size(files[number]))

    def _extracted_at(
        self, extractor: PictureExtractor, numbers: list[int], size: tuple[int, int]
    ) -> Generator[np.ndarray, None, None]:
        form = FrameFormat(Size(exact=extractor.size(*size)))
        with closing(_pick(open_reader(self.path, form), self.index, numbers)) as frames:
            yield from extractor.pictures(frames)


def _pick(opened: Reader, index: ClipIndex, numbers: list[int]) -> Generator[Frame, None, None]:
    with opened as reader:
        yield from read_frames(reader, index, numbers)


# How far the aspect ratios of input and target may differ: 1088 lines for 1080 are no other shape.
SHAPE_TOLERANCE = 0.02


@dataclass(frozen=True)
class FolderSource:
    """A folder of unordered pairs: each pair is a shot."""

    path: Path
    pairs: tuple[tuple[Path, Path | None], ...]  # (A, B), or one side-by-side picture
    roles: tuple[Role | None, ...]  # None: not said by the folder
    a_is_input: bool
    guides: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the source's name."""
        return base_name(self.path)

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
            sides = resize(left, width, height), resize(right, width, height)
            yield sides if self.a_is_input else (sides[1], sides[0])


def find_pairs(folder: Path, direction: str) -> FolderSource:
    """Detect a pair folder: ``A/`` + ``B/`` with equal names, or A|B pictures; with or without train/val/test.

    Raises MediaError if there are no pairs.
    """
    pairs: list[tuple[Path, Path | None]] = []
    roles: list[Role | None] = []
    a, b = folder / "A", folder / "B"
    two = a.is_dir() and b.is_dir()
    parts = [p for p in SPLIT_FOLDERS if ((a / p).is_dir() and (b / p).is_dir() if two else (folder / p).is_dir())]
    for part in parts or [""]:
        found = _pairs_of(a / part, b / part) if two else _pairs_in(folder / part)
        pairs += found
        roles += [_role(part)] * len(found)
    if not pairs:
        raise MediaError(str(folder), "no pairs in it", "it needs A/ and B/ with equal names, or A|B pictures")
    return FolderSource(folder, tuple(pairs), tuple(roles), direction == "AtoB")


def _role(part: str) -> Role | None:
    return "val" if part in HELD_OUT_FOLDERS else "train" if part else None


def _pairs_in(folder: Path) -> list[tuple[Path, Path | None]]:
    a, b = folder / "A", folder / "B"
    return _pairs_of(a, b) if a.is_dir() and b.is_dir() else [(p, None) for p in pictures_in(folder)]


def _pairs_of(a: Path, b: Path) -> list[tuple[Path, Path | None]]:
    others = {p.stem: p for p in pictures_in(b)}
    pairs = [(p, others[p.stem]) for p in pictures_in(a) if p.stem in others]
    for one, other in pairs:
        check_shapes(one, picture_size(one), picture_size(other))
    return list(pairs)


def check_shapes(source: Path, size: tuple[int, int], target: tuple[int, int]) -> None:
    """Raise MediaError if source and target (width, height) have different aspect ratios."""
    if abs(size[0] * target[1] / (size[1] * target[0]) - 1) > SHAPE_TOLERANCE:
        raise MediaError(
            str(source),
            f"it is {size[0]}x{size[1]}, and its target {target[0]}x{target[1]}: one of them would be stretched",
            "crop or pad one, so that both have one shape",
        )


def shape_of(index: ClipIndex) -> tuple[int, int]:
    """Return the (width, height) of a clip with square pixels."""
    return round(index.width * index.sample_aspect_ratio), index.height


def common_stop(clip: Clip, other: Clip, first: int, stop: int, context: Context) -> int:
    """Return the end of the shorter of clip and target. Raises MediaError if they do not match."""
    if clip.index.same_size and other.index.same_size:
        check_shapes(clip.path, shape_of(clip.index), shape_of(other.index))
    if other.index.num_frames == clip.index.num_frames:
        return stop
    common = min(stop, other.index.num_frames)
    if common <= first:
        why = f"it has only {other.index.num_frames} frames, and --start is at frame {first} of {clip.path.name}"
        raise MediaError(str(other.path), why, "give an earlier --start, or a --target as long as the source")
    context.note(
        f"{clip.path.name} has {clip.index.num_frames} frames, {other.path.name} {other.index.num_frames}; "
        f"the first {common} are paired",
        "warning",
    )
    return common


GREY_SIDE = 64  # pixels, of the short side
GREY_SPREAD = 2  # levels between channels that a codec may add to a grey picture


def with_guides(pairing: Pairing, folder: Path, target: Path | None) -> Pairing:
    """Return the pairing; a stack without named guides takes all guides of its folder, grey ones as one channel."""
    if not isinstance(pairing, Stack) or pairing.guides:
        return pairing
    target = target.resolve() if target else None
    guides = find_guides(folder) if folder.is_dir() else {}
    guides = {name: path for name, path in guides.items() if path.resolve() != target and name != "target"}
    if not guides:
        remedy = "give a folder with a folder of pictures for each guide: depth/, normals/ …"
        raise UsageError(str(folder), "no guides in it", remedy)
    return Stack(StackSettings(tuple(f"{name}:1" if _is_grey(path) else name for name, path in guides.items())))


def _is_grey(guide: Path) -> bool:
    """Return whether no frame of a guide has colour. All frames are read, as the first may be black."""
    with (
        open_reader(guide, FrameFormat(Size(short=GREY_SIDE)), tolerant=True) as reader,
        closing(reader.frames()) as frames,
    ):
        return all(int(np.ptp(frame.rgb.astype(np.int16), axis=2).max()) <= GREY_SPREAD for frame in frames)
