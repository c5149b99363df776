"""Sources of frames: clips with their targets, and stacks of guides."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from vidtrans.clips.aligned_clip import describe_sequence, sequence
from vidtrans.clips.indexing import Clip
from vidtrans.clips.masks import Mask
from vidtrans.clips.sampling import passes, spread_numbers
from vidtrans.core.costs import count
from vidtrans.core.errors import MediaError
from vidtrans.core.files import base_name
from vidtrans.core.settings import Size, Table
from vidtrans.data.pair_folders import check_names, check_shapes, is_as_large
from vidtrans.flow.bars import NO_BARS, Bars
from vidtrans.flow.survey import Survey
from vidtrans.pairing.class_colours import ClassColours
from vidtrans.session import Context
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import picture_size, resize
from vidtrans.video.io.clip import ClipIndex, Frame, FrameCursor, Reader, read_frames
from vidtrans.video.io.picture_paths import picture_files
from vidtrans.video.io.pictures import open_reader

LEFT_OUT = "left out"  # frames without a target


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

    ``target_steps``: frame number → number of its target's frame, without frames that have no target; None: the numbers
    are equal. With ``guides`` the clip is a folder of guides. The ``extractor`` adds one picture per frame. ``bars``
    are cropped from each picture of a clip without a target or ``mask``, which adds a matte per frame; so does
    ``matte``, as a part of the input.
    ``classes``: those of the target, if it is label maps.
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
    mask: Mask | None = None
    classes: ClassColours | None = None
    matte: Mask | None = None

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
        """Return the numbers of the frames that have no target, and are therefore not stored."""
        return (
            frozenset()
            if self.target_steps is None
            else frozenset(range(self.first, self.stop)) - set(self.target_steps)
        )

    def shots(self) -> list[list[int]]:
        """Return the frame numbers of each shot."""
        starts = sorted({self.first, *(s for s in self.survey.shots if self.first < s < self.stop)})
        numbers = range(self.first, self.stop, self.every)
        return [[n for n in numbers if a <= n < b] for a, b in itertools.pairwise([*starts, self.stop])]

    def full_size(self, number: int) -> tuple[int, int] | None:
        """Return the (width, height) of a frame with a separate target, or None.

        None also if the target is smaller, if the input is more than the frame, and for pictures of several sizes.
        """
        del number
        own, other = self.index, self.target_index
        if other is None or self.guides or self.extractor or self.matte or any(self.bars):
            return None
        can_compare = own.same_size and other.same_size and is_as_large(other.height, own.height)
        return (own.width, own.height) if can_compare else None

    def samples(self, count: int) -> Iterator[np.ndarray]:
        """Yield at most ``count`` evenly spaced frames at full size, (H, W, 3) uint8."""
        numbers = [self.first + n for n in spread_numbers(self.stop - self.first, count)]
        with open_reader(self.path, FrameFormat()) as reader:
            for group in passes(numbers):
                yield from (frame.rgb for frame in read_frames(reader, self.index, group))

    def pictures(self, numbers: list[int], size: Size) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield the picture, guides, extracted picture, matte, target and mask of the frames of ``numbers``.

        Numbers increase. Each is (H, W, 3) uint8, matte and mask (H, W), and all pictures of a frame have one size.
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
                yield *frame.pictures, *(self._fitted(picture, width, height) for picture in beside)

    def _fitted(self, picture: np.ndarray, width: int, height: int) -> np.ndarray:
        """Return a target, or a matte, at a size; the colours of label maps do not mix."""
        if self.classes is not None and picture.ndim == 3 and picture.shape[:2] != (height, width):
            return self.classes.resized(picture, width, height)
        return resize(picture, width, height)

    def _cropped(self, numbers: list[int], size: Size) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield a tuple of one picture per frame: without its bars, which are cropped before it is resized."""
        with closing(_pick(open_reader(self.path, FrameFormat()), self.index, numbers)) as frames:
            for frame in frames:
                picture = self.bars.crop(frame.rgb)
                yield (resize(picture, *size.of(picture.shape[1], picture.shape[0])),)

    def _others(self, numbers: list[int], size: Size) -> Iterator[Generator[np.ndarray, None, None]]:
        """Yield the streams of extracted pictures, of mattes, of targets and of masks."""
        if self.extractor is not None:
            yield self._extracted(self.extractor, numbers)
        if self.matte is not None:
            yield self._mattes(self.matte, numbers, size)
        if self.target is not None and self.target_index is not None:
            steps = [n if self.target_steps is None else self.target_steps[n] for n in numbers]
            if self.classes is None:
                yield _pictures_at(open_reader(self.target, FrameFormat(size)), self.target_index, steps)
            else:
                yield self._label_maps(self.classes, self.target, self.target_index, steps, size)
        if self.mask is not None:
            yield self._mattes(self.mask, numbers, size)

    @staticmethod
    def _label_maps(
        classes: ClassColours, path: Path, index: ClipIndex, steps: list[int], size: Size
    ) -> Generator[np.ndarray, None, None]:
        """Yield the label maps of frames, (H, W, 3) uint8, resized so that no colours mix."""
        with closing(_pictures_at(open_reader(path, FrameFormat()), index, steps)) as pictures:
            for picture in pictures:
                yield classes.resized(picture, *size.of(picture.shape[1], picture.shape[0]))

    def _mattes(self, mask: Mask, numbers: list[int], size: Size) -> Generator[np.ndarray, None, None]:
        """Yield the mattes of the frames, (H, W) uint8, stretched to the frames' size."""
        if self.index.same_size:
            yield from _mattes_at(mask, numbers, size.of(self.index.width, self.index.height))
            return
        files = picture_files(self.path)
        for number in numbers:
            yield from _mattes_at(mask, [number], size.of(*picture_size(files[number])))

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


