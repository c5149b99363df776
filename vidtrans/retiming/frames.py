"""The pictures of moments of a clip: its frames, pictures made between them, and frames carried along a guide.

Pictures with alpha are premultiplied, (H, W, 4) uint16, while they are carried and mixed.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from fractions import Fraction
from functools import cached_property, partial
from itertools import pairwise
from typing import Literal, Protocol, TypeVar

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import spread_numbers
from vidtrans.core.machine import cores
from vidtrans.core.settings import Size
from vidtrans.flow.carrying import Carrier, GuideFrame
from vidtrans.pairing.drawings import is_drawing
from vidtrans.retiming.between import Guide, Mixer, Motion
from vidtrans.retiming.schedule import Moment, Timeline
from vidtrans.video.colour.conversion import premultiplied, straight, to_uint8, with_alpha
from vidtrans.video.frame_format import FrameFormat

KEPT_FRAMES = 6  # Number of the clip's frames, and of motions, that are kept in memory
MAX_REPEATED = 4  # Largest number of equal frames in a row that stand for one drawing; more are a pause
EVEN = 1.25  # Largest ratio of the durations of two frames whose motion is compared for an acceleration
KIND_FRAMES = 5  # Number of frames, spread over a clip, that say whether it consists of drawings
# Certainty of a picture between two frames below which the nearer frame is held, with ``holds_doubt``: of drawings of
# lines, of flat areas, and of other pictures. A broken line is seen at once, and so is a doubled outline.
CERTAIN = {"lines": 0.9, "flats": 0.9, "": 0.5}
T = TypeVar("T")  # Type of a kept item


class Pictures(Protocol):
    """A function from the number of a frame to its picture, (H, W, C) uint8 or uint16."""

    def __call__(self, number: int) -> np.ndarray: ...


class ClipPictures:
    """The frames of a clip as ``Pictures``; ``form``: their format, whose alpha is kept or laid."""

    def __init__(self, clip: Clip, form: FrameFormat, threads: int) -> None:
        self._cursor, self._alpha = clip.cursor(form, threads), form.alpha == "kept"

    def __call__(self, number: int) -> np.ndarray:
        frame = self._cursor(number)
        return premultiplied(with_alpha(frame.rgb, frame.alpha)) if self._alpha else frame.rgb

    def close(self) -> None:
        """Close the clip's file."""
        self._cursor.close()


class CarriedPictures:
    """The pictures of key frames, carried along a guide to the guide's frames between them.

    ``keys``: the guide's frame over which each picture is painted, with the number of the picture. Nothing is carried
    across a cut of the guide. The frames of a shot without a picture show the picture before them, as it is.
    """

    def __init__(self, clip: Clip, guide: Clip, keys: Mapping[int, int], form: FrameFormat, threads: int) -> None:
        guide_form = FrameFormat(Size(exact=(clip.index.width, clip.index.height)))
        self._painted = ClipPictures(clip, form, threads)
        # Two readers, as the guide of the next key lies behind the frames to which the pictures are carried
        self._guides, self._key_guides = (ClipPictures(guide, guide_form, threads) for _ in range(2))
        self._pictures, self._numbers, self._shots = keys, sorted(keys), guide.shots
        self._carrier = Carrier()
        self._keys: OrderedDict[int, GuideFrame] = OrderedDict()

    def guide(self, number: int) -> np.ndarray:
        """Return a frame of the guide, (H, W, 3) uint8."""
        return self._guides(number)

    def __call__(self, number: int) -> np.ndarray:
        if number in self._pictures:
            return self._painted(self._pictures[number])
        n = bisect_right(self._numbers, number)
        around = [key for key in self._numbers[max(0, n - 1) : n + 1] if self._shot(key) == self._shot(number)]
        if not around:
            return self._painted(self._pictures[self._numbers[max(0, n - 1)]])
        shares = [1.0]
        if len(around) == 2:
            share = (number - around[0]) / (around[1] - around[0])
            shares = [1 - share, share]
        keys = [(_kept(self._keys, key, partial(self._key, key)), s) for key, s in zip(around, shares, strict=True)]
        return self._carrier(self._carrier.frame(self._guides(number)), keys)

    def _shot(self, number: int) -> int:
        return bisect_right(self._shots, number)

    def _key(self, number: int) -> GuideFrame:
        return self._carrier.frame(self._key_guides(number), self._painted(self._pictures[number]))

    def close(self) -> None:
        """Close the files."""
        for pictures in (self._painted, self._guides, self._key_guides):
            pictures.close()


