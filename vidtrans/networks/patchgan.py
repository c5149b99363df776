"""PatchGAN discriminators: pix2pix's (Isola et al., CVPR 2017), pix2pixHD's at several scales (Wang et al., 2018)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.options import option
from vidtrans.networks.layers import norm_setting, normalise, spectral


@dataclass(frozen=True)
class PatchGANSettings:
    """Settings of ``PatchGAN``. The default is the 70×70 discriminator of the paper."""

    channels: int = option(64, "channels after the first layer", bounds=(4, 256))
    num_layers: int = option(
        3,
        "number of stride-2 layers: 0, 1, 2, 3, 4 and 5 judge patches of 1, 16, 34, 70, 142 and 286 pixels",
        bounds=(0, 5),
    )
    norm: str = norm_setting("batch")
    spectral_norm: bool = option(
        False, "spectral norm: limits the gradients of the discriminator, so training is steadier"
    )


@dataclass(frozen=True)
class MultiScaleSettings(PatchGANSettings):
    """Settings of ``MultiScale``. The default is the paper's 70×70 PatchGAN at three scales."""

    norm: str = norm_setting("instance")
    num_scales: int = option(
        3, "number of discriminators; each judges the picture at half the size of the previous one", bounds=(1, 4)
    )


class PatchGAN(nn.Module):
    """A patch discriminator: C64-C128-C256-C512, then a logit per patch; LeakyReLU 0.2, no norm in the first layer.

    With 0 stride-2 layers it is the paper's PixelGAN: C64-C128 with 1×1 kernels.
    """

    Settings: type[PatchGANSettings] = PatchGANSettings

    def __init__(self, channels: int, settings: PatchGANSettings) -> None:
        """Create a discriminator; ``channels``: number of channels of input and output picture together."""
        super().__init__()
        count, norm, bound = settings.num_layers, settings.norm, settings.spectral_norm
        kernel, padding = (4, 1) if count else (1, 0)
        widths = [settings.channels * min(2**i, 8) for i in range(max(count, 1) + 1)]
        first = nn.Conv2d(channels, widths[0], kernel, 2 if count else 1, padding)
        layers: list[nn.Module] = [spectral(first, bound), nn.LeakyReLU(0.2)]
        for i, (a, b) in enumerate(itertools.pairwise(widths), start=1):
            stride = 2 if i < count else 1
            conv = nn.Conv2d(a, b, kernel, stride, padding, bias=norm == "none")
            layers += [spectral(conv, bound), *normalise(b, norm), nn.LeakyReLU(0.2)]
        layers.append(spectral(nn.Conv2d(widths[-1], 1, kernel, 1, padding), bound))
        self.net = nn.Sequential(*layers)
        # The last two 4×4 layers (stride 1) shrink the grid by one position each: a smaller input would leave nothing.
        # Without stride-2 layers, a norm still needs more than a single pixel.
        self.smallest = 2**count * 3 if count else 2

    def forward(self, x: Tensor) -> Tensor:
        """(N, in + out, H, W) in [−1, 1] → (N, 1, h, w) logits."""
        logits: Tensor = self.net(x)
        return logits

    def features(self, x: Tensor) -> list[Tensor]:
        """Return each layer's features for (N, in + out, H, W) in [−1, 1], followed by the logits."""
        features = []
        for layer in self.net:
            x = layer(x)
            if isinstance(layer, nn.LeakyReLU):
                features.append(x)
        return [*features, x]

    def judge(self, x: Tensor) -> list[list[Tensor]]:
        """Return the features and logits as a list with one entry, as ``MultiScale`` returns an entry per scale."""
        return [self.features(x)]


class MultiScale(nn.Module):
    """A discriminator at several scales: a PatchGAN for each of ``num_scales`` sizes, each half of the last."""

    Settings = MultiScaleSettings

    def __init__(self, channels: int, settings: MultiScaleSettings) -> None:
        """Create a discriminator; ``channels``: number of channels of input and output picture together."""
        super().__init__()
        scales = [PatchGAN(channels, settings) for _ in range(settings.num_scales)]
        self.smallest = (scales[0].smallest - 1) * 2 ** (settings.num_scales - 1) + 1  # Halving a size rounds up
        self.scales = nn.ModuleList(scales)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, in + out, H, W) in [−1, 1] → logits (N, 1, h, w) for each scale, the full size first."""
        return [features[-1] for features in self.judge(x)]

    def judge(self, x: Tensor) -> list[list[Tensor]]:
        """Return each scale's features and logits, the full size first."""
        features = []
        scale: Any
        for i, scale in enumerate(self.scales):
            if i:
                x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
            features.append(scale.features(x))
        return features
