"""Warping and reliability on torch tensors, on whatever device they are; the same as ``warping``.

Pictures are (N, C, H, W), flows (N, 2, H, W) with the displacement (x, y) in pixels, masks (N, 1, H, W) bool; all that
is computed has float32 or better. Tests hold both sides to the same values, within rounding: 1e-4 of full scale, and
with OpenCV 4, which samples at 32nds of a pixel, within 1/64 pixel. One thing differs: numpy pictures of 8 and 16 bits
saturate where bicubic sampling overshoots, and floats do not, on either side.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def warp(picture: torch.Tensor, flow: torch.Tensor, *, bicubic: bool = False) -> torch.Tensor:
    """Sample ``picture`` at p + flow(p), the border repeated: (N, C, H, W) of the flow's size, the picture's dtype."""
    height, width = picture.shape[-2:]
    x, y = _places(flow)
    # As grid_sample counts, the centres of the first and the last pixel are at −1 and 1.
    grid = torch.stack((2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1), dim=-1)
    exact = picture.to(torch.promote_types(picture.dtype, torch.float32))
    mode = "bicubic" if bicubic else "bilinear"
    sampled = F.grid_sample(exact, grid.to(exact.dtype), mode, padding_mode="border", align_corners=True)
    return sampled.to(picture.dtype)


def compose(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The flow A→C from A→B and B→C: f(p) + g(p + f(p))."""
    return first + warp(second, first)


def squared_length(vectors: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) → (N, 1, H, W): the sum of squares over channels."""
    return vectors.square().sum(dim=1, keepdim=True)


def forward_backward(flow: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
    """The consistency test of Sundaram et al. (ECCV 2010); see ``warping.forward_backward``."""
    gap, lengths = _gap(flow, back)
    return (gap < 0.01 * lengths + 0.5) & _inside(flow, 0.0)


def agreement(flow: torch.Tensor, back: torch.Tensor, slack: float = 8.0) -> torch.Tensor:
    """How far a flow and the one back agree, (N, 1, H, W) in [0, 1]; see ``warping.agreement``."""
    gap, lengths = _gap(flow, back)
    scale = 0.01 * lengths + slack
    return scale / (scale + gap) * _inside(flow, 0.5)


def _gap(flow: torch.Tensor, back: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    returned = warp(back, flow)
    return squared_length(flow + returned), squared_length(flow) + squared_length(returned)


def _inside(flow: torch.Tensor, margin: float) -> torch.Tensor:
    height, width = flow.shape[-2:]
    x, y = (places[:, None] for places in _places(flow))
    return (x >= -margin) & (x <= width - 1 + margin) & (y >= -margin) & (y <= height - 1 + margin)


def motion_boundaries(flow: torch.Tensor) -> torch.Tensor:
    """Where the flow jumps (Ruder et al., GCPR 2016); see ``warping.motion_boundaries``."""
    around = F.pad(flow, (1, 1, 1, 1), mode="replicate")
    along_x = (around[..., 1:-1, 2:] - around[..., 1:-1, :-2]) / 2
    along_y = (around[..., 2:, 1:-1] - around[..., :-2, 1:-1]) / 2
    return squared_length(along_x) + squared_length(along_y) > 0.01 * squared_length(flow) + 0.002


def photometric(first: torch.Tensor, second_warped: torch.Tensor, sigma: float = 0.1) -> torch.Tensor:
    """How far two pictures in [0, 1] agree, (N, 1, H, W) in [0, 1]; see ``warping.photometric``."""
    return torch.exp(squared_length(first - second_warped) * (-0.5 / sigma**2))


def _places(flow: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """x and y of p + flow(p), (N, H, W) each."""
    height, width = flow.shape[-2:]
    xs = torch.arange(width, device=flow.device, dtype=flow.dtype)
    ys = torch.arange(height, device=flow.device, dtype=flow.dtype)
    return flow[:, 0] + xs, flow[:, 1] + ys[:, None]
