"""Perceptual losses: the distance of output and target in features of the run's discriminator or of VGG-19."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.core.files import digest_file
from vidtrans.perception.vgg import WEIGHTS, DistilledVGG
from vidtrans.training.losses.base import DiscriminatorOutput, LossContext, Term, mean_of
from vidtrans.training.settings import TrainingSettings

# Weights of the VGG-19 features relu1_1 to relu4_1: deep layers respond to parts of a face, shallow layers to colours.
TAP_WEIGHTS = (0.25, 0.5, 1.0, 1.0)


class Perceptual(Term):
    """The distance between output and target in features of the network ``training.perceptual_network``."""

    def __init__(self, settings: TrainingSettings) -> None:
        super().__init__(settings)
        self.vgg = DistilledVGG() if settings.uses_vgg else None
        if self.vgg is not None:  # On a CPU this layout takes 4/5 of the time.
            self.vgg.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.uses_discriminator = self.vgg is None

    @staticmethod
    def identity(settings: TrainingSettings) -> str:
        """Return the network's name with the digest of the weights file; '' for the discriminator's features."""
        return f"distilled-vgg {digest_file(WEIGHTS)}" if settings.uses_vgg else ""

    def forward(self, step: LossContext) -> Tensor:
        """Return the distance between the features of output and target."""
        if self.vgg is None:
            return feature_distance(step.on_fake, step.on_real)
        with step.autocast():
            with torch.no_grad():
                target_taps = self.vgg(step.target.contiguous(memory_format=torch.channels_last))
            output_taps = self.vgg(step.raw_output.contiguous(memory_format=torch.channels_last))
        return vgg_distance(output_taps, target_taps)


def feature_distance(on_fake: DiscriminatorOutput, on_real: DiscriminatorOutput) -> Tensor:
    """Return the mean squared distance, 0 to 4, of D's features of output and target, normalised to length 1 per pixel.

    As in LPIPS (Zhang et al., CVPR 2018, equation 1, with equal channel weights): the scale of D's weights has no
    effect.
    """
    layers = [
        (_normalise(a) - _normalise(b.detach())).square().sum(1).mean()
        for fake, real in zip(on_fake, on_real, strict=True)
        for a, b in zip(fake[:-1], real[:-1], strict=True)
    ]
    return mean_of(layers)


def _normalise(features: Tensor) -> Tensor:
    """Scale the feature vector of each pixel to length 1."""
    return F.normalize(features.float(), dim=1, eps=1e-6)


def vgg_distance(output: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """Return the sum over VGG layers of the L1 distance, weighted, relative to the mean of the target's features.

    ``output``, ``target``: the features of each layer, (N, C, h, w). The weights are ``TAP_WEIGHTS``.

    After pix2pixHD (Wang et al., CVPR 2018), with other weights.
    """
    layers = zip(TAP_WEIGHTS, output, target, strict=True)
    return torch.stack([w * _relative_l1(a.float(), b.float()) for w, a, b in layers]).sum()


def _relative_l1(output: Tensor, target: Tensor) -> Tensor:
    """Return the L1 distance between features, (N, C, h, w), divided by the mean of the target's features."""
    return ((output - target).abs().mean((1, 2, 3)) / (target.mean((1, 2, 3)) + 1e-6)).mean()
