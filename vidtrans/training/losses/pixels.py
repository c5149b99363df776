"""Pixel losses: the L1 of pix2pix, the squared error, image gradients, local texture, and the last output."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from vidtrans.training.losses.base import LossContext, Term


class L1(Term):
    """The L1 distance |y − G(x)| of output and target, with optional pixel weights for motion and for rare colours."""

    def forward(self, step: LossContext) -> Tensor:
        """Return the L1 distance of raw and final output from the target, with ``step.pixel_weights`` if given."""
        weights = step.pixel_weights
        if weights is None:
            return step.sum_over_outputs(lambda picture: F.l1_loss(picture, step.target))
        return step.sum_over_outputs(lambda picture: (weights * (picture - step.target).abs()).mean())


class L2(Term):
    """The mean squared error (y − G(x))²."""

    def forward(self, step: LossContext) -> Tensor:
        """Return the mean squared error of the raw output."""
        return F.mse_loss(step.raw_output, step.target)


class Gradients(Term):
    """The L1 distance between the gradients of output and target, the mean of horizontal and vertical gradients."""

    def forward(self, step: LossContext) -> Tensor:
        """Return the L1 distance of the gradients of the raw (and the final) output from the target's, a scalar."""
        weights = step.pixel_weights

        def distance(picture: Tensor, axis: int) -> Tensor:
            """Return the mean difference of the gradients along ``axis`` from the target's, with pixel weights."""
            difference = (picture - step.target).diff(dim=axis).abs()
            if weights is None:
                return difference.mean()
            return (difference * weights.narrow(axis, 1, weights.shape[axis] - 1)).mean()

        return step.sum_over_outputs(lambda picture: (distance(picture, 2) + distance(picture, 3)) / 2)


class Texture(Term):
    """The L1 distance between the local amounts of fine texture in output and target."""

    def forward(self, step: LossContext) -> Tensor:
        """Return the difference of texture between the raw (and the final) output and the target, a scalar."""
        return step.sum_over_outputs(lambda picture: texture_distance(picture, step.target))


class Temporal(Term):
    """The L1 distance between the output and the previous output, warped to this frame, weighted by confidence."""

    def forward(self, step: LossContext) -> Tensor | None:
        """Return the loss; None if the step has no previous outputs."""
        return None if step.past is None else temporal(step.output, step.past)


def texture_distance(fake: Tensor, target: Tensor) -> Tensor:
    """Return the L1 distance between the local amounts of texture in two batches of pictures, (N, C, H, W) each.

    Where texture is unpredictable, the L1 favours a smooth output, and the GAN texture of any amount. This loss
    compares the amount of texture around each pixel, not the position of its details.
    """
    return F.l1_loss(_roughness(fake), _roughness(target))


def _roughness(x: Tensor) -> Tensor:
    """Return the local amount of texture, (N, C, H, W) → (N, C, h, w): the mean |Laplacian| in windows of 8×8."""
    inner = x[..., 1:-1, 1:-1]
    around = x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:]
    return F.avg_pool2d((inner - around / 4).abs(), min(8, *inner.shape[-2:]), 4)


def temporal(fake: Tensor, past: Tensor) -> Tensor:
    """Return the mean difference of outputs ``fake`` from the warped previous outputs, weighted by confidence.

    ``fake``: (N, 3, H, W). ``past``: (N, 4, H, W), the previous outputs and their confidence, see ``flow.history``.

    The loss of Lai et al. (ECCV 2018); vid2vid (Wang et al., NeurIPS 2018) uses discriminators instead.
    """
    confidence = (past[:, 3:] + 1) / 2
    return F.l1_loss(confidence * fake, past[:, :3])
