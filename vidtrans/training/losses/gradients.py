"""The L1 distance of image gradients, which preserves the target's edges."""

from __future__ import annotations

from torch import Tensor

from vidtrans.training.losses.base import LossContext, Term


class Gradients(Term):
    """The L1 between the horizontal and vertical gradients of output and target, averaged over both axes."""

    def forward(self, step: LossContext) -> Tensor:
        weights = step.pixel_weights

        def distance(picture: Tensor, axis: int) -> Tensor:
            difference = (picture - step.target).diff(dim=axis).abs()
            if weights is None:
                return difference.mean()
            return (difference * weights.narrow(axis, 1, weights.shape[axis] - 1)).mean()

        return step.sum_over_outputs(lambda picture: (distance(picture, 2) + distance(picture, 3)) / 2)
