"""Temporal consistency loss: a recurrent output equals the previous output where the source does not change."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from vidtrans.training.losses.base import LossContext, Term


class Temporal(Term):
    """The L1 distance between the output and the previous output, warped to this frame, weighted by confidence."""

    def forward(self, step: LossContext) -> Tensor | None:
        """Return the loss; None if the step has no previous outputs."""
        return None if step.past is None else temporal(step.output, step.past)


def temporal(fake: Tensor, past: Tensor) -> Tensor:
    """Return the mean difference of outputs ``fake`` from the warped previous outputs, weighted by confidence.

    ``fake``: (N, 3, H, W). ``past``: (N, 4, H, W), the previous outputs and their confidence, see ``flow.history``.

    The loss of Lai et al. (ECCV 2018); vid2vid (Wang et al., NeurIPS 2018) uses discriminators instead.
    """
    confidence = (past[:, 3:] + 1) / 2
    return F.l1_loss(confidence * fake, past[:, :3])
