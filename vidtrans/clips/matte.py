"""A mask that says where the look is: a video, a picture, or a folder of pictures, in step with the clip."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator
from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np

from vidtrans.video.io.clip import ClipIndex, Frame, FrameCursor


def match_frames(
    clip: ClipIndex, mask: ClipIndex, first: int, stop: int, name: str = "the clip"
) -> tuple[list[int], str]:
    """Which frame of the mask goes with each of the frames [first, stop) of a clip, and what had to be reconciled.

    One picture is held. Equal numbers of frames go together, counted over the whole clip or over the part that is
    rendered. Else a video's frames go by time, and pictures by their number; where the mask ends its last frame is
    held. The second value calls the clip by ``name``; it is empty where nothing had to be done.
    """
    total, count = mask.num_frames, stop - first
    if total == 1:
        return [0] * count, ""
    if total == clip.num_frames:
        return list(range(first, stop)), ""
    if total == count:
        return list(range(count)), ""
    by_time = not mask.names
    if by_time:
        begin = mask.pts[0] * mask.time_base
        times = [p * mask.time_base - begin for p in mask.pts]
        # Containers round times, to a millisecond at worst: a frame that is due within a blink is there.
        blink = min((b - a for a, b in pairwise(times)), default=Fraction(0)) / 4
        steps = [bisect_right(times, _time(clip, i) + blink) - 1 for i in range(first, stop)]
        ends = times[-1] + mask.last_duration * mask.time_base
        held = next((i for i in range(first, stop) if _time(clip, i) + blink >= ends), None)
    else:
        steps = [min(i, total - 1) for i in range(first, stop)]
        held = max(first, total) if total < stop else None
    told = f"it has {total} frames, {name} {clip.num_frames}: matched by {'time' if by_time else 'number'}"
    return steps, told + (f", its last frame is held from frame {held} on" if held is not None else "")


def _time(clip: ClipIndex, frame: int) -> Fraction:
    return (clip.pts[frame] - clip.pts[0]) * clip.time_base


def same_shape(clip: ClipIndex, mask: ClipIndex, tolerance: float = 0.02) -> bool:
    """Whether the mask's sides have the clip's proportion, so that scaling it stretches nothing."""
    proportion = (mask.width * clip.height) / (mask.height * clip.width)
    return abs(proportion - 1) <= tolerance


class MatteReader:
    """The matte of each frame, asked for in order: (H, W) uint8, white where the look is.

    ``read`` opens the mask's frames from a given one on; ``steps[i]`` is the mask's frame for frame ``first + i``.
    """

    def __init__(
        self, steps: list[int], first: int, read: Callable[[int], Generator[Frame, None, None]], feather: float = 0.0
    ) -> None:
        self.steps, self.first, self.feather = steps, first, feather
        self._follow = FrameCursor(read)
        self._of: Frame | None = None
        self._held = np.empty((0, 0), np.uint8)

    def __call__(self, frame: int) -> np.ndarray:
        mask = self._follow(self.steps[frame - self.first])
        if mask is not self._of:  # a frame that is held is softened once
            self._of, self._held = mask, self._soft(mask.rgb)
        return self._held

    def close(self) -> None:
        self._follow.close()

    def _soft(self, rgb: np.ndarray) -> np.ndarray:
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        if self.feather > 0:
            grey = cv2.GaussianBlur(grey, (0, 0), self.feather, borderType=cv2.BORDER_REPLICATE)
        return grey
