"""Detect cuts: find the frames at which one shot ends and the next begins.

A cut is a permanent change of picture within one frame that motion does not explain. All measures are relative to the
contrast of the two frames, so that dark and flat footage is judged like any other:

- *Change*: the mean absolute difference of two thumbnails. It is cheap, and enough for most frames.
- *Matched share*: the share of a frame's deviation from its usual colour that is found in another frame along the flow,
  where the forward–backward test passes and the colour is the same. Each frame is first normalised to zero mean and
  unit contrast, so that a change of exposure has no effect. Near 0 at a cut.
- Fades and dissolves take several frames: no single step is as large as the change from well before to well after.
- After a flash the frame before it reappears. Where light changes permanently, parts of the picture may turn white, but
  the structure that is visible in both frames is the same.
- Black bars, and other constant flat borders, are left out: they would dilute the change. In plain frames
  (titles, a single colour) deviation and change come only from the few pixels that differ.

The constants were chosen on joined shots of seven clips and scored on others: ``benchmarks/cuts``.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import NamedTuple

import cv2
import numpy as np

from vidtrans.flow.bars import WHOLE, Extents, Part, extents, part_within_bars
from vidtrans.flow.estimator import DISFast, grey
from vidtrans.flow.warping import forward_backward, warp

ANALYSIS_SHORT_SIDE = 128  # Short side of the analysed frames, in pixels

THUMBNAIL_FACTOR = 4  # Factor by which a thumbnail is smaller than the analysed frame, to average noise
REACH = 4  # Number of frames before and after a step (two consecutive frames) that show whether its change lasts
NOISE = 1.0  # Change, in 8-bit levels, above that of quantisation and codecs on an empty picture
CHANGE_AT_CUT = 0.42  # Minimum change at a cut, in standard deviations of a frame; pure noise reaches 0.36
SHARE_AT_CUT = 0.2  # Largest share of pixels at a cut that match the next frame along the flow
SHARE_AT_BLEND = 0.1  # Largest matched share between the frames before and after a frame that blends both
# Largest matched share at a cut, relative to the neighbouring steps: fast motion lowers the share of all steps
SHARE_OF_NEIGHBOURS = 0.3
SHARE_OF_UNRELATED = 0.05  # Matched share up to which pictures are unrelated, whatever the shares of neighbouring steps
STEP_AT_CUT = 0.8  # Minimum share of the change over ``REACH`` frames that occurs at a cut; a coarse fade reaches ⅔
STEP_AT_BLACK = 0.85  # Minimum share of the total change for a cut next to frames that may belong to a fade
MAX_STEP = 2.0  # Largest ratio of the change at a cut to that between frames some frames before and after
DARKENED = 0.5  # Contrast, relative to the largest in neighbouring frames, below which a frame may belong to a fade
MAX_FLASH_FRAMES = 3  # Longest flash of light that is recognised, in frames
SHARE_AFTER_FLASH = 0.3  # Minimum matched share between the frames before and after a flash
CHANGE_AFTER_FLASH = 0.5  # Change across a flash, relative to the change at its first frame, below which it is a flash
MAX_CHANGE_AFTER_FLASH = 0.9  # Largest change across a flash, relative to the change at its first frame
ONE_WAY = 0.95  # Minimum share of pixels that a change of light makes all brighter or all darker
LIGHT_STRUCTURE = 0.45  # Structure correlation above which a change of all pixels in one direction is no cut
STRUCTURE_SIZE_PX = 9  # Side of the squares whose mean is subtracted before structure is compared, in pixels
BLEND_WEIGHTS = (0.15, 0.85)  # Range of the next frame's weight in a frame that blends its two neighbours
BLEND_ERROR = 0.25  # Largest error of modelling a frame as a blend, relative to the change between its neighbours
SAME_COLOUR = 0.64  # Largest channel difference of matching pixels, in units of the frame's contrast
DIFFERENT_MEAN = 4.0  # Difference of mean colours, in units of contrast, above which frames do not match
MIN_CONTRAST = 0.25  # Contrast, relative to a matched frame's, below which a flat frame's contrast stays below 1
LEVELS_PER_CONTRAST = 40.0  # Grey levels per unit of contrast in the normalised input of the flow method


class _Frame:
    """An analysed frame, or its part inside the bars.

    ``thumbnail``: (h, w, 3) float32, grey levels. ``contrast``: standard deviation of the luma. ``deviation``: mean
    absolute deviation from the ``mean`` colour, (3,); like the change of thumbnails it grows with the number of
    deviating pixels, but it includes noise.
    """

    def __init__(self, rgb: np.ndarray) -> None:
        height, width = rgb.shape[:2]
        self.rgb, size = rgb, (max(1, width // THUMBNAIL_FACTOR), max(1, height // THUMBNAIL_FACTOR))
        self.thumbnail = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        self.contrast = float(grey(rgb).std())
        self.mean: np.ndarray = (np.array(cv2.sumElems(rgb)[:3]) / (height * width)).astype(np.float32)
        rows = rgb.reshape(height, -1) - np.tile(self.mean, width)  # NumPy is slow along an axis of three values
        self.deviation = float(np.abs(rows, out=rows).mean())

    @cached_property
    def extents(self) -> Extents:
        """Return the minimum and maximum colours of the thumbnail's rows and columns."""
        return extents(self.thumbnail)

    def crop(self, part: Part) -> _Frame:
        """Return the frame cropped to (rows, columns)."""
        return self if part == WHOLE else _Frame(self.rgb[part])


