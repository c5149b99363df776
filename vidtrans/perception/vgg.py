"""Features of VGG-19 (Simonyan and Zisserman, ICLR 2015): torchvision's network, and vidtrans's distilled version.

The distilled network has a sixteenth of VGG-19's size: Wang et al., "Collaborative Distillation for Ultra-Resolution
Universal Style Transfer" (CVPR 2020). Its licence is in ``assets/LICENCES.md``.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.files import PACKAGE, digest_file
from vidtrans.core.pretrained import find_weights, load_weights, torchvision_module
from vidtrans.perception.measure import FeatureMeasure, Features, enlarge_to

LAYERS = (1, 6, 11, 20, 29)  # Indices of relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 in torchvision's list of layers
MIN_SIDE_PX = 32  # Smallest side of a picture in pixels, because there are four poolings before the last layer
# Mean and standard deviation of ImageNet's RGB channels, for colours from 0 to 1
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Name of the measure, and of the measures to use instead, in errors
LABEL, ALTERNATIVES = "look measure 'vgg19'", "'efficientnet' or 'patches'"

DISTILLED = PACKAGE / "assets" / "networks" / "distilled-vgg.safetensors"  # File of the distilled network's weights
# Names of the convolutions before each tap of the distilled network
STAGES = ("1_1",), ("1_2", "2_1"), ("2_2", "3_1"), ("3_2", "3_3", "3_4", "4_1")
# Smallest side of a picture for the distilled network in pixels, because there are three poolings
MIN_DISTILLED_SIDE_PX = 16


class VGG19(nn.Module, FeatureMeasure):
    """The measure with features of torchvision's VGG-19, as in Gatys et al. Nothing is downloaded, see ``pretrained``.

    Raises UsageError if torchvision or the weights are missing, ModelError if the weights cannot be read.
    """

    style_weights = (1.0, 1.0, 1.0, 1.0, 0.5)
    content_weights = (0.0, 0.0, 0.5, 1.0, 0.0)
    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        path, address = _find_vgg()
        network = load_weights(torchvision_module("models", LABEL, ALTERNATIVES).vgg19(weights=None), path, address)
        self.layers = network.features[: LAYERS[-1] + 1]
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)

    def features(self, pictures: Tensor) -> Features:
        """Return the features of each of ``LAYERS`` for pictures (N, 3, H, W) in [−1, 1]."""
        x = ((enlarge_to(pictures, MIN_SIDE_PX) + 1) / 2 - self.mean) / self.deviation
        features = []
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number in LAYERS:  # No in-place ReLU comes after these layers, so the features are not overwritten
                features.append(x)
        return features

    @classmethod
    def identity(cls) -> str:
        """Return the network's name with digests of its loss weights and of its network weights.

        Raises UsageError without weights.
        """
        return f"vgg19 {cls.weighing()} {digest_file(_find_vgg()[0])}"


def _find_vgg() -> tuple[Path, str]:
    """Return the path of torchvision's weights for VGG-19, and their URL. Raises UsageError without the weights."""
    address: str = torchvision_module("models", LABEL, ALTERNATIVES).VGG19_Weights.DEFAULT.url
    return find_weights(address, LABEL, ALTERNATIVES, lacking="its weights are not installed: "), address


class DistilledVGG(nn.Module):
    """A frozen VGG-19 of a sixteenth of the size, by distillation: features at relu1_1, relu2_1, relu3_1, relu4_1.

    Convolutions have zero padding, like VGG's: mirror padding has no deterministic gradient on a GPU.
    """

    def __init__(self) -> None:
        super().__init__()
        weights = load_file(DISTILLED)
        for name in (name.removesuffix(".weight") for name in weights if name.endswith(".weight")):
            kernel = weights[f"{name}.weight"]
            layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], kernel.shape[2], padding=kernel.shape[2] // 2)
            layer.load_state_dict({part: weights[f"{name}.{part}"].float() for part in ("weight", "bias")})
            self.add_module(name, layer)
        self.eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> Features:
        """Return the features at the taps, (N, C, h, w) each, of pictures (N, 3, H, W) in [−1, 1]."""
        x = self.get_submodule("colours")((enlarge_to(pictures, MIN_DISTILLED_SIDE_PX) + 1) / 2)
        taps: Features = []
        for names in STAGES:
            for name in names:
                if name.endswith("_1") and taps:
                    x = F.max_pool2d(x, 2)
                x = F.relu(self.get_submodule(f"conv{name}")(x))
            taps.append(x)
        return taps


class DistilledVGG19(DistilledVGG, FeatureMeasure):
    """The measure with features of the distilled VGG-19, which ships."""

    style_weights = (1.0, 1.0, 1.0, 1.0)
    content_weights = (0.0, 0.0, 0.5, 1.0)

    def features(self, pictures: Tensor) -> Features:
        """Return the features at the taps, (N, C, h, w) each, of pictures (N, 3, H, W) in [−1, 1]."""
        return self(pictures)

    @classmethod
    def identity(cls) -> str:
        """Return the network's name with digests of its loss weights and of its network weights."""
        return f"distilled-vgg {cls.weighing()} {digest_file(DISTILLED)}"
