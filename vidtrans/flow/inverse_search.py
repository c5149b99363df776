"""Dense inverse search (Kroeger et al., ECCV 2016) in torch, for many pairs of frames on a GPU at once.

From coarse to fine, down to half size: patches are searched (``PatchSearch``), and the dense flow from them is refined
(``Refinement``). All pairs and both directions share each operation, and no operation depends on data, so the host
never waits for the device.

A patch of the first picture is searched in the second by Gauss–Newton steps on the squared difference of the two
minus their means. Gradients are the first picture's, so that the matrices are computed once (Baker and Matthews,
IJCV 2004). Before that each patch chooses the best of its own displacement, its neighbours' and zero:
OpenCV does this patch after patch, here it is done for all patches at once.

The refinement is variational, by a few steps of an accelerated Jacobi method. The energy is that of Brox et al. (ECCV
2004): brightness and gradients are constant along the flow, and the flow is smooth except at few pixels. Differences
are divided by their gradients (Zimmer et al., IJCV 2011), so that they are displacements in pixels, and the equations
are averaged around each pixel (Bruhn et al., IJCV 2005). A flow is compared with its mean over 3 × 3 pixels, weighted
by its gradient: a Jacobi step is one pooling and one product, and Chebyshev weights (Golub and Varga, 1961) make four
steps converge further.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F

from vidtrans.flow.estimator import DAMPING, MAX_STEP_PX, OUTLIER
from vidtrans.flow.tensors import warp

# Patch search
PATCH, STRIDE = 8, 4  # Side and distance of the patches, in pixels
CANDIDATE_STEP = 2  # Step, along each axis, of the patch pixels on which candidate displacements are compared
JUMPS = (2, 1)  # Distances, in patches, of the neighbours whose displacements are candidates of a patch
PATCH_DAMPING = 1.0  # Damping of the normal equations against motion of flat patches, in (grey levels per pixel)²
NEWTON_STEPS = 2  # Number of Gauss–Newton steps after each choice of the best candidate
DIFFERENCE_FLOOR = 1.0  # Difference between pictures below which a pixel's weight stays constant, in grey levels
COST_FLOOR = 0.1  # Matching cost below which a patch's weight does not rise any more, in squared grey levels
# Refinement
SMOOTHNESS = 4.0  # Weight of the smoothness term relative to the data term
WINDOW_PX = 5  # Side of the window over which the data term's equations are averaged, in pixels
DATA_EPSILON = 0.05  # Charbonnier epsilon of the data term, in pixels
FLOW_EPSILON = 0.01  # Charbonnier epsilon of the smoothness term, in pixels per pixel
GRADIENT_FLOOR = 1.0  # Added to the squared gradients by which the data term is divided, in squared grey levels
SPECTRAL_RADIUS = 0.95  # Spectral radius of a Jacobi step, for the Chebyshev weights
# Pyramid
MIN_SIDE_PX = 64  # Minimum side to which a picture is padded, in pixels
COARSEST_SIDE_PX = 20  # Minimum short side of the coarsest pyramid level, in pixels
FINEST_JUMPS = (1,)  # Distances, in patches, of candidate neighbours at the finest pyramid level
JACOBI_STEPS = 4  # Number of Jacobi steps of the refinement after each linearisation
FINEST_WARPS = 2  # Number of linearisations at the finest pyramid level; other levels have one
# In place of the Gaussians of ``estimator.refine``, boxes with about the same σ are used.
WINDOW_BOX_PX = 5  # Side of the box in place of the Gaussian with ``estimator.WINDOW_SIGMA``, in pixels at half size
LIGHT_BOX_PX = 13  # Side of the box in place of the Gaussian with ``estimator.LIGHT_SIGMA``, in pixels at half size


@dataclass(frozen=True, eq=False)
class PatchLayout:
    """The positions of ``rows`` × ``columns`` patches and of their pixels, in pictures of one size.

    Attributes:
        places: Positions in ``grid_sample`` coordinates, (P, n, 2) float32, by pixel step: with 1, of all n = 64 pixels
            of a patch; with 2, of every second one along each axis, n = 16.
        scale: The size of a pixel in these coordinates, (2,).
        neighbours: The indices of the patches that supply candidates, (6·P,), by distance in ``JUMPS``.
    """

    rows: int
    columns: int
    places: dict[int, torch.Tensor]
    scale: torch.Tensor
    neighbours: dict[int, torch.Tensor]

    @property
    def count(self) -> int:
        """Return the number of patches."""
        return self.rows * self.columns


@lru_cache(maxsize=16)
def patch_layout(height: int, width: int, device: torch.device) -> PatchLayout:
    """Return the patch layout for pictures whose sides are multiples of ``STRIDE`` and at least ``PATCH``."""
    rows, columns = height // STRIDE - 1, width // STRIDE - 1
    scale, places = torch.tensor([2 / width, 2 / height], device=device), {}
    for every in (1, CANDIDATE_STEP):
        offsets = torch.arange(0, PATCH, every, device=device)
        y = STRIDE * torch.arange(rows, device=device)[:, None] + offsets
        x = STRIDE * torch.arange(columns, device=device)[:, None] + offsets
        ys, xs = torch.broadcast_tensors(y[:, None, :, None], x[None, :, None, :])
        places[every] = ((torch.stack((xs, ys), dim=-1) + 0.5) * scale - 1).view(rows * columns, -1, 2)
    neighbours = {jump: _neighbours(rows, columns, jump).to(device) for jump in JUMPS}
    return PatchLayout(rows, columns, places, scale, neighbours)


def _neighbours(rows: int, columns: int, jump: int) -> torch.Tensor:
    """Return the indices of the patches from which each patch gets its six candidate displacements, (6·P,).

    They are the patch, four neighbours at the distance ``jump`` in patches, and the patch again, for zero motion.
    """
    y, x = torch.arange(rows)[:, None], torch.arange(columns)
    offsets = ((0, 0), (0, -jump), (0, jump), (-jump, 0), (jump, 0), (0, 0))
    indices = [(y + dy).clamp(0, rows - 1) * columns + (x + dx).clamp(0, columns - 1) for dy, dx in offsets]
    return torch.stack(indices).flatten()


@lru_cache(maxsize=4)
def _patch_constants(device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return constants of the patch search: damping, signs and factors.

    They are the damping of the normal equations (2, 2), the signs of an inverted 2×2 matrix (2, 2), and the factors
    (6, 1, 1) on the six candidates, 0 for the last one (zero motion).
    """
    damping = PATCH_DAMPING * PATCH**2 * torch.eye(2, device=device)
    signs = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], device=device)
    moves = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 0.0], device=device)
    return damping, signs, moves[:, None, None]


