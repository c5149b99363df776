"""Detect cuts: find where one shot ends and the next begins.

A cut is a change of picture that motion does not explain, that happens within one frame and that lasts. All
measures are relative to the contrast of the two frames, so that dark and flat footage is judged like any other:

- *Change*: the mean absolute difference of two thumbnails. It is cheap, and enough for most frames.
- *Matched share*: the share of a frame's deviation from its usual colour that is found in another frame along the flow,
  where the forward–backward test passes and the colour is the same. Each frame is first normalised to zero mean and
  unit contrast, so that a change of exposure has no effect. Near 0 at a cut.
- Fades and dissolves take several frames: no single step is as large as the change from well before to well after.
- After a flash the frame before it is found again. Where light changes for good, parts of the picture may turn white,
  but the structure visible in both frames is the same.
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

ANALYSIS_SHORT_SIDE = 128

THUMBNAIL = 4  # pixels of a frame, each way, in one of its thumbnail: averages noise away
REACH = 4  # frames before and after a step that show whether it lasts
# Grey levels, 0 to 255. What quantisation and a codec do to an empty picture stays below it.
NOISE = 1.0
CHANGE_AT_CUT = 0.42  # of the deviation; at most 0.36 where all is noise
SHARE_AT_CUT = 0.2
SHARE_AT_BLEND = 0.1  # from the frame before to the frame after a mixture of both
# In violent motion little is found again either, but in the frames around it as well.
SHARE_OF_NEIGHBOURS = 0.3
SHARE_OF_NOTHING = 0.05  # regardless of the neighbours: unrelated pictures
# One step's part of the whole change. A fade or dissolve that is thinly coded moves in jumps of up to two thirds.
STEP_AT_CUT = 0.8
STEP_AT_BLACK = 0.85
LARGEST_STEP = 2.0  # of the whole change
DARKENED = 0.5  # of the largest contrast around: a frame below it may belong to a fade
LONGEST_FLASH = 3  # frames
SHARE_AFTER_FLASH = 0.3
CHANGE_AFTER_FLASH = 0.5  # of the step into the flash
LARGEST_CHANGE_AFTER_FLASH = 0.9  # of the same step, where something has moved meanwhile
ONE_WAY = 0.95  # of the pixels: a light makes a picture brighter, or darker, everywhere
STRUCTURE_IN_NEW_LIGHT = 0.45  # at most 0.45 at cuts one way, and more for 55 of 56 lamps that are switched
STRUCTURE_SIZE = 9  # pixels, of the squares in which structure is compared
BLEND = (0.15, 0.85)  # the weights at which a frame is a mixture of its neighbours
BLEND_ERROR = 0.25  # of the change between the neighbours
SAME_COLOUR = 0.64  # largest difference of a channel along the flow, in units of the contrast
PLAIN = 4.0  # times the contrast: two frames whose mean colours differ by more are told apart by these alone
LEAST_CONTRAST = 0.25  # of the other frame's: below it a frame is not stretched to the same contrast
GREYS = 40.0  # grey levels of one unit of contrast in what the flow method sees


class _Frame:
    """A frame, or its part within bars.

    ``thumbnail``: (h, w, 3) float32, grey levels. ``contrast``: standard deviation of the luma. ``deviation``: mean
    absolute deviation from the ``mean`` colour, (3,); like a change it grows with the number of deviating pixels, and
    unlike a thumbnail's change also with noise.
    """

    def __init__(self, rgb: np.ndarray) -> None:
        height, width = rgb.shape[:2]
        self.rgb, size = rgb, (max(1, width // THUMBNAIL), max(1, height // THUMBNAIL))
        self.thumbnail = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        self.contrast = float(grey(rgb).std())
        self.mean: np.ndarray = (np.array(cv2.sumElems(rgb)[:3]) / (height * width)).astype(np.float32)
        rows = rgb.reshape(height, -1) - np.tile(self.mean, width)  # NumPy is slow with axes of three values
        self.deviation = float(np.abs(rows, out=rows).mean())

    @cached_property
    def extents(self) -> Extents:
        return extents(self.thumbnail)

    def crop(self, part: Part) -> _Frame:
        return self if part == WHOLE else _Frame(self.rgb[part])


class _Match(NamedTuple):
    """The similarity of a frame and another one warped along the flow.

    ``share``: the matched share, 0 to 1, of the deviation from the usual colour. ``structure``: the correlation, −1 to
    1, of the luma minus its mean in small squares.
    """

    share: float
    structure: float


class CutDetector:
    """A cut detector: add the frames of a clip in order, (H, W, 3) uint8, then call ``shots``.

    Short sides near ``ANALYSIS_SHORT_SIDE`` are best. A change of the frame size (pictures in a folder) starts a shot.
    At most 2 · ``REACH`` + 4 frames are in memory.
    """

    def __init__(self) -> None:
        self._flow = DISFast()
        self._full: dict[int, _Frame] = {}
        self._frames: dict[int, _Frame] = {}  # their parts within the bars
        self._part = WHOLE
        self._matches: dict[tuple[int, int], _Match] = {}
        self._count = 0
        self._decided = 0  # all frames before this one are decided
        self._first = 0  # of the frames of this size
        self._shots: list[int] = []

    def add(self, rgb: np.ndarray) -> None:
        """Add the next frame."""
        last = self._full.get(self._count - 1)
        if last is None or last.rgb.shape != rgb.shape:
            self._start_shot()
        self._full[self._count] = frame = _Frame(rgb)
        self._frames[self._count] = frame.crop(self._part)
        self._count += 1
        if self._decided + REACH + 2 <= self._count:
            self._decide()

    def shots(self) -> tuple[int, ...]:
        """Return the first frame of each shot. No frames may be added afterwards."""
        self._decide_all()
        return tuple(self._shots)

    def _start_shot(self) -> None:
        """Start a shot and forget all frames, because the next ones have another size."""
        self._decide_all()
        self._forget(self._count)
        self._part = WHOLE
        self._shots.append(self._count)
        self._first = self._count
        self._decided = self._count + 1

    def _decide_all(self) -> None:
        while self._decided < self._count:
            self._decide()

    def _decide(self) -> None:
        """Decide on the next undecided frame, and drop frames that are no longer needed."""
        number = self._decided
        self._decided += 1
        self._crop_bars()
        if self._is_step(number - 1, number, SHARE_AT_CUT):
            flash = self._flash(number - 1, number)
            if flash:
                self._decided = number + flash + 1
            elif self._lasts(number - 1, number) and not self._is_light(number - 1, number):
                self._shots.append(number)
        elif (weight := self._blend(number)) is not None and self._is_step(number - 1, number + 1, SHARE_AT_BLEND):
            self._shots.append(number if weight >= 0.5 else number + 1)
            self._decided = number + 2
        self._forget(self._decided - REACH - 2)

    def _forget(self, oldest: int) -> None:
        self._full = {n: frame for n, frame in self._full.items() if n >= oldest}
        self._frames = {n: frame for n, frame in self._frames.items() if n >= oldest}
        self._matches = {pair: match for pair, match in self._matches.items() if pair[0] >= oldest}

    def _crop_bars(self) -> None:
        """Crop the frames in memory to the part within bars, if this part has changed."""
        height, width = self._full[self._count - 1].rgb.shape[:2]
        part = part_within_bars([frame.extents for frame in self._full.values()], height, width)
        if part != self._part:
            self._part = part
            self._frames = {n: frame.crop(part) for n, frame in self._full.items()}
            self._matches.clear()

    def _is_step(self, first: int, second: int, largest_share: float) -> bool:
        """Return whether the picture changes mostly in this step, with a matched share below ``largest_share``."""
        if second >= self._count:
            return False
        a, b = self._frames[first], self._frames[second]
        change = _change(a, b)
        if change < max(NOISE, CHANGE_AT_CUT * max(a.deviation, b.deviation)):
            return False  # most frames: no flow is needed to see that nothing jumped
        around = self._around(first, second, REACH)
        darkened = min(a.contrast, b.contrast) < DARKENED * max(frame.contrast for frame in around)
        if change < (STEP_AT_BLACK if darkened else STEP_AT_CUT) * _change(around[0], around[-1]):
            return False
        share = self._share(first, second)
        neighbours = [(first - 2, first - 1), (first - 1, first), (second, second + 1), (second + 1, second + 2)]
        usual = float(np.median([self._share(*pair) for pair in neighbours]))
        return share < largest_share and share <= max(SHARE_OF_NOTHING, SHARE_OF_NEIGHBOURS * usual)

    def _lasts(self, first: int, second: int) -> bool:
        """Return False for a step within a flash: between frames well before and well after it, little has changed."""
        a, b, around = self._frames[first], self._frames[second], self._around(first, second, LONGEST_FLASH)
        return _change(a, b) <= LARGEST_STEP * _change(around[0], around[-1]) or _share_one_way(a, b) <= ONE_WAY

    def _is_light(self, first: int, second: int) -> bool:
        """Return whether the step is only a change of light: all pixels change in one direction, and structure stays.

        A black frame has no structure, only noise, which flow can match to anything.
        """
        a, b = self._frames[first], self._frames[second]
        low, high = sorted((a.contrast, b.contrast))
        is_one_way = low >= LEAST_CONTRAST * high and _share_one_way(a, b) > ONE_WAY
        return is_one_way and self._match(first, second).structure > STRUCTURE_IN_NEW_LIGHT

    def _around(self, first: int, second: int, reach: int) -> list[_Frame]:
        """Return the frames of this shot before and after a step, up to ``reach`` on each side."""
        start, stop = max(self._shots[-1], first - reach), min(self._count, second + reach + 1)
        return [self._frames[number] for number in range(start, stop)]

    def _flash(self, before: int, first: int) -> int:
        """Return the length of a flash from frame ``first`` on, after which frame ``before`` reappears; 0: no flash."""
        a, b = self._frames[before], self._frames[first]
        low = CHANGE_AFTER_FLASH * _change(a, b) if _share_one_way(a, b) > ONE_WAY else 0.0
        for length in range(1, min(LONGEST_FLASH + 1, self._count - first)):
            change = _change(a, self._frames[first + length])
            if change >= LARGEST_CHANGE_AFTER_FLASH * _change(a, b):
                continue  # the change did not revert: titles on the same background have much in common
            if change < low or self._share(before, first + length) > SHARE_AFTER_FLASH:
                return length
        return 0

    def _blend(self, number: int) -> float | None:
        """Return the weight of the next frame in a frame that mixes its two neighbours; None for other frames.

        Conversions of the frame rate leave such frames at cuts. The weight is fitted by least squares.
        """
        if number + 1 >= self._count:
            return None
        before, between, after = [self._frames[number + d].thumbnail for d in (-1, 0, 1)]
        difference = after - before
        change = float(np.abs(difference).mean())
        if change < NOISE:
            return None  # most frames: nothing jumps around them
        weight = float(((between - before) * difference).sum() / (difference**2).sum())
        error = float(np.abs(between - before - weight * difference).mean())
        low, high = BLEND
        return weight if low < weight < high and error <= BLEND_ERROR * change else None

    def _share(self, first: int, second: int) -> float:
        """Return the matched share of one frame in another; 1 if a frame is outside of the clip."""
        return self._match(first, second).share if self._first <= first and second < self._count else 1.0

    def _match(self, first: int, second: int) -> _Match:
        if (first, second) not in self._matches:
            self._matches[first, second] = _match_frames(self._flow, self._frames[first], self._frames[second])
        return self._matches[first, second]


def _change(a: _Frame, b: _Frame) -> float:
    """Return the mean absolute difference of two thumbnails, in grey levels (0 to 255)."""
    return float(np.abs(a.thumbnail - b.thumbnail).mean())


def _share_one_way(a: _Frame, b: _Frame) -> float:
    """Return the share, 0.5 to 1, of changing pixels that change in the more common direction (brighter or darker)."""
    difference = b.thumbnail.mean(-1) - a.thumbnail.mean(-1)
    brighter, darker = int((difference > 0).sum()), int((difference < 0).sum())
    return max(brighter, darker) / (brighter + darker) if brighter + darker else 0.5


def _match_frames(method: DISFast, a: _Frame, b: _Frame) -> _Match:
    """Return the similarity of ``a`` and ``b`` warped along the flow.

    In the share, pixels are weighted by their distance from their frame's usual colour, the median, because any flow is
    consistent with a plain background.
    """
    largest = max(NOISE, a.contrast, b.contrast)
    if np.abs(a.mean - b.mean).max() > PLAIN * largest:
        return _Match(0.0, 0.0)
    contrast = max(NOISE, LEAST_CONTRAST * largest)
    first, second = _normalised(a, contrast), _normalised(b, contrast)
    grey_first, grey_second = [np.clip(n.mean(-1) * GREYS + 128, 0, 255).astype(np.uint8) for n in (first, second)]
    flow = method(grey_first, grey_second)
    reliable = forward_backward(flow, method(grey_second, grey_first))
    deviation, usual = np.abs(first - np.median(first, (0, 1))).max(-1), np.median(second, (0, 1))
    second = warp(second, flow)
    found = reliable & (cv2.absdiff(first, second).max(-1) < SAME_COLOUR)
    weight = deviation + np.abs(second - usual).max(-1) + np.float32(0.02)
    return _Match(float((found * weight).sum() / weight.sum()), _structure(first.mean(-1), second.mean(-1)))


def _structure(first: np.ndarray, second: np.ndarray) -> float:
    """Return the correlation, −1 to 1, of two pictures (H, W) float32 minus their means in small squares.

    It is low where only one has structure, as with a title on a plain background.
    """
    mean = partial(cv2.blur, ksize=(STRUCTURE_SIZE, STRUCTURE_SIZE))
    means = mean(first), mean(second)
    covariance = mean(first * second) - means[0] * means[1]
    variances = [np.maximum(mean(p * p) - m * m, 0).sum() for p, m in zip((first, second), means, strict=True)]
    return float(covariance.sum()) / max(float(np.sqrt(variances[0] * variances[1])), 1e-6)


def _normalised(frame: _Frame, least_contrast: float) -> np.ndarray:
    """Return the frame, (H, W, 3) float32, with zero mean in each channel and a contrast of 1, or less if flat."""
    rgb = frame.rgb.astype(np.float32)
    return (rgb - rgb.mean((0, 1))) / np.float32(max(frame.contrast, least_contrast))
