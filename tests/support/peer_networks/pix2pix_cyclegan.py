"""Generators of pix2pix (Isola et al. 2017) and CycleGAN (Zhu et al. 2017): (N, C, H, W) in [-1, 1] to [-1, 1]."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from peer_networks.layers import Residual, norm_layer


class SkipBlock(nn.Module):
    """One level of the U-Net; ``model`` holds its layers and, between them, the level below."""

    def __init__(self, outer: int, inner: int, below: nn.Module | None, norm: str, dropout: bool = False) -> None:
        super().__init__()
        bias = norm == "instance"
        down = [nn.LeakyReLU(0.2), nn.Conv2d(outer, inner, 4, 2, 1, bias=bias)]
        up_inputs = inner if below is None else 2 * inner
        up = [nn.ReLU(), nn.ConvTranspose2d(up_inputs, outer, 4, 2, 1, bias=bias), norm_layer(norm, outer)]
        middle = [] if below is None else [norm_layer(norm, inner), below]
        self.model = nn.Sequential(*down, *middle, *up, *([nn.Dropout(0.5)] if dropout else []))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.model(x)], 1)


class OuterBlock(nn.Module):
    """The outermost level: no norms, and tanh at its end."""

    def __init__(self, inputs: int, outputs: int, width: int, below: nn.Module, norm: str) -> None:
        super().__init__()
        down = nn.Conv2d(inputs, width, 4, 2, 1, bias=norm == "instance")
        self.model = nn.Sequential(down, below, nn.ReLU(), nn.ConvTranspose2d(2 * width, outputs, 4, 2, 1), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class UnetGenerator(nn.Module):
    """The U-Net of ``downs`` levels; sides are multiples of 2^downs."""

    def __init__(self, inputs: int, outputs: int, downs: int, width: int, norm: str, dropout: bool = False) -> None:
        super().__init__()
        block = SkipBlock(8 * width, 8 * width, None, norm)
        for _ in range(downs - 5):
            block = SkipBlock(8 * width, 8 * width, block, norm, dropout)
        for factor in (4, 2, 1):
            block = SkipBlock(factor * width, 2 * factor * width, block, norm)
        self.model = OuterBlock(inputs, outputs, width, block, norm)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class ResnetGenerator(nn.Module):
    """The network of residual blocks at a quarter of the size; sides are multiples of 4."""

    def __init__(self, inputs: int, outputs: int, blocks: int, width: int, norm: str, dropout: bool = False) -> None:
        super().__init__()
        bias = norm == "instance"
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(inputs, width, 7, bias=bias)]
        layers += [norm_layer(norm, width), nn.ReLU()]
        for channels in (2 * width, 4 * width):
            layers += [nn.Conv2d(channels // 2, channels, 3, 2, 1, bias=bias), norm_layer(norm, channels), nn.ReLU()]
        layers += [Residual(4 * width, norm, bias=bias, dropout=dropout) for _ in range(blocks)]
        for channels in (2 * width, width):
            layers += [nn.ConvTranspose2d(2 * channels, channels, 3, 2, 1, 1, bias=bias)]
            layers += [norm_layer(norm, channels), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, outputs, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)
