"""Averages along the motion for a batch of frames, level by level: the arithmetic of ``warping.average_along``."""

from __future__ import annotations

from functools import lru_cache

import torch

from vidtrans.temporal.batch_tracking import BACK, FLOW, PLACES, THERE, TRUST, Neighbours, neighbours
from vidtrans.temporal.rolling_buffer import RollingBuffer
from vidtrans.temporal.tensor_operations import (
    Size,
    grow,
    interior,
    ratio,
    repeat_border,
    sample_along,
    sample_sharply,
    sharp_pictures,
    sharp_places,
)


def average_along(
    lower: RollingBuffer, ways: RollingBuffer, step: int, frames: slice, padded: torch.Tensor
) -> torch.Tensor:
    """Write to ``padded`` the means of frames and those ``step`` away along the motion; return them without border.

    ``lower`` has pictures (4, H + 2, W + 2) of the frames and their neighbours, ``ways`` are of their size or of their
    grid's. The mean is (2 P + t S + t' S') / (2 + t + t') for pictures S and S' of trusts t and t': taken in two steps,
    S and P first.
    """
    own, result = interior(lower[frames]), interior(padded)
    size: Size = tuple(own.shape[-2:])  # type: ignore[assignment]
    after, before = (neighbours(ways, step, way, frames, lower.stop) for way in (0, 1))
    maps = _maps(after, before, len(own), ways, size)
    places = sharp_places(maps[:, :4].unflatten(1, (2, 2)), size)
    first = max(0, frames.start - step)
    sharp = sharp_pictures(lower[first : min(frames.stop + step, lower.stop)])

    def moved(other: Neighbours, way: int) -> torch.Tensor:
        there = slice(other.there.start - first, other.there.stop - first)
        return sample_sharply(sharp[there], places[other.part, way])

    alone = after.part.stop if after else 0  # from here on no frame is after them
    if alone < len(own):
        result[alone:].copy_(own[alone:])
    if after:
        torch.lerp(moved(after, 0), own[after.part], maps[after.part, 4:5].reciprocal(), out=result[after.part])
    if before:
        weight = maps[before.part, 4:5] / maps[before.part, 5:]
        torch.lerp(moved(before, 1), result[before.part], weight, out=result[before.part])
    repeat_border(padded)
    return result


def _maps(
    after: Neighbours | None, before: Neighbours | None, count: int, ways: RollingBuffer, size: Size
) -> torch.Tensor:
    """Return (n, 6, H, W): the flow to the frame after and before in pixels, 1 + t/2, and 1 + t/2 + t'/2.

    Where there is no such frame it has no weight.
    """
    grid: Size = ways.shape[-2:]  # type: ignore[assignment]
    maps = _no_neighbours(ways.device).expand(count, -1, *grid).clone(memory_format=torch.contiguous_format)
    for way, found in enumerate((after, before)):
        if found:
            moves = maps[found.part, 2 * way : 2 * way + 2]
            torch.mul(found.way[:, FLOW], ratio(grid, size, ways.device), out=moves)
            maps[found.part, 4 + way :].add_(found.way[:, TRUST, None], alpha=0.5)
    return maps if grid == size else grow(maps, size)


@lru_cache(maxsize=8)
def _no_neighbours(device: torch.device) -> torch.Tensor:
    return torch.tensor([0.0, 0, 0, 0, 1, 1], device=device).view(1, 6, 1, 1)


def write_shares(lower: RollingBuffer, ways: RollingBuffer, step: int, frames: slice, total: torch.Tensor) -> None:
    """Write how much of a full window averages are made of: (n, 1, h, w) float32."""
    torch.mul(lower[frames], 0.5, out=total)
    for way in (THERE, BACK):
        found = neighbours(ways, step, way, frames, lower.stop)
        if found:
            there = sample_along(lower[found.there], found.way[:, PLACES])
            total[found.part].addcmul_(there, found.way[:, TRUST, None], value=0.25)
