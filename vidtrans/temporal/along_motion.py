"""Motion paths over several frames for the temporal filters: the flow, the trust in it, and fine detail along it.

Luma is split into two bands: structure finer than about a pixel, and structure between this and the low frequencies.
Statistics separate flicker, changes that the source explains, and lost contrast. They compare a frame with its
neighbours along the motion, at the points of a coarser grid, and are averaged around each point, at half the grid's
size: (2, h, w), one plane for each band. Values derived from a frame are stored in its sample, so that they are
computed once.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.flow.estimator import FlowEstimator, grey
from vidtrans.flow.warping import (
    BAND,
    BORDER,
    CHANGE,
    PICTURE,
    Average,
    Enlarged,
    blur,
    enlarged,
    flow_consistency,
    from_16bit,
    from_levels,
    grid_axes,
    grid_factor,
    grid_size,
    grow,
    halve,
    invert,
    mix,
    resize_flow,
    sample_sharp,
    shrink,
    strips,
    to_16bit,
    widened,
    write_grid_samples,
)
from vidtrans.temporal.settings import DeflickerSettings
from vidtrans.temporal.stream import Sample, Window
from vidtrans.video.colour.conversion import to_float, to_uint16

# Squared difference between the flow and the flow back at which a path's reliability is ½: of two estimates (in frame
# pixels²), and of an estimate and its inverse (in grid pixels²). Two usable estimates may differ by some pixels.
ESTIMATE_SLACK, INVERSE_SLACK = 8.0, 0.1
# Squared gradient of the flow, |∇f|², at which the trust in a path is halved, because this is likely a motion boundary;
# a zoom by a tenth between two frames has 0.02
HALF_TRUST_GRADIENT = 0.5
# Distance beyond the outer pixel centres, in grid pixels, at which a path leaves the picture. It is not exactly half a
# pixel, because motion by whole pixels often leads exactly there.
BORDER_TOLERANCE = 0.55
STATISTICS_RADIUS = 2  # Number of frames before and after a frame that are compared with it for its change statistics
LOW_SIGMA = 1.25  # σ, in grid pixels, of the blur whose result is the low frequencies; the bands are the rest
FINE_SIGMA = 0.8  # σ, in pixels of the frame, of the blur that separates the finer luma band from the coarser band
BLUR_MARGIN = 4  # Number of rows on each side of a strip that are blurred with the strip, so that it has no seams
POOL_SIGMA = 3.0  # σ, in grid pixels, of the Gaussian window in which change statistics are averaged
WIDE_SIGMA = 8.0  # σ, in grid pixels, of the wider window in which the energy that resampling loses is averaged
NOISE_VARIANCE = 2e-5  # Variance of the source's changes, for luma in [0, 1], below which they count as noise
MAX_SLOPE = 3.0  # Limit, ±, of the slope: the output's luma change divided by the source's luma change
# The next two constants are shares of a luma band's energy that flickers: it changes between frames, but not as the
# source does. Measured: at most 0.01 under a tone curve on real footage, 0.02 with a flickering automatic white
# balance, 0.1 to 0.4 where style networks boil (change detail at random).
FLICKER_SHARE = 0.02  # Share from which detail is averaged over time even where the source changes
BOIL_SHARE = 0.1  # Share from which detail boils (changes at random), and is averaged over the longer window
MAX_GAIN = 2.0  # Largest factor by which the contrast of averaged detail is raised; 1 / MAX_GAIN is the smallest
# Factor by which the measured loss of contrast by resampling is exaggerated, because it is measured over a whole band,
# but the band's highest frequencies lose more
RESTORE_GAIN = 2.5
EPSILON = 1e-7  # Number added to divisors, so that none is zero


@dataclass(frozen=True)
class FlowPath:
    """The motion from one frame to another on a coarse grid: the flow (``u``, ``v``) in grid pixels, its reliability.

    All arrays are (h, w) float32; ``reliable`` is 0 to 1.
    """

    u: np.ndarray
    v: np.ndarray
    reliable: np.ndarray

    def sample(self, picture: np.ndarray) -> np.ndarray:
        """Sample a picture on the grid, (h, w) or (h, w, 4), float32 or uint16, at the path's target positions."""
        x, y = grid_axes(*self.u.shape)
        return cv2.remap(picture, x + self.u, y + self.v, cv2.INTER_LINEAR, borderMode=BORDER)

    def join(self, second: FlowPath) -> FlowPath:
        """Return the path along this path and then along ``second``, which starts at the frame where this path ends."""
        # The reliability is packed twice, because OpenCV samples four channels as quickly as one.
        packed = cv2.merge([second.u, second.v, second.reliable, second.reliable])
        u, v, reliable, _ = cv2.split(self.sample(packed))
        return FlowPath(u + self.u, v + self.v, reliable * self.reliable)

    def evenness(self) -> np.ndarray:
        """Return a weight that falls at motion boundaries, (h, w) float32: 1 / (1 + (|∇f|² / HALF_TRUST_GRADIENT)²).

        A dense flow changes gradually across such a boundary (Ruder et al., "Artistic style transfer for videos", GCPR
        2016), so that paths lead from one side to the other. The forward–backward test and the colours often miss this.
        """
        total = np.zeros_like(self.u)
        for along in ((1, 0), (0, 1)):
            for part in (self.u, self.v):
                slope = cv2.Sobel(
                    part, cv2.CV_32F, *along, ksize=1, scale=0.5 / HALF_TRUST_GRADIENT**0.5, borderType=BORDER
                )
                total += slope * slope
        return 1 / (1 + total * total)

    def in_pixels(self, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the flow's u and v at the grid points, (h, w) each, in pixels of a frame of ``width`` × ``height``."""
        rows, columns = self.u.shape
        return self.u * np.float32(width / columns), self.v * np.float32(height / rows)

    def full_size(self, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the flow's u and v enlarged to a frame's size, (height, width) each, in pixels of the frame."""
        u, v = self.in_pixels(width, height)
        return grow(u, (width, height)), grow(v, (width, height))

    def from_cells(self, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """Return where the flow leads from the first frame pixel of each grid cell: x and y in pixels, (h, w) each."""
        (rows, columns), factor = self.u.shape, np.float32(grid_factor(height, width))
        x, y = grid_axes(rows, columns)
        # Positions are multiples of ``factor``, not of width / columns, because the last cells may be narrower.
        return x * factor + self.u * np.float32(width / columns), y * factor + self.v * np.float32(height / rows)


def _path_from_flow(flow: np.ndarray, backward: np.ndarray, slack: float) -> FlowPath:
    """Return the path along a ``flow``; its reliability is its consistency with the flow ``backward``.

    ``slack``: the squared error, in grid pixels², at which the reliability is ½.
    """
    u, v = cv2.split(flow)
    return FlowPath(u, v, flow_consistency(flow, backward, slack, BORDER_TOLERANCE))


def slack_between(size: tuple[int, int], *, inverts: bool) -> float:
    """Return the squared flow error, in grid pixels², at which a path's reliability is ½.

    ``size``: (height, width) of the frame. ``inverts``: see ``FlowTracker``.
    """
    return INVERSE_SLACK if inverts else ESTIMATE_SLACK / grid_factor(*size) ** 2


class FlowTracker:
    """An estimator of the flow between the frames of a window, on the grid, and of the trust in this flow.

    ``inverts``: estimate the flow between two neighbours in one direction only, and invert it for the other. This takes
    half the time, and leaves less flicker than two estimates, which differ even where both are usable. A filter of only
    two frames needs the difference of two estimates: colours alone would let it mix in content that does not match.
    """

    def __init__(self, settings: DeflickerSettings, device: str, *, inverts: bool) -> None:
        self._inverts = inverts
        self._estimator = FlowEstimator(settings.flow, settings.flow_size or None, device)
        self._tolerance = settings.colour_sigma
        self._worker = ThreadPoolExecutor(1, "flow")  # In parallel to the filter, because OpenCV releases the GIL

    def expect(self, before: Sample, after: Sample) -> None:
        """Start to estimate the flow between two neighbouring frames in a background thread."""
        if "pair" not in before.derived:
            before.derived["pair"] = self._worker.submit(self._estimate, before, after)

    def neighbours(self, window: Window, at: int, steps: Iterable[int]) -> list[tuple[int, FlowPath, np.ndarray]]:
        """Return (position, path, trust) for each step, in frames, from frame ``at`` that stays in the window.

        Steps are powers of 2, positive or negative. The trust, (h, w) float32 from 0 to 1 on the grid, is the
        confidence that the path leads to the same content.
        """
        found, here = [], window.samples[at]
        for step in steps:
            if 0 <= at + step < len(window.samples):
                path = here.derived.get(("path", step)) or self._path(window, at, step)
                trust = here.derived.get(("trust", step))
                if trust is None:
                    trust = here.derived["trust", step] = self.trust(here, window.samples[at + step], path)
                found.append((at + step, path, trust))
        return found

    def _path(self, window: Window, at: int, step: int) -> FlowPath:
        """Return the path from frame ``at`` to the frame ``step`` frames later (negative: earlier).

        A path over several frames is joined from two halves.
        """
        if abs(step) == 1:
            before, after = window.samples[min(at, at + step)], window.samples[max(at, at + step)]
            if "pair" not in before.derived:
                self.expect(before, after)
            pair: Future[tuple[FlowPath, FlowPath]] = before.derived["pair"]
            return pair.result()[0 if step > 0 else 1]
        derived, half = window.samples[at].derived, step // 2
        if ("path", step) not in derived:
            derived["path", step] = self._path(window, at, half).join(self._path(window, at + half, half))
        path: FlowPath = derived["path", step]
        return path

    def trust(self, here: Sample, there: Sample, path: FlowPath) -> np.ndarray:
        """Return the confidence, (h, w) float32, 0 to 1, that a path joins equal content in ``here`` and ``there``."""
        difference = cv2.subtract(path.sample(self._guide(there)), self._guide(here), dtype=cv2.CV_32F)
        difference *= difference
        distance = (difference.reshape(-1, 4) @ np.ones(4, np.float32)).reshape(path.u.shape)
        return path.reliable * cv2.exp(distance * np.float32(-0.5 / (self._tolerance * 65535) ** 2))

    def _estimate(self, before: Sample, after: Sample) -> tuple[FlowPath, FlowPath]:
        """Estimate the flow between two neighbouring frames; return the paths forward and backward."""
        first = before.derived.pop("prepared", None)  # It was prepared as the second frame of the preceding pair
        first = self._estimator.prepare(before.guide) if first is None else first
        second = after.derived["prepared"] = self._estimator.prepare(after.guide)
        height, width = before.guide.shape[:2]
        size = grid_size(height, width)
        if self._inverts:
            there = resize_flow(self._estimator.estimate(first, second), *size)
            backward = invert(there)
        else:
            there, backward = (resize_flow(f, *size) for f in self._estimator.estimate_both(first, second))
        slack = slack_between((height, width), inverts=self._inverts)
        return _path_from_flow(there, backward, slack), _path_from_flow(backward, there, slack)

    @staticmethod
    def _guide(sample: Sample) -> np.ndarray:
        """Return a frame's guide picture shrunk to the grid, opaque RGBA, (h, w, 4) uint16; cached in the sample."""
        cached: np.ndarray | None = sample.derived.get("guide")
        if cached is None:
            # OpenCV shrinks 16-bit pictures four times as fast as 8-bit ones.
            small = shrink(to_uint16(sample.guide), grid_size(*sample.guide.shape[:2]))
            cached = sample.derived["guide"] = cv2.cvtColor(small, cv2.COLOR_RGB2RGBA)
        return cached


def pack_channels(output: np.ndarray, guide: np.ndarray) -> np.ndarray:
    """Pack the output's RGB and the guide's luma in (H, W, 4) uint8 or uint16, so that both are resampled at once."""
    output_band, luma = cv2.cvtColor(output, cv2.COLOR_RGB2RGBA), grey(guide)
    if output_band.dtype != luma.dtype:
        output_band, luma = to_uint16(output_band), to_uint16(luma)
    return cv2.insertChannel(luma, output_band, 3)


def frame_on_grid(sample: Sample) -> np.ndarray:
    """Return a frame's output RGB and guide luma on the grid, (h, w, 4) uint16 in the ``PICTURE`` range; cached."""
    cached: np.ndarray | None = sample.derived.get(("low", 0))
    if cached is None:
        size = grid_size(*sample.output.shape[:2])
        cached = shrink(to_16bit(pack_channels(sample.output, sample.guide), PICTURE), size)
        sample.derived["low", 0] = cached
    return cached


@dataclass(frozen=True)
class _ChangeStatistics:
    """How the output changes around each grid point: (2, h, w) float32 at half the grid's size, a plane for each band.

    ``slope``: the output's change for a change of 1 in the source. ``flicker``: the variance of the output's changes
    that the slope does not explain. ``energy``: the energy of the output, resampled along the motion. ``lost``: the
    energy of the frames without resampling, divided by ``energy``, in a wide window; above 1 where resampling loses
    contrast.
    """

    slope: np.ndarray
    flicker: np.ndarray
    energy: np.ndarray
    lost: np.ndarray

    def relative_flicker(self, share: float) -> np.ndarray:
        """Return flicker / (``share`` · energy), clipped to [0, 1]: 1 where this share of the energy flickers."""
        return np.clip(self.flicker / (share * self.energy + EPSILON), 0, 1)

    def gains(self, averaged: np.ndarray) -> np.ndarray:
        """Return factors, at half the grid's size, that restore contrast in averaged bands, (2, h, w) on the grid."""
        averaged_energy = _pool(averaged**2)
        gain = np.clip(np.sqrt((self.energy + 1e-6) / (averaged_energy + 1e-6)), 1 / MAX_GAIN, MAX_GAIN)
        restored = 1 + RESTORE_GAIN * (np.clip(np.sqrt(self.lost), 1, 1.5) - 1) * self.relative_flicker(FLICKER_SHARE)
        return gain * restored


@dataclass(frozen=True)
class FrameBands:
    """The two luma bands (finer, coarser detail) of a frame's output and of its guide.

    ``picture``: (H, W, 4) uint16 in the ``BAND`` range: the output's luma in the finer and the coarser band, then the
    guide's luma in both. ``on_grid``: the same bands at the grid points, (4, h, w) float32. ``energy``: the output's
    energy in each band, averaged around each point, at half the grid's size, (2, h, w) float32.
    """

    picture: np.ndarray
    on_grid: np.ndarray
    energy: np.ndarray

    @classmethod
    def of(cls, sample: Sample) -> FrameBands:
        """Compute the luma bands of a frame."""
        height, width = sample.output.shape[:2]
        columns, rows_on_grid = grid_size(height, width)
        packed = np.empty((height, width, 4), np.uint16)
        on_grid = np.empty((4, rows_on_grid, columns), np.float32)
        lows = _low_lumas(from_16bit(frame_on_grid(sample), PICTURE), height, width)
        for rows in strips(height, width):
            wide, inner = widened(rows, BLUR_MARGIN, height)
            picture = to_float(pack_channels(sample.output[wide], sample.guide[wide]))  # Without rounding to 8 bits
            pairs = [_split(luma, inner, low[rows]) for luma, low in zip(_lumas(picture), lows, strict=True)]
            found = [band for pair in pairs for band in pair]
            packed[rows] = to_16bit(cv2.merge(found), BAND)
            for band, samples in zip(found, on_grid, strict=True):
                write_grid_samples(band, rows, samples, grid_factor(height, width))
        return cls(packed, on_grid, _pool(on_grid[:2] ** 2))


@dataclass(frozen=True)
class DetailCorrection:
    """The correction of a frame's fine detail: the rows from ``fine``, minus the low frequencies of ``low_change``.

    ``residual``: the average over frames, minus the frame, minus the average's luma in the bands, (H, W, 3) uint16 in
    the ``CHANGE`` range. ``bands``: the averaged bands, (H, W, 2) uint16 in the ``BAND`` range. ``gains``: the factor
    of each band, (H, W) float32. ``low_change``: the average minus the frame on the grid, (h, w, 3) float32. ``slope``:
    the output's change per change of the guide in the coarser band, (h, w).
    """

    residual: np.ndarray
    bands: np.ndarray
    gains: list[Enlarged]
    low_change: np.ndarray
    slope: np.ndarray

    def fine(self, rows: slice) -> np.ndarray:
        """Return the given ``rows`` of the fine-detail correction in RGB, (number of rows, W, 3) float32."""
        residual, bands = from_16bit(self.residual[rows], CHANGE), from_16bit(self.bands[rows], BAND)
        scaled_bands = [cv2.multiply(band, gain[rows]) for band, gain in zip(cv2.split(bands), self.gains, strict=True)]
        luma = cv2.add(*scaled_bands)
        return cv2.add(residual, cv2.merge([luma] * 3))


class FineDetail:
    """A function that computes how averaging along the motion corrects a frame's fine detail."""

    def __init__(self, tracker: FlowTracker, settings: DeflickerSettings) -> None:
        self._tracker, self._settings = tracker, settings
        self._worker = ThreadPoolExecutor(1, "bands")  # In parallel to the filter

    def expect(self, sample: Sample) -> None:
        """Start to compute a frame's luma bands in a background thread."""
        if "bands" not in sample.derived:
            frame_on_grid(sample)  # Cached here, because two threads would otherwise compute it at the same time
            sample.derived["bands"] = self._worker.submit(FrameBands.of, sample)

    def _bands(self, sample: Sample) -> FrameBands:
        """Return the luma bands of a frame; wait for them if the background thread computes them."""
        self.expect(sample)
        bands: FrameBands = sample.derived["bands"].result()
        return bands

    def __call__(self, window: Window, at: int, mean: np.ndarray, longer: Average | None = None) -> DetailCorrection:
        """Compute the fine-detail correction of frame ``at`` of the window.

        ``mean``: the average over a few frames, in the ``PICTURE`` range. ``longer``: the average over more frames,
        used where detail boils, or None. Both are (H, W, 4), the output's RGB and the guide's luma.
        """
        sample, (height, width) = window.samples[at], mean.shape[:2]
        size, factor = grid_size(height, width), grid_factor(height, width)
        changes = self._changes(window, at)
        if longer is not None:
            mean = _lengthen(mean, longer, changes.relative_flicker(BOIL_SHARE).max(axis=0))
        small = from_16bit(shrink(mean, size), PICTURE)
        lows = _low_lumas(small, height, width)
        slopes = self._settings.keep_source_changes * changes.slope * (1 - changes.relative_flicker(FLICKER_SHARE))
        residual, averaged = (np.empty((height, width, channels), np.uint16) for channels in (3, 2))
        on_grid = np.empty((2, *size[::-1]), np.float32)
        full_slopes, own = [enlarged(slope, height, width) for slope in slopes], self._bands(sample).picture
        for rows in strips(height, width):
            wide, inner = widened(rows, BLUR_MARGIN, height)
            part = from_16bit(mean[wide], PICTURE)
            output_bands, guide_bands = [
                _split(luma, inner, low[rows]) for luma, low in zip(_lumas(part), lows, strict=True)
            ]
            frame_guide_bands = cv2.split(from_16bit(own[rows], BAND))[2:]
            for output_band, guide, before, slope, samples in zip(
                output_bands, guide_bands, frame_guide_bands, full_slopes, on_grid, strict=True
            ):
                cv2.subtract(guide, before, dst=guide)
                cv2.multiply(guide, slope[rows], dst=guide)
                cv2.subtract(output_band, guide, dst=guide)
                write_grid_samples(guide, rows, samples, factor)
            averaged[rows] = to_16bit(cv2.merge(guide_bands), BAND)
            residual[rows] = to_16bit(_difference(part[inner], sample.output[rows], cv2.add(*output_bands)), CHANGE)
        gains = self._settings.texture_gain * (changes.gains(on_grid) - 1) + 1
        low_change = small - from_16bit(frame_on_grid(sample), PICTURE)
        restored = [enlarged(gain, height, width) for gain in gains]
        return DetailCorrection(residual, averaged, restored, low_change[..., :3], grow(slopes[1], size))

    def _changes(self, window: Window, at: int) -> _ChangeStatistics:
        """Compute statistics of the changes from frame ``at`` to frames up to two frames away, along the motion."""
        here = self._bands(window.samples[at])
        own, frame_energy = here.on_grid, here.energy.copy()
        energy = own[:2] ** 2
        # Sums over all neighbours (``total``), and over the adjacent frames only (``near``): in planes 0 and 1 of the
        # output's change times the guide's change, in planes 2 and 3 of the guide's squared change
        total, near = np.zeros_like(own), np.zeros_like(own)
        near_look = np.zeros_like(energy)
        weight, near_weight, count = np.ones(own.shape[1:], np.float32), np.zeros(own.shape[1:], np.float32), 0
        for place, path, trust in self._tracker.neighbours(window, at, (1, -1, 2, -2)):
            other = self._bands(window.samples[place])
            places = path.from_cells(*other.picture.shape[1::-1])
            there = _planes(from_levels(sample_sharp(other.picture, *places), BAND))
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
        output_times_guide, guide = np.split(_pool(total), 2)
        slope = np.clip(output_times_guide / (guide + NOISE_VARIANCE * count), -MAX_SLOPE, MAX_SLOPE)
        near_both, near_guide = np.split(_pool(near), 2)
        unexplained = _pool(near_look) - 2 * slope * near_both + slope**2 * near_guide
        flicker = 0.5 * np.maximum(unexplained, 0) / (_pool(near_weight[None]) + 1e-3)
        mean, own_energy = _pool(energy / weight), frame_energy / halve(weight)
        wide = _planes(blur(cv2.merge([*own_energy, *mean]), WIDE_SIGMA / 2)) + EPSILON
        lost = wide[:2] / wide[2:]
        return _ChangeStatistics(slope, flicker, mean, lost)


def _planes(picture: np.ndarray) -> np.ndarray:
    """Split a picture (H, W[, C]) into planes (C, H, W), because numpy is slow on a short last axis."""
    return np.stack(cv2.split(picture))


def _along(planes: np.ndarray, path: FlowPath) -> np.ndarray:
    """Sample two planes (2, h, w) at half the grid's size at the positions to which a path on the grid leads."""
    rows, columns = planes.shape[1:]
    x, y = grid_axes(rows, columns)
    x = x + halve(path.u) * np.float32(columns / path.u.shape[1])
    y = y + halve(path.v) * np.float32(rows / path.v.shape[0])
    # OpenCV 5 rounds sampling positions to 1/32 pixel for two channels, and only for two, so four are passed.
    return _planes(cv2.remap(cv2.merge([*planes, *planes]), x, y, cv2.INTER_LINEAR, borderMode=BORDER))[:2]


def _pool(statistics: np.ndarray) -> np.ndarray:
    """Average values on the grid, (C, h, w), in a Gaussian window around each point; return them at half the size."""
    return _planes(blur(halve(cv2.merge(list(statistics))), POOL_SIGMA / 2))


def _lumas(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the luma (ITU-R BT.601) of the RGB in (H, W, 4) float32, and the fourth channel, (H, W) each."""
    return cv2.cvtColor(picture, cv2.COLOR_RGBA2GRAY), cv2.extractChannel(picture, 3)


def _low_lumas(on_grid: np.ndarray, height: int, width: int) -> list[Enlarged]:
    """Return the low frequencies of the output's and the guide's luma, enlarged to (height, width) pixels.

    ``on_grid``: (h, w, 4) float32, the output's RGB and the guide's luma.
    """
    return [enlarged(luma, height, width) for luma in _lumas(blur(on_grid, LOW_SIGMA))]


def _split(luma: np.ndarray, inner: slice, low: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the finer and the coarser band of the rows ``inner`` of a luma (H, W) float32.

    ``low``: the low frequencies of these rows, which the coarser band excludes.
    """
    fine = blur(luma, FINE_SIGMA)[inner]
    return luma[inner] - fine, fine - low


def _lengthen(mean: np.ndarray, longer: Average, share: np.ndarray) -> np.ndarray:
    """Mix two averages, (H, W, 4) uint16. ``share``: weight, 0 to 1, of the ``longer`` average, on a coarse grid."""
    height, width = mean.shape[:2]
    mixed, shares = np.empty_like(mean), enlarged(share, height, width)
    for rows in strips(height, width):
        mixed[rows] = mix(mean[rows], longer[rows], shares[rows])
    return mixed


def _difference(mean: np.ndarray, output: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """Return the RGB of ``mean`` (H, W, 4) in [0, 1], minus ``output``, minus ``luma`` (H, W): (H, W, 3) float32."""
    colours = cv2.cvtColor(mean, cv2.COLOR_RGBA2RGB)
    part = cv2.addWeighted(colours, 1, output, -1 / np.iinfo(output.dtype).max, 0, dtype=cv2.CV_32F)
    part -= cv2.merge([luma] * 3)
    return part