class MomentPictures:
    """Makes the pictures of moments of a clip; a picture does not depend on those made before it.

    ``pictures``: of the clip's frames. ``guides``: the frames in which motion is measured, if they are others; of the
    same numbers and size. ``holds_doubt``: whether the nearer frame is shown instead of an uncertain picture.

    Attributes:
        is_made: Whether the last picture was made between two frames.
        is_held: Whether a frame was shown instead of the last picture, because that was uncertain.
    """

    def __init__(
        self, timeline: Timeline, pictures: Pictures, *, guides: Pictures | None = None, holds_doubt: bool = True
    ) -> None:
        self._timeline, self._pictures, self._guide_pictures = timeline, pictures, guides
        self._holds_doubt = holds_doubt
        self._index = {number: n for n, number in enumerate(timeline.numbers)}
        self._mix = Mixer(cores())
        self._frames: OrderedDict[int, np.ndarray] = OrderedDict()
        self._guides: OrderedDict[int, Guide] = OrderedDict()
        self._motions: OrderedDict[int, Motion] = OrderedDict()
        self._own_motions: OrderedDict[int, Motion] = OrderedDict()
        self.is_made = self.is_held = False

    def close(self) -> None:
        """End the threads."""
        self._mix.close()

    def __call__(self, moment: Moment) -> np.ndarray:
        """Return the picture of a moment."""
        self.is_made = self.is_held = False
        if moment.is_frame:
            return self._frame(moment.frame)
        n = self._index[moment.frame]
        share, motion = float(moment.share), self._motion(n)
        before = self._motion(n - 1) if self._follows(n - 1) and self._is_even(n - 1) else None
        after = self._motion(n + 1) if self._follows(n + 1) and self._is_even(n) else None
        first, second = self._frame(moment.frame), self._frame(moment.after)
        picture, certainty = self._mix(first, second, share, motion, before, after)
        self.is_made = True
        if self._holds_doubt and certainty < CERTAIN[self._kind]:
            self.is_held = True
            return first if share < 0.5 else second
        return picture

    def _follows(self, n: int) -> bool:
        """Return whether the distinct frame after the ``n``-th is of the same shot."""
        numbers = self._timeline.numbers
        return 0 <= n < len(numbers) - 1 and numbers[n + 1] not in self._timeline.cuts

    def _is_even(self, n: int) -> bool:
        """Return whether the ``n``-th distinct frame and the next one last about equally long."""
        times = self._timeline.times
        one, other = times[n + 1] - times[n], times[n + 2] - times[n + 1]
        return max(one, other) < EVEN * min(one, other)

    def _frame(self, number: int) -> np.ndarray:
        return _kept(self._frames, number, lambda: self._pictures(number))

    def _guide(self, number: int) -> Guide:
        def make() -> Guide:
            """Return the frame in which motion is measured."""
            return self._mix.guide(self._guide_picture(number), drawn=self._kind == "lines")

        return _kept(self._guides, number, make)

    def _guide_picture(self, number: int) -> np.ndarray:
        """Return the picture in which motion is measured, (H, W, 3); transparent areas are laid on a ground."""
        frame = self._measured(number)
        if frame.shape[2] == 3:
            return frame
        return to_uint8(frame[..., :3] + (np.uint16(65535) - frame[..., 3:]) * np.uint16(self._has_dark_content))

    def _measured(self, number: int) -> np.ndarray:
        """Return the frame in which motion is measured, as it is read."""
        return self._frame(number) if self._guide_pictures is None else self._guide_pictures(number)

    @cached_property
    def _has_dark_content(self) -> bool:
        """Return whether the opaque areas of the clip's first frame are dark, so that they are seen on white."""
        frame = self._measured(self._timeline.numbers[0])
        return float(frame[..., :3].mean()) < 0.5 * float(frame[..., 3].mean())

    @cached_property
    def _kind(self) -> str:
        """Return the kind of drawings that some frames of the clip are, or '' unless all of them are, see ``CERTAIN``.

        An empty page counts as flat areas.
        """
        numbers = self._timeline.numbers
        kinds = []
        for at in spread_numbers(len(numbers), KIND_FRAMES):
            picture = to_uint8(self._guide_picture(numbers[at]))
            kinds.append("lines" if is_drawing(picture, "lines") else "flats" if is_drawing(picture, "flats") else "")
        return "" if "" in kinds else max(sorted(set(kinds)), key=kinds.count)

    def _motion(self, n: int) -> Motion:
        """Return the motion from the ``n``-th distinct frame to the next."""

        def make() -> Motion:
            """Search for far motion once more, from where the motion before leads."""
            found = self._own_motion(n)
            if not found.is_fast or not self._follows(n - 1) or not self._is_even(n - 1):
                return found
            first, second = self._timeline.numbers[n : n + 2]
            return self._mix.motion(self._guide(first), self._guide(second), self._own_motion(n - 1))

        return _kept(self._motions, n, make)

    def _own_motion(self, n: int) -> Motion:
        """Return the motion from the ``n``-th distinct frame to the next, measured in these two alone."""
        first, second = self._timeline.numbers[n : n + 2]
        return _kept(self._own_motions, n, lambda: self._mix.motion(self._guide(first), self._guide(second)))


