"""Perceptual losses: the distance of output and target in the features of the run's discriminator or of VGG-19.

VGG-19 (Johnson et al., ECCV 2016) needs torchvision and its weights, see ``pretrained``. Layers and their weights
follow pix2pixHD (Wang et al., CVPR 2018, section 3.3).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.files import digest_file
from vidtrans.perception.vgg import VggTrunk, find_vgg
from vidtrans.training.losses.base import Judgement, LossContext, Term, mean_of
from vidtrans.training.settings import TrainingSettings

WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)  # of the layers of VGG-19
WHAT = "training.perceptual_network = 'vgg19'"
INSTEAD = "'discriminator'"


class Perceptual(Term):
    """The distance between output and target in the features of ``training.perceptual_network``."""

    def __init__(self, settings: TrainingSettings) -> None:
        super().__init__(settings)
        self.vgg = VGG() if settings.uses_vgg else None
        self.ask_d = self.vgg is None

    @staticmethod
    def identity(settings: TrainingSettings) -> str:
        """Return VGG's name with the digest of its weights, '' if unused. Raises UsageError if they are missing."""
        return f"vgg19 {digest_file(find_vgg(WHAT, INSTEAD)[0])}" if settings.uses_vgg else ""

    def forward(self, step: LossContext) -> Tensor:
        """Return the loss, an unweighted scalar."""
        if self.vgg is None:
            return feature_distance(step.on_fake, step.on_real)
        with step.autocast():
            loss: Tensor = self.vgg(step.painted, step.target)
        return loss


def feature_distance(on_fake: Judgement, on_real: Judgement) -> Tensor:
    """Return the squared distance between D's features, normalised per pixel: 0 to 4, averaged over all layers.

    As LPIPS (Zhang et al., CVPR 2018, equation 1, with equal channel weights): the scale of D's weights has no effect.
    """
    layers = [
        (_unit(a) - _unit(b.detach())).square().sum(1).mean()
        for fake, real in zip(on_fake, on_real, strict=True)
        for a, b in zip(fake[:-1], real[:-1], strict=True)
    ]
    return mean_of(layers)


def _unit(features: Tensor) -> Tensor:
    return F.normalize(features.float(), dim=1, eps=1e-6)


class VGG(nn.Module):
    """The distance between two pictures in VGG-19's features: the weighted sum of the layers' L1.

    Raises UsageError if torchvision or the weights are missing, ModelError if the weights cannot be read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = VggTrunk(WHAT, INSTEAD)

    def forward(self, fake: Tensor, target: Tensor) -> Tensor:
        """Return the distance of two pictures, (N, 3, H, W) in [−1, 1]; only ``fake`` has a gradient."""
        with torch.no_grad():
            of_target = self.trunk(target)
        layers = zip(WEIGHTS, self.trunk(fake), of_target, strict=True)
        return torch.stack([weight * F.l1_loss(a.float(), b.float()) for weight, a, b in layers]).sum()
