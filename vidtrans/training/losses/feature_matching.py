"""Feature matching: Wang et al., pix2pixHD (CVPR 2018), equation 4."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.training.losses.base import DiscriminatorOutput, LossContext, Term, mean_of


class FeatureMatching(Term):
    """The L1 distance between D's features of the output and of the target."""

    uses_discriminator = True

    def forward(self, step: LossContext) -> Tensor:
        return feature_matching(step.on_fake, step.on_real)


def feature_matching(on_fake: DiscriminatorOutput, on_real: DiscriminatorOutput) -> Tensor:
    """Return the L1 of D's features, summed over layers as in the paper, averaged over scales.

    Targets are detached.
    """
    scales: list[Tensor] = []
    for fake, real in zip(on_fake, on_real, strict=True):
        layers = [F.l1_loss(a.float(), b.detach().float()) for a, b in zip(fake[:-1], real[:-1], strict=True)]
        scales.append(torch.stack(layers).sum())
    return mean_of(scales)
