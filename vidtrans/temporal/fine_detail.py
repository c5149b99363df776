"""Fine detail along the motion between the frames of a window: flicker, changes explained by the source, lost contrast.

Luma is split into two bands: structure finer than about a pixel, and structure between that and the low frequencies.
Statistics compare a frame with its neighbours along the motion, at the points of a coarser grid, and are averaged
around each point, at half the grid's size: (2, h, w), one for each band. Values derived from a frame are stored in its
sample.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.flow.scaling import Enlarged, blur, grid_factor, grid_size, grow, halve, shrink, write_grid_samples
from vidtrans.flow.warping import (
    BAND,
    BORDER,
    CHANGE,
    PICTURE,
    Average,
    from_16bit,
    from_levels,
    grid_axes,
    mix,
    sample_sharply,
    strips,
    to_16bit,
    widened,
)
from vidtrans.temporal.flow_tracking import FlowPath, FlowTracker, frame_on_grid, pack_channels
from vidtrans.temporal.settings import DeflickerSettings
from vidtrans.temporal.stream import Sample, Window
from vidtrans.video.colour.conversion import unit

REACH = 2  # frames on each side in the statistics
LOW = 1.25  # σ in grid pixels at which low frequencies begin
FINEST = 0.8  # σ in pixels between the bands
MARGIN = 4  # rows that this blur reads on each side, and one more
POOL = 3.0  # σ in grid pixels over which statistics are taken
WIDE = 8.0  # … and for slowly varying statistics
NOISE = 2e-5  # variance of the source's changes, [0, 1]², below which no slope is fitted to them
STEEPEST = 3.0
# Shares of a band's energy that change from frame to frame and not with the source. Measured: at most 0.01 where a
# tone curve is laid over footage, 0.02 in an automatic white balance's flicker, 0.1 to 0.4 where style networks boil.
FLICKERS = 0.02  # from here on detail is averaged, whatever the source does
BOILS = 0.1  # from here on over the longer window
MOST = 2.0  # the largest factor by which contrast is raised or lowered
RESTORE = 2.5  # resampling costs most at the upper end of a band, its energy is measured over all of it
TINY = 1e-7


@dataclass(frozen=True)
class _Changes:
    """Statistics around each grid point, (2, h, w) float32, one for each band, at half the grid's size.

    ``slope``: the output's change for a change of 1 in the source. ``flicker``: the variance of the output's changes
    that the slope does not explain. ``energy``: of the output, resampled along the motion. ``lost``: the frames' own
    energy over ``energy``, in a wide window; above 1 where resampling loses contrast.
    """

    slope: np.ndarray
    flicker: np.ndarray
    energy: np.ndarray
    lost: np.ndarray

    def beyond(self, share: float) -> np.ndarray:
        """Return flicker / (``share`` · energy), clipped to [0, 1]: 1 where that share of the energy flickers."""
        return np.clip(self.flicker / (share * self.energy + TINY), 0, 1)

    def gains(self, averaged: np.ndarray) -> np.ndarray:
        """Return factors, at half the grid's size, that restore contrast in averaged bands, (2, h, w) on the grid."""
        left = _pool(averaged**2)
        gain = np.clip(np.sqrt((self.energy + 1e-6) / (left + 1e-6)), 1 / MOST, MOST)
        restored = 1 + RESTORE * (np.clip(np.sqrt(self.lost), 1, 1.5) - 1) * self.beyond(FLICKERS)
        return gain * restored


@dataclass(frozen=True)
class FrameBands:
    """The bands of a frame.

    ``picture``: (H, W, 4) in 16 bits of ``BAND``: the output's luma in the finer and the coarser band, then the
    guide's. ``on_grid``: the same at the grid points, (4, h, w). ``energy``: of the output in each band, averaged
    around each point, at half the grid's size, (2, h, w). Both are float32.
    """

    picture: np.ndarray
    on_grid: np.ndarray
    energy: np.ndarray

    @classmethod
    def of(cls, sample: Sample) -> FrameBands:
        """Compute the bands of a frame."""
        height, width = sample.output.shape[:2]
        columns, rows_on_grid = grid_size(height, width)
        packed = np.empty((height, width, 4), np.uint16)
        on_grid = np.empty((4, rows_on_grid, columns), np.float32)
        lows = _low_lumas(from_16bit(frame_on_grid(sample), PICTURE), height, width)
        for rows in strips(height, width):
            wide, inner = widened(rows, MARGIN, height)
            picture = unit(pack_channels(sample.output[wide], sample.guide[wide]))  # of the look not rounded to 8 bits
            pairs = (_split(luma, inner, low[rows]) for luma, low in zip(_lumas(picture), lows, strict=True))
            found = [band for pair in pairs for band in pair]
            packed[rows] = to_16bit(cv2.merge(found), BAND)
            for band, samples in zip(found, on_grid, strict=True):
                write_grid_samples(band, rows, samples, grid_factor(height, width))
        return cls(packed, on_grid, _pool(on_grid[:2] ** 2))


