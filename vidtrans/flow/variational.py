"""Variational refinement of flow for a whole batch at once, by a few steps of an accelerated Jacobi method.

The energy is that of Brox et al. (ECCV 2004): brightness and gradients are constant along the flow, and the flow
is smooth except at few pixels. Differences are divided by their gradients (Zimmer et al., IJCV 2011), so that they are
displacements in pixels, and the equations are averaged around each pixel (Bruhn et al., IJCV 2005). A flow is compared
with its mean over 3 × 3 pixels, weighted by its gradient: a Jacobi step is one pooling and one product, and Chebyshev
weights (Golub and Varga, 1961) make four steps converge further.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F

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
