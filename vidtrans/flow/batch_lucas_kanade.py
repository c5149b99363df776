"""Refine many flows at full size by one step of Lucas and Kanade's method, as ``estimator.refine`` does."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from vidtrans.flow.estimator import DAMPING, LONGEST, OUTLIER
from vidtrans.flow.tensors import warp

# Boxes instead of Gaussians: their sides in pixels of half the size, which have about the same σ.
AROUND_SIDE = 5
LIGHTING_SIDE = 13


def refine(first: torch.Tensor, second: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Return flows that are right within about a pixel with smaller errors: (N, 2, H, W) float32 pixels.

    ``first`` and ``second`` are (N, 1, H, W) float32 in [0, 255].
    """
    there = warp(second, flow)
    both = F.pad(first + there, (1, 1, 1, 1), mode="replicate")
    across, down = both[..., 1:-1, 2:] - both[..., 1:-1, :-2], both[..., 2:, 1:-1] - both[..., :-2, 1:-1]
    gradients = torch.cat((across, down), dim=1) * 0.25
    change = there - first
    change = change - _grow(_box(_halve(change), LIGHTING_SIDE), change)
    sure = gradients / (1 + (change / OUTLIER).square())
    products = torch.cat((sure * gradients, sure[:, :1] * gradients[:, 1:], sure * change), dim=1)
    xx, yy, xy, xt, yt = _box(_halve(products), AROUND_SIDE).split(1, dim=1)
    xx, yy = xx + DAMPING, yy + DAMPING
    step = torch.cat((xy * yt - yy * xt, xy * xt - xx * yt), dim=1) / (xx * yy - xy.square())
    return flow + _grow(step.clamp(-LONGEST, LONGEST), change)


def _halve(pictures: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(pictures, 2, ceil_mode=True)


def _box(pictures: torch.Tensor, side: int) -> torch.Tensor:
    """Return the mean in a square around each pixel, of what is within the picture."""
    return F.avg_pool2d(pictures, side, 1, side // 2, count_include_pad=False)


def _grow(small: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return pictures of half size at the size of others."""
    large = F.interpolate(small, scale_factor=2.0, mode="bilinear", align_corners=False)
    return large[..., : like.shape[-2], : like.shape[-1]]
