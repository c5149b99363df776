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
from vidtrans.flow.warp import warp
from vidtrans.temporal.stream import Sample, Window
from vidtrans.temporal.tracks import Tracker, at_grid, blurred, grid_size, grown, kept, sampled, shrunk, unit

FINEST = 0.8  # σ in pixels between the bands
LOW = 1.25  # σ in grid pixels at which low frequencies begin
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
        left = blurred(made**2, POOL)
        gain = np.clip(np.sqrt((self.energy + 1e-6) / (left + 1e-6)), 1 / MOST, MOST)
        restored = 1 + RESTORE * (np.clip(np.sqrt(self.lost), 1, 1.5) - 1) * self.beyond(FLICKERS)
        return gain * restored


class Detail:
    """The correction of fine structure. ``follow`` and ``contrast`` are the window's settings."""

    def __init__(self, tracker: Tracker, follow: float, contrast: float) -> None:
        self._tracker, self._follow, self._contrast = tracker, follow, contrast

    def __call__(self, window: Window, at: int, averages: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Of frame ``at``, whose ``averages`` are itself, and means over more and more frames: (H, W, 4) float32 each.

        Returns the correction, (H, W, 3) float32, and the slope of the coarser band, (h, w).
        """
        here, mean, longer = averages[0], averages[min(1, len(averages) - 1)], averages[-1]
        full = (here.shape[1], here.shape[0])
        changes = self._changes(window, at)
        change = mean - here
        if longer is not mean:
            boils = grown(changes.beyond(BOILS).max(-1), full)
            cv2.accumulateProduct(longer - mean, cv2.merge([boils] * 4), change)
        slope = self._follow * changes.slope * (1 - changes.beyond(FLICKERS))
        totals: list[np.ndarray] = []
        averaged = []  # luma of the bands as they are now
        for band, (own, moved) in enumerate(zip(bands(luma(here)), bands(change), strict=True)):
            *look, guide = cv2.split(moved)  # by planes: numpy is slow on the last axis of three
            guide *= grown(slope[..., band], full)
            averaged.append(own + luma(moved) - guide)
            kept_planes = [plane - guide for plane in look]
            totals = [a + b for a, b in zip(totals, kept_planes, strict=True)] if totals else kept_planes
        gains = changes.gains(np.dstack([sampled(plane) for plane in averaged]))
        for band, plane in enumerate(averaged):
            plane *= grown(self._contrast * (gains[..., band] - 1), full)
            for total in totals:
                total += plane
        return cv2.merge(totals), slope[..., 1]

    def _changes(self, window: Window, at: int) -> Changes:
        """How frame ``at`` differs from those up to two frames away, along the motion."""
        sample = window.samples[at]
        here = sampled(self._bands(sample))
        own = self._energy(sample)
        nothing = np.zeros_like(own)
        both, guide, energy, kept_energy = nothing.copy(), nothing.copy(), here[..., ::2] ** 2, own.copy()
        near = {name: nothing.copy() for name in ("both", "guide", "look")}
        weight, near_weight, count = np.ones(own.shape[:2], np.float32), np.zeros(own.shape[:2], np.float32), 0
        for step in (1, -1, 2, -2):
            way = self._tracker.way(window, at, step)
            if way is None:
                continue
            other = window.samples[at + step]
            trust = self._tracker.trust(window, at, step)
            there = at_grid(self._bands(other), way.flow)
            change, each = there - here, cv2.merge([trust] * 2)
            look, source = change[..., ::2], change[..., 1::2]
            products = each * look * source, each * source**2
            both += products[0]
            guide += products[1]
            energy += each * there[..., ::2] ** 2
            kept_energy += each * warp(self._energy(other), way.flow)
            weight += trust
            count += 1
            if abs(step) == 1:
                near["both"] += products[0]
                near["guide"] += products[1]
                near["look"] += each * look**2
                near_weight += trust
        slope = np.clip(blurred(both, POOL) / (blurred(guide, POOL) + NOISE * count), -STEEPEST, STEEPEST)
        of = {name: blurred(total, POOL) for name, total in near.items()}
        unexplained = np.maximum(of["look"] - 2 * slope * of["both"] + slope**2 * of["guide"], 0)
        flicker = 0.5 * unexplained / (blurred(near_weight, POOL)[..., None] + 1e-3)
        mean, honest = blurred(energy / weight[..., None], POOL), kept_energy / weight[..., None]
        lost = (blurred(honest, WIDE) + TINY) / (blurred(mean, WIDE) + TINY)
        return Changes(slope, flicker, mean, lost)

    def _bands(self, sample: Sample) -> np.ndarray:
        """(H, W, 4) float32: the look's luma and the guide's in the finer band, then in the coarser one."""

        def split() -> np.ndarray:
            finer, coarser = bands(cv2.merge([luma(unit(sample.output)), unit(grey(sample.guide))]))
            return cv2.merge([*cv2.split(finer), *cv2.split(coarser)])

        return kept(sample, "bands", split)

    def _energy(self, sample: Sample) -> np.ndarray:
        """The look's energy in each band, pooled around each place of the grid: (h, w, 2) float32."""
        return kept(sample, "energy", lambda: blurred(sampled(self._bands(sample))[..., ::2] ** 2, POOL))


def bands(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The finer and the coarser band of a picture (H, W[, C]) float32."""
    full, size = (picture.shape[1], picture.shape[0]), grid_size(*picture.shape[:2])
    smooth = blurred(picture, FINEST)
    return picture - smooth, smooth - grown(blurred(shrunk(picture, size), LOW), full)


def luma(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3 or more) float32, RGB first → (H, W), ITU-R BT.601's weights."""
    weights = np.array([[0.299, 0.587, 0.114] + [0.0] * (picture.shape[2] - 3)], np.float32)
    return cv2.transform(picture, weights)
