"""Paths of pixels through several frames, the trust in them, and values computed once per sample."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import cv2
import numpy as np

from vidtrans.flow.estimator import FlowEstimator, grey
from vidtrans.flow.scaling import grid_factor, grid_size, grow, shrink
from vidtrans.flow.warping import BORDER, PICTURE, agreement, grid_axes, invert, resize_flow, to_16bit
from vidtrans.temporal.settings import DeflickerSettings
from vidtrans.temporal.stream import Sample, Window
from vidtrans.video.colour.conversion import to_uint16


@dataclass(frozen=True)
class FlowPath:
    """The motion from one frame to another, on the grid: flow (``u``, ``v``) in grid pixels, and its reliability.

    All are (h, w) float32; ``reliable`` is 0 to 1.
    """

    u: np.ndarray
    v: np.ndarray
    reliable: np.ndarray

    def sample(self, picture: np.ndarray) -> np.ndarray:
        """Sample a picture of the grid, (h, w) or (h, w, 4), float32 or uint16, at the path's target positions."""
        x, y = grid_axes(*self.u.shape)
        return cv2.remap(picture, x + self.u, y + self.v, cv2.INTER_LINEAR, borderMode=BORDER)

    def join(self, second: FlowPath) -> FlowPath:
        """Return this path continued by ``second``, which starts at the frame where this one ends."""
        packed = cv2.merge([second.u, second.v, second.reliable, second.reliable])  # sampled as quickly as one channel
        u, v, reliable, _ = cv2.split(self.sample(packed))
        return FlowPath(u + self.u, v + self.v, reliable * self.reliable)

    def evenness(self) -> np.ndarray:
        """Return a weight that falls at motion boundaries: (h, w) float32, 1 / (1 + (|∇f|² / ``UNEVEN``)²).

        A dense flow changes gradually across such a boundary (Ruder et al., "Artistic style transfer for videos", GCPR
        2016), and leads from one side of it to the other. The forward–backward test and the colours often miss that.
        """
        total = np.zeros_like(self.u)
        for along in ((1, 0), (0, 1)):
            for part in (self.u, self.v):
                slope = cv2.Sobel(part, cv2.CV_32F, *along, ksize=1, scale=0.5 / UNEVEN**0.5, borderType=BORDER)
                total += slope * slope
        return 1 / (1 + total * total)

    def in_pixels(self, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the flow on the grid, in pixels of a picture of a full size: (h, w) each."""
        rows, columns = self.u.shape
        return self.u * np.float32(width / columns), self.v * np.float32(height / rows)

    def full_size(self, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the flow at full size, in full-size pixels: (height, width) each."""
        u, v = self.in_pixels(width, height)
        return grow(u, (width, height)), grow(v, (width, height))

    def from_cells(self, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the full-size target positions x and y, (h, w) each, of the first pixel of each grid cell."""
        (rows, columns), factor = self.u.shape, np.float32(grid_factor(height, width))
        x, y = grid_axes(rows, columns)
        # The last cells may be narrower than the factor.
        return x * factor + self.u * np.float32(width / columns), y * factor + self.v * np.float32(height / rows)


# Squared error of a path there and back at which its reliability is ½: in pixels of the frame for two estimates, which
# disagree by some pixels where both serve; in grid pixels for an estimate and its inverse, which do not.
SLACK, SLACK_OF_INVERSE = 8.0, 0.1
UNEVEN = 0.5  # |∇f|² at which a path has half of its trust; a zoom by a tenth has 0.02
MARGIN = 0.55  # grid pixels beyond the outer centres, not half a pixel: motion by whole pixels is often exactly that

T = TypeVar("T")


def _path_of(flow: np.ndarray, back: np.ndarray, slack: float) -> FlowPath:
    u, v = cv2.split(flow)
    return FlowPath(u, v, agreement(flow, back, slack, MARGIN))


def slack_between(size: tuple[int, int], *, inverts: bool) -> float:
    """Return the squared error, in grid pixels, at which a path is half reliable, for pictures of (height, width)."""
    return SLACK_OF_INVERSE if inverts else SLACK / grid_factor(*size) ** 2


def compute_once(sample: Sample, key: Hashable, compute: Callable[[], T]) -> T:
    """Return the stored value of a sample for ``key``; the first call computes it with ``compute``."""
    if key not in sample.derived:
        sample.derived[key] = compute()
    value: T = sample.derived[key]
    return value


class FlowTracker:
    """Flow between the frames of a window, on the grid, and the trust in it.

    ``inverts``: estimate the flow between two neighbours in one direction only, and invert it for the other. That takes
    half the time, and leaves less flicker than two estimates, which disagree where both would serve. A filter of only
    two frames has to rely on their disagreement: colours alone let it mix in what does not match.
    """

    def __init__(self, settings: DeflickerSettings, device: str, *, inverts: bool) -> None:
        self._inverts = inverts
        self._estimator = FlowEstimator(settings.flow, settings.flow_size or None, device)
        self._tolerance = settings.colour_sigma
        self._worker = ThreadPoolExecutor(1, "flow")  # parallel to the filter: OpenCV releases the GIL

    def expect(self, before: Sample, after: Sample) -> None:
        """Start to estimate the flow between two neighbours in the background."""
        if "pair" not in before.derived:
            before.derived["pair"] = self._worker.submit(self._estimate, before, after)

    def neighbours(self, window: Window, at: int, steps: Iterable[int]) -> Iterator[tuple[int, FlowPath, np.ndarray]]:
        """Yield (position, path there, trust) for each step from frame ``at`` that stays in the window.

        Steps are powers of 2, positive or negative. The trust, (h, w) float32 from 0 to 1 on the grid, is the
        confidence that the frame there shows the same content at each place.
        """
        for step in steps:
            if 0 <= at + step < len(window.samples):
                path = self._path(window, at, step)
                yield at + step, path, self._trust(window, at, step, path)

    def _path(self, window: Window, at: int, step: int) -> FlowPath:
        if abs(step) == 1:
            before, after = window.samples[min(at, at + step)], window.samples[max(at, at + step)]
            self.expect(before, after)
            pair: Future[tuple[FlowPath, FlowPath]] = before.derived["pair"]
            return pair.result()[0 if step > 0 else 1]

        def join() -> FlowPath:
            return self._path(window, at, step // 2).join(self._path(window, at + step // 2, step // 2))

        return compute_once(window.samples[at], ("path", step), join)

    def _trust(self, window: Window, at: int, step: int, path: FlowPath) -> np.ndarray:
        here, there = window.samples[at], window.samples[at + step]
        return compute_once(here, ("trust", step), lambda: self.trust(here, there, path))

    def trust(self, here: Sample, there: Sample, path: FlowPath) -> np.ndarray:
        """Return the confidence that a path leads to the same content in another frame, (h, w) float32 from 0 to 1."""
        difference = cv2.subtract(path.sample(self._guide(there)), self._guide(here), dtype=cv2.CV_32F)
        difference *= difference
        distance = (difference.reshape(-1, 4) @ np.ones(4, np.float32)).reshape(path.u.shape)
        return path.reliable * cv2.exp(distance * np.float32(-0.5 / (self._tolerance * 65535) ** 2))

    def _estimate(self, before: Sample, after: Sample) -> tuple[FlowPath, FlowPath]:
        prepare = self._estimator.prepare
        first, second = (compute_once(s, "prepared", partial(prepare, s.guide)) for s in (before, after))
        before.derived.pop("prepared")  # each frame is the second of a pair, and then the first of one
        height, width = before.guide.shape[:2]
        size = grid_size(height, width)
        if self._inverts:
            there = resize_flow(self._estimator.estimate(first, second), *size)
            back = invert(there)
        else:
            there, back = (resize_flow(f, *size) for f in self._estimator.estimate_both(first, second))
        slack = slack_between((height, width), inverts=self._inverts)
        return _path_of(there, back, slack), _path_of(back, there, slack)

    @staticmethod
    def _guide(sample: Sample) -> np.ndarray:
        """Return the guide picture shrunk to the grid: RGBA, (h, w, 4) uint16, opaque."""

        def pack() -> np.ndarray:
            # OpenCV shrinks 16 bits four times as quickly as 8.
            small = shrink(to_uint16(sample.guide), grid_size(*sample.guide.shape[:2]))
            return cv2.cvtColor(small, cv2.COLOR_RGB2RGBA)

        return compute_once(sample, "guide", pack)


def pack_channels(output: np.ndarray, guide: np.ndarray) -> np.ndarray:
    """Return (H, W, 4) uint8 or uint16: the output's RGB and the guide's luma, so that one resampling serves both."""
    look, luma = cv2.cvtColor(output, cv2.COLOR_RGB2RGBA), grey(guide)
    if look.dtype != luma.dtype:
        look, luma = to_uint16(look), to_uint16(luma)
    return cv2.insertChannel(luma, look, 3)


def frame_on_grid(sample: Sample) -> np.ndarray:
    """Return a frame on the grid, ``pack_channels`` in 16 bits of ``PICTURE``: (h, w, 4) uint16."""

    def make() -> np.ndarray:
        size = grid_size(*sample.output.shape[:2])
        return shrink(to_16bit(pack_channels(sample.output, sample.guide), PICTURE), size)

    return compute_once(sample, ("low", 0), make)
