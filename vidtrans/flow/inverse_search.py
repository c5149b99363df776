"""Dense inverse search (Kroeger et al., ECCV 2016) in torch, for many pairs of frames on a GPU at once.

From coarse to fine, down to half size: patches are searched (``patch_search``), and the dense flow from them is
refined (``Refinement``). All pairs and both directions share each operation, and no operation depends on data, so
the host never waits for the device.

The refinement is variational, by a few steps of an accelerated Jacobi method. The energy is that of Brox et al. (ECCV
2004): brightness and gradients are constant along the flow, and the flow is smooth except at few pixels. Differences
are divided by their gradients (Zimmer et al., IJCV 2011), so that they are displacements in pixels, and the equations
are averaged around each pixel (Bruhn et al., IJCV 2005). A flow is compared with its mean over 3 × 3 pixels, weighted
by its gradient: a Jacobi step is one pooling and one product, and Chebyshev weights (Golub and Varga, 1961) make four
steps converge further.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F

from vidtrans.flow.estimator import DAMPING, LONGEST, OUTLIER
from vidtrans.flow.patch_search import JUMPS, STRIDE, PatchSearch
from vidtrans.flow.tensors import warp

SMOOTHNESS = 4.0  # of the flow beside the data
WINDOW = 5  # pixels, over which the data's equations are averaged
DATA_EPSILON = 0.05  # pixels, below which data terms are quadratic
FLOW_EPSILON = 0.01  # the same of the flow's gradient, in pixels a pixel
LEAST_GRADIENT = 1.0  # squared grey levels
SPECTRAL_RADIUS = 0.95  # of a Jacobi step, for Chebyshev's weights


def gradients(picture: torch.Tensor) -> torch.Tensor:
    """Return central differences of (B, C, h, w): (B, 2C, h, w), those in x first."""
    across, down = _differences(picture)
    return torch.cat((across, down), dim=1).mul_(0.5)


class Refinement:
    """Minimises the energy between pictures with features (B, C, h, w) float32: grey levels and their gradients."""

    def __init__(self, first: torch.Tensor, second: torch.Tensor) -> None:
        self._first, self._second = first, second
        self._places, self._scale, self._diagonal, self._signs = _constants(*first.shape[-2:], first.device)
        slopes = gradients(first).unflatten(1, (2, -1))
        squares = slopes.square()
        self._norm = squares.sum(1).add_(LEAST_GRADIENT).reciprocal_()
        products = (squares[:, :1], slopes[:, :1] * slopes[:, 1:], squares[:, 1:], slopes)
        # The smoothness has weight 1: the data are weighed instead, here, once.
        self._terms = torch.cat(products, dim=1).mul_((self._norm * (0.5 / SMOOTHNESS))[:, None])  # (B, 5, C, h, w)

    def __call__(self, flow: torch.Tensor, *, warps: int, steps: int) -> torch.Tensor:
        """Refine a flow (B, 2, h, w) in pixels: linearise it ``warps`` times, each time followed by ``steps`` steps."""
        for _ in range(warps):
            flow = flow + self._solve(flow, steps)
        return flow

    def _linearise(self, flow: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the data term's matrices, (B, 3, h, w) for xx, xy, yy, and right-hand sides, (B, 2, h, w)."""
        places = torch.addcmul(self._places, flow.permute(0, 2, 3, 1), self._scale)
        lacking = self._first - F.grid_sample(self._second, places, padding_mode="border", align_corners=False)
        robust = lacking.square().mul_(self._norm).add_(DATA_EPSILON**2).rsqrt_()
        matrix = (self._terms[:, :3] * robust[:, None]).sum(2)
        side = (self._terms[:, 3:] * robust.mul_(lacking)[:, None]).sum(2)
        return _mean(matrix, WINDOW), _mean(side, WINDOW)

    def _solve(self, flow: torch.Tensor, steps: int) -> torch.Tensor:
        """Return the change of a flow, (B, 2, h, w)."""
        matrix, side = self._linearise(flow)
        slopes = torch.linalg.vector_norm(torch.cat(_differences(flow), dim=1), dim=1, keepdim=True)
        weight = slopes.add_(2 * FLOW_EPSILON).reciprocal_()
        inverse = self._inverse(torch.addcmul(matrix, weight, self._diagonal))
        target = _product(inverse, torch.addcmul(side, weight, _mean(flow) - flow))
        spread = inverse * weight
        previous, change, omega = torch.zeros_like(target), target, 2.0
        for _ in range(steps - 1):
            step = _product(spread, _mean(change), target)
            omega = 1 / (1 - SPECTRAL_RADIUS**2 * omega / 4)
            previous, change = change, torch.lerp(previous, step, omega)
        return change

    def _inverse(self, matrix: torch.Tensor) -> torch.Tensor:
        """Invert symmetric matrices (B, 3, h, w): xx, xy, yy."""
        x, xy, y = matrix.split(1, dim=1)
        determinant = torch.addcmul(x * y, xy, xy, value=-1)
        return (matrix.flip(1) * self._signs).div_(determinant)


@lru_cache(maxsize=16)
def _constants(
    height: int, width: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the position of each pixel, (h, w, 2), and the size of a pixel, (2,), in ``grid_sample`` coordinates.

    Then (1, 3, 1, 1) each: the mask of a matrix's diagonal, and the signs of its inverse.
    """
    ys, xs = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    scale = torch.tensor([2 / width, 2 / height], device=device)
    diagonal, signs = (torch.tensor(three, device=device).view(1, 3, 1, 1) for three in ((1.0, 0, 1), (1.0, -1, 1)))
    return (torch.stack((xs, ys), dim=-1) + 0.5) * scale - 1, scale, diagonal, signs


def _differences(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return twice the gradients of a picture (B, C, h, w), in x and in y."""
    padded = F.pad(picture, (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    return across, padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]


def _mean(picture: torch.Tensor, side: int = 3) -> torch.Tensor:
    """Return the mean over ``side`` × ``side`` pixels around each pixel."""
    return F.avg_pool2d(picture, side, stride=1, padding=side // 2, count_include_pad=False)


def _product(matrix: torch.Tensor, vector: torch.Tensor, more: torch.Tensor | None = None) -> torch.Tensor:
    """Multiply symmetric matrices (B, 3, h, w), xx, xy, yy, with vectors (B, 2, h, w), and add ``more``."""
    diagonal = matrix[:, ::2]
    along = diagonal * vector if more is None else torch.addcmul(more, diagonal, vector)
    return along.addcmul_(matrix[:, 1:2], vector.flip(1))


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
