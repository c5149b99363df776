"""Flow between the frames of a shot for the batched filter, and the trust in it, as ``FlowTracker`` computes them.

A *way* is the motion from each frame ``i`` to the frame ``i + step``, and back: (n, 2, 6, h, w) float32; for each
direction the target place (in ``grid_sample`` coordinates), the flow (u, v) in the grid's pixels, its reliability, and
the trust in it. It is stored under the number ``i``.
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
from vidtrans.flow.warping import INVERSION_STEPS
from vidtrans.temporal.flow_tracking import MARGIN, UNEVEN, slack_between
from vidtrans.temporal.rolling_buffer import RollingBuffer
from vidtrans.temporal.settings import DeflickerSettings
from vidtrans.temporal.tensor_operations import Size, grow, ratio, sample_along, shrink, write_places

# From (N, C, H, W) float32 in [0, 255], grey or RGB, and as many second pictures, to (N, 2, H, W) float32 in pixels.
BatchFlow = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
THERE, BACK = 0, 1
CHANNELS = 6
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
    """Return the smallest and largest places inside the picture, (2, 1, 1) each: ``MARGIN`` beyond outer centres."""
    sides = np.array([width, height])
    low, high = (2 * at / np.maximum(sides - 1, 1) - 1 for at in (-MARGIN, sides - 1 + MARGIN))
    return tuple(torch.from_numpy(at.astype(np.float32)).view(2, 1, 1).to(device) for at in (low, high))  # type: ignore[return-value]
