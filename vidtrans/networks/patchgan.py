"""The PatchGAN discriminator of Isola et al. (CVPR 2017), conditional on the input."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from torch import Tensor, nn

from vidtrans.settings import setting


@dataclass(frozen=True)
class PatchGANSettings:
    """The paper's 70×70 is the default."""

    channels: int = setting(64, "channels after the first layer", low=4, high=256)
    layers: int = setting(3, "stride-2 layers: 1, 2, 3 and 5 judge patches of 16, 34, 70 and 286 pixels", low=1, high=5)


class PatchGAN(nn.Module):
    """C64-C128-C256-C512, then one logit a patch. No BatchNorm in the first layer, LeakyReLU 0.2."""

    Settings = PatchGANSettings

    def __init__(self, channels: int, settings: PatchGANSettings) -> None:
        super().__init__()
        widths = [settings.channels * min(2**i, 8) for i in range(settings.layers + 1)]
        layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for i, (a, b) in enumerate(itertools.pairwise(widths), start=1):
            stride = 2 if i < settings.layers else 1
            layers += [nn.Conv2d(a, b, 4, stride, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(widths[-1], 1, 4, 1, 1))
        self.net = nn.Sequential(*layers)
        # Two unpadded-size steps at the end take two patches off each side; below this nothing is left.
        self.smallest = 2**settings.layers * 3

    def forward(self, x: Tensor) -> Tensor:
        """(N, in + out, H, W) in [−1, 1] → (N, 1, h, w) logits."""
        logits: Tensor = self.net(x)
        return logits
