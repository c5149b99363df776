"""Features of VGG-19 (Simonyan and Zisserman, ICLR 2015) with torchvision's ImageNet weights."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import ClassVar

import torch
from torch import Tensor, nn

from vidtrans.core.files import digest_file
from vidtrans.core.pretrained import find_weights, load_weights, torchvision_module
from vidtrans.perception.measure import FeatureMeasure, Features, enlarged

LAYERS = (1, 6, 11, 20, 29)  # relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 in torchvision's numbering
SMALLEST = 32  # pixels a side: four poolings come before the last layer
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class VggTrunk(nn.Module):
    """The layers up to the last of ``LAYERS``, frozen. Nothing is downloaded, see ``pretrained``.

    ``what``: the option that needs the network, ``instead``: the alternative, for messages. Raises UsageError if
    torchvision or the weights are missing, ModelError if the weights cannot be read.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, what: str, instead: str) -> None:
        super().__init__()
        path, address = find_vgg(what, instead)
        network = load_weights(_torchvision(what, instead).vgg19(weights=None), path, address)
        self.layers = network.features[: LAYERS[-1] + 1]
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> Features:
        """Return the features of each of ``LAYERS`` for pictures (N, 3, H, W) in [−1, 1]."""
        x = ((enlarged(pictures, SMALLEST) + 1) / 2 - self.mean) / self.deviation
        features = []
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number in LAYERS:  # the next layer is no in-place ReLU, so the features stay
                features.append(x)
        return features


class VGG19(nn.Module, FeatureMeasure):
    """A measure by features of VGG-19, as in Gatys et al."""

    WHAT: ClassVar[str] = "look measure 'vgg19'"
    INSTEAD: ClassVar[str] = "'efficientnet' or 'patches'"
    style_weights = (1.0, 1.0, 1.0, 1.0, 0.5)
    content_weights = (0.0, 0.0, 0.5, 1.0, 0.0)

    def __init__(self) -> None:
        super().__init__()
        self.trunk = VggTrunk(self.WHAT, self.INSTEAD)

    def features(self, pictures: Tensor) -> Features:
        """Return the features of each of ``LAYERS`` for pictures (N, 3, H, W) in [−1, 1]."""
        found: Features = self.trunk(pictures)
        return found

    @classmethod
    def identity(cls) -> str:
        """Return the network's name with digests of its use and of its weights. Raises UsageError without weights."""
        return f"vgg19 {cls.weighing()} {digest_file(find_vgg(cls.WHAT, cls.INSTEAD)[0])}"


def find_vgg(what: str, instead: str) -> tuple[Path, str]:
    """Return the path of the weights and their URL. Raises UsageError."""
    address: str = _torchvision(what, instead).VGG19_Weights.DEFAULT.url
    return find_weights(address, what, instead, lacking="its weights are not installed: "), address


def _torchvision(what: str, instead: str) -> ModuleType:
    return torchvision_module("models", what, instead)
