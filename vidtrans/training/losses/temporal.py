"""Temporal consistency: a recurrent generator's output equals its previous one where the source is the same."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from vidtrans.training.losses.base import LossContext, Term


class Temporal(Term):
    """The L1 between an output and the previous output, warped to this frame."""

    def forward(self, step: LossContext) -> Tensor | None:
        """Return the loss, an unweighted scalar; None if the step has no previous output."""
        return None if step.past is None else temporal(step.output, step.past)


def temporal(fake: Tensor, past: Tensor) -> Tensor:
    """Return the mean of s·|fake − p| over (N, 3, H, W): ``past``, a ``flow.history``, holds frame p and confidence s.

    The loss of Lai et al. (ECCV 2018); vid2vid (Wang et al., NeurIPS 2018) uses discriminators instead.
    """
    confidence = (past[:, 3:] + 1) / 2
    return F.l1_loss(confidence * fake, past[:, :3])
