"""Dense inverse search (Kroeger et al., ECCV 2016) in torch, for many pairs of frames on a GPU at once.

From coarse to fine, down to half size: patches are searched (``patch_search``), and the dense flow from them is
refined (``variational``). All pairs and both directions share each operation, and no operation depends on data, so
the host never waits for the device.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from vidtrans.flow.estimator import DAMPING, LONGEST, OUTLIER
from vidtrans.flow.patch_search import JUMPS, STRIDE, PatchSearch
from vidtrans.flow.tensors import warp
from vidtrans.flow.variational import Refinement, gradients

NARROWEST = 64  # pixels; smaller pictures are padded
COARSEST = 20  # pixels of the shorter side at the coarsest level, at least
FINEST_JUMPS = (1,)  # of the patch search, at the finest level
STEPS = 4  # of the refinement, each time that it is linearised
WARPS = 2  # how often that is at the finest level; once at the others


class TorchDIS:
    """Patches down to half size, then a Lucas–Kanade step at full size, as in ``estimator.DISMedium``.

    It launches about 780 kernels at 720p and 1080p, 500 at 256 × 256, for any number of pairs, and needs up to 180
    bytes per pixel of a pair, both ways: callers must limit the number of pairs.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = torch.device(device)

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the flow between two pictures (H, W) uint8: (H, W, 2) float32 pixels."""
        a, b = (torch.from_numpy(picture)[None, None].to(self._device) for picture in (first, second))
        return np.ascontiguousarray(self.estimate(a, b)[0].permute(1, 2, 0).cpu().numpy())

    @torch.inference_mode()
    def estimate(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Return the flow from each of ``first`` to its ``second``: (N, 2, H, W) float32 pixels.

        Both are (N, 1, H, W), uint8 or float32 in [0, 255], on one device.
        """
        with torch.autocast(first.device.type, enabled=False):
            half = _coarse_to_fine(_pyramid(first), _pyramid(second))
            return refine(first.float(), second.float(), _full_size(half, *first.shape[-2:]))

    @torch.inference_mode()
    def estimate_both(self, first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the flow of each pair in both directions, as ``estimate`` does, in fewer operations."""
        with torch.autocast(first.device.type, enabled=False):
            pictures = torch.cat((first, second)).float()
            levels = _pyramid(pictures)
            half = _coarse_to_fine(levels, [level.roll(len(first), 0) for level in levels])
            flow = _full_size(half, *first.shape[-2:])
            there, back = refine(pictures, pictures.roll(len(first), 0), flow).chunk(2)
            return there, back


def _pyramid(pictures: torch.Tensor) -> list[torch.Tensor]:
    """Return the features of pictures (B, 1, H, W), grey levels and gradients, for each level from half size on.

    Each level is (B, 3, h, w) float32; its sides are multiples of ``STRIDE``, padded below and on the right.
    """
    height, width = pictures.shape[-2:]
    level = _pad(pictures.float(), max(0, NARROWEST - height), max(0, NARROWEST - width))
    levels: list[torch.Tensor] = []
    while not levels or min(level.shape[-2:]) >= 2 * COARSEST:
        level = F.avg_pool2d(level, 2, ceil_mode=True)
        level = _pad(level, -level.shape[-2] % STRIDE, -level.shape[-1] % STRIDE)
        levels.append(torch.cat((level, gradients(level)), dim=1))
    return levels


def _coarse_to_fine(first: list[torch.Tensor], second: list[torch.Tensor]) -> torch.Tensor:
    """Return the flow at the finest level: (B, 2, h, w) in pixels of that level."""
    flow = None
    for level in reversed(range(len(first))):
        here, there = first[level], second[level]
        search = PatchSearch(here[:, :1], there[:, :1], here[:, 1:])
        if flow is None:
            start = here.new_zeros(len(here), search.layout.count, 2)
        else:
            start = _at_patches(flow, search.layout.rows, search.layout.columns)
        flow = search(start, JUMPS if level else FINEST_JUMPS)
        flow = Refinement(here, there)(flow, warps=1 if level else WARPS, steps=STEPS)
    assert flow is not None  # a pyramid has a level
    return flow


def _at_patches(flow: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Return the flow of the coarser level at the centres of patches, in pixels of this level: (B, P, 2)."""
    # A centre lies between four pixels; their sum over 2 is twice their mean.
    centres = F.avg_pool2d(flow[..., 1:, 1:], 2, divisor_override=2)[..., :rows, :columns]
    return centres.permute(0, 2, 3, 1).reshape(len(flow), rows * columns, 2)


def _full_size(flow: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Enlarge a flow from half size, in half-size pixels, to full size, in full-size pixels."""
    large = F.interpolate(flow, scale_factor=2.0, mode="bilinear", align_corners=False)
    return large[..., :height, :width] * 2


def _pad(picture: torch.Tensor, below: int, right: int) -> torch.Tensor:
    return F.pad(picture, (0, right, 0, below), mode="replicate") if below or right else picture


# Boxes instead of Gaussians: their sides in pixels of half the size, which have about the same σ.
AROUND_SIDE = 5
LIGHTING_SIDE = 13


def refine(first: torch.Tensor, second: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Refine flows that are right within about a pixel: (N, 2, H, W) float32 pixels.

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
    """Return the mean in a square around each pixel, over pixels inside the picture."""
    return F.avg_pool2d(pictures, side, 1, side // 2, count_include_pad=False)


def _grow(small: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Enlarge pictures of half size to the size of ``like``."""
    large = F.interpolate(small, scale_factor=2.0, mode="bilinear", align_corners=False)
    return large[..., : like.shape[-2], : like.shape[-1]]
