"""The U-Net of Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vidtrans.settings import setting


@dataclass(frozen=True)
class UNetSettings:
    """The paper's values are the defaults."""

    channels: int = setting(64, "channels after the first layer", low=4, high=256)
    downsamplings: int = setting(8, "how often the picture is halved", low=3, high=9)
    dropout: float = setting(0.5, "dropout in the three innermost decoder layers, while training", low=0.0, high=0.9)


class _Down(nn.Sequential):
    """LeakyReLU – 4×4 stride-2 convolution – BatchNorm (Ck of the paper's encoder)."""

    def __init__(self, inputs: int, outputs: int, *, activate: bool, norm: bool) -> None:
        layers: list[nn.Module] = [nn.LeakyReLU(0.2)] if activate else []
        layers.append(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=not norm))
        if norm:
            layers.append(nn.BatchNorm2d(outputs))
        super().__init__(*layers)


class _Up(nn.Sequential):
    """ReLU – 4×4 stride-2 transposed convolution – BatchNorm – dropout (Ck, CDk of the paper's decoder)."""

    def __init__(self, inputs: int, outputs: int, *, dropout: float) -> None:
        layers: list[nn.Module] = [
            nn.ReLU(),
            nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        if dropout:
            layers.append(nn.Dropout(dropout))
        super().__init__(*layers)


class UNet256(nn.Module):
    """C64-C128-C256-C512×5 down, CD512×3-C512-C256-C128-C64 up, a skip between layers of one size.

    The first and the innermost layer have no BatchNorm: over a single value it would give zero.
    """

    Settings = UNetSettings

    def __init__(self, in_channels: int, out_channels: int, settings: UNetSettings) -> None:
        super().__init__()
        depth = settings.downsamplings
        self.multiple = self.smallest = 2**depth
        widths = [settings.channels * min(2**i, 8) for i in range(depth)]
        self.down = nn.ModuleList(
            _Down(a, b, activate=i > 0, norm=0 < i < depth - 1)
            for i, (a, b) in enumerate(zip([in_channels, *widths[:-1]], widths, strict=True))
        )
        # Up layer i doubles the size; all but the innermost also take the skip, so twice the channels.
        self.up = nn.ModuleList(
            _Up(
                widths[i] * (1 if i == depth - 1 else 2),
                widths[i - 1],
                dropout=settings.dropout if depth - 4 <= i - 1 < depth - 1 else 0.0,
            )
            for i in range(depth - 1, 0, -1)
        )
        self.head = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(2 * widths[0], out_channels, 4, 2, 1), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        skips.pop()
        for up in self.up:
            x = torch.cat([up(x), skips.pop()], 1)
        picture: Tensor = self.head(x)
        return picture
