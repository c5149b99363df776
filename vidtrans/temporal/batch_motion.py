"""What filters follow along the motion, for a batch of frames: the arithmetic of ``along_motion``, in torch.

A *way* is the motion from each frame ``i`` to the frame ``i + step``, and back: (n, 2, 6, h, w) float32; for each
direction the target place (in ``grid_sample`` coordinates), the flow (u, v) in the grid's pixels, its reliability, and
the trust in it. It is stored under the number ``i``. Bands have four channels: the output's luma in the finer band and
the coarser one, then the guide's.
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
    BEYOND,
    BOILS,
    FINEST,
    FLICKERS,
    LOW,
    MOST,
    NOISE,
    POOL,
    RESTORE,
    STEEPEST,
    TINY,
    UNEVEN,
    WIDE,
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
    luma_into,
    planes,
    ratio,
    sample_along,
    sample_sharply,
    sharp_pictures,
    sharp_places,
    shrink,
    write_places,
)
from vidtrans.temporal.window import AROUND, CALM, SURE

# From (N, C, H, W) float32 in [0, 255], grey or RGB, and as many second pictures, to (N, 2, H, W) float32 in pixels.
BatchFlow = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
THERE, BACK = 0, 1
CHANNELS = 6
TERMS = 9  # channels of sums over neighbours: see ``BatchDetail._terms``
PLACES, FLOW, RELIABLE, TRUST = slice(0, 2), slice(2, 4), 4, 5


def load_batch_flow(name: str, device: torch.device) -> BatchFlow:
    """Load a flow method for batches; a method for single pictures is called for each pair."""
    method = FLOWS.load(name)(str(device))
    estimate: BatchFlow | None = getattr(method, "estimate", None)
    return estimate if estimate is not None else _PairByPair(method)


@dataclass(frozen=True)
class Neighbours:
    """The ``part`` of a batch that has neighbours, the neighbours ``there``, and the ways to them, (n, 6, h, w)."""

    part: slice  # of the batch
    there: slice  # of the shot
    way: torch.Tensor


def neighbours(ways: RollingBuffer, step: int, way: int, frames: slice, stop: int) -> Neighbours | None:
    """Return the ``frames`` that have a neighbour ``step`` frames after (``way`` 0) or before (1); None if none has.

    ``stop``: the end of the shot, or of its known frames; ``frames`` must not exceed it.
    """
    shift = step if way == 0 else -step
    first = max(frames.start, -shift)
    last = min(frames.stop, stop - shift)
    if first >= last:
        return None
    part, there = (slice(first - by, last - by) for by in (frames.start, -shift))
    return Neighbours(part, there, ways[slice(first, last) if way == 0 else there][:, way])


def evenness(way: torch.Tensor) -> torch.Tensor:
    """Return the weight of ``FlowPath.evenness`` for ways (n, 6, h, w): (n, h, w)."""
    wide = F.pad(way[:, FLOW], (1, 1, 1, 1), mode="replicate")
    # One convolution: ``flow.inverse_search.gradients`` would launch four kernels more.
    slopes = F.conv2d(wide, _differences(way.device), groups=2)
    return torch.linalg.vector_norm(slopes, dim=1).pow_(4).add_(1).reciprocal_()


@lru_cache(maxsize=8)
def _differences(device: torch.device) -> torch.Tensor:
    """Return the differences across and down of two channels, as weights of a depthwise convolution: (4, 1, 3, 3)."""
    kernel = torch.zeros(2, 1, 3, 3)
    kernel[0, 0, 1], kernel[1, 0, :, 1] = torch.tensor([-1.0, 0, 1]), torch.tensor([-1.0, 0, 1])
    return (kernel * (0.5 / UNEVEN**0.5)).repeat(2, 1, 1, 1).to(device)


class _PairByPair:
    """A ``BatchFlow`` that copies pictures from the device and calls a flow method for numpy pictures on each pair."""

    def __init__(self, method: FlowMethod) -> None:
        self._method = method

    def __call__(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        pictures = [np.ascontiguousarray(p.byte().movedim(1, -1).cpu().numpy()) for p in (first, second)]
        if first.shape[1] == 1:
            pictures = [p[..., 0] for p in pictures]
        flows = np.stack([self._method(a, b) for a, b in zip(*pictures, strict=True)])
        return torch.from_numpy(flows).movedim(-1, 1).to(first.device)


class BatchTracker:
    """Computes the ways between the frames of a shot."""

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
        """``flow``: takes the same pictures as ``settings.flow``. ``steps``: the number of steps 1, 2, 4, … frames.

        ``inverts``: as in ``FlowTracker``.
        """
        self._inverts, self._slack = inverts, slack_between(size, inverts=inverts)
        self._flow, self._takes, self._tolerance = flow, FLOWS[settings.flow].takes, settings.colour_sigma
        flow_size = settings.flow_size
        self._size, self._grid = size, grid
        width, height = PictureSize(short=flow_size).of(*size[::-1]) if 0 < flow_size < min(size) else size[::-1]
        self._working = (height, width)
        self.steps = [2**n for n in range(steps)]

    def buffers(self, device: torch.device) -> dict[str, RollingBuffer]:
        """Return empty buffers by name: for prepared pictures, guides on the grid, and the ways of each step."""
        channels = 1 if self._takes == "grey" else 3
        ways = {f"way {step}": RollingBuffer(2, CHANNELS, *self._grid, device=device) for step in self.steps}
        prepared = RollingBuffer(channels, *self._working, dtype=torch.uint8, device=device)
        return {"prepared": prepared, "guide": RollingBuffer(3, *self._grid, device=device), **ways}

    def prepare(self, guide: torch.Tensor, grey: torch.Tensor, full: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the flow method's input for frames, and the guide on the grid, (n, 3, h, w) in [0, 1].

        ``guide`` (n, 3, H, W) and its luma ``grey`` (n, H, W) are in whole levels up to ``full``.
        """
        picture = grey[:, None] if self._takes == "grey" else guide
        if self._working != self._size:
            picture = _rounded(shrink(picture, self._working))
        if full > 255:
            picture = _rounded(picture * (255 / full))
        return picture.byte(), shrink(guide, self._grid).mul_(1 / full)

    def write_first(self, prepared: torch.Tensor, guide: torch.Tensor, ways: torch.Tensor) -> None:
        """Write to ``ways``, (n, 2, 6, h, w), the ways between n + 1 consecutive frames."""
        pictures = prepared.float()
        before, after = pictures[:-1], pictures[1:]
        moved = (before != after).flatten(1).any(1)[:, None, None, None]
        if self._inverts:
            ways[:, THERE, FLOW] = self._on_grid(self._flow(before, after).mul_(moved))
            torch.neg(_along_inverse(ways[:, THERE, FLOW]), out=ways[:, BACK, FLOW])
        else:
            flow = self._flow(torch.cat((before, after)), torch.cat((after, before))).mul_(moved.repeat(2, 1, 1, 1))
            ways[:, :, FLOW] = self._on_grid(flow).unflatten(0, (2, -1)).transpose(0, 1)
        write_places(ways[:, :, FLOW], ways[:, :, PLACES])
        for way in (THERE, BACK):
            back = sample_along(ways[:, 1 - way, FLOW], ways[:, way, PLACES])
            ways[:, way, RELIABLE] = _agreement(ways[:, way], back, self._slack)
        self._trust(ways, guide[:-1], guide[1:])

    def write_joined(self, ways: torch.Tensor, guide: torch.Tensor, step: int, joined: torch.Tensor) -> None:
        """Write to ``joined``, (n, 2, 6, h, w), ways over 2 · ``step`` frames from n + ``step`` ways over ``step``.

        ``guide``: the grid pictures of the n + 2 · ``step`` frames between which the ways lie.
        """
        near, far = ways[:-step], ways[step:]
        for way, first, second in ((THERE, near, far), (BACK, far, near)):
            found = sample_along(second[:, way, FLOW.start : TRUST], first[:, way, PLACES])
            torch.add(first[:, way, FLOW], found[:, :2], out=joined[:, way, FLOW])
            torch.mul(first[:, way, RELIABLE], found[:, 2], out=joined[:, way, RELIABLE])
        write_places(joined[:, :, FLOW], joined[:, :, PLACES])
        self._trust(joined, guide[: -2 * step], guide[2 * step :])

    def _trust(self, ways: torch.Tensor, here: torch.Tensor, there: torch.Tensor) -> None:
        """Write to ``ways`` the trust, 0 to 1, that both frames, ``here`` and ``there``, show the same content."""
        difference = ways.new_empty((len(ways), 2, 3, *self._grid))
        for way, (own, other) in enumerate(((here, there), (there, here))):
            torch.sub(sample_along(other, ways[:, way, PLACES]), own, out=difference[:, way])
        distance = difference.square_().sum(2)
        torch.mul(distance.mul_(-0.5 / self._tolerance**2).exp_(), ways[:, :, RELIABLE], out=ways[:, :, TRUST])

    def _on_grid(self, flow: torch.Tensor) -> torch.Tensor:
        """Return a flow on the grid, in the grid's pixels, as ``warping.resize_flow`` does."""
        working: Size = tuple(flow.shape[-2:])  # type: ignore[assignment]
        if working == self._grid:
            return flow
        smaller = self._grid[0] <= working[0] and self._grid[1] <= working[1]
        return (shrink if smaller else grow)(flow, self._grid).mul_(ratio(working, self._grid, flow.device))