class _Match(NamedTuple):
    """The similarity of a frame and another frame warped to it along the flow.

    ``share``: the matched share, 0 to 1, of the deviation from the usual colour. ``structure``: the correlation, −1 to
    1, of the luma minus its local mean.
    """

    share: float
    structure: float


class CutDetector:
    """Detects cuts: add the frames of a clip in order, (H, W, 3) uint8, then call ``shots``.

    Short sides near ``ANALYSIS_SHORT_SIDE`` are best. A change of the frame size (pictures in a folder) starts a shot.
    At most 2 · ``REACH`` + 4 frames are in memory.
    """

    def __init__(self) -> None:
        self._flow = DISFast()
        self._full: dict[int, _Frame] = {}
        self._frames: dict[int, _Frame] = {}  # Frames in memory by number, cropped to the part inside the bars
        self._part = WHOLE
        self._matches: dict[tuple[int, int], _Match] = {}
        self._count = 0
        self._decided = 0  # All frames before this one are decided
        self._first = 0  # First frame of the current size
        self._shots: list[int] = []

    def add(self, rgb: np.ndarray) -> None:
        """Add the next frame, and decide whether a shot begins at the frame that now has enough successors."""
        last = self._full.get(self._count - 1)
        if last is None or last.rgb.shape != rgb.shape:
            self._start_shot()
        self._full[self._count] = frame = _Frame(rgb)
        self._frames[self._count] = frame.crop(self._part)
        self._count += 1
        if self._decided + REACH + 2 <= self._count:
            self._decide()

    def shots(self) -> tuple[int, ...]:
        """Return the number of the first frame of each shot. No frames may be added afterwards."""
        self._decide_all()
        return tuple(self._shots)

    def _start_shot(self) -> None:
        """Start a shot and drop all earlier frames, because the following frames have another size."""
        self._decide_all()
        self._drop_frames(self._count)
        self._part = WHOLE
        self._shots.append(self._count)
        self._first = self._count
        self._decided = self._count + 1

    def _decide_all(self) -> None:
        """Decide for all remaining frames whether a shot begins there."""
        while self._decided < self._count:
            self._decide()

    def _decide(self) -> None:
        """Decide whether a shot begins at the next undecided frame; drop frames that are no longer needed."""
        number = self._decided
        self._decided += 1
        self._crop_bars()
        if self._is_step(number - 1, number, SHARE_AT_CUT):
            flash = self._flash_length(number - 1, number)
            if flash:
                self._decided = number + flash + 1
            elif self._is_permanent(number - 1, number) and not self._is_light(number - 1, number):
                self._shots.append(number)
        elif (weight := self._blend_weight(number)) is not None and self._is_step(
            number - 1, number + 1, SHARE_AT_BLEND
        ):
            self._shots.append(number if weight >= 0.5 else number + 1)
            self._decided = number + 2
        self._drop_frames(self._decided - REACH - 2)

    def _drop_frames(self, oldest: int) -> None:
        """Drop the frames before frame ``oldest``, and the matches of such frames."""
        self._full = {n: frame for n, frame in self._full.items() if n >= oldest}
        self._frames = {n: frame for n, frame in self._frames.items() if n >= oldest}
        self._matches = {pair: match for pair, match in self._matches.items() if pair[0] >= oldest}

    def _crop_bars(self) -> None:
        """Crop the frames in memory to the part inside the bars, if this part has changed."""
        height, width = self._full[self._count - 1].rgb.shape[:2]
        part = part_within_bars([frame.extents for frame in self._full.values()], height, width)
        if part != self._part:
            self._part = part
            self._frames = {n: frame.crop(part) for n, frame in self._full.items()}
            self._matches.clear()

    def _is_step(self, first: int, second: int, largest_share: float) -> bool:
        """Return whether a cut is likely in the step from frame ``first`` to frame ``second``.

        Most of the change around it must occur in this step, and the share of pixels that match along the flow must be
        below ``largest_share``.
        """
        if second >= self._count:
            return False
        a, b = self._frames[first], self._frames[second]
        change = _change(a, b)
        if change < max(NOISE, CHANGE_AT_CUT * max(a.deviation, b.deviation)):
            return False  # This holds for most frames, so that flow is rarely computed
        around = self._frames_around(first, second, REACH)
        darkened = min(a.contrast, b.contrast) < DARKENED * max(frame.contrast for frame in around)
        if change < (STEP_AT_BLACK if darkened else STEP_AT_CUT) * _change(around[0], around[-1]):
            return False
        share = self._share(first, second)
        neighbours = [(first - 2, first - 1), (first - 1, first), (second, second + 1), (second + 1, second + 2)]
        usual = float(np.median([self._share(*pair) for pair in neighbours]))
        return share < largest_share and share <= max(SHARE_OF_UNRELATED, SHARE_OF_NEIGHBOURS * usual)

    def _is_permanent(self, first: int, second: int) -> bool:
        """Return whether the change from frame ``first`` to ``second`` persists; after a flash the picture reverts."""
        a, b, around = self._frames[first], self._frames[second], self._frames_around(first, second, MAX_FLASH_FRAMES)
        return _change(a, b) <= MAX_STEP * _change(around[0], around[-1]) or _share_one_way(a, b) <= ONE_WAY

    def _is_light(self, first: int, second: int) -> bool:
        """Return whether only the light changes between two frames: all pixels get brighter or darker; structure stays.

        A black frame has no structure, only noise, which flow can match to anything.
        """
        a, b = self._frames[first], self._frames[second]
        low, high = sorted((a.contrast, b.contrast))
        is_one_way = low >= MIN_CONTRAST * high and _share_one_way(a, b) > ONE_WAY
        return is_one_way and self._match(first, second).structure > LIGHT_STRUCTURE

    def _frames_around(self, first: int, second: int, reach: int) -> list[_Frame]:
        """Return the frames of the current shot before and after a step, up to ``reach`` on each side."""
        start, stop = max(self._shots[-1], first - reach), min(self._count, second + reach + 1)
        return [self._frames[number] for number in range(start, stop)]

    def _flash_length(self, before: int, first: int) -> int:
        """Return the number of frames of a flash that begins at frame ``first``; 0 if there is no flash.

        Frame ``before`` reappears after a flash.
        """
        a, b = self._frames[before], self._frames[first]
        low = CHANGE_AFTER_FLASH * _change(a, b) if _share_one_way(a, b) > ONE_WAY else 0.0
        for length in range(1, min(MAX_FLASH_FRAMES + 1, self._count - first)):
            change = _change(a, self._frames[first + length])
            if change >= MAX_CHANGE_AFTER_FLASH * _change(a, b):
                continue  # Not reverted: titles on one background also match
            if change < low or self._share(before, first + length) > SHARE_AFTER_FLASH:
                return length
        return 0

    def _blend_weight(self, number: int) -> float | None:
        """Return the weight of the next frame in a frame that blends its two neighbours; None for a normal frame.

        Frame rate conversions leave such frames at cuts. The weight is fitted by least squares.
        """
        if number + 1 >= self._count:
            return None
        before, between, after = [self._frames[number + d].thumbnail for d in (-1, 0, 1)]
        difference = after - before
        change = float(np.abs(difference).mean())
        if change < NOISE:
            return None
        weight = float(((between - before) * difference).sum() / (difference**2).sum())
        error = float(np.abs(between - before - weight * difference).mean())
        low, high = BLEND_WEIGHTS
        return weight if low < weight < high and error <= BLEND_ERROR * change else None

    def _share(self, first: int, second: int) -> float:
        """Return the share of one frame's pixels that match another frame; 1 if a frame is outside of the clip."""
        return self._match(first, second).share if self._first <= first and second < self._count else 1.0

    def _match(self, first: int, second: int) -> _Match:
        """Return the similarity of two frames, which is computed once."""
        if (first, second) not in self._matches:
            self._matches[first, second] = _match_frames(self._flow, self._frames[first], self._frames[second])
        return self._matches[first, second]


