"""Motion and fine detail of a batch of frames: the arithmetic of the module ``along_motion``, in torch.

``motions`` hold the motion from each frame ``i`` to the frame ``i + step``, and back, under the number ``i``:
(n, 2, 6, h, w) float32. The six channels of each direction are the target position (in ``grid_sample`` coordinates),
the flow (u, v) in grid pixels, its reliability, and the trust in it. Bands have four channels: the output's luma in the
finer and the coarser band, then the guide's luma in both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional as F

from vidtrans.core.settings import Size as PictureSize
from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import FlowMethod
from vidtrans.flow.warping import INVERSION_STEPS, grid_factor
from vidtrans.temporal.along_motion import (
    BOIL_SHARE,
    BORDER_TOLERANCE,
    EPSILON,
    FINE_SIGMA,
    FLICKER_SHARE,
    HALF_TRUST_GRADIENT,
    LOW_SIGMA,
    MAX_GAIN,
    MAX_SLOPE,
    NOISE_VARIANCE,
    POOL_SIGMA,
    RESTORE_GAIN,
    WIDE_SIGMA,
    slack_between,
)
from vidtrans.temporal.settings import DeflickerSettings
from vidtrans.temporal.tensor_operations import (
    RollingBuffer,
    Size,
    blur,
    grey_levels,
    grow,
    interior,
    planes,
    ratio,
    sample_along,
    sample_sharply,
    sharp_pictures,
    sharp_positions,
    shrink,
    write_luma,
    write_positions,
)
from vidtrans.temporal.window import BOIL_EPSILON, SURE_SHARE, SURROUNDINGS_SIZE

# Function that estimates the flow, (N, 2, H, W) float32 in pixels, from the first to the second pictures, (N, C, H, W)
# with values from 0 to 255
BatchFlow = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
FORWARD, BACKWARD = 0, 1  # Indices in ``motions``, (n, 2, 6, h, w), of the motion to the later and to the earlier frame
CHANNELS = 6  # Number of channels of a motion: target position x and y, flow x and y, reliability, trust
# Channels of a motion: target positions (x, y), flow (u, v), reliability of the flow, trust in equal content
POSITIONS, FLOW, RELIABILITY, TRUST = slice(0, 2), slice(2, 4), 4, 5
NUM_TERMS = 9  # Number of values at a grid point that are summed over a frame's neighbours; see ``BatchDetail._terms``


def load_batch_flow(name: str, device: torch.device) -> BatchFlow:
    """Load a flow method for batches; a method without batches is called for each pair of pictures."""
    method = FLOWS.load(name)(str(device))
    estimate: BatchFlow | None = getattr(method, "estimate", None)
    return estimate if estimate is not None else _PairwiseFlow(method)


@dataclass(frozen=True)
class Neighbours:
    """The frames of a batch that have a neighbour in one direction, and the motion to the neighbour, (n, 6, h, w)."""

    part: slice  # Indices of the frames in the batch
    there: slice  # Numbers of their neighbours in the shot
    motion: torch.Tensor


def neighbours(motions: RollingBuffer, step: int, direction: int, frames: slice, stop: int) -> Neighbours | None:
    """Return the ``frames`` with a neighbour ``step`` frames after (FORWARD) or before them; None without neighbours.

    ``stop``: the end of the shot's frames that were added so far; ``frames`` must not exceed it.
    """
    shift = step if direction == 0 else -step
    first = max(frames.start, -shift)
    last = min(frames.stop, stop - shift)
    if first >= last:
        return None
    part, there = (slice(first - by, last - by) for by in (frames.start, -shift))
    return Neighbours(part, there, motions[slice(first, last) if direction == 0 else there][:, direction])


def evenness(motion: torch.Tensor) -> torch.Tensor:
    """Return a weight, (n, h, w), that is 1 for even motion, (n, 6, h, w), and lower at motion boundaries.

    See ``FlowPath.evenness``.
    """
    wide = F.pad(motion[:, FLOW], (1, 1, 1, 1), mode="replicate")
    # Compute all gradients in one convolution: ``flow.inverse_search.gradients`` launches four more GPU kernels.
    slopes = F.conv2d(wide, _differences(motion.device), groups=2)
    return torch.linalg.vector_norm(slopes, dim=1).pow_(4).add_(1).reciprocal_()


@lru_cache(maxsize=8)
def _differences(device: torch.device) -> torch.Tensor:
    """Return kernels for the horizontal and vertical differences of two channels, (4, 1, 3, 3)."""
    kernel = torch.zeros(2, 1, 3, 3)
    kernel[0, 0, 1], kernel[1, 0, :, 1] = torch.tensor([-1.0, 0, 1]), torch.tensor([-1.0, 0, 1])
    return (kernel * (0.5 / HALF_TRUST_GRADIENT**0.5)).repeat(2, 1, 1, 1).to(device)


class _PairwiseFlow:
    """A ``BatchFlow`` that downloads the pictures and calls a flow method for numpy pictures on each pair."""

    def __init__(self, method: FlowMethod) -> None:
        self._method = method

    def __call__(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        pictures = [np.ascontiguousarray(p.byte().movedim(1, -1).cpu().numpy()) for p in (first, second)]
        if first.shape[1] == 1:
            pictures = [p[..., 0] for p in pictures]
        flows = np.stack([self._method(a, b) for a, b in zip(*pictures, strict=True)])
        return torch.from_numpy(flows).movedim(-1, 1).to(first.device)


class BatchTracker:
    """An estimator of the motion between frames of a shot, and of the trust in the motion, in batches of frames."""

    def __init__(
        self,
        settings: DeflickerSettings,
        flow: BatchFlow,
        size: Size,
        grid: Size,
        steps: int,
        *,
        inverts: bool,
    ) -> None:
        """``steps``: the number of steps 1, 2, 4, … over which motion is estimated. Sizes are (height, width).

        ``flow`` takes the same kind of pictures, grey or RGB, as ``settings.flow``. ``inverts``: as in ``FlowTracker``.
        """
        self._inverts, self._slack = inverts, slack_between(size, inverts=inverts)
        self._flow, self._takes, self._tolerance = flow, FLOWS[settings.flow].takes, settings.colour_sigma
        flow_size = settings.flow_size
        self._size, self._grid = size, grid
        width, height = PictureSize(short=flow_size).of(*size[::-1]) if 0 < flow_size < min(size) else size[::-1]
        self._working = (height, width)
        self.steps = [2**n for n in range(steps)]

    def buffers(self, device: torch.device) -> dict[str, RollingBuffer]:
        """Return empty buffers: "prepared" (the flow's input), "guide" (on the grid), "motion 1", … for each step."""
        channels = 1 if self._takes == "grey" else 3
        motions = {f"motion {step}": RollingBuffer(2, CHANNELS, *self._grid, device=device) for step in self.steps}
        prepared = RollingBuffer(channels, *self._working, dtype=torch.uint8, device=device)
        return {"prepared": prepared, "guide": RollingBuffer(3, *self._grid, device=device), **motions}

    def prepare(self, guide: torch.Tensor, grey: torch.Tensor, full: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the flow method's input for frames, and the guide on the grid, (n, 3, h, w) in [0, 1].

        ``guide`` (n, 3, H, W) and its luma ``grey`` (n, H, W) have integer values up to ``full``.
        """
        picture = grey[:, None] if self._takes == "grey" else guide
        if self._working != self._size:
            picture = _round_in_place(shrink(picture, self._working))
        if full > 255:
            picture = _round_in_place(picture * (255 / full))
        return picture.byte(), shrink(guide, self._grid).mul_(1 / full)

    def write_first(self, prepared: torch.Tensor, guide: torch.Tensor, motions: torch.Tensor) -> None:
        """Estimate the motion between n + 1 consecutive frames, and write it to ``motions``, (n, 2, 6, h, w).

        ``prepared``, ``guide``: from ``prepare``, for these frames.
        """
        pictures = prepared.float()
        before, after = pictures[:-1], pictures[1:]
        has_motion = (before != after).flatten(1).any(1)[:, None, None, None]
        if self._inverts:
            motions[:, FORWARD, FLOW] = self._on_grid(self._flow(before, after).mul_(has_motion))
            torch.neg(_sample_along_inverse(motions[:, FORWARD, FLOW]), out=motions[:, BACKWARD, FLOW])
        else:
            flow = self._flow(torch.cat((before, after)), torch.cat((after, before))).mul_(
                has_motion.repeat(2, 1, 1, 1)
            )
            motions[:, :, FLOW] = self._on_grid(flow).unflatten(0, (2, -1)).transpose(0, 1)
        write_positions(motions[:, :, FLOW], motions[:, :, POSITIONS])
        for direction in (FORWARD, BACKWARD):
            back = sample_along(motions[:, 1 - direction, FLOW], motions[:, direction, POSITIONS])
            motions[:, direction, RELIABILITY] = _agreement(motions[:, direction], back, self._slack)
        self._trust(motions, guide[:-1], guide[1:])

    def write_joined(self, motions: torch.Tensor, guide: torch.Tensor, step: int, long_motions: torch.Tensor) -> None:
        """Join pairs of motions over ``step`` frames each, and write ``long_motions`` over 2 · ``step`` frames.

        ``motions``: (n + ``step``, 2, 6, h, w). ``long_motions``: (n, 2, 6, h, w).

        ``guide``: the grid pictures of all n + 2 · ``step`` frames.
        """
        near, far = motions[:-step], motions[step:]
        for direction, first, second in ((FORWARD, near, far), (BACKWARD, far, near)):
            found = sample_along(second[:, direction, FLOW.start : TRUST], first[:, direction, POSITIONS])
            torch.add(first[:, direction, FLOW], found[:, :2], out=long_motions[:, direction, FLOW])
            torch.mul(first[:, direction, RELIABILITY], found[:, 2], out=long_motions[:, direction, RELIABILITY])
        write_positions(long_motions[:, :, FLOW], long_motions[:, :, POSITIONS])
        self._trust(long_motions, guide[: -2 * step], guide[2 * step :])

    def _trust(self, motions: torch.Tensor, here: torch.Tensor, there: torch.Tensor) -> None:
        """Write the channel ``TRUST`` of ``motions``: 0 to 1, that their two ends show the same content.

        ``here``, ``there``: the guides at the two ends, (n, 3, h, w) on the grid.
        """
        difference = motions.new_empty((len(motions), 2, 3, *self._grid))
        for direction, (own, other) in enumerate(((here, there), (there, here))):
            torch.sub(sample_along(other, motions[:, direction, POSITIONS]), own, out=difference[:, direction])
        distance = difference.square_().sum(2)
        torch.mul(distance.mul_(-0.5 / self._tolerance**2).exp_(), motions[:, :, RELIABILITY], out=motions[:, :, TRUST])

    def _on_grid(self, flow: torch.Tensor) -> torch.Tensor:
        """Resize a flow to the grid and convert it to grid pixels, as ``warping.resize_flow`` does."""
        working: Size = tuple(flow.shape[-2:])  # type: ignore[assignment]
        if working == self._grid:
            return flow
        smaller = self._grid[0] <= working[0] and self._grid[1] <= working[1]
        return (shrink if smaller else grow)(flow, self._grid).mul_(ratio(working, self._grid, flow.device))


def _sample_along_inverse(flow: torch.Tensor) -> torch.Tensor:
    """Sample a flow, (n, 2, h, w) in pixels, along its inverse, which is estimated as in ``warping.invert``."""
    found, positions = flow, torch.empty_like(flow)
    for _ in range(INVERSION_STEPS):
        write_positions(found, positions, sign=-1)
        found = sample_along(flow, positions)
    return found


def _round_in_place(pictures: torch.Tensor) -> torch.Tensor:
    """Round non-negative values to integers, in place."""
    return pictures.add_(0.5).floor_()


def _agreement(motion: torch.Tensor, returned: torch.Tensor, slack: float) -> torch.Tensor:
    """Return the consistency, (n, h, w), 0 to 1, of a motion with the flow back, as ``warping.flow_consistency`` does.

    ``returned``: the flow back, sampled at the motion's targets, (n, 2, h, w); it is overwritten. ``slack``: see
    ``slack_between``.
    """
    flow, positions = motion[:, FLOW], motion[:, POSITIONS]
    scale = torch.addcmul(flow.square(), returned, returned).sum(1).mul_(0.01).add_(slack)
    gap = returned.add_(flow).square_().sum(1)
    low, high = _edges(*motion.shape[-2:], motion.device)
    inside = ((positions >= low) & (positions <= high)).all(1)
    return scale.mul(inside).div_(gap.add_(scale))


@lru_cache(maxsize=8)
def _edges(height: int, width: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the smallest and the largest coordinates (x, y) inside the picture, for grid_sample: (2, 1, 1) each.

    ``BORDER_TOLERANCE`` pixels beyond the outer pixel centres count as inside.
    """
    sides = np.array([width, height])
    low, high = (2 * at / np.maximum(sides - 1, 1) - 1 for at in (-BORDER_TOLERANCE, sides - 1 + BORDER_TOLERANCE))
    return tuple(torch.from_numpy(at.astype(np.float32)).view(2, 1, 1).to(device) for at in (low, high))  # type: ignore[return-value]


@dataclass(frozen=True)
class BatchChanges:
    """How outputs change around each grid point, (n, 2, h/2, w/2) float32: ``_ChangeStatistics`` of n frames."""

    slope: torch.Tensor
    flicker: torch.Tensor
    energy: torch.Tensor
    lost: torch.Tensor

    def relative_flicker(self, share: float) -> torch.Tensor:
        """Return flicker / (``share`` · energy), clipped to [0, 1]: 1 where this share of the energy flickers."""
        return (self.flicker / (self.energy * share).add_(EPSILON)).clamp_(0, 1)


class BatchDetail:
    """Functions for the luma bands of pictures of one size: bands, statistics of changes, fine-detail correction."""

    def __init__(self, settings: DeflickerSettings, size: Size, grid: Size, steps: list[int]) -> None:
        """``size``, ``grid``: (height, width). ``steps``: distances in frames of the neighbours in the statistics."""
        self._settings, self._size, self._grid, self._steps = settings, size, grid, steps
        self._factor = grid_factor(*size)
        self.half = (-(-grid[0] // 2), -(-grid[1] // 2))

    def split(self, picture: torch.Tensor, bands: torch.Tensor) -> None:
        """Split the luma of the output and of the guide into ``bands``, (n, 4, H, W): finer and coarser, output first.

        ``picture``: (n, 4, H, W), the output's RGB and the guide's luma.
        """
        lumas = picture.new_empty((len(picture), 2, *self._size))
        write_luma(lumas, picture)
        low = blur(shrink(lumas, self._grid), LOW_SIGMA)
        fine = blur(lumas, FINE_SIGMA)
        torch.sub(lumas, fine, out=bands[:, 0::2])
        torch.sub(fine, grow(low, self._size), out=bands[:, 1::2])

    def energy(self, bands: torch.Tensor) -> torch.Tensor:
        """Return the energy (mean square) of the output's two bands around each grid point, (n, 2, h/2, w/2).

        ``bands``: from ``split``, (n, 4, H, W).
        """
        return self._pool(self._at_grid_points(bands[:, :2]).square())

    def _at_grid_points(self, bands: torch.Tensor) -> torch.Tensor:
        """Return the values of ``bands``, (…, H, W), at the grid points, (…, h, w)."""
        return bands[..., :: self._factor, :: self._factor]

    def _pool(self, statistics: torch.Tensor) -> torch.Tensor:
        """Average values on the grid, (n, C, h, w), in a Gaussian window around each point; halve their size."""
        return blur(shrink(statistics, self.half), POOL_SIGMA / 2)

    def changes(
        self, bands: RollingBuffer, energy: RollingBuffer, motions: dict[int, RollingBuffer], frames: slice
    ) -> BatchChanges:
        """Compute statistics of the changes from ``frames`` to their neighbours. ``motions``: by distance in frames.

        ``bands``: the luma bands of the shot's frames. ``energy``: from the method ``energy``, of the same frames.
        """
        reach = self._steps[-1]
        first, last = max(0, frames.start - reach), min(frames.stop + reach, bands.stop)
        sharp = sharp_pictures(bands[first:last])
        own = self._at_grid_points(interior(bands[frames])).contiguous()
        sums = own.new_zeros((len(own), 2 * NUM_TERMS, *self._grid))
        near, total = sums.chunk(2, 1)  # Sums over the adjacent frames, and over all neighbours
        frame_energy = energy[frames].clone()
        count = own.new_zeros((len(own), 1, 1, 1))
        for step in self._steps:
            target = near if step == self._steps[0] else total
            for direction in (FORWARD, BACKWARD):
                found = neighbours(motions[step], step, direction, frames, bands.stop)
                if found:
                    there = slice(found.there.start - first, found.there.stop - first)
                    terms = self._terms(sharp[there], own[found.part], found.motion)
                    target[found.part].addcmul_(terms, found.motion[:, TRUST, None])
                    self._add_energy(frame_energy[found.part], energy[found.there], found.motion)
                    count[found.part] += 1
        total += near
        return self._statistics(sums, own, frame_energy, count)

    def _terms(self, sharp: torch.Tensor, own: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
        """Return the values at the grid points, (n, NUM_TERMS, h, w), that the caller sums over neighbours.

        For each of the two bands: the output's change times the guide's change, the guide's squared change, the
        output's squared change, and the neighbour's energy. The last channel is 1, to count neighbours.
        """
        flow_px = motion[:, FLOW] * ratio(self._grid, self._size, motion.device)
        there = sample_sharply(sharp, sharp_positions(flow_px, self._size, self._factor))
        terms = own.new_empty((len(own), NUM_TERMS, *self._grid))
        torch.square(there[:, :2], out=terms[:, 6:8])
        change = there.sub_(own)
        torch.mul(change.unflatten(1, (2, 2)), change[:, None, 2:], out=terms[:, :4].unflatten(1, (2, 2)))
        torch.square(change[:, :2], out=terms[:, 4:6])
        terms[:, 8] = 1
        return terms

    def _add_energy(self, total: torch.Tensor, energy: torch.Tensor, motion: torch.Tensor) -> None:
        """Add to ``total`` the neighbours' ``energy``, sampled along the motion and weighted by the trust in it.

        ``total`` and ``energy``: (n, 2, h/2, w/2).
        """
        half = shrink(motion[:, FLOW.start :], self.half)
        positions = half[:, :2].mul_(ratio(self._grid, self.half, motion.device))
        write_positions(positions, positions)
        total.addcmul_(sample_along(energy, positions), half[:, 3:])

    def _statistics(
        self, sums: torch.Tensor, own: torch.Tensor, frame_energy: torch.Tensor, count: torch.Tensor
    ) -> BatchChanges:
        """Return the statistics from ``sums`` of the ``_terms``: over adjacent frames, then over all neighbours.

        ``own``: the frames' bands at the grid points. ``count``: the number of neighbours of each frame.
        """
        mean, weight = sums[:, NUM_TERMS + 6 : NUM_TERMS + 8], sums[:, NUM_TERMS + 8 :]
        weight += 1
        mean.addcmul_(own[:, :2], own[:, :2]).div_(weight)
        small = shrink(sums, self.half)
        pooled = blur(small, POOL_SIGMA / 2)
        near, total = pooled.chunk(2, 1)
        near_both, near_guide, near_look, near_weight = (near[:, a:b] for a, b in ((0, 2), (2, 4), (4, 6), (8, 9)))
        output_times_guide, guide, mean = total[:, :2], total[:, 2:4], total[:, 6:8]
        slope = output_times_guide.div(guide.add_(count, alpha=NOISE_VARIANCE)).clamp_(-MAX_SLOPE, MAX_SLOPE)
        unexplained = torch.addcmul(near_look, slope, (slope * near_guide).sub_(near_both, alpha=2))
        flicker = unexplained.clamp_(min=0).mul_(0.5).div_(near_weight + 1e-3)
        own_energy = frame_energy.div_(small[:, -1:])
        wide = blur(torch.cat((own_energy, mean), 1), WIDE_SIGMA / 2).add_(EPSILON)
        return BatchChanges(slope, flicker, mean, wide[:, :2] / wide[:, 2:])

    def correct(
        self,
        here: torch.Tensor,
        mean: torch.Tensor,
        longer: torch.Tensor | None,
        own: torch.Tensor,
        changes: BatchChanges,
        fine: torch.Tensor,
    ) -> torch.Tensor:
        """Write the fine-detail correction to ``fine``, (n, 3, H, W); its low frequencies are removed later.

        ``apply_corrections`` removes the low frequencies. ``here``: the frames, (n, 4, H, W). ``mean``: their averages
        over a few frames. ``longer``: averages over more frames, used where detail boils, or None. ``own``: the frames'
        bands. Returns (n, 4, h, w) on the grid: the average's RGB, from which the caller subtracts the frame's RGB, and
        the slope.
        """
        if longer is not None:
            boil_weight = grow(changes.relative_flicker(BOIL_SHARE).amax(1, keepdim=True), self._size)
            mean = torch.lerp(mean, longer, boil_weight)
        small = shrink(mean, self._grid)
        bands = torch.empty_like(own)
        self.split(mean, bands)
        slopes = self._settings.keep_source_changes * changes.slope * (1 - changes.relative_flicker(FLICKER_SHARE))
        source = bands[:, 2:].sub_(own[:, 2:])
        averaged = torch.addcmul(bands[:, :2], grow(slopes, self._size), source, value=-1)
        gains = self._gains(changes, self._at_grid_points(averaged))
        full_gains = grow((gains - 1) * self._settings.texture_gain + 1, self._size)
        luma_change = torch.addcmul(bands[:, :2], full_gains, averaged, value=-1).sum(1, keepdim=True)
        torch.sub(mean[:, :3], here[:, :3], out=fine).sub_(luma_change)
        small[:, 3:] = grow(slopes[:, 1:], self._grid)
        return small

    def _gains(self, changes: BatchChanges, averaged: torch.Tensor) -> torch.Tensor:
        """Return the factors, (n, 2, h/2, w/2), that restore contrast in ``averaged`` bands, (n, 2, h, w)."""
        averaged_energy = self._pool(averaged.square())
        gain = (changes.energy + 1e-6).div_(averaged_energy.add_(1e-6)).sqrt_().clamp_(1 / MAX_GAIN, MAX_GAIN)
        lost = changes.lost.sqrt().clamp_(1, 1.5).sub_(1)
        return gain * lost.mul_(changes.relative_flicker(FLICKER_SHARE)).mul_(RESTORE_GAIN).add_(1)


def low_correction(change: torch.Tensor, other_share: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """Compute the low-frequency correction in RGB on the grid, (n, 3, h, w), as ``window.low_correction`` does.

    ``change``: (n, 4, h, w). ``other_share`` and ``slope``: (n, 1, h, w).
    """
    correction = torch.addcmul(change[:, :3], slope, change[:, 3:], value=-1)
    height, width = other_share.shape[-2:]
    size = (max(1, height // SURROUNDINGS_SIZE), max(1, width // SURROUNDINGS_SIZE))
    weighted = correction.new_empty((len(correction), 5, height, width))
    torch.mul(correction, other_share, out=weighted[:, :3])
    torch.mul(_length(correction).square_(), other_share, out=weighted[:, 3:4])
    weighted[:, 4:] = other_share
    near = blur(shrink(weighted, size), 1)
    near = near[:, :4] / near[:, 4:].add_(0.002)
    surroundings, energy = near[:, :3], near[:, 3:]
    spread = (energy - _length(surroundings).square_()).relu_()
    disagreement = spread / energy.add_(BOIL_EPSILON)
    disagreement = torch.addcmul(disagreement, disagreement, disagreement, value=-0.5)
    grown = grow(torch.cat((surroundings, spread, disagreement), 1), (height, width))
    deviation = correction - grown[:, :3]
    boil_weight = grown[:, 3:4].div(_length(deviation).square_().add_(BOIL_EPSILON)).clamp_(max=0.5).mul_(grown[:, 4:])
    uncertainty = torch.rsub(other_share.clamp(max=SURE_SHARE), 1, alpha=1 / SURE_SHARE)
    return correction.addcmul_(uncertainty.addcmul_(uncertainty, boil_weight, value=-4), deviation, value=-1)


def _length(vectors: torch.Tensor) -> torch.Tensor:
    """Return the Euclidean lengths, (n, 1, h, w), of vectors whose components are the channels, (n, C, h, w)."""
    return torch.linalg.vector_norm(vectors, dim=1, keepdim=True)


def write_picture(
    tracker: BatchTracker, guides: torch.Tensor, outputs: torch.Tensor, picture: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Write frames to ``picture`` (n, 4, H, W), values in [0, 1]: the output's RGB and the guide's luma.

    Returns the flow method's input and the guide on the grid, as ``BatchTracker.prepare`` does.
    """
    full, output_full = (255 if part.dtype == torch.uint8 else 65535 for part in (guides, outputs))
    grey = grey_levels(planes(guides))
    torch.mul(planes(outputs), 1 / output_full, out=picture[:, :3])
    torch.mul(grey, 1 / full, out=picture[:, 3])
    return tracker.prepare(planes(guides).float(), grey, full)


def apply_corrections(
    outputs: torch.Tensor, low: torch.Tensor, low_change: torch.Tensor, fine: torch.Tensor, settings: DeflickerSettings
) -> torch.Tensor:
    """Apply corrections to frames, (n, H, W, 3): ``low`` on the grid, and ``fine``, (n, 3, H, W), at full size.

    ``low_change`` (n, 3, h, w): the low frequencies in ``fine``, which are subtracted here.
    """
    full = 255 if outputs.dtype == torch.uint8 else 65535
    scale = full * settings.strength
    low = low.sub(low_change, alpha=settings.texture_strength)
    # Add half a level for rounding, because the conversion to integers cuts off the fraction.
    result = grow(blur(low, LOW_SIGMA).mul_(scale).add_(0.5), (outputs.shape[1], outputs.shape[2]))
    result.add_(fine, alpha=scale * settings.texture_strength)
    corrected = result.add_(planes(outputs)).clamp_(0, full).permute(0, 2, 3, 1)
    return corrected.to(torch.uint8) if full == 255 else corrected.to(torch.int32).to(torch.int16)