def _along_inverse(flow: torch.Tensor) -> torch.Tensor:
    """Return a flow (n, 2, h, w), in pixels, sampled along its inverse, as ``warping.invert`` finds it."""
    found, places = flow, torch.empty_like(flow)
    for _ in range(INVERSION_STEPS):
        write_places(found, places, sign=-1)
        found = sample_along(flow, places)
    return found


def _rounded(pictures: torch.Tensor) -> torch.Tensor:
    """Round pictures to whole levels, in place."""
    return pictures.add_(0.5).floor_()


def _agreement(way: torch.Tensor, returned: torch.Tensor, slack: float) -> torch.Tensor:
    """Return the agreement of the forward and backward flow of a way, (n, h, w), as ``warping.agreement`` does."""
    flow, places = way[:, FLOW], way[:, PLACES]
    scale = torch.addcmul(flow.square(), returned, returned).sum(1).mul_(0.01).add_(slack)
    gap = returned.add_(flow).square_().sum(1)
    low, high = _edges(*way.shape[-2:], way.device)
    inside = ((places >= low) & (places <= high)).all(1)
    return scale.mul(inside).div_(gap.add_(scale))


@lru_cache(maxsize=8)
def _edges(height: int, width: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the smallest and largest places inside the picture, (2, 1, 1) each: ``BEYOND`` beyond outer centres."""
    sides = np.array([width, height])
    low, high = (2 * at / np.maximum(sides - 1, 1) - 1 for at in (-BEYOND, sides - 1 + BEYOND))
    return tuple(torch.from_numpy(at.astype(np.float32)).view(2, 1, 1).to(device) for at in (low, high))  # type: ignore[return-value]


@dataclass(frozen=True)
class BatchChanges:
    """Statistics around each grid point, (n, 2, h/2, w/2) float32, one for each band: see ``along_motion._Changes``."""

    slope: torch.Tensor
    flicker: torch.Tensor
    energy: torch.Tensor
    lost: torch.Tensor

    def beyond(self, share: float) -> torch.Tensor:
        """Return flicker / (``share`` · energy), clipped to [0, 1]: 1 where that share of the energy flickers."""
        return (self.flicker / (self.energy * share).add_(TINY)).clamp_(0, 1)


class BatchDetail:
    """Bands, their statistics, and the correction of fine detail, for pictures of one size."""

    def __init__(self, settings: DeflickerSettings, size: Size, grid: Size, steps: list[int]) -> None:
        """``size``, ``grid``: (height, width). ``steps``: distances of neighbours in statistics, in frames each way."""
        self._settings, self._size, self._grid, self._steps = settings, size, grid, steps
        self._factor = grid_factor(*size)
        self.half = (-(-grid[0] // 2), -(-grid[1] // 2))

    def split(self, picture: torch.Tensor, bands: torch.Tensor) -> None:
        """Write the bands of pictures (n, 4, H, W), output's RGB and guide's luma, to ``bands`` (n, 4, H, W)."""
        lumas = picture.new_empty((len(picture), 2, *self._size))
        luma_into(lumas, picture)
        low = blur(shrink(lumas, self._grid), LOW)
        fine = blur(lumas, FINEST)
        torch.sub(lumas, fine, out=bands[:, 0::2])
        torch.sub(fine, grow(low, self._size), out=bands[:, 1::2])

    def energy(self, bands: torch.Tensor) -> torch.Tensor:
        """Return the output's energy in each band (n, 4, H, W), averaged around each grid point: (n, 2, h/2, w/2)."""
        return self._pool(self._at_places(bands[:, :2]).square())

    def _at_places(self, bands: torch.Tensor) -> torch.Tensor:
        return bands[..., :: self._factor, :: self._factor]

    def _pool(self, statistics: torch.Tensor) -> torch.Tensor:
        return blur(shrink(statistics, self.half), POOL / 2)

    def changes(
        self, bands: RollingBuffer, energy: RollingBuffer, ways: dict[int, RollingBuffer], frames: slice
    ) -> BatchChanges:
        """Return statistics of the changes from ``frames`` to neighbours along the motion; ``ways``: by distance."""
        reach = self._steps[-1]
        first, last = max(0, frames.start - reach), min(frames.stop + reach, bands.stop)
        sharp = sharp_pictures(bands[first:last])
        own = self._at_places(interior(bands[frames])).contiguous()
        sums = own.new_zeros((len(own), 2 * TERMS, *self._grid))
        near, total = sums.chunk(2, 1)  # of the frames next to it, and of all
        frame_energy = energy[frames].clone()
        count = own.new_zeros((len(own), 1, 1, 1))
        for step in self._steps:
            target = near if step == self._steps[0] else total
            for way in (THERE, BACK):
                found = neighbours(ways[step], step, way, frames, bands.stop)
                if found:
                    there = slice(found.there.start - first, found.there.stop - first)
                    terms = self._terms(sharp[there], own[found.part], found.way)
                    target[found.part].addcmul_(terms, found.way[:, TRUST, None])
                    self._add_energy(frame_energy[found.part], energy[found.there], found.way)
                    count[found.part] += 1
        total += near
        return self._statistics(sums, own, frame_energy, count)

    def _terms(self, sharp: torch.Tensor, own: torch.Tensor, way: torch.Tensor) -> torch.Tensor:
        """Return the terms that are summed over neighbours, (n, TERMS, h, w).

        For each of the two bands: the output's change times the guide's, the guide's change squared, the output's
        change squared, and the neighbour's energy. The last channel is 1, to count neighbours.
        """
        moves = way[:, FLOW] * ratio(self._grid, self._size, way.device)
        there = sample_sharply(sharp, sharp_places(moves, self._size, self._factor))
        terms = own.new_empty((len(own), TERMS, *self._grid))
        torch.square(there[:, :2], out=terms[:, 6:8])
        change = there.sub_(own)
        torch.mul(change.unflatten(1, (2, 2)), change[:, None, 2:], out=terms[:, :4].unflatten(1, (2, 2)))
        torch.square(change[:, :2], out=terms[:, 4:6])
        terms[:, 8] = 1
        return terms

    def _add_energy(self, total: torch.Tensor, energy: torch.Tensor, way: torch.Tensor) -> None:
        """Add to ``total``, (n, 2, h/2, w/2), the neighbours' energy along the motion, weighted by the trust."""
        half = shrink(way[:, FLOW.start :], self.half)
        places = half[:, :2].mul_(ratio(self._grid, self.half, way.device))
        write_places(places, places)
        total.addcmul_(sample_along(energy, places), half[:, 3:])

    def _statistics(
        self, sums: torch.Tensor, own: torch.Tensor, frame_energy: torch.Tensor, count: torch.Tensor
    ) -> BatchChanges:
        mean, weight = sums[:, TERMS + 6 : TERMS + 8], sums[:, TERMS + 8 :]
        weight += 1
        mean.addcmul_(own[:, :2], own[:, :2]).div_(weight)
        small = shrink(sums, self.half)
        pooled = blur(small, POOL / 2)
        near, total = pooled.chunk(2, 1)
        near_both, near_guide, near_look, near_weight = (near[:, a:b] for a, b in ((0, 2), (2, 4), (4, 6), (8, 9)))
        both, guide, mean = total[:, :2], total[:, 2:4], total[:, 6:8]
        slope = both.div(guide.add_(count, alpha=NOISE)).clamp_(-STEEPEST, STEEPEST)
        unexplained = torch.addcmul(near_look, slope, (slope * near_guide).sub_(near_both, alpha=2))
        flicker = unexplained.clamp_(min=0).mul_(0.5).div_(near_weight + 1e-3)
        honest = frame_energy.div_(small[:, -1:])
        wide = blur(torch.cat((honest, mean), 1), WIDE / 2).add_(TINY)
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
        """Write the correction of frames to ``fine`` (n, 3, H, W); ``apply_corrections`` removes its low frequencies.

        ``here``: the frames, (n, 4, H, W); ``mean``: their averages over a few frames; ``longer``: over more, used
        where detail boils, or None; ``own``: the frames' bands. Returns (n, 4, h, w) on the grid: the average's RGB,
        from which the caller subtracts the frame's, and the slope.
        """
        if longer is not None:
            boils = grow(changes.beyond(BOILS).amax(1, keepdim=True), self._size)
            mean = torch.lerp(mean, longer, boils)
        small = shrink(mean, self._grid)
        bands = torch.empty_like(own)
        self.split(mean, bands)
        slopes = self._settings.keep_source_changes * changes.slope * (1 - changes.beyond(FLICKERS))
        source = bands[:, 2:].sub_(own[:, 2:])
        averaged = torch.addcmul(bands[:, :2], grow(slopes, self._size), source, value=-1)
        gains = self._gains(changes, self._at_places(averaged))
        raised = grow((gains - 1) * self._settings.texture_gain + 1, self._size)
        lacking = torch.addcmul(bands[:, :2], raised, averaged, value=-1).sum(1, keepdim=True)
        torch.sub(mean[:, :3], here[:, :3], out=fine).sub_(lacking)
        small[:, 3:] = grow(slopes[:, 1:], self._grid)
        return small

    def _gains(self, changes: BatchChanges, averaged: torch.Tensor) -> torch.Tensor:
        """Return the factors (n, 2, h/2, w/2) that restore a frame's contrast in ``averaged`` bands, (n, 2, h, w)."""
        left = self._pool(averaged.square())
        gain = (changes.energy + 1e-6).div_(left.add_(1e-6)).sqrt_().clamp_(1 / MOST, MOST)
        lost = changes.lost.sqrt().clamp_(1, 1.5).sub_(1)
        return gain * lost.mul_(changes.beyond(FLICKERS)).mul_(RESTORE).add_(1)


def low_correction(change: torch.Tensor, others: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """Return the low-frequency correction on the grid, (n, 3, h, w), as ``window.low_correction`` computes it."""
    wanted = torch.addcmul(change[:, :3], slope, change[:, 3:], value=-1)
    height, width = others.shape[-2:]
    size = (max(1, height // AROUND), max(1, width // AROUND))
    weighted = wanted.new_empty((len(wanted), 5, height, width))
    torch.mul(wanted, others, out=weighted[:, :3])
    torch.mul(_length(wanted).square_(), others, out=weighted[:, 3:4])
    weighted[:, 4:] = others
    near = blur(shrink(weighted, size), 1)
    near = near[:, :4] / near[:, 4:].add_(0.002)
    around, energy = near[:, :3], near[:, 3:]
    spread = (energy - _length(around).square_()).relu_()
    differ = spread / energy.add_(CALM)
    differ = torch.addcmul(differ, differ, differ, value=-0.5)
    grown = grow(torch.cat((around, spread, differ), 1), (height, width))
    apart = wanted - grown[:, :3]
    boils = grown[:, 3:4].div(_length(apart).square_().add_(CALM)).clamp_(max=0.5).mul_(grown[:, 4:])
    lacking = torch.rsub(others.clamp(max=SURE), 1, alpha=1 / SURE)
    return wanted.addcmul_(lacking.addcmul_(lacking, boils, value=-4), apart, value=-1)


def _length(vectors: torch.Tensor) -> torch.Tensor:
    """Return the Euclidean length over channels: (n, 1, h, w)."""
    return torch.linalg.vector_norm(vectors, dim=1, keepdim=True)


def write_picture(
    tracker: BatchTracker, guides: torch.Tensor, outputs: torch.Tensor, picture: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Write frames to ``picture`` (n, 4, H, W), in [0, 1]: the output's RGB and the guide's luma.

    Returns the result of ``BatchTracker.prepare``.
    """
    full, deepest = (255 if part.dtype == torch.uint8 else 65535 for part in (guides, outputs))
    grey = grey_levels(planes(guides))
    torch.mul(planes(outputs), 1 / deepest, out=picture[:, :3])
    torch.mul(grey, 1 / full, out=picture[:, 3])
    return tracker.prepare(planes(guides).float(), grey, full)


def apply_corrections(
    outputs: torch.Tensor, low: torch.Tensor, lacking: torch.Tensor, fine: torch.Tensor, settings: DeflickerSettings
) -> torch.Tensor:
    """Return frames (n, H, W, 3) with their corrections: ``low`` on the grid, ``fine`` (n, 3, H, W) at full size.

    ``lacking`` (n, 3, h, w): the low frequencies in ``fine``, which are subtracted here.
    """
    full = 255 if outputs.dtype == torch.uint8 else 65535
    scale = full * settings.strength
    low = low.sub(lacking, alpha=settings.texture_strength)
    # Rounding: half a level is added, and the fraction is cut off at the end.
    result = grow(blur(low, LOW).mul_(scale).add_(0.5), (outputs.shape[1], outputs.shape[2]))
    result.add_(fine, alpha=scale * settings.texture_strength)
    whole = result.add_(planes(outputs)).clamp_(0, full).permute(0, 2, 3, 1)
    return whole.to(torch.uint8) if full == 255 else whole.to(torch.int32).to(torch.int16)
