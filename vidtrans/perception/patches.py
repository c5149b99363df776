"""A measure that needs no weights: patches of pixels, at three scales.

The style is the patches' distribution along random directions (sliced Wasserstein: Heitz et al., "A Sliced Wasserstein
Loss for Neural Texture Synthesis", CVPR 2021, with patches instead of features), the content is the local contrast of
lightness. It covers colours and texture, but no semantics.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.perception.measure import enlarged, in_order, sorted_distance, weighted_error

SIDE, STRIDE = 7, 2  # pixels of a patch, and between two
SCALES = (1, 2, 4)  # by which pictures are averaged
SMALLEST = SIDE * SCALES[-1]  # pixels a side, for a patch at the coarsest scale
DIRECTIONS = 48
STYLE_SCALE = 20.0  # that a style far off counts about as much as with features
LUMA = (0.2126, 0.7152, 0.0722)
AROUND = 9  # pixels in which lightness is normalised
CONTENT_SCALES, CONTENT_SCALE = (2, 4), 1.0

Projected = list[Tensor]  # (N, DIRECTIONS, M) for each scale


class Patches(torch.nn.Module):
    """A measure by pixel patches."""

    directions: Tensor

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(0)
        directions = torch.randn(DIRECTIONS, 3 * SIDE * SIDE, generator=random)
        self.register_buffer("directions", F.normalize(directions, dim=1))

    @classmethod
    def identity(cls) -> str:
        """Return the version of the measure."""
        return "patches 1"

    def see(self, pictures: Tensor) -> tuple[Projected, list[Tensor]]:
        """Return for each scale the projections of patches, and the normalised lightness, (N, 1, h, w)."""
        exact = enlarged(pictures.float(), SMALLEST)
        projected = []
        for by in SCALES:
            patches = F.unfold(F.avg_pool2d(exact, by), SIDE, stride=STRIDE)
            projected.append(self.directions @ patches)
        light = (exact * exact.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        return projected, [_local_contrast(F.avg_pool2d(light, by)) for by in CONTENT_SCALES]

    def one(self, seen: tuple[Projected, list[Tensor]], number: int) -> tuple[Projected, list[Tensor]]:
        """Return the projections and the lightness of one picture."""
        chosen = slice(number, number + 1)
        return [part[chosen] for part in seen[0]], [part[chosen] for part in seen[1]]

    def manner(self, picture: Tensor) -> Projected:
        """Return the sorted projections of a picture's patches."""
        with torch.no_grad():
            return [in_order(projected) for projected in self.see(picture)[0]]

    def style(self, seen: tuple[Projected, list[Tensor]], manner: Projected, where: Tensor | None = None) -> Tensor:
        """Return ``STYLE_SCALE`` times the mean squared distance of the patch distributions, summed over scales.

        With weights, of the patches whose mean weight is above a half.
        """
        total = manner[0].new_zeros(())
        for by, found, wanted in zip(SCALES, seen[0], manner, strict=True):
            chosen = found
            if where is not None:
                weights = F.avg_pool2d(F.avg_pool2d(enlarged(where, SMALLEST), by), SIDE, STRIDE)
                chosen = found[..., weights.flatten() > 0.5]
            if chosen.shape[-1]:
                total = total + sorted_distance(in_order(chosen), wanted)
        return STYLE_SCALE * total

    def content(
        self,
        seen: tuple[Projected, list[Tensor]],
        of_inputs: tuple[Projected, list[Tensor]],
        where: Tensor | None = None,
    ) -> Tensor:
        """Return the mean squared distance of normalised lightness, summed over scales."""
        pairs = zip(seen[1], of_inputs[1], strict=True)
        distances = [weighted_error(found, wanted, where) for found, wanted in pairs]
        return CONTENT_SCALE * torch.stack(distances).sum()


def _local_contrast(light: Tensor) -> Tensor:
    around = F.avg_pool2d(light, AROUND, 1, AROUND // 2, count_include_pad=False)
    spread = F.avg_pool2d((light - around).square(), AROUND, 1, AROUND // 2, count_include_pad=False)
    return (light - around) / (spread + 1e-3).sqrt()
