"""Fine texture: as much of it as the target has around each place."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from vidtrans.training.losses.base import LossContext, Term


class Detail(Term):
    """How much less, or more, fine texture there is than in the target."""

    def forward(self, step: LossContext) -> Tensor:
        return step.over_pictures(lambda picture: detail(picture, step.target))


def detail(fake: Tensor, target: Tensor) -> Tensor:
    """Return how much less, or more, fine texture there is around each place: of (N, C, H, W), both.

    The mean difference of the Laplacian's size, averaged over 8×8 pixels every 4. Where texture cannot be known, the L1
    asks for none of it and the GAN for any; this asks for as much as there is, wherever in its place it lies.
    """
    return F.l1_loss(_roughness(fake), _roughness(target))


def _roughness(x: Tensor) -> Tensor:
    inner = x[..., 1:-1, 1:-1]
    around = x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:]
    return F.avg_pool2d((inner - around / 4).abs(), min(8, *inner.shape[-2:]), 4)
