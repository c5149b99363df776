"""The generator of CUT (Park et al. 2020), with blurred downsampling (Zhang 2019), and its patch sampler.

Pictures are (N, C, H, W) in [-1, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from peer_networks.layers import Residual, norm_layer


class Downsample(nn.Module):
    """Blur each channel with (1 2 1) both ways, edges reflected, and keep every second pixel.

    ``filt`` is (C, 1, 3, 3) and sums to 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("filt", torch.outer(taps, taps).expand(channels, 1, 3, 3).clone())

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), self.filt, stride=2, groups=x.shape[1])


class Upsample(nn.Module):
    """Double both sides with the taps (1 3 3 1), edges repeated. ``filt``: (C, 1, 4, 4), summing to 4."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
        self.register_buffer("filt", torch.outer(taps, taps).expand(channels, 1, 4, 4).clone())

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, (1, 1, 1, 1), "replicate")
        return F.conv_transpose2d(padded, self.filt, stride=2, padding=2, groups=x.shape[1])[:, :, 1:-1, 1:-1]


class CutGenerator(nn.Module):
    """CycleGAN's network with blurred sampling down, up, or both."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        blocks: int,
        width: int,
        norm: str,
        dropout: bool = False,
        antialias: bool = True,
        antialias_up: bool = True,
    ) -> None:
        super().__init__()
        bias = norm == "instance"
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(inputs, width, 7, bias=bias)]
        layers += [norm_layer(norm, width), nn.ReLU()]
        for channels in (2 * width, 4 * width):
            layers += [nn.Conv2d(channels // 2, channels, 3, 1 if antialias else 2, 1, bias=bias)]
            layers += [norm_layer(norm, channels), nn.ReLU(), *([Downsample(channels)] if antialias else [])]
        layers += [Residual(4 * width, norm, bias=bias, dropout=dropout) for _ in range(blocks)]
        for channels in (2 * width, width):
            if antialias_up:
                layers += [Upsample(2 * channels), nn.Conv2d(2 * channels, channels, 3, 1, 1, bias=bias)]
            else:
                layers += [nn.ConvTranspose2d(2 * channels, channels, 3, 2, 1, 1, bias=bias)]
            layers += [norm_layer(norm, channels), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, outputs, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class PatchSampler(nn.Module):
    """The projections of CUT's contrastive loss (its ``net_F``), which are no generator: two linear layers each."""

    def __init__(self, feature_channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        for number, channels in enumerate(feature_channels):
            layers = nn.Sequential(nn.Linear(channels, width), nn.ReLU(), nn.Linear(width, width))
            self.add_module(f"mlp_{number}", layers)
