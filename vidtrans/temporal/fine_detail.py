"""Fine structure: what of its changes the source explains, what flickers, and how much contrast a mean has lost.

Two bands: structure finer than about a pixel, and what lies between that and the low frequencies. Statistics are taken
on their luma, at the places of the grid, between a frame and its neighbours along the motion, and pooled around each
place: (h, w, 2), a channel for each band.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.flow.dis import grey
from vidtrans.flow.warping import warp
from vidtrans.temporal.shared import (
    LOW,
    FlowTracker,
    at_grid,
    blur,
    compute_once,
    grid_size,
    grow,
    sample_grid,
    shrink,
    unit,
)
from vidtrans.temporal.stream import Sample, Window

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


@dataclass(frozen=True)
class Changes:
    """What was found around each place of the grid.

    ``slope``: of the look's changes over the source's. ``flicker``: variance of the look's changes that it leaves
    unexplained. ``energy``: of the look along the motion; ``lost`` ≥ 1: how much less that is than in the frames.
    """

    slope: np.ndarray
    flicker: np.ndarray
    energy: np.ndarray
    lost: np.ndarray

    def beyond(self, share: float) -> np.ndarray:
        """0 to 1, which is reached where ``share`` of the energy changes unexplained."""
        return np.clip(self.flicker / (share * self.energy + TINY), 0, 1)

    def gains(self, made: np.ndarray) -> np.ndarray:
        """By what the averaged bands, (h, w, 2) luma at the grid's places, must be multiplied to look like a frame."""
        left = blur(made**2, POOL)
        gain = np.clip(np.sqrt((self.energy + 1e-6) / (left + 1e-6)), 1 / MOST, MOST)
        restored = 1 + RESTORE * (np.clip(np.sqrt(self.lost), 1, 1.5) - 1) * self.beyond(FLICKERS)
        return gain * restored


class FineDetail:
    """The correction of fine structure. ``follow`` and ``contrast`` are the window's settings."""

    def __init__(self, tracker: FlowTracker, follow: float, contrast: float) -> None:
        self._tracker, self._follow, self._contrast = tracker, follow, contrast

    def __call__(self, window: Window, at: int, averages: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Of frame ``at``, whose ``averages`` are itself, and means over more and more frames: (H, W, 4) float32 each.

        Returns the correction, (H, W, 3) float32, and the slope of the coarser band, (h, w).
        """
        here, mean, longer = averages[0], averages[1], averages[-1]
        full = (here.shape[1], here.shape[0])
        changes = self._changes(window, at)
        change = mean - here
        if longer is not mean:
            boils = grow(np.maximum(*cv2.split(changes.beyond(BOILS))), full)
            cv2.accumulateProduct(longer - mean, cv2.merge([boils] * 4), change)
        slopes = cv2.split(self._follow * changes.slope * (1 - changes.beyond(FLICKERS)))
        colours = cv2.split(change - low(change))[:3]  # by planes: numpy is slow on a last axis of three
        # The bands of luma and guide; those of the colours are not told apart, the correction takes them all.
        moved = [cv2.split(band) for band in bands(cv2.merge([luma(change), change[..., 3]]))]
        explained = [grow(slope, full) * source for slope, (_, source) in zip(slopes, moved, strict=True)]
        own = cv2.split(self._bands(window.samples[at]))[:2]
        averaged = [a + b - c for a, (b, _), c in zip(own, moved, explained, strict=True)]
        gains = changes.gains(cv2.merge([sample_grid(plane) for plane in averaged]))
        given_back = [grow(gain, full) for gain in cv2.split(self._contrast * (gains - 1))]
        grey_change = sum(a * b - c for a, b, c in zip(given_back, averaged, explained, strict=True))
        return cv2.merge([plane + grey_change for plane in colours]), slopes[1]

    def _changes(self, window: Window, at: int) -> Changes:
        """How frame ``at`` differs from those up to two frames away, along the motion."""
        sample = window.samples[at]
        here = sample_grid(self._bands(sample))
        own = self._energy(sample)
        energy, kept_energy = planes(here)[:2] ** 2, planes(own)
        both, guide, near_both, near_guide, near_look = (np.zeros_like(energy) for _ in range(5))
        weight, near_weight, count = np.ones(own.shape[:2], np.float32), np.zeros(own.shape[:2], np.float32), 0
        for step in (1, -1, 2, -2):
            way = self._tracker.way(window, at, step)
            if way is None:
                continue
            other = window.samples[at + step]
            trust = self._tracker.trust(window, at, step)
            there = at_grid(self._bands(other), way.flow)
            change = planes(there - here)
            look, source = change[:2], change[2:]
            weighed = trust * source
            products = weighed * look, weighed * source
            both += products[0]
            guide += products[1]
            energy += trust * planes(there)[:2] ** 2
            kept_energy += trust * planes(warp(self._energy(other), way.flow))
            weight += trust
            count += 1
            if abs(step) == 1:
                near_both += products[0]
                near_guide += products[1]
                near_look += trust * look**2
                near_weight += trust
        slope = np.clip(pool(both) / (pool(guide) + NOISE * count), -STEEPEST, STEEPEST)
        unexplained = pool(near_look) - 2 * slope * pool(near_both) + slope**2 * pool(near_guide)
        flicker = 0.5 * np.maximum(unexplained, 0) / (blur(near_weight, POOL)[..., None] + 1e-3)
        mean, honest = pool(energy / weight), cv2.merge(list(kept_energy / weight))
        lost = (blur(honest, WIDE) + TINY) / (blur(mean, WIDE) + TINY)
        return Changes(slope, flicker, mean, lost)

    def _bands(self, sample: Sample) -> np.ndarray:
        """(H, W, 4) float32: the look's luma in the finer band and the coarser one, then the guide's."""

        def split() -> np.ndarray:
            finer, coarser = bands(cv2.merge([luma(unit(sample.output)), unit(grey(sample.guide))]))
            (a, c), (b, d) = cv2.split(finer), cv2.split(coarser)
            return cv2.merge([a, b, c, d])

        return compute_once(sample, "bands", split)

    def _energy(self, sample: Sample) -> np.ndarray:
        """The look's energy in each band, pooled around each place of the grid: (h, w, 2) float32."""
        return compute_once(sample, "energy", lambda: pool(planes(sample_grid(self._bands(sample)))[:2] ** 2))


def planes(picture: np.ndarray) -> np.ndarray:
    """(H, W, C) → (C, H, W): numpy is slow on a last axis of few."""
    return np.stack(cv2.split(picture))


def pool(statistic: np.ndarray) -> np.ndarray:
    """What was found at places of the grid, (C, h, w), around each of them: (h, w, C)."""
    return blur(cv2.merge(list(statistic)), POOL)


def bands(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The finer and the coarser band of a picture (H, W[, C]) float32."""
    smooth = blur(picture, FINEST)
    return picture - smooth, smooth - low(picture)


def low(picture: np.ndarray) -> np.ndarray:
    """What is in neither band."""
    small = shrink(picture, grid_size(*picture.shape[:2]))
    return grow(blur(small, LOW), (picture.shape[1], picture.shape[0]))


def luma(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3 or more) float32, RGB first → (H, W), ITU-R BT.601's weights."""
    weights = np.array([[0.299, 0.587, 0.114] + [0.0] * (picture.shape[2] - 3)], np.float32)
    return cv2.transform(picture, weights)
