"""The mean squared error."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from vidtrans.training.losses.base import LossContext, Term


class L2(Term):
    """The mean squared error (y − G(x))²."""

    def forward(self, step: LossContext) -> Tensor:
        return F.mse_loss(step.raw_output, step.target)
