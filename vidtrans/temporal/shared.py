"""What the temporal filters share: settings, where the pixels of a frame are in its neighbours, and the correction.

Everything is kept on a grid coarser than the picture: twice as coarse, or more in large pictures. What is derived from
a frame is kept with its sample and computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from vidtrans.flow import FLOWS
from vidtrans.flow.dis import grey
from vidtrans.flow.estimator import FlowEstimator
from vidtrans.flow.warping import agreement, compose, grid, photometric, resize_flow, sample_sharp, warp
from vidtrans.settings import setting
from vidtrans.temporal.stream import Sample, Window

T = TypeVar("T")

SURE = 0.5  # share of all frames that could be averaged that suffices to be sure of low frequencies
AROUND = 8  # grid pixels over which the correction is taken from around
LOW = 1.25  # σ in grid pixels at which low frequencies begin
SLACK = 8.0  # pixels² of the frame between a way there and back
GRID_SHORT_SIDE = 270  # the grid is at least twice as coarse as the picture, and no finer than this


@dataclass(frozen=True)
class DeflickerSettings:
    """How much a filter may change, and what it takes for flicker."""

    strength: float = setting(1.0, "share of the correction that is applied", low=0.0, high=1.0)
    texture_strength: float = setting(
        1.0, "share of it in fine texture, which may boil; 0 steadies tones only", low=0.0, high=1.0
    )
    keep_source_changes: float = setting(1.0, "how far changes that the source explains are kept", low=0.0, high=1.0)
    texture_gain: float = setting(1.1, "how much of the texture that averaging pales is given back", low=0.0, high=2.0)
    colour_sigma: float = setting(
        0.16, "σ of the source's colour difference that is the same place", low=0.01, high=1.0
    )
    flow: str = setting("dis", "flow method", choices=tuple(FLOWS))
    flow_size: int = setting(540, "short side at which flow is estimated in larger pictures; 0: their own", low=0)


@dataclass(frozen=True)
class FlowPath:
    """From one frame to another, on the grid: ``flow`` in its pixels, and how ``reliable`` that is, 0 to 1."""

    flow: np.ndarray
    reliable: np.ndarray

    def then(self, other: FlowPath) -> FlowPath:
        """On from there: the flows composed, as reliable as both are."""
        return FlowPath(compose(self.flow, other.flow), self.reliable * warp(other.reliable, self.flow))


def grid_factor(height: int, width: int) -> int:
    """How many pixels of a picture are one of its grid."""
    return max(2, -(-min(height, width) // GRID_SHORT_SIDE))


def grid_size(height: int, width: int) -> tuple[int, int]:
    """(width, height) of a picture's grid."""
    factor = grid_factor(height, width)
    return -(-width // factor), -(-height // factor)


def shrink(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture's mean in each cell of a coarser grid of (width, height) ``size``."""
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def grow(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture of a coarse grid at a larger (width, height) ``size``, linearly."""
    return cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)


def blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian of σ pixels; the border is mirrored."""
    return cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)


def sample_grid(picture: np.ndarray) -> np.ndarray:
    """A picture's values at the first pixel of each cell of its grid."""
    factor = grid_factor(*picture.shape[:2])
    return np.ascontiguousarray(picture[::factor, ::factor])


def at_grid(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """A picture's values, (H, W, 4) float32, where a flow of the grid leads from the first pixel of each cell."""
    factor = grid_factor(*picture.shape[:2])
    (height, width), (rows, columns) = picture.shape[:2], flow.shape[:2]
    scale = np.array([width / columns, height / rows], np.float32)  # the last cells may be narrower
    return sample_sharp(picture, grid(rows, columns) * np.float32(factor) + flow * scale)


def unit(picture: np.ndarray) -> np.ndarray:
    """uint8 or uint16 → float32 in [0, 1]."""
    return picture.astype(np.float32) * np.float32(1 / np.iinfo(picture.dtype).max)


def pack_channels(sample: Sample) -> np.ndarray:
    """(H, W, 4) float32 in [0, 1]: the look's RGB and the guide's luma, so that one resampling serves both."""
    return cv2.merge([*cv2.split(unit(sample.output)), unit(grey(sample.guide))])


def enlarge_flow(flow: np.ndarray, width: int, height: int) -> np.ndarray:
    """A flow of the grid at full size, its vectors in full-size pixels."""
    scale = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    return grow(flow * scale, (width, height))


def compute_once(sample: Sample, key: Hashable, make: Callable[[], T]) -> T:
    """What ``make`` returns, made once for a sample."""
    if key not in sample.extras:
        sample.extras[key] = make()
    found: T = sample.extras[key]
    return found


class FlowTracker:
    """Ways between the frames of a window. ``tolerance``: σ of the colour difference that is still the same place."""

    def __init__(self, method: str, short_side: int, tolerance: float, device: str = "cpu") -> None:
        self._estimator = FlowEstimator(method, short_side or None, device)
        self._tolerance = tolerance
        self._worker = ThreadPoolExecutor(1, "flow")  # beside the filter: OpenCV lets go of the interpreter

    def expect(self, before: Sample, after: Sample) -> None:
        """Begin the flow between neighbours in the background."""
        if "pair" not in before.extras:
            before.extras["pair"] = self._worker.submit(self._pair, before, after)

    def _pair(self, before: Sample, after: Sample) -> tuple[FlowPath, FlowPath]:
        first, second = (self._shown(s) for s in (before, after))
        there, back = self._estimator.estimate_both(first, second)
        before.extras.pop("shown")  # each frame is the second of a pair, and then the first of one
        height, width = before.guide.shape[:2]
        there, back = (resize_flow(f, *grid_size(height, width)) for f in (there, back))
        slack = SLACK / grid_factor(height, width) ** 2
        return FlowPath(there, agreement(there, back, slack)), FlowPath(back, agreement(back, there, slack))

    def _shown(self, sample: Sample) -> np.ndarray:
        return compute_once(sample, "shown", lambda: self._estimator.prepare(sample.guide))

    def way(self, window: Window, at: int, step: int) -> FlowPath | None:
        """From frame ``at`` of the window to ``at + step``; None where that is not in the window.

        ``step`` is a power of 2, ahead or back: long ways are made of two that are half as long.
        """
        samples = window.samples
        if not 0 <= at + step < len(samples):
            return None
        if abs(step) == 1:
            before = min(at, at + step)
            self.expect(samples[before], samples[before + 1])
            pair: Future[tuple[FlowPath, FlowPath]] = samples[before].extras["pair"]
            return pair.result()[0 if step > 0 else 1]

        def join() -> FlowPath:
            first, second = self.way(window, at, step // 2), self.way(window, at + step // 2, step // 2)
            assert first is not None
            assert second is not None
            return first.then(second)

        return compute_once(samples[at], ("way", step), join)

    def trust(self, window: Window, at: int, step: int) -> np.ndarray:
        """How far frame ``at + step`` shows the same thing, at each grid pixel of frame ``at``: (h, w), 0 to 1."""

        def look() -> np.ndarray:
            way = self.way(window, at, step)
            assert way is not None
            here, there = (self.guide(window.samples[i]) for i in (at, at + step))
            return way.reliable * photometric(here, warp(there, way.flow), self._tolerance)

        return compute_once(window.samples[at], ("trust", step), look)

    @staticmethod
    def guide(sample: Sample) -> np.ndarray:
        """The guide on the grid, (h, w, 3) uint8."""
        return compute_once(sample, "guide", lambda: shrink(sample.guide, grid_size(*sample.guide.shape[:2])))


def low_correction(change: np.ndarray, others: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """The correction on the grid, of which low frequencies are taken: (h, w, 3) float32 in [−1, 1].

    ``change``: (h, w, 4), by how much the average of the look (RGB) and of the guide (luma) differ from the frame;
    ``slope`` (h, w) of the look over the guide; ``others`` (h, w): the share, 0 to 1, that other frames have in the
    average. Where that is small the correction is what it is around: lighting flickers in places, too, that were
    hidden a moment ago.
    """
    wanted = change[..., :3] - slope[..., None] * change[..., 3:]
    others = np.clip(others, 0, 1)
    height, width = others.shape
    size = (max(1, width // AROUND), max(1, height // AROUND))
    near, weight = (blur(shrink(x, size), 1) for x in (wanted * others[..., None], others))
    around = grow(near / (weight[..., None] + 0.002), (width, height))
    lacking = 1 - np.clip(others / SURE, 0, 1)
    return wanted + lacking[..., None] * (around - wanted)


def apply_correction(output: np.ndarray, low: np.ndarray, fine: np.ndarray, settings: DeflickerSettings) -> np.ndarray:
    """A frame with its corrections, of its dtype: ``low`` on the grid, ``fine`` (H, W, 3) at full size."""
    height, width = output.shape[:2]
    correction = grow(blur(low, LOW), (width, height))
    if settings.texture_strength:
        correction += settings.texture_strength * fine
    full = np.iinfo(output.dtype).max
    correction *= full * settings.strength
    correction += output
    return np.clip(np.rint(correction, out=correction), 0, full, out=correction).astype(output.dtype)
