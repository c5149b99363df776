"""Averages along the motion for a batch of frames, level by level: the arithmetic of ``averaging``, in torch."""

from __future__ import annotations

import torch

from vidtrans.temporal.batch_detail import Neighbours, interior, neighbours
from vidtrans.temporal.rolling_buffer import RollingBuffer
from vidtrans.temporal.tensor_operations import (
    Size,
    grow,
    places_along,
    repeat_border,
    sample,
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
    rows, columns = ways.shape[-2:]
    maps = torch.zeros((count, 6, rows, columns), device=ways.device)
    maps[:, 4:] = 1
    scale = maps.new_tensor([size[1] / columns, size[0] / rows]).view(2, 1, 1)
    for way, found in enumerate((after, before)):
        if found:
            torch.mul(found.way[:, :2], scale, out=maps[found.part, 2 * way : 2 * way + 2])
            maps[found.part, 4 + way :].add_(found.way[:, 3:], alpha=0.5)
    return maps if (rows, columns) == size else grow(maps, size)


def share_along(lower: RollingBuffer, ways: RollingBuffer, step: int, frames: slice) -> torch.Tensor:
    """Return how much of a full window averages are made of: (n, 1, h, w) float32."""
    total = lower[frames] * 2
    size: Size = tuple(total.shape[-2:])  # type: ignore[assignment]
    for way in (0, 1):
        found = neighbours(ways, step, way, frames, lower.stop)
        if found:
            there = sample(lower[found.there], places_along(found.way[:, :2], size))
            total[found.part].addcmul_(there, found.way[:, 3:])
    return total.mul_(0.25)
