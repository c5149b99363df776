"""The L1 between differences of neighbouring pixels, which keeps the target's edges."""

from __future__ import annotations

from torch import Tensor

from vidtrans.training.losses.base import LossContext, Term


class Gradients(Term):
    """The L1 between output and target of the differences of neighbouring pixels, averaged over both axes."""

    def forward(self, step: LossContext) -> Tensor:
        """Return the loss, an unweighted scalar."""
        weights = step.pixel_weights

        def along(picture: Tensor, axis: int) -> Tensor:
            gap = (picture - step.target).diff(dim=axis).abs()
            if weights is None:
                return gap.mean()
            nearer = weights.narrow(axis, 1, weights.shape[axis] - 1)
            return (gap * nearer).mean()

        return step.over_pictures(lambda picture: (along(picture, 2) + along(picture, 3)) / 2)