class PatchSearch:
    """Searches patches of ``first`` in ``second``, (B, 1, h, w) float32 grey levels, with sides multiples of 4.

    ``gradients``: of ``first``, (B, 2, h, w), x and y. Displacements of patches are (B, P, 2) float32 pixels.
    """

    def __init__(self, first: torch.Tensor, second: torch.Tensor, gradients: torch.Tensor) -> None:
        self._batch, self._size = first.shape[0], first.shape[-2:]
        self.layout = patch_layout(*self._size, first.device)
        self._patch_constants = _patch_constants(first.device)
        self._second, self._patches = second, _unfold(first)
        self._steps = self._newton_steps(gradients)

    def __call__(self, start: torch.Tensor, jumps: tuple[int, ...]) -> torch.Tensor:
        """Return the dense flow, (B, 2, h, w) pixels, from the patches' initial displacements ``start``, (B, P, 2).

        For each of ``jumps``, patches choose between their displacement, those of patches at that distance, and zero.
        Then they take Gauss–Newton steps, which are undone where they do not improve the match.
        """
        displacement = start
        for jump in jumps:
            displacement, difference = self._descend(self._choose(displacement, jump))
        return self._densify(displacement, difference)

    def _newton_steps(self, gradients: torch.Tensor) -> torch.Tensor:
        """Return the matrices, (B·P, 2, 64), from each patch's difference, 64 pixels, to its Gauss–Newton step (x, y).

        ``gradients``: of ``first``, (B, 2, h, w).
        """
        damping, signs, _ = self._patch_constants
        patches = _unfold(gradients).permute(0, 2, 3, 1, 4, 5).reshape(-1, 2, PATCH**2)
        patches = patches - patches.mean(-1, keepdim=True)
        products = torch.baddbmm(damping, patches, patches.transpose(1, 2))
        xx, xy, yy = products[:, 0, 0], products[:, 0, 1], products[:, 1, 1]
        determinant = torch.addcmul(xx * yy, xy, xy, value=-1)
        return torch.bmm((products.flip((1, 2)) * signs).div_(determinant[:, None, None]), patches)

    def _difference(self, displacement: torch.Tensor, every: int = 1) -> torch.Tensor:
        """Return second − first on each ``every``-th pixel of patches, (B, C, P, n), for displacements (B, C, P, 2)."""
        layout, side = self.layout, PATCH // every
        places = torch.addcmul(layout.places[every], displacement[..., None, :], layout.scale)
        places = places.view(self._batch, -1, side**2, 2)
        sampled = F.grid_sample(self._second, places, padding_mode="border", align_corners=False)
        sampled = sampled.view(self._batch, -1, layout.rows, layout.columns, side, side)
        return (sampled - self._patches[..., ::every, ::every]).view(*displacement.shape[:3], side**2)

    def _choose(self, displacement: torch.Tensor, jump: int) -> torch.Tensor:
        """Return each patch's best candidate displacement, (B, P, 2), from patches at the distance ``jump``."""
        index = self.layout.neighbours[jump]
        candidates = displacement.index_select(1, index).view(self._batch, -1, self.layout.count, 2)
        candidates = candidates * self._patch_constants[2]
        best = self._difference(candidates, CANDIDATE_STEP).var(-1, correction=0).argmin(1)
        return candidates.gather(1, best[:, None, :, None].expand(-1, 1, -1, 2))[:, 0]

    def _descend(self, start: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return displacements (B, P, 2), after Gauss–Newton steps from ``start``, and patch differences (B, P, 64)."""
        before = difference = self._difference(start[:, None])[:, 0]
        displacement = start
        for _ in range(NEWTON_STEPS):
            now, residual = displacement.view(-1, 2, 1), difference.view(-1, PATCH**2, 1)
            displacement = torch.baddbmm(now, self._steps, residual, alpha=-1).view(start.shape)
            difference = self._difference(displacement[:, None])[:, 0]
        better = (difference.var(-1, correction=0) < before.var(-1, correction=0))[..., None]
        return torch.where(better, displacement, start), torch.where(better, difference, before)

    def _densify(self, displacement: torch.Tensor, difference: torch.Tensor) -> torch.Tensor:
        """Return the dense flow (B, 2, h, w): the weighted mean of the displacements of the patches over each pixel.

        The weight is high if the ``difference`` of the pixel, and that of the whole patch, is small.
        """
        misfit = difference.square().add_(DIFFERENCE_FLOOR**2)
        misfit.mul_(difference.var(-1, correction=0, keepdim=True).add_(COST_FLOOR))
        weight = misfit.reciprocal_().transpose(1, 2).contiguous()[:, None]
        weighed = F.pad(displacement, (0, 1), value=1.0).transpose(1, 2).contiguous()[:, :, None] * weight
        total = F.fold(weighed.view(self._batch, -1, self.layout.count), self._size, PATCH, stride=STRIDE)
        return total[:, :2] / total[:, 2:]


def _unfold(picture: torch.Tensor) -> torch.Tensor:
    """Return a view of the overlapping patches of a picture (B, C, h, w): (B, C, rows, columns, 8, 8)."""
    return picture.unfold(2, PATCH, STRIDE).unfold(3, PATCH, STRIDE)


def gradients(picture: torch.Tensor) -> torch.Tensor:
    """Return the central differences of pictures (B, C, h, w): (B, 2C, h, w), first all in x, then all in y."""
    across, down = _differences(picture)
    return torch.cat((across, down), dim=1).mul_(0.5)


class Refinement:
    """Refines a flow from ``first`` to ``second`` by energy minimisation.

    ``first`` and ``second``: features of pictures, (B, C, h, w), which are grey levels and gradients.
    """

    def __init__(self, first: torch.Tensor, second: torch.Tensor) -> None:
        self._first, self._second = first, second
        self._places, self._scale, self._diagonal, self._signs = _constants(*first.shape[-2:], first.device)
        slopes = gradients(first).unflatten(1, (2, -1))
        squares = slopes.square()
        self._norm = squares.sum(1).add_(GRADIENT_FLOOR).reciprocal_()
        products = (squares[:, :1], slopes[:, :1] * slopes[:, 1:], squares[:, 1:], slopes)
        # The smoothness term has weight 1; the data term is divided by ``SMOOTHNESS`` once, here.
        self._terms = torch.cat(products, dim=1).mul_((self._norm * (0.5 / SMOOTHNESS))[:, None])  # (B, 5, C, h, w)

    def __call__(self, flow: torch.Tensor, *, warps: int, steps: int) -> torch.Tensor:
        """Refine a flow (B, 2, h, w) in pixels: ``warps`` linearisations with ``steps`` Jacobi steps after each."""
        for _ in range(warps):
            flow = flow + self._solve(flow, steps)
        return flow

    def _linearise(self, flow: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the data term's matrices, (B, 3, h, w) for xx, xy and yy, and right-hand sides, (B, 2, h, w)."""
        places = torch.addcmul(self._places, flow.permute(0, 2, 3, 1), self._scale)
        residual = self._first - F.grid_sample(self._second, places, padding_mode="border", align_corners=False)
        robust = residual.square().mul_(self._norm).add_(DATA_EPSILON**2).rsqrt_()
        matrix = (self._terms[:, :3] * robust[:, None]).sum(2)
        side = (self._terms[:, 3:] * robust.mul_(residual)[:, None]).sum(2)
        return _mean(matrix, WINDOW_PX), _mean(side, WINDOW_PX)

    def _solve(self, flow: torch.Tensor, steps: int) -> torch.Tensor:
        """Return the change of a flow, (B, 2, h, w), after ``steps`` Jacobi steps."""
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
    """Return constants of the refinement: pixel positions, pixel size, diagonal and signs.

    Positions, (h, w, 2), and size, (2,), are in ``grid_sample`` coordinates. Diagonal and signs, (1, 3, 1, 1) each,
    are for symmetric matrices (xx, xy, yy): 1 on the diagonal and 0 elsewhere, and the signs of the inverse.
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
    """Return the mean of a picture over ``side`` × ``side`` pixels around each pixel."""
    return F.avg_pool2d(picture, side, stride=1, padding=side // 2, count_include_pad=False)


def _product(matrix: torch.Tensor, vector: torch.Tensor, more: torch.Tensor | None = None) -> torch.Tensor:
    """Multiply symmetric matrices (B, 3, h, w), xx, xy, yy, with vectors (B, 2, h, w), and add ``more``."""
    diagonal = matrix[:, ::2]
    along = diagonal * vector if more is None else torch.addcmul(more, diagonal, vector)
    return along.addcmul_(matrix[:, 1:2], vector.flip(1))


class TorchDIS:
    """Dense inverse search down to half size, then a Lucas–Kanade step at full size, as in ``estimator.DISMedium``.

    It launches about 780 kernels at 720p and 1080p, 500 at 256 × 256, for any number of pairs. It needs up to 180 bytes
    per pixel of a pair, in both directions, so callers must limit the number of pairs.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = torch.device(device)

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the flow between two pictures (H, W) uint8: (H, W, 2) float32 pixels."""
        a, b = (torch.from_numpy(picture)[None, None].to(self._device) for picture in (first, second))
        return np.ascontiguousarray(self.estimate(a, b)[0].permute(1, 2, 0).cpu().numpy())

    @torch.inference_mode()
    def estimate(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Return the flow from each picture of ``first`` to that of ``second``: (N, 2, H, W) float32 pixels.

        Both are (N, 1, H, W), uint8 or float32 in [0, 255], on one device.
        """
        with torch.autocast(first.device.type, enabled=False):
            half = _coarse_to_fine(_pyramid(first), _pyramid(second))
            return refine(first.float(), second.float(), _full_size(half, *first.shape[-2:]))

    @torch.inference_mode()
    def estimate_both(self, first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the flow of each pair in both directions, like ``estimate``, in fewer operations than two calls."""
        with torch.autocast(first.device.type, enabled=False):
            pictures = torch.cat((first, second)).float()
            levels = _pyramid(pictures)
            half = _coarse_to_fine(levels, [level.roll(len(first), 0) for level in levels])
            flow = _full_size(half, *first.shape[-2:])
            there, back = refine(pictures, pictures.roll(len(first), 0), flow).chunk(2)
            return there, back


def _pyramid(pictures: torch.Tensor) -> list[torch.Tensor]:
    """Return the features of pictures (B, 1, H, W), grey levels and gradients, at each pyramid level from half size on.

    Each level is (B, 3, h, w) float32; its sides are multiples of ``STRIDE``, padded below and on the right.
    """
    height, width = pictures.shape[-2:]
    level = _pad(pictures.float(), max(0, MIN_SIDE_PX - height), max(0, MIN_SIDE_PX - width))
    levels: list[torch.Tensor] = []
    while not levels or min(level.shape[-2:]) >= 2 * COARSEST_SIDE_PX:
        level = F.avg_pool2d(level, 2, ceil_mode=True)
        level = _pad(level, -level.shape[-2] % STRIDE, -level.shape[-1] % STRIDE)
        levels.append(torch.cat((level, gradients(level)), dim=1))
    return levels


def _coarse_to_fine(first: list[torch.Tensor], second: list[torch.Tensor]) -> torch.Tensor:
    """Return the flow at the finest pyramid level: (B, 2, h, w) in pixels of that level."""
    flow = None
    for level in reversed(range(len(first))):
        here, there = first[level], second[level]
        search = PatchSearch(here[:, :1], there[:, :1], here[:, 1:])
        if flow is None:
            start = here.new_zeros(len(here), search.layout.count, 2)
        else:
            start = _flow_at_patches(flow, search.layout.rows, search.layout.columns)
        flow = search(start, JUMPS if level else FINEST_JUMPS)
        flow = Refinement(here, there)(flow, warps=1 if level else FINEST_WARPS, steps=JACOBI_STEPS)
    assert flow is not None
    return flow


def _flow_at_patches(flow: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Return a coarser level's flow at the centres of this level's patches, in this level's pixels: (B, P, 2)."""
    # A centre lies between four pixels. Half their sum is twice their mean: the flow in this level's pixels.
    centres = F.avg_pool2d(flow[..., 1:, 1:], 2, divisor_override=2)[..., :rows, :columns]
    return centres.permute(0, 2, 3, 1).reshape(len(flow), rows * columns, 2)


def _full_size(flow: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Enlarge a flow from half size, in half-size pixels, to full size, in full-size pixels."""
    large = F.interpolate(flow, scale_factor=2.0, mode="bilinear", align_corners=False)
    return large[..., :height, :width] * 2


def _pad(picture: torch.Tensor, below: int, right: int) -> torch.Tensor:
    """Extend a picture below and at the right by replication of its edge."""
    return F.pad(picture, (0, right, 0, below), mode="replicate") if below or right else picture


def refine(first: torch.Tensor, second: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Refine flows that are exact to about a pixel by a Lucas–Kanade step: (N, 2, H, W) float32 pixels.

    ``first`` and ``second`` are (N, 1, H, W) float32 in [0, 255].
    """
    there = warp(second, flow)
    both = F.pad(first + there, (1, 1, 1, 1), mode="replicate")
    across, down = both[..., 1:-1, 2:] - both[..., 1:-1, :-2], both[..., 2:, 1:-1] - both[..., :-2, 1:-1]
    gradients = torch.cat((across, down), dim=1) * 0.25
    change = there - first
    change = change - _grow(_box(_halve(change), LIGHT_BOX_PX), change)
    sure = gradients / (1 + (change / OUTLIER).square())
    products = torch.cat((sure * gradients, sure[:, :1] * gradients[:, 1:], sure * change), dim=1)
    xx, yy, xy, xt, yt = _box(_halve(products), WINDOW_BOX_PX).split(1, dim=1)
    xx, yy = xx + DAMPING, yy + DAMPING
    step = torch.cat((xy * yt - yy * xt, xy * xt - xx * yt), dim=1) / (xx * yy - xy.square())
    return flow + _grow(step.clamp(-MAX_STEP_PX, MAX_STEP_PX), change)


def _halve(pictures: torch.Tensor) -> torch.Tensor:
    """Return pictures at half the size, rounded up, by averaging 2 × 2 pixels."""
    return F.avg_pool2d(pictures, 2, ceil_mode=True)


def _box(pictures: torch.Tensor, side: int) -> torch.Tensor:
    """Return the mean over a square of ``side`` pixels around each pixel; pixels outside the picture do not count."""
    return F.avg_pool2d(pictures, side, 1, side // 2, count_include_pad=False)


def _grow(small: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Enlarge pictures of half size to the size of the picture ``like``."""
    large = F.interpolate(small, scale_factor=2.0, mode="bilinear", align_corners=False)
    return large[..., : like.shape[-2], : like.shape[-1]]