def _change(a: _Frame, b: _Frame) -> float:
    """Return the mean absolute difference of two frames' thumbnails, in 8-bit levels."""
    return float(np.abs(a.thumbnail - b.thumbnail).mean())


def _share_one_way(a: _Frame, b: _Frame) -> float:
    """Return the share of changing pixels, 0.5 to 1, that change in the more frequent direction, brighter or darker."""
    difference = b.thumbnail.mean(-1) - a.thumbnail.mean(-1)
    brighter, darker = int((difference > 0).sum()), int((difference < 0).sum())
    return max(brighter, darker) / (brighter + darker) if brighter + darker else 0.5


def _match_frames(method: DISFast, a: _Frame, b: _Frame) -> _Match:
    """Return the similarity of frame ``a`` and frame ``b`` warped to it along the flow.

    In the share, pixels are weighted by their distance from their frame's usual colour, the median, because any flow is
    consistent with a plain background.
    """
    largest = max(NOISE, a.contrast, b.contrast)
    if np.abs(a.mean - b.mean).max() > DIFFERENT_MEAN * largest:
        return _Match(0.0, 0.0)
    contrast = max(NOISE, MIN_CONTRAST * largest)
    first, second = _standardise(a, contrast), _standardise(b, contrast)
    grey_first, grey_second = [
        np.clip(n.mean(-1) * LEVELS_PER_CONTRAST + 128, 0, 255).astype(np.uint8) for n in (first, second)
    ]
    flow = method(grey_first, grey_second)
    reliable = forward_backward(flow, method(grey_second, grey_first))
    deviation, usual = np.abs(first - np.median(first, (0, 1))).max(-1), np.median(second, (0, 1))
    second = warp(second, flow)
    found = reliable & (cv2.absdiff(first, second).max(-1) < SAME_COLOUR)
    weight = deviation + np.abs(second - usual).max(-1) + np.float32(0.02)
    return _Match(float((found * weight).sum() / weight.sum()), _structure(first.mean(-1), second.mean(-1)))


def _structure(first: np.ndarray, second: np.ndarray) -> float:
    """Return the correlation, −1 to 1, of two pictures (H, W) float32 after subtraction of their local means.

    It is low where only one has structure, as with a title on a plain background.
    """
    mean = partial(cv2.blur, ksize=(STRUCTURE_SIZE_PX, STRUCTURE_SIZE_PX))
    means = mean(first), mean(second)
    covariance = mean(first * second) - means[0] * means[1]
    variances = [np.maximum(mean(p * p) - m * m, 0).sum() for p, m in zip((first, second), means, strict=True)]
    return float(covariance.sum()) / max(float(np.sqrt(variances[0] * variances[1])), 1e-6)


def _standardise(frame: _Frame, least_contrast: float) -> np.ndarray:
    """Return a frame, (H, W, 3) float32, with channel means of 0 and a contrast of 1.

    A frame whose contrast is below ``least_contrast`` is divided by ``least_contrast``, and so stays below 1.
    """
    rgb = frame.rgb.astype(np.float32)
    return (rgb - rgb.mean((0, 1))) / np.float32(max(frame.contrast, least_contrast))
