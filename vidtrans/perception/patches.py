"""A perceptual measure without weights, by pixel patches at three scales.

The style is the distribution of patches along random directions (sliced Wasserstein: Heitz et al., "A Sliced
Wasserstein Loss for Neural Texture Synthesis", CVPR 2021, with patches instead of features); the content is the local
contrast of lightness. The measure covers colours and texture, but no semantics.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.perception.measure import LUMA, enlarge_to, sort_values, sorted_distance, weighted_error

PATCH_PX, STRIDE_PX = 7, 2  # Side of a patch, and distance between neighbouring patches, in pixels
SCALES = (1, 2, 4)  # Factors of the average pooling before patches are taken
MIN_SIDE_PX = PATCH_PX * SCALES[-1]  # Smallest side of a picture in pixels, for one patch at the coarsest scale
NUM_DIRECTIONS = 48  # Number of random directions of the sliced Wasserstein distance
STYLE_SCALE = 20.0  # Factor on the style distance, so that it has about the size of the distance by network features
WINDOW_PX = 9  # Side of the window in which lightness is normalised, in pixels
# Factors of the average pooling before lightness is compared, and the factor on the content distance
CONTENT_SCALES, CONTENT_SCALE = (2, 4), 1.0

Projected = list[Tensor]  # Patches projected onto random directions, (N, NUM_DIRECTIONS, M) for each scale


class Patches(torch.nn.Module):
    """A perceptual measure of style and content that compares pixel patches."""

    directions: Tensor

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(0)
        directions = torch.randn(NUM_DIRECTIONS, 3 * PATCH_PX * PATCH_PX, generator=random)
        self.register_buffer("directions", F.normalize(directions, dim=1))

    @classmethod
    def identity(cls) -> str:
        """Return the name and version of the measure, for cache keys."""
        return "patches 1"

    def see(self, pictures: Tensor) -> tuple[Projected, list[Tensor]]:
        """Return the measure's representation of pictures (N, 3, H, W) in [−1, 1].

        It is the projections of the patches for each of ``SCALES``, and the lightness (N, 1, h, w), normalised by its
        surroundings, for each of ``CONTENT_SCALES``.
        """
        exact = enlarge_to(pictures.float(), MIN_SIDE_PX)
        projected = []
        for factor in SCALES:
            patches = F.unfold(F.avg_pool2d(exact, factor), PATCH_PX, stride=STRIDE_PX)
            projected.append(self.directions @ patches)
        light = (exact * exact.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        return projected, [_local_contrast(F.avg_pool2d(light, factor)) for factor in CONTENT_SCALES]

    def one(self, embedding: tuple[Projected, list[Tensor]], number: int) -> tuple[Projected, list[Tensor]]:
        """Return the representation of a single picture, by ``number``, from the representation of a batch."""
        chosen = slice(number, number + 1)
        return [part[chosen] for part in embedding[0]], [part[chosen] for part in embedding[1]]

    def manner(self, picture: Tensor) -> Projected:
        """Return the sorted projections of a style picture's patches at each scale."""
        with torch.no_grad():
            return [sort_values(projected) for projected in self.see(picture)[0]]

    def style(
        self, embedding: tuple[Projected, list[Tensor]], manner: Projected, where: Tensor | None = None
    ) -> Tensor:
        """Return the style distance by the distributions of patches, summed over scales; ``where``: pixel weights.

        Distances are mean squares. Their sum is multiplied by ``STYLE_SCALE``. ``embedding``: a single picture's
        representation, from ``see``; ``manner``: the style, from ``manner``. Only patches with a mean weight above 0.5
        count.
        """
        total = manner[0].new_zeros(())
        for factor, projections, targets in zip(SCALES, embedding[0], manner, strict=True):
            chosen = projections
            if where is not None:
                weights = F.avg_pool2d(F.avg_pool2d(enlarge_to(where, MIN_SIDE_PX), factor), PATCH_PX, STRIDE_PX)
                chosen = projections[..., weights.flatten() > 0.5]
            if chosen.shape[-1]:
                total = total + sorted_distance(sort_values(chosen), targets)
        return STYLE_SCALE * total

    def content(
        self,
        embedding: tuple[Projected, list[Tensor]],
        input_embedding: tuple[Projected, list[Tensor]],
        where: Tensor | None = None,
    ) -> Tensor:
        """Return the mean squared difference of normalised lightness, summed over scales."""
        pairs = zip(embedding[1], input_embedding[1], strict=True)
        distances = [weighted_error(lightness, targets, where) for lightness, targets in pairs]
        return CONTENT_SCALE * torch.stack(distances).sum()


def _local_contrast(light: Tensor) -> Tensor:
    """Return lightness (N, 1, h, w), normalised by mean and deviation in the window around each pixel."""
    mean = F.avg_pool2d(light, WINDOW_PX, 1, WINDOW_PX // 2, count_include_pad=False)
    variance = F.avg_pool2d((light - mean).square(), WINDOW_PX, 1, WINDOW_PX // 2, count_include_pad=False)
    return (light - mean) / (variance + 1e-3).sqrt()
