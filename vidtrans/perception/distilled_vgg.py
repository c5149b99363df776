"""Features of VGG-19, distilled to a sixteenth of its size: small enough to ship.

Borders are padded with zeros, as VGG's are (mirrored ones have no repeatable gradient on a GPU).
Wang et al., "Collaborative Distillation for Ultra-Resolution Universal Style Transfer" (CVPR 2020), of VGG-19 (Simonyan
and Zisserman, ICLR 2015). The weights ship, see ``assets/LICENCES.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.files import PACKAGE, digest_file
from vidtrans.perception.measure import enlarged

WEIGHTS = PACKAGE / "assets" / "networks" / "distilled-vgg.safetensors"
STAGES = ("1_1",), ("1_2", "2_1"), ("2_2", "3_1"), ("3_2", "3_3", "3_4", "4_1")  # convolutions up to each tap
SMALLEST = 16  # pixels a side: three poolings


class DistilledVGG(nn.Module):
    """The layers up to relu4_1, frozen, with taps at relu1_1, relu2_1, relu3_1 and relu4_1."""

    def __init__(self) -> None:
        super().__init__()
        weights = _read_weights()
        for name in (name.removesuffix(".weight") for name in weights if name.endswith(".weight")):
            kernel = weights[f"{name}.weight"]
            layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], kernel.shape[2], padding=kernel.shape[2] // 2)
            layer.load_state_dict({part: weights[f"{name}.{part}"].float() for part in ("weight", "bias")})
            self.add_module(name, layer)
        self.eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Return the features at the taps, (N, C, h, w) each, of pictures (N, 3, H, W) in [−1, 1]."""
        x = self.get_submodule("colours")((enlarged(pictures, SMALLEST) + 1) / 2)
        taps: list[Tensor] = []
        for names in STAGES:
            for name in names:
                if name.endswith("_1") and taps:
                    x = F.max_pool2d(x, 2)
                x = F.relu(self.get_submodule(f"conv{name}")(x))
            taps.append(x)
        return taps


@lru_cache(maxsize=1)
def distilled_vgg_digest() -> str:
    """Return the SHA-256 (hex) of the weights' file."""
    return digest_file(WEIGHTS)


def _read_weights() -> Mapping[str, Tensor]:
    from safetensors.torch import load_file

    weights: Mapping[str, Tensor] = load_file(WEIGHTS)
    return weights