def _pictures_at(opened: Reader, index: ClipIndex, numbers: list[int]) -> Generator[np.ndarray, None, None]:
    """Yield the pictures of frames in any order."""
    with opened as reader, closing(FrameCursor(lambda first: reader.frames(first, None, index))) as frame_of:
        yield from (frame_of(number).rgb for number in numbers)


def _mattes_at(mask: Mask, numbers: list[int], size: tuple[int, int]) -> Generator[np.ndarray, None, None]:
    with closing(mask.mattes(size, threads=0)) as matte_of:
        yield from map(matte_of, numbers)


def shape_of(index: ClipIndex) -> tuple[int, int]:
    """Return the (width, height) at which a clip is shown with square pixels."""
    return round(index.width * index.sample_aspect_ratio), index.height


def find_targets(
    clip: Clip, other: Clip, first: int, stop: int, context: Context
) -> tuple[int, Mapping[int, int] | None]:
    """Match frames of ``other``, the target, with the frames [first, stop) of ``clip``, and report unmatched frames.

    Returns the end of the part of ``clip`` to use, at most ``stop``, and ``target_steps`` as of ``ClipSource``.
    Raises MediaError if no frame matches.
    """
    if clip.index.same_size and other.index.same_size:
        check_shapes(clip.path, shape_of(clip.index), shape_of(other.index))
    if clip.index.names and other.index.names:
        check_names(clip.path, clip.index.names)
        check_names(other.path, other.index.names)
    found = sequence(clip.index, other.index, first, stop)
    if found is not None and (found.way != "order" or other.index.num_frames == clip.index.num_frames):
        steps = {n: step for n, step in enumerate(found.steps, first) if step is not None}
        if not steps:
            why = f"none of its pictures belongs to a frame of {clip.path.name}"
            raise MediaError(str(other.path), why, "give both the same names or numbers")
        note = describe_sequence(found, clip.index, other.index, first, clip.path.name, LEFT_OUT)
        if note:
            context.note(f"{other.path.name}: {note}", "warning")
        return stop, None if found.steps == tuple(range(first, stop)) else steps
    common = min(stop, other.index.num_frames)
    if common <= first:
        why = (
            f"it has only {count(other.index.num_frames, 'frame')}, and --start is at frame {first} of {clip.path.name}"
        )
        raise MediaError(str(other.path), why, "give an earlier --start, or a --target as long as the source")
    context.note(
        f"{clip.path.name} has {count(clip.index.num_frames, 'frame')}, {other.path.name} {other.index.num_frames}; "
        f"the first {common} are paired" + (f" by order: {found.words}" if found else ""),
        "warning",
    )
    return common, None
