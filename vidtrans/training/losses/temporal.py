"""Steadiness: the output of a generator with a memory is to be what it showed before, where the source is the same."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from vidtrans.training.losses.base import LossContext, Term


class Temporal(Term):
    """The L1 between an output and the one before, brought here."""

    def forward(self, step: LossContext) -> Tensor | None:
        """Return the loss."""
        return None if step.past is None else temporal(step.output, step.past)


def temporal(fake: Tensor, past: Tensor) -> Tensor:
    """Return how far (N, 3, H, W) is from its ``past`` (N, 4, H, W), a ``flow.history``: the mean of s·|fake − p|.

    s is how sure the past p is. vid2vid's discriminators judge that (Wang et al., NeurIPS 2018); Lai et al. (ECCV 2018)
    have this loss. The past is not learned from.
    """
    sure = (past[:, 3:] + 1) / 2
    return F.l1_loss(sure * fake, past[:, :3])
