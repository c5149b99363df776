"""The stimuli of a vote: the same picture, frame or excerpt of each condition, at one size and at the same times.

Conditions are pictures, folders of pictures (matched by name, or by order if equally many), or clips (matched by number
or by time, up to the end of the shortest). Differences that a voter might see are reported.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from vidtrans import OpenedClip
from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.files import base_name
from vidtrans.library.opened_clip import digest_with, open_with
from vidtrans.session import Context
from vidtrans.video.frame_numbers import stem_key
from vidtrans.video.images.picture import encode_jpeg, encode_png, picture_size, read_picture, resize
from vidtrans.video.io.picture_paths import files_to_read, is_picture_source, is_stack
from vidtrans.video.plots import letterbox
from vidtrans.voting import CLIP_PX, PICTURE_PX

MAX_ITEMS = 40  # Largest number of stills or excerpts of a clip
SAME_SHAPE = 0.02  # Largest relative difference of aspect ratios that scaling hides; otherwise bars are added
JPEG_QUALITY = 92  # Quality, 0 to 100, of the frames of excerpts; pictures are PNG files
Size = tuple[int, int]  # Size of a picture, (width, height) in pixels


@dataclass(frozen=True)
class Stimulus:
    """One item (picture or excerpt) of one condition: its frames, (H, W, 3) uint8, and their rate in frames/s."""

    frames: list[np.ndarray]
    rate: float

    def files(self) -> list[bytes]:
        """Return the frames as files: one PNG file, or JPEG files for an excerpt."""
        if len(self.frames) == 1:
            return [encode_png(self.frames[0])]
        return [encode_jpeg(frame, JPEG_QUALITY) for frame in self.frames]


class Stimuli(ABC):
    """The stimuli of a study. ``items``: the names of the items. ``digests``: of the content of each condition."""

    is_motion = False
    items: tuple[str, ...]
    digests: tuple[str, ...]

    @abstractmethod
    def sizes(self, item: int) -> list[Size]:
        """Return the size, (width, height) in pixels, of item number ``item`` in each condition."""

    @abstractmethod
    def frames(self, condition: int, item: int, *, only_middle: bool = False) -> tuple[list[np.ndarray], float]:
        """Return the frames of an item in a condition, (H, W, 3) uint8 at their stored size, and their rate.

        ``only_middle``: only the middle frame of an excerpt. Raises MediaError.
        """

    @abstractmethod
    def counterparts(self, reference: Path, context: Context) -> Callable[[int], np.ndarray]:
        """Return a function from an item's number to its picture in ``reference``, for an excerpt its middle frame.

        Raises UsageError if it has none for an item, MediaError.
        """

    def show(self, condition: int, item: int, *, only_middle: bool = False) -> Stimulus:
        """Return an item of a condition at the size of the smallest condition, limited to the size of a screen.

        ``only_middle``: only the middle frame of an excerpt. Raises MediaError.
        """
        size = _common_size(self.sizes(item), CLIP_PX if self.is_motion else PICTURE_PX)
        frames, rate = self.frames(condition, item, only_middle=only_middle)
        return Stimulus([_fit_to_size(frame, size) for frame in frames], rate)

    def warn_about_sizes(self, names: Sequence[str], context: Context) -> None:
        """Warn if pictures of the conditions, whose ``names`` are given, differ in size or shape."""
        for item in range(len(self.items)):
            sizes = self.sizes(item)
            if len(set(sizes)) > 1:
                listed = ", ".join(f"{name} {w}x{h}" for name, (w, h) in zip(names, sizes, strict=True))
                shapes = [width / height for width, height in sizes]
                bars = ", with bars where the shape differs" if max(shapes) > (1 + SAME_SHAPE) * min(shapes) else ""
                size = "x".join(map(str, _common_size(sizes, max(map(max, sizes)))))
                context.warn_once(f"{self.items[item]}: {listed}: all are shown at {size}{bars}")
                return


def _common_size(sizes: Sequence[Size], longest: int) -> Size:
    """Return the size with the smallest area, scaled down so that its longer side is at most ``longest`` pixels."""
    width, height = min(sizes, key=lambda size: size[0] * size[1])
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _fit_to_size(frame: np.ndarray, size: Size) -> np.ndarray:
    """Return a frame scaled to a size, with bars if the aspect ratio differs visibly."""
    shape = frame.shape[1] / frame.shape[0] * size[1] / size[0]
    return resize(frame, *size) if abs(shape - 1) <= SAME_SHAPE else letterbox(frame, *size)


class PictureStimuli(Stimuli):
    """Stimuli that are pictures in files or folders; those of the conditions are matched by name, else by order."""

    def __init__(self, paths: Sequence[Path], context: Context) -> None:
        self.digests = tuple(digest_with(context, path) for path in paths)
        file_lists = [files_to_read(path) for path in paths]
        by_name = [{stem_key(file.name): file for file in files} for files in file_lists]
        common = [stem for stem in by_name[0] if all(stem in files for files in by_name)]
        if len({len(files) for files in file_lists}) == 1 and len(common) < len(file_lists[0]):
            common = []  # Equally many with other names are matched by order
        elif not common:
            named = zip(paths, file_lists, strict=True)
            counts = ", ".join(f"{path} {count(len(files), 'picture')}" for path, files in named)
            remedy = "give folders with pictures of the same names, or equally many"
            raise UsageError("vote", f"the pictures have no name in common ({counts})", remedy)
        elif unused := max(map(len, file_lists)) - len(common):
            context.warn_once(f"only the {count(len(common), 'picture')} that all conditions have: {unused} unused")
        self._files = [[files[stem] for stem in common] for files in by_name] if common else file_lists
        self.items = tuple(stem_key(file.name) if common else file.name for file in self._files[0])

    def sizes(self, item: int) -> list[Size]:
        """Return the size, (width, height), of the picture of an item in each condition."""
        return [picture_size(files[item]) for files in self._files]

    def frames(self, condition: int, item: int, *, only_middle: bool = False) -> tuple[list[np.ndarray], float]:
        """Return the picture of an item in a condition, and the rate 0. Raises MediaError."""
        return [read_picture(self._files[condition][item])], 0.0

    def counterparts(self, reference: Path, context: Context) -> Callable[[int], np.ndarray]:
        """Return a function from an item's number to the picture of ``reference`` with its name, or at its position.

        Positions are used if the reference has equally many pictures. Raises UsageError if neither applies, MediaError.
        """
        digest_with(context, reference)  # Raises for unreadable files
        files = files_to_read(reference)
        by_name = {stem_key(file.name): file for file in files}
        if all(item in by_name for item in self.items):
            return lambda item: read_picture(by_name[self.items[item]])
        if len(files) != len(self.items):
            why = f"it has {count(len(files), 'picture')}, and not those of the conditions ({len(self.items)})"
            raise UsageError(str(reference), why, "give pictures of the same names, or one picture for its style")
        return lambda item: read_picture(files[item])


class ClipStimuli(Stimuli):
    """Stimuli that are excerpts of ``seconds`` of clips, or single frames for 0 s.

    They are spread over the duration of the shortest clip.
    """

    def __init__(self, paths: Sequence[Path], seconds: float, context: Context) -> None:
        self._clips, self._context = [open_with(context, path) for path in paths], context
        self.digests = tuple(clip.digest for clip in self._clips)
        self.is_motion = seconds > 0
        total = self._num_frames()
        length = min(total, max(1, round(seconds * float(self._first_clip.fps)))) if seconds else 1
        if seconds and length < 2:
            raise UsageError(f"--seconds {seconds:g}", "that is less than two frames", "give more seconds, or --stills")
        self._spans = [range(n, n + length) for n in _spread_excerpts(self._first_clip[:total], length)]
        times = self._first_clip.times
        self.items = tuple(f"{float(times[span.start]):.3f} s" for span in self._spans)

    @property
    def _first_clip(self) -> OpenedClip:
        """Return the clip of the first condition, whose frames define the excerpts."""
        return self._clips[0]

    def _num_frames(self) -> int:
        """Return the number of frames of the first clip that all clips cover; report clips that differ."""
        shortest = min(self._clips, key=lambda clip: clip.duration)
        counts = {len(clip) for clip in self._clips}
        if len(counts) == 1:
            return counts.pop()
        lasts = float(shortest.duration)
        total = sum(float(time) < lasts - 1e-6 for time in self._first_clip.times)
        if total < len(self._first_clip):
            self._context.warn_once(f"{shortest.name}: it is the shortest: of all, the first {lasts:.2f} s are shown")
        rates = {f"{float(clip.fps):g}" for clip in self._clips}
        if len(rates) > 1:
            how = f"shown at those of {self._first_clip.name}; where a clip has fewer, its frames stay longer"
            self._context.warn_once(f"the clips have {' and '.join(sorted(rates))} frames a second: {how}")
        return total

    @cached_property
    def _matched_frames(self) -> list[list[int]]:
        """The frame numbers of each clip that correspond to the frames of the first clip."""
        return [self._first_clip.match(clip)[0] for clip in self._clips]

    def sizes(self, item: int) -> list[Size]:
        """Return the displayed size, (width, height), of each clip."""
        return [(round(clip.size[0] * clip.sample_aspect_ratio), clip.size[1]) for clip in self._clips]

    def frames(self, condition: int, item: int, *, only_middle: bool = False) -> tuple[list[np.ndarray], float]:
        """Return the frames of an excerpt in a condition, (H, W, 3) uint8, and the rate of the first clip.

        Raises MediaError.
        """
        clip, span = self._clips[condition], self._spans[item]
        numbers = [self._matched_frames[condition][n] for n in ([_middle_frame(span)] if only_middle else span)]
        size = self.sizes(item)[condition]
        read = {frame.index: resize(frame.rgb, *size) for frame in clip.read(sorted(set(numbers)))}
        return [read[n] for n in numbers], float(self._first_clip.fps)

    def counterparts(self, reference: Path, context: Context) -> Callable[[int], np.ndarray]:
        """Return a function from an item's number to the frame of ``reference`` at the middle of its excerpt."""
        clip = open_with(context, reference)
        steps, note = self._first_clip.match(clip)
        if note:
            context.warn_once(f"{clip.name}: {note}", clip.path)

        def read(item: int) -> np.ndarray:
            """Return the frame of ``reference``, (H, W, 3) uint8, for item number ``item``."""
            (frame,) = clip.read([steps[_middle_frame(self._spans[item])]])
            return frame.rgb

        return read


