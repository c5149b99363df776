"""A perceptual loss on VGG-19 (Johnson et al., ECCV 2016), for whoever has torchvision and its weights.

``pretrained`` says where they have to lie. Layers and what they weigh are those of pix2pixHD (Wang et al., CVPR
2018, section 3.3).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.files import digest_file
from vidtrans.pretrained import find_weights, torchvision_module, with_weights

# relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 in torchvision's numbering, and what each weighs.
LAYERS = {1: 1 / 32, 6: 1 / 16, 11: 1 / 8, 20: 1 / 4, 29: 1.0}
SMALLEST_SIDE = 16  # four poolings come before the last layer
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
WHAT = "training.perceptual_network = 'vgg19'"
INSTEAD = "'discriminator'"


class VGG(nn.Module):
    """The distance between two pictures in VGG-19's features: the sum of the layers' weighted L1.

    Raises UsageError where torchvision or the weights are not there, ModelError where the weights cannot be read.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        path, address = _find_weights()
        network = with_weights(_torchvision().vgg19(weights=None), path, address)
        self.layers = network.features[: max(LAYERS) + 1]
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)

    def forward(self, fake: Tensor, target: Tensor) -> Tensor:
        """(N, 3, H, W) in [−1, 1] twice → a scalar; learns from ``fake`` alone."""
        with torch.no_grad():
            wanted = self._features(target)
        got = self._features(fake)
        weighed = zip(LAYERS.values(), got, wanted, strict=True)
        return torch.stack([weight * F.l1_loss(a.float(), b.float()) for weight, a, b in weighed]).sum()

    def _features(self, picture: Tensor) -> list[Tensor]:
        x = ((picture + 1) / 2 - self.mean) / self.std
        kept = []
        for at, layer in enumerate(self.layers):
            x = layer(x)
            if at in LAYERS:
                # torchvision's ReLUs work in place, and so does nothing on what is kept: a pooling comes next, or a
                # convolution.
                kept.append(x)
        return kept


def identity() -> str:
    """What decides the loss besides the pictures: the weights' content. Raises UsageError as the class does."""
    return f"vgg19 {digest_file(_find_weights()[0])}"


def _find_weights() -> tuple[Path, str]:
    """Where the weights lie in torch's cache, and where torchvision has them from. Raises UsageError."""
    address: str = _torchvision().VGG19_Weights.DEFAULT.url
    return find_weights(address, WHAT, INSTEAD, lacking="its weights are not installed: "), address


def _torchvision() -> Any:
    """torchvision's module of classifiers."""
    return torchvision_module("models", WHAT, INSTEAD)
