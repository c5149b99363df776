"""Perceptual losses: the distance of output and target in the features of the run's discriminator or of VGG-19.

VGG-19 (Johnson et al., ECCV 2016) needs torchvision and its weights, see ``pretrained``. Layers and their weights are
those of pix2pixHD (Wang et al., CVPR 2018, section 3.3).
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.files import digest_file
from vidtrans.pretrained import find_weights, load_weights, torchvision_module
from vidtrans.training.losses.base import Judgement, LossContext, Term, mean_of
from vidtrans.training.settings import TrainingSettings

# relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 in torchvision's numbering, and what each weighs.
LAYERS = {1: 1 / 32, 6: 1 / 16, 11: 1 / 8, 20: 1 / 4, 29: 1.0}
SMALLEST_SIDE = 16  # four poolings come before the last layer
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
WHAT = "training.perceptual_network = 'vgg19'"
INSTEAD = "'discriminator'"


class Perceptual(Term):
    """The distance between output and target in the features of the network that the settings name."""

    def __init__(self, settings: TrainingSettings) -> None:
        super().__init__(settings)
        self.vgg = VGG() if settings.uses_vgg else None
        self.ask_d = self.vgg is None

    @staticmethod
    def identity(settings: TrainingSettings) -> str:
        """Return the network with the digest of its weights, where it is VGG. Raises UsageError as VGG does."""
        return f"vgg19 {digest_file(_find_weights()[0])}" if settings.uses_vgg else ""

    def forward(self, step: LossContext) -> Tensor:
        """Return the loss."""
        if self.vgg is None:
            return feature_distance(step.on_fake, step.on_real)
        with step.autocast():
            loss: Tensor = self.vgg(step.painted, step.target)
        return loss


def feature_distance(on_fake: Judgement, on_real: Judgement) -> Tensor:
    """Return the squared distance between D's features, normalised at each pixel: 0 to 4, the mean over all layers.

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
    """The distance between two pictures in VGG-19's features: the sum of the layers' weighted L1.

    Raises UsageError where torchvision or the weights are not there, ModelError where the weights cannot be read.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        path, address = _find_weights()
        network = load_weights(_torchvision().vgg19(weights=None), path, address)
        self.layers = network.features[: max(LAYERS) + 1]
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)

    def forward(self, fake: Tensor, target: Tensor) -> Tensor:
        """Return the distance of (N, 3, H, W) in [−1, 1] twice; only ``fake`` has a gradient."""
        with torch.no_grad():
            of_target = self._features(target)
        layers = zip(LAYERS.values(), self._features(fake), of_target, strict=True)
        return torch.stack([weight * F.l1_loss(a.float(), b.float()) for weight, a, b in layers]).sum()

    def _features(self, picture: Tensor) -> list[Tensor]:
        x = ((picture + 1) / 2 - self.mean) / self.std
        features = []
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number in LAYERS:  # the next layer is no in-place ReLU, so the features stay
                features.append(x)
        return features


def _find_weights() -> tuple[Path, str]:
    """Return the path of the weights and their address. Raises UsageError."""
    address: str = _torchvision().VGG19_Weights.DEFAULT.url
    return find_weights(address, WHAT, INSTEAD, lacking="its weights are not installed: "), address


def _torchvision() -> ModuleType:
    return torchvision_module("models", WHAT, INSTEAD)
