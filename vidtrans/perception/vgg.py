"""Features of a network with a sixteenth of VGG-19's size (Simonyan and Zisserman, ICLR 2015), distilled from it.

Wang et al., "Collaborative Distillation for Ultra-Resolution Universal Style Transfer" (CVPR 2020). Its licence is in
``assets/LICENCES.md``.
"""

from __future__ import annotations

from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.files import PACKAGE, digest_file
from vidtrans.perception.measure import FeatureMeasure, Features, enlarge_to

WEIGHTS = PACKAGE / "assets" / "networks" / "distilled-vgg.safetensors"  # File of the distilled network's weights
# Names of the convolutions before each tap of the distilled network
STAGES = ("1_1",), ("1_2", "2_1"), ("2_2", "3_1"), ("3_2", "3_3", "3_4", "4_1")
# Smallest side of a picture for the distilled network in pixels, because there are three poolings
MIN_SIDE_PX = 16


class DistilledVGG(nn.Module):
    """A frozen VGG-19 of a sixteenth of the size, by distillation: features at relu1_1, relu2_1, relu3_1, relu4_1.

    Convolutions have zero padding, like VGG's: mirror padding has no deterministic gradient on a GPU.
    """

    def __init__(self) -> None:
        super().__init__()
        weights = load_file(WEIGHTS)
        for name in (name.removesuffix(".weight") for name in weights if name.endswith(".weight")):
            kernel = weights[f"{name}.weight"]
            layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], kernel.shape[2], padding=kernel.shape[2] // 2)
            layer.load_state_dict({part: weights[f"{name}.{part}"].float() for part in ("weight", "bias")})
            self.add_module(name, layer)
        self.eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> Features:
        """Return the features at the taps, (N, C, h, w) each, of pictures (N, 3, H, W) in [−1, 1]."""
        x = self.get_submodule("colours")((enlarge_to(pictures, MIN_SIDE_PX) + 1) / 2)
        taps: Features = []
        for names in STAGES:
            for name in names:
                if name.endswith("_1") and taps:
                    x = F.max_pool2d(x, 2)
                x = F.relu(self.get_submodule(f"conv{name}")(x))
            taps.append(x)
        return taps


class DistilledVGG19(DistilledVGG, FeatureMeasure):
    """The measure with features of the distilled VGG-19, as in Gatys et al."""

    style_weights = (1.0, 1.0, 1.0, 1.0)
    content_weights = (0.0, 0.0, 0.5, 1.0)

    def features(self, pictures: Tensor) -> Features:
        """Return the features at the taps, (N, C, h, w) each, of pictures (N, 3, H, W) in [−1, 1]."""
        return self(pictures)

    @classmethod
    def identity(cls) -> str:
        """Return the network's name with digests of its loss weights and of its network weights."""
        return f"distilled-vgg {cls.weighing()} {digest_file(WEIGHTS)}"