@dataclass(frozen=True)
class DetailCorrection:
    """The fine-detail correction of a frame: the result of ``fine`` minus the low frequencies of ``low_change``.

    ``rest``: (H, W, 3) in 16 bits of ``CHANGE``: average over frames − frame − the average's luma in the bands.
    ``bands``: (H, W, 2) in those of ``BAND``: the averaged bands; ``gains``: the factor of each, (H, W) float32.
    ``low_change``: (h, w, 3) float32 on the grid: average − frame. ``slope`` (h, w): the output's change over the
    guide's in the coarser band.
    """

    rest: np.ndarray
    bands: np.ndarray
    gains: list[Enlarged]
    low_change: np.ndarray
    slope: np.ndarray

    def fine(self, rows: slice) -> np.ndarray:
        """Return rows of the correction of fine detail, (…, W, 3) float32."""
        rest, bands = from_16bit(self.rest[rows], CHANGE), from_16bit(self.bands[rows], BAND)
        kept = [cv2.multiply(band, gain[rows]) for band, gain in zip(cv2.split(bands), self.gains, strict=True)]
        luma = cv2.add(*kept)
        return cv2.add(rest, cv2.merge([luma] * 3))


class FineDetail:
    """Computes the correction of fine detail."""

    def __init__(self, tracker: FlowTracker, settings: DeflickerSettings) -> None:
        self._tracker, self._settings = tracker, settings
        self._worker = ThreadPoolExecutor(1, "bands")  # beside the filter

    def expect(self, sample: Sample) -> None:
        """Start to compute the bands of a frame in the background."""
        if "bands" not in sample.derived:
            frame_on_grid(sample)  # the filter uses it, too: in both threads at once it would be made twice
            sample.derived["bands"] = self._worker.submit(FrameBands.of, sample)

    def _bands(self, sample: Sample) -> FrameBands:
        self.expect(sample)
        bands: FrameBands = sample.derived["bands"].result()
        return bands

    def __call__(self, window: Window, at: int, mean: np.ndarray, longer: Average | None = None) -> DetailCorrection:
        """Return the correction of frame ``at``, from ``mean``, its average over a few frames, and ``longer``, or None.

        ``longer`` is the average over more frames. Both are (H, W, 4), the output's RGB and the guide's luma, ``mean``
        in 16 bits of ``PICTURE``.
        """
        sample, (height, width) = window.samples[at], mean.shape[:2]
        size, factor = grid_size(height, width), grid_factor(height, width)
        changes = self._changes(window, at)
        if longer is not None:
            mean = _lengthen(mean, longer, changes.beyond(BOILS).max(axis=0))
        small = from_16bit(shrink(mean, size), PICTURE)
        lows = _low_lumas(small, height, width)
        slopes = self._settings.keep_source_changes * changes.slope * (1 - changes.beyond(FLICKERS))
        rest, averaged = (np.empty((height, width, channels), np.uint16) for channels in (3, 2))
        on_grid = np.empty((2, *size[::-1]), np.float32)
        enlarged, own = [Enlarged(slope, height, width) for slope in slopes], self._bands(sample).picture
        for rows in strips(height, width):
            wide, inner = widened(rows, MARGIN, height)
            part = from_16bit(mean[wide], PICTURE)
            looks, guides = (_split(luma, inner, low[rows]) for luma, low in zip(_lumas(part), lows, strict=True))
            of_guide = cv2.split(from_16bit(own[rows], BAND))[2:]
            for look, guide, before, slope, samples in zip(looks, guides, of_guide, enlarged, on_grid, strict=True):
                cv2.subtract(guide, before, dst=guide)
                cv2.multiply(guide, slope[rows], dst=guide)
                cv2.subtract(look, guide, dst=guide)
                write_grid_samples(guide, rows, samples, factor)
            averaged[rows] = to_16bit(cv2.merge(guides), BAND)
            rest[rows] = to_16bit(_difference(part[inner], sample.output[rows], cv2.add(*looks)), CHANGE)
        gains = self._settings.texture_gain * (changes.gains(on_grid) - 1) + 1
        low_change = small - from_16bit(frame_on_grid(sample), PICTURE)
        restored = [Enlarged(gain, height, width) for gain in gains]
        return DetailCorrection(rest, averaged, restored, low_change[..., :3], grow(slopes[1], size))

    def _changes(self, window: Window, at: int) -> _Changes:
        """Return statistics of the changes from frame ``at`` to frames up to two away, along the motion."""
        here = self._bands(window.samples[at])
        own, frame_energy = here.on_grid, here.energy.copy()
        energy = own[:2] ** 2
        total, near = np.zeros_like(own), np.zeros_like(own)  # of the look's changes times the guide's, and of those²
        near_look = np.zeros_like(energy)
        weight, near_weight, count = np.ones(own.shape[1:], np.float32), np.zeros(own.shape[1:], np.float32), 0
        for place, path, trust in self._tracker.neighbours(window, at, (1, -1, 2, -2)):
            other = self._bands(window.samples[place])
            places = path.from_cells(*other.picture.shape[1::-1])
            there = _planes(from_levels(sample_sharply(other.picture, *places), BAND))
            change = there - own
            products = (trust * change[2:] * change.reshape(2, *energy.shape)).reshape(own.shape)
            total += products
            energy += trust * there[:2] ** 2
            frame_energy += halve(trust) * _along(other.energy, path)
            weight += trust
            count += 1
            if abs(place - at) == 1:
                near += products
                near_look += trust * change[:2] ** 2
                near_weight += trust
        both, guide = np.split(_pool(total), 2)
        slope = np.clip(both / (guide + NOISE * count), -STEEPEST, STEEPEST)
        near_both, near_guide = np.split(_pool(near), 2)
        unexplained = _pool(near_look) - 2 * slope * near_both + slope**2 * near_guide
        flicker = 0.5 * np.maximum(unexplained, 0) / (_pool(near_weight[None]) + 1e-3)
        mean, honest = _pool(energy / weight), frame_energy / halve(weight)
        wide = _planes(blur(cv2.merge([*honest, *mean]), WIDE / 2)) + TINY
        lost = wide[:2] / wide[2:]
        return _Changes(slope, flicker, mean, lost)