class FramesBetween:
    """Makes frames between the painted frames ``numbers`` of a clip, along the clip's own motion.

    ``times``: when the frames of the result begin, in seconds from the first one. ``num_made``, ``num_held``: how many
    frames were made so far, and held because they were uncertain.
    """

    def __init__(self, clip: Clip, numbers: range, times: Sequence[Fraction]) -> None:
        self._clip, self._numbers = clip, numbers
        index = clip.index
        # All of them: where the source repeats a frame, what is painted over it may still change
        begins = [(index.pts[n] - index.pts[numbers[0]]) * index.time_base for n in numbers]
        self._timeline = Timeline(tuple(numbers), tuple(begins), frozenset(clip.shots) - {numbers[0]})
        self._moments = [self._timeline.moment(time) for time in times]
        self.num_made = self.num_held = 0

    def __len__(self) -> int:
        """Return the number of frames of the result."""
        return len(self._moments)

    def frames(self, painted: Iterable[np.ndarray], *, deep: bool, threads: int) -> Generator[np.ndarray, None, None]:
        """Yield the frames of the result, with straight alpha if the ``painted`` frames have it.

        ``deep``: all frames are uint16, not uint8. ``threads``: of the decoder; 0 uses all cores.
        """
        numbered = zip(self._numbers, painted, strict=True)

        def picture(number: int) -> np.ndarray:
            """Return a painted frame; the numbers of later calls are higher."""
            found = next(each for n, each in numbered if n == number)
            return found if found.shape[2] == 3 else premultiplied(found)

        self.num_made = self.num_held = 0
        with (
            closing(self._guides(threads)) as guides,
            closing(MomentPictures(self._timeline, picture, guides=guides)) as make,
        ):
            for moment in self._moments:
                yield delivered(make(moment), deep=deep)
                self.num_made += make.is_made
                self.num_held += make.is_held
            for _ in numbered:  # Reads to the end, so that the reader finds a damaged file
                pass

    def _guides(self, threads: int) -> ClipPictures:
        """Return the source frames, in which motion is measured."""
        alpha: Literal["kept", "laid"] = "kept" if self._clip.index.findings.alpha else "laid"
        return ClipPictures(self._clip, FrameFormat(alpha=alpha), threads)

    def trial(self, picture: np.ndarray, num: int, threads: int) -> float:
        """Return how many seconds ``num`` frames between frames take, with ``picture`` for each painted frame."""
        moments = [moment for moment in self._moments if not moment.is_frame][:num]
        began = time.perf_counter()
        with (
            closing(self._guides(threads)) as guides,
            closing(MomentPictures(self._timeline, lambda number: picture, guides=guides)) as make,
        ):
            for moment in moments:
                make(moment)
        return (time.perf_counter() - began) / max(1, len(moments))


def delivered(picture: np.ndarray, *, deep: bool) -> np.ndarray:
    """Return the picture of a moment as it is encoded: alpha is straight; uint16 if ``deep``, else uint8."""
    if picture.shape[2] == 3:
        return picture
    return straight(picture) if deep else to_uint8(straight(picture))


def _kept(kept: OrderedDict[int, T], key: int, make: Callable[[], T]) -> T:
    """Return the item of a key, made now if it is not kept; the oldest items are forgotten."""
    if key not in kept:
        kept[key] = make()
        while len(kept) > KEPT_FRAMES:
            kept.popitem(last=False)
    return kept[key]


def distinct_frames(looks: Sequence[int], frames: range, shots: Sequence[int]) -> list[int]:
    """Return the ``frames`` that differ from the one before, and the first and the last of a longer pause.

    ``looks``: the first near-duplicate of each frame of the clip. ``shots``: the first frames of the shots.
    """
    starts = [n for n in frames if n == frames[0] or not looks or looks[n] == n or n in shots]
    found = []
    for first, stop in pairwise([*starts, frames.stop]):
        found.append(first)
        if stop - first > MAX_REPEATED:  # A pause, not a drawing on twos or threes: it lasts until its last frame
            found.append(stop - 1)
    return found
