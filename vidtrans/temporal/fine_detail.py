"""Fine structure along the motion: changes that the source explains, flicker, and the contrast lost by averaging.

Two bands: structure finer than about a pixel, and what lies between that and the low frequencies. Statistics are taken
on their luma, at the places of a coarser grid, between a frame and its neighbours along the motion, and pooled around
each place: (h, w, 2), a channel for each band. What is derived from a frame is kept with its sample.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from vidtrans.flow.estimator import FlowEstimator, grey
from vidtrans.flow.warping import (
    agreement,
    at_grid,
    blur,
    compose,
    grid_factor,
    grid_size,
    grow,
    photometric,
    resize_flow,
    sample_grid,
    shrink,
    warp,
)
from vidtrans.temporal.stream import DeflickerSettings, Sample, Window

T = TypeVar("T")

LOW = 1.25  # σ in grid pixels at which low frequencies begin
SLACK = 8.0  # pixels² of the frame between a path there and back
FINEST = 0.8  # σ in pixels between the bands
POOL = 3.0  # σ in grid pixels over which statistics are taken
WIDE = 8.0  # … and those that must not waver
NOISE = 2e-5  # variance of the source's changes, [0, 1]², below which no slope is fitted to them
STEEPEST = 3.0
# Shares of a band's energy that change from frame to frame and not with the source. Measured: at most 0.01 where a
# tone curve is laid over footage, 0.02 in an automatic white balance's flicker, 0.1 to 0.4 where style networks boil.
FLICKERS = 0.02  # from here on detail is averaged, whatever the source does
BOILS = 0.1  # from here on over the longer window
MOST = 2.0  # times by which contrast is raised at most, and lowered
RESTORE = 2.5  # resampling costs most at the upper end of a band, its energy is measured over all of it
TINY = 1e-7


def compute_once(sample: Sample, key: Hashable, compute: Callable[[], T]) -> T:
    """Return what ``compute`` returns, called once for a sample."""
    if key not in sample.extras:
        sample.extras[key] = compute()
    value: T = sample.extras[key]
    return value


@dataclass(frozen=True)
class _FlowPath:
    """From one frame to another, on the grid: ``flow`` in its pixels, and how ``reliable`` that is, 0 to 1."""

    flow: np.ndarray
    reliable: np.ndarray


class FlowTracker:
    """Flow between the frames of a window, on the grid, and how far it can be trusted."""

    def __init__(self, settings: DeflickerSettings, device: str) -> None:
        self._estimator = FlowEstimator(settings.flow, settings.flow_size or None, device)
        self._tolerance = settings.colour_sigma
        self._worker = ThreadPoolExecutor(1, "flow")  # beside the filter: OpenCV lets go of the interpreter

    def expect(self, before: Sample, after: Sample) -> None:
        """Begin the flow between neighbours in the background."""
        if "pair" not in before.extras:
            before.extras["pair"] = self._worker.submit(self._estimate, before, after)

    def neighbours(self, window: Window, at: int, steps: Iterable[int]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield, for each step from frame ``at`` that stays in the window, a position, the flow there and its trust.

        Steps are powers of 2, either way. The flow is (h, w, 2), on the grid; the trust (h, w), 0 to 1, says how far
        that frame shows the same thing at each place.
        """
        for step in steps:
            if 0 <= at + step < len(window.samples):
                path = self._path(window, at, step)
                yield at + step, path.flow, self._trust(window, at, step, path)

    def _path(self, window: Window, at: int, step: int) -> _FlowPath:
        if abs(step) == 1:
            before, after = window.samples[min(at, at + step)], window.samples[max(at, at + step)]
            self.expect(before, after)
            pair: Future[tuple[_FlowPath, _FlowPath]] = before.extras["pair"]
            return pair.result()[0 if step > 0 else 1]

        def join() -> _FlowPath:
            """Make a long path of two that are half as long."""
            first, second = self._path(window, at, step // 2), self._path(window, at + step // 2, step // 2)
            reliable = first.reliable * warp(second.reliable, first.flow)
            return _FlowPath(compose(first.flow, second.flow), reliable)

        return compute_once(window.samples[at], ("path", step), join)

    def _trust(self, window: Window, at: int, step: int, path: _FlowPath) -> np.ndarray:
        def compare() -> np.ndarray:
            here, there = (self._guide(window.samples[i]) for i in (at, at + step))
            return path.reliable * photometric(here, warp(there, path.flow), self._tolerance)

        return compute_once(window.samples[at], ("trust", step), compare)

    def _estimate(self, before: Sample, after: Sample) -> tuple[_FlowPath, _FlowPath]:
        first, second = (self._prepare(sample) for sample in (before, after))
        before.extras.pop("prepared")  # each frame is the second of a pair, and then the first of one
        height, width = before.guide.shape[:2]
        size, slack = grid_size(height, width), SLACK / grid_factor(height, width) ** 2
        there, back = (resize_flow(f, *size) for f in self._estimator.estimate_both(first, second))
        return _FlowPath(there, agreement(there, back, slack)), _FlowPath(back, agreement(back, there, slack))

    def _prepare(self, sample: Sample) -> np.ndarray:
        return compute_once(sample, "prepared", lambda: self._estimator.prepare(sample.guide))

    @staticmethod
    def _guide(sample: Sample) -> np.ndarray:
        return compute_once(sample, "guide", lambda: shrink(sample.guide, grid_size(*sample.guide.shape[:2])))


@dataclass(frozen=True)
class _Changes:
    """The statistics around each place of the grid.

    ``slope``: of the look's changes over the source's. ``flicker``: variance of the look's changes that it leaves
    unexplained. ``energy``: of the look along the motion; ``lost`` ≥ 1: how much less that is than in the frames.
    """

    slope: np.ndarray
    flicker: np.ndarray
    energy: np.ndarray
    lost: np.ndarray

    def beyond(self, share: float) -> np.ndarray:
        """Return 0 to 1, which is reached where ``share`` of the energy changes unexplained."""
        return np.clip(self.flicker / (share * self.energy + TINY), 0, 1)

    def gains(self, averaged: np.ndarray) -> np.ndarray:
        """Return the factors that give averaged bands, (h, w, 2) luma at the grid's places, a frame's contrast."""
        left = blur(averaged**2, POOL)
        gain = np.clip(np.sqrt((self.energy + 1e-6) / (left + 1e-6)), 1 / MOST, MOST)
        restored = 1 + RESTORE * (np.clip(np.sqrt(self.lost), 1, 1.5) - 1) * self.beyond(FLICKERS)
        return gain * restored


class FineDetail:
    """The correction of fine structure."""

    def __init__(self, tracker: FlowTracker, settings: DeflickerSettings) -> None:
        self._tracker, self._settings = tracker, settings

    def __call__(self, window: Window, at: int, averages: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Correct frame ``at``, whose ``averages`` are itself, and means over more and more frames: (H, W, 4) float32.

        Returns the correction, (H, W, 3) float32, and the slope of the coarser band, (h, w).
        """
        here, mean, longer = averages[0], averages[1], averages[-1]
        full = (here.shape[1], here.shape[0])
        changes = self._changes(window, at)
        change = mean - here
        if longer is not mean:
            boils = grow(np.maximum(*cv2.split(changes.beyond(BOILS))), full)
            cv2.accumulateProduct(longer - mean, cv2.merge([boils] * 4), change)
        slopes = cv2.split(self._settings.keep_source_changes * changes.slope * (1 - changes.beyond(FLICKERS)))
        colours = cv2.split(change - _low(change))[:3]  # by planes: numpy is slow on a last axis of three
        # The bands of luma and guide; those of the colours are not told apart, the correction takes them all.
        moved = [cv2.split(band) for band in _bands(cv2.merge([_luma(change), change[..., 3]]))]
        explained = [grow(slope, full) * source for slope, (_, source) in zip(slopes, moved, strict=True)]
        own = cv2.split(_frame_bands(window.samples[at]))[:2]
        averaged = [a + b - c for a, (b, _), c in zip(own, moved, explained, strict=True)]
        gains = changes.gains(cv2.merge([sample_grid(plane) for plane in averaged]))
        given_back = [grow(gain, full) for gain in cv2.split(self._settings.texture_gain * (gains - 1))]
        grey_change = sum(a * b - c for a, b, c in zip(given_back, averaged, explained, strict=True))
        return cv2.merge([plane + grey_change for plane in colours]), slopes[1]

    def _changes(self, window: Window, at: int) -> _Changes:
        """Return how frame ``at`` differs from those up to two frames away, along the motion."""
        sample = window.samples[at]
        here = sample_grid(_frame_bands(sample))
        own = _energy(sample)
        energy, frame_energy = _planes(here)[:2] ** 2, _planes(own)
        both, guide, near_both, near_guide, near_look = (np.zeros_like(energy) for _ in range(5))
        weight, near_weight, count = np.ones(own.shape[:2], np.float32), np.zeros(own.shape[:2], np.float32), 0
        for place, flow, trust in self._tracker.neighbours(window, at, (1, -1, 2, -2)):
            other = window.samples[place]
            there = at_grid(_frame_bands(other), flow)
            change = _planes(there - here)
            look, source = change[:2], change[2:]
            weighed = trust * source
            products = weighed * look, weighed * source
            both += products[0]
            guide += products[1]
            energy += trust * _planes(there)[:2] ** 2
            frame_energy += trust * _planes(warp(_energy(other), flow))
            weight += trust
            count += 1
            if abs(place - at) == 1:
                near_both += products[0]
                near_guide += products[1]
                near_look += trust * look**2
                near_weight += trust
        slope = np.clip(_pool(both) / (_pool(guide) + NOISE * count), -STEEPEST, STEEPEST)
        unexplained = _pool(near_look) - 2 * slope * _pool(near_both) + slope**2 * _pool(near_guide)
        flicker = 0.5 * np.maximum(unexplained, 0) / (blur(near_weight, POOL)[..., None] + 1e-3)
        mean, honest = _pool(energy / weight), cv2.merge(list(frame_energy / weight))
        lost = (blur(honest, WIDE) + TINY) / (blur(mean, WIDE) + TINY)
        return _Changes(slope, flicker, mean, lost)


def _frame_bands(sample: Sample) -> np.ndarray:
    """Return (H, W, 4) float32: the look's luma in the finer band and the coarser one, then the guide's."""

    def split() -> np.ndarray:
        finer, coarser = _bands(cv2.merge([_luma(_unit(sample.output)), _unit(grey(sample.guide))]))
        (a, c), (b, d) = cv2.split(finer), cv2.split(coarser)
        return cv2.merge([a, b, c, d])

    return compute_once(sample, "bands", split)


def _energy(sample: Sample) -> np.ndarray:
    """Return the look's energy in each band, pooled around each place of the grid: (h, w, 2) float32."""
    return compute_once(sample, "energy", lambda: _pool(_planes(sample_grid(_frame_bands(sample)))[:2] ** 2))


def _planes(picture: np.ndarray) -> np.ndarray:
    """(H, W, C) → (C, H, W): numpy is slow on a last axis of few."""
    return np.stack(cv2.split(picture))


def _pool(statistic: np.ndarray) -> np.ndarray:
    """Return statistics at places of the grid, (C, h, w), pooled around each of them: (h, w, C)."""
    return blur(cv2.merge(list(statistic)), POOL)


def _bands(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the finer and the coarser band of a picture (H, W[, C]) float32."""
    smooth = blur(picture, FINEST)
    return picture - smooth, smooth - _low(picture)


def _low(picture: np.ndarray) -> np.ndarray:
    """Return what is in neither band."""
    small = shrink(picture, grid_size(*picture.shape[:2]))
    return grow(blur(small, LOW), (picture.shape[1], picture.shape[0]))


def _luma(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3 or more) float32, RGB first → (H, W), ITU-R BT.601's weights."""
    weights = np.array([[0.299, 0.587, 0.114] + [0.0] * (picture.shape[2] - 3)], np.float32)
    return cv2.transform(picture, weights)


def _unit(picture: np.ndarray) -> np.ndarray:
    """uint8 or uint16 → float32 in [0, 1]."""
    return picture.astype(np.float32) * np.float32(1 / np.iinfo(picture.dtype).max)


def pack_channels(sample: Sample) -> np.ndarray:
    """Return (H, W, 4) float32 in [0, 1]: the look's RGB and the guide's luma, so that one resampling serves both."""
    return cv2.merge([*cv2.split(_unit(sample.output)), _unit(grey(sample.guide))])
