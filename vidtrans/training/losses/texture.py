"""Fine texture: the same amount as the target has around each place."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from vidtrans.training.losses.base import LossContext, Term


class Texture(Term):
    """The difference in the amount of fine texture."""

    def forward(self, step: LossContext) -> Tensor:
        """Return the loss."""
        return step.over_pictures(lambda picture: texture_distance(picture, step.target))


def texture_distance(fake: Tensor, target: Tensor) -> Tensor:
    """Return the mean difference of the Laplacian's magnitude, averaged over 8×8 pixels every 4: of (N, C, H, W), both.

    Where texture cannot be predicted, the L1 asks for none and the GAN for any. This loss asks for as much as the
    target has around each place, wherever exactly it lies.
    """
    return F.l1_loss(_roughness(fake), _roughness(target))


def _roughness(x: Tensor) -> Tensor:
    inner = x[..., 1:-1, 1:-1]
    around = x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:]
    return F.avg_pool2d((inner - around / 4).abs(), min(8, *inner.shape[-2:]), 4)