def _planes(picture: np.ndarray) -> np.ndarray:
    """Split (H, W[, C]) into (C, H, W), because numpy is slow on a short last axis."""
    return np.stack(cv2.split(picture))


def _along(planes: np.ndarray, path: FlowPath) -> np.ndarray:
    """Sample two planes (2, h, w), at half the grid's size, along a path on the grid."""
    rows, columns = planes.shape[1:]
    flow = (
        halve(path.u) * np.float32(columns / path.u.shape[1]),
        halve(path.v) * np.float32(rows / path.v.shape[0]),
    )
    x, y = (axis + part for axis, part in zip(grid_axes(rows, columns), flow, strict=True))
    # OpenCV 5 rounds the places of two channels, and of no other number, to 1/32 pixel.
    return _planes(cv2.remap(cv2.merge([*planes, *planes]), x, y, cv2.INTER_LINEAR, borderMode=BORDER))[:2]


def _pool(statistics: np.ndarray) -> np.ndarray:
    """Average (C, h, w) statistics on the grid in a Gaussian window around each point, at half the grid's size."""
    return _planes(blur(halve(cv2.merge(list(statistics))), POOL / 2))


def _lumas(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the luma of the first three channels of (H, W, 4) float32 by ITU-R BT.601, and the fourth channel."""
    return cv2.cvtColor(picture, cv2.COLOR_RGBA2GRAY), cv2.extractChannel(picture, 3)


def _low_lumas(on_grid: np.ndarray, height: int, width: int) -> list[Enlarged]:
    """Return the low frequencies of both lumas of (h, w, 4) float32, at full size."""
    return [Enlarged(luma, height, width) for luma in _lumas(blur(on_grid, LOW))]


def _split(luma: np.ndarray, inner: slice, low: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the finer and the coarser band of the rows ``inner`` of a picture (H, W) float32.

    ``low``, which has these rows only, is removed from both.
    """
    fine = blur(luma, FINEST)[inner]
    return luma[inner] - fine, fine - low


def _lengthen(mean: np.ndarray, longer: Average, share: np.ndarray) -> np.ndarray:
    """Return the weighted mean of two averages in 16 bits; ``share`` of the longer one, on a coarse grid."""
    height, width = mean.shape[:2]
    made, shares = np.empty_like(mean), Enlarged(share, height, width)
    for rows in strips(height, width):
        made[rows] = mix(mean[rows], longer[rows], shares[rows])
    return made


def _difference(mean: np.ndarray, output: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """Return the RGB of ``mean`` (H, W, 4) in [0, 1] − ``output`` − ``luma`` (H, W): (H, W, 3) float32."""
    colours = cv2.cvtColor(mean, cv2.COLOR_RGBA2RGB)
    part = cv2.addWeighted(colours, 1, output, -1 / np.iinfo(output.dtype).max, 0, dtype=cv2.CV_32F)
    part -= cv2.merge([luma] * 3)
    return part
