"""Flow between the frames of a shot for the batched filter, and how far it can be trusted, as ``tracking`` has it.

A *way* leads from each frame ``i`` to the frame ``i + step``, and one back: (n, 2, 4, h, w) float32, there and back,
each the flow (u, v) in the grid's pixels, how reliable it is, and the trust in it. It is kept under the number ``i``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import FlowMethod
from vidtrans.flow.warping import grid_factor
from vidtrans.settings import Size as PictureSize
from vidtrans.temporal.rolling_buffer import RollingBuffer
from vidtrans.temporal.tensor_operations import Size, grey_levels, grow, places_along, sample, shrink
from vidtrans.temporal.tracking import SLACK

# From (N, C, H, W) float32 in [0, 255], grey or RGB, and as many second pictures, to (N, 2, H, W) float32 in pixels.
BatchFlow = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
HERE, BACK = 0, 1


def load_batch_flow(name: str, device: torch.device) -> BatchFlow:
    """Return a flow method of the table for batches; one that takes single pictures is called for each pair."""
    method = FLOWS.load(name)(str(device))
    estimate: BatchFlow | None = getattr(method, "estimate", None)
    return estimate if estimate is not None else _PairByPair(method)


class _PairByPair:
    """A flow method of numpy pictures, on pictures that are fetched from the device."""

    def __init__(self, method: FlowMethod) -> None:
        self._method = method

    def __call__(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        pictures = [np.ascontiguousarray(p.byte().movedim(1, -1).cpu().numpy()) for p in (first, second)]
        if first.shape[1] == 1:
            pictures = [p[..., 0] for p in pictures]
        flows = np.stack([self._method(a, b) for a, b in zip(*pictures, strict=True)])
        return torch.from_numpy(flows).movedim(-1, 1).to(first.device)


class BatchTracker:
    """Ways between the frames of a shot."""

    def __init__(
        self, flow: BatchFlow, takes: str, size: Size, grid: Size, flow_size: int, colour_sigma: float, steps: int
    ) -> None:
        """``takes``: "grey" or "rgb"; ``flow_size``: short side at which flow is estimated; ``steps``: how many."""
        self._flow, self._takes, self._tolerance = flow, takes, colour_sigma
        self._size, self._grid = size, grid
        width, height = PictureSize(short=flow_size).of(*size[::-1]) if 0 < flow_size < min(size) else size[::-1]
        self._working = (height, width)
        self._slack = SLACK / grid_factor(*size) ** 2
        self.steps = [2**n for n in range(steps)]

    def buffers(self, device: torch.device) -> dict[str, RollingBuffer]:
        """Return what is kept of frames: prepared pictures, the input on the grid, and the ways of each step."""
        channels = 1 if self._takes == "grey" else 3
        ways = {f"way {step}": RollingBuffer(2, 4, *self._grid, device=device) for step in self.steps}
        prepared = RollingBuffer(channels, *self._working, dtype=torch.uint8, device=device)
        return {"prepared": prepared, "guide": RollingBuffer(3, *self._grid, device=device), **ways}

    def prepare(self, guide: torch.Tensor, grey: torch.Tensor, full: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the flow method takes of frames, and the input on the grid, (n, 3, h, w) in [0, 1].

        ``guide`` (n, 3, H, W) and its luma ``grey`` (n, H, W) are in whole levels up to ``full``.
        """
        picture = grey[:, None] if self._takes == "grey" else guide
        if self._working != self._size:
            picture = _rounded(shrink(picture, self._working))
        if full > 255:
            picture = _rounded(picture * (255 / full))
        return picture.byte(), _rounded(shrink(guide, self._grid)).mul_(1 / full)

    def first_ways(self, prepared: torch.Tensor, guide: torch.Tensor) -> torch.Tensor:
        """Return the ways between neighbours, for n + 1 frames: (n, 2, 4, h, w)."""
        pictures = prepared.float()
        before, after = pictures[:-1], pictures[1:]
        flow = self._flow(torch.cat((before, after)), torch.cat((after, before)))
        moved = (before != after).flatten(1).any(1).to(flow.dtype)[:, None, None, None]
        there, back = (self._on_grid(part * moved) for part in flow.chunk(2))
        ways = there.new_empty((len(there), 2, 4, *self._grid))
        for way, (flow, other) in enumerate(((there, back), (back, there))):
            ways[:, way, :2] = flow
            ways[:, way, 2] = _agreement(flow, other, self._slack)
        return self._trust(ways, guide[:-1], guide[1:])

    def join(self, ways: torch.Tensor, guide: torch.Tensor, step: int) -> torch.Tensor:
        """Return ways of twice the step, (n, 2, 4, h, w), from those of ``step``, for ``step`` more frames.

        ``guide``: of the frames that ways begin and end at, 2 · ``step`` more.
        """
        near, far = ways[:-step], ways[step:]
        joined = torch.empty_like(near)
        for way, first, second in ((HERE, near, far), (BACK, far, near)):
            flow = first[:, way, :2]
            found = sample(second[:, way, :3], places_along(flow, self._grid))
            torch.add(flow, found[:, :2], out=joined[:, way, :2])
            torch.mul(first[:, way, 2], found[:, 2], out=joined[:, way, 2])
        return self._trust(joined, guide[: -2 * step], guide[2 * step :])

    def _trust(self, ways: torch.Tensor, here: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """Write how far the other frame shows the same thing at each place."""
        for way, (own, other) in enumerate(((here, there), (there, here))):
            difference = sample(other, places_along(ways[:, way, :2], self._grid)).sub_(own)
            distance = difference.square_().sum(1)
            torch.mul(distance.mul_(-0.5 / self._tolerance**2).exp_(), ways[:, way, 2], out=ways[:, way, 3])
        return ways

    def _on_grid(self, flow: torch.Tensor) -> torch.Tensor:
        """Return a flow on the grid, in its pixels, as ``warping.resize_flow`` does it."""
        (rows, columns), (height, width) = self._grid, flow.shape[-2:]
        if (height, width) == self._grid:
            return flow
        scale = torch.tensor([columns / width, rows / height], device=flow.device)
        smaller = max(columns / width, rows / height) <= 1
        return (shrink if smaller else grow)(flow, self._grid) * scale.view(2, 1, 1)


def _rounded(pictures: torch.Tensor) -> torch.Tensor:
    """Return pictures in whole levels."""
    return pictures.add_(0.5).floor_()


def _agreement(flow: torch.Tensor, back: torch.Tensor, slack: float) -> torch.Tensor:
    """Return how far flows and those back agree, (n, h, w), as ``warping.agreement`` has it."""
    returned = sample(back, places_along(flow, tuple(flow.shape[-2:])))  # type: ignore[arg-type]
    scale = torch.add(flow.square().sum(1), returned.square().sum(1)).mul_(0.01).add_(slack)
    gap = returned.add_(flow).square_().sum(1)
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device) + flow[:, 0]
    y = torch.arange(height, device=flow.device)[:, None] + flow[:, 1]
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    return scale / gap.add_(scale) * inside


__all__ = ["BatchFlow", "BatchTracker", "grey_levels", "load_batch_flow"]
