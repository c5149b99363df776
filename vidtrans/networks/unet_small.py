"""A small U-Net for training in minutes: it works at half size inside, with residual blocks and skips."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import setting
from vidtrans.networks.layers import convolution


@dataclass(frozen=True)
class HalfSizeSettings:
    """Settings for width and depth of a network that works at half size inside."""

    channels: int = setting(32, "channels at half size; 2, 3 and 4 times as many further in", low=8, high=128)
    blocks: tuple[int, ...] = setting((1, 2, 2), "residual blocks at 1/4, 1/8 and 1/16 of the size", low=0, high=9)

    def __post_init__(self) -> None:
        if len(self.blocks) != 3:
            raise ValueError(f"generator.blocks needs 3 numbers (got {len(self.blocks)})")


@dataclass(frozen=True)
class UNetSmallSettings(HalfSizeSettings):
    """Settings of ``UNetSmall``: width, depth, output layer and skips."""

    head: str = setting(
        "pixel-shuffle",
        "pixel-shuffle keeps detailed still backgrounds clean; resize is smoother",
        choices=("pixel-shuffle", "resize"),
    )
    residual: bool = setting(
        False, "add the output to the first three input channels: for inputs that are close to the picture already"
    )
    skip_connections: bool = setting(True, "skips join layers of equal size; false: all passes the innermost layer")


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, activate: bool = True) -> nn.Sequential:
    return nn.Sequential(*convolution(inputs, outputs, kernel, norm="batch", stride=stride, activate=activate))


class SmallResidual(nn.Module):
    """Residual block, relu(x + second(first(x)))."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        return F.relu(x + self.second(self.first(x)))


class _SmallUp(nn.Module):
    """Nearest-neighbour doubling, convolution, the skip (if any) concatenated and fused by a 1×1 convolution."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.joined = bool(skip)
        self.conv = _conv(inputs, outputs)
        self.fuse = _conv(outputs + skip, outputs, kernel=1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        if self.joined:
            x = torch.cat([x, skip], 1)
        fused: Tensor = self.fuse(x)
        return fused


class UNetSmall(nn.Module):
    """U-Net: space to depth, three strided convolutions with residual blocks, upsampling with skips, a light head."""

    Settings = UNetSmallSettings

    def __init__(self, in_channels: int, out_channels: int, settings: UNetSmallSettings) -> None:
        super().__init__()
        if settings.residual and in_channels < out_channels:
            raise UsageError(
                "generator.residual",
                f"{in_channels} input channel{'s hold' if in_channels > 1 else ' holds'} no colour picture to add to",
                "train with --set generator.residual=false",
            )
        self.residual = settings.residual
        width = settings.channels
        widths = [width, 2 * width, 3 * width, 4 * width]
        self.multiple = 2 ** len(widths)
        self.smallest = 2 * self.multiple  # BatchNorm needs more than one value to train on
        self.stem = _conv(4 * in_channels, width)
        self.down = nn.ModuleList(
            nn.Sequential(
                _conv(a, b, stride=2), *(SmallResidual(_conv(b, b), _conv(b, b, activate=False)) for _ in range(n))
            )
            for a, b, n in zip(widths, widths[1:], settings.blocks, strict=False)
        )
        self.up = nn.ModuleList(
            _SmallUp(b, a if settings.skip_connections else 0, a) for a, b in reversed(list(itertools.pairwise(widths)))
        )
        self.head: nn.Module
        if settings.head == "pixel-shuffle":
            self.head = nn.Sequential(nn.Conv2d(width, 4 * out_channels, 3, 1, 1), nn.PixelShuffle(2))
        else:
            self.head = nn.Sequential(
                nn.Conv2d(width, 16, 3, 1, 1),
                nn.ReLU(),
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
                nn.Conv2d(16, out_channels, 3, 1, 1),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) → (N, out, H, W)."""
        y = self.outermost(*self.inner(x))
        return (x[:, : y.shape[1]] + y).clamp(-1, 1) if self.residual else torch.tanh(y)

    def inner(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run all but the outermost layers: (N, in, H, W) → (N, 2C, H/4, W/4), and the skip (N, C, H/2, W/2)."""
        x = self.stem(F.pixel_unshuffle(x, 2))
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for up in self.up[:-1]:
            x = up(x, skips.pop())
        return x, skips.pop()

    def outermost(self, x: Tensor, skip: Tensor) -> Tensor:
        """Run the last doubling and the head: (N, 2C, H/4, W/4), (N, C, H/2, W/2) → (N, out, H, W) before tanh."""
        y: Tensor = self.head(self.up[-1](x, skip))
        return y