def _middle_frame(span: range) -> int:
    """Return the middle frame number of an excerpt."""
    return span[len(span) // 2]


def _spread_excerpts(clip: OpenedClip, length: int) -> list[int]:
    """Return the first frames of excerpts of ``length`` frames, spread evenly over a clip.

    Neighbouring excerpts overlap by half at most.
    """
    if length == 1:
        return clip.spread(MAX_ITEMS)
    total = len(clip)
    number = min(MAX_ITEMS, 1 + 2 * (total - length) // length)
    return [n * (total - length) // max(1, number - 1) for n in range(number)]


def open_stimuli(paths: Sequence[Path], seconds: float, context: Context) -> Stimuli:
    """Return the stimuli of conditions; ``paths``: the file or folder of each condition.

    ``seconds``: the length of the excerpts of clips; 0: single frames. Raises UsageError if the conditions are of
    different kinds or have nothing in common, MediaError.
    """
    for path in paths:
        digest_with(context, path)  # Raises for missing or unreadable files
    kinds = [is_picture_source(path) and not is_stack(path) for path in paths]
    if len(set(kinds)) > 1:
        picture, clip = paths[kinds.index(True)], paths[kinds.index(False)]
        why = f"{clip} is a clip, and {picture} consists of pictures"
        raise UsageError("vote", why, "give clips, or pictures, of all conditions")
    return PictureStimuli(paths, context) if kinds[0] else ClipStimuli(paths, seconds, context)


def condition_names(paths: Sequence[Path], labels: Sequence[str]) -> list[str]:
    """Return a unique name for each condition: its label, or its file name. Raises UsageError for duplicates."""
    names = [*labels, *(base_name(path) for path in paths[len(labels) :])]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"'{name}'", "two conditions have this name", "name them, in order: --label A --label B")
    return names
