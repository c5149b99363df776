"""The L1 loss of pix2pix."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from vidtrans.training.losses.base import LossContext, Term


class L1(Term):
    """The L1 |y − G(x)|, with optional pixel weights for motion and for rare colours."""

    def forward(self, step: LossContext) -> Tensor:
        weights = step.pixel_weights
        if weights is None:
            return step.sum_over_outputs(lambda picture: F.l1_loss(picture, step.target))
        return step.sum_over_outputs(lambda picture: (weights * (picture - step.target).abs()).mean())
