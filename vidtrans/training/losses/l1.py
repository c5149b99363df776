"""The L1 of the paper."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from vidtrans.training.losses.base import LossContext, Term


class L1(Term):
    """|y − G(x)|, its pixels weighed by what moves and by how rare their colour is, as the settings ask."""

    def forward(self, step: LossContext) -> Tensor:
        """Return the loss."""
        weights = step.pixel_weights
        if weights is None:
            return step.over_pictures(lambda picture: F.l1_loss(picture, step.target))
        return step.over_pictures(lambda picture: weighted_l1(picture, step.target, weights))


def weighted_l1(fake: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of ``weights`` (N, 1, H, W) times |target − fake|, both (N, C, H, W)."""
    return (weights * (fake - target).abs()).mean()
