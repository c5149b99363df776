"""Inverse search of patches for a whole batch at once, and the dense flow from them (Kroeger et al., ECCV 2016).

A patch of the first picture is searched in the second by Gauss–Newton steps on the squared difference of the two
minus their means. Gradients are the first picture's, so that the matrices are computed once (Baker and Matthews,
IJCV 2004). Before that each patch chooses the best of its own displacement, its neighbours' and zero:
OpenCV does this patch after patch, here it is done for all patches at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F

PATCH, STRIDE = 8, 4  # pixels
COARSE = 2  # candidates are compared on every second pixel of each axis
JUMPS = (2, 1)  # patches between one and those whose displacement it may take over
DAMPING = 1.0  # squared grey levels a pixel, added to the gradients' products: flat patches stay where they are
STEPS = 2  # Gauss–Newton steps after each choice
SMALLEST_DIFFERENCE = 1.0  # grey levels, below which a pixel counts no more
SMALLEST_COST = 0.1  # squared grey levels, below which a patch counts no more


@dataclass(frozen=True, eq=False)
class PatchLayout:
    """The positions of the ``rows`` × ``columns`` patches, and of their pixels, in pictures of one size.

    ``places``: positions in ``grid_sample`` coordinates, (P, n, 2) float32: key 1, of all n = 64 pixels of a patch; key
    2, of every second one along each axis, n = 16. ``scale`` (2,): the size of a pixel in these coordinates.
    ``neighbours``: for each distance of ``JUMPS``, the indices of the patches that supply candidates, (6·P,).
    """

    rows: int
    columns: int
    places: dict[int, torch.Tensor]
    scale: torch.Tensor
    neighbours: dict[int, torch.Tensor]

    @property
    def count(self) -> int:
        """The number of patches."""
        return self.rows * self.columns


@lru_cache(maxsize=16)
def patch_layout(height: int, width: int, device: torch.device) -> PatchLayout:
    """Return the layout for pictures whose sides are multiples of ``STRIDE``, at least ``PATCH``."""
    rows, columns = height // STRIDE - 1, width // STRIDE - 1
    scale, places = torch.tensor([2 / width, 2 / height], device=device), {}
    for every in (1, COARSE):
        offsets = torch.arange(0, PATCH, every, device=device)
        y = STRIDE * torch.arange(rows, device=device)[:, None] + offsets
        x = STRIDE * torch.arange(columns, device=device)[:, None] + offsets
        ys, xs = torch.broadcast_tensors(y[:, None, :, None], x[None, :, None, :])
        places[every] = ((torch.stack((xs, ys), dim=-1) + 0.5) * scale - 1).view(rows * columns, -1, 2)
    neighbours = {jump: _neighbours(rows, columns, jump).to(device) for jump in JUMPS}
    return PatchLayout(rows, columns, places, scale, neighbours)


def _neighbours(rows: int, columns: int, jump: int) -> torch.Tensor:
    """Return the patches that supply candidates: itself, four others, and itself again for the zero displacement."""
    y, x = torch.arange(rows)[:, None], torch.arange(columns)
    offsets = ((0, 0), (0, -jump), (0, jump), (-jump, 0), (jump, 0), (0, 0))
    indices = [(y + dy).clamp(0, rows - 1) * columns + (x + dx).clamp(0, columns - 1) for dy, dx in offsets]
    return torch.stack(indices).flatten()


@lru_cache(maxsize=4)
def _constants(device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the damping (2, 2), the signs of an inverse (2, 2), and factors that zero the last candidate (6, 1, 1)."""
    damping = DAMPING * PATCH**2 * torch.eye(2, device=device)
    signs = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], device=device)
    moves = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 0.0], device=device)
    return damping, signs, moves[:, None, None]


class PatchSearch:
    """Search of the patches of ``first`` in ``second``, (B, 1, h, w) float32 in grey levels, sides multiples of 4.

    ``gradients``: those of ``first``, (B, 2, h, w), x and y. Displacements of patches are (B, P, 2) float32 pixels.
    """

    def __init__(self, first: torch.Tensor, second: torch.Tensor, gradients: torch.Tensor) -> None:
        self._batch, self._size = first.shape[0], first.shape[-2:]
        self.layout = patch_layout(*self._size, first.device)
        self._constants = _constants(first.device)
        self._second, self._patches = second, _unfold(first)
        self._steps = self._newton_steps(gradients)

    def __call__(self, start: torch.Tensor, jumps: tuple[int, ...]) -> torch.Tensor:
        """Return the dense flow, (B, 2, h, w) pixels, from initial displacements (B, P, 2).

        For each of ``jumps``, taken from ``JUMPS``, patches choose between their displacement, those of patches at that
        distance, and zero; then they take Gauss–Newton steps, which are undone where they do not improve the match.
        """
        displacement = start
        for jump in jumps:
            displacement, difference = self._descend(self._choose(displacement, jump))
        return self._densify(displacement, difference)

    def _newton_steps(self, gradients: torch.Tensor) -> torch.Tensor:
        """Return the matrices that turn a patch's difference into its step: (B·P, 2, 64)."""
        damping, signs, _ = self._constants
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
        found = F.grid_sample(self._second, places, padding_mode="border", align_corners=False)
        found = found.view(self._batch, -1, layout.rows, layout.columns, side, side)
        return (found - self._patches[..., ::every, ::every]).view(*displacement.shape[:3], side**2)

    def _choose(self, displacement: torch.Tensor, jump: int) -> torch.Tensor:
        """Return each patch's best candidate displacement, (B, P, 2), from patches at the distance ``jump``."""
        index = self.layout.neighbours[jump]
        candidates = displacement.index_select(1, index).view(self._batch, -1, self.layout.count, 2)
        candidates = candidates * self._constants[2]
        best = self._difference(candidates, COARSE).var(-1, correction=0).argmin(1)
        return candidates.gather(1, best[:, None, :, None].expand(-1, 1, -1, 2))[:, 0]

    def _descend(self, start: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the displacements after the steps, and the patches' differences there: (B, P, 64)."""
        before = difference = self._difference(start[:, None])[:, 0]
        displacement = start
        for _ in range(STEPS):
            now, residual = displacement.view(-1, 2, 1), difference.view(-1, PATCH**2, 1)
            displacement = torch.baddbmm(now, self._steps, residual, alpha=-1).view(start.shape)
            difference = self._difference(displacement[:, None])[:, 0]
        better = (difference.var(-1, correction=0) < before.var(-1, correction=0))[..., None]
        return torch.where(better, displacement, start), torch.where(better, difference, before)

    def _densify(self, displacement: torch.Tensor, difference: torch.Tensor) -> torch.Tensor:
        """Return the flow (B, 2, h, w): the mean over a pixel's patches, weighted by their match there and overall."""
        misfit = difference.square().add_(SMALLEST_DIFFERENCE**2)
        misfit.mul_(difference.var(-1, correction=0, keepdim=True).add_(SMALLEST_COST))
        weight = misfit.reciprocal_().transpose(1, 2).contiguous()[:, None]
        weighed = F.pad(displacement, (0, 1), value=1.0).transpose(1, 2).contiguous()[:, :, None] * weight
        total = F.fold(weighed.view(self._batch, -1, self.layout.count), self._size, PATCH, stride=STRIDE)
        return total[:, :2] / total[:, 2:]


def _unfold(picture: torch.Tensor) -> torch.Tensor:
    """View the patches of a picture (B, C, h, w): (B, C, rows, columns, 8, 8)."""
    return picture.unfold(2, PATCH, STRIDE).unfold(3, PATCH, STRIDE)
